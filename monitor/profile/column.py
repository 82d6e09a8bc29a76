"""The profile of a batch on given bins, and how profiles add up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.profile.bins import Bins, NumericBins
from monitor.profile.seasons import count_cells
from monitor.records import EventBatch, FloatArray, IntArray, ObjectArray


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column over one stretch: rows and sums per bin, the rows that fell into none, and the ends of its values.

    Attributes:
        counts: rows per bin, shape (bins,).
        sums: sum of the finite values per bin, shape (bins,); zeros for a categorical column.
        missing: rows without a value; of these, `absent` did not even carry the column.
        unseen: rows with a value the reference does not know: a new category, or no number in a numeric column.
        low, high: the smallest and the largest finite value of a numeric column; inf and -inf where there is none.
    """

    counts: IntArray
    sums: FloatArray
    missing: int = 0
    absent: int = 0
    unseen: int = 0
    low: float = math.inf
    high: float = -math.inf

    @property
    def rows(self) -> int:
        """All rows, missing and unseen ones too."""
        return int(self.counts.sum()) + self.missing + self.unseen

    def __add__(self, other: ColumnProfile) -> ColumnProfile:
        return ColumnProfile(
            self.counts + other.counts,
            self.sums + other.sums,
            self.missing + other.missing,
            self.absent + other.absent,
            self.unseen + other.unseen,
            min(self.low, other.low),
            max(self.high, other.high),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """All columns over one stretch. `first` and `last` are the event times at its ends.

    `seasons` counts its rows by cell of the season (hour of the day, day of the week, ...) that the reference is matched by;
    empty where it is not.
    """

    rows: int
    first: float
    last: float
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)
    seasons: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Profile) -> Profile:
        columns = {name: column + other.columns[name] for name, column in self.columns.items()}
        seasons = dict(self.seasons)
        for cell, rows in other.seasons.items():
            seasons[cell] = seasons.get(cell, 0) + rows
        ends = min(self.first, other.first), max(self.last, other.last)
        return Profile(self.rows + other.rows, *ends, columns, seasons)


def merge(profiles: Iterable[Profile]) -> Profile | None:
    """The profile of all the stretches together: any split, any order. None for none.

    Counts add up exactly, sums to rounding.
    """
    total: Profile | None = None
    for profile in profiles:
        total = profile if total is None else total + profile
    return total


def profile_column(values: FloatArray | ObjectArray, bins: Bins, *, absent: int = 0, invalid: int = 0) -> ColumnProfile:
    """The profile of one column's values.

    Args:
        values: shape (n,); NaN or None where missing. Infinities belong to the outer bins, but to no sum.
        bins: from the reference.
        absent: how many of the missing rows did not carry the column.
        invalid: how many of the NaN rows held a value that is no number.
    """
    if isinstance(bins, NumericBins):
        numbers = np.asarray(values, dtype=np.float64)
        here = ~np.isnan(numbers)
        present = numbers[here]
        places = bins.place(present)
        counts = np.bincount(places, minlength=len(bins)).astype(np.int64)
        sums = np.bincount(places, weights=np.where(np.isfinite(present), present, 0.0), minlength=len(bins))
        missing = int(len(numbers) - here.sum()) - invalid
        finite = present[np.isfinite(present)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (math.inf, -math.inf)
        return ColumnProfile(counts, sums.astype(np.float64), missing, absent, invalid, low, high)
    index = {name: place for place, name in enumerate(bins.categories)}
    counts = np.zeros(len(bins), dtype=np.int64)
    missing = unseen = 0
    for name, count in Counter(values.tolist()).items():
        if name is None:
            missing += count
        elif name in index:
            counts[index[name]] += count
        elif bins.has_rest:
            counts[-1] += count
        else:
            unseen += count
    return ColumnProfile(counts, np.zeros(len(bins)), missing, absent, unseen + invalid)


def profile_batch(batch: EventBatch, bins: Mapping[str, Bins], match: Sequence[str] = ()) -> Profile:
    """The profile of a batch's rows on the bins of its version; a column without bins is left out.

    `match` names what the reference is matched by: see `monitor.profile.seasons`.
    """
    columns = {
        name: profile_column(
            batch.features[name],
            column_bins,
            absent=batch.absent.get(name, 0),
            invalid=batch.invalid.get(name, 0),
        )
        for name, column_bins in bins.items()
    }
    seasons = count_cells(batch.times, match) if match else {}
    return Profile(len(batch), float(batch.times.min()), float(batch.times.max()), columns, seasons)


def comparable(profile: ColumnProfile, bins: Bins) -> IntArray:
    """The rows of each group, then those missing, then those unseen: shape (groups + 2,), equal for equal bins."""
    groups = np.zeros(int(bins.groups.max()) + 1, dtype=np.int64)
    np.add.at(groups, bins.groups, profile.counts)
    return np.append(groups, [profile.missing, profile.unseen])
