"""Requests of FastAPI, Starlette and other ASGI apps are measured to their end, and nothing about them is changed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import requests
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from monitor.client import AsgiMiddleware, Client, Limits, RequestMetrics
from tests.client.stand_in import arrived, log, taking
from tests.client.test_metrics import samples
from tests.e2e.daemon import eventually
from tests.servers import serving


@contextmanager
def asgi(app: Any, **more: Any) -> Iterator[str]:
    """The app under uvicorn, on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", **more))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, "uvicorn", step=0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def counted(page: str) -> dict[tuple[str, str], float]:
    """Requests by handler and status."""
    return {
        (dict(labels)["handler"], dict(labels)["status"]): value
        for (name, labels), value in samples(page).items()
        if name == "http_requests_total"
    }


def fast() -> FastAPI:
    app, router, deeper, mounted = FastAPI(), APIRouter(), APIRouter(), FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> dict[str, int]:
        return {"number": number}

    @app.get("/blocking/{name:path}")
    def blocking(name: str) -> str:
        return name

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the app broke")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse((part for part in ("a", "b", "c")), media_type="text/plain")

    @router.get("/orders/{order}")
    async def order(order: str) -> str:
        return order

    @deeper.get("/lines/{line}")
    async def line(shop: str, line: str) -> str:
        return shop + line

    @mounted.get("/things/{thing}")
    async def thing(thing: str) -> str:
        return thing

    router.include_router(deeper, prefix="/{shop}")
    app.include_router(router, prefix="/v1")
    app.mount("/sub", mounted)
    app.mount("/tenants/{tenant}", mounted)
    return app


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    app = fast()
    app.add_middleware(AsgiMiddleware)
    with asgi(app) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "handler", "status"),
    [
        ("/items/7", "/items/{number}", 200), ("/items/seven", "/items/{number}", 422), ("/blocking/a/b/c", "/blocking/{name:path}", 200),
        ("/broken", "/broken", 500), ("/stream", "/stream", 200), ("/v1/orders/x", "/v1/orders/{order}", 200),
        ("/v1/north/lines/3", "/v1/{shop}/lines/{line}", 200), ("/sub/things/a", "/sub/things/{thing}", 200),
        ("/tenants/acme/things/a", "/tenants/{tenant}/things/{thing}", 200), ("/wp-login.php", "other", 404), ("/sub/no", "other", 404),
    ],
)  # fmt: skip
def test_fastapis_requests_are_counted_by_their_route(shop: str, path: str, handler: str, status: int) -> None:
    def page() -> dict[tuple[str, str], float]:
        return counted(requests.get(f"{shop}/metrics", timeout=10).text)

    before = page()
    assert requests.get(shop + path, timeout=10).status_code == status
    eventually(lambda: page() != before, "the count", 5)
    after, key = page(), (handler, str(status))
    assert after.pop(key) == before.pop(key, 0) + 1
    assert after == before


def test_fastapis_answers_are_what_they_were(shop: str) -> None:
    assert requests.get(f"{shop}/items/7", timeout=10).json() == {"number": 7}
    assert requests.get(f"{shop}/stream", timeout=10).text == "abc"
    page = requests.get(f"{shop}/metrics", timeout=10)
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    head = requests.head(f"{shop}/metrics", timeout=10)
    assert (head.status_code, head.text) == (200, "")
    assert requests.post(f"{shop}/metrics", timeout=10).status_code == 404


