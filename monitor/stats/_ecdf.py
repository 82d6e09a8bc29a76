"""Two histograms as distribution functions: what the statistics of order and distance start from."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.records import FloatArray, Histogram, IntArray, NoData

# A reference that is constant, but for what floats round, has no spread to measure by: it is never taken to be smaller than
# this share of its mean, nor of the distance itself, so that no score is infinite. 1e12 stands for infinitely far.
TINY = 1e-12


def running(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> tuple[Any, Any, Any, Any]:
    """The rows of both sides below the first bin and up to each, shape (..., k + 1), and all of them, shape (..., 1).

    Raises:
        NoData: one of them has no values.
    """
    sides = [np.cumsum(np.insert(side, 0, 0, axis=-1), axis=-1) for side in (reference, current)]
    rows = [side[..., -1:] for side in sides]
    if not all(np.all(side > 0) for side in rows):
        raise NoData("no values to compare")
    return sides[0], sides[1], rows[0], rows[1]


def distributions(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
    """The shares of both sides below the first bin and up to each, F and G; shape (..., k + 1), from 0 to 1.

    Raises:
        NoData: one of them has no values.
    """
    upto, others_upto, rows, other_rows = running(reference, current)
    return upto / rows, others_upto / other_rows


def gaps(reference: Histogram, current: Histogram) -> tuple[FloatArray, FloatArray]:
    """F − G between neighbours of the merged points, and how far these are apart; both of shape (..., 2k − 1), not in order.

    A bin's mass sits at the mean of its values. Both means of a bin lie in it, so the points need no sorting: within a bin
    one mean comes before the other, and both come before those of the next bin.

    Raises:
        NoData: one side has no values.
    """
    f, g = np.broadcast_arrays(*distributions(reference.counts, current.counts))
    x, y = reference.means, current.means
    low, high = np.minimum(x, y), np.maximum(x, y)
    within = np.where(x < y, f[..., 1:] - g[..., :-1], f[..., :-1] - g[..., 1:])
    between = np.broadcast_to((f - g)[..., 1:-1], (*within.shape[:-1], f.shape[-1] - 2))
    heights = np.concatenate([within, between], axis=-1)
    # A mean is rounded, and may come to lie a little outside its bin.
    lengths = np.concatenate([high - low, np.maximum(low[..., 1:] - high[..., :-1], 0.0)], axis=-1)
    return heights, lengths


def in_spreads(distance: Any, spread: float, mean: Any) -> FloatArray:
    """A distance in standard deviations of the reference, whose mean is given for the case that it has no spread.

    Raises:
        NoData: the spread is beyond what a float holds.
    """
    if not np.isfinite(spread):
        raise NoData("expected a reference whose spread is a finite number")
    unit = np.maximum(spread, TINY * np.maximum(np.abs(mean), distance))
    scaled: FloatArray = np.divide(distance, unit, out=np.zeros(np.shape(unit)), where=unit > 0)
    return scaled


def mean_of(side: Histogram) -> Any:
    """The mean of a histogram's values; shape (...)."""
    return np.sum(side.counts * side.means, axis=-1) / np.sum(side.counts, axis=-1)
