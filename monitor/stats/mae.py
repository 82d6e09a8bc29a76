"""The mean absolute error."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._numbers import around, errors_of, mean_of
from monitor.stats._outcomes import NumericOutcomes


def mae(outcomes: NumericOutcomes) -> float:
    """Mean of `|predicted − label|`, in the unit of the label; 0 is perfect, higher is worse.

    Raises:
        NoData: there is no row.

    >>> mae(NumericOutcomes(np.array([1.0, 2.0]), np.array([2.0, 4.0])))
    1.5
    """
    errors, exponent = errors_of(outcomes)
    return mean_of(np.abs(errors), exponent)


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value: its absolute error less the mean of all, shape (n,)."""
    errors, exponent = errors_of(outcomes)
    return around(np.abs(errors), exponent, value)


STATISTIC = Statistic(
    name="mae",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="label",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=mae,
    default_material=0.10,
    needs="numbers",
    influence=influence,
    relative=True,
)
