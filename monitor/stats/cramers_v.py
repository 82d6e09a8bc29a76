"""Cramér's V between the side a row is on and its category."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import over, plain, shares


def cramers_v(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """Cramér's V of the table with two rows, reference and current, both given the same weight; between 0 and 1.

    `√(χ² / rows)` of the table (a table with two rows needs no other divisor), after the smaller side has been scaled up to
    the rows of the larger: `√(½ Σ (qᵢ − pᵢ)² / (pᵢ + qᵢ))`, with p the reference's shares and q the current ones. Here we
    depart from the textbook, where the rows are taken as they come: there the same change of the same categories would
    score the less, the longer the reference is. With as many rows on either side, both are the same. 1 is said of
    distributions with nothing in common. Symmetric. Source: Cramér, Mathematical Methods of Statistics (1946), ch. 21.

    Args:
        reference: rows per category, shape (..., k).
        current: rows per category, shape (..., k).

    Returns:
        V; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> round(cramers_v(np.array([50, 50]), np.array([75, 25])), 4)
    0.2582
    """
    p, q = shares(reference, current)
    return plain(np.minimum(np.sqrt(np.sum(over(np.square(q - p), p + q), axis=-1) / 2), 1.0))


STATISTIC = Statistic(
    name="cramers_v",
    family="drift",
    applies_to=frozenset({"categorical"}),
    unit="association",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=cramers_v,
    default_threshold=0.2,
    default_material=0.1,
    null="g_test",
    rate=0.5,
)
