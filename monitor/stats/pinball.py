"""The pinball loss of a predicted quantile."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._numbers import around, errors_of, mean_of
from monitor.stats._outcomes import NumericOutcomes


def pinball(outcomes: NumericOutcomes, *, quantile: float = 0.5) -> float:
    """Mean of `quantile × (label − predicted)` below the label and `(1 − quantile) × (predicted − label)` above it.

    In the unit of the label; 0 is perfect, higher is worse. It is least on average when `quantile` of the labels lie below what
    was predicted; at 0.5 it is half of the mean absolute error. Source: Koenker and Bassett, Econometrica 46 (1978).

    Args:
        outcomes: labels, and what was predicted as their quantile.
        quantile: which one, above 0 and below 1.

    Raises:
        NoData: there is no row.

    >>> pinball(NumericOutcomes(np.array([1.0, 2.0]), np.array([2.0, 1.0])), quantile=0.75)
    0.5
    """
    return mean_of(*_losses(outcomes, quantile))


def influence(outcomes: NumericOutcomes, value: float, *, quantile: float = 0.5) -> FloatArray:
    """What each row does to the value: its loss less the mean of all, shape (n,)."""
    return around(*_losses(outcomes, quantile), value)


def _losses(outcomes: NumericOutcomes, quantile: float) -> tuple[FloatArray, int]:
    errors, exponent = errors_of(outcomes)
    return np.maximum(-quantile * errors, (1 - quantile) * errors), exponent


STATISTIC = Statistic(
    name="pinball",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="label",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=pinball,
    default_material=0.10,
    needs="numbers",
    influence=influence,
    parameters=frozenset({"quantile"}),
    relative=True,
)
