"""The Kolmogorov–Smirnov statistic."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, Histogram, Statistic
from monitor.stats._ecdf import distributions
from monitor.stats._shares import plain
from monitor.stats._values import ordered

STRIDES = (512, 64, 8, 1)


def ks(reference: Histogram, current: Histogram) -> float | FloatArray:
    """Kolmogorov–Smirnov statistic of two histograms on the same bins, between 0 and 1.

    `max |F − G|` over the edges between the bins, where both distribution functions are known exactly: the largest difference
    between the shares of rows up to any edge. Symmetric. It is never above the statistic of the values themselves, and
    `error_bound` says how far it may lie below. Source: Smirnov, Ann. Math. Statist. 19 (1948).

    Args:
        reference: counts of shape (..., k).
        current: counts of shape (..., k).

    Returns:
        The statistic; of leading axes, an array of them.

    Raises:
        NoData: either has no values.

    >>> bins = {"means": np.array([0.5, 1.5, 2.5]), "widths": np.ones(3), "spread": 1.0}
    >>> ks(Histogram(np.array([4, 3, 3]), **bins), Histogram(np.array([1, 3, 6]), **bins))
    0.30000000000000004
    """
    f, g = distributions(reference.counts, current.counts)
    return plain(np.max(np.abs(f - g), axis=-1))


def error_bound(reference: Histogram, current: Histogram) -> float:
    """How far `ks` of two histograms may lie below the statistic of the values that were binned.

    Within a bin F − G is nowhere above F at its end less G at its start, nor G − F the other way round; the bound is the
    largest of these less the statistic, so never more than the mass of one bin. It is the smallest that the counts allow.
    A bin without width holds one value. Infinities in a bin with others are not known of.

    Args:
        reference: counts of shape (k,).
        current: counts of shape (k,).

    Raises:
        NoData: either has no values.

    >>> bins = {"means": np.array([0.5, 1.5, 2.5]), "widths": np.ones(3), "spread": 1.0}
    >>> round(error_bound(Histogram(np.array([4, 3, 3]), **bins), Histogram(np.array([1, 3, 6]), **bins)), 12)
    0.3
    """
    f, g = distributions(reference.counts, current.counts)
    at_most = np.where(reference.widths > 0, np.maximum(f[1:] - g[:-1], g[1:] - f[:-1]), 0.0)
    return max(float(np.max(at_most) - np.max(np.abs(f - g))), 0.0)


def exact(reference: FloatArray, current: FloatArray) -> float:
    """Kolmogorov–Smirnov statistic of two columns of values, the largest difference of their distribution functions.

    NaN is left out. An infinity is a value like others, beyond all of them: only the order counts.

    Args:
        reference: shape (N,).
        current: shape (n,).

    Raises:
        NoData: either has no values.

    >>> exact(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, np.nan]))
    0.5
    """
    fewer, more = sorted((ordered(reference), ordered(current)), key=len)
    best = 0.0
    starts, ends, length = np.zeros(1, dtype=np.int64), np.full(1, len(fewer) - 1), len(fewer) - 1
    for stride in STRIDES:
        # Every `stride`-th value of each block that is left, and its last one.
        places = np.minimum(starts[:, None] + np.arange(0, length + stride, stride), ends[:, None])
        found = fewer[places]
        upto, below = (np.searchsorted(more, found, side=side) / len(more) for side in ("right", "left"))
        best = max(best, float(np.max((places + 1) / len(fewer) - upto)), float(np.max(below - places / len(fewer))))
        # Both functions only rise: between two places they cannot come further apart than at these.
        rise, fall = places[:, 1:] / len(fewer) - upto[:, :-1], below[:, 1:] - (places[:, :-1] + 1) / len(fewer)
        open_ = np.maximum(rise, fall) > best
        starts, ends, length = places[:, :-1][open_], places[:, 1:][open_], stride
        if not len(starts):
            break
    return best


STATISTIC = Statistic(
    name="ks",
    family="drift",
    applies_to=frozenset({"numeric"}),
    unit="share of rows",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=ks,
    default_threshold=0.2,
    default_material=0.1,
    needs="histogram",
    null="kolmogorov",
    rate=0.5,
    exact=exact,
)
