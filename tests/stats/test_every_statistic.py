"""What every statistic must hold. They are found by themselves; a new one needs an oracle in `oracles.py` and nothing here."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor import registry
from monitor.records import Direction, NoData, Statistic
from tests.stats.oracles import BY_HAND, ORACLES, Inputs

EVERY = {name: registry.load("statistic", name).STATISTIC for name in registry.known("statistic")}
QUALITY = [name for name, statistic in EVERY.items() if statistic.family == "quality"]
DRIFT = [name for name, statistic in EVERY.items() if statistic.family == "drift"]
ORDERLESS = [name for name, oracle in ORACLES.items() if name in EVERY and name not in QUALITY and not oracle.ordered]
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

every_statistic = pytest.mark.parametrize("name", EVERY)


@some.composite
def two_counts(draw: some.DrawFn) -> tuple[Any, ...]:
    """Rows per bin of a reference and of a window; at least one row in each, empty bins among them."""
    bins = draw(some.integers(1, 8))
    rows = some.lists(some.integers(0, 1000) | some.just(0), min_size=bins, max_size=bins).filter(any)
    return np.array(draw(rows), dtype=np.int64), np.array(draw(rows), dtype=np.int64)


@some.composite
def two_columns(draw: some.DrawFn, values: some.SearchStrategy[Any], dtype: Any) -> tuple[Any, ...]:
    pairs = draw(some.lists(some.tuples(values, values), min_size=1, max_size=30))
    return tuple(np.array(column, dtype=dtype) for column in zip(*pairs, strict=True))


@some.composite
def quality_counts(draw: some.DrawFn) -> dict[str, int]:
    rows = draw(some.integers(1, 10_000))
    missing = draw(some.integers(0, rows))
    return {
        "rows": rows,
        "missing": missing,
        "absent": draw(some.integers(0, missing)),
        "unseen": draw(some.integers(0, rows - missing)),
    }


def inputs(statistic: Statistic) -> some.SearchStrategy[Inputs]:
    """Whatever a statistic of this family may be given."""
    if statistic.family == "quality":
        return quality_counts().map(lambda counts: ((), counts))
    if statistic.family == "drift":
        return two_counts().map(lambda arrays: (arrays, {}))
    if "regression" in statistic.applies_to:
        numbers = some.floats(-1e6, 1e6, allow_nan=False)
        return two_columns(numbers, np.float64).map(lambda arrays: (arrays, {}))
    return two_columns(some.sampled_from(["0", "1", "up"]), object).map(lambda arrays: (arrays, {}))


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
        assert score(name, data) == pytest.approx(ORACLES[name].value(*data[0], **data[1]), rel=1e-12, abs=1e-12)

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
        before = [array.copy() for array in data[0]]
        for array in data[0]:
            array.flags.writeable = False
        score(name, data)
        assert all(np.array_equal(old, new) for old, new in zip(before, data[0], strict=True))

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


@pytest.mark.parametrize("name", DRIFT)
def test_identical_input_has_not_drifted(name: str) -> None:
    @EXAMPLES
    @given(two_counts(), some.integers(1, 50))
    def holds(counts: tuple[Any, ...], times: int) -> None:
        assert EVERY[name].compute(counts[0], counts[0]) == 0
        # The same shares of more rows are the same distribution, to rounding.
        assert EVERY[name].compute(counts[0], counts[0] * times) == pytest.approx(0, abs=1e-12)

    holds()


@every_statistic
def test_empty_input_is_no_data(name: str) -> None:
    family = EVERY[name].family
    nothing, ten = np.zeros(3, dtype=np.int64), np.array([1, 2, 7])
    empty: list[Inputs] = {
        "drift": [((nothing, nothing), {}), ((ten, nothing), {}), ((nothing, ten), {})],
        "performance": [((np.empty(0), np.empty(0)), {})],
        "quality": [((), {"rows": 0, "missing": 0, "absent": 0, "unseen": 0})],
    }[family]
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
def test_a_default_threshold_lies_within_the_bounds(name: str) -> None:
    statistic = EVERY[name]
    if statistic.default_threshold is None:
        assert statistic.family == "performance"  # only there nobody can know what is good enough
    else:
        assert statistic.low <= statistic.default_threshold <= statistic.high
