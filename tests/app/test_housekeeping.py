"""What is past its time goes, what is too much goes first, and what has been judged leaves a sample, all of it counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alert.rules import RULES
from monitor.app._bins import BinCounters
from monitor.app._profiles import ProfileUpdates
from monitor.app.jobs import Housekeeping, Results
from monitor.app.leases import WATCH, Leases, unit_of
from monitor.check import References
from monitor.config import StorePlace, load
from monitor.consequences.recording import Recorder
from monitor.metrics import Metrics
from monitor.options import Secret
from monitor.records import Window
from monitor.source._open import open_events
from monitor.source._reference import read_reference
from monitor.store import Store, events, ids, reading
from monitor.store.events import NewEvent
from tests.e2e.daemon import demand, eventually, write_reference
from tests.servers import postgresql

NOW, HOUR, DAY = 1_600_000_000.0, 3600.0, 86400.0
ABOUT = {"app": "bikes", "model": "demand"}


@dataclass
class Watch:
    """One model in one store, on a clock that is set by hand."""

    folder: Path
    store: Store
    metrics: Metrics
    clock: list[float]

    def keep(self, **store: Any) -> None:
        """Keep house once, with these settings of the store."""
        self._housekeeping(**store).run()

    def _results(self, **store: Any) -> Results:
        path = self.folder / "anchorwatch.yml"
        model = demand(checks={"drift": {}}, labels={"type": "ingest", "mature": "1h"})
        config = {"apps": [{"name": "bikes", "models": [model]}], "store": store, "metrics": {"bins": False}}
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        self.loaded = load(path)
        leases = Leases(self.store, changed=lambda *_: None)
        leases.configure({WATCH, unit_of("bikes", "demand")})
        recorder = Recorder(self.loaded, RULES, now=self.now, store_created=NOW, url="")
        return Results(self.store, self.metrics, recorder, now=self.now, changed=lambda _: None, leases=leases)

    def _housekeeping(self, **store: Any) -> Housekeeping:
        results = self._results(**store)
        return Housekeeping(self.loaded, results)

    def feed(self) -> None:
        """Bring the profiles up to the rows."""
        results = self._results()
        model = self.loaded.config.models()[0][1]
        source = open_events("bikes", model, self.folder, self.loaded.store)
        reference = read_reference(model, "v1", self.folder, source, now=NOW)
        bins = BinCounters(self.metrics, "bikes", "demand", now=self.now)
        updates = ProfileUpdates("bikes", model, self.loaded, results, bins)
        updates.catch_up(References(lambda _: reference), now=self.now())

    def now(self) -> float:
        return self.clock[0]

    def push(self, *names: str) -> events.Taken:
        rows = [NewEvent(name, self.now(), "v1", {"temp": 0.5, "season": "summer"}, 1.0) for name in names]
        return self.store.write(lambda c: events.add_events(c, "bikes", "demand", rows, received=self.now()))

    def kept(self) -> list[str]:
        with self.store.read() as connection:
            return [row["event_id"] for row, _ in reading.wire_events(connection, 1)]

    def counted(self, name: str, **labels: str) -> float:
        found = [
            sample.value
            for family in self.metrics.collect()
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        return sum(found)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    write_reference(tmp_path / "reference.parquet")
    store = Store(tmp_path / "data", now=NOW)
    yield Watch(tmp_path, store, Metrics("0"), [NOW])
    store.close()


def test_rows_stay_for_their_retention(watch: Watch) -> None:
    watch.push("a")
    watch.clock[0] += DAY
    watch.push("b")
    watch.keep(retention="36h")
    assert watch.kept() == ["a", "b"]
    watch.clock[0] += 13 * HOUR
    watch.keep(retention="36h")
    assert watch.kept() == ["b"]
    assert watch.counted("anchorwatch_store_rows_expired_total", table="events") == 1


def test_a_store_that_is_too_large_loses_its_oldest_rows_and_says_how_many(watch: Watch) -> None:
    names = [f"event {place:06}" for place in range(20_000)]
    for at in range(0, len(names), 2000):
        watch.push(*names[at : at + 2000])
    used = watch.store.used_bytes()
    watch.keep(max_size=f"{used * 2}B")
    assert watch.counted("anchorwatch_store_rows_evicted_total", **ABOUT) == 0
    watch.keep(max_size=f"{used * 3 // 4}B")
    left = watch.kept()
    evicted = watch.counted("anchorwatch_store_rows_evicted_total", **ABOUT)
    assert watch.store.used_bytes() <= used * 3 // 4
    assert 5000 <= evicted <= 10_000
    assert left == names[int(evicted) :]


@pytest.mark.slow
def test_postgresql_which_counts_now_and_then_loses_no_more_rows_than_it_has_to(tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.parquet")
    with postgresql() as server:
        store = Store(StorePlace(tmp_path / "data", Secret(server.url())), now=NOW)
        watch = Watch(tmp_path, store, Metrics("0"), [NOW])
        names = [f"event {place:06}" for place in range(20_000)]
        for at in range(0, len(names), 2000):
            watch.push(*names[at : at + 2000])
        each = eventually(lambda: (store.row_bytes() or 0) < 10_000 and store.row_bytes(), "rows to be counted")
        eventually(lambda: store.used_bytes() > 19_000 * each, "all rows to be counted")
        watch.keep(max_size=f"{store.used_bytes() * 9 // 10}B")
        assert watch.counted("anchorwatch_store_rows_evicted_total", **ABOUT) == 5000
        assert watch.kept() == names[5000:]
        store.close()


def test_a_sample_of_what_has_been_judged_stays_and_profiles_stay_whole(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "FULL", 100)
    names = [f"event {place}" for place in range(3000)]
    watch.push(*names)
    watch.feed()
    watch.keep(sample=0.1)
    assert len(watch.kept()) == 3000, "its window has not been judged"
    watch.clock[0] += 4 * HOUR + 1
    watch.keep()
    assert len(watch.kept()) == 3000, "nobody asked for a sample"
    watch.keep(sample=0.1)
    left = watch.kept()
    assert 200 < len(left) < 400
    assert watch.counted("anchorwatch_store_rows_sampled_out_total", **ABOUT) == 3000 - len(left)
    again = watch.push(*names)
    assert (again.new, again.duplicates) == (0, 3000)
    watch.feed()
    model = watch.loaded.config.models()[0][1]
    source = open_events("bikes", model, watch.folder, watch.loaded.store)
    reference = read_reference(model, "v1", watch.folder, source, now=NOW)
    start = NOW // HOUR * HOUR
    (profile,) = source.profiles(Window(start, start + HOUR), lambda _: reference).values()
    assert (profile.rows, profile.columns["temp"].rows) == (3000, 3000)
