"""The statistics of predicted numbers: scikit-learn as the second opinion, and what they say of odd rows."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.records import Direction, NoData, Statistic
from monitor.stats import bias, mae, mape, median_ae, pinball, r2, rmse, smape, wape
from monitor.stats._outcomes import NumericOutcomes

pytestmark = pytest.mark.slow

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MODULES: list[Any] = [mae, rmse, median_ae, mape, smape, wape, r2, bias, pinball]
EVERY: dict[str, Statistic] = {module.STATISTIC.name: module.STATISTIC for module in MODULES}
every_statistic = pytest.mark.parametrize("name", EVERY)

NUMBERS = some.floats(-1e6, 1e6).map(lambda value: round(value, 3)) | some.sampled_from([0.0, 1.0, -1.0])
ANY_FLOAT = (
    some.floats(allow_nan=False, allow_infinity=False)
    | some.sampled_from([0.0, 1.0, 1e300, -1e300, 5e-324, -5e-324, 1e-300, sys.float_info.max, -sys.float_info.max])
    | some.integers(-3, 3).map(float)
)


def two_sides(values: Any, **sizes: int) -> Any:
    return some.integers(sizes.get("min_size", 1), 30).flatmap(
        lambda rows: some.tuples(*(some.lists(values, min_size=rows, max_size=rows) for _ in range(2)))
    )


def outcomes_of(label: Any, predicted: Any) -> NumericOutcomes:
    return NumericOutcomes(np.asarray(label, dtype=np.float64), np.asarray(predicted, dtype=np.float64))


def smape_by_hand(label: Any, predicted: Any) -> float:
    parts = [
        2 * abs(p - y) / (abs(p) + abs(y)) if p or y else 0.0 for y, p in zip(label.tolist(), predicted.tolist(), strict=True)
    ]  # fmt: skip
    return math.fsum(parts) / len(parts)


ORACLES: dict[str, Callable[[Any, Any], float]] = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "median_ae": sk.median_absolute_error,
    "mape": lambda y, p: sk.mean_absolute_percentage_error(y[y != 0], p[y != 0]),
    "smape": smape_by_hand,
    "wape": lambda y, p: sk.mean_absolute_error(y, p) / np.mean(np.abs(y)),
    "r2": sk.r2_score,
    "bias": lambda y, p: np.mean(p - y),
    "pinball": lambda y, p: sk.mean_pinball_loss(y, p),
}


def defined(name: str, label: Any) -> bool:
    if name in {"mape", "wape"}:
        return bool(label.any())
    return name != "r2" or label.min() < label.max()


@every_statistic
def test_a_statistic_equals_its_second_opinion(name: str) -> None:
    @EXAMPLES
    @given(two_sides(NUMBERS))
    def holds(sides: tuple[list[float], list[float]]) -> None:
        data = outcomes_of(*sides)
        if not defined(name, data.label):
            with pytest.raises(NoData):
                EVERY[name].compute(data)
            return
        value = EVERY[name].compute(data)
        assert type(value) is float
        assert value == pytest.approx(ORACLES[name](data.label, data.predicted), rel=1e-9, abs=1e-9)
        assert EVERY[name].low <= value <= EVERY[name].high

    holds()


@EXAMPLES
@given(two_sides(NUMBERS), some.floats(0.01, 0.99))
def test_pinball_of_any_quantile_is_scikit_learns(sides: tuple[list[float], list[float]], quantile: float) -> None:
    data = outcomes_of(*sides)
    expected = sk.mean_pinball_loss(data.label, data.predicted, alpha=quantile)
    assert pinball.pinball(data, quantile=quantile) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert pinball.pinball(data) == pytest.approx(mae.mae(data) / 2, rel=1e-12)


LABEL, PREDICTED = [0.0, 2.0, -4.0, 8.0], [1.0, 2.0, -1.0, 4.0]
BY_HAND = {
    "mae": 2.0,
    "rmse": math.sqrt(26 / 4),
    "median_ae": 2.0,
    "mape": (0 + 3 / 4 + 1 / 2) / 3,
    "smape": (2 + 0 + 6 / 5 + 8 / 12) / 4,
    "wape": 8 / 14,
    "r2": 1 - 26 / (84 - 4 * 1.5**2),
    "bias": 0.0,
    "pinball": 1.0,
}


@every_statistic
def test_a_statistic_equals_what_is_worked_out_by_hand(name: str) -> None:
    assert EVERY[name].compute(outcomes_of(LABEL, PREDICTED)) == pytest.approx(BY_HAND[name], rel=1e-12, abs=1e-15)


def test_bias_has_a_sign_and_gets_worse_either_way() -> None:
    assert bias.bias(outcomes_of([1, 1], [3, 2])) == 1.5
    assert bias.bias(outcomes_of([3, 2], [1, 1])) == -1.5
    assert EVERY["bias"].worse is Direction.AWAY_FROM_ZERO
    assert EVERY["bias"].is_breach(-1.5, 1.0)
    assert EVERY["bias"].is_breach(1.5, 1.0)


@every_statistic
@pytest.mark.parametrize(
    ("label", "predicted", "reason"),
    [
        ([], [], "^no labelled rows$"),
        ([0.0, 0.0], [1.0, 2.0], "^expected labels other than 0, got only zeros$"),
        ([7.0], [8.0], "^expected labels that differ, got only 7$"),
        ([0.1] * 7, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], "^expected labels that differ, got only 0.1$"),
    ],
)
def test_where_it_is_not_defined_there_is_no_data_and_a_reason(
    name: str, label: list[float], predicted: list[float], reason: str
) -> None:
    data = outcomes_of(label, predicted)
    without = {"mape", "wape"} if "zeros" in reason else {"r2"} if "differ" in reason else set(EVERY)
    if name not in without:
        if name != "r2":
            assert math.isfinite(EVERY[name].compute(data))
        return
    with pytest.raises(NoData, match=reason):
        EVERY[name].compute(data)


@every_statistic
def test_any_finite_rows_give_a_finite_value_and_finite_influences_or_no_data(name: str) -> None:
    """With numbers at both ends of the floats, zeros, constants, a single row; a warning would be an error here."""
    statistic = EVERY[name]
    assert statistic.influence is not None

    @EXAMPLES
    @given(two_sides(ANY_FLOAT))
    def holds(sides: tuple[list[float], list[float]]) -> None:
        data = outcomes_of(*sides)
        try:
            value = statistic.compute(data)
        except NoData:
            assert not defined(name, data.label)
            return
        assert math.isfinite(value)
        assert statistic.low <= value <= statistic.high
        influences = statistic.influence(data, value)
        assert influences.shape == (len(data),)
        assert influences.dtype == np.float64
        assert np.isfinite(influences).all()

    holds()


@every_statistic
@pytest.mark.parametrize("power", [1000, -1000])
def test_rows_of_any_size_score_as_ordinary_ones(name: str, power: int) -> None:
    """2**1000 is about 1e301, where squares and sums of squares are beyond all floats."""
    rng = np.random.default_rng(4)
    label = rng.normal(size=200)
    label[::50] = 0.0
    data = outcomes_of(label, label + rng.normal(size=200))
    large = outcomes_of(np.ldexp(data.label, power), np.ldexp(data.predicted, power))
    statistic = EVERY[name]
    assert statistic.influence is not None
    unit = power if statistic.unit == "label" else 0
    value, of_large = statistic.compute(data), statistic.compute(large)
    assert of_large == pytest.approx(math.ldexp(value, unit), rel=1e-13)
    influences = np.ldexp(statistic.influence(large, of_large), -unit)
    np.testing.assert_allclose(influences, statistic.influence(data, value), rtol=1e-9, atol=1e-12)


@every_statistic
def test_what_is_beyond_the_largest_float_is_told_as_that(name: str) -> None:
    top = sys.float_info.max
    data = outcomes_of([top, -top, 1.0], [-top, top, 1.0])
    expected = {"mape": 4 / 3, "smape": 4 / 3, "wape": 2.0, "r2": -3.0, "bias": 0.0, "pinball": top * (2 / 3)}
    expected |= {"mae": top, "rmse": top, "median_ae": top}
    assert EVERY[name].compute(data) == pytest.approx(expected[name], rel=1e-12)
    influences = bias.influence(outcomes_of([-top, top, top], [top, -top, -top]), -top / 1.5)
    assert influences.tolist() == pytest.approx([top, -top, -top], rel=1e-12)
    assert mape.mape(outcomes_of([1e-300], [1e300])) == top
    assert r2.r2(outcomes_of([0.0, 1e-200], [1.0, 1.0])) == -top


@every_statistic
def test_perfect_predictions_score_best_and_no_row_has_an_influence(name: str) -> None:
    data = outcomes_of([1.0, 2.0, 5.0], [1.0, 2.0, 5.0])
    statistic = EVERY[name]
    assert statistic.influence is not None
    assert statistic.compute(data) == (1.0 if name == "r2" else 0.0)
    assert not statistic.influence(data, statistic.compute(data)).any()


@every_statistic
def test_rows_in_another_order_score_the_same_and_inputs_stay_untouched(name: str) -> None:
    statistic = EVERY[name]
    assert statistic.influence is not None

    @EXAMPLES
    @given(two_sides(NUMBERS, min_size=2), some.randoms(use_true_random=False))
    def holds(sides: tuple[list[float], list[float]], random: Any) -> None:
        data = outcomes_of(*sides)
        if not defined(name, data.label):
            return
        before = data.label.copy(), data.predicted.copy()
        for array in (data.label, data.predicted):
            array.flags.writeable = False
        order = np.array(random.sample(range(len(data)), len(data)))
        value, shuffled = statistic.compute(data), data.take(order)
        assert statistic.compute(shuffled) == pytest.approx(value, rel=1e-9, abs=1e-9)
        influences = statistic.influence(data, value)
        scale = float(np.abs(influences).max())
        np.testing.assert_allclose(
            statistic.influence(shuffled, value), influences[order], rtol=1e-6, atol=1e-9 * scale
        )
        assert np.array_equal(before[0], data.label)
        assert np.array_equal(before[1], data.predicted)

    holds()


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"median_ae"}))
def test_influences_are_the_derivative_by_a_rows_weight(name: str) -> None:
    """A row that stands there once more moves the value by about its influence / n. (A median has no such derivative.)"""
    statistic = EVERY[name]
    assert statistic.influence is not None
    rng = np.random.default_rng(11)
    rows = 4000
    label = rng.gamma(3, size=rows)
    label[:100] = 0.0
    data = outcomes_of(label, label + 0.2 + rng.standard_t(6, size=rows))
    value = statistic.compute(data)
    influences = statistic.influence(data, value)
    assert float(influences.mean()) == pytest.approx(0, abs=1e-12)
    for row in range(0, rows, 200):
        moved = statistic.compute(data.take(np.append(np.arange(rows), row))) - value
        assert moved * (rows + 1) == pytest.approx(influences[row], rel=0.02, abs=1e-3)


@every_statistic
def test_influences_tell_the_standard_error(name: str) -> None:
    """Over 1500 samples of 800 rows, with skewed labels and zeros among them."""
    statistic = EVERY[name]
    assert statistic.influence is not None
    rng = np.random.default_rng(2)
    rows, values, errors = 800, [], []
    for _ in range(1500):
        label = np.where(rng.random(rows) < 0.1, 0.0, 1 + rng.gamma(3, size=rows))
        data = outcomes_of(label, 0.9 * label + rng.normal(size=rows) * (1 + label / 8))
        value = statistic.compute(data)
        influences = statistic.influence(data, value)
        assert float(influences.mean()) == pytest.approx(0, abs=1e-2 * float(influences.std()))
        values.append(value)
        errors.append(float(np.mean(influences**2)) / rows)
    assert math.sqrt(np.mean(errors)) == pytest.approx(np.std(values), rel=0.07)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.STATISTIC.name)
def test_a_statistic_says_what_it_needs(module: Any) -> None:
    statistic = module.STATISTIC
    assert module.__name__.rpartition(".")[2] == statistic.name
    assert statistic.family == "performance"
    assert statistic.applies_to == {"regression"}
    assert statistic.needs == "numbers"
    assert statistic.parameters == ({"quantile"} if statistic.name == "pinball" else frozenset())
    assert statistic.relative is (statistic.worse is Direction.HIGHER_IS_WORSE)
    assert statistic.default_material == {"bias": None, "r2": 0.02}.get(statistic.name, 0.10)
