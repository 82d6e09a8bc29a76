"""kill -9 at any moment neither loses nor doubles: not what was acknowledged, not an alert, not a delivery."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.daemon import Daemon, daemon, demand, eventually, export, labels_of, predictions, write_config
from tests.servers import Handler, Seen, answer, cut, serving

KILLS = 25
BATCH = 25
PROBES = 6  # each with an alert and deliveries of its own, so that most moments are in the middle of something


class Client(threading.Thread):
    """Pushes predictions and their labels, sometimes labels first, and notes what was acknowledged."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.url, self.draw = url, random.Random(seed)
        self.stopped = threading.Event()
        self.sent: set[str] = set()
        self.acknowledged: dict[str, set[str]] = {"predictions": set(), "labels": set()}
        self.refused: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            records = predictions(BATCH, "2026-01-05T00:00:00Z", first=number)
            number += BATCH
            self.sent |= {record["event_id"] for record in records}
            parts = [("predictions", records), ("labels", labels_of(records, error=3))]
            if self.draw.random() < 0.3:
                parts.reverse()
            for kind, part in parts:
                self._push(kind, part)

    def _push(self, kind: str, part: list[dict[str, Any]]) -> None:
        """Push once, and sometimes again where no answer came, as a client does that does not know."""
        while not self.stopped.is_set():
            try:
                answered = requests.post(f"{self.url}/v1/{kind}", json=part, timeout=10)
            except requests.RequestException:
                if self.draw.random() < 0.1:
                    return
                self.stopped.wait(0.02)
                continue
            if answered.status_code != 202 or answered.json()["accepted"] != BATCH:
                self.refused.append(answered.text)
            self.acknowledged[kind] |= {record["event_id"] for record in part}
            return


class Flicker(threading.Thread):
    """Lets the application be well and unwell in turn."""

    def __init__(self, seed: int) -> None:
        super().__init__(daemon=True)
        self.draw, self.stopped, self.well = random.Random(seed), threading.Event(), True

    def run(self) -> None:
        while not self.stopped.wait(self.draw.uniform(0.2, 0.9)):
            self.well = not self.well

    def behave(self, handler: Handler) -> None:
        answer(200 if self.well else 500)(handler)


class Moody:
    """A receiver that takes most deliveries, fails some, and hangs up on others after it has read them."""

    def __init__(self, seed: int) -> None:
        self.draw, self.lock, self.kind = random.Random(seed), threading.Lock(), False

    def behave(self, handler: Handler) -> None:
        with self.lock:
            mood = 1.0 if self.kind else self.draw.random()
        if mood < 0.15:
            answer(500)(handler)
        elif mood < 0.3:
            cut(handler)
        else:
            answer(200)(handler)


def kill_again_and_again(watch: Daemon, seed: int) -> int:
    """Start and kill, during the start or after it; how often it had become ready."""
    draw, waiting, ready = random.Random(seed), threading.Event(), 0
    for _ in range(KILLS):
        watch.spawn()
        if draw.random() < 0.2:
            waiting.wait(draw.uniform(0.0, 0.9))
        else:
            watch.await_ready()
            ready += 1
            waiting.wait(draw.uniform(0.0, 1.0))
        assert watch.process is not None
        assert watch.process.poll() is None, f"it ended by itself:\n{watch.said()[-4000:]}"
        watch.kill()
    return ready


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_five_kills_at_random_moments_lose_nothing_and_double_nothing(tmp_path: Path):
    flicker, moody = Flicker(2), Moody(3)
    with serving(flicker.behave) as target, serving(moody.behave) as receiver:
        common = {"type": "http", "url": target.url, "every": "100ms", "timeout": "1s"}
        probes = [{**common, "name": f"probe-{number}"} for number in range(PROBES)]
        config = write_config(
            tmp_path,
            apps=[{"name": "bikes", "probes": probes, "models": [demand(reference=None)]}],
            alerting={
                "receivers": [{"name": "pager", "type": "webhook", "url": receiver.url, "timeout": "5s"}],
                "rules": {"AppDown": {"for": "0s"}},
            },
        )
        with daemon(config, start=False) as watch:
            client = Client(watch.url, 4)
            client.start()
            flicker.start()
            ready = kill_again_and_again(watch, 1)
            for thread in (client, flicker):
                thread.stopped.set()
                thread.join(15)
            moody.kind = flicker.well = True
            watch.start()
            eventually(lambda: not firing_or_waiting(watch), "every alert to end and every delivery to be made", 90)
            entries = watch.ledger()
            assert watch.stop() == 0
        stored = export(config)
    assert ready > KILLS / 2
    assert client.refused == []
    hold_what_was_acknowledged(client, stored)
    hold_alerts_and_deliveries(config.parent / "data" / "anchorwatch.db", entries, receiver.seen)


def firing_or_waiting(watch: Daemon) -> bool:
    last = {entry["data"]["fingerprint"]: entry["data"]["state"] for entry in watch.ledger("alert") if is_down(entry)}
    return "firing" in last.values() or watch.value("anchorwatch_notification_queue_length", receiver="pager") != 0


def is_down(entry: dict[str, Any]) -> bool:
    return entry["kind"] == "alert" and entry["data"]["name"] == "AppDown"


def hold_what_was_acknowledged(client: Client, stored: list[dict[str, Any]]) -> None:
    """Each acknowledged record is stored once, as it was sent; nothing is stored that was not sent."""
    ids = [row["event_id"] for row in stored]
    assert len(client.acknowledged["predictions"]) > 1000
    assert len(ids) == len(set(ids))
    assert client.acknowledged["predictions"] <= set(ids) <= client.sent
    for row in stored:
        if row["event_id"] in client.acknowledged["labels"]:
            assert row["label"] == 103.0
        assert row["prediction"] == 100.0


def hold_alerts_and_deliveries(store: Path, entries: list[dict[str, Any]], arrived: list[Seen]) -> None:
    """Firing and resolved alternate; each such change has one delivery, which has arrived at least once, unchanged."""
    changes = [entry for entry in entries if is_down(entry)]
    by_probe: dict[str, list[str]] = {}
    for entry in changes:
        by_probe.setdefault(entry["data"]["labels"]["probe"], []).append(entry["data"]["state"])
    assert len(by_probe) == PROBES
    for states in by_probe.values():
        assert len(states) >= 10
        assert states == ["firing", "resolved"] * (len(states) // 2)
    with sqlite3.connect(store) as connection:
        queued = dict(connection.execute("SELECT key, state FROM outbox WHERE kind = 'notification'").fetchall())
    assert set(queued.values()) == {"delivered"}
    told = Counter(entry["data"]["key"] for entry in entries if entry["kind"] == "delivery")
    assert told == Counter(queued.keys())
    bodies: dict[str, set[bytes]] = {}
    for seen in arrived:
        bodies.setdefault(seen.headers["webhook-id"], set()).add(seen.body)
    assert set(bodies) == set(queued)
    changed = {key: different for key, different in bodies.items() if len(different) > 1}
    assert not changed, "one id, one body"
    said = Counter()
    for seen in {seen.headers["webhook-id"]: seen for seen in arrived}.values():
        [alert] = seen.json()["data"]["alerts"]
        at = alert["started_at"] if alert["state"] == "firing" else alert["resolved_at"]
        said[alert["fingerprint"], alert["state"], at] += 1
    assert said == Counter((entry["data"]["fingerprint"], entry["data"]["state"], entry["at"]) for entry in changes)
    assert len(arrived) > len(queued), "the receiver has never failed, so nothing was tried twice"
