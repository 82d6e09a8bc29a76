"""Two profiles as histograms: what a statistic sees of them, against the values themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from monitor.profile import NumericBins, draw_bins, histogram_pair, profile_column
from monitor.records import ColumnKind
from tests.profile.columns import numeric

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(values: Any) -> NumericBins:
    bins = draw_bins(np.asarray(values, dtype=np.float64), ColumnKind.NUMERIC)
    assert isinstance(bins, NumericBins)
    return bins


@EXAMPLES
@given(numeric(min_size=1), numeric(min_size=1))
def test_counts_means_and_widths_are_those_of_the_values(reference: Any, current: Any) -> None:
    assume(np.isfinite(reference).any() and np.isfinite(current).any())
    bins = drawn(reference)
    pair = histogram_pair(profile_column(reference, bins), profile_column(current, bins), bins)
    finite = [side[np.isfinite(side)] for side in (reference, current)]
    low, high = min(side.min() for side in finite), max(side.max() for side in finite)
    bounds = np.concatenate([[min(low, bins.edges[0])], bins.edges, [max(high, bins.edges[-1])]])
    for side, held, found in zip((reference, current), finite, pair, strict=True):
        here = side[~np.isnan(side)]
        assert found.counts.tolist() == np.bincount(bins.place(here), minlength=len(bins)).tolist()
        assert found.widths.tolist() == (bounds[1:] - bounds[:-1]).tolist()
        assert found.spread == pytest.approx(np.std(finite[0]), rel=1e-9, abs=1e-9 * np.abs(finite[0]).max())
        places = bins.place(held)
        for place in range(len(bins)):
            inside = held[places == place]
            assert bounds[place] <= found.means[place] <= bounds[place + 1]
            if len(inside):
                expected = math.fsum(inside) / len(inside)
                assert found.means[place] == pytest.approx(expected, rel=1e-12, abs=1e-12 * np.abs(inside).max())


def test_an_empty_bin_has_the_other_sides_mean_and_one_that_is_empty_on_both_its_middle_or_edge() -> None:
    bins = NumericBins(np.array([0.0, 1.0, 2.0, 4.0]), np.zeros(5, dtype=np.int64), 0.0)
    one, other = profile_column(np.array([0.25, 1.5]), bins), profile_column(np.array([0.75, 0.5]), bins)
    reference, current = histogram_pair(one, other, bins)
    assert reference.means.tolist() == [0.0, 0.25, 1.5, 3.0, 4.0]
    assert current.means.tolist() == [0.0, 0.625, 1.5, 3.0, 4.0]
    assert reference.widths.tolist() == [0.0, 1.0, 1.0, 2.0, 0.0]


def test_the_mean_of_values_that_are_all_alike_lies_among_them() -> None:
    """Three times 0.1 is more than 0.3, and the mean of it more than the bin holds."""
    assert (0.1 + 0.1 + 0.1) / 3 > 0.1
    values = np.array([0.1] * 3)
    bins = drawn(values)
    reference, _ = histogram_pair(profile_column(values, bins), profile_column(values, bins), bins)
    assert reference.means[0] == 0.1


def test_infinities_count_and_weigh_nothing() -> None:
    bins = drawn(np.arange(100.0))
    current = profile_column(np.array([math.inf, 200.0, -math.inf, math.nan]), bins)
    _, found = histogram_pair(profile_column(np.arange(100.0), bins), current, bins)
    assert (found.counts[0], found.counts[-1], found.counts.sum()) == (1, 2, 3)
    assert found.means[-1] == 200.0
    assert np.isfinite(found.means).all()
    assert np.isfinite(found.widths).all()


@EXAMPLES
@given(some.floats(1e300, 1.7e308), some.floats(1e300, 1.7e308))
def test_the_largest_floats_have_means_inside_their_bins(one: float, other: float) -> None:
    values = np.array([one, -other, one, 0.0])
    bins = drawn(values)
    for found in histogram_pair(profile_column(values, bins), profile_column(values, bins), bins):
        assert (np.abs(found.means) <= 1.7e308).all()
