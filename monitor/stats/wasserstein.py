"""The Wasserstein distance, normalised by the spread of the reference."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Histogram, Statistic
from monitor.stats._ecdf import TINY, distributions, gaps, in_spreads, mean_of
from monitor.stats._shares import over, plain
from monitor.stats._values import bounded, finite, ordered, transport


def wasserstein(reference: Histogram, current: Histogram) -> float | FloatArray:
    """Wasserstein's distance (of order 1, the earth mover's) of two histograms, in standard deviations of the reference.

    `∫ |F − G| dx / σ`: how far the rows have moved on average, with a bin's rows at the mean of their values, by which a
    change of unit and a far outlier show in an open bin, too. 0.1 is a shift of the whole by a tenth of σ. `error_bound` says
    how far it may lie from the distance of the values themselves. Source: Vallender, Theory Probab. Appl. 18 (1974).

    A constant reference has no spread: there σ is a 1e-12th of its mean, and the largest score is 1e12. So rounding in the
    last digits is nothing, and any real change of a constant is beyond every threshold.

    Args:
        reference: counts of shape (..., k), means of shape (..., k) or (k,).
        current: counts of shape (..., k), means of shape (..., k) or (k,).

    Returns:
        The distance; of leading axes, an array of them.

    Raises:
        NoData: either has no values.

    >>> counts, widths = np.array([1, 1]), np.ones(2)
    >>> here, there = np.array([0.5, 1.5]), np.array([0.75, 1.75])
    >>> wasserstein(Histogram(counts, here, widths, 0.5), Histogram(counts, there, widths, 0.5))
    0.5
    """
    heights, lengths = gaps(reference, current)
    distance = np.sum(np.abs(heights) * lengths, axis=-1)
    return plain(in_spreads(distance, reference.spread, mean_of(reference)))


def error_bound(reference: Histogram, current: Histogram) -> float:
    """How far `wasserstein` of two histograms may lie from the distance of the (finite) values that were binned.

    Where F and G cannot cross within a bin, its share of the distance follows from the means alone. Where they can, each side
    is off by no more than what its values may lie away from their mean: with the mean s from one end of a bin of width w,
    that is 2 s (w − s) / w on average, as if all of them lay at the two ends. Where the bins begin is not said by a
    histogram; of the places that hold every mean in its bin, the one with the largest bound is taken.

    Args:
        reference: counts and means of shape (k,).
        current: counts and means of shape (k,).

    Returns:
        The bound, in standard deviations of the reference.

    Raises:
        NoData: either has no values.

    >>> bins = {"means": np.array([0.5, 1.5]), "widths": np.ones(2), "spread": 0.5}
    >>> error_bound(Histogram(np.array([5, 5]), **bins), Histogram(np.array([5, 5]), **bins))
    2.0
    """
    f, g = distributions(reference.counts, current.counts)
    crossing = (f[:-1] < g[1:]) & (g[:-1] < f[1:])
    masses = np.where(crossing, np.diff([f, g]), 0.0)
    strayed = _strayed(masses, np.stack([reference.means, current.means]), reference.widths)
    unit = max(reference.spread, TINY * abs(float(mean_of(reference))))
    return strayed / unit if unit > 0 else 0.0


def _strayed(masses: FloatArray, means: FloatArray, widths: FloatArray) -> float:
    """What the values of all bins may lie away from their means, times their masses; both of shape (2, k)."""
    starts = np.cumsum(np.append(0.0, widths[1:-1]))  # of the second bin and those above it, behind the first edge
    # Each mean lies in its bin: so the first edge lies no lower and no higher than this.
    lowest = np.column_stack([means[:, 0], means[:, 1:] - starts - widths[1:]])
    highest = np.column_stack([means[:, 0] + widths[0], means[:, 1:] - starts])
    weights = over(masses, widths)
    # The sum is a parabola in the edge's place, open below: it is largest at its top, or where the means hold the edge back.
    top = over(np.sum(weights * (lowest + highest)), 2 * np.sum(weights))
    edge = np.clip(top, np.max(lowest), np.min(highest))
    return float(np.sum(2 * np.maximum(highest - edge, 0.0) * np.maximum(edge - lowest, 0.0) * weights))


def exact(reference: FloatArray, current: FloatArray) -> float:
    """Wasserstein's distance of two columns of values, in standard deviations of the reference.

    NaN is left out. An infinity counts as the smallest or the largest finite value of both columns, and not in the spread.

    Args:
        reference: shape (N,).
        current: shape (n,).

    Raises:
        NoData: either has no values, or no value of the reference is finite.

    >>> exact(np.array([1.0, 3.0]), np.array([2.0, 4.0, np.nan]))
    1.0
    """
    rising, others = ordered(reference), ordered(current)
    distance = transport(*bounded(rising, others))
    inner = finite(rising)
    return float(in_spreads(distance, float(inner.std()), inner.mean()))


STATISTIC = Statistic(
    name="wasserstein",
    family="drift",
    applies_to=frozenset({"numeric"}),
    unit="reference standard deviations",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=wasserstein,
    default_threshold=0.1,
    default_material=0.1,
    needs="histogram",
    rate=0.5,
    reach=lambda distance, spread: distance / spread,
    exact=exact,
)
