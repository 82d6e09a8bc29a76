"""How much of a model's input has drifted, weighed by what matters to the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.records import Direction, FloatArray, NoData, Statistic


def drift_share(weights: FloatArray, drifted: NDArray[np.bool_]) -> float:
    """The share of the features' importance that belongs to features which have drifted: 0 is none, 1 is all.

    Args:
        weights: importance of each feature that was judged, shape (f,), at least 0.
        drifted: whether it has drifted, shape (f,).

    Raises:
        NoData: no feature was judged, or none of them has any weight.

    >>> drift_share(np.array([3.0, 1.0]), np.array([True, False]))
    0.75
    """
    total = float(np.sum(weights))
    if total <= 0:
        raise NoData("no feature with an importance was judged")
    # Half of the weight is a half, whatever the floats that make it up.
    return round(float(np.sum(weights[drifted]) / total), 12)


STATISTIC = Statistic(
    name="drift_share",
    family="drift",
    applies_to=frozenset({"features"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=drift_share,
    default_threshold=0.5,
    needs="verdicts",
)
