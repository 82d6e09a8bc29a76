"""A reference cut into stretches: every row is in one of them, and what seasons expect is what a recount gives."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.profile import Bins, Cutter, build_reference, clipped, draw_bins, profile_batch, profile_column
from monitor.profile.reference import Chunk, ReferenceBuilder
from monitor.profile.stretches import LONG
from monitor.records import Column, ColumnKind, EventBatch, Role
from tests.profile.columns import as_coded, objects

NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HOUR, DAY = 3600.0, 86400.0
START = 1_600_000_000.0
COLUMNS = (Column("x", NUMERIC), Column("c", CATEGORICAL))
BINS: dict[str, Bins] = {
    "x": draw_bins(np.linspace(0, 10, 500), NUMERIC),
    "c": draw_bins(objects(["a", "b", "b", "c"]), CATEGORICAL),
}
ROWS = some.lists(
    some.tuples(
        some.floats(0, 9 * DAY),
        some.floats(-2, 12) | some.just(math.nan) | some.just(math.inf),
        some.sampled_from(["a", "b", "c", "new", None]),
    ),
    min_size=1,
    max_size=60,
)
MATCHES = [(), ("hour_of_day",), ("day_of_week", "hour_of_day"), ("month_of_year",)]


def batch(rows: list[Any]) -> EventBatch:
    return EventBatch(
        "1",
        START + np.array([row[0] for row in rows], dtype=np.float64),
        {"x": np.array([row[1] for row in rows], dtype=np.float64), "c": objects([row[2] for row in rows])},
    )


def pick(rows: EventBatch, places: Any) -> EventBatch:
    return EventBatch("1", rows.times[places], {name: values[places] for name, values in rows.features.items()})


def counted(rows: EventBatch, name: str) -> list[int]:
    """Rows per bin, missing and unseen, one row after the other."""
    bins = BINS[name]
    found = [0] * (len(bins) + 2)
    for value in rows.features[name].tolist():  # type: ignore[union-attr]
        if value is None or (name == "x" and math.isnan(value)):
            found[-2] += 1
        elif name == "x":
            found[sum(edge < value for edge in bins.edges.tolist())] += 1  # type: ignore[union-attr]
        elif value in bins.categories:  # type: ignore[union-attr]
            found[bins.categories.index(value)] += 1  # type: ignore[union-attr]
        else:
            found[-1] += 1
    return found


def cell(time: float, match: tuple[str, ...]) -> tuple[int, ...]:
    """What the standard library's calendar says."""
    moment = datetime.fromtimestamp(time, UTC)
    parts = {"hour_of_day": moment.hour, "day_of_week": moment.weekday(), "month_of_year": moment.month}
    return tuple(parts[name] for name in match)


@pytest.mark.parametrize("match", MATCHES, ids=" ".join)
def test_stretches_are_a_recount_of_their_rows_however_these_come(match: tuple[str, ...]) -> None:
    @EXAMPLES
    @given(ROWS, some.lists(some.integers(1, 59), max_size=4), some.randoms(use_true_random=False))
    def holds(listed: list[Any], cuts: list[int], random: Any) -> None:
        rows = batch(listed)
        order = list(range(len(rows)))
        random.shuffle(order)
        cutter = Cutter(BINS, seconds=6 * HOUR, match=match)
        for part in np.split(np.array(order), sorted(cuts)):
            cutter.add(pick(rows, part))
        found = cutter.stretches()
        numbers = np.floor(rows.times / (6 * HOUR)).astype(int)
        assert len(found) == len(set(numbers))
        cells = [cell(time, match) for time in rows.times.tolist()]
        for place, number in enumerate(sorted(set(numbers))):
            held = pick(rows, numbers == number)
            assert found.rows[place] == len(held)
            for name in BINS:
                assert found.counts[name][place].tolist() == counted(held, name)
            sums = clipped(profile_column(held.features["x"], BINS["x"])).sums
            assert found.sums["x"][place] == pytest.approx(sums, rel=1e-12, abs=1e-9)
            if match:
                for name, bins in BINS.items():
                    expected = np.zeros(len(bins) + 2)
                    for own in (cells[row] for row in np.flatnonzero(numbers == number)):
                        alike = pick(rows, [other == own for other in cells])
                        expected += np.array(counted(alike, name)) / len(alike)
                    assert found.expected[name][place] == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert set(found.sums) == {"x"}
        assert bool(found.expected) is bool(match)
        for name in BINS:
            assert found.counts[name].sum(axis=0).tolist() == counted(rows, name)
        whole = cutter.whole()
        assert whole is not None
        assert whole.rows == len(rows)
        if match:
            assert cutter.seasons().rows.sum() == len(rows)
            assert cutter.seasons().counts["c"].sum(axis=0).tolist() == counted(rows, "c")

    holds()


