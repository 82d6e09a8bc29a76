"""The profile of a batch on given bins, and how profiles add up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from monitor.profile.bins import Bins, NumericBins, count_categories
from monitor.profile.seasons import count_cells
from monitor.records import Coded, EventBatch, FloatArray, IntArray, NoData, ObjectArray

RUN = 131_072  # so many values stay in the processor's cache while they are sorted
BLOCK = 16_384  # and so many while their moments are taken


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column over one stretch: rows and sums per bin, the rows that fell into none, the ends and moments of its values.

    Attributes:
        counts: rows per bin, shape (bins,).
        sums: sum of the finite values per bin, shape (bins,); zeros for a categorical column.
        missing: rows without a value; of these, `absent` did not even carry the column.
        unseen: rows with a value the reference does not know: a new category, or no number in a numeric column.
        low, high: the smallest and the largest finite value of a numeric column; inf and -inf where there is none.
        shift: sum, over the finite values, of how far each is from the bins' center.
        squares: sum of the squares of how far each is from their mean.
        infinities: rows of minus and of plus infinity, which are counted in the outer bins and in no sum.
        outside: rows of a value below and above the range of the bins' reference, those of infinities included.
        clipped: the sums of the first and the last bin, had these rows lain at the ends of the range.
    """

    counts: IntArray
    sums: FloatArray
    missing: int = 0
    absent: int = 0
    unseen: int = 0
    low: float = math.inf
    high: float = -math.inf
    shift: float = 0.0
    squares: float = 0.0
    infinities: tuple[int, int] = (0, 0)
    outside: tuple[int, int] = (0, 0)
    clipped: tuple[float, float] = (0.0, 0.0)

    @property
    def rows(self) -> int:
        """All rows, missing and unseen ones too."""
        return int(self.counts.sum()) + self.missing + self.unseen

    @property
    def finite(self) -> int:
        """Rows that are in the sums."""
        return int(self.counts.sum()) - sum(self.infinities)

    def mean(self, bins: NumericBins) -> float:
        """Mean of the finite values, on the bins this profile was made with.

        Raises:
            NoData: there is none.
        """
        if not self.finite:
            raise NoData("expected a value to take the mean of, got none")
        return bins.center + self.shift / self.finite

    def spread(self) -> float:
        """Standard deviation of the finite values (divided by their number); 0 of none and of a constant."""
        if self.low >= self.high:
            return 0.0
        return math.sqrt(self.squares / self.finite)

    def __add__(self, other: ColumnProfile) -> ColumnProfile:
        one, two = (self.finite, self.shift, self.squares), (other.finite, other.shift, other.squares)
        shift, squares = added_moments(*one, *two)
        return ColumnProfile(
            self.counts + other.counts,
            self.sums + other.sums,
            self.missing + other.missing,
            self.absent + other.absent,
            self.unseen + other.unseen,
            min(self.low, other.low),
            max(self.high, other.high),
            shift,
            squares,
            (self.infinities[0] + other.infinities[0], self.infinities[1] + other.infinities[1]),
            (self.outside[0] + other.outside[0], self.outside[1] + other.outside[1]),
            (self.clipped[0] + other.clipped[0], self.clipped[1] + other.clipped[1]),
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


def profile_column(
    values: FloatArray | ObjectArray | Coded, bins: Bins, *, absent: int = 0, invalid: int = 0
) -> ColumnProfile:
    """The profile of one column's values.

    Args:
        values: shape (n,); NaN or None where missing. Infinities belong to the outer bins, but to no sum.
        bins: from the reference.
        absent: how many of the missing rows did not carry the column.
        invalid: how many of the NaN rows held a value that is no number.
    """
    if isinstance(bins, NumericBins):
        return _profile_numbers(np.asarray(values, dtype=np.float64), bins, absent=absent, invalid=invalid)
    counts, known = np.zeros(len(bins), dtype=np.int64), 0
    index = {name: place for place, name in enumerate(bins.categories)}
    unseen = 0
    for name, count in count_categories(values).items():
        place = index.get(name, len(bins) - 1 if bins.has_rest else -1)
        known += count
        if place < 0:
            unseen += count
        else:
            counts[place] += count
    return ColumnProfile(counts, np.zeros(len(bins)), len(values) - known, absent, unseen + invalid)


def _profile_numbers(numbers: FloatArray, bins: NumericBins, *, absent: int, invalid: int) -> ColumnProfile:
    # Sorting costs less than looking up the bin of every value, however few they are; NaN comes last.
    if len(numbers) <= RUN:
        return profile_ordered(np.sort(numbers), bins, absent=absent, invalid=invalid)
    whole = profile_ordered(np.sort(numbers[:RUN]), bins)
    for start in range(RUN, len(numbers), RUN):
        whole += profile_ordered(np.sort(numbers[start : start + RUN]), bins)
    return replace(whole, missing=whole.missing - invalid, absent=absent, unseen=invalid)


def profile_ordered(ordered: FloatArray, bins: NumericBins, *, absent: int = 0, invalid: int = 0) -> ColumnProfile:
    """As `profile_column`, of the values of a numeric column in rising order, those that are NaN last."""
    counts, sums, finite, infinities = binned(ordered, bins)
    low, high, shift, squares = math.inf, -math.inf, 0.0, 0.0
    outside, ends = infinities, (float(sums[0]), float(sums[-1]))
    if len(finite):
        low, high = float(finite[0]), float(finite[-1])
        with np.errstate(over="ignore", invalid="ignore"):
            shift, squares = _moments(finite, bins.center)
    if sum(infinities) or low < bins.low or high > bins.high:
        below, above = int(finite.searchsorted(bins.low)), int(finite.searchsorted(bins.high, side="right"))
        outside = infinities[0] + below, infinities[1] + len(finite) - above
        first, last = int(counts[0]) - infinities[0], len(finite) - int(counts[-1]) + infinities[1]
        ends = (
            float(finite[below:first].sum() + outside[0] * bins.low),
            float(finite[last:above].sum() + outside[1] * bins.high),
        )
    missing = len(ordered) - int(counts.sum()) - invalid
    return ColumnProfile(counts, sums, missing, absent, invalid, low, high, shift, squares, infinities, outside, ends)


def binned(ordered: FloatArray, bins: NumericBins) -> tuple[IntArray, FloatArray, FloatArray, tuple[int, int]]:
    """Rows and sums per bin of values in rising order, those that are NaN last; the finite ones, and how many are infinite."""
    here = int(ordered.searchsorted(np.nan))
    present = ordered[:here]
    first = int(present.searchsorted(-np.inf, side="right"))
    last = int(present.searchsorted(np.inf, side="left"))
    ends = np.zeros(len(bins) + 1, dtype=np.int64)
    ends[1:-1], ends[-1] = present.searchsorted(bins.edges, side="right"), here
    finite, cuts = present[first:last], np.minimum(np.maximum(ends, first), last) - first
    sums = np.zeros(len(bins))
    if len(finite):
        held = np.flatnonzero(cuts[1:] > cuts[:-1])
        with np.errstate(over="ignore", invalid="ignore"):
            sums[held] = np.add.reduceat(finite, cuts[held])
    return ends[1:] - ends[:-1], sums, finite, (first, here - last)


def _moments(finite: FloatArray, center: float) -> tuple[float, float]:
    rows, shift, squares = 0, 0.0, 0.0
    for start in range(0, len(finite), BLOCK):
        away = finite[start : start + BLOCK] - center
        total = float(away.sum())
        away -= total / len(away)
        away *= away
        shift, squares = added_moments(rows, shift, squares, len(away), total, float(away.sum()))
        rows += len(away)
    return shift, squares


def added_moments(
    rows: int, shift: float, squares: float, other_rows: int, other_shift: float, other_squares: float
) -> tuple[float, float]:
    """The shift and the squares of two sets of values together (Chan, Golub & LeVeque, The American Statistician 37, 1983)."""
    if not rows or not other_rows:
        return shift + other_shift, squares + other_squares
    apart = shift / rows - other_shift / other_rows
    between = apart * apart * (rows / (rows + other_rows) * other_rows)
    return shift + other_shift, squares + other_squares + between


def profile_batch(
    batch: EventBatch, bins: Mapping[str, Bins], match: Sequence[str] = (), *, each: Callable[..., Iterable[Any]] = map
) -> Profile:
    """The profile of a batch's rows on the bins of its version; a column without bins, or that it does not hold, is left out.

    Args:
        batch: at least one row.
        bins: by column, from the reference.
        match: what the reference is matched by: see `monitor.profile.seasons`.
        each: how a function is called on every column: a pool's `map` takes several at a time, as sorting needs no lock.
    """
    names = [name for name in bins if name in batch.features]

    def one(name: str) -> ColumnProfile:
        absent, invalid = batch.absent.get(name, 0), batch.invalid.get(name, 0)
        return profile_column(batch.features[name], bins[name], absent=absent, invalid=invalid)

    columns = dict(zip(names, each(one, names), strict=True))
    seasons = count_cells(batch.times, match) if match else {}
    return Profile(len(batch), float(batch.times.min()), float(batch.times.max()), columns, seasons)


def comparable(profile: ColumnProfile, bins: Bins) -> IntArray:
    """The rows of each group, then those missing, then those unseen: shape (groups + 2,), equal for equal bins."""
    groups: IntArray = group_counts(np.append(profile.counts, [profile.missing, profile.unseen]), bins)
    return groups


def group_counts(counts: Any, bins: Bins) -> Any:
    """Rows per group of rows per bin, each with missing and unseen rows at the end: shape (..., bins + 2) → (..., groups + 2)."""
    # Groups are runs of neighbouring bins.
    starts = np.flatnonzero(np.diff(bins.groups, prepend=-1))
    rest = len(bins) + np.arange(2)
    return np.add.reduceat(np.asarray(counts), np.append(starts, rest), axis=-1)
