"""A row is counted by bin once and for ever, whatever becomes of the profiles, the references and the process."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import select

from monitor.app._bins import HELD_SECONDS, IDLE_SECONDS, TOTAL, BinCounters, bin_names
from monitor.config import Model
from monitor.metrics import Metrics
from monitor.profile import CategoricalBins, NumericBins, Reference
from monitor.source.ingest import IngestSource
from monitor.store import Store, events, expiry, schema
from monitor.store.cursors import COUNTED, begin_counting, counted_from, end_counting, positions
from monitor.store.profiles import CursorMoved, Move, advance
from tests.store.rows import NOW, event, opened, reference

HOUR = 3600.0
START = NOW // HOUR * HOUR
REFERENCES = {"a": reference("a"), "b": reference("b", spread=3.0)}
MODEL = Model(name="demand", task="regression")
LIMITED = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Bin = tuple[str, str, str]  # version, feature, bin


class Counted(Metrics):
    """Metrics that remember what was ever added to the counters of bins, also by a process that is gone."""

    def __init__(self, ever: Counter[Bin]) -> None:
        super().__init__("0")
        self.ever = ever

    def add_many(self, name: str, amounts: Mapping[tuple[str, ...], float], /) -> None:
        super().add_many(name, amounts)
        if name == TOTAL:
            for (_, _, version, feature, _, bin_), amount in amounts.items():
                self.ever[version, feature, bin_] += int(amount)


class Process:
    """One process: its metrics begin anew with it, its store does not."""

    def __init__(self, ever: Counter[Bin], clock: list[float], limit: int = 10) -> None:
        self.metrics, self.clock = Counted(ever), clock
        self.bins = BinCounters(self.metrics, "shop", "demand", now=lambda: clock[0])
        self.bins.configure(MODEL, limit)

    def catch_up(self, store: Store, known: Reference, bucket_seconds: int = 3600) -> int:
        source = IngestSource(store, "shop", "demand", bucket_seconds=bucket_seconds)
        return source.catch_up(store, lambda _: known, now=self.clock[0], counts=self.bins)

    def page(self) -> Counter[Bin]:
        """The counters that the page shows."""
        return Counter(
            {
                (each.labels["version"], each.labels["feature"], each.labels["bin"]): int(each.value)
                for family in self.metrics.collect()
                for each in family.samples
                if each.name == TOTAL
            }
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def add(store: Store, *rows: Any) -> None:
    store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW))


def place(value: Any, known: Reference, feature: str) -> str:
    """The bin of a value, one by one and by the words of the bins' definition."""
    bins, names = known.bins[feature], bin_names(known.bins[feature])
    if value is None:
        return "missing"
    if isinstance(bins, CategoricalBins):
        return names[bins.groups[bins.categories.index(value)]] if value in bins.categories else "unseen"
    assert isinstance(bins, NumericBins)
    if isinstance(value, str):
        return "unseen"
    return names[bins.groups[sum(edge < value for edge in bins.edges.tolist())]]


def recount(rows: Any, known: Reference, features: tuple[str, ...] = ("temp", "season")) -> Counter[Bin]:
    return Counter((row.version, name, place(row.features.get(name), known, name)) for row in rows for name in features)


FEATURES = some.fixed_dictionaries(
    {},
    optional={
        "temp": some.floats(-2, 4) | some.sampled_from([None, "warm", 10**400, True, 0]),
        "season": some.sampled_from(["spring", "summer", "monsoon", None, "missing"]),
    },
)
EVENTS = some.lists(
    some.tuples(some.integers(0, 400), some.floats(-60 * HOUR, 60 * HOUR), some.sampled_from(["1", "2"]), FEATURES),
    min_size=1,
    max_size=12,
)
STEPS = some.lists(
    some.tuples(some.just("insert"), EVENTS)
    | some.tuples(some.just("catch up"), some.sampled_from([60, 3600]))
    | some.tuples(some.just("catch up uncounted"), some.sampled_from([60, 3600]))
    | some.tuples(some.just("wait"), some.sampled_from([1.0, HELD_SECONDS, 3 * 86400.0, -86400.0]))
    | some.tuples(some.just("switch"), some.sampled_from(["a", "b"]))
    | some.tuples(some.just("restart"), some.booleans()),
    min_size=1,
    max_size=16,
)


