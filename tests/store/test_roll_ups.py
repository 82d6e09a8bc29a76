"""Hours and days are the sums of their buckets: a long window reads few of them, and what is kept comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlalchemy import event as sql_event
from sqlalchemy import select

from monitor.profile import Profile, Reference, build_reference, draw_bins, merge, profile_batch
from monitor.records import Column, ColumnKind, EventBatch, Role, Window
from monitor.source.ingest import IngestSource
from monitor.store import Store, events, expiry, schema
from monitor.store.encoding import Layout, decode_profile, encode_profile
from monitor.store.packing import pack, unpack
from monitor.store.profiles import Move, advance, expire_profiles, lengths, read_buckets, read_parts, rolled_up
from monitor.store.references import load_reference, save_reference
from tests.profile.columns import objects
from tests.store.rows import event, opened
from tests.store.test_profiles import assert_same

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

HOUR, DAY = 3600, 86400
START = 1_600_041_600 // DAY * DAY
BINS = {
    "x": draw_bins(np.linspace(0, 1, 300), ColumnKind.NUMERIC),
    "c": draw_bins(objects(["a", "b", "b"]), ColumnKind.CATEGORICAL),
    "label": draw_bins(objects(["yes"]), ColumnKind.CATEGORICAL),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        made.write(lambda c: events.model_id(c, "shop", "demand"))
        yield made


def profile(times: Any, seed: int = 0, match: tuple[str, ...] = ()) -> Profile:
    draw = np.random.default_rng(seed)
    rows = len(times)
    values = np.where(draw.random(rows) < 0.2, np.nan, draw.normal(0.5, 1, rows))
    features = {"x": values, "c": objects([["a", "b", "new", None][code] for code in draw.integers(0, 4, rows)])}
    return profile_batch(EventBatch("1", np.asarray(times, dtype=np.float64), features), BINS, match)


def feed(
    store: Store,
    fresh: dict[int, Profile],
    *,
    seconds: int = 60,
    after: int = 1,
    now: float = START,
    series: str = "s",
) -> None:
    """Add profiles to the series, which is at `after - 1`."""
    layout = Layout(BINS)
    move = Move("1", series, after - 1, after, layout, rolled_up(fresh.items(), layout, seconds))
    store.write(lambda c: advance(c, 1, [move], now=now))


def read(store: Store, start: int, end: int, *, seconds: int = 60) -> Profile | None:
    with store.read() as connection:
        return read_buckets(connection, 1, "1", "s", bins=BINS, seconds=seconds, start=start, end=end)


def filled(store: Store, minutes: list[int], seconds: int = 60) -> dict[int, Profile]:
    """Buckets at these minutes, in two feeds, the second of which adds to each."""
    kept: dict[int, Profile] = {}
    for after in (1, 2):
        fresh = {}
        for minute in minutes:
            bucket = (START + minute * 60) // seconds * seconds
            one = profile(bucket + np.arange(3.0), seed=minute + after)
            fresh[bucket] = fresh[bucket] + one if bucket in fresh else one
            kept[bucket] = kept[bucket] + one if bucket in kept else one
        feed(store, fresh, seconds=seconds, after=after)
    return kept


@pytest.mark.parametrize("seconds", [60, 600, 5400, 3600, 86400])
def test_any_window_of_whole_buckets_is_their_sum(store: Store, seconds: int) -> None:
    draw = np.random.default_rng(seconds)
    kept = filled(store, sorted(set(draw.integers(0, 4 * 1440, 120).tolist())), seconds)
    for _ in range(60):
        start = (START + int(draw.integers(-60, 4 * 1440)) * 60) // seconds * seconds
        end = start + int(draw.integers(1, 3 * DAY // seconds + 2)) * seconds
        expected = merge([kept[bucket] for bucket in sorted(kept) if start <= bucket < end])
        assert_same(read(store, start, end, seconds=seconds), expected)


def test_a_month_of_minutes_is_read_as_days_hours_and_minutes(store: Store) -> None:
    """Not as 43,200 buckets: so many rows at most as there are in its two broken ends."""
    for day in range(32):
        fresh = {
            START + day * DAY + minute * 60: profile([START + day * DAY], seed=day) for minute in range(0, 1440, 7)
        }
        feed(store, fresh, after=day + 1)
    start = START + 13 * HOUR + 17 * 60
    seen: list[int] = []
    with store.read() as connection:
        sql_event.listen(connection, "after_cursor_execute", lambda *_: seen.append(1))
        found = read_buckets(connection, 1, "1", "s", bins=BINS, seconds=60, start=start, end=start + 30 * DAY)
        parts = list(
            read_parts(connection, 1, "1", "s", bins=BINS, seconds=60, start=start, end=start + 30 * DAY, longest=DAY)
        )
    assert found is not None
    assert found.rows == sum(
        1
        for day in range(32)
        for minute in range(0, 1440, 7)
        if start <= START + day * DAY + minute * 60 < start + 30 * DAY
    )
    assert sum(part.rows for _, part in parts) == found.rows
    assert len(parts) <= 29 + 2 * 23 + 2 * 59
    assert len(seen) == 10  # five ranges, twice


@pytest.mark.parametrize("longest", [60, 1800, HOUR, 2 * HOUR, DAY, 7 * DAY])
def test_parts_are_as_long_as_is_allowed_and_no_longer(store: Store, longest: int) -> None:
    kept = filled(store, list(range(0, 3 * 1440, 11)))
    start, end = START + 5 * HOUR + 120, START + 2 * DAY + 7 * HOUR + 60
    with store.read() as connection:
        parts = list(read_parts(connection, 1, "1", "s", bins=BINS, seconds=60, start=start, end=end, longest=longest))
    held: dict[int, list[Profile]] = {}
    for bucket, one in kept.items():
        if start <= bucket < end:
            held.setdefault(bucket // longest, []).append(one)
    found: dict[int, list[Profile]] = {}
    for bucket, one in parts:
        found.setdefault(bucket // longest, []).append(one)
    assert held.keys() == found.keys()
    for number, own in held.items():
        assert_same(merge(found[number]), merge(own))
    assert len(parts) <= len(kept)
    if longest >= HOUR:
        assert len(parts) < len(kept) / 3


def test_a_series_that_was_left_goes_on_from_where_it_was(store: Store) -> None:
    kept = filled(store, [0, 1, 70, 2000])
    feed(store, {START: profile([START])}, series="another")  # takes its place
    feed(store, {START: profile([START])}, after=3)  # and it is back
    expected = merge([*kept.values(), profile([START])])
    assert_same(read(store, START, START + 3 * DAY), expected)


def test_what_is_left_of_a_series_that_was_left_goes_with_its_profiles(store: Store) -> None:
    """Or the names of references would grow without end; the series that is fed stays."""
    filled(store, [0, 1440])
    feed(store, {START: profile([START])}, series="another", now=START + 100)
    assert store.write(lambda c: expire_profiles(c, updated_before=START + 1, limit=1)) == 3
    assert cursors(store) == {"s": 2, "another": 1}
    assert store.write(lambda c: expire_profiles(c, updated_before=START + 1, limit=500)) == 3
    assert cursors(store) == {"another": 1}


def cursors(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {row.series: row.seq for row in connection.execute(select(schema.cursors))}


def test_a_day_goes_with_its_hours_and_buckets(store: Store) -> None:
    filled(store, [0, 59, 60, 1439, 1440, 2 * 1440 + 5])
    feed(store, {START + DAY: profile([START + DAY])}, after=3, now=START + 100)
    gone = store.write(lambda c: expire_profiles(c, updated_before=START + 1, limit=500))
    assert gone == (1 + 3 + 4) + (1 + 1 + 1)
    assert read(store, START, START + DAY) is None
    assert read(store, START + 2 * DAY, START + 3 * DAY) is None
    whole, parts = read(store, START + DAY, START + 2 * DAY), read(store, START + DAY, START + DAY + 60)
    assert_same(whole, parts)
    assert whole is not None
    assert whole.rows == 7


@pytest.mark.parametrize("seconds", [60, 420, 1800, 3600, 7200, 86400])
def test_every_length_is_a_whole_number_of_the_next(seconds: int) -> None:
    found = lengths(seconds)
    assert (found[0], found[-1]) == (DAY if seconds != 420 else 420, seconds)
    assert all(longer % shorter == 0 for longer, shorter in pairwise(found))


def test_pushed_rows_are_rolled_up_as_they_come(store: Store) -> None:
    """Through the source: fed in steps, late, and read before and after the rows themselves are gone."""
    reference = build_reference(
        EventBatch("1", np.zeros(300), {"temp": np.linspace(0, 1, 300)}),
        (Column("temp", ColumnKind.NUMERIC),),
        fingerprint="r",
        version="1",
        window_seconds=DAY,
        match=("hour_of_day",),
    )
    watched = IngestSource(store, "shop", "demand", bucket_seconds=60)
    rows = [event(str(place), START + place * 977.0, temp=place % 7 / 7) for place in range(1500)]
    for part in (rows[500:1200], rows[:500], rows[1200:]):
        store.write(lambda c, part=part: events.add_events(c, "shop", "demand", part, received=START))
        watched.catch_up(store, lambda _: reference, now=START)
    window = Window(START + 2 * DAY + 3 * HOUR + 60, START + 14 * DAY + 5 * HOUR + 120)
    before = watched.profiles(window, lambda _: reference)["1"]
    while store.write(lambda c: expiry.expire_events(c, number=1, now=START + 10, keep=1, limit=500)):
        pass
    after = watched.profiles(window, lambda _: reference)["1"]
    assert_same(after, before)
    inside = [row for row in rows if window.start <= row.time < window.end]
    assert after.rows == len(inside)
    hours = [int(row.time // HOUR % 24) for row in inside]
    assert dict(after.seasons) == {hour: hours.count(hour) for hour in set(hours)}


# --- as bytes ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.floats(allow_nan=True) | some.floats(-3, 3), min_size=1, max_size=40),
    some.lists(some.sampled_from(["a", "b", "new", None]), min_size=40, max_size=40),
    some.integers(0, 3),
    some.booleans(),
)
def test_any_profile_comes_back_as_it_was(values: list[float], names: list[Any], invalid: int, both: bool) -> None:
    features: dict[str, Any] = {"x": np.array(values)}
    invalid = min(invalid, int(np.isnan(features["x"]).sum()))
    if both:
        features["c"] = objects(names[: len(values)])
    with np.errstate(all="ignore"):
        made = profile_batch(
            EventBatch("1", np.arange(float(len(values))), features, {"x": 1}, {"x": invalid}), BINS, ("hour_of_day",)
        )
    found = decode_profile(encode_profile(made, BINS), BINS)
    assert (found.rows, found.first, found.last, found.seasons) == (made.rows, made.first, made.last, made.seasons)
    assert set(found.columns) == set(features)
    for name, column in made.columns.items():
        mine = found.columns[name]
        assert (mine.counts.tolist(), mine.missing, mine.absent, mine.unseen) == (
            column.counts.tolist(), column.missing, column.absent, column.unseen,
        )  # fmt: skip
        for part in ("low", "high", "shift", "squares"):
            assert getattr(mine, part) == pytest.approx(getattr(column, part), rel=1e-15, nan_ok=True)
        assert mine.sums.tolist() == pytest.approx(column.sums.tolist(), nan_ok=True)
        assert mine.infinities == column.infinities


def test_a_bucket_of_few_rows_takes_little_room() -> None:
    few, many = profile(np.arange(5.0)), profile(np.arange(5000.0))
    assert len(encode_profile(few, BINS)) < 300
    assert len(encode_profile(many, BINS)) < 1200


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), dtype=np.int64),
        np.arange(-3, 300).reshape(3, 101),
        np.array([2**32, 2**40]),
        np.array([[0.5, np.nan], [np.inf, -0.0]]),
    ],
    ids=str,
)
def test_an_array_comes_back_as_it_was(array: Any) -> None:
    found = unpack(pack(array))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


def whole_reference() -> Reference:
    draw = np.random.default_rng(0)
    rows = 4000
    columns = (
        Column("x", ColumnKind.NUMERIC, 0.5),
        Column("c", ColumnKind.CATEGORICAL),
        Column("v", ColumnKind.VECTOR),
        Column("empty", ColumnKind.NUMERIC),
        Column("prediction", ColumnKind.NUMERIC, role=Role.PREDICTION),
    )
    features = {
        "x": draw.normal(1e6, 1, rows),
        "c": objects(["a", "b", None, "c"] * (rows // 4)),
        "v": draw.normal(0, 1, (rows, 3)),
        "empty": np.full(rows, np.nan),
        "prediction": draw.normal(0, 1, rows),
    }
    times = START + np.arange(rows) * 700.0
    about: Any = {"fingerprint": "f", "version": "1", "window_seconds": DAY, "match": ("hour_of_day", "day_of_week")}
    reference = build_reference(EventBatch("1", times, features), columns, **about)
    labels = build_reference(
        EventBatch("1", times, {"label": features["prediction"] + 1}),
        (Column("label", ColumnKind.NUMERIC, role=Role.LABEL),),
        **{**about, "fingerprint": "f+labels"},
    )
    return replace(reference, labels=labels)


def assert_same_reference(found: Reference, known: Reference, *, stretches: bool) -> None:
    for part in ("fingerprint", "version", "rows", "columns", "unusable", "match"):
        assert getattr(found, part) == getattr(known, part), part
    assert found.bins.keys() == known.bins.keys() == found.profiles.keys()
    for name, bins in known.bins.items():
        assert found.bins[name].groups.tolist() == bins.groups.tolist()
        assert found.bins[name].group_names() == bins.group_names()
        mine, theirs = found.profiles[name], known.profiles[name]
        assert (mine.counts.tolist(), mine.sums.tolist()) == (theirs.counts.tolist(), theirs.sums.tolist())
        for part in (
            "missing",
            "absent",
            "unseen",
            "low",
            "high",
            "shift",
            "squares",
            "infinities",
            "outside",
            "clipped",
        ):
            assert getattr(mine, part) == getattr(theirs, part), part
    assert found.seasons is not None
    assert known.seasons is not None
    assert found.seasons.rows.tolist() == known.seasons.rows.tolist()
    for name, counts in known.seasons.counts.items():
        assert found.seasons.counts[name].tolist() == counts.tolist()
    if not stretches:
        assert found.stretches is None
        return
    assert found.stretches is not None
    assert known.stretches is not None
    assert (found.stretches.seconds, found.stretches.dated) == (known.stretches.seconds, known.stretches.dated)
    for part in ("rows", "composed", "cell_rows"):
        assert getattr(found.stretches, part).tolist() == getattr(known.stretches, part).tolist()
    for part in ("counts", "sums", "expected"):
        mine, theirs = getattr(found.stretches, part), getattr(known.stretches, part)
        assert mine.keys() == theirs.keys()
        for name, held in theirs.items():
            assert mine[name].tolist() == held.tolist()


def test_a_reference_comes_back_with_its_roles_seasons_and_labels_and_its_stretches_where_they_are_asked_for(
    store: Store,
) -> None:
    known = whole_reference()
    for _ in range(2):
        store.write(lambda c: save_reference(c, 1, known, START))
    with store.read() as connection:
        bare = load_reference(connection, 1, "f")
        whole = load_reference(connection, 1, "f", stretches=True)
    assert bare is not None
    assert whole is not None
    assert_same_reference(bare, known, stretches=False)
    assert_same_reference(whole, known, stretches=True)
    assert known.labels is not None
    for found in (bare, whole):
        assert found.labels is not None
        assert_same_reference(found.labels, known.labels, stretches=True)


def test_a_reference_without_stretches_is_kept_without(store: Store) -> None:
    known = replace(whole_reference(), stretches=None, labels=None)
    store.write(lambda c: save_reference(c, 1, known, START))
    with store.read() as connection:
        found = load_reference(connection, 1, "f", stretches=True)
    assert found is not None
    assert (found.stretches, found.labels) == (None, None)
