"""The mean absolute error."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, NoData, Statistic


def mae(label: FloatArray, prediction: FloatArray) -> float:
    """Mean of `|prediction − label|`, in the unit of the label; 0 is perfect.

    Args:
        label: what was true, shape (n,).
        prediction: what the model said, shape (n,).

    Raises:
        NoData: there is no row.

    >>> mae(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    1.5
    """
    if not len(label):
        raise NoData("no labelled rows")
    return float(np.mean(np.abs(prediction - label)))


STATISTIC = Statistic(
    name="mae",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="label",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=mae,
)