@pytest.mark.parametrize("match", [(), ("hour_of_day",)], ids=" ".join)
def test_long_runs_of_rows_are_counted_as_single_ones(match: tuple[str, ...]) -> None:
    """Many rows in order of time are sorted run by run, the same rows in disorder are placed one by one."""
    draw = np.random.default_rng(0)
    rows = 12 * LONG
    times = np.sort(START + draw.random(rows) * 3 * HOUR)
    values = np.where(draw.random(rows) < 0.1, math.nan, draw.normal(5, 3, rows))
    values[:3] = math.inf, -math.inf, 5.0
    ordered = EventBatch("1", times, {"x": values, "c": objects(["a", "new", None] * (rows // 3))})
    found = []
    for places in (slice(None), draw.permutation(rows)):
        cutter = Cutter(BINS, seconds=HOUR, match=match)
        cutter.add(pick(ordered, places))
        found.append(cutter.stretches())
    one, other = found
    assert len(one) == len(other) >= 3
    for name in BINS:
        assert one.counts[name].tolist() == other.counts[name].tolist()
    assert one.sums["x"] == pytest.approx(other.sums["x"], rel=1e-12, abs=1e-9)
    assert one.own_share() == pytest.approx(other.own_share())


def test_a_coded_column_is_cut_as_its_spelled_values() -> None:
    rows = batch([(place * HOUR, 1.0, name) for place, name in enumerate(["a", None, "new", "c", "a"] * 5)])
    coded = EventBatch("1", rows.times, {**rows.features, "c": as_coded(rows.features["c"])})
    one, other = (Cutter(BINS, seconds=3 * HOUR) for _ in range(2))
    one.add(rows)
    other.add(coded)
    assert one.stretches().counts["c"].tolist() == other.stretches().counts["c"].tolist()


def test_only_one_in_so_many_stretches_is_kept_and_all_rows_count_for_the_seasons() -> None:
    rows = batch([(place * HOUR, place % 10, "a") for place in range(96)])
    cutter = Cutter(BINS, seconds=HOUR, match=("hour_of_day",), every=4)
    cutter.add(rows)
    found = cutter.stretches()
    kept = np.floor(rows.times / HOUR) % 4 == 0
    assert found.rows.tolist() == [1] * int(kept.sum())
    assert found.counts["x"].sum(axis=0).tolist() == counted(pick(rows, kept), "x")
    assert cutter.seasons().rows.tolist() == [4] * 24
    # Four days: of each hour's rows every stretch holds a quarter.
    assert found.own_share() == pytest.approx(np.full(len(found), 0.25))


@EXAMPLES
@given(ROWS)
def test_profiles_that_are_taken_in_are_as_good_as_their_rows(listed: list[Any]) -> None:
    rows = batch(listed)
    by_rows, by_profiles = (Cutter(BINS, seconds=2 * HOUR, match=("hour_of_day",), every=2) for _ in range(2))
    by_rows.add(rows)
    hours = np.floor(rows.times / HOUR).astype(int)
    for hour in set(hours.tolist()):
        by_profiles.add_profile(hour // 2, hour % 24, profile_batch(pick(rows, hours == hour), BINS))
    one, other = by_rows.stretches(), by_profiles.stretches()
    assert one.rows.tolist() == other.rows.tolist()
    for name in BINS:
        assert one.counts[name].tolist() == other.counts[name].tolist()
        assert one.expected[name] == pytest.approx(other.expected[name])
        assert by_rows.seasons().counts[name].tolist() == by_profiles.seasons().counts[name].tolist()
    assert one.own_share() == pytest.approx(other.own_share())
    first, second = by_rows.whole(), by_profiles.whole()
    assert first is not None
    assert second is not None
    assert (first.rows, first.columns["c"].counts.tolist()) == (second.rows, second.columns["c"].counts.tolist())


def test_a_row_without_a_time_is_in_no_stretch_of_time() -> None:
    rows = batch([(0.0, 1.0, "a"), (math.nan, 2.0, "b"), (7 * HOUR, 3.0, "c")])
    for match in MATCHES:
        cutter = Cutter(BINS, seconds=HOUR, match=match)
        cutter.add(rows)
        found = cutter.stretches()
        assert (found.rows.tolist(), found.counts["x"].sum()) == ([1, 1], 2)
        if match:
            assert cutter.seasons().counts["c"].sum() == 2


def test_without_times_so_many_rows_in_their_order_make_a_stretch() -> None:
    cutter = Cutter(BINS, seconds=0.0, stretch_rows=4)
    rows = batch([(0.0, place, "a") for place in range(10)])
    for part in (slice(0, 3), slice(3, 9), slice(9, 10)):
        cutter.add(pick(rows, part))
    found = cutter.stretches()
    assert found.rows.tolist() == [4, 4, 2]
    for place in range(3):
        assert found.counts["x"][place].tolist() == counted(pick(rows, slice(4 * place, 4 * place + 4)), "x")


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("match", MATCHES, ids=" ".join)
def test_a_reference_built_in_chunks_is_the_one_built_at_once(match: tuple[str, ...]) -> None:
    draw = np.random.default_rng(7)
    rows = 5000
    times = START + draw.permutation(np.arange(rows) * 400.0)
    codes = objects([["a", "b", None][code] for code in draw.integers(0, 3, rows)])
    whole = EventBatch("1", times, {"x": np.round(draw.normal(0, 1, rows), 1), "c": codes})
    about: Any = {"window_seconds": DAY, "match": match}
    at_once = build_reference(whole, COLUMNS, fingerprint="f", version="1", **about)
    builder = ReferenceBuilder(COLUMNS, rows=rows, covered=float(times.max() - times.min()), **about)
    parts = [slice(start, start + 700) for start in range(0, rows, 700)]
    places = [builder.place(times[part]) for part in parts]
    for column in COLUMNS:
        values = whole.features[column.name]
        builder.add(column, lambda values=values: (Chunk(values[p], at) for p, at in zip(parts, places, strict=True)))
    in_chunks = builder.reference(fingerprint="f", version="1")
    assert at_once.stretches is not None
    assert in_chunks.stretches is not None
    assert in_chunks.rows == rows
    for name in BINS:
        assert in_chunks.profiles[name].counts.tolist() == at_once.profiles[name].counts.tolist()
        assert in_chunks.stretches.counts[name].tolist() == at_once.stretches.counts[name].tolist()
        if match:
            assert in_chunks.stretches.expected[name] == pytest.approx(at_once.stretches.expected[name])
            assert in_chunks.seasons is not None
            assert in_chunks.seasons.counts[name].sum(axis=0)[:-2].tolist() == at_once.profiles[name].counts.tolist()
    assert in_chunks.bins["x"].edges.tolist() == at_once.bins["x"].edges.tolist()  # type: ignore[union-attr]


def test_rows_that_are_cut_by_their_number_are_cut_in_order_of_time() -> None:
    """A span too short for windows of its own: what stands side by side in the file need not in time."""
    draw = np.random.default_rng(1)
    times = START + np.arange(1000.0)
    values = np.arange(1000.0)  # rises with time
    order = draw.permutation(1000)
    sorted_one, shuffled = (
        build_reference(
            EventBatch("1", times[places], {"x": values[places]}),
            COLUMNS[:1],
            fingerprint="f",
            version=None,
            window_seconds=DAY,
        ).stretches
        for places in (slice(None), order)
    )
    assert sorted_one is not None
    assert shuffled is not None
    assert shuffled.seconds == 0
    assert shuffled.counts["x"].tolist() == sorted_one.counts["x"].tolist()


def test_vectors_and_texts_are_columns_without_bins() -> None:
    columns = (Column("v", ColumnKind.VECTOR), COLUMNS[0], Column("t", ColumnKind.TEXT))
    rows = EventBatch("1", np.zeros(3), {"v": np.zeros((3, 2)), "x": np.arange(3.0), "t": objects(["a b", None, ""])})
    reference = build_reference(rows, columns, fingerprint="f", version=None, window_seconds=DAY)
    assert (reference.columns, set(reference.bins), reference.unusable) == (columns, {"x"}, {})


@pytest.mark.parametrize("values", [objects(["yes", None, "no", None]), np.array([1.0, math.nan, 2.0, math.nan])])
def test_the_rows_of_the_label_are_those_that_have_one(values: Any) -> None:
    kind = CATEGORICAL if values.dtype == object else NUMERIC
    columns = (Column("label", kind, role=Role.LABEL), COLUMNS[0])
    rows = EventBatch("1", np.zeros(4), {"label": values, "x": np.arange(4.0)})
    reference = build_reference(rows, columns, fingerprint="f", version=None, window_seconds=DAY)
    assert (reference.profiles["label"].rows, reference.profiles["label"].missing, reference.rows) == (2, 0, 4)
    assert reference.stretches is not None
    assert reference.stretches.counts["label"].sum() == 2
    assert reference.stretches.counts["x"].sum() == 4
