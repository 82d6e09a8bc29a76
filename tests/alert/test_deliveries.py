"""The outbox and its receivers: each is told once, whatever becomes of the store, and none holds up another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from monitor.app.deliveries import Deliveries, wait_before
from monitor.config import Config, load
from monitor.metrics import Metrics
from monitor.notify import _wire
from monitor.records import AlertState, ChangeReason, Notification, Severity
from monitor.store import Store, StoreError, watch
from tests.alert.results import NOW, alert
from tests.servers import Server, answer, hang, serving

PATIENCE = 10.0


class RefusingStore(Store):
    """A store whose disk refuses this many of the changes that come next."""

    refusals = 0

    def write(self, change: Callable[..., Any]) -> Any:
        if self.refusals > 0:
            self.refusals -= 1
            raise StoreError("anchorwatch.db: database or disk is full")
        return super().write(change)


def configured(folder: Path, **receivers: str) -> Config:
    path = folder / "anchorwatch.yml"
    listed = [{"name": name, "type": "webhook", "url": url} for name, url in receivers.items()]
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop"}], "alerting": {"receivers": listed}}))
    return load(path).config


def queue(store: Store, key: str, *, target: str = "team") -> None:
    told = Notification(
        key=key,
        at=NOW,
        status="firing",
        name="Drift",
        severity=Severity.WARNING,
        app="shop",
        model="demand",
        reason=ChangeReason.FIRST_BREACH,
        alerts=(alert(AlertState.FIRING),),
        owner="team",
        runbook="",
        url="",
    )
    body = _wire.as_json(told)
    store.write(
        lambda c: watch.add_delivery(
            c, key=key, kind="notification", target=target, subject=key, body=body, now=NOW, real_now=time.time()
        )
    )


@contextmanager
def delivering(store: Store, config: Config, metrics: Metrics) -> Iterator[Deliveries]:
    made = Deliveries(
        store,
        metrics,
        config=lambda: config,
        now=lambda: NOW,
        trigger_settled=lambda *_: [],
        told=lambda _: None,
        mine=lambda: nullcontext(True),
    )
    made.start()
    try:
        yield made
    finally:
        made.stop(patience_seconds=PATIENCE)


def outcomes(store: Store) -> list[tuple[str, str, int]]:
    """Key, state and attempts of every delivery that was settled, in order."""
    with store.read() as connection:
        entries = [entry["data"] for entry in watch.read_ledger(connection) if entry["kind"] == "delivery"]
    return [(entry["key"], entry["state"], entry["attempts"]) for entry in entries]


def await_outcomes(store: Store, count: int, deliveries: Deliveries) -> list[tuple[str, str, int]]:
    until, waiting = time.monotonic() + PATIENCE, threading.Event()
    while len(found := outcomes(store)) < count:
        assert time.monotonic() < until, found
        deliveries.wake()
        waiting.wait(0.02)
    return found


def heard(server: Server) -> list[str]:
    return [seen.headers["webhook-id"] for seen in server.seen]


def counted(metrics: Metrics, name: str, receiver: str = "team") -> float:
    page, _ = metrics.render(None)
    samples = [sample for family in text_string_to_metric_families(page.decode()) for sample in family.samples]
    (value,) = [sample.value for sample in samples if (sample.name, sample.labels) == (name, {"receiver": receiver})]
    return value


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RefusingStore]:
    made = RefusingStore(tmp_path / "data", now=NOW)
    yield made
    made.close()


@pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (404, "failed")])
def test_a_store_that_refuses_writes_makes_a_receiver_hear_nothing_twice(
    store: RefusingStore, tmp_path: Path, status: int, state: str
) -> None:
    """What became of the attempt is kept until the store takes it, and counted once."""
    metrics = Metrics("test")
    with serving(answer(status)) as server:
        config = configured(tmp_path, team=server.url)
        queue(store, "first")
        queue(store, "second")
        store.refusals = 5
        with delivering(store, config, metrics) as deliveries:
            found = await_outcomes(store, 2, deliveries)
        assert store.refusals == 0
        assert sorted(heard(server)) == ["first", "second"]
    assert sorted(found) == [("first", state, 1), ("second", state, 1)]
    assert counted(metrics, "anchorwatch_notification_attempts_total") == 2
    assert counted(metrics, "anchorwatch_notification_failures_total") == (0 if state == "delivered" else 2)


def test_an_attempt_that_is_to_be_made_again_is_after_a_refusal_of_the_store_too(
    store: RefusingStore, tmp_path: Path
) -> None:
    with serving(answer(503), answer(200)) as server:
        config = configured(tmp_path, team=server.url)
        queue(store, "only")
        store.refusals = 3
        with delivering(store, config, Metrics("test")) as deliveries:
            found = await_outcomes(store, 1, deliveries)
        assert heard(server) == ["only", "only"]
    assert found == [("only", "delivered", 2)]


def test_a_receiver_that_hangs_holds_up_no_other_and_takes_one_thread_at_most(
    store: RefusingStore, tmp_path: Path
) -> None:
    with serving(answer(200)) as well:
        with serving(hang) as hung:
            config = configured(tmp_path, hung=hung.url, team=well.url)
            for place in range(6):
                queue(store, f"hung {place}", target="hung")
            for place in range(6):
                queue(store, f"well {place}")
            with delivering(store, config, Metrics("test")) as deliveries:
                found = await_outcomes(store, 6, deliveries)
                assert len(hung.seen) == 1
                hung.stopping.set()
        assert [key for key, _, _ in found] == [f"well {place}" for place in range(6)] == heard(well)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (None, 0.75, 1.25),
        (0.0, 1.0, 1.0),
        (90.0, 90.0, 90.0),
        (3600.0, 3600.0, 3600.0),
        (3601.0, 3600.0, 3600.0),
        (1e18, 3600.0, 3600.0),
    ],
)
def test_a_peer_may_ask_us_to_wait_for_an_hour_and_no_longer(asked: float | None, least: float, most: float) -> None:
    assert least <= wait_before(1, asked) <= most


def test_without_being_asked_the_wait_doubles_up_to_five_minutes() -> None:
    for attempt, expected in ((1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (1000, 300)):
        assert 0.75 * expected <= wait_before(attempt, None) <= 1.25 * expected
