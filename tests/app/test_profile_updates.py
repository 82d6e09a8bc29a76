"""Profiles are fed as predictions come in: lightly, by one at a time, and without reading a reference."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, select
from sqlalchemy import event as sql_event

from monitor.alert.rules import RULES
from monitor.app._bins import HELD_SECONDS, TOTAL, BinCounters
from monitor.app._profiles import ProfileUpdates
from monitor.app.jobs import Results
from monitor.app.leases import Leases
from monitor.check import References
from monitor.config import Loaded, StorePlace, load
from monitor.consequences.exposition import expose_judgement
from monitor.consequences.recording import Recorder
from monitor.metrics import Metrics
from monitor.profile import Reference
from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.source import SourceError
from monitor.source._open import open_events
from monitor.source._reference import read_reference
from monitor.store import Store, events, schema
from monitor.store.events import NewEvent
from tests.e2e.daemon import demand, write_reference

NOW = 1_600_000_000.0


@dataclass
class Watch:
    """One model on a store of its own, as a daemon has it, on a clock that stands still."""

    folder: Path
    store: Store
    metrics: Metrics
    bins: BinCounters
    clock: list[float]

    def loaded(self, **sections: Any) -> Loaded:
        path = self.folder / "anchorwatch.yml"
        path.write_text(
            yaml.safe_dump({"apps": [{"name": "bikes", "models": [demand()]}], **sections}), encoding="utf-8"
        )
        return load(path)

    def updates(self, **sections: Any) -> ProfileUpdates:
        loaded = self.loaded(**sections)
        leases = Leases(self.store, changed=lambda *_: None)
        recorder = Recorder(loaded, RULES, now=self.now, store_created=NOW, url="")
        results = Results(
            self.store, self.metrics, recorder, now=self.now, changed=lambda _: None, leases=leases
        )  # fmt: skip
        return ProfileUpdates("bikes", loaded.config.models()[0][1], loaded, results, self.bins)

    def now(self) -> float:
        return self.clock[0]

    def read(self, version: str) -> Reference | None:
        """Read the reference of a version, as the judgement does in a process of its own."""
        loaded = self.loaded()
        model = loaded.config.models()[0][1]
        source = open_events("bikes", model, loaded.directory, StorePlace(self.folder / "data"))
        return read_reference(model, version, loaded.directory, source, now=NOW)

    def push(self, *names: str, version: str = "v1") -> None:
        rows = [NewEvent(name, NOW, version, {"temp": 0.5, "season": "summer"}, 1.0) for name in names]
        self.store.write(lambda c: events.add_events(c, "bikes", "demand", rows, received=NOW))

    def counted(self) -> dict[str, float]:
        """Rows on the page, by version."""
        found: dict[str, float] = {}
        for family in self.metrics.collect():
            for each in family.samples:
                if each.name == TOTAL and each.labels["feature"] == "temp":
                    found[each.labels["version"]] = found.get(each.labels["version"], 0.0) + each.value
        return found

    def cursors(self) -> list[int]:
        with self.store.read() as connection:
            return sorted(connection.execute(select(schema.cursors.c.seq)).scalars())


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    write_reference(tmp_path / "reference.parquet")
    store, metrics, clock = Store(StorePlace(tmp_path / "data"), now=NOW), Metrics("0"), [NOW]
    bins = BinCounters(metrics, "bikes", "demand", now=lambda: clock[0])
    yield Watch(tmp_path, store, metrics, bins, clock)
    store.close()


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """What is asked of databases from here on, without beginnings and ends."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            asked.append(statement)

    sql_event.listen(Engine, "before_cursor_execute", note)
    yield asked
    sql_event.remove(Engine, "before_cursor_execute", note)


def test_rows_are_fed_and_counted_between_looks(watch: Watch) -> None:
    updates = watch.updates()
    watch.push("a")
    updates.catch_up(References(watch.read), now=NOW)
    watch.push("b", "c")
    updates.run()
    assert watch.cursors() == [0, 3]
    assert watch.counted() == {"v1": 0}
    watch.clock[0] += HELD_SECONDS
    updates.run()
    assert watch.cursors() == [3, 3]
    assert watch.counted() == {"v1": 3}
    watch.push("late")
    updates.run()
    assert watch.counted() == {"v1": 4}


def test_a_run_for_which_nothing_came_is_one_query(watch: Watch, statements: list[str]) -> None:
    updates = watch.updates()
    watch.push("a")
    updates.catch_up(References(watch.read), now=NOW)
    watch.clock[0] += HELD_SECONDS
    updates.run()
    statements.clear()
    updates.run()
    assert len(statements) == 1


def test_feeding_reads_no_reference_and_a_version_without_one_waits(watch: Watch) -> None:
    updates = watch.updates()
    watch.push("a")
    updates.run()
    assert watch.cursors() == []
    updates.read_references(watch.read)
    updates.run()
    assert watch.cursors() == [0, 1]


