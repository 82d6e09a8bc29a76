"""PSI by recording rules over two replicas equals the daemon's own, also over restarts, kill -9 and rows that come late."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import yaml

from monitor.config import StorePlace
from monitor.profile import Profile, Reference, comparable, merge, profile_batch
from monitor.records import EventBatch, Window
from monitor.source._values import column
from monitor.source.ingest import IngestSource
from monitor.stats.psi import psi
from monitor.store import ReadStore, open_for_reading, references, schema
from tests.e2e.daemon import Daemon, daemon, demand, eventually, free_port, program, write_config, write_reference

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
RATE = 6.0  # so that a minute at 0 takes ten seconds
START = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
EVERY = "3s"  # instead of 30 s and 5 min
FEATURES = ("temp", "season")
TOTAL = "anchorwatch_feature_bin_total"
EXACT = 1e-6


def write_prometheus(folder: Path, targets: list[str]) -> Path:
    """The shipped rules about bins, evaluated every three seconds; their offset is their interval."""
    shipped = yaml.safe_load((ROOT / "alerts" / "anchorwatch.rules.yml").read_text(encoding="utf-8"))["groups"]
    groups = [group for group in shipped if group["name"].startswith("anchorwatch-bins")]
    assert {group["interval"] for group in groups} == {"30s", "5m"}
    text = yaml.safe_dump({"groups": groups}).replace("30s", EVERY).replace("interval: 5m", f"interval: {EVERY}")
    (folder / "rules.yml").write_text(text, encoding="utf-8")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": EVERY},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "anchorwatch", "static_configs": [{"targets": targets}]}],
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def rows_of(count: int, seed: int, *, first: int = 0, at: float = START - 1800) -> list[dict[str, Any]]:
    """Predictions that have drifted from `write_reference`, some of whose values are missing or of no known kind."""
    draw = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        features: dict[str, Any] = {
            "temp": float(draw.beta(2, 4)),
            "season": str(draw.choice(["summer", "winter"], p=[0.7, 0.3])),
        }
        if draw.random() < 0.05:
            features.pop(str(draw.choice(FEATURES)))
        if draw.random() < 0.03:
            features["season"] = "monsoon"
        stamp = datetime.fromtimestamp(at + float(draw.uniform(0, 1800)), UTC).isoformat()
        about = {"model": "demand", "event_id": f"e{first + place}", "timestamp": stamp, "model_version": "v1"}
        rows.append({**about, "features": features, "prediction": 1.0})
    return rows


@dataclass
class Fleet:
    """Two daemons, each with a store and a copy of the reference of its own, and the Prometheus that scrapes both."""

    daemons: list[Daemon]
    prometheus: str
    sent: list[dict[str, Any]]

    def push(self, place: int, rows: list[dict[str, Any]]) -> None:
        self.daemons[place].push("predictions", rows)
        self.sent += rows

    def ask(self, expr: str) -> dict[str, float]:
        """By feature, the value of an expression that has one for each."""
        found = requests.post(f"{self.prometheus}/api/v1/query", data={"query": expr}, timeout=5).json()["data"][
            "result"
        ]
        assert len({each["metric"]["feature"] for each in found}) == len(found)
        return {each["metric"]["feature"]: float(each["value"][1]) for each in found}

    def rows_seen(self) -> dict[str, float]:
        return self.ask(f"sum by (feature) (sum_over_time(anchorwatch:feature_bin:increase{EVERY}[1h]))")

    def all_seen(self) -> bool:
        return self.rows_seen() == dict.fromkeys(FEATURES, float(len(self.sent)))

    def reference(self, place: int = 0) -> Reference:
        """As a daemon keeps it."""
        with (
            contextlib.closing(kept_by(self.daemons[place])) as store,
            store.read() as connection,
        ):
            (kept,) = connection.execute(schema.references.select()).all()
            found = references.load_reference(connection, kept.model_id, kept.fingerprint)
        assert found is not None
        return found

    def merged(self, known: Callable[[int], Reference]) -> Profile:
        """The profiles of both stores together."""
        parts = []
        for place, each in enumerate(self.daemons):
            with contextlib.closing(kept_by(each)) as store:
                source = IngestSource(store, "bikes", "demand", bucket_seconds=3600)
                window = Window(START - 400 * 86400, START + 86400)
                parts.append(source.profiles(window, lambda _, place=place: known(place))["v1"])
        whole = merge(parts)
        assert whole is not None
        return whole

    def expected(self) -> dict[str, float]:
        """PSI by `monitor.stats.psi`: of all rows that were sent, and, the same, of the profiles of both stores."""
        known = self.reference()
        features, invalid = {}, {}
        for each in known.columns:
            if each.name in FEATURES:
                values = [row["features"].get(each.name) for row in self.sent]
                features[each.name], invalid[each.name] = column(values, each.kind)
        bins = {name: known.bins[name] for name in FEATURES}
        profile = profile_batch(EventBatch("v1", np.zeros(len(self.sent)), features, {}, invalid), bins)
        merged = self.merged(self.reference)
        found = {}
        for name in FEATURES:
            before = comparable(known.profiles[name], bins[name])
            now = comparable(profile.columns[name], bins[name])
            assert comparable(merged.columns[name], bins[name]).tolist() == now.tolist()
            found[name] = float(psi(before, now))
        return found


def kept_by(watch: Daemon) -> ReadStore:
    return open_for_reading(StorePlace(watch.config.parent / "data"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    clock = ["--clock-start", "2026-01-05T00:00:00Z", "--clock-rate", str(RATE), "--clock-origin", str(time.time())]
    with contextlib.ExitStack() as stack:
        daemons = []
        for place, name in enumerate("ab"):
            folder = tmp_path / name
            folder.mkdir()
            write_reference(folder / "reference.parquet")
            os.utime(folder / "reference.parquet", (1e9 + place, 1e9 + place))
            config = write_config(folder, apps=[{"name": "bikes", "models": [demand()]}])
            daemons.append(stack.enter_context(daemon(config, *clock)))
        port = free_port()
        targets = [each.url.removeprefix("http://") for each in daemons]
        path = write_prometheus(tmp_path, targets)
        found = shutil.which("prometheus")
        assert found, "expected prometheus to be installed"
        told = [
            "--web.listen-address",
            f"127.0.0.1:{port}",
            "--storage.tsdb.path",
            tmp_path / "tsdb",
            "--config.file",
            path,
        ]
        stack.enter_context(program("prometheus", [found, *told], tmp_path))
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: len(up(url)) == 2, "Prometheus to scrape both")
        yield Fleet(daemons, url, [])


def up(prometheus: str) -> list[Any]:
    answered = requests.post(f"{prometheus}/api/v1/query", data={"query": "up == 1"}, timeout=5).json()
    return list(answered["data"]["result"])


def test_psi_by_recording_rules_over_two_replicas_is_the_daemon_s_own(fleet: Fleet) -> None:
    rows = rows_of(3000, 1)
    fleet.push(0, rows[::2])
    fleet.push(1, rows[1::2])
    settled(fleet)
    assert min(fleet.expected().values()) > 0.1

    # One is restarted, and is killed while its rows wait: they are counted by the process after it.
    first = fleet.daemons[0]
    assert first.stop(signal.SIGTERM) == 0
    first.start()
    fleet.push(0, rows_of(500, 2, first=3000))
    assert sum(value for _, value in first.samples(TOTAL)) == 0
    first.kill()
    first.start()
    fleet.push(1, rows_of(300, 3, first=3500))
    settled(fleet)

    # Rows that come late, of the year before, to both; some are pushed a second time.
    fleet.push(0, rows_of(400, 4, first=4000, at=START - 300 * 86400))
    fleet.push(1, rows_of(200, 5, first=4400, at=START - 300 * 86400))
    fleet.daemons[1].push("predictions", fleet.sent[-200:])
    settled(fleet)

    # The process's own counters are of what arrived since it started.
    (counted,) = {sum(value for _, value in first.samples(TOTAL, feature=name)) for name in FEATURES}
    assert counted == 900
    references = {labels["reference"] for each in fleet.daemons for labels, _ in each.samples(TOTAL)}
    assert len(references) == 1, "copies of one reference have one name"


def settled(fleet: Fleet) -> None:
    """Wait until Prometheus has seen every row, once; then both of its PSIs are those of all rows."""
    eventually(fleet.all_seen, f"{len(fleet.sent)} rows to be seen", 90)
    expected = fleet.expected()

    def same() -> bool:
        return all(
            fleet.ask(f"anchorwatch:feature_psi:{over}") == pytest.approx(expected, abs=EXACT) for over in ("1h", "1d")
        )

    eventually(same, f"both PSIs to be {expected}", 30)
