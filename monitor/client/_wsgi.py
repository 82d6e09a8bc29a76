"""WSGI middleware, for Flask and others: counts the requests, and takes their time to the end of the response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from monitor.client._client import Client
from monitor.client._metrics import CONTENT_TYPE, RequestMetrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class WsgiMiddleware:
    """Measures what passes through, and answers `metrics_path` itself with a page for Prometheus.

        app.wsgi_app = WsgiMiddleware(app.wsgi_app, client=client)

    `handler` is Flask's URL rule; elsewhere, and for paths nobody serves, it is one of `known_paths` or `other`.
    An exception counts as status 500 and is raised again.

    Args:
        app: what is measured.
        client: its counts are put on the page.
        metrics_path: where the page is; None: nowhere, see `RequestMetrics.page`.
        known_paths: paths that name themselves where no framework tells the route.
        metrics: where it is counted; by default a fresh one.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        client: Client | None = None,
        metrics_path: str | None = "/metrics",
        known_paths: Iterable[str] = (),
        metrics: RequestMetrics | None = None,
    ) -> None:
        self._app, self._client, self._path = app, client, metrics_path
        self._known_paths = frozenset(known_paths)
        self.metrics = metrics or RequestMetrics()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, and watch its response go by."""
        if environ.get("PATH_INFO") == self._path and environ.get("REQUEST_METHOD") in ("GET", "HEAD"):
            return self._page(environ, start_response)
        running = _Running(self.metrics, environ, self._known_paths)
        try:
            response = self._app(environ, running.watching(start_response))
        except BaseException:
            running.end(failed=True)
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(response, wrapper):  # the server sends the file by itself
            running.end()
            return response
        return (_Sized if hasattr(type(response), "__len__") else _Measured)(response, running)

    def _page(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body = self.metrics.page(self._client).encode()
        start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


class _Running:
    """One request under way."""

    def __init__(self, metrics: RequestMetrics, environ: WSGIEnvironment, known_paths: frozenset[str]) -> None:
        self._metrics, self._environ, self._known_paths = metrics, environ, known_paths
        self._status, self._over = "500", False
        self._rule: str | None = None
        self._begun = metrics.begin()

    def watching(self, start_response: StartResponse) -> StartResponse:
        """The server's `start_response`, overheard."""

        # PEP 3333 has the third by its place, but every server takes it by its name as well, and so some apps hand it over.
        def started(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            self._status = status[:3]
            # Werkzeug leaves its request here, and takes it away when Flask has done with it; by now the rule is known.
            rule = getattr(self._environ.get("werkzeug.request"), "url_rule", None)
            self._rule = getattr(rule, "rule", None)
            return start_response(status, headers, *([] if exc_info is None else [exc_info]))

        return started

    def end(self, *, failed: bool = False) -> None:
        """The response is over; only the first end counts."""
        if not self._over:
            self._over = True
            status = "500" if failed else self._status
            self._metrics.end(self._begun, self._environ.get("REQUEST_METHOD", ""), self._handler(), status)

    def _handler(self) -> str | None:
        path = self._environ.get("PATH_INFO", "")
        return self._rule or (path if path in self._known_paths else None)


class _Measured:
    """The response's body, which ends its request when the server has done with it."""

    def __init__(self, response: Iterable[bytes], running: _Running) -> None:
        self._response, self._running = response, running
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> _Measured:
        return self

    def __next__(self) -> bytes:
        try:
            if self._parts is None:
                self._parts = iter(self._response)
            return next(self._parts)
        except StopIteration:
            self._running.end()
            raise
        except BaseException:
            self._running.end(failed=True)
            raise

    def close(self) -> None:
        """The server has sent it all, or its client has gone."""
        try:
            if (close := getattr(self._response, "close", None)) is not None:
                close()
        except BaseException:
            self._running.end(failed=True)
            raise
        self._running.end()


class _Sized(_Measured):
    """A body whose parts can be counted: servers derive its length when there is only one."""

    def __len__(self) -> int:
        return len(self._response)  # type: ignore[arg-type]  # made only for those that have one
