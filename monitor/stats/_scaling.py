"""Columns on one scale, the reference's own, on which no single value can outweigh all others."""

from __future__ import annotations

import numpy as np

from monitor.records import FloatArray, IntArray, NoData
from monitor.stats._layout import Layout, spread

BOUND = 5.0  # beyond so many standard deviations a value counts as that far
TAIL = 0.001  # this share of rows at either end has no say in the reference's mean and standard deviation
AT_ONCE = 32
LEADING = 128  # so many principal components stand for more columns than that
SAMPLE = 2000  # rows from which the components are found


def standardised(
    reference: FloatArray, current: FloatArray, layout: Layout | None = None, *, single: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Both sides less the reference's mean, in its standard deviations, within ±5; what is missing is at the mean.

    Mean and standard deviation leave the outermost 0.1 % of the rows at either end aside, so an outlier of the reference does
    not hide what the others do. In a column that the reference holds constant any other value is five deviations away.

    Args:
        reference: shape (N, d); NaN and infinities are missing.
        current: shape (n, d).
        layout: which of their rows are wanted; all of them if it is not given.
        single: whether single precision will do, for half of the memory.

    Raises:
        NoData: there are no columns, the two sides have different ones, or the reference has no number at all.

    >>> standardised(np.array([[0.0], [2.0]]), np.array([[1.0], [np.nan], [99.0]]))[1].tolist()
    [[0.0], [0.0], [5.0]]
    """
    same_columns(reference, current)
    rows = np.arange(len(reference)) if layout is None else layout.reference
    current_rows = np.arange(len(current)) if layout is None else layout.current
    before, after = (
        np.empty((len(places), reference.shape[1]), dtype=np.float32 if single else np.float64)
        for places in (rows, current_rows)
    )
    told = False
    for first in range(0, reference.shape[1], AT_ONCE):  # a few columns at a time: these may be large
        some = slice(first, first + AT_ONCE)
        values = reference[:, some][rows]
        there = np.isfinite(values)
        told = told or bool(there.any())
        center, scale = _center_and_scale(np.where(there, values, np.nan))
        before[:, some] = _scaled(values, center, scale)
        after[:, some] = _scaled(current[:, some][current_rows], center, scale)
    if not told:
        raise NoData("the reference has no value in these columns")
    return before, after


def same_columns(reference: FloatArray, current: FloatArray) -> None:
    """Refuse rows that cannot be compared.

    Raises:
        NoData: there are no columns, or the two sides have different ones.
    """
    if reference.ndim != 2 or current.ndim != 2 or reference.shape[1] != current.shape[1]:
        raise NoData(
            f"expected rows of {reference.shape[-1]} numbers as in the reference, got rows of {current.shape[-1]}"
        )
    if not reference.shape[1]:
        raise NoData("no columns to compare")


def _center_and_scale(reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    center, scale = np.zeros(reference.shape[1]), np.ones(reference.shape[1])
    for place in range(reference.shape[1]):
        values = np.sort(reference[:, place])
        values = values[: np.searchsorted(values, np.nan)]
        if not len(values):
            continue
        cut = int(len(values) * TAIL)
        inner = np.clip(values, values[cut], values[-1 - cut])
        largest = float(np.abs(inner).max()) or 1.0
        # In units of its largest value, so that squares of huge numbers stay finite.
        center[place] = float(np.mean(inner / largest)) * largest
        deviation = float(np.std(inner / largest))
        scale[place] = max(deviation, 1e-9) * largest
    return center, scale


def _scaled(values: FloatArray, center: FloatArray, scale: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.clip((values - center) / scale, -BOUND, BOUND)
    return np.where(np.isfinite(values), scaled, 0.0)


def leading_components(rows: FloatArray, number: int = LEADING) -> FloatArray:
    """The directions of largest variance of standardised rows, as columns of unit length; shape (d, number).

    >>> rows = np.outer(np.linspace(-1, 1, 50), [3.0, 4.0])
    >>> np.round(np.abs(leading_components(rows, 1)), 3).tolist()
    [[0.6], [0.8]]
    """
    taken: FloatArray = rows[spread(len(rows), SAMPLE)].astype(np.float64)
    return components(np.cov(taken, rowvar=False, bias=True).reshape(taken.shape[1], -1), number)[1]


def components(covariance: FloatArray, number: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Variances and directions of a covariance's principal components, the largest first: shapes (k,) and (d, k)."""
    variances, directions = np.linalg.eigh(covariance)
    order: IntArray = np.argsort(variances, kind="stable")[::-1][:number]
    return np.maximum(variances[order], 0.0), directions[:, order]
