"""PCA reconstruction error: do the columns still go together as they do in the reference?"""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._comparison import Comparison, TwoThirds, by_blocks
from monitor.stats._layout import Layout, block_means, blocks_of, lay_out
from monitor.stats._scaling import components, standardised

VARIANCE = 0.9  # the components keep so much of it
LEAST = 0.01  # a spread of the error below a hundredth of a column's own is rounding, or a reference without any error


def pca_reconstruction(
    reference: FloatArray, current: FloatArray, rng: np.random.Generator, stretch: IntArray | None = None
) -> Comparison:
    """How much better or worse the reference's principal components rebuild the window, in standard deviations of a row's error.

    `|mean error of the window − mean error of the reference| / standard deviation of the reference's errors`. The error of a row
    is the Euclidean length of what is lost of it when its columns, in the reference's units, are projected on those of the
    reference's principal components that keep 90 % of its variance. It grows where columns no longer go together as they
    did, or spread wider, and shrinks where they have become more alike than they were: either is drift, so the size of the
    difference counts and not its sign. 0 is no drift; from about 0.2 on one speaks of an effect. The reference's own errors are
    held out: components are drawn without the stretch they rebuild, and the window's error is the mean over all of these.
    Idea: NannyML's data reconstruction drift; it bins time into chunks, and takes no stretch out.

    Args:
        reference: shape (N, d), in order of time; NaN is missing.
        current: shape (n, d), likewise.
        rng: unused, there is no chance in it.
        stretch: by row of the reference, the stretch it belongs to; without it the reference is cut into equal ones.

    Raises:
        NoData: too few rows, no columns, or different ones.

    >>> rng = np.random.default_rng(1)
    >>> tide = rng.normal(0, 1, (4000, 1))
    >>> both = np.hstack([tide, tide + 0.3 * rng.normal(0, 1, (4000, 1))])
    >>> flipped = both[3000:] * [1, -1]  # each column is as it was
    >>> found = pca_reconstruction(both[:3000], flipped, rng)
    >>> found.value > 2, found.p_value < 1e-6
    (True, True)
    """
    del rng
    layout = lay_out(len(reference), len(current), stretch)
    before, after = standardised(reference, current, layout)
    held, new = held_out_errors(before, after, layout)
    unit = max(float(held.std()), LEAST)
    stretches = np.array([held[place].mean() for place in layout.stretches]) / unit
    middle = float(stretches.mean())
    others = (middle * len(stretches) - stretches) / (len(stretches) - 1)
    value = abs(float(new.mean()) / unit - middle)
    blocks = block_means(new, blocks_of(len(new))) / unit
    nulls = (
        by_blocks(blocks, stretches, center=0.0, least_current=1 / math.sqrt(len(new)), sides=2),
        TwoThirds.of(stretches - middle, least=1 / math.sqrt(float(np.median(layout.lengths)))),
    )
    return Comparison(value, nulls, np.abs(stretches - others), len(new), len(held))


def held_out_errors(reference: FloatArray, current: FloatArray, layout: Layout) -> tuple[FloatArray, FloatArray]:
    """The error of every row; of the reference's by components drawn without its stretch, of the window's the mean over these.

    Args:
        reference: standardised rows of the layout, shape (N, d).
        current: those of the window, shape (n, d).
        layout: how they are cut.
    """
    sums = np.array([reference[place].sum(axis=0) for place in layout.stretches])
    products = np.array([reference[place].T @ reference[place] for place in layout.stretches])
    kept = _kept(reference)
    held, new = np.empty(len(reference)), np.zeros(len(current))
    for place, own, total, squares in zip(layout.stretches, layout.lengths, sums, products, strict=True):
        rows = len(reference) - int(own)
        mean = (sums.sum(axis=0) - total) / rows
        covariance = (products.sum(axis=0) - squares) / rows - np.outer(mean, mean)
        directions = components(covariance, kept)[1]
        held[place] = _errors(reference[place] - mean, directions)
        new += _errors(current - mean, directions)
    return held, new / len(layout.lengths)


def _kept(rows: FloatArray) -> int:
    """So many components keep the variance that is wanted; at least one is left out, or nothing could be lost."""
    variances, _ = components(np.atleast_2d(np.cov(rows, rowvar=False, bias=True)))
    total = float(variances.sum())
    if total <= 0:
        return 0
    enough = int(np.searchsorted(np.cumsum(variances) / total, VARIANCE)) + 1
    return min(enough, len(variances) - 1)


def _errors(rows: FloatArray, directions: FloatArray) -> FloatArray:
    lost = rows - (rows @ directions) @ directions.T
    return np.asarray(np.sqrt((lost**2).sum(axis=1)))


STATISTIC = Statistic(
    name="pca_reconstruction",
    family="drift",
    applies_to=frozenset({"table"}),
    unit="standard deviations of a row's error",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=pca_reconstruction,
    default_threshold=0.5,
    default_material=0.2,
    needs="rows",
    rate=0.5,
)
