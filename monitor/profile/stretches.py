"""A reference cut into consecutive stretches: how much it differs from itself tells how much a window may differ from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.profile.bins import Bins
from monitor.profile.column import ColumnProfile, Profile, profile_batch
from monitor.profile.seasons import SIZES, cells_of
from monitor.records import EventBatch, FloatArray, IntArray

ENOUGH = 200  # so many stretches tell the restlessness of a reference well
MOST = 1000  # more of them only cost memory
FEWEST_ROWS = 25  # a stretch cut by rows has at least so many
MINUTE, DAY = 60, 86400


@dataclass(frozen=True, slots=True)
class Stretches:
    """Consecutive pieces of a reference, in order.

    Attributes:
        seconds: the length of each in event time; 0 where the reference has no times and was cut by rows.
        rows: rows of each, shape (s,).
        counts: by column, rows per bin, then those missing, then those unseen: shape (s, bins + 2).
        sums: by numeric column, sum of the values per bin: shape (s, bins).
        expected: by column, where the reference is matched by season: what the whole reference says of rows of the same
            seasons, shape (s, bins + 2), in rows.
        seasons: by column, where it is matched: rows per cell of the season and bin, shape (cells, bins + 2).
    """

    seconds: float
    rows: IntArray
    counts: Mapping[str, IntArray]
    sums: Mapping[str, FloatArray] = field(default_factory=dict)
    expected: Mapping[str, FloatArray] = field(default_factory=dict)
    seasons: Mapping[str, IntArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


def stretch_seconds(size: float, span: float) -> float:
    """How long the stretches of a reference of `span` seconds are cut, for windows of `size` seconds.

    A window is a whole number of them. They are windows where there are enough of those, and parts of one otherwise; of
    windows of a day or more, whole days, so that the hour of the day is no difference between them.

    >>> stretch_seconds(3600.0, 3600.0 * 400), stretch_seconds(7 * 86400.0, 28 * 86400.0)
    (3600.0, 86400.0)
    """
    unit = DAY if size >= DAY and size % DAY == 0 else MINUTE
    units = max(int(size // unit), 1)
    for parts in range(1, units + 1):
        if units % parts == 0 and span / (size / parts) >= ENOUGH:
            return size / parts
    return min(float(unit), size)


class Cutter:
    """Cuts rows that come in batches, in any order, into stretches.

    Args:
        bins: of the reference's columns.
        seconds: length of a stretch in event time, or 0: then `stretch_rows` rows in the order they come make one.
        stretch_rows: see `seconds`.
        match: the seasons that rows are matched by.
        every: of the stretches of time, only one in so many is kept.
    """

    def __init__(
        self,
        bins: Mapping[str, Bins],
        *,
        seconds: float,
        stretch_rows: int = 0,
        match: Sequence[str] = (),
        every: int = 1,
    ) -> None:
        self.bins, self.seconds, self.stretch_rows, self.match, self.every = bins, seconds, stretch_rows, match, every
        self._taken = 0
        self._profiles: dict[tuple[int, int], Profile] = {}
        self._cells: dict[int, Profile] = {}

    def add(self, batch: EventBatch) -> None:
        """Take a batch in."""
        if not len(batch):
            return
        if self.seconds:
            places = np.floor(batch.times / self.seconds).astype(np.int64)
        else:
            places = (np.arange(len(batch)) + self._taken) // max(self.stretch_rows, 1)
        self._taken += len(batch)
        cells = cells_of(batch.times, self.match) if self.match else np.zeros(len(batch), dtype=np.int64)
        keys = np.stack([places, cells])
        order = np.lexsort(keys[::-1])
        changes = np.flatnonzero(np.any(np.diff(keys[:, order]) != 0, axis=0)) + 1
        for part in np.split(order, changes):
            self.add_profile(int(places[part[0]]), int(cells[part[0]]), profile_batch(_pick(batch, part), self.bins))

    def add_profile(self, place: int, cell: int, profile: Profile) -> None:
        """Take in the profile of rows that are all of one stretch and one cell of the season."""
        if self.match:
            self._cells[cell] = self._cells[cell] + profile if cell in self._cells else profile
        if not self.seconds or place % self.every == 0:
            old = self._profiles.get((place, cell))
            self._profiles[place, cell] = profile if old is None else old + profile

    def stretches(self) -> Stretches:
        """What has been cut."""
        places = sorted({place for place, _ in self._profiles})
        index = {place: row for row, place in enumerate(places)}
        rows = np.zeros(len(places), dtype=np.int64)
        counts = {name: np.zeros((len(places), len(bins) + 2), dtype=np.int64) for name, bins in self.bins.items()}
        sums = {name: np.zeros((len(places), len(bins))) for name, bins in self.bins.items()}
        for (place, _), profile in self._profiles.items():
            rows[index[place]] += profile.rows
            for name, column in profile.columns.items():
                counts[name][index[place]] += _with_rest(column)
                sums[name][index[place]] += column.sums
        if not self.match:
            return Stretches(self.seconds, rows, counts, sums)
        seasons, expected = {}, {}
        number = math.prod(SIZES[name] for name in self.match)
        composed = np.zeros((len(places), number))
        for (place, cell), profile in self._profiles.items():
            composed[index[place], cell] += profile.rows
        for name, bins in self.bins.items():
            seasons[name] = np.zeros((number, len(bins) + 2), dtype=np.int64)
            for cell, profile in self._cells.items():
                seasons[name][cell] = _with_rest(profile.columns[name])
            shares = seasons[name] / np.maximum(seasons[name].sum(axis=1, keepdims=True), 1)
            expected[name] = composed @ shares
        return Stretches(self.seconds, rows, counts, sums, expected, seasons)


def _with_rest(column: ColumnProfile) -> IntArray:
    return np.append(column.counts, [column.missing, column.unseen])


def _pick(batch: EventBatch, rows: IntArray) -> EventBatch:
    # Which rows carried no column or no number is only known in sum; such rows are missing here, which is what counts.
    return EventBatch(batch.version, batch.times[rows], {name: values[rows] for name, values in batch.features.items()})
