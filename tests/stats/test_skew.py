"""The statistics of skew against second opinions, and where there is nothing to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.spatial import distance

from monitor.records import Direction, NoData
from monitor.stats.distribution import STATISTIC as DISTRIBUTION
from monitor.stats.record_mismatch_ratio import STATISTIC as MISMATCH
from tests.stats.inputs import EXAMPLES, two_counts

NUMBERS = some.floats() | some.sampled_from([0.0, 1.0, 1.0 + 1e-9, float("nan")])


@EXAMPLES
@given(two_counts())
def test_the_share_in_other_bins_equals_scipys_distance(counts: tuple[Any, ...]) -> None:
    before, after = counts
    expected = distance.cityblock(before / before.sum(), after / after.sum()) / 2
    assert DISTRIBUTION.compute(before, after) == pytest.approx(expected, abs=1e-12)
    assert DISTRIBUTION.compute(before, before) == 0
    assert 0 <= DISTRIBUTION.compute(before, after) <= 1
    both = DISTRIBUTION.compute(np.stack([before, after]), np.stack([after, after]))
    assert both.tolist() == pytest.approx([expected, 0], abs=1e-12)


def test_rows_that_lie_elsewhere_altogether_are_a_share_of_one() -> None:
    assert DISTRIBUTION.compute(np.array([7, 0, 0]), np.array([0, 2, 2])) == 1.0
    with pytest.raises(NoData):
        DISTRIBUTION.compute(np.zeros(3), np.ones(3))


@EXAMPLES
@given(some.lists(some.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), some.sampled_from([0.0, 1e-6, 0.5]))
def test_numbers_differ_as_they_do_one_by_one(pairs: list[tuple[float, float]], tolerance: float) -> None:
    online, offline = (np.array(side) for side in zip(*pairs, strict=True))

    def differ(a: float, b: float) -> bool:
        if pd.isna(a) or pd.isna(b):
            return pd.isna(a) != pd.isna(b)
        if a == b:
            return False
        return bool(np.isinf([a, b]).any()) or abs(a - b) > tolerance * max(1.0, abs(b))

    expected = np.mean([differ(a, b) for a, b in pairs])
    assert MISMATCH.compute(online, offline, tolerance=tolerance) == pytest.approx(expected)


def test_names_differ_where_they_are_spelled_otherwise() -> None:
    online, offline = (np.array(side, dtype=object) for side in (["a", None, "1", None], ["a", None, "1.0", "b"]))
    assert MISMATCH.compute(online, offline) == MISMATCH.compute(online, offline, tolerance=9.0) == 0.5


def test_what_nothing_was_joined_of_is_no_data() -> None:
    with pytest.raises(NoData, match="no joined records"):
        MISMATCH.compute(np.empty(0), np.empty(0))


@pytest.mark.parametrize("statistic", [DISTRIBUTION, MISMATCH], ids=lambda each: each.name)
def test_more_is_worse_and_on_the_threshold_is_still_ok(statistic: Any) -> None:
    assert statistic.worse is Direction.HIGHER_IS_WORSE
    assert (statistic.family, statistic.low, statistic.high) == ("skew", 0.0, 1.0)
    assert statistic.is_breach(0.11, 0.1)
    assert not statistic.is_breach(0.1, 0.1)
