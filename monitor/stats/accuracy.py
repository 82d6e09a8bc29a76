"""The accuracy of a classifier."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, NoData, ObjectArray, Statistic


def accuracy(label: ObjectArray, prediction: ObjectArray) -> float:
    """Share of rows whose predicted class is the true one, between 0 and 1; 1 is perfect.

    Args:
        label: the true class, shape (n,).
        prediction: the predicted class, shape (n,).

    Raises:
        NoData: there is no row.

    >>> accuracy(np.array(["a", "b"], dtype=object), np.array(["a", "a"], dtype=object))
    0.5
    """
    if not len(label):
        raise NoData("no labelled rows")
    return float(np.mean(label == prediction))


STATISTIC = Statistic(
    name="accuracy",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=accuracy,
)