def test_starlettes_routes_are_known_and_a_path_behind_a_proxy_too() -> None:
    async def hello(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/a/{b}", hello), Mount("/deep", routes=[Route("/c/{d:int}", hello)])])
    measured = AsgiMiddleware(app)
    with asgi(measured, root_path="/behind") as url:
        for path in ("/a/1", "/a/2", "/deep/c/3"):
            assert requests.get(url + path, timeout=10).text == "hello"
        page = requests.get(f"{url}/metrics", timeout=10).text
    assert counted(page) == {("/a/{b}", "200"): 2, ("/deep/c/{d:int}", "200"): 1}


@pytest.mark.parametrize("kind", ["websocket", "something new"])
def test_what_is_no_request_passes_through_untouched_and_uncounted(kind: str) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    async def receive() -> None: ...

    async def send(_message: Any) -> None: ...

    asked = scope(type=kind)
    measured = AsgiMiddleware(app)
    asyncio.run(measured(asked, receive, send))
    assert seen == [asked, receive, send]
    assert seen[0] is asked
    assert "http_requests_total{" not in measured.metrics.page()
    assert "http_requests_in_flight 0\n" in measured.metrics.page()


def test_the_lifespan_passes_through_and_its_end_flushes_the_client() -> None:
    """uvicorn ends by the signal it was sent, past atexit."""
    seen = []

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[dict[str, str]]:
        seen.append("start")
        yield {"state": "kept"}
        log(client, ["at the very end"])
        seen.append("end")

    async def state(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.state.state)

    with serving(taking()) as watch, Client(watch.url, limits=Limits(delay_seconds=60)) as client:
        app = Starlette(routes=[Route("/", state)], lifespan=lifespan)
        with asgi(AsgiMiddleware(app, client=client)) as url:
            assert requests.get(url, timeout=10).text == "kept"
        assert seen == ["start", "end"]
        assert arrived(watch) == ["at the very end"]


# --- bare ASGI --------------------------------------------------------------------------------------------------------


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/known", **more}


def drive(app: Any, *, messages: list[dict[str, Any]] | None = None, gone: bool = False) -> RequestMetrics:
    """Run an app on one request, as a server does; with `gone`, sending fails as it does when the client has left."""
    measured = AsgiMiddleware(app, known_paths=["/known"])
    incoming = iter(messages or [{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(_message: dict[str, Any]) -> None:
        if gone:
            raise OSError("the client has gone")

    async def run() -> None:
        await measured(scope(), receive, send)

    try:
        asyncio.run(run())
    except (RuntimeError, OSError, asyncio.CancelledError):
        drive.raised = True  # type: ignore[attr-defined]
    else:
        drive.raised = False  # type: ignore[attr-defined]
    assert "http_requests_in_flight 0\n" in measured.metrics.page()
    return measured.metrics


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"x", "more_body": True}


async def breaks_at_once(_scope: Any, _receive: Any, _send: Any) -> None:
    raise RuntimeError("the app broke")


async def breaks_in_the_midst(_scope: Any, _receive: Any, send: Any) -> None:
    await send(START)
    await send(PART)
    raise RuntimeError("the app broke")


async def says_nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    pass


async def sends(_scope: Any, _receive: Any, send: Any) -> None:
    await send(START)
    await send(PART)


async def hears_of_it(_scope: Any, receive: Any, _send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def hears_of_it_and_breaks(_scope: Any, receive: Any, send: Any) -> None:
    await hears_of_it(_scope, receive, send)
    raise RuntimeError("the client went")


async def hears_of_it_late(_scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await hears_of_it(_scope, receive, send)


async def is_cancelled(_scope: Any, _receive: Any, _send: Any) -> None:
    raise asyncio.CancelledError


LEFT = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


@pytest.mark.parametrize(
    ("app", "more", "status", "raised"),
    [
        (breaks_at_once, {}, "500", True), (breaks_in_the_midst, {}, "500", True), (says_nothing, {}, "500", False), (sends, {}, "200", False),
        (sends, {"gone": True}, "200", True), (hears_of_it, {"messages": LEFT}, "499", False), (hears_of_it_late, {"messages": LEFT}, "200", False),
        (hears_of_it_and_breaks, {"messages": LEFT}, "499", True), (is_cancelled, {}, "499", True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_each_end_of_a_request_counts_once_and_a_client_that_went_is_no_error(
    app: Any, more: dict[str, Any], status: str, raised: bool
) -> None:
    metrics = drive(app, **more)
    assert counted(metrics.page()) == {("/known", status): 1}
    assert drive.raised is raised  # type: ignore[attr-defined]


def test_a_streams_time_runs_to_its_end() -> None:
    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await send(START)
        await asyncio.sleep(0.2)
        await send({**PART, "more_body": False})

    found = samples(drive(slow).page())
    assert found[("http_request_duration_seconds_sum", frozenset({("method", "GET"), ("handler", "/known")}))] >= 0.19


def test_a_real_client_that_goes_ends_its_request() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    app = FastAPI()

    @app.get("/endless")
    async def serve_endlessly() -> StreamingResponse:
        return StreamingResponse(endless())

    metrics = RequestMetrics()
    app.add_middleware(AsgiMiddleware, metrics=metrics)
    with asgi(app) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(1000)
        eventually(lambda: "http_requests_in_flight 0\n" in metrics.page(), "its end", 10)
    assert counted(metrics.page()) == {("/endless", "200"): 1}