@pytest.mark.slow
@LIMITED
@given(STEPS, some.booleans())
def test_what_is_counted_equals_a_recount_of_the_rows_however_feeds_rebuilds_and_restarts_are_interleaved(
    steps: list[Any], one_reference: bool
) -> None:
    """By two references that take turns, whose seasons are the same and whose temperatures are not; on buckets that change."""
    ever: Counter[Bin] = Counter()
    clock = [NOW]
    with tempfile.TemporaryDirectory() as folder:
        stack = opened(Path(folder))
        store, known, sent = stack.__enter__(), REFERENCES["a"], {}
        process = Process(ever, clock)
        process.catch_up(store, known)  # as a daemon that was there before the first row
        for what, detail in [*steps, ("catch up", 3600), ("wait", HELD_SECONDS), ("catch up", 3600)]:
            if what == "insert":
                rows = [event(str(i), START + offset, version, **body) for i, offset, version, body in detail]
                for row in rows:
                    sent.setdefault(row.event_id, row)
                add(store, *rows)
            elif what == "catch up":
                process.catch_up(store, known, detail)
            elif what == "catch up uncounted" and sent:
                # Once it is said where the counting begins, another may feed the profiles on.
                store.write(lambda c: begin_counting(c, 1, ["1", "2"]))
                source = IngestSource(store, "shop", "demand", bucket_seconds=detail)
                source.catch_up(store, lambda _, known=known: known, now=clock[0])
            elif what == "wait":
                clock[0] += detail
            elif what == "switch" and not one_reference:
                known = REFERENCES[detail]
            elif what == "restart":
                if detail:
                    stack.__exit__(None, None, None)
                    stack = opened(Path(folder))
                    store = stack.__enter__()
                process = Process(ever, clock)
        stack.__exit__(None, None, None)
    features = ("temp", "season") if one_reference else ("season",)
    assert Counter({key: n for key, n in ever.items() if key[1] in features and n}) == recount(
        sent.values(), known, features
    )
    for version in ("1", "2"):
        rows = sum(row.version == version for row in sent.values())
        for name in ("temp", "season"):
            assert sum(n for (of, feature, _), n in ever.items() if (of, feature) == (version, name)) == rows


def test_every_series_is_there_at_0_before_the_first_row_counts(store: Store) -> None:
    clock, known = [NOW], REFERENCES["a"]
    process = Process(Counter(), clock)
    add(store, event("1", temp=0.5, season="spring"))
    process.catch_up(store, known)
    expected = {("1", name, bin_) for name in ("temp", "season") for bin_ in bin_names(known.bins[name])}
    assert process.page() == dict.fromkeys(expected, 0)
    clock[0] += HELD_SECONDS - 1
    process.catch_up(store, known)
    assert sum(process.page().values()) == 0
    clock[0] += 1
    process.catch_up(store, known)
    assert {key for key, n in process.page().items() if n} == set(
        recount([event("1", temp=0.5, season="spring")], known)
    )


def test_rows_that_were_not_counted_before_a_kill_are_counted_after_it_and_others_are_not(store: Store) -> None:
    clock, known = [NOW], REFERENCES["a"]
    ever: Counter[Bin] = Counter()
    before = [event(str(at), temp=at / 10, season="summer") for at in range(5)]
    process = Process(ever, clock)
    process.catch_up(store, known)
    add(store, *before)
    process.catch_up(store, known)
    assert sum(ever.values()) == 0
    after = Process(ever, clock)  # killed while its series stood at 0
    after.catch_up(store, known)
    clock[0] += HELD_SECONDS
    after.catch_up(store, known)
    assert +ever == recount(before, known)
    last = Process(ever, clock)  # killed when all was counted
    clock[0] += HELD_SECONDS
    last.catch_up(store, known)
    assert +ever == recount(before, known)
    assert sum(last.page().values()) == 0


def test_a_late_row_is_counted_when_it_arrives_and_retention_takes_nothing_back(store: Store) -> None:
    clock, known = [NOW], REFERENCES["a"]
    process = Process(Counter(), clock)
    rows = [event(str(at), temp=at / 10, season="spring") for at in range(9)]
    add(store, *rows)
    process.catch_up(store, known)
    clock[0] += HELD_SECONDS
    process.catch_up(store, known)
    assert store.write(lambda c: expiry.expire_events(c, number=1, now=NOW + 100, keep=10, limit=100)) == 9
    late = event("late", START - 30 * 86400.0, temp=0.2, season="summer")
    add(store, late)
    process.catch_up(store, known)
    assert +process.page() == recount([*rows, late], known)


