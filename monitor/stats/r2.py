"""The coefficient of determination."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, NoData, Statistic
from monitor.stats._numbers import errors_of, mean_square, quotient, tamed, times
from monitor.stats._outcomes import NumericOutcomes


def r2(outcomes: NumericOutcomes) -> float:
    """`1 − Σ (label − predicted)² / Σ (label − mean)²`: 1 is perfect, lower is worse.

    At 0, predictions are as good as the labels' own mean would be. It falls as well when the labels of a window merely vary less,
    with the errors as they were: read it beside `rmse`. Labels that are all alike have none (scikit-learn says 1 or 0 there).

    Raises:
        NoData: there is no row, or the labels are all alike.

    >>> r2(NumericOutcomes(np.array([1.0, 3.0]), np.array([1.0, 2.0])))
    0.5
    """
    square, exponent = mean_square(*errors_of(outcomes))
    _, variance, other = _deviations(outcomes)
    return 1 - quotient(square, variance, exponent - other)


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value, shape (n,): `(1 − value) × ((label − mean)² / variance − e² / mean e²)`.

    The delta method on a ratio of means; what the rows do to the mean of the labels has no part in it, to first order.
    """
    errors, exponent = errors_of(outcomes)
    square, scale = mean_square(errors, exponent)
    deviations, variance, _ = _deviations(outcomes)
    if square == 0:
        return np.zeros(len(outcomes))
    scaled = np.ldexp(errors, exponent - scale // 2)
    return times(1 - value, np.square(deviations) / variance - np.square(scaled) / square)


def _deviations(outcomes: NumericOutcomes) -> tuple[FloatArray, float, int]:
    """Labels less their mean, the mean of their squares and its exponent."""
    label, exponent = tamed(outcomes.label)
    if label.min() == label.max():
        raise NoData(f"expected labels that differ, got only {float(outcomes.label[0]):g}")
    deviations = label - np.mean(label)
    return deviations, float(np.dot(deviations, deviations)) / len(label), 2 * exponent


STATISTIC = Statistic(
    name="r2",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="ratio",
    low=-math.inf,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=r2,
    default_material=0.02,
    needs="numbers",
    influence=influence,
)
