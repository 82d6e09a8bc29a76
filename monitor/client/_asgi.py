"""ASGI middleware, for FastAPI, Starlette and others: counts the requests, and takes their time to the end of the response."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from monitor.client._client import Client
from monitor.client._metrics import CONTENT_TYPE, RequestMetrics

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PARAMETER = re.compile(r"{(\w+)(:\w+)?}")
CLIENT_GONE = "499"  # as nginx has it: the client went before there was a response, and that is nobody's error


class AsgiMiddleware:
    """Measures what passes through, and answers `metrics_path` itself with a page for Prometheus.

        app.add_middleware(AsgiMiddleware, client=client)

    `handler` is the route's path as FastAPI and Starlette know it; elsewhere, and for paths nobody serves, it is one of
    `known_paths` or `other`. An exception counts as status 500 and is raised again. WebSockets and the lifespan pass
    through; when the app has shut down, the client's queue is flushed, for uvicorn may end without `atexit`.

    Args:
        app: what is measured.
        client: its counts are put on the page.
        metrics_path: where the page is; None: nowhere, see `RequestMetrics.page`.
        known_paths: paths that name themselves where no framework tells the route.
        metrics: where it is counted; by default a fresh one.
    """

    def __init__(
        self,
        app: App,
        *,
        client: Client | None = None,
        metrics_path: str | None = "/metrics",
        known_paths: Iterable[str] = (),
        metrics: RequestMetrics | None = None,
    ) -> None:
        self._app, self._client, self._path = app, client, metrics_path
        self._known_paths = frozenset(known_paths)
        self.metrics = metrics or RequestMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and watch its response go by."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._flushing(send))
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._is_page(scope):
            await self._send_page(scope, send)
        else:
            await self._measure(scope, receive, send)

    async def _measure(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Noted now: a mounted app changes the scope.
        method, path = scope.get("method", ""), scope.get("path", "").removeprefix(scope.get("root_path", ""))
        watched, status = _Watched(receive, send), "500"
        begun = self.metrics.begin()
        try:
            await self._app(scope, watched.receive, watched.send)
            status = watched.status or (CLIENT_GONE if watched.gone else "500")
        except Exception:
            if watched.gone:
                status = watched.status or CLIENT_GONE
            raise
        except BaseException:  # the server has cancelled it, which it does when the client has gone or it shuts down
            status = watched.status or CLIENT_GONE
            raise
        finally:
            handler = _route(scope, path) or (path if path in self._known_paths else None)
            self.metrics.end(begun, method, handler, status)

    def _is_page(self, scope: Scope) -> bool:
        path = scope.get("path", "")
        return self._path is not None and (
            path in (self._path, scope.get("root_path", "") + self._path) and scope.get("method") in ("GET", "HEAD")
        )

    async def _send_page(self, scope: Scope, send: Send) -> None:
        body = self.metrics.page(self._client).encode()
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _flushing(self, send: Send) -> Send:
        """The server's `send`, before whose word that all is shut down the queue is flushed; nothing else runs by then."""

        async def sent(message: Message) -> None:
            if self._client is not None and message["type"].startswith("lifespan.shutdown."):
                self._client.flush(self._client.limits.exit_seconds)
            await send(message)

        return sent


class _Watched:
    """The two ends of one request, overheard."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.status, self.gone = "", False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = str(message["status"])
        try:
            await self._send(message)
        except OSError:  # what a server raises once the client has gone
            self.gone = True
            raise


def _route(scope: Scope, path: str) -> str | None:
    """The template of the route that was taken, with what it is mounted under or included with; None where none is told.

    >>> class Route:
    ...     path = "/items/{id:int}"
    >>> _route({"route": Route, "path_params": {"id": 7, "shop": "north"}}, "/v1/north/items/7")
    '/v1/{shop}/items/{id:int}'
    """
    template, params = getattr(scope.get("route"), "path", None), scope.get("path_params") or {}
    if not isinstance(template, str):
        return None
    told = {name for name, _ in _PARAMETER.findall(template)}
    inner = _PARAMETER.sub(lambda found: str(params.get(found[1], found[0])), template)
    outer = path.removesuffix(inner)
    names = {str(value): name for name, value in params.items() if name not in told}
    prefix = [f"{{{names.pop(part)}}}" if part in names else part for part in outer.split("/")]
    # What is left of the path is part of the template only if every parameter was found in it.
    return template if names or not path.endswith(inner) else "/".join(prefix) + template
