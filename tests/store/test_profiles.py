"""The profile of a window equals a recount of its rows at every moment, whatever came late and however it was fed."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import Connection, delete, select, update

from monitor.profile import CategoricalBins, Profile, Reference, build_reference, profile_batch
from monitor.profile.bins import CATEGORIES
from monitor.records import Column, ColumnKind, EventBatch, Window
from monitor.source import _profiled
from monitor.source._values import column
from monitor.source.ingest import IngestSource, series_of
from monitor.store import Store, events, expiry, ids, profiles, reading, schema
from monitor.store.encoding import Layout, Sum, decode_profile, encode_profile
from monitor.store.profiles import CursorMoved, rolled_up
from monitor.store.references import load_reference, save_reference
from monitor.store.versions import newest_versions
from tests.store.rows import NOW, event, opened, reference

HOUR, DAY = 3600.0, 86400.0
START = NOW // HOUR * HOUR
REFERENCES = {"a": reference("a"), "b": reference("b", spread=3.0)}
LIMITED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def source(store: Store, bucket_seconds: int = 3600) -> IngestSource:
    return IngestSource(store, "shop", "demand", bucket_seconds=bucket_seconds)


def add(store: Store, *rows: Any) -> None:
    store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW))


def recount(rows: list[Any], version: str, known: Reference, window: Window) -> Profile | None:
    """The profile straight from the rows that were sent."""
    held = [row for row in rows if row.version == version and window.start <= row.time < window.end]
    if not held:
        return None
    features, absent, invalid = {}, {}, {}
    bodies = [row.features for row in held]
    for feature in known.columns:
        values = [body.get(feature.name) for body in bodies]
        features[feature.name], invalid[feature.name] = column(values, feature.kind)
        absent[feature.name] = sum(feature.name not in body for body in bodies)
    times = np.array([row.time for row in held])
    return profile_batch(EventBatch(version, times, features, absent, invalid), known.bins)


def assert_same(one: Profile | None, other: Profile | None) -> None:
    assert (one is None) is (other is None)
    if one is None or other is None:
        return
    assert (one.rows, one.first, one.last, set(one.columns)) == (
        other.rows,
        other.first,
        other.last,
        set(other.columns),
    )
    for name, mine in one.columns.items():
        theirs = other.columns[name]
        assert mine.counts.tolist() == theirs.counts.tolist(), name
        assert (mine.missing, mine.absent, mine.unseen) == (theirs.missing, theirs.absent, theirs.unseen), name
        assert mine.sums == pytest.approx(theirs.sums, rel=1e-12, abs=1e-9), name
        assert (mine.low, mine.high, mine.infinities) == (theirs.low, theirs.high, theirs.infinities), name
        assert mine.shift == pytest.approx(theirs.shift, rel=1e-12, abs=1e-12), name
        assert mine.spread() == pytest.approx(theirs.spread(), rel=1e-12, abs=1e-12), name


FEATURES = some.fixed_dictionaries(
    {},
    optional={
        "temp": some.floats(-2, 4) | some.sampled_from([None, "warm", 10**400, True, 0]),
        "season": some.sampled_from(["spring", "summer", "monsoon", None, 1, True]),
        "other": some.just(1),
    },
)
EVENTS = some.lists(
    some.tuples(some.integers(0, 400), some.floats(-60 * HOUR, 60 * HOUR), some.sampled_from(["1", "2"]), FEATURES),
    min_size=1,
    max_size=12,
)
STEPS = some.lists(
    some.tuples(some.just("insert"), EVENTS)
    | some.tuples(some.just("catch up"), some.none())
    | some.tuples(some.just("switch"), some.sampled_from(["a", "b"]))
    | some.tuples(some.just("read"), some.tuples(some.integers(-70, 60), some.integers(1, 100))),
    min_size=1,
    max_size=14,
)


@LIMITED
@given(STEPS, some.sampled_from([60, 3600]), some.sampled_from([1, 3, 250]))
def test_a_window_equals_a_recount_of_its_rows_however_inserts_feeds_and_reads_are_interleaved(
    steps: list[Any], bucket_seconds: int, buckets: int
) -> None:
    """Late, out of order, twice, of two versions, in between two references that take turns; out of days, hours and buckets."""
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_profiled, "PART_BUCKETS", buckets)
        watched, known, sent = source(store, bucket_seconds), REFERENCES["a"], {}
        for what, detail in [*steps, ("read", (-2, 7)), ("read", (-61, 122))]:
            if what == "insert":
                rows = [event(str(i), START + offset, version, **body) for i, offset, version, body in detail]
                for row in rows:
                    sent.setdefault(row.event_id, row)
                add(store, *rows)
            elif what == "switch":
                known = REFERENCES[detail]
            elif what == "catch up":
                watched.catch_up(store, lambda _, known=known: known, now=NOW)
            else:
                window = Window(START + detail[0] * HOUR, START + (detail[0] + detail[1]) * HOUR)
                found = watched.profiles(window, lambda _, known=known: known)
                for version in ("1", "2"):
                    assert_same(found.get(version), recount(list(sent.values()), version, known, window))


def test_every_row_is_fed_once(store: Store) -> None:
    known = REFERENCES["a"]
    add(store, *(event(str(place), START + place, temp=0.5) for place in range(10)))
    watched = source(store)
    assert watched.catch_up(store, lambda _: known, now=NOW) == 10
    assert watched.catch_up(store, lambda _: known, now=NOW) == 0
    add(store, event("late", START - 9 * HOUR, temp=0.5))
    assert watched.catch_up(store, lambda _: known, now=NOW) == 1


def test_a_changed_reference_begins_a_new_series_rebuilt_from_the_rows(store: Store) -> None:
    rows = [event(str(place), START + place, temp=place / 10) for place in range(10)]
    add(store, *rows)
    watched, window = source(store), Window(START, START + HOUR)
    for name in ("a", "b", "a"):
        known = REFERENCES[name]
        assert_same(watched.profiles(window, lambda _, known=known: known)["1"], recount(rows, "1", known, window))
        watched.catch_up(store, lambda _, known=known: known, now=NOW)
        assert_same(watched.profiles(window, lambda _, known=known: known)["1"], recount(rows, "1", known, window))
    add(store, event("late", START))
    watched.catch_up(store, lambda _: REFERENCES["a"], now=NOW)
    with store.read() as connection:
        (cursor,) = connection.execute(select(schema.cursors).where(schema.cursors.c.fed)).all()
    assert cursor.series == series_of(REFERENCES["a"], 3600)


def rows_on(store: Store, name: str, window: Window) -> int:
    """The rows in a window's profile on one of the references, brought up to all there are."""
    known = REFERENCES[name]
    source(store).catch_up(store, lambda _: known, now=NOW)
    found = source(store).profiles(window, lambda _: known)
    return found["1"].rows if found else 0


