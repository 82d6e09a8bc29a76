"""The domain classifier: can rows of the window be told from rows of the reference?"""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._comparison import Comparison
from monitor.stats._discriminant import compare_by_discriminant
from monitor.stats._features import Binned, Block, Features, Plain, Products, joined
from monitor.stats._layout import Layout, lay_out, parts_of
from monitor.stats._scaling import BOUND, LEADING, leading_components, standardised

SHARES = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])  # edges of a column's bins


def domain_classifier(
    reference: FloatArray, current: FloatArray, rng: np.random.Generator, stretch: IntArray | None = None
) -> Comparison:
    """AUC of a classifier that tells rows of the window from rows of the reference, on rows it has not learned from.

    0.5 where they are alike, 1 where they are told apart perfectly; a window in which one row in ten is wholly strange has
    0.55. The classifier is a linear discriminant on the columns, their squares, all their products two by two, and bins
    of each: it sees shifts, changes of spread and shape, and changes of how two columns go together. Vectors of more than 128
    numbers go by their 128 leading principal components and, one by one, by all numbers. What it has learned from a window is
    compared with what it learns from stretches of the reference, so the window is thinned to the rows of one of these.
    Idea: Lopez-Paz & Oquab, Revisiting classifier two-sample tests (2017).

    Args:
        reference: shape (N, d), in order of time; NaN is missing.
        current: shape (n, d), likewise.
        rng: unused, there is no chance in it.
        stretch: by row of the reference, the stretch it belongs to; without it the reference is cut into equal ones.

    Raises:
        NoData: too few rows, no columns, or different ones.

    >>> rng = np.random.default_rng(1)
    >>> found = domain_classifier(rng.normal(0, 1, (2000, 3)), rng.normal(1, 1, (500, 3)), rng)
    >>> found.value > 0.85, found.p_value < 1e-4
    (True, True)
    """
    del rng
    layout = lay_out(len(reference), len(current), stretch, alike=True)
    return compare_by_discriminant(table_features(reference, current, layout), layout)


def table_features(reference: FloatArray, current: FloatArray, layout: Layout) -> Features:
    """The columns and the share of them that is missing, their products and their bins.

    Args:
        reference: shape (N, d).
        current: shape (n, d).
        layout: which rows are compared, and how they are cut.
    """
    before, after = standardised(reference, current, layout, single=True)
    gaps = standardised(_missing(reference), _missing(current), layout, single=True)
    rows = np.vstack([np.hstack([before, gaps[0]]), np.hstack([after, gaps[1]])])
    own, known = rows, len(before)
    if own.shape[1] > LEADING:
        scores = rows @ leading_components(rows[:known]).astype(np.float32)
        own = np.clip(scores / np.maximum(scores[:known].std(axis=0), 1e-9), -BOUND, BOUND)
    blocks: list[Block] = [Plain(own), Products(own)]
    if own is rows:
        blocks.append(Binned(rows, [_edges(rows[:known, place]) for place in range(rows.shape[1])]))
    else:
        blocks.append(Plain(rows))
    return joined(blocks, parts_of(layout), kept=own.shape[1])


def _missing(rows: FloatArray) -> FloatArray:
    """The share of each row's numbers that are missing, shape (rows, 1)."""
    return np.asarray(1.0 - np.isfinite(rows).mean(axis=1, keepdims=True))


def _edges(values: FloatArray) -> FloatArray:
    """The edges of a column's bins, equal ones once; none where it has but two values, of which its mean tells all."""
    low, high = float(values.min()), float(values.max())
    if np.all((values == low) | (values == high)) and low < high:
        return np.empty(0)
    # What lies below or above everything the reference holds has a bin of its own.
    return np.unique(np.concatenate([[np.nextafter(low, -np.inf)], np.quantile(values, SHARES), [high]]))


STATISTIC = Statistic(
    name="domain_classifier",
    family="drift",
    applies_to=frozenset({"table", "vector"}),
    unit="AUC",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=domain_classifier,
    default_threshold=0.65,
    default_material=0.55,
    needs="rows",
    rate=0.5,
)
