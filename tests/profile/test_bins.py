"""Bins are drawn from the reference alone and never move."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from monitor.profile import (
    CategoricalBins,
    NumericBins,
    build_reference,
    comparable,
    draw_bins,
    profile_column,
    same_bins,
)
from monitor.profile.bins import CATEGORIES, CATEGORY_GROUPS, FINE, GROUPS, categorical_bins, numeric_bins
from monitor.profile.frequent import Frequent
from monitor.records import Column, ColumnKind, NoData
from tests.profile.columns import KINDS, TIDY, as_coded, batch, categorical, many_valued, numeric, objects

NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(values: Any) -> NumericBins:
    bins = draw_bins(np.array(values, dtype=np.float64), NUMERIC)
    assert isinstance(bins, NumericBins)
    return bins


@EXAMPLES
@given(many_valued())
def test_edges_are_the_fiftieths_of_the_reference_each_once_and_none_dropped(values: Any) -> None:
    """Those that equal its maximum are edges like the others: what lies above it has a bin of its own then."""
    finite = values[np.isfinite(values)]
    bins = drawn(values)
    assert bins.edges.tolist() == sorted({float(np.quantile(finite, place / 50)) for place in range(1, 50)})
    assert len(bins) == len(bins.edges) + 1 <= FINE
    assert profile_column(finite, bins).counts.sum() == len(finite)


@EXAMPLES
@given(numeric(min_size=1))
def test_of_at_most_fifty_different_values_each_has_a_bin_of_its_own(values: Any) -> None:
    """And what lies above all of them has one too; the deciles are edges all the same."""
    finite = values[np.isfinite(values)]
    different = np.unique(finite)
    assume(0 < len(different) <= FINE)
    bins = drawn(values)
    held = profile_column(different, bins).counts
    assert held.max() == 1
    assert held.sum() == len(different)
    assert profile_column(np.array([math.inf]), bins).counts[bins.place(different)].sum() == 0
    assert set(np.quantile(finite, np.arange(1, 10) / 10).tolist()) <= set(bins.edges.tolist())
    assert len(bins) <= FINE + GROUPS


@EXAMPLES
@given(numeric(min_size=1), numeric())
def test_the_groups_of_any_rows_are_those_of_the_deciles_alone(values: Any, rows: Any) -> None:
    """However many fine bins there are: PSI and its kin do not see them."""
    finite = values[np.isfinite(values)]
    assume(len(finite))
    bins = drawn(values)
    deciles = np.unique(np.quantile(finite, np.arange(1, 10) / 10))
    expected = [0] * (len(deciles) + 1)
    for value in rows[~np.isnan(rows)]:
        expected[sum(bool(value > decile) for decile in deciles)] += 1
    found = comparable(profile_column(rows, bins), bins)[:-2].tolist()
    # A last group that no edge parts from the one before holds nothing.
    assert found + [0] * (len(expected) - len(found)) == expected


@EXAMPLES
@given(numeric(min_size=1))
def test_groups_are_runs_of_fine_bins_cut_at_the_deciles(values: Any) -> None:
    finite = values[np.isfinite(values)]
    assume(len(finite))
    bins = drawn(values)
    deciles = set(np.quantile(finite, np.arange(1, 10) / 10).tolist())
    assert bins.groups[0] == int(bins.edges[0] > min(deciles)) == 0
    assert set(np.diff(bins.groups).tolist()) <= {0, 1}
    cuts = {edge for edge, step in zip(bins.edges.tolist(), np.diff(bins.groups).tolist(), strict=True) if step}
    assert cuts == deciles
    assert len(bins.group_names()) == bins.groups.max() + 1 <= GROUPS


@EXAMPLES
@given(numeric(min_size=1), some.lists(TIDY, min_size=1, max_size=20))
def test_a_bin_holds_its_upper_edge_and_not_its_lower_one(values: Any, others: list[float]) -> None:
    assume(np.isfinite(values).any())
    bins = drawn(values)
    edges = bins.edges.tolist()
    for value in [*others, *edges, math.inf, -math.inf]:
        place = int(bins.place(np.array([value]))[0])
        assert place == 0 or edges[place - 1] < value
        assert place == len(edges) or value <= edges[place]


@EXAMPLES
@given(numeric(min_size=1), numeric())
def test_what_comes_later_never_moves_the_bins(values: Any, later: Any) -> None:
    assume(np.isfinite(values).any())
    bins = drawn(values)
    edges, groups = bins.edges.copy(), bins.groups.copy()
    profile_column(later, bins)
    assert np.array_equal(bins.edges, edges)
    assert np.array_equal(bins.groups, groups)
    again = drawn(values[np.random.default_rng(0).permutation(len(values))])
    assert np.array_equal(again.edges, edges)


def test_a_thousand_different_values_make_fifty_bins_of_equal_share() -> None:
    values = np.arange(1000.0)
    bins = drawn(values)
    assert len(bins) == 50
    assert set(profile_column(values, bins).counts.tolist()) == {20}
    assert np.bincount(bins.groups).tolist() == [5] * 10


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([7.0] * 30, [30]),
        ([3.0], [1]),
        ([0.0, 1.0] * 20, [20, 20]),
        ([1.0, 2.0, 3.0, 4.0] * 25, [25, 25, 25, 25]),
        ([0.0] * 90 + [1.0, 2.0, 3.0, 4.0, 5.0] * 2, [90, 2, 2, 2, 2, 2]),
    ],
)
def test_values_that_many_rows_share_are_not_mixed(values: list[float], counts: list[int]) -> None:
    """Interpolation may draw an edge between two ties; such a bin is empty in the reference."""
    found = profile_column(np.array(values), drawn(values)).counts
    assert found[found > 0].tolist() == counts


@pytest.mark.parametrize("rows", [1, 2, 300])
def test_a_constant_column_has_two_bins_up_to_its_value_and_above_it(rows: int) -> None:
    """So a rise of what never moved is seen."""
    bins = drawn([7.0] * rows)
    assert (bins.edges.tolist(), bins.groups.tolist()) == ([7.0], [0, 1])
    assert profile_column(np.array([7.0, 6.0, 7.1, 9.0, 9.0]), bins).counts.tolist() == [2, 3]


def test_what_lies_above_a_maximum_that_many_rows_share_is_not_mixed_with_it() -> None:
    bins = drawn([0.0] * 50 + [1.0] * 50)
    assert bins.edges.tolist()[-1] == 1.0
    assert profile_column(np.array([1.0, 1.0, 2.0]), bins).counts.tolist()[-2:] == [2, 1]
    assert bins.groups[-1] == bins.groups[-2] + 1


def test_only_what_is_finite_draws_bins() -> None:
    assert drawn([math.nan, 1.0, math.inf, 2.0, -math.inf]).edges.tolist() == drawn([1.0, 2.0]).edges.tolist()


def test_zeros_in_plenty_have_a_bin_that_holds_nothing_above_them() -> None:
    values = np.array([0.0] * 900 + list(np.linspace(0.01, 1, 100)))
    bins = drawn(values)
    assert profile_column(values, bins).counts[0] == 900
    assert bins.edges[0] == 0


@pytest.mark.parametrize("values", [[], [math.nan], [math.nan, math.inf, -math.inf]])
def test_a_column_without_a_finite_value_has_no_bins(values: list[float]) -> None:
    with pytest.raises(NoData, match="no value"):
        drawn(values)


def test_the_largest_floats_still_draw_finite_bins() -> None:
    bins = drawn([-1.7e308, 0.0, 1.7e308])
    assert np.isfinite(bins.edges).all()
    assert np.all(np.diff(bins.edges) > 0)


def test_categories_stand_by_falling_frequency_and_ties_by_name() -> None:
    bins = draw_bins(objects(["b", "a", None, "c", "c"]), CATEGORICAL)
    assert isinstance(bins, CategoricalBins)
    assert bins.categories == ("c", "a", "b")
    assert bins.group_names() == ["c", "a", "b"]


def test_categories_too_many_to_stand_alone_are_one_group() -> None:
    values = objects([f"{number:04}" for number in range(80) for _ in range(80 - number)])
    bins = draw_bins(values, CATEGORICAL)
    names = bins.group_names()
    assert len(bins) == 80
    often = [f"{number:04}" for number in range(80) if 80 - number >= len(values) / 100]
    assert names == [*often, "other"]
    assert len(often) == 48


def test_of_many_categories_that_are_alike_none_stands_alone_for_its_luck() -> None:
    draws = np.random.default_rng(1).integers(0, 800, size=10_000)
    bins = draw_bins(objects([f"{number:03}" for number in draws]), CATEGORICAL)
    assert bins.group_names() == ["other"]


def test_a_hundred_categories_at_most_stand_alone() -> None:
    values = objects([f"{number:03}" for number in range(100)] * 3)
    assert len(draw_bins(values, CATEGORICAL).group_names()) == CATEGORY_GROUPS - 1


def test_a_column_of_more_categories_than_are_told_apart_has_one_bin_for_the_rest() -> None:
    """And then nothing is unseen: nobody knows any more which ones the reference had."""
    often = [f"often{number:04}" for number in range(CATEGORIES)]
    values = objects([*often, *often, "rare", "rarer"])
    bins = draw_bins(values, CATEGORICAL)
    assert isinstance(bins, CategoricalBins)
    assert set(bins.categories) == set(often)
    assert (bins.has_rest, len(bins)) == (True, CATEGORIES + 1)
    assert bins.group_names() == ["other"]
    own = profile_column(values, bins)
    assert (own.counts[-1], own.counts.sum(), own.unseen) == (2, len(values), 0)
    later = profile_column(objects(["often0000", "rare", "never heard of", None]), bins)
    assert (later.counts[0], later.counts[-1], later.unseen, later.missing, later.rows) == (1, 2, 0, 1, 4)


def test_as_many_categories_as_are_told_apart_have_no_rest() -> None:
    often = objects([f"{number:04}" for number in range(CATEGORIES)])
    bins = draw_bins(often, CATEGORICAL)
    assert isinstance(bins, CategoricalBins)
    assert (bins.has_rest, len(bins)) == (False, CATEGORIES)
    later = profile_column(objects(["0000", "never heard of"]), bins)
    assert (later.counts.sum(), later.unseen) == (1, 1)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_a_categorical_column_without_a_value_has_no_bins(values: list[None]) -> None:
    with pytest.raises(NoData, match="no value"):
        draw_bins(objects(values), CATEGORICAL)


@pytest.mark.parametrize("kind", KINDS)
def test_bins_are_the_same_only_where_every_row_falls_alike(kind: str) -> None:
    column_kind, column = KINDS[kind]

    @EXAMPLES
    @given(column(min_size=1), column(min_size=1))
    def holds(one: Any, other: Any) -> None:
        try:
            first, second = ({"x": draw_bins(values, column_kind)} for values in (one, other))
        except NoData:
            assume(False)
        assert same_bins(first, {"x": draw_bins(one, column_kind)})
        assert not same_bins(first, {**first, "y": first["x"]})
        if same_bins(first, second):
            rows = np.concatenate([one, other])
            assert profile_column(rows, first["x"]).counts.tolist() == profile_column(rows, second["x"]).counts.tolist()

    holds()


@EXAMPLES
@given(categorical(min_size=1))
def test_a_coded_column_draws_the_bins_of_its_spelled_values(values: Any) -> None:
    assume(any(value is not None for value in values))
    coded, spelled = draw_bins(as_coded(values), CATEGORICAL), draw_bins(values, CATEGORICAL)
    assert same_bins({"x": coded}, {"x": spelled})
    assert coded.groups.tolist() == spelled.groups.tolist()


@EXAMPLES
@given(some.lists(some.lists(some.integers(0, 40), max_size=30), max_size=8), some.integers(5, 60))
def test_counts_of_frequent_categories_fall_short_by_no_more_than_promised(batches: list[list[int]], most: int) -> None:
    found, truth = Frequent(most), Counter[str]()
    for rows in batches:
        found.add(objects([str(code) for code in rows]))
        truth.update(str(code) for code in rows)
    if len(truth) <= most:
        assert found.counts == truth
    for name, rows in truth.items():
        assert rows - truth.total() / most <= found.counts.get(name, 0) <= rows


def test_a_column_in_which_every_row_has_a_name_of_its_own_still_has_categories_and_a_rest() -> None:
    found = Frequent(most=5000)
    for start in range(0, 30_000, 3000):
        found.add(objects([f"{number:06}" for number in range(start, start + 3000)]))
    bins = categorical_bins(found.counts)
    assert (bins.has_rest, len(bins)) == (True, CATEGORIES + 1)


def test_a_reference_without_rows_is_no_data() -> None:
    with pytest.raises(NoData, match="no rows"):
        build_reference(batch(np.empty(0)), (Column("x", NUMERIC),), fingerprint="f", version=None, window_seconds=60.0)


def test_an_empty_column_of_the_reference_stops_no_other_one() -> None:
    whole = batch(np.array([1.0, 2.0]))
    whole = type(whole)("1", whole.times, {"x": whole.features["x"], "empty": np.full(2, np.nan)})
    columns = (Column("empty", NUMERIC), Column("x", NUMERIC))
    reference = build_reference(whole, columns, fingerprint="f", version="1", window_seconds=60.0)
    assert set(reference.bins) == {"x"} == set(reference.profiles)
    assert reference.unusable == {"empty": "the reference has no value in this column"}
    assert reference.rows == 2


def test_values_too_large_to_be_added_up_have_a_center_all_the_same() -> None:
    huge = np.sort(np.tile([-1.7e308, 1.7e308], 500))
    assert np.isfinite(numeric_bins(huge).center)
