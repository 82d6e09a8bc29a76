"""Two profiles on the same bins as the histograms that statistics compare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.profile.bins import NumericBins
from monitor.profile.column import ColumnProfile
from monitor.records import FloatArray, Histogram


def clipped(profile: ColumnProfile) -> ColumnProfile:
    """A profile as if every value beyond the range of the bins' reference lay at its end; its moments stay what they are.

    What lies beyond the range, and how far, no reference can say anything about: a single value can weigh any amount.
    """
    if profile.outside == (0, 0):
        return profile
    sums = profile.sums.copy()
    sums[0], sums[-1] = profile.clipped
    return replace(profile, sums=sums, infinities=(0, 0))


def histogram_pair(reference: ColumnProfile, current: ColumnProfile, bins: NumericBins) -> tuple[Histogram, Histogram]:
    """The reference and the current side of a numeric column, without missing and unseen rows.

    A bin's mean is that of its finite values; where it has none, the other side's, and where neither has, its middle (of an
    outer bin, its edge). The outer bins end at the smallest and the largest finite value of both sides.

    Args:
        reference: of the reference.
        current: of the window.
        bins: those that both were made with.
    """
    low, high = min(reference.low, current.low), max(reference.high, current.high)
    lowers = np.concatenate([[min(low, bins.edges[0])], bins.edges])
    uppers = np.concatenate([bins.edges, [max(high, bins.edges[-1])]])
    spread = reference.spread()
    known = [_means(side, lowers, uppers) for side in (reference, current)]
    middles = lowers / 2 + uppers / 2
    middles[0], middles[-1] = bins.edges[0], bins.edges[-1]
    with np.errstate(over="ignore"):
        widths = uppers - lowers
    first, second = (
        Histogram(side.counts, _filled(own, other, middles), widths, spread)
        for side, own, other in ((reference, known[0], known[1]), (current, known[1], known[0]))
    )
    return first, second


def _means(side: ColumnProfile, lowers: FloatArray, uppers: FloatArray) -> FloatArray:
    rows = side.counts.astype(np.float64)
    rows[0] -= side.infinities[0]
    rows[-1] -= side.infinities[1]
    means: FloatArray = np.full(len(rows), np.nan)
    np.divide(side.sums, rows, out=means, where=rows > 0)
    # A sum is rounded: the mean of values that are all alike may come to lie beside them.
    return np.clip(means, lowers, uppers)


def _filled(own: FloatArray, other: FloatArray, middles: FloatArray) -> FloatArray:
    return np.where(np.isnan(own), np.where(np.isnan(other), middles, other), own)
