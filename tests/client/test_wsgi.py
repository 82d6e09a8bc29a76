"""Requests of Flask and other WSGI apps are measured to their end, and nothing about them is changed."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import flask
import pytest
import requests
from werkzeug.serving import make_server

from monitor.client import Client, RequestMetrics, WsgiMiddleware
from tests.client.stand_in import QUICK, log, taking
from tests.client.test_metrics import samples
from tests.e2e.daemon import eventually
from tests.servers import serving


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass

    def log_error(self, *_args: object) -> None:
        pass


@contextmanager
def running(server: WSGIServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def wsgi(app: Any) -> Any:
    """The reference server of the standard library, on a free port."""
    server = WSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(app)
    return running(server)


def counted(url: str) -> dict[tuple[str, str, str], float]:
    page = requests.get(f"{url}/metrics", timeout=10)
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {
        (name, dict(labels).get("handler", ""), dict(labels).get("status", "")): value
        for (name, labels), value in samples(page.text).items()
    }
    return {
        (handler, status): value for (name, handler, status), value in found.items() if name == "http_requests_total"
    }


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    app = flask.Flask("shop")

    @app.get("/items/<int:number>")
    def item(number: int) -> dict[str, int]:
        return {"number": number}

    @app.post("/items/<int:number>")
    def change(number: int) -> tuple[str, int]:
        return "", 201

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the app broke")

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response((part for part in ("a", "b", "c")), mimetype="text/plain")

    @app.get("/file")
    def file() -> flask.Response:
        return flask.send_file(Path(__file__))

    app.logger.disabled = True
    with serving(taking()) as watch, Client(watch.url, limits=QUICK) as client:
        log(client, ["one"])
        app.wsgi_app = WsgiMiddleware(app.wsgi_app, client=client)  # type: ignore[method-assign]
        with running(make_server("127.0.0.1", 0, app, threaded=True, request_handler=_quiet())) as url:
            yield url


def _quiet() -> Any:
    from werkzeug.serving import WSGIRequestHandler as Werkzeugs

    return type("Quiet", (Werkzeugs,), {"log": lambda *_: None})


@pytest.mark.parametrize(
    ("method", "path", "handler", "status"),
    [
        ("GET", "/items/7", "/items/<int:number>", 200), ("POST", "/items/8", "/items/<int:number>", 201),
        ("GET", "/items/seven", "other", 404), ("GET", "/wp-login.php", "other", 404), ("PUT", "/items/7", "other", 405),
        ("GET", "/broken", "/broken", 500), ("GET", "/stream", "/stream", 200), ("GET", "/file", "/file", 200),
    ],
)  # fmt: skip
def test_flasks_requests_are_counted_by_their_rule(
    shop: str, method: str, path: str, handler: str, status: int
) -> None:
    before = counted(shop)
    answered = requests.request(method, shop + path, timeout=10)
    assert answered.status_code == status
    after, key = (
        eventually(lambda: (found := counted(shop)) != before and found, "the count", 5),
        (handler, str(status)),
    )
    assert after.pop(key) == before.pop(key, 0) + 1
    assert after == before


def test_flasks_answers_are_what_they_were(shop: str) -> None:
    assert requests.get(f"{shop}/items/7", timeout=10).json() == {"number": 7}
    assert requests.get(f"{shop}/stream", timeout=10).text == "abc"
    assert requests.get(f"{shop}/file", timeout=10).content == Path(__file__).read_bytes()


def test_the_page_has_the_clients_counts_and_not_its_own_scrapes(shop: str) -> None:
    requests.get(f"{shop}/metrics", timeout=10)
    page = samples(requests.get(f"{shop}/metrics", timeout=10).text)
    assert all(dict(labels).get("handler") != "/metrics" for _, labels in page)
    eventually(
        lambda: page[("anchorwatch_client_records_total", frozenset({("outcome", "accepted")}))] == 1, "the record", 1
    )
    head = requests.head(f"{shop}/metrics", timeout=10)
    assert (head.status_code, head.text) == (200, "")
    assert int(head.headers["content-length"]) > 100
    assert requests.post(f"{shop}/metrics", timeout=10).status_code == 404


# --- apps of the standard library alone, under its validator ----------------------------------------------------------


def answering(body: Callable[[], Any], status: str = "200 OK") -> Any:
    def app(_environ: Any, start_response: Any) -> Any:
        start_response(status, [("Content-Type", "text/plain")])
        return body()

    return app


def late(_environ: Any, start_response: Any) -> Iterator[bytes]:
    """Says its status only when the first part is asked for."""
    start_response("418 I'm a teapot", [("Content-Type", "text/plain")])
    yield b"late"


def test_what_the_middleware_gives_and_takes_is_wsgi_to_the_letter() -> None:
    for app in (answering(lambda: [b"a", b"b"]), late):
        measured = WsgiMiddleware(validator(app), metrics_path=None, known_paths=["/known"])
        with wsgi(validator(measured)) as url:
            answered = [requests.get(url + path, timeout=10) for path in ("/known", "/unknown?x=1")]
        assert {each.text for each in answered} <= {"ab", "late"}
        assert {each.status_code for each in answered} <= {200, 418}
        handlers = {dict(labels).get("handler") for _, labels in samples(measured.metrics.page())} - {None}
        assert handlers == {"/known", "other"}


def test_an_error_may_be_told_by_its_place_or_by_its_name() -> None:
    told: list[Any] = []

    def starting(status: str, headers: Any, exc_info: Any = None) -> Any:
        told.append((status, exc_info))

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("500 No", [], ("by", "its", "place"))
        start_response("502 No", [], exc_info=("by", "its", "name"))
        return [b""]

    measured = WsgiMiddleware(app)
    measured({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, starting).close()
    assert told == [("200 OK", None), ("500 No", ("by", "its", "place")), ("502 No", ("by", "its", "name"))]
    assert 'status="502"} 1\n' in measured.metrics.page()


def test_a_single_part_keeps_its_length() -> None:
    """The reference server says Content-Length for one part, whose number it must be able to count."""
    with wsgi(WsgiMiddleware(answering(lambda: [b"whole"]))) as url:
        assert requests.get(url, timeout=10).headers["content-length"] == "5"


def test_a_file_is_left_to_the_server_to_send() -> None:
    measured = WsgiMiddleware(answering(lambda: FileWrapper(io.BytesIO(b"a file"))))
    started: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": FileWrapper}
    response = measured(environ, lambda *given: started.append(given))
    assert isinstance(response, FileWrapper)
    response.close()
    assert 'status="200"} 1\n' in measured.metrics.page()


def test_a_streams_time_runs_to_its_end() -> None:
    metrics, step = RequestMetrics(), threading.Event()

    def parts() -> Iterator[bytes]:
        yield b"first"
        step.wait(10)
        yield b"last"

    with wsgi(WsgiMiddleware(answering(parts), metrics=metrics)) as url:
        streamed = requests.get(f"{url}/stream", stream=True, timeout=10)
        assert "http_requests_in_flight 1\n" in metrics.page()
        assert "http_requests_total{" not in metrics.page()
        threading.Timer(0.3, step.set).start()
        assert streamed.content == b"firstlast"
        eventually(lambda: "http_requests_in_flight 0\n" in metrics.page(), "its end", 5)
    (seconds,) = [
        value for (name, _), value in samples(metrics.page()).items() if name == "http_request_duration_seconds_sum"
    ]
    assert seconds >= 0.25


def test_a_client_that_goes_ends_its_request_with_the_status_it_had() -> None:
    metrics, closed = RequestMetrics(), threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    with wsgi(WsgiMiddleware(answering(endless), metrics=metrics)) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.recv(1000)
        eventually(closed.is_set, "the app's own clean-up", 10)
        eventually(lambda: "http_requests_in_flight 0\n" in metrics.page(), "its end", 5)
    assert 'status="200"} 1\n' in metrics.page()


@pytest.mark.parametrize("moment", ["at once", "in the midst", "at the end"])
def test_an_exception_counts_as_500_once_and_goes_on_its_way(moment: str) -> None:
    class Breaking:
        def __iter__(self) -> Iterator[bytes]:
            yield b"a part"
            if moment == "in the midst":
                raise RuntimeError("the app broke")

        def close(self) -> None:
            if moment == "at the end":
                raise RuntimeError("the app broke")

    def app(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        if moment == "at once":
            raise RuntimeError("the app broke")
        return Breaking()

    measured = WsgiMiddleware(app)

    def serve() -> None:
        response = measured({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
        try:
            list(response)
        finally:
            response.close()

    with pytest.raises(RuntimeError, match="the app broke"):
        serve()
    expected = {"at the end": "200"}.get(moment, "500")  # all of it had been sent by then
    assert f'status="{expected}"}} 1\n' in measured.metrics.page()
    assert 'http_request_duration_seconds_count{method="GET",handler="other"} 1\n' in measured.metrics.page()
    assert "http_requests_in_flight 0\n" in measured.metrics.page()


def test_the_page_can_be_elsewhere_or_nowhere() -> None:
    app = answering(lambda: [b"the app's own"])
    with wsgi(WsgiMiddleware(app, metrics_path=None)) as url:
        assert requests.get(f"{url}/metrics", timeout=10).text == "the app's own"
    with wsgi(WsgiMiddleware(app, metrics_path="/-/numbers")) as url:
        assert requests.get(f"{url}/metrics", timeout=10).text == "the app's own"
        assert 'handler="other",status="200"} 1\n' in requests.get(f"{url}/-/numbers", timeout=10).text
