"""Cells of the season: which rows are alike in the hour of the day, the day of the week or the month of the year."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.records import FloatArray, IntArray

HOUR, DAY = 3600, 86400
SIZES = {"hour_of_day": 24, "day_of_week": 7, "month_of_year": 12}


def cells_of(times: FloatArray, match: Sequence[str]) -> IntArray:
    """The cell of every row, shape (n,): one whole number for each combination of what is matched by.

    Hours, days (Monday is 0) and months (January is 0) are UTC.

    Args:
        times: Unix seconds, shape (n,).
        match: some of `hour_of_day`, `day_of_week` and `month_of_year`.

    >>> cells_of(np.array([0.0, 3600.0, 86400.0]), ["hour_of_day"]).tolist()
    [0, 1, 0]
    >>> cells_of(np.array([0.0]), ["day_of_week"]).tolist()  # 1970-01-01 was a Thursday
    [3]
    """
    seconds = np.floor(np.asarray(times, dtype=np.float64)).astype(np.int64)
    cell = np.zeros(len(seconds), dtype=np.int64)
    for name in match:
        cell = cell * SIZES[name] + _part(seconds, name)
    return cell


def _part(seconds: IntArray, name: str) -> IntArray:
    if name == "hour_of_day":
        return seconds // HOUR % 24
    if name == "day_of_week":
        return (seconds // DAY + 3) % 7
    return seconds.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12


def count_cells(times: FloatArray, match: Sequence[str]) -> dict[int, int]:
    """Rows by cell."""
    cells, rows = np.unique(cells_of(times, match), return_counts=True)
    return dict(zip(cells.tolist(), rows.tolist(), strict=True))
