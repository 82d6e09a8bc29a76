"""What is held in memory gives what the rows give: profiles of any window, labelled rows as they were known."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.backtest.buckets import Buckets
from monitor.backtest.labels import LabelledRows
from monitor.profile import CategoricalBins, NumericBins, Profile, profile_batch
from monitor.records import Coded, EventBatch, LabelledBatch, Window

SECONDS = 60
BINS = {
    "temp": NumericBins(np.array([-1.0, 0.0, 2.0]), np.array([0, 0, 1, 1])),
    "sky": CategoricalBins(("clear", "cloud"), np.array([0, 1])),
}
TIMES = st.integers(-40, 40).map(lambda quarter: quarter * 15.0)
ROWS = st.lists(
    st.tuples(TIMES, st.sampled_from([np.nan, -3.0, 0.0, 1.5, np.inf]), st.sampled_from([None, "clear", "fog"])),
    max_size=60,
)


def batch(rows: list[tuple[float, float, str | None]]) -> EventBatch:
    times, temp, sky = zip(*rows, strict=True)
    features = {"temp": np.array(temp), "sky": np.array(sky, dtype=object)}
    return EventBatch("v1", np.array(times), features)


def same(one: Profile | None, two: Profile | None) -> bool:
    """Whether two profiles count the same; sums to rounding."""
    if one is None or two is None:
        return one is two
    assert (one.rows, one.first, one.last, one.seasons) == (two.rows, two.first, two.last, two.seasons)
    for name, column in one.columns.items():
        other = two.columns[name]
        assert column.counts.tolist() == other.counts.tolist()
        assert (column.missing, column.absent, column.unseen) == (other.missing, other.absent, other.unseen)
        assert (column.low, column.high, column.infinities) == (other.low, other.high, other.infinities)
        np.testing.assert_allclose(column.sums, other.sums, rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose([column.shift, column.squares], [other.shift, other.squares], rtol=1e-12, atol=1e-9)
    return set(one.columns) == set(two.columns)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(1, 7), st.integers(-12, 12), st.integers(0, 24))
def test_the_profile_of_any_window_is_that_of_its_rows(rows, size, first, buckets) -> None:
    """However the rows are split into batches, and wherever the window begins, before the epoch too."""
    held = Buckets(BINS, seconds=SECONDS, match=("hour_of_day",))
    for start in range(0, len(rows), size):
        assert held.add(batch(rows[start : start + size])) == set()
    start, end = first * SECONDS, (first + buckets) * SECONDS
    inside = [row for row in rows if start <= row[0] < end]
    expected = profile_batch(batch(inside), BINS, ("hour_of_day",)) if inside else None
    for _ in range(2):  # the second time from sums that were kept
        assert same(held.total(start, end), expected)
    parts = list(held.within(start, end))
    assert [begins for begins, _ in parts] == sorted({time // SECONDS * SECONDS for time, _, _ in inside})
    assert sum(part.rows for _, part in parts) == len(inside)


def test_buckets_whose_rows_are_known_only_in_sum_are_named() -> None:
    """Which of the rows held no number, or lacked a column, a batch doesn't say."""
    whole = batch([(0.0, np.nan, "fog"), (70.0, 1.0, None)])
    assert Buckets(BINS, seconds=SECONDS).add(whole) == set()
    some = EventBatch("v1", whole.times, whole.features, invalid={"temp": 1})
    assert Buckets(BINS, seconds=SECONDS).add(some) == {0, 1}
    some = EventBatch("v1", whole.times, whole.features, absent={"sky": 1})
    assert Buckets(BINS, seconds=SECONDS).add(some) == {0, 1}
    none = EventBatch("v1", whole.times, whole.features, absent={"sky": 2})
    held = Buckets(BINS, seconds=SECONDS)
    assert held.add(none) == set()
    assert [part.columns["sky"].absent for _, part in held.within(0, 120)] == [1, 1]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.integers(0, 9), st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("xyz")
        ),
        max_size=30,
    ),
    st.integers(1, 5),
    st.integers(-1, 10),
)
def test_labelled_rows_are_those_of_the_window_that_are_known(rows, size, known_by) -> None:
    held = LabelledRows(numeric=False)
    for start in range(0, len(rows), size):
        times, known, versions, said, true = zip(*rows[start : start + size], strict=True)
        plain = [np.array(column, dtype=object) for column in (versions, said)]
        codes = np.array(["zyx".index(name) for name in true], dtype=np.int32)
        labels, came = Coded(codes, ("z", "y", "x")).spelled(), np.array(known, dtype=float)
        held.add(LabelledBatch(np.array(times, dtype=float), *plain, labels, came, {"code": codes * 1.0}))
    found = [
        row
        for found in held.within(Window(2.0, 7.0), float(known_by))
        for row in zip(found.times, found.versions, found.predictions, found.labels, strict=True)
    ]
    expected = [(t, v, said, true) for t, known, v, said, true in rows if 2 <= t < 7 and known <= known_by]
    assert sorted(found) == sorted(expected)


def test_numbers_stay_numbers_and_what_has_no_time_was_always_known() -> None:
    held = LabelledRows(numeric=True)
    versions, season = np.array([None], dtype=object), Coded(np.array([1], dtype=np.int32), ("spring", "summer"))
    said, never = np.array([0.5]), np.array([-np.inf])
    held.add(LabelledBatch(np.array([1.0]), versions, said, np.array([np.nan]), never, {"season": season}))
    [found] = held.within(Window(0.0, 2.0), -1e9)
    assert (found.versions.tolist(), found.predictions.tolist()) == ([None], [0.5])
    assert np.isnan(found.labels).all()
    assert found.columns["season"].tolist() == ["summer"]
    assert list(held.within(Window(1.5, 2.0), np.inf)) == []
    assert list(LabelledRows(numeric=True).within(Window(0.0, 2.0), np.inf)) == []
