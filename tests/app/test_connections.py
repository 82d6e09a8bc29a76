"""Those who come and say nothing keep nobody out: neither who has something to say, nor who asks whether all is well."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from monitor.app import _connections as connections
from monitor.app.daemon import Daemon
from monitor.app.serving import _bound, _server
from monitor.web import _guard, create_app
from tests.e2e.daemon import eventually
from tests.web.test_doors import built

MOST = 10


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setattr(connections, "MOST", MOST)
    made = built(tmp_path, apps=[{"name": "shop", "models": [{"name": "demand", "task": "regression"}]}])
    made.start()
    yield made
    made.stop()


@pytest.fixture
def running(watch: Daemon, free_port: int) -> Iterator[uvicorn.Server]:
    """The daemon's own server."""
    server = _server(create_app(watch), f"127.0.0.1:{free_port}")
    bound = _bound(server)
    thread = threading.Thread(target=lambda: asyncio.run(server._serve([bound])), daemon=True)
    thread.start()
    eventually(lambda: server.started, "the server", 10)
    yield server
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def port(running: uvicorn.Server) -> int:
    """Where it listens."""
    return running.config.port


def alive(port: int) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{port}/livez", timeout=10)


def post(port: int) -> requests.Response:
    record = {"model": "demand", "event_id": "a", "timestamp": 1.0, "features": {}, "prediction": 1.0}
    return requests.post(f"http://127.0.0.1:{port}/v1/predictions", json=record, timeout=10)


@contextlib.contextmanager
def saying(port: int, text: bytes, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that begin like this and say no more."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(count)]
        for each in opened:
            each.sendall(text)
        yield opened


def posting(length: int, part: bytes = b"[") -> bytes:
    head = "POST /v1/predictions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode() + part


@pytest.mark.parametrize("text", [b"", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"])
def test_quiet_connections_make_room_for_new_ones(port: int, text: bytes) -> None:
    """Whether they never said a thing, stopped in the midst of it, or keep theirs for later."""
    with requests.Session() as kept, saying(port, text, 5 * MOST) as opened:
        for _ in range(3):
            assert kept.get(f"http://127.0.0.1:{port}/livez", timeout=10).status_code == 200
            assert alive(port).status_code == 200
        assert sum(_is_open(each) for each in opened) < MOST


def _is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        try:
            while connection.recv(1000):
                pass
        except ConnectionError:
            pass
        return False
    return True


def test_requests_under_way_are_left_alone_until_nothing_more_is_heard_of_them(
    running: uvicorn.Server, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with saying(port, posting(100), MOST):
        there: set[Any] = running.server_state.connections
        assert eventually(lambda: [each.is_busy for each in there] == [True] * MOST, "all of them to be heard")
        assert post(port).status_code == 503
        assert post(port).headers["Retry-After"] == "1"
        assert alive(port).status_code == 200
        monkeypatch.setattr(connections, "PATIENCE_SECONDS", 0.1)
        assert eventually(lambda: post(port).status_code == 202, "the quietest to go")


def test_a_body_that_does_not_come_holds_its_room_for_a_while_only(
    watch: Daemon, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "BODY_SECONDS", 0.3)
    with saying(port, posting(100), 1) as (stalled,):
        answered = b""
        while b"}" not in answered:
            answered += stalled.recv(10_000)
    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b"expected the whole body within 0.3 s" in answered
    page, _ = watch.metrics.render(None)
    assert 'refused_total{kind="predictions",reason="too_slow"} 1' in (page if isinstance(page, str) else page.decode())
