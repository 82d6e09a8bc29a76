"""The Wasserstein distance in the column's own unit."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Histogram, Statistic
from monitor.stats._ecdf import gaps
from monitor.stats._shares import plain
from monitor.stats._values import bounded, ordered, transport


def wasserstein_distance(reference: Histogram, current: Histogram) -> float | FloatArray:
    """Wasserstein's distance (of order 1, the earth mover's) of two histograms on the same bins, in the column's unit.

    `∫ |F − G| dx`: how far the rows have moved on average, with a bin's rows at the mean of their values. Symmetric. Source:
    Vallender, Theory Probab. Appl. 18 (1974).

    Args:
        reference: counts of shape (..., k), means of shape (..., k) or (k,).
        current: counts of shape (..., k), means of shape (..., k) or (k,).

    Returns:
        The distance; of leading axes, an array of them.

    Raises:
        NoData: either has no values.

    >>> counts, widths = np.array([1, 1]), np.ones(2)
    >>> here, there = np.array([0.5, 1.5]), np.array([0.75, 1.75])
    >>> wasserstein_distance(Histogram(counts, here, widths, 0.5), Histogram(counts, there, widths, 0.5))
    0.25
    """
    heights, lengths = gaps(reference, current)
    return plain(np.sum(np.abs(heights) * lengths, axis=-1))


def exact(reference: FloatArray, current: FloatArray) -> float:
    """Wasserstein's distance of two columns of values, in their unit.

    NaN is left out. An infinity counts as the smallest or the largest finite value of both columns.

    Args:
        reference: shape (N,).
        current: shape (n,).

    Raises:
        NoData: either has no values, or no value of the reference is finite.

    >>> exact(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, np.nan]))
    1.5
    """
    return transport(*bounded(ordered(reference), ordered(current)))


STATISTIC = Statistic(
    name="wasserstein_distance",
    family="drift",
    applies_to=frozenset({"numeric"}),
    unit="column",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=wasserstein_distance,
    needs="histogram",
    rate=0.5,
    reach=lambda distance, _: distance,
    exact=exact,
)
