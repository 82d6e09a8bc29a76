"""What every statistic must hold. They are found by themselves; a new one needs an oracle in `oracles.py` and nothing here."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from monitor.profile import histogram_pair, profile_column
from monitor.records import Direction, Histogram, NoData
from tests.stats.binned import arrays_of, bins_of, column, stacked, two_histograms
from tests.stats.inputs import (
    DRIFT,
    EVERY,
    EXAMPLES,
    ON_COUNTS,
    ON_HISTOGRAMS,
    ORDERLESS,
    WITHOUT_FLOOR,
    inputs,
    two_counts,
    weighted_counts,
)
from tests.stats.oracles import BY_HAND, ORACLES, Inputs

every_statistic = pytest.mark.parametrize("name", EVERY)


def score(name: str, data: Inputs) -> float:
    return EVERY[name].compute(*data[0], **data[1])


def test_every_statistic_has_a_second_opinion() -> None:
    assert set(ORACLES) == set(EVERY)
    assert {name for name, _, _ in BY_HAND} == set(EVERY)


@every_statistic
def test_a_statistic_is_called_as_its_file_is(name: str) -> None:
    assert EVERY[name].name == name


@every_statistic
def test_a_statistic_equals_its_second_opinion(name: str) -> None:
    @EXAMPLES
    @given(inputs(EVERY[name]))
    def holds(data: Inputs) -> None:
        oracle = ORACLES[name]
        relative, absolute = oracle.within
        assert score(name, data) == pytest.approx(oracle.value(*data[0], **data[1]), rel=relative, abs=absolute)

    holds()


@pytest.mark.parametrize(("name", "data", "value"), BY_HAND, ids=lambda part: part if isinstance(part, str) else "")
def test_a_statistic_equals_what_is_worked_out_by_hand(name: str, data: Inputs, value: float) -> None:
    assert score(name, data) == pytest.approx(value, rel=1e-12, abs=1e-15)


@every_statistic
def test_a_score_is_finite_and_within_its_declared_bounds(name: str) -> None:
    statistic = EVERY[name]

    @EXAMPLES
    @given(inputs(statistic))
    def holds(data: Inputs) -> None:
        value = score(name, data)
        assert type(value) is float
        assert math.isfinite(value)
        assert statistic.low <= value <= statistic.high

    holds()


@every_statistic
def test_inputs_stay_untouched(name: str) -> None:
    @EXAMPLES
    @given(inputs(EVERY[name]))
    def holds(data: Inputs) -> None:
        arrays = [array for side in data[0] for array in arrays_of(side)]
        before = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = False
        score(name, data)
        assert all(np.array_equal(old, new) for old, new in zip(before, arrays, strict=True))

    holds()


@pytest.mark.parametrize("name", ORDERLESS)
def test_rows_in_another_order_score_the_same(name: str) -> None:
    """Rows of performance; bins of drift, unless their order means something to the statistic."""

    @EXAMPLES
    @given(inputs(EVERY[name]), some.randoms(use_true_random=False))
    def holds(data: Inputs, random: Any) -> None:
        order = list(range(len(data[0][0])))
        random.shuffle(order)
        shuffled = tuple(array[order] for array in data[0])
        assert score(name, (shuffled, {})) == pytest.approx(score(name, data), rel=1e-12, abs=1e-12)

    holds()


@pytest.mark.parametrize("name", ON_COUNTS)
def test_identical_counts_have_not_drifted(name: str) -> None:
    @EXAMPLES
    @given(two_counts(), some.integers(1, 50))
    def holds(counts: tuple[Any, ...], times: int) -> None:
        assert EVERY[name].compute(counts[0], counts[0]) == 0
        # The same shares of more rows are the same distribution, to rounding.
        assert EVERY[name].compute(counts[0], counts[0] * times) == pytest.approx(0, abs=1e-12)

    holds()


@pytest.mark.parametrize("name", ON_HISTOGRAMS)
def test_identical_histograms_have_not_drifted(name: str) -> None:
    @EXAMPLES
    @given(two_histograms(), some.integers(1, 50))
    def holds(sides: tuple[Histogram, Histogram], times: int) -> None:
        more = replace(sides[0], counts=sides[0].counts * times)
        assert EVERY[name].compute(sides[0], sides[0]) == EVERY[name].compute(sides[0], more) == 0

    holds()


@pytest.mark.parametrize("name", ON_COUNTS)
def test_counts_along_leading_axes_score_as_each_row_does(name: str) -> None:
    @EXAMPLES
    @given(some.lists(weighted_counts(), min_size=2, max_size=4), some.integers(2, 6))
    def holds(rows: list[tuple[Any, ...]], bins: int) -> None:
        # The last bin takes in what goes beyond it, so that all rows have the same bins.
        fitted = [
            tuple(np.bincount(np.minimum(np.arange(len(side)), bins), side, bins + 1) for side in row) for row in rows
        ]
        references, windows = (np.stack(side) for side in zip(*fitted, strict=True))
        compute = EVERY[name].compute
        each = pytest.approx([compute(*row) for row in fitted], rel=1e-12, abs=1e-12)
        assert compute(references, windows).tolist() == each
        assert compute(references[:, None], windows[:, None]).ravel().tolist() == each
        against_one = [compute(references[0], window) for window in windows]
        assert compute(references[0], windows).tolist() == pytest.approx(against_one, rel=1e-12, abs=1e-12)

    holds()


@pytest.mark.parametrize("name", ON_HISTOGRAMS)
def test_histograms_along_leading_axes_score_as_each_row_does(name: str) -> None:
    @EXAMPLES
    @given(column(finite=True), some.lists(column(), min_size=4, max_size=4))
    def holds(reference: Any, columns: list[Any]) -> None:
        bins = bins_of(reference)
        whole, *drawn = (profile_column(values, bins) for values in (reference, *columns))
        pairs = [histogram_pair(whole, each, bins) for each in drawn]
        widths = np.max([window.widths for _, window in pairs], axis=0)  # the ends of all of them
        one, windows = (replace(pairs[0][0], widths=widths), [replace(window, widths=widths) for _, window in pairs])
        compute = EVERY[name].compute
        against_one = pytest.approx([compute(one, window) for window in windows], rel=1e-12, abs=1e-12)
        assert compute(one, stacked(windows)).tolist() == against_one
        # References of other rows, too, as they come from resampling one: windows 0 and 1 against windows 2 and 3.
        others = [replace(window, spread=one.spread) for window in windows]
        each = pytest.approx([compute(others[0], others[2]), compute(others[1], others[3])], rel=1e-12, abs=1e-12)
        assert compute(stacked(others[:2]), stacked(others[2:])).tolist() == each
        # Means that all repetitions share.
        shared = replace(stacked(windows), means=one.means)
        alike = [compute(one, replace(window, means=one.means)) for window in windows]
        assert compute(one, shared).tolist() == pytest.approx(alike, rel=1e-12, abs=1e-12)

    holds()


@every_statistic
def test_empty_input_is_no_data(name: str) -> None:
    statistic = EVERY[name]
    nothing, ten, both = np.zeros(3, dtype=np.int64), np.array([1, 2, 7]), np.array([[1, 2, 7], [0, 0, 0]])
    empty: list[Inputs] = {
        "drift": [((nothing, nothing), {}), ((ten, nothing), {}), ((nothing, ten), {}), ((ten, both), {})],
        "performance": [((np.empty(0), np.empty(0)), {})],
        "quality": [((), {"rows": 0, "missing": 0, "absent": 0, "unseen": 0})],
    }[statistic.family]
    if statistic.needs == "histogram":
        empty = [(tuple(Histogram(side, np.arange(3.0), np.ones(3), 1.0) for side in data), {}) for data, _ in empty]
    if statistic.needs == "verdicts":
        empty = [((np.empty(0), np.empty(0, dtype=bool)), {}), ((np.zeros(2), np.ones(2, dtype=bool)), {})]
    for data in empty:
        with pytest.raises(NoData, match=r"^no "):
            score(name, data)


@every_statistic
def test_the_declared_direction_is_the_one_in_which_it_gets_worse(name: str) -> None:
    statistic = EVERY[name]
    values = [score(name, data) for data in ORACLES[name].worse]
    for better, worse in pairwise(values):
        assert statistic.is_breach(worse, better)
        assert not statistic.is_breach(better, worse)


@every_statistic
def test_on_the_threshold_is_still_ok(name: str) -> None:
    statistic = EVERY[name]
    for value in (0.0, 0.2, 1.0):
        assert not statistic.is_breach(value, value)
        above, below = math.nextafter(value, math.inf), math.nextafter(value, -math.inf)
        higher = statistic.worse is Direction.HIGHER_IS_WORSE
        assert statistic.is_breach(above, value) is higher
        assert statistic.is_breach(below, value) is not higher


@every_statistic
def test_defaults_lie_within_the_bounds(name: str) -> None:
    statistic = EVERY[name]
    if statistic.default_threshold is None:
        assert statistic.family != "quality"  # there alone everybody knows what is not good enough
    else:
        assert statistic.low <= statistic.default_threshold <= statistic.high
    if statistic.default_material is not None:
        assert statistic.low < statistic.default_material <= (statistic.default_threshold or statistic.high)
    if name in DRIFT:
        assert (statistic.default_material is None) is (name in WITHOUT_FLOOR)


@pytest.mark.parametrize("name", DRIFT)
def test_a_null_distribution_fits_what_the_statistic_is_computed_on(name: str) -> None:
    statistic = EVERY[name]
    assert statistic.needs == {"g_test": "counts", "kolmogorov": "histogram"}.get(statistic.null, statistic.needs)
    assert (statistic.exact is not None) is (statistic.needs == "histogram")
