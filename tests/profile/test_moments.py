"""Sums, means and standard deviations are those of the values, however large and however close together these are."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.profile import draw_bins, merge, profile_batch, profile_column
from monitor.profile.column import RUN
from monitor.records import ColumnKind, EventBatch, NoData
from tests.profile.columns import as_coded, categorical, objects

NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@EXAMPLES
@given(
    some.lists(some.floats(-1, 1), min_size=2, max_size=60),
    some.floats(-1e9, 1e9),
    some.floats(1e-3, 1e3),
    some.lists(some.integers(1, 59), max_size=4),
)
def test_mean_and_spread_are_exact_however_far_from_zero_and_however_split(
    values: list[float], offset: float, scale: float, cuts: list[int]
) -> None:
    """Against exact rational arithmetic: nothing is lost of numbers around a billion that differ by thousandths."""
    column = np.array(values) * scale + offset
    bins = draw_bins(column, NUMERIC)
    ends = sorted({0, *(cut for cut in cuts if cut < len(column)), len(column)})
    whole = None
    for start, end in pairwise(ends):
        part = profile_column(column[start:end], bins)
        whole = part if whole is None else part + whole
    assert whole is not None
    exact = [float(value) for value in column]
    far = max(abs(value - bins.center) for value in exact)  # type: ignore[union-attr]
    assert whole.mean(bins) == pytest.approx(statistics.mean(exact), rel=1e-15, abs=1e-15 * far)  # type: ignore[arg-type]
    assert whole.spread() == pytest.approx(statistics.pstdev(exact), rel=1e-12, abs=max(1e-15 * far, 1e-150))


def test_a_window_far_from_its_reference_keeps_its_spread() -> None:
    """As after a change of units: its squares are about its own mean, not about the reference's."""
    bins = draw_bins(np.random.default_rng(0).normal(300, 5, 1000), NUMERIC)
    far = np.random.default_rng(1).normal(3e11, 5.0, 1000)
    parts = [profile_column(far[start : start + 100], bins) for start in range(0, 1000, 100)]
    assert sum(parts[1:], parts[0]).spread() == pytest.approx(statistics.pstdev(far.tolist()), rel=1e-5)


@pytest.mark.parametrize("value", [0.1, -3e11, 7.0])
def test_a_constant_has_no_spread_and_its_own_mean(value: float) -> None:
    bins = draw_bins(np.full(1000, value), NUMERIC)
    profile = profile_column(np.full(777, value), bins)
    assert (profile.spread(), profile.mean(bins)) == (0.0, value)  # type: ignore[arg-type]
    assert (profile + profile).spread() == 0.0


def test_the_mean_of_nothing_is_no_data() -> None:
    bins = draw_bins(np.arange(5.0), NUMERIC)
    nothing = profile_column(np.array([math.nan, math.inf]), bins)
    assert (nothing.finite, nothing.spread(), nothing.infinities) == (0, 0.0, (0, 1))
    with pytest.raises(NoData, match="got none"):
        nothing.mean(bins)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [RUN - 1, RUN, RUN + 1, 3 * RUN + 17])
def test_a_long_column_is_counted_as_any_other(rows: int) -> None:
    """Against looking up the bin of every value; long columns are sorted in pieces."""
    draw = np.random.default_rng(rows)
    values = np.where(draw.random(rows) < 0.3, 0.0, draw.normal(0, 1, rows))
    values[draw.random(rows) < 0.01] = math.nan
    values[:2] = math.inf, -math.inf
    bins = draw_bins(draw.normal(0, 1, 5000), NUMERIC)
    profile = profile_column(values, bins, absent=3, invalid=5)
    here = values[~np.isnan(values)]
    places = bins.place(here)  # type: ignore[union-attr]
    assert profile.counts.tolist() == np.bincount(places, minlength=len(bins)).tolist()
    assert (profile.missing, profile.absent, profile.unseen) == (int(np.isnan(values).sum()) - 5, 3, 5)
    finite = np.isfinite(here)
    for place in range(len(bins)):
        held = here[finite & (places == place)]
        assert profile.sums[place] == pytest.approx(math.fsum(held), rel=0, abs=1e-12 * math.fsum(np.abs(held)))
    assert (profile.low, profile.high) == (here[finite].min(), here[finite].max())


@EXAMPLES
@given(categorical(min_size=1), categorical(min_size=1))
def test_a_coded_column_counts_as_its_spelled_values(reference: Any, values: Any) -> None:
    if all(value is None for value in reference):
        reference = objects(["a"])
    bins = draw_bins(reference, CATEGORICAL)
    coded, spelled = profile_column(as_coded(values), bins, invalid=2), profile_column(values, bins, invalid=2)
    assert coded.counts.tolist() == spelled.counts.tolist()
    assert (coded.missing, coded.unseen, coded.rows) == (spelled.missing, spelled.unseen, spelled.rows)
    assert as_coded(values).spelled().tolist() == values.tolist()


def test_names_that_are_told_twice_by_a_coded_column_are_one_category() -> None:
    from monitor.records import Coded

    bins = draw_bins(objects(["a", "b"]), CATEGORICAL)
    twice = Coded(np.array([0, 1, 2, -1], dtype=np.int32), ("a", "b", "a"))
    assert profile_column(twice, bins).counts.tolist() == [2, 1]


def test_columns_may_be_profiled_side_by_side() -> None:
    from concurrent.futures import ThreadPoolExecutor

    draw = np.random.default_rng(0)
    features = {f"x{place}": draw.normal(place, 1, 10_000) for place in range(8)}
    rows = EventBatch("1", np.arange(10_000.0), features)
    bins = {name: draw_bins(values, NUMERIC) for name, values in features.items()}
    with ThreadPoolExecutor(2) as pool:
        beside = profile_batch(rows, bins, each=pool.map)
    alone = profile_batch(rows, bins)
    assert list(beside.columns) == list(alone.columns)
    for name, column in alone.columns.items():
        assert beside.columns[name].counts.tolist() == column.counts.tolist()
        assert beside.columns[name].sums.tolist() == column.sums.tolist()


def test_what_a_batch_does_not_hold_is_not_in_its_profile() -> None:
    """Such as the label, which comes later."""
    bins = {"x": draw_bins(np.arange(5.0), NUMERIC), "label": draw_bins(objects(["yes"]), CATEGORICAL)}
    parts = [profile_batch(EventBatch("1", np.zeros(2), {"x": np.zeros(2)}), bins) for _ in range(2)]
    merged = merge(parts)
    assert merged is not None
    assert set(merged.columns) == {"x"}