def test_rows_of_a_store_from_before_there_were_counts_are_not_counted(store: Store) -> None:
    clock, known = [NOW], REFERENCES["a"]
    add(store, event("old", temp=0.1))
    IngestSource(store, "shop", "demand", bucket_seconds=3600).catch_up(store, lambda _: known, now=NOW)
    process = Process(Counter(), clock)
    fresh = event("new", temp=0.9, season="autumn")
    add(store, fresh)
    process.catch_up(store, known)
    clock[0] += HELD_SECONDS
    process.catch_up(store, known)
    assert +process.page() == recount([fresh], known)


def test_no_row_of_a_version_that_was_let_go_is_lost_when_it_comes_back(store: Store) -> None:
    clock, known, ever = [NOW], REFERENCES["a"], Counter[Bin]()
    process = Process(ever, clock)
    rows = [event(str(at), temp=at / 10, season="summer") for at in range(4)]
    for row in rows:
        add(store, row)
        process.catch_up(store, known)
        clock[0] += HELD_SECONDS
        process.catch_up(store, known)
        clock[0] += IDLE_SECONDS + 1
        process.catch_up(store, known)
        assert process.page() == {}
    assert +ever == recount(rows, known)


def test_while_nobody_counts_nothing_is_owed(store: Store) -> None:
    """Switched off and on again: the rows that came meanwhile are not counted later."""
    clock, known = [NOW], REFERENCES["a"]
    process = Process(Counter(), clock)
    process.catch_up(store, known)
    add(store, event("1", temp=0.1))
    process.catch_up(store, known)
    store.write(lambda c: end_counting(c, 1))
    add(store, event("2", temp=0.1))
    IngestSource(store, "shop", "demand", bucket_seconds=3600).catch_up(store, lambda _: known, now=NOW)
    again = Process(Counter(), clock)
    fresh = event("3", temp=0.1)
    add(store, fresh)
    again.catch_up(store, known)
    clock[0] += HELD_SECONDS
    again.catch_up(store, known)
    assert +again.page() == recount([fresh], known)


def test_a_version_without_a_reference_waits_and_is_counted_when_it_has_one(store: Store) -> None:
    clock, known = [NOW], REFERENCES["a"]
    process = Process(Counter(), clock)
    rows = [event("1", version="1", temp=0.1), event("2", version="2", temp=0.1)]
    add(store, *rows)
    source = IngestSource(store, "shop", "demand", bucket_seconds=3600)
    for _ in range(2):
        source.catch_up(store, {"1": known}.get, now=clock[0], counts=process.bins)
        clock[0] += HELD_SECONDS
    assert +process.page() == recount(rows[:1], known)
    for _ in range(2):
        source.catch_up(store, lambda _: known, now=clock[0], counts=process.bins)
        clock[0] += HELD_SECONDS
    assert +process.page() == recount(rows, known)


def test_of_two_that_count_the_same_rows_one_does(store: Store) -> None:
    """Both have read them; the transaction decides."""
    add(store, event("1", temp=0.1))
    store.write(lambda c: begin_counting(c, 1, ["1"]))
    move = Move("1", COUNTED, 0, 1)
    store.write(lambda c: advance(c, 1, [move], now=NOW))
    with pytest.raises(CursorMoved):
        store.write(lambda c: advance(c, 1, [move], now=NOW))
    with store.read() as connection:
        assert counted_from(positions(connection, 1, ["1"]), "1") == 1


def test_counting_does_not_hold_up_retention(store: Store) -> None:
    """The mark of a version that is not shown moves along, and that of a rebuild is no cursor of profiles."""
    clock, known = [NOW], REFERENCES["a"]
    process = Process(Counter(), clock)
    for version in range(8):
        store.write(
            lambda c, v=version: events.add_events(
                c, "shop", "demand", [event(f"e{v}", version=f"v{v}")], received=NOW + v
            )
        )
    process.catch_up(store, known)
    clock[0] += HELD_SECONDS
    process.catch_up(store, REFERENCES["b"])
    clock[0] += HELD_SECONDS
    process.catch_up(store, REFERENCES["b"])
    with store.read() as connection:
        marks = connection.execute(select(schema.cursors.c.seq).where(schema.cursors.c.fed)).scalars().all()
    assert marks == [8] * 16
    assert len({version for version, _, _ in process.page()}) == 5
