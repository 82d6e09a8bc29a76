"""Which values of a numeric feature lie outside of what its reference knows, and are no mere season or growth."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.profile import ColumnProfile, NumericBins
from monitor.records import FloatArray

FAR = 10.0  # a value so many widths of the reference's range beyond its end is out of range
APART = 0.2  # one that rows repeat is so from this share of the width on, if no other value is nearer to it
REPEATS = 5  # so many rows at least: fewer may be chance

Range = tuple[float | None, float | None]


def out_of_range(values: FloatArray, bins: NumericBins) -> Any:
    """Which rows hold a value that is implausible beside the reference; shape (n,), False where a value is missing.

    A reference of some weeks does not know the summer: a value beyond its range is no fault as such, and drift tells of it.
    Two things are, which neither season nor growth does. One is to lie ten times the width of the range beyond its end
    (a broken decimal, -9999). The other is to leap to one value that stands alone and that rows repeat (a zero, a default, a
    stuck sensor): it is further beyond the end than a fifth of the width and than the reference's own outermost values are
    apart, and no other value of the window is nearer than that fifth. In a column that is constant in the reference
    every other value is out of range.

    Args:
        values: shape (n,); NaN where missing.
        bins: of the reference's column.

    >>> from monitor.profile import draw_bins
    >>> from monitor.records import ColumnKind
    >>> bins = draw_bins(np.linspace(20.0, 30.0, 101), ColumnKind.NUMERIC)
    >>> out_of_range(np.array([31.0, 35.0, 2000.0]), bins).tolist()
    [False, False, True]
    >>> out_of_range(np.array([0.0] * 6 + [25.0]), bins).sum()
    np.int64(6)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        width = bins.high - bins.low
        found = (values < bins.low - FAR * width) | (values > bins.high + FAR * width)
        if not 0 < width < np.inf:
            return found
        near, (low, high) = APART * width, _ends(bins)
        outside = np.isfinite(values) & ((values < low) | (values > high)) & ~found
        if np.count_nonzero(outside) < REPEATS:
            return found
        names, rows = np.unique(values[np.isfinite(values)], return_counts=True)
        gaps = np.concatenate([[np.inf], np.diff(names), [np.inf]])
        alone = (rows >= REPEATS) & (gaps[:-1] > near) & (gaps[1:] > near)
    return found | (outside & np.isin(values, names[alone]))


def beyond(values: FloatArray, limits: Range) -> Any:
    """Which rows hold a value outside of limits, which are within; shape (n,), False where a value is missing."""
    low, high = limits
    return (values < (-np.inf if low is None else low)) | (values > (np.inf if high is None else high))


def is_suspicious(column: ColumnProfile, bins: NumericBins, limits: Range | None) -> bool:
    """Whether a profile leaves it open that values are out of range: of the limits, or where there are none, implausible."""
    if sum(column.infinities):
        return True
    ends = _ends(bins) if limits is None else limits
    return column.finite > 0 and bool(beyond(np.array([column.low, column.high]), ends).any())


def _ends(bins: NumericBins) -> tuple[float, float]:
    """Only beyond these is a value ever implausible."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = APART * (bins.high - bins.low)
        below, above = _tails(bins)
        return bins.low - max(near, below), bins.high + max(near, above)


def _tails(bins: NumericBins) -> tuple[float, float]:
    """How far apart the outermost values of the reference are: others may come as far beyond them.

    Of two values the gap between them says nothing of a third.
    """
    inner = bins.edges[(bins.edges > bins.low) & (bins.edges < bins.high)]
    if not len(inner):
        return 0.0, 0.0
    return float(inner[0] - bins.low), float(bins.high - inner[-1])
