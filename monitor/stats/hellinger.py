"""The Hellinger distance."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import plain, shares


def hellinger(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """Hellinger distance of two count vectors on the same bins, between 0 and 1.

    `√(½ Σ (√qᵢ − √pᵢ)²)` with p the reference's shares and q the current ones; 1 is said of distributions with nothing in
    common. Symmetric. Source: Hellinger, J. reine angew. Math. 136 (1909).

    Args:
        reference: rows per bin, shape (..., k).
        current: rows per bin, shape (..., k).

    Returns:
        The distance; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> round(hellinger(np.array([50, 50]), np.array([75, 25])), 4)
    0.1846
    """
    p, q = shares(reference, current)
    return plain(np.minimum(np.sqrt(np.sum(np.square(np.sqrt(q) - np.sqrt(p)), axis=-1) / 2), 1.0))


STATISTIC = Statistic(
    name="hellinger",
    family="drift",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="distance",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=hellinger,
    default_threshold=0.1,
    default_material=0.1,
    null="g_test",
    per_chi_square=1 / 8,
    rate=0.5,
)
