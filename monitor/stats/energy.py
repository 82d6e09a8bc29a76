"""The energy distance, squared, in spreads of the reference."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Histogram, Statistic
from monitor.stats._ecdf import distributions, gaps, in_spreads, mean_of
from monitor.stats._shares import over, plain
from monitor.stats._values import bounded, finite, merged, ordered


def energy(reference: Histogram, current: Histogram) -> float | FloatArray:
    """Squared energy distance of two histograms on the same bins, in standard deviations of the reference.

    `2 ∫ (F − G)² dx / σ`, which is (2 E|X − Y| − E|X − X′| − E|Y − Y′|) / σ for rows X, X′ of the reference and Y, Y′ of the
    current side. The squared form is a divergence and not a metric; of values, its root, times √σ, is what scipy calls the
    energy distance. Symmetric but for σ. Where the reference is constant, σ is a 1e-12th of its mean, and the largest score
    is 1e12. Source: Székely & Rizzo, J. Statist. Plann. Inference 143 (2013).

    A bin's rows are at the mean of their values, but not as one point: with all of them there, F − G would be the whole mass
    of the bin between the two means, and its square would not fall with the rows. So what the means of a bin differ by, d, is
    spread over its width w, which takes ((p + q) / 2)² d (1 − d / w) off the integral, p and q being the two masses.

    The default floor, 0.0225, is what a normal column scores when it is shifted by 0.2 σ.

    Args:
        reference: counts of shape (..., k), means of shape (..., k) or (k,).
        current: counts of shape (..., k), means of shape (..., k) or (k,).

    Returns:
        The distance; of leading axes, an array of them.

    Raises:
        NoData: either has no values.

    >>> counts, widths = np.array([1, 1]), np.ones(2)
    >>> here, there = np.array([0.5, 1.5]), np.array([0.75, 1.75])
    >>> energy(Histogram(counts, here, widths, 0.5), Histogram(counts, there, widths, 0.5))
    0.125
    """
    heights, lengths = gaps(reference, current)
    f, g = distributions(reference.counts, current.counts)
    apart = np.abs(reference.means - current.means)
    pointed = np.square(np.diff(f + g) / 2) * apart * (1 - over(apart, reference.widths))
    distance = 2 * np.maximum(np.sum(np.square(heights) * lengths, axis=-1) - np.sum(pointed, axis=-1), 0.0)
    return plain(in_spreads(distance, reference.spread, mean_of(reference)))


def exact(reference: FloatArray, current: FloatArray) -> float:
    """Squared energy distance of two columns of values, in standard deviations of the reference.

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
    distance = 0.0
    for points, upto, others_upto in merged(*bounded(rising, others)):
        heights = upto[:-1] / len(rising) - others_upto[:-1] / len(others)
        distance += 2 * float(np.sum(np.square(heights) * np.diff(points)))
    inner = finite(rising)
    return float(in_spreads(distance, float(inner.std()), inner.mean()))


STATISTIC = Statistic(
    name="energy",
    family="drift",
    applies_to=frozenset({"numeric"}),
    unit="reference standard deviations",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=energy,
    default_material=0.0225,
    needs="histogram",
    # Squared: it grows with the square of the share of rows.
    reach=lambda distance, spread: 2 * distance / spread,
    exact=exact,
)
