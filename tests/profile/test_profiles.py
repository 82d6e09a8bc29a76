"""A profile counts every row once, and profiles add up: any split, any order."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from monitor.profile import Bins, Profile, clipped, comparable, draw_bins, merge, profile_batch, profile_column
from monitor.records import ColumnKind, EventBatch
from monitor.stats.psi import psi
from tests.profile.columns import KINDS, batch, numeric, objects

NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@some.composite
def reference_and_rows(draw: some.DrawFn, kind: str) -> tuple[Bins, Any]:
    column_kind, column = KINDS[kind]
    reference = draw(column(min_size=1))
    usable = np.isfinite(reference).any() if kind == "numeric" else any(value is not None for value in reference)
    assume(usable)
    return draw_bins(reference, column_kind), draw(column(min_size=1))


def slices(rows: int, cuts: list[int]) -> list[slice]:
    ends = sorted({min(cut, rows) for cut in cuts} | {rows} - {0})
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True) if end > start]


@pytest.mark.parametrize("kind", KINDS)
def test_any_split_merged_in_any_order_is_the_whole(kind: str) -> None:
    """Counts exactly; sums to 1e-12 of what was summed up."""

    @EXAMPLES
    @given(reference_and_rows(kind), some.lists(some.integers(1, 80), max_size=6), some.randoms(use_true_random=False))
    def holds(made: tuple[Bins, Any], cuts: list[int], random: Any) -> None:
        bins, values = made
        whole = profile_batch(batch(values), {"x": bins})
        times = np.arange(float(len(values)))
        parts = [
            profile_batch(EventBatch("1", times[cut], {"x": values[cut]}), {"x": bins})
            for cut in slices(len(values), cuts)
        ]
        random.shuffle(parts)
        merged = merge(parts)
        assert merged is not None
        assert (merged.rows, merged.first, merged.last) == (whole.rows, whole.first, whole.last)
        one, other = merged.columns["x"], whole.columns["x"]
        assert one.counts.tolist() == other.counts.tolist()
        assert (one.missing, one.absent, one.unseen, one.rows) == (
            other.missing, other.absent, other.unseen, len(values),
        )  # fmt: skip
        summed = 0.0 if kind == "categorical" else float(np.abs(values[np.isfinite(values)]).sum())
        assert one.sums == pytest.approx(other.sums, rel=0, abs=1e-12 * summed)
        assert (one.low, one.high, one.infinities) == (other.low, other.high, other.infinities)
        if kind == "numeric" and one.finite:
            away = np.abs(values[np.isfinite(values)] - bins.center)  # type: ignore[union-attr]
            assert one.mean(bins) == pytest.approx(other.mean(bins), rel=1e-12, abs=1e-12 * away.max())  # type: ignore[arg-type]
            assert one.spread() == pytest.approx(
                other.spread(), rel=1e-12, abs=1e-14 * away.max() if one.low < one.high else 0
            )

    holds()


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_counted_once_and_where_it_belongs(kind: str) -> None:
    @EXAMPLES
    @given(reference_and_rows(kind))
    def holds(made: tuple[Bins, Any]) -> None:
        bins, values = made
        profile = profile_column(values, bins)
        assert profile.rows == len(values)
        if kind == "numeric":
            assert profile.missing == sum(math.isnan(value) for value in values)
            assert profile.unseen == 0
        else:
            assert profile.missing == sum(value is None for value in values)
            known = set(bins.categories)  # type: ignore[union-attr]
            assert profile.unseen == sum(value is not None and value not in known for value in values)
        grouped = comparable(profile, bins)
        assert len(grouped) == bins.groups.max() + 3
        assert grouped.sum() == len(values)
        assert grouped[-2:].tolist() == [profile.missing, profile.unseen]

    holds()


def test_nothing_merges_to_nothing() -> None:
    assert merge([]) is None


def test_merging_leaves_the_parts_as_they_were() -> None:
    bins = draw_bins(np.arange(10.0), NUMERIC)
    first = profile_batch(batch(np.arange(5.0)), {"x": bins})
    counts, sums = first.columns["x"].counts.copy(), first.columns["x"].sums.copy()
    assert merge([first, first, first]) is not None
    assert np.array_equal(first.columns["x"].counts, counts)
    assert np.array_equal(first.columns["x"].sums, sums)


def test_infinities_belong_to_the_outer_bins_and_to_no_sum() -> None:
    bins = draw_bins(np.arange(100.0), NUMERIC)
    profile = profile_column(np.array([math.inf, -math.inf, math.nan, 5.0]), bins)
    assert (profile.counts[0], profile.counts[-1]) == (1, 1)
    assert profile.missing == 1
    assert profile.sums.sum() == 5
    assert np.isfinite(profile.sums).all()


@given(
    some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=40),
    some.lists(some.one_of(some.floats(-1e9, 1e9), some.sampled_from([np.nan, np.inf, -np.inf, 1e300])), max_size=60),
    some.integers(0, 60),
)
def test_a_clipped_profile_is_that_of_the_clipped_values(known: list[float], values: list[float], cut: int) -> None:
    bins = draw_bins(np.array(known), ColumnKind.NUMERIC)
    rows = np.array(values)
    whole = profile_column(rows[:cut], bins) + profile_column(rows[cut:], bins)
    assert whole.outside == (int((rows < min(known)).sum()), int((rows > max(known)).sum()))
    within = profile_column(np.clip(rows, min(known), max(known)), bins)
    # A bin holds its upper edge: what is clipped to one may be counted in the bin below.
    assert clipped(whole).counts.sum() == within.counts.sum()
    assert clipped(whole).sums.sum() == pytest.approx(within.sums.sum(), rel=1e-12, abs=1e-6)
    assert (clipped(whole).infinities, within.outside) == ((0, 0), (0, 0))


def test_text_in_a_numeric_column_is_unseen_and_not_missing() -> None:
    bins = draw_bins(np.arange(10.0), NUMERIC)
    profile = profile_column(np.array([1.0, math.nan, math.nan, math.nan]), bins, absent=1, invalid=2)
    assert (profile.missing, profile.absent, profile.unseen, profile.rows) == (1, 1, 2, 4)


def test_a_category_that_is_called_like_nothing_is_a_category() -> None:
    bins = draw_bins(objects(["None", "nan", ""]), CATEGORICAL)
    profile = profile_column(objects(["None", "nan", "", None]), bins)
    assert profile.counts.tolist() == [1, 1, 1]
    assert (profile.missing, profile.unseen) == (1, 0)


def test_truth_values_are_numbers_in_a_numeric_column() -> None:
    bins = draw_bins(np.array([False, True, True]), NUMERIC)
    counts = profile_column(np.array([True, False, True, True]), bins).counts
    assert (counts[0], counts[-2], counts[-1]) == (1, 3, 0)


def test_a_column_without_bins_is_left_out_of_the_profile() -> None:
    rows = EventBatch("1", np.array([3.0, 1.0]), {"x": np.array([1.0, 2.0]), "other": np.array([1.0, 2.0])})
    profile = profile_batch(rows, {"x": draw_bins(np.array([1.0]), NUMERIC)})
    assert set(profile.columns) == {"x"}
    assert (profile.first, profile.last) == (1.0, 3.0)
    assert profile_batch(rows, {}) == Profile(2, 1.0, 3.0, {})


# --- PSI by way of profiles -------------------------------------------------------------------------------------------


def direct_psi(reference: Any, current: Any) -> float:
    """PSI from raw values on the deciles of the reference, bins (a, b], missing values a bin of their own; floor 1e-4."""
    finite = reference[np.isfinite(reference)]
    deciles = sorted(set(np.quantile(finite, np.arange(1, 10) / 10).tolist()))

    def shares(values: Any) -> list[float]:
        present = [value for value in values.tolist() if not math.isnan(value)]
        below = [0, *(sum(value <= decile for value in present) for decile in deciles), len(present)]
        counts = [high - low for low, high in pairwise(below)]
        counts.append(len(values) - len(present))
        return [max(count / len(values), 1e-4) for count in counts]

    return sum((q - p) * math.log(q / p) for p, q in zip(shares(reference), shares(current), strict=True))


@EXAMPLES
@given(numeric(min_size=1), numeric(min_size=1))
def test_psi_by_way_of_profiles_equals_psi_from_raw_values(reference: Any, current: Any) -> None:
    assume(np.isfinite(reference).any())
    bins = draw_bins(reference, NUMERIC)
    one, other = (comparable(profile_column(values, bins), bins) for values in (reference, current))
    assert psi(one, other) == pytest.approx(direct_psi(reference, current), rel=1e-12, abs=1e-12)


# What the data sets' own READMEs say has drifted, cell by cell.
BIKES = """
month   temp season cnt
2011-02 0.85 0      0.12
2011-03 2.80 3.07   0.29
2011-06 8.73 18.4   1.90
2012-01 0.75 0      0.78
2012-09 8.73 18.4   2.30
"""
ELEC2 = """
quarter nswprice vicdemand transfer
1996Q3  0.21     0         0
1997Q1  0.13     0         0
1997Q2  0.57     2.85      4.57
1997Q3  2.79     5.48      7.61
1998Q1  4.31     3.28      10.38
1998Q3  0.14     6.50      9.10
"""


def cells(table: str) -> list[tuple[str, str, str]]:
    head, *rows = (line.split() for line in table.strip().splitlines())
    return [(row[0], name, said) for row in rows for name, said in zip(head[1:], row[1:], strict=True)]


def assert_published(reference: Any, current: Any, published: str) -> None:
    """The PSI, to as many decimals as were published."""
    reference, current = reference.to_numpy(dtype=float), current.to_numpy(dtype=float)
    bins = draw_bins(reference, NUMERIC)
    value = psi(*(comparable(profile_column(values, bins), bins) for values in (reference, current)))
    decimals = 2 if published == "0" else len(published.partition(".")[2])
    assert f"{value:.{decimals}f}" == f"{float(published):.{decimals}f}"
    assert value == pytest.approx(direct_psi(reference, current), rel=1e-12, abs=1e-12)


@pytest.fixture(scope="module")
def bikes(shared_data: Path) -> pd.DataFrame:
    columns = ["timestamp", "temp", "season", "cnt"]
    return pd.read_parquet(shared_data / "bike_sharing" / "bike_hour.parquet", columns=columns).set_index("timestamp")


@pytest.fixture(scope="module")
def elec2(shared_data: Path) -> pd.DataFrame:
    columns = ["timestamp", "nswprice", "vicdemand", "transfer"]
    return pd.read_parquet(shared_data / "elec2" / "elec2.parquet", columns=columns)


@pytest.mark.parametrize(("month", "column", "published"), cells(BIKES))
def test_psi_of_the_bikes_is_what_the_data_set_says_of_itself(
    bikes: pd.DataFrame, month: str, column: str, published: str
) -> None:
    """Against 2011-01-01 to 28; the season as the number it is."""
    assert_published(bikes.loc["2011-01-01":"2011-01-28", column], bikes.loc[month, column], published)


@pytest.mark.parametrize(("quarter", "column", "published"), cells(ELEC2))
def test_psi_of_the_electricity_is_what_the_data_set_says_of_itself(
    elec2: pd.DataFrame, quarter: str, column: str, published: str
) -> None:
    """Against the first 30 % of the rows, in which what Victoria said is constant."""
    reference, rows = elec2.iloc[:13593], elec2.timestamp.dt.to_period("Q").astype(str) == quarter
    assert_published(reference[column], elec2.loc[rows, column], published)
