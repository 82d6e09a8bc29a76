"""How long a feature of a reference holds one value, and whether a window that has only one is more than that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.profile import CategoricalBins, ColumnProfile
from monitor.records import Coded, FloatArray

LONGER = 5  # a window with one value is that many times as long as the reference's longest run, in rows and in time
CHANCE = 1e-6  # and this improbable


@dataclass(frozen=True, slots=True)
class Runs:
    """How a feature of a reference changes, from row to row in order of time.

    Attributes:
        longest: rows of the longest run of one value.
        seconds: how long the longest one in time lasts; 0 where the reference has no times.
        changes: the share of rows whose value is not that of the row before.
        frequent: the share of the most frequent value.
    """

    longest: int
    seconds: float
    changes: float
    frequent: float

    def explain(self, rows: int, seconds: float, every: float = 1.0) -> bool:
        """Whether a stretch with one value is nothing out of the ordinary.

        A feature that never changed in the reference explains it always. Others hang together (a rainy day, a closed market),
        so five times the longest run is asked for, and that chance alone would not bring it about.

        Args:
            rows: of the stretch, that hold a value.
            seconds: how long it lasts.
            every: one row in so many of the reference was looked at: runs are as many times longer, changes as many times rarer.
        """
        same = max(1 - self.changes / every, self.frequent)
        if same >= 1.0 or rows <= LONGER * self.longest * every or seconds <= LONGER * self.seconds:
            return True
        return (rows - 1) * math.log(max(same, 1e-300)) > math.log(CHANCE)


def runs_of(values: Any, times: FloatArray, *, dated: bool) -> Runs | None:
    """The runs of one feature; None where it has no value.

    Args:
        values: in order of time, shape (n,); missing ones are left out.
        times: shape (n,).
        dated: whether the times say anything.
    """
    codes, held = _coded(values)
    codes, times = codes[held], times[held]
    if not len(codes):
        return None
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    ends = np.append(starts[1:], len(codes))
    changes = (len(starts) - 1) / max(len(codes) - 1, 1)
    frequent = float(np.unique(codes, return_counts=True)[1].max()) / len(codes)
    seconds = float((times[ends - 1] - times[starts]).max()) if dated else 0.0
    return Runs(int((ends - starts).max()), seconds, changes, frequent)


def _coded(values: Any) -> tuple[Any, Any]:
    if isinstance(values, Coded):
        return values.codes, values.codes >= 0
    if values.dtype == object:
        index: dict[Any, int] = {}
        codes = np.array([-1 if value is None else index.setdefault(value, len(index)) for value in values.tolist()])
        return codes, codes >= 0
    return values, ~np.isnan(values)


def number_of_values(column: ColumnProfile, bins: Any) -> int:
    """How many different values a window holds, as far as its profile tells one from more: 0, 1, or 2 for more."""
    if column.unseen > 0:  # no telling how many names or texts these are
        return 2
    if isinstance(bins, CategoricalBins):
        rest = bins.has_rest and column.counts[-1] > 0  # the bin of many names
        return min(int(np.count_nonzero(column.counts)) + rest, 2)
    values = (column.finite > 0) + (column.low < column.high) + sum(rows > 0 for rows in column.infinities)
    return min(values, 2)