def test_a_reference_that_comes_back_finds_all_that_was_counted_on_it_also_where_only_a_sample_of_the_rows_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in a configuration, and its correction, cost no history."""
    monkeypatch.setattr(ids, "FULL", 50)
    window = Window(START - DAY, START + DAY)
    for at in range(0, 400, 50):
        add(store, *(event(str(place), START + place, temp=0.5) for place in range(at, at + 50)))
    assert rows_on(store, "a", window) == 400

    def thin() -> int:
        return store.write(lambda c: expiry.thin(c, number=1, share=0.1, received_before=NOW + 1e6, limit=5000))[1]

    left = 400 - thin()
    assert left < 100
    assert rows_on(store, "b", window) == left
    add(store, *(event(f"late {place}", START + place, temp=0.5) for place in range(50)))
    assert rows_on(store, "b", window) == left + 50
    assert rows_on(store, "a", window) == 450
    # Left where it is, it keeps no row from going, and counts of those that go meanwhile are lower.
    assert rows_on(store, "b", window) == left + 50
    add(store, *(event(f"later {place}", START + place, temp=0.5) for place in range(50)))
    assert rows_on(store, "b", window) == left + 100
    gone = thin()
    assert gone > 60
    assert rows_on(store, "b", window) == left + 100
    with store.read() as connection:
        there = reading.rows_after(connection, 1, 450, keys=(), versions=["1"], limit=100).rows
    assert there < 50
    assert rows_on(store, "a", window) == 450 + there


def test_a_reference_that_comes_back_finds_all_that_was_counted_on_it_also_past_the_rows_retention(
    store: Store,
) -> None:
    window = Window(START - DAY, START + DAY)
    add(store, *(event(str(place), START + place, temp=0.5) for place in range(40)))
    assert rows_on(store, "a", window) == 40
    assert store.write(lambda c: expiry.expire_events(c, number=1, now=NOW + 11, keep=10, limit=100)) == 40
    add(store, event("late", START, temp=0.5))
    assert [rows_on(store, name, window) for name in ("a", "b", "a", "b", "a")] == [41, 1, 41, 1, 41]


@pytest.mark.parametrize("dropped", [0, 10, 20])
def test_a_series_of_an_older_program_that_has_no_cursor_is_rebuilt_only_where_its_rows_are_there(
    store: Store, dropped: int
) -> None:
    """What it holds is all there is of rows that have gone."""
    window = Window(START - DAY, START + DAY)
    add(store, *(event(str(place), START + place, temp=0.5) for place in range(20)))
    assert rows_on(store, "a", window) == 20
    assert rows_on(store, "b", window) == 20
    here = schema.cursors.c.series == series_of(REFERENCES["a"], 3600)
    store.write(lambda c: c.execute(delete(schema.cursors).where(here)))
    if dropped:
        store.write(lambda c: expiry.drop_oldest(c, number=1, limit=dropped))
    late = [event(f"late {place}", START, temp=0.5) for place in range(5)]
    store.write(lambda c: events.add_events(c, "shop", "demand", late, received=NOW + 100))
    assert rows_on(store, "a", window) == 25
    assert rows_on(store, "a", window) == 25


def test_a_store_from_before_series_could_be_left_goes_on_where_it_was(tmp_path: Path) -> None:
    window = Window(START - DAY, START + DAY)
    with opened(tmp_path) as store:
        add(store, event("a", START, temp=0.5))
        assert rows_on(store, "a", window) == 1

        def as_it_was(connection: Connection) -> None:
            connection.exec_driver_sql("ALTER TABLE profile_cursors DROP COLUMN fed")
            connection.exec_driver_sql("ALTER TABLE versions DROP COLUMN last_received")
            connection.execute(update(schema.meta).where(schema.meta.c.key == "schema").values(value="3"))

        store.write(as_it_was)
    with opened(tmp_path) as store:
        add(store, event("b", START, temp=0.5))
        assert [rows_on(store, name, window) for name in ("a", "b", "a")] == [2, 2, 2]
        with store.read() as connection:
            assert newest_versions(connection, 1, limit=5) == ["1"]


@pytest.mark.parametrize("bound", ["PART_BUCKETS", "PART_NUMBERS"])
def test_rows_that_lie_far_apart_are_fed_a_few_buckets_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Each bucket takes as much memory, and time of the writer, as thousands of rows of one would."""
    known = REFERENCES["a"]
    monkeypatch.setattr(_profiled, bound, 7 if bound == "PART_BUCKETS" else 7 * Layout(known.bins).length)
    rows = [event(str(place), START + 60 * (place * 37 % 300), str(place % 3), temp=0.5) for place in range(300)]
    rows += [event(f"dense {place}", START, "1", temp=0.5) for place in range(200)]
    add(store, *rows)
    steps = list(source(store, 60).steps(store, lambda _: known, now=NOW))
    assert sum(steps) == 500
    assert max(steps[:40]) <= 7
    assert len(steps) < 50
    window = Window(START - DAY, START + DAY)
    found = source(store, 60).profiles(window, lambda _: known)
    for version in ("0", "1", "2"):
        assert_same(found[version], recount(rows, version, known, window))


