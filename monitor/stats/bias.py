"""The mean error, with its sign."""

from __future__ import annotations

import math

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._numbers import around, errors_of, mean_of
from monitor.stats._outcomes import NumericOutcomes


def bias(outcomes: NumericOutcomes) -> float:
    """Mean of `predicted − label`, in the unit of the label; 0 is best, away from it is worse.

    Above 0, predictions are too high. There is no default floor: what a bias may be depends on the label's unit, and 0 is no
    yardstick.

    Raises:
        NoData: there is no row.

    >>> import numpy as np
    >>> bias(NumericOutcomes(np.array([1.0, 2.0]), np.array([2.0, 1.5])))
    0.25
    """
    return mean_of(*errors_of(outcomes))


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value: its error less the mean of all, shape (n,)."""
    return around(*errors_of(outcomes), value)


STATISTIC = Statistic(
    name="bias",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="label",
    low=-math.inf,
    high=math.inf,
    worse=Direction.AWAY_FROM_ZERO,
    compute=bias,
    needs="numbers",
    influence=influence,
)