def test_a_reference_that_cannot_be_read_is_tried_once_between_two_looks(watch: Watch) -> None:
    tried: list[str] = []

    def fail(version: str) -> Reference | None:
        tried.append(version)
        raise SourceError("it is gone")

    updates = watch.updates()
    watch.push("a")
    for _ in range(3):
        updates.run()
        updates.read_references(fail)
    assert tried == ["v1"]
    updates.catch_up(References(fail), now=NOW)
    updates.run()
    updates.read_references(fail)
    assert tried == ["v1"] * 3  # the look, and once after it


def test_a_reference_that_the_store_keeps_is_known_from_the_start(watch: Watch) -> None:
    from monitor.store.references import save_reference

    watch.push("a")
    known = watch.read("v1")
    assert known is not None
    watch.store.write(lambda c: save_reference(c, 1, known, NOW))
    updates = watch.updates()
    updates.run()
    assert watch.counted() == {"v1": 0}
    watch.push("b", version="v2")
    updates.run()
    assert watch.counted() == {"v1": 0, "v2": 0}, "one reference for both"


def test_the_job_leaves_a_model_alone_while_it_is_being_judged(watch: Watch) -> None:
    updates, reading, go_on = watch.updates(), threading.Event(), threading.Event()
    watch.push("a")

    def slowly(version: str) -> Reference | None:
        reading.set()
        assert go_on.wait(20)
        return watch.read(version)

    look = threading.Thread(target=updates.catch_up, args=(References(slowly),), kwargs={"now": NOW})
    look.start()
    assert reading.wait(20)
    updates.run()  # comes back at once
    assert watch.cursors() == []
    go_on.set()
    look.join(20)
    assert watch.cursors() == [0, 1]


def test_once_closed_nothing_is_fed(watch: Watch) -> None:
    updates = watch.updates()
    watch.push("a")
    updates.catch_up(References(watch.read), now=NOW)
    updates.close()
    watch.push("b")
    updates.run()
    updates.catch_up(References(watch.read), now=NOW)
    assert watch.cursors() == [0, 1]


def test_switched_off_by_a_reload_and_on_again_the_counters_go_and_begin_anew(watch: Watch) -> None:
    first = watch.updates()
    watch.push("a")
    first.catch_up(References(watch.read), now=NOW)
    watch.clock[0] += HELD_SECONDS
    first.run()
    assert watch.counted() == {"v1": 1}
    first.close()
    off = watch.updates(metrics={"bins": False})
    watch.push("b")
    off.catch_up(References(watch.read), now=NOW)
    assert watch.counted() == {}
    off.close()
    again = watch.updates()
    watch.push("c")
    again.catch_up(References(watch.read), now=NOW)
    watch.clock[0] += HELD_SECONDS
    again.run()
    assert watch.counted() == {"v1": 1}, "what came while nobody counted is not counted"


def test_a_reload_that_changes_nothing_loses_no_count(watch: Watch) -> None:
    first = watch.updates()
    watch.push("a")
    first.catch_up(References(watch.read), now=NOW)
    watch.clock[0] += HELD_SECONDS
    first.run()
    first.close()
    second = watch.updates()
    watch.push("b")
    second.catch_up(References(watch.read), now=NOW)
    assert watch.counted() == {"v1": 2}


@pytest.mark.parametrize(("limit", "omitted"), [(1, 1), (2, 0)])
def test_the_features_left_out_are_counted_and_are_the_same_everywhere(watch: Watch, limit: int, omitted: int) -> None:
    updates = watch.updates(metrics={"features": limit})
    watch.push("a")
    updates.catch_up(References(watch.read), now=NOW)
    judged = [_judged("season", "temp")]
    model = updates.model.replace(checks={"drift": updates.model.checks["drift"]})
    expose_judgement(watch.metrics, "bikes", model, judged, features=limit, counted=updates.features)
    shown = {each.labels.get("feature") for family in watch.metrics.collect() for each in family.samples} - {None}
    samples = {e.name: e.value for family in watch.metrics.collect() for e in family.samples if "omitted" in e.name}
    assert shown == set(list(updates.features)[:limit])
    assert samples["anchorwatch_feature_series_omitted"] == omitted


def _judged(*features: str) -> CheckResult:
    window = Window(NOW - 3600, NOW)
    findings = tuple(
        Finding(
            "bikes",
            "drift",
            "psi",
            Verdict.OK,
            "",
            window,
            model="demand",
            version="v1",
            feature=name,
            value=0.1,
            threshold=0.2,
        )
        for name in features
    )
    return CheckResult("bikes", "demand", "drift", Verdict.OK, "", window, 1, findings, ("v1",))


def test_a_disk_that_refuses_is_told_of_once(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    updates = watch.updates()
    watch.push("a")
    updates.catch_up(References(watch.read), now=NOW)
    watch.push("b")
    watch.store.close()
    for _ in range(3):
        updates.run()
    assert [record.message for record in caplog.records] == ["profiles not fed"]
