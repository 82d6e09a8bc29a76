"""Who comes in: while the daemon starts and stops, and from beyond this machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
import yaml
from starlette.applications import Starlette

from monitor.app.daemon import Daemon
from monitor.config import load
from monitor.schedule import WallClock
from monitor.web import create_app, create_metrics_app


def built(folder: Path, **sections: Any) -> Daemon:
    """A daemon that has not been started."""
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "bikes"}], **sections}), encoding="utf-8")
    return Daemon(load(path), clock=WallClock())


Ask = Callable[..., requests.Response]


@contextlib.contextmanager
def served(app: Starlette) -> Iterator[Ask]:
    """The application on a free port; asked by method and path."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            yield lambda method, path, **more: requests.request(method, base + path, timeout=10, **more)
        finally:
            server.should_exit = True
            thread.join(10)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_it_is_alive_at_once_and_ready_only_between_its_start_and_its_stop(tmp_path: Path):
    watch = built(tmp_path)
    with served(create_app(watch)) as whole, served(create_metrics_app(watch)) as other:

        def alive_and_ready() -> list[tuple[int, int]]:
            return [(ask("GET", "/livez").status_code, ask("GET", "/readyz").status_code) for ask in (whole, other)]

        assert alive_and_ready() == [(200, 503), (200, 503)]
        watch.start()
        assert alive_and_ready() == [(200, 200), (200, 200)]
        watch.stop()
        assert alive_and_ready() == [(200, 503), (200, 503)]


@pytest.fixture
def beyond(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "read").write_text("read-token")
    tokens = [{"name": "grafana", "role": "read", "token_file": "read"}]
    watch = built(tmp_path, listen="0.0.0.0:9877", auth={"tokens": tokens})
    yield watch
    watch.stop()


def test_beyond_loopback_reading_needs_a_token_and_the_probes_none(beyond: Daemon):
    with served(create_app(beyond)) as ask:
        for path in ("/metrics", "/v1/status", "/v1/findings", "/v1/alerts", "/v1/retrainings", "/v1/ledger", "/"):
            assert ask("GET", path).status_code == 401, path
            assert ask("GET", path, headers=bearer("guess")).status_code == 401, path
            assert ask("GET", path, headers=bearer("read-token")).status_code == 200, path
        assert ask("GET", "/livez").status_code == 200
        assert ask("POST", "/v1/predictions", json=[], headers=bearer("read-token")).status_code == 403


def test_the_address_for_metrics_asks_for_no_token_and_has_nothing_else(beyond: Daemon):
    with served(create_metrics_app(beyond)) as ask:
        assert ask("GET", "/metrics").status_code == 200
        assert ask("GET", "/v1/status").status_code == 404


def test_auth_none_said_aloud_opens_it_and_still_not_to_web_pages(tmp_path: Path):
    watch = built(tmp_path, listen="0.0.0.0:9877", auth="none")
    with served(create_app(watch)) as ask:
        assert ask("GET", "/v1/status").status_code == 200
        assert ask("POST", "/v1/predictions", json=[], headers={"Host": "watch.example.org"}).status_code == 202
        refused = ask("POST", "/v1/predictions", json=[], headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
    watch.stop()
