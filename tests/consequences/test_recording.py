"""What follows from results: alerts under another evaluator, retrainings that run out of time, a store that refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alert.rules import RULES
from monitor.app.jobs import Results
from monitor.app.leases import Leases
from monitor.config import load
from monitor.consequences.recording import Recorder
from monitor.metrics import Metrics
from monitor.records import AlertState, CheckResult, Finding, Verdict, Window
from monitor.store import Store, StoreError, watch

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store(tmp_path / "data", now=clock.now())
    yield opened
    opened.close()


MakeRecorder = Callable[..., Recorder]


@pytest.fixture
def recorder(tmp_path: Path, clock: Clock) -> MakeRecorder:
    def make(evaluator: str = "builtin") -> Recorder:
        guards = {"min_labels": 0, "cooldown": "0s", "per_day": 99}
        retraining = {
            "evidence": {"windows": 1},
            "guards": guards,
            "trigger": {"type": "webhook", "url": "http://127.0.0.1:9/"},
            "follow": {"timeout": "1h"},
        }
        model = {
            "name": "demand",
            "task": "regression",
            "windows": {"size": "1h", "lateness": "0s"},
            "labels": {"type": "ingest", "mature": "1h"},
            "checks": {"performance": {"thresholds": {"mae": 5}}},
            "retraining": retraining,
        }
        config = {
            "store": {"ephemeral": True},
            "apps": [{"name": "shop", "models": [model]}],
            "alerting": {"evaluator": evaluator},
        }
        path = tmp_path / "anchorwatch.yml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return Recorder(load(path), RULES, now=clock.now, store_created=0.0, url="")

    return make


def performance(clock: Clock, verdict: Verdict, version: str = "v1") -> CheckResult:
    window = Window(clock.now() - HOUR, clock.now())
    finding = Finding(
        "shop",
        "performance",
        "mae",
        verdict,
        "",
        window,
        model="demand",
        version=version,
        value=9.0,
        threshold=5.0,
        rows=500,
    )
    return CheckResult("shop", "demand", "performance", verdict, "", window, 500, (finding,), (version,))


def states(store: Store) -> list[str]:
    with store.read() as connection:
        return [row.state for row in watch.all_retrainings(connection)]


def outbox(store: Store, real_now: float) -> list[str]:
    with store.read() as connection:
        return [item.kind for item in watch.due_deliveries(connection, real_now=real_now)]


def record(store: Store, made: Recorder, result: CheckResult) -> Any:
    return store.write(lambda connection: made.record(connection, result))


def test_a_trigger_that_was_down_never_hears_of_a_retraining_that_timed_out(
    store: Store, clock: Clock, recorder: MakeRecorder
) -> None:
    """One at a time holds also for requests that nobody has taken."""
    made = recorder()
    record(store, made, performance(clock, Verdict.BREACHED))
    assert states(store) == ["requested"]
    assert outbox(store, 1e12) == ["trigger"]
    clock.time += 2 * HOUR
    store.write(made.tick)
    assert states(store) == ["timed_out"]
    assert outbox(store, 1e12) == []


def test_a_new_version_that_nobody_can_judge_ends_in_time(store: Store, clock: Clock, recorder: MakeRecorder) -> None:
    made = recorder()
    record(store, made, performance(clock, Verdict.BREACHED))
    clock.time += 60
    seen = made.retrainings.version_seen
    store.write(lambda connection: seen(connection, "shop", "demand", "v2", clock.now()))
    assert states(store) == ["deployed"]
    clock.time += 2 * HOUR
    store.write(made.tick)
    assert states(store) == ["deployed"], "its labels have not had the time to mature"
    clock.time += 24 * HOUR
    store.write(made.tick)
    assert states(store) == ["timed_out"]
    with store.read() as connection:
        [row] = watch.all_retrainings(connection)
    assert row.reason == "the new version was not judged in time"


def test_a_new_version_that_is_breached_for_as_long_as_evidence_takes_was_no_cure(
    store: Store, clock: Clock, recorder: MakeRecorder
) -> None:
    """Evidence is one window here."""
    made = recorder()
    record(store, made, performance(clock, Verdict.BREACHED))
    store.write(lambda c: made.retrainings.version_seen(c, "shop", "demand", "v2", clock.now()))
    clock.time += HOUR
    record(store, made, performance(clock, Verdict.BREACHED, "v2"))
    assert states(store)[-1] == "not_recovered"


def test_our_alerts_end_where_prometheus_evaluates_from_now_on(
    store: Store, clock: Clock, recorder: MakeRecorder
) -> None:
    """Nobody would ever end them."""
    record(store, recorder(), performance(clock, Verdict.BREACHED))
    with store.read() as connection:
        assert [alert.state for alert, _ in watch.alert_counts(connection)] == [AlertState.FIRING]
    store.write(recorder("prometheus").retire)
    with store.read() as connection:
        assert watch.alert_counts(connection) == []
        assert watch.load_result(connection, "shop", "demand", "performance") is not None, "the check itself goes on"


class _Refusing(Store):
    refuses = False

    def submit(self, change: Any) -> Future[Any]:
        if self.refuses:
            raise StoreError("database or disk is full")
        return super().submit(change)


def test_a_result_that_cannot_be_kept_shows_as_an_error_and_not_as_the_last_ok(
    tmp_path: Path, clock: Clock, recorder: MakeRecorder
) -> None:
    store, metrics = _Refusing(tmp_path / "full", now=clock.now()), Metrics("0")
    results = Results(
        store, metrics, recorder(), now=clock.now, changed=lambda _: None, leases=Leases(store, changed=lambda *_: None)
    )
    results.take(performance(clock, Verdict.OK), 0.1)
    assert b'anchorwatch_check_state{app="shop",check="performance",model="demand",state="ok"} 1.0' in _page(metrics)
    store.refuses = True
    results.take(performance(clock, Verdict.OK), 0.1)
    assert b'anchorwatch_check_state{app="shop",check="performance",model="demand",state="error"} 1.0' in _page(metrics)
    store.close()


def _page(metrics: Metrics) -> bytes:
    return metrics.render("text/plain")[0]
