"""What an app logs is what the real daemon keeps: each record once, whatever happens between the two."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from monitor.client import Client, Limits, WsgiMiddleware
from tests.client.stand_in import QUICK, await_stats
from tests.client.test_wsgi import answering, wsgi
from tests.e2e.daemon import Daemon, command, daemon, demand, eventually, write_config, write_reference

pytestmark = pytest.mark.slow


def config(folder: Path, **sections: Any) -> Path:
    write_reference(folder / "reference.parquet")
    apps = [{"name": "shop", "models": [demand()]}, {"name": "mall", "models": [demand()]}]
    return write_config(folder, apps=apps, **sections)


def kept(watch: Daemon) -> dict[str, dict[str, Any]]:
    """The daemon's own records by event id, once it has ended."""
    assert watch.stop() == 0
    ended = command("store", "export", "-c", watch.config, "--app", "shop", "--model", "demand", "--format", "ndjson")
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    ids = Counter(row["event_id"] for row in rows)
    assert not [event_id for event_id, count in ids.items() if count > 1]
    return {row["event_id"]: row for row in rows}


def test_everything_logged_is_kept_once_and_as_it_was(tmp_path: Path) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    with daemon(config(tmp_path)) as watch:
        with Client(watch.url, app="shop") as client:
            for number in range(2500):
                features = {"temp": np.float32(0.5), "season": np.str_("winter")}
                client.log_prediction(
                    "demand", number, features, Decimal("1.5"), model_version="v1", timestamp=noon, latency_seconds=0.01
                )
                client.log_label("demand", number, np.int64(2))
            client.log_prediction("demand", "unheard of", {"temp": float("nan"), "season": None}, 1, app="nobody")
            client.log_prediction("stranger", "unknown model", {}, 1)
            assert client.flush(30)
        stats = client.stats()
        rows = kept(watch)
    assert stats.accepted == 5000
    assert sum(stats.rejected.values()) == 2
    assert all(reason.startswith(("app: expected", "model: expected")) for reason in stats.rejected)
    assert len(rows) == 2500
    assert rows["7"] == {
        **rows["7"],
        "features": {"temp": 0.5, "season": "winter"},
        "prediction": 1.5,
        "label": 2,
        "model_version": "v1",
    }
    assert datetime.fromisoformat(rows["7"]["timestamp"]) == noon


def test_a_daemon_that_is_killed_again_and_again_gets_each_record_once(tmp_path: Path) -> None:
    """What was under way at its death is sent again, and known by its id."""
    path = config(tmp_path)
    with daemon(path) as watch, Client(watch.url, app="shop", limits=QUICK._replace(batch_records=50)) as client:
        for life in range(3):
            for number in range(400):
                client.log_prediction("demand", f"{life}-{number}", {"temp": 0.5, "season": "winter"}, 1.0)
            eventually(lambda done=life: client.stats().accepted > done * 400 + 50, "some of them", step=0.001)
            watch.kill()
            watch.start()
        await_stats(client, accepted=1200, waiting=0)
        assert client.stats().dropped == {}
        rows = kept(watch)
    assert set(rows) == {f"{life}-{number}" for life in range(3) for number in range(400)}


def test_records_from_before_the_daemons_start_arrive_when_it_has_started(tmp_path: Path) -> None:
    path = config(tmp_path)
    with daemon(path, start=False) as watch, Client(watch.url, app="mall", limits=QUICK) as client:
        client.log_prediction("demand", "early", {"temp": 0.5, "season": "winter"}, 1.0)
        eventually(lambda: client.stats().retries > 1, "attempts in vain", step=0.01)
        watch.start()
        await_stats(client, accepted=1)


def test_a_token_of_the_daemons_lets_records_in_and_another_does_not(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("anchor" * 8)
    path = config(tmp_path, auth={"tokens": [{"name": "shop", "role": "ingest", "token_file": str(token)}]})
    with daemon(path) as watch:
        for given, expected in [({"token_file": token}, (1, {})), ({"token": "wrong"}, (0, {"refused": 1}))]:
            with Client(watch.url, app="shop", limits=QUICK, **given) as client:
                client.log_prediction("demand", str(given), {"temp": 0.5, "season": "winter"}, 1.0)
                assert client.flush(30)
            assert (client.stats().accepted, client.stats().dropped) == expected


@pytest.mark.parametrize(
    "odd",
    [10**400, float("inf"), "\ud800", [1.0, None], {"a": {"b": 1}}, "x" * 100_000, -0.0, 2**64],
    ids=lambda odd: repr(odd)[:20],
)
def test_an_odd_record_spoils_none_beside_it(odd: Any, watched: Daemon) -> None:
    with Client(watched.url, app="shop", limits=Limits(delay_seconds=60)) as client:
        for event_id in ("before", "after"):
            client.log_prediction("demand", f"{event_id} {odd!r:.20}", {"temp": 0.5, "season": "winter"}, 1.0)
        client.log_prediction("demand", f"odd {odd!r:.20}", {"temp": odd, "season": "winter"}, 1.0)
        assert client.flush(30)
        stats = client.stats()
    assert stats.accepted >= 2
    assert stats.accepted + sum(stats.rejected.values()) + sum(stats.dropped.values()) == 3
    assert "refused" not in stats.dropped


def test_the_daemon_takes_compressed_bodies(watched: Daemon) -> None:
    with Client(watched.url, app="shop", limits=Limits(gzip_above_bytes=0)) as client:
        for number in range(600):
            client.log_prediction("demand", f"compressed {number}", {"temp": 0.5, "season": "winter"}, 1.0)
        assert client.flush(30)
    assert client.stats().accepted == 600


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    with daemon(config(tmp_path_factory.mktemp("odd"))) as watch:
        yield watch


def test_the_page_of_a_real_app_is_judged_by_the_real_daemon(tmp_path: Path) -> None:
    """Requests, errors and latency reach the daemon's metrics from an app that has served nothing but the middleware's page."""
    with wsgi(WsgiMiddleware(answering(lambda: [b"ok"]))) as app:
        scrape = {"url": f"{app}/metrics", "requests": "http_requests_total", "errors": 'http_requests_total{status=~"5.."}',
                  "latency": "http_request_duration_seconds", "every": "1s"}  # fmt: skip
        path = write_config(tmp_path, apps=[{"name": "shop", "scrape": scrape}])
        with daemon(path) as watch:

            def served() -> bool:
                requests.get(app, timeout=5)
                return bool(watch.value("anchorwatch_app_requests_per_second", app="shop"))

            eventually(served, "a rate")
            assert watch.value("anchorwatch_app_error_ratio", app="shop") == 0
            assert watch.value("anchorwatch_app_latency_seconds", app="shop", percentile="50")
