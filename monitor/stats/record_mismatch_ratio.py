"""The share of records whose logged feature is not what its recomputation says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.records import Direction, FloatArray, NoData, ObjectArray, Statistic


def record_mismatch_ratio(
    online: FloatArray | ObjectArray, offline: FloatArray | ObjectArray, *, tolerance: float = 0.0
) -> float:
    """Share of joined records that differ, between 0 and 1; 0 is perfect.

    Numbers differ where `|a − b| > tolerance × max(1, |b|)`, with a logged online and b recomputed offline; so at tolerance 0,
    where they are not the same number. Names differ where they are spelled otherwise. A value that is there on one side only
    differs, one that is missing on both does not.

    Args:
        online: one value a record, shape (n,): floats with NaN, or names with None, where it is missing.
        offline: of the same records, in the same order.
        tolerance: of numbers; relative to the offline value where that is larger than 1.

    Raises:
        NoData: there is no record.

    >>> record_mismatch_ratio(np.array([1.0, 2.0, np.nan, 4.0]), np.array([1.0, 2.1, np.nan, np.nan]))
    0.5
    >>> record_mismatch_ratio(np.array([1.0, 200.0]), np.array([1.0, 201.0]), tolerance=0.01)
    0.0
    """
    if not len(offline):
        raise NoData("no joined records")
    return float(_differ(online, offline, tolerance).mean())


def _differ(online: FloatArray | ObjectArray, offline: FloatArray | ObjectArray, tolerance: float) -> NDArray[np.bool_]:
    if np.dtype(object) in (online.dtype, offline.dtype):
        return np.array([a != b for a, b in zip(online.tolist(), offline.tolist(), strict=True)], dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):
        # Infinities are no further apart for their size: where they are not the same, they differ.
        within = np.abs(online - offline) <= tolerance * np.maximum(1.0, np.abs(offline))
    finite = np.isfinite(online) & np.isfinite(offline)
    same: NDArray[np.bool_] = (online == offline) | (np.isnan(online) & np.isnan(offline)) | (finite & within)
    return ~same


STATISTIC = Statistic(
    name="record_mismatch_ratio",
    family="skew",
    applies_to=frozenset({"numeric", "categorical", "text"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=record_mismatch_ratio,
    default_threshold=0.01,
)
