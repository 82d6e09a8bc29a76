"""Pearson's chi-square statistic of homogeneity."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import over, plain, row_totals


def chi_square(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """Pearson's chi-square statistic of the table with two rows, reference and current, and a column for each category.

    `Σ (O − E)² / E` over the 2 × k cells, which for N reference and n current rows is `N n Σ (qᵢ − pᵢ)² / (aᵢ + bᵢ)`, with p
    and q the shares and a and b the counts; a category without rows on both sides adds nothing, and there is no continuity
    correction. It grows with the number of rows, so it says how sure a change is and not how large: `cramers_v` says that.
    Source: Pearson, Phil. Mag. 50 (1900); Agresti, Categorical Data Analysis, ch. 3.

    Args:
        reference: rows per category, shape (..., k).
        current: rows per category, shape (..., k).

    Returns:
        The statistic; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> round(chi_square(np.array([50, 50]), np.array([75, 25])), 4)
    13.3333
    """
    rows, current_rows = row_totals(reference, current)
    gaps = reference / rows - current / current_rows
    return plain(np.sum(over(rows * gaps * (current_rows * gaps), np.add(reference, current)), axis=-1))


STATISTIC = Statistic(
    name="chi_square",
    family="drift",
    applies_to=frozenset({"categorical"}),
    unit="chi-square",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=chi_square,
    null="g_test",
    per_chi_square=1.0,
    rate=0.0,
)