@pytest.mark.parametrize("numbers", [1, 60])
def test_a_bucket_that_is_larger_than_a_step_may_be_is_one_step(
    store: Store, monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    """Of a model of very many columns, or it would be fed row by row."""
    known = REFERENCES["a"]
    monkeypatch.setattr(_profiled, "PART_NUMBERS", numbers)
    add(store, *(event(str(place), START + place // 50 * HOUR, temp=0.5) for place in range(100)))
    assert list(source(store).steps(store, lambda _: known, now=NOW)) == [50, 50]


def test_the_writer_is_handed_profiles_as_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long is done before: all who send wait for the writer."""
    built: list[str] = []
    add_profile = Sum.add
    monkeypatch.setattr(
        Sum, "add", lambda whole, found: (built.append(threading.current_thread().name), add_profile(whole, found))
    )
    add(store, *(event(str(place), START + place * HOUR, temp=0.5) for place in range(30)))
    assert source(store).catch_up(store, lambda _: REFERENCES["a"], now=NOW) == 30
    assert set(built) == {threading.current_thread().name}


def test_other_buckets_begin_a_new_series(store: Store) -> None:
    rows = [event(str(place), START + 60 * place, temp=0.5) for place in range(10)]
    add(store, *rows)
    known = REFERENCES["a"]
    source(store, 3600).catch_up(store, lambda _: known, now=NOW)
    fine, window = source(store, 60), Window(START, START + 120)
    fine.catch_up(store, lambda _: known, now=NOW)
    assert_same(fine.profiles(window, lambda _: known)["1"], recount(rows, "1", known, window))


def test_profiles_outlive_their_rows(store: Store) -> None:
    known, window = REFERENCES["a"], Window(START, START + HOUR)
    rows = [event(str(place), START + place, temp=place / 10) for place in range(10)]
    add(store, *rows)
    source(store).catch_up(store, lambda _: known, now=NOW)
    assert store.write(lambda c: expiry.expire_events(c, number=1, now=NOW + 11, keep=10, limit=100)) == 10
    assert_same(source(store).profiles(window, lambda _: known)["1"], recount(rows, "1", known, window))


def test_two_that_feed_at_once_count_nothing_twice(store: Store) -> None:
    """The second finds the cursor moved, and adds nothing."""
    known = REFERENCES["a"]
    add(store, event("a", START))
    layout = Layout(known.bins)
    fresh = rolled_up([(int(START), Profile(1, START, START, dict(known.profiles)))], layout, 3600)
    move = profiles.Move("1", "series", 0, 1, layout, fresh)

    def feed() -> None:
        store.write(lambda c: profiles.advance(c, 1, [move], now=NOW))

    feed()
    with pytest.raises(CursorMoved):
        feed()
    with store.read() as connection:
        bounds = {"seconds": 3600, "start": int(START), "end": int(START) + 1}
        held = profiles.read_buckets(connection, 1, "1", "series", bins=known.bins, **bounds)
    assert held is not None
    assert held.rows == 1


def test_a_version_without_a_reference_is_counted_and_not_profiled(store: Store) -> None:
    add(store, event("a", START, temp=1), event("b", START + 1, temp=2))
    found = source(store).profiles(Window(START, START + HOUR), lambda _: None)
    assert found == {"1": Profile(2, START, START + 1, {})}


def test_a_model_nobody_has_heard_of_has_no_profiles(store: Store) -> None:
    assert source(store).profiles(Window(0, NOW), lambda _: REFERENCES["a"]) == {}
    assert source(store).newest_event(NOW) is None
    assert list(source(store).labelled(Window(0, NOW), numeric=True)) == []


def test_profiles_go_by_whole_days_once_nothing_was_added_for_long_in_small_steps(store: Store) -> None:
    """A day that something was added to later stays whole, so that it is never more than its hours."""
    known, day = REFERENCES["a"], NOW // DAY * DAY
    add(store, *(event(f"{place}-{hour}", day + place * DAY + hour * HOUR) for place in range(5) for hour in (0, 7)))
    source(store).catch_up(store, lambda _: known, now=NOW)
    add(store, event("late", day + 7 * HOUR))
    source(store).catch_up(store, lambda _: known, now=NOW + 10)
    steps = [store.write(lambda c: profiles.expire_profiles(c, updated_before=NOW + 1, limit=6)) for _ in range(3)]
    assert steps == [6, 6, 0]  # two hours and their day, of four days
    for start, end, rows in ((day, day + DAY, 3), (day, day + HOUR, 1), (day + HOUR, day + DAY, 2)):
        assert source(store).profiles(Window(start, end), lambda _: known)["1"].rows == rows
    assert source(store).profiles(Window(day + DAY, day + 9 * DAY), lambda _: known) == {}


# --- as bytes ---------------------------------------------------------------------------------------------------------


def test_a_profile_comes_back_as_it_was() -> None:
    known = REFERENCES["a"]
    whole = Profile(100, 1.5, 9.25, dict(known.profiles))
    assert_same(decode_profile(encode_profile(whole, known.bins), known.bins), whole)


def test_a_bin_for_the_rest_comes_back_and_counts_as_before(store: Store) -> None:
    add(store, event("a"))
    names = np.array([f"{place:04}" for place in range(CATEGORIES + 7)] * 2, dtype=object)
    rows = EventBatch("1", np.zeros(len(names)), {"season": names})
    known = build_reference(
        rows, (Column("season", ColumnKind.CATEGORICAL),), fingerprint="many", version="1", window_seconds=3600.0
    )
    store.write(lambda c: save_reference(c, 1, known, NOW))
    with store.read() as connection:
        found = load_reference(connection, 1, "many")
    assert found is not None
    bins, drawn = found.bins["season"], known.bins["season"]
    assert isinstance(bins, CategoricalBins)
    assert isinstance(drawn, CategoricalBins)
    assert (bins.has_rest, len(bins), bins.categories) == (True, CATEGORIES + 1, drawn.categories)
    assert bins.group_names() == drawn.group_names()
    assert found.profiles["season"].counts.tolist() == known.profiles["season"].counts.tolist()
    later = np.array(["0000", f"{CATEGORIES + 3:04}", "never heard of", None], dtype=object)
    profile = profile_batch(EventBatch("1", np.arange(4.0), {"season": later}), found.bins)
    assert (profile.columns["season"].counts[-1], profile.columns["season"].unseen) == (2, 0)
    assert_same(decode_profile(encode_profile(profile, found.bins), found.bins), profile)


def test_a_reference_comes_back_as_it_was_and_is_kept_once(store: Store) -> None:
    add(store, event("a"))
    known = REFERENCES["b"]
    for _ in range(2):
        store.write(lambda c: save_reference(c, 1, known, NOW))
    with store.read() as connection:
        found = load_reference(connection, 1, "b")
        assert load_reference(connection, 1, "c") is None
    assert found is not None
    assert (found.fingerprint, found.version, found.rows, found.columns) == ("b", "1", 100, known.columns)
    for name in ("temp", "season"):
        assert found.bins[name].groups.tolist() == known.bins[name].groups.tolist()
        assert found.bins[name].group_names() == known.bins[name].group_names()
        assert found.profiles[name].counts.tolist() == known.profiles[name].counts.tolist()
        assert found.profiles[name].missing == known.profiles[name].missing
    assert found.bins["temp"].edges.tolist() == known.bins["temp"].edges.tolist()
    assert {type(bins.kind) for bins in found.bins.values()} == {ColumnKind}
