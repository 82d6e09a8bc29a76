"""The G statistic (likelihood ratio) of homogeneity."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import over, plain, row_totals


def g_test(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """G statistic of the table with two rows, reference and current, and a column for each category.

    `2 Σ O ln(O / E)` over the 2 × k cells, twice the logarithm of the likelihood ratio; a cell without rows adds nothing, and
    there is no continuity correction. It grows with the number of rows, so it says how sure a change is and not how large.
    Source: Sokal & Rohlf, Biometry, ch. 17. For N reference and n current rows O / E is 1 + n (pᵢ − qᵢ) / (aᵢ + bᵢ) for the
    reference, with p and q the shares and a and b the counts, which loses nothing where they are nearly equal.

    Args:
        reference: rows per category, shape (..., k).
        current: rows per category, shape (..., k).

    Returns:
        The statistic; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> round(g_test(np.array([50, 50]), np.array([75, 25])), 4)
    13.5288
    """
    rows, current_rows = row_totals(reference, current)
    gaps = reference / rows - current / current_rows
    both = np.add(reference, current)
    halves = _weighted(reference, over(current_rows * gaps, both)) + _weighted(current, over(-rows * gaps, both))
    return plain(np.maximum(2 * np.sum(halves, axis=-1), 0.0))


def _weighted(counts: FloatArray | IntArray, excess: FloatArray) -> FloatArray:
    """Counts × ln(1 + excess), and 0 where nothing is counted."""
    counted = np.broadcast_to(counts > 0, excess.shape)
    logarithms: FloatArray = np.log1p(excess, out=np.zeros(excess.shape), where=counted)
    return counts * logarithms


STATISTIC = Statistic(
    name="g_test",
    family="drift",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="chi-square",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=g_test,
    null="g_test",
    per_chi_square=1.0,
    rate=0.0,
)
