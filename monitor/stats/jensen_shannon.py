"""The Jensen–Shannon distance."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import over, plain, shares


def jensen_shannon(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """Jensen–Shannon distance of two count vectors on the same bins, between 0 and 1.

    The square root of the divergence `½ KL(p ‖ m) + ½ KL(q ‖ m)` with m = (p + q) / 2 and logarithms to base 2, so that 1 is
    said of distributions with nothing in common. Symmetric, and no floor is needed. Source: Endres & Schindelin, IEEE
    Trans. Inf. Theory 49 (2003). With d = (q − p) / (p + q) a bin adds m · (2 d artanh(d) + ln(1 − d²)) / 2 nats, which
    loses nothing where the shares are nearly equal.

    Args:
        reference: rows per bin, shape (..., k).
        current: rows per bin, shape (..., k).

    Returns:
        The distance; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> round(jensen_shannon(np.array([50, 50]), np.array([75, 25])), 4)
    0.2209
    """
    p, q = shares(reference, current)
    d = np.abs(over(q - p, p + q))
    alone = d >= 1.0  # only one side has rows in this bin
    d = np.where(alone, 0.0, d)
    nats = np.where(alone, 2 * math.log(2), 2 * d * np.arctanh(d) + np.log1p(-d * d))
    divergence = np.sum((p + q) * nats, axis=-1) / (4 * math.log(2))
    return plain(np.sqrt(np.clip(divergence, 0.0, 1.0)))


STATISTIC = Statistic(
    name="jensen_shannon",
    family="drift",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="distance",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=jensen_shannon,
    default_threshold=0.1,
    default_material=0.1,
    null="g_test",
    per_chi_square=1 / (8 * math.log(2)),
    rate=0.5,
)
