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
from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.schedule import WallClock
from monitor.store import history
from monitor.web import create_app, create_metrics_app


def built(folder: Path, **sections: Any) -> Daemon:
    """A daemon that has not been started."""
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "bikes"}], **sections}, sort_keys=False), encoding="utf-8")
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
        for path in (
            "/metrics",
            "/v1/status",
            "/v1/findings",
            "/v1/alerts",
            "/v1/retrainings",
            "/v1/ledger",
            "/v1/verdicts",
            "/",
        ):
            assert ask("GET", path).status_code == 401, path
            assert ask("GET", path, headers=bearer("guess")).status_code == 401, path
            assert ask("GET", path, headers=bearer("read-token")).status_code == 200, path
        assert ask("GET", "/livez").status_code == 200
        assert ask("POST", "/v1/predictions", json=[], headers=bearer("read-token")).status_code == 403


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip, br", True), ("*", True), ("br, GZIP;q=0.5", True), ("", False), ("br", False), ("gzip;q=0", False), ("*, gzip; q=0.0", False)],
)  # fmt: skip
def test_the_page_is_packed_for_those_who_take_it_so(beyond: Daemon, accepted: str, packed: bool):
    with served(create_metrics_app(beyond)) as ask:
        answer = ask("GET", "/metrics", headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


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


def test_what_groups_of_people_are_called_needs_a_token_also_on_this_machine(tmp_path: Path):
    (tmp_path / "read").write_text("read-token")
    model = {
        "name": "loans",
        "task": "binary",
        "checks": {"fairness": {"protected": ["sex"], "anonymous": True}},
    }
    apps = [{"name": "bank", "models": [model]}]
    with_tokens = {"auth": {"tokens": [{"name": "audit", "role": "read", "token_file": "read"}]}}
    for sections, without, with_token in (({}, 403, 403), ({"auth": "none"}, 403, 403), (with_tokens, 401, 200)):
        folder = tmp_path / f"watch{len(str(sections))}"
        folder.mkdir()
        (folder / "read").write_text("read-token")
        watch = built(folder, apps=apps, **sections)
        result = CheckResult(
            "bank", "loans", "fairness", Verdict.OK, "", Window(0, 1), 0, (), state='{"sex": ["F", "M"]}'
        )
        watch.store.write(lambda c, result=result: history.keep(c, result, 0.0))
        with served(create_app(watch)) as ask:
            assert ask("GET", "/v1/groups").status_code == without
            answer = ask("GET", "/v1/groups", headers=bearer("read-token"))
            assert answer.status_code == with_token
            if with_token == 200:
                assert answer.json() == {"legends": [{"app": "bank", "model": "loans", "groups": {"sex": ["F", "M"]}}]}
        watch.stop()


def test_what_was_said_of_windows_is_read_and_goes_on_from_where_one_was(tmp_path: Path):
    watch = built(tmp_path, apps=[{"name": "bank", "models": [{"name": "loans", "task": "binary"}]}])
    for rows in (1, 2, 3):
        finding = Finding(
            "bank", "performance", "accuracy", Verdict.OK, "", Window(0, 1), model="loans", version="1", rows=rows
        )
        result = CheckResult(
            "bank", "loans", "performance", Verdict.OK, "", Window(0, 1), 0, (finding,), history=(finding,)
        )
        watch.store.write(lambda c, result=result: history.keep(c, result, 0.0))
    with served(create_app(watch)) as ask:
        found = ask("GET", "/v1/verdicts?model=loans").json()["verdicts"]
        assert [each["rows"] for each in found] == [1, 2, 3]
        later = ask("GET", f"/v1/verdicts?after={found[1]['seq']}").json()["verdicts"]
        assert [each["rows"] for each in later] == [3]
        assert ask("GET", "/v1/verdicts?model=other").json() == {"verdicts": []}
        assert ask("GET", "/v1/verdicts?after=x").status_code == 400
    watch.stop()
