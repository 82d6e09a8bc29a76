"""The largest change of any category's share."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import plain, shares


def l_infinity(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """L-infinity (Chebyshev) distance of two count vectors: the largest change of any share, between 0 and 1.

    `max |qᵢ − pᵢ|` with p the reference's shares and q the current ones. Symmetric. Source: Breck et al., Data Validation
    for Machine Learning (MLSys 2019).

    Args:
        reference: rows per category, shape (..., k).
        current: rows per category, shape (..., k).

    Returns:
        The distance; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> l_infinity(np.array([25, 25, 50]), np.array([25, 50, 25]))
    0.25
    """
    p, q = shares(reference, current)
    return plain(np.max(np.abs(q - p), axis=-1))


STATISTIC = Statistic(
    name="l_infinity",
    family="drift",
    applies_to=frozenset({"categorical"}),
    unit="share of rows",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=l_infinity,
    default_threshold=0.1,
    default_material=0.1,
    rate=0.5,
)
