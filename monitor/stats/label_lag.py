"""How late labels come."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, NoData, Statistic

FAR = 0.95


def label_lag(lags: FloatArray, share: float = FAR) -> float:
    """The time from the prediction to its label within which a share of the labels came, in seconds; lower is better.

    A label that is still to come has no lag yet: together with the coverage it tells how late labels are.

    Args:
        lags: of the labels that have come, in seconds, shape (n,); those that are not finite are left out.
        share: of the labels, between 0 and 1.

    Raises:
        NoData: there is no lag.

    >>> label_lag(np.array([0.0, 60.0, 120.0]), 0.5)
    60.0
    """
    known = lags[np.isfinite(lags)]
    if not len(known):
        raise NoData("no label says when it came")
    return float(np.quantile(known, share))


STATISTIC = Statistic(
    name="label_lag",
    family="labels",
    applies_to=frozenset({"binary", "multiclass", "regression", "ranking"}),
    unit="seconds",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=label_lag,
    default_threshold=None,
)
