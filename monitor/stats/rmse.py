"""The root mean squared error."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, NoData, Statistic


def rmse(label: FloatArray, prediction: FloatArray) -> float:
    """Square root of the mean of `(prediction − label)²`, in the unit of the label; 0 is perfect.

    Args:
        label: what was true, shape (n,).
        prediction: what the model said, shape (n,).

    Raises:
        NoData: there is no row.

    >>> rmse(np.array([0.0, 0.0]), np.array([3.0, 4.0])) == math.sqrt(12.5)
    True
    """
    if not len(label):
        raise NoData("no labelled rows")
    return math.sqrt(float(np.mean(np.square(prediction - label))))


STATISTIC = Statistic(
    name="rmse",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="label",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=rmse,
)
