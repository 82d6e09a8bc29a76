"""kill -9 under load: what was acknowledged is there once, profiles equal a recount, and the start mends by itself."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from sqlalchemy import select

from monitor.config import load
from monitor.profile import profile_batch
from monitor.records import EventBatch, Window, instant
from monitor.source._values import column
from monitor.source.ingest import IngestSource
from monitor.store import events, open_for_reading
from monitor.store.references import load_reference
from monitor.store.schema import references
from monitor.windows import bucket_seconds
from tests.e2e.daemon import Daemon, command, daemon, demand, eventually, export, write_config, write_reference

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("ANCHORWATCH_KILLS", "8"))
CLIENTS, BATCH = 3, 200
START = instant("2026-01-05T00:00:00Z")
HOURS = 6
READY_SECONDS = 6.0  # of a process that also has to be started, on a machine that has other things to do


class Client(threading.Thread):
    """Pushes batches as fast as they are taken, with late and odd records, and again where no answer came."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.url, self.draw = url, random.Random(seed)
        self.stopped = threading.Event()
        self.sent: dict[str, dict[str, Any]] = {}
        self.acknowledged: set[str] = set()
        self.labelled: set[str] = set()
        self.refused: list[str] = []

    def run(self) -> None:
        with requests.Session() as session:
            while not self.stopped.is_set():
                records = [self._record() for _ in range(BATCH)]
                self.sent |= {record["event_id"]: record for record in records}
                # Some of them twice in one batch, or once more from before.
                extra = self.draw.sample(records, 3) + [self.sent[i] for i in self.draw.sample(sorted(self.sent), 2)]
                labels = [{"model": "demand", "event_id": each["event_id"], "label": 1.0} for each in records[::7]]
                self._push(session, "predictions", records + extra, self.acknowledged)
                self._push(session, "labels", labels, self.labelled)

    def _record(self) -> dict[str, Any]:
        features: dict[str, Any] = {"temp": self.draw.choice([self.draw.random(), None, 7.0]), "season": "summer"}
        if self.draw.random() < 0.1:
            features = {"season": self.draw.choice(["winter", "monsoon", True])}
        return {
            "model": "demand",
            "event_id": str(uuid.UUID(int=self.draw.getrandbits(128))),
            "timestamp": START + self.draw.uniform(0, HOURS * 3600 - 1),
            "model_version": self.draw.choice(["v1", "v1", "v2"]),
            "features": features,
            "prediction": 1.0,
        }

    def _push(self, session: requests.Session, kind: str, part: list[dict[str, Any]], taken: set[str]) -> None:
        while not self.stopped.is_set():
            try:
                answered = session.post(f"{self.url}/v1/{kind}", json=part, timeout=10)
            except requests.RequestException:
                self.stopped.wait(0.02)
                continue
            if answered.status_code == 503:
                self.stopped.wait(0.05)
                continue
            if answered.status_code != 202 or answered.json()["rejected"]:
                self.refused.append(answered.text)
            taken |= {record["event_id"] for record in part}
            return


def kill_again_and_again(watch: Daemon, clients: list[Client]) -> list[float]:
    """Start and kill at random moments of a load; how long each start took."""
    draw, waiting, starts = random.Random(5), threading.Event(), []
    for _ in range(KILLS):
        began = time.monotonic()
        watch.spawn()
        watch.await_ready()
        starts.append(time.monotonic() - began)
        before = sum(len(client.acknowledged) for client in clients)
        eventually(lambda before=before: sum(len(c.acknowledged) for c in clients) > before, "something to be taken")
        waiting.wait(draw.uniform(0.0, 1.2))
        watch.kill()
    return starts


def assert_profiles_equal_a_recount(config: Path, stored: list[dict[str, Any]]) -> None:
    """Every hour's profile of every version, against the rows as they were exported."""
    loaded = load(config)
    (_, model) = loaded.config.models()[0]
    store = open_for_reading(loaded.store)
    with store.read() as connection:
        number = events.find_model(connection, "bikes", "demand")
        assert number is not None
        (key,) = connection.execute(select(references.c.fingerprint).where(references.c.model_id == number)).scalars()
        known = load_reference(connection, number, key)
    assert known is not None
    source = IngestSource(store, "bikes", "demand", bucket_seconds=bucket_seconds(model.windows))
    features = [each for each in known.columns if each.name in ("temp", "season")]
    for hour in range(HOURS):
        window = Window(START + hour * 3600, START + (hour + 1) * 3600)
        found = source.profiles(window, lambda _: known)
        rows = [row for row in stored if window.start <= instant(row["timestamp"]) < window.end]
        assert {version: profile.rows for version, profile in found.items()} == Counter(
            r["model_version"] for r in rows
        )
        for version, profile in found.items():
            mine = [row for row in rows if row["model_version"] == version]
            values, absent, invalid = {}, {}, {}
            for each in features:
                held = [row["features"].get(each.name) for row in mine]
                values[each.name], invalid[each.name] = column(held, each.kind)
                absent[each.name] = sum(each.name not in row["features"] for row in mine)
            times = np.array([instant(row["timestamp"]) for row in mine])
            bins = {each.name: known.bins[each.name] for each in features}
            again = profile_batch(EventBatch(version, times, values, absent, invalid), bins)
            for name, counted in again.columns.items():
                kept = profile.columns[name]
                assert kept.counts.tolist() == counted.counts.tolist()
                assert (kept.missing, kept.absent, kept.unseen) == (counted.missing, counted.absent, counted.unseen)
    store.close()


def test_nothing_acknowledged_is_lost_or_doubled_and_profiles_equal_a_recount(tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.parquet")
    model = demand(windows={"size": "1h", "lateness": "0s"}, checks={"drift": {}})
    config = write_config(tmp_path, apps=[{"name": "bikes", "models": [model]}])
    with daemon(config, start=False) as watch:
        clients = [Client(watch.url, seed) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        starts = kill_again_and_again(watch, clients)
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join(15)
        watch.start()
        assert watch.stop() == 0
    assert max(starts) < READY_SECONDS, starts
    acknowledged = set().union(*(client.acknowledged for client in clients))
    sent = {name: record for client in clients for name, record in client.sent.items()}
    assert [client.refused for client in clients] == [[]] * CLIENTS
    stored = export(config)
    counted = Counter(row["event_id"] for row in stored)
    assert set(counted.values()) == {1}
    assert acknowledged <= set(counted) <= set(sent)
    for row in stored:
        assert row["features"] == sent[row["event_id"]]["features"]
    labelled = set().union(*(client.labelled for client in clients))
    assert labelled <= {row["event_id"] for row in stored if "label" in row}
    assert_profiles_equal_a_recount(config, stored)
    sound = command("store", "check", "-c", config, seconds=120)
    assert (sound.returncode, sound.stdout) == (0, "the store is sound\n"), sound.stdout
    print(json.dumps({"kills": KILLS, "acknowledged": len(acknowledged), "starts": sorted(starts)}))
