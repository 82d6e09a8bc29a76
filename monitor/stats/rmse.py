"""The root mean squared error."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._numbers import errors_of, mean_square, restored, times
from monitor.stats._outcomes import NumericOutcomes


def rmse(outcomes: NumericOutcomes) -> float:
    """Square root of the mean of `(predicted − label)²`, in the unit of the label; 0 is perfect, higher is worse.

    Raises:
        NoData: there is no row.

    >>> rmse(NumericOutcomes(np.array([0.0, 0.0]), np.array([3.0, 4.0]))) == math.sqrt(12.5)
    True
    """
    square, exponent = mean_square(*errors_of(outcomes))
    return restored(math.sqrt(square), exponent // 2)


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value, shape (n,): `(e² − value²) / (2 value)`, the delta method on the root of a mean.

    Where all errors are 0 every row's is 0.
    """
    errors, exponent = errors_of(outcomes)
    square, scale = mean_square(errors, exponent)
    if square == 0:
        return np.zeros(len(outcomes))
    scaled = np.ldexp(errors, exponent - scale // 2)
    return times(value, (np.square(scaled) / square - 1) / 2)


STATISTIC = Statistic(
    name="rmse",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="label",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=rmse,
    default_material=0.10,
    needs="numbers",
    influence=influence,
    relative=True,
)
