"""The total variation distance."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import plain, shares


def total_variation(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """Total variation distance of two count vectors on the same bins: the share of rows that changed bins, from 0 to 1.

    `½ Σ |qᵢ − pᵢ|` with p the reference's shares and q the current ones. Symmetric. Source: Levin, Peres & Wilmer, Markov
    Chains and Mixing Times, ch. 4.

    Args:
        reference: rows per bin, shape (..., k).
        current: rows per bin, shape (..., k).

    Returns:
        The distance; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> total_variation(np.array([50, 50]), np.array([75, 25]))
    0.25
    """
    p, q = shares(reference, current)
    return plain(np.minimum(np.sum(np.abs(q - p), axis=-1) / 2, 1.0))


STATISTIC = Statistic(
    name="total_variation",
    family="drift",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="share of rows",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=total_variation,
    default_material=0.1,
    rate=0.5,
)
