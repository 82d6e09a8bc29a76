"""A reference cut into consecutive stretches: how much it differs from itself tells how much a window may differ from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monitor.profile.bins import Bins, NumericBins
from monitor.profile.column import Profile, binned, profile_batch
from monitor.profile.histogram import clipped
from monitor.profile.seasons import SIZES, cells_of
from monitor.profile.tallies import Places, Tally, grown, tallied
from monitor.records import Coded, EventBatch, FloatArray, IntArray, ObjectArray

ENOUGH = 200  # so many stretches tell the restlessness of a reference well
MOST = 1000  # more of them only cost memory
FEWEST = 8  # fewer stretches of time than that tell nothing
FEWEST_ROWS = 25  # a stretch cut by rows has at least so many
LONG = 1000  # rows in a row that it pays to sort
MINUTE, DAY = 60, 86400


@dataclass(frozen=True, slots=True)
class Stretches:
    """Consecutive pieces of a reference, in order.

    Attributes:
        seconds: the length of each in event time; 0 where the reference was cut by rows, because it has no times or spans
            hardly any.
        rows: rows of each, shape (s,).
        counts: by column, rows per bin, then those missing, then those unseen: shape (s, bins + 2).
        sums: by numeric column, sum of the values per bin: shape (s, bins).
        expected: by column, where the reference is matched by season: what the whole reference says of rows of the same
            seasons, shape (s, bins + 2), in rows.
        composed: rows of each by the cell of its season, shape (s, cells); of one cell where nothing is matched.
        cell_rows: rows of the whole reference by cell, shape (cells,).
        dated: whether its rows have times.
    """

    seconds: float
    rows: IntArray
    counts: Mapping[str, IntArray]
    sums: Mapping[str, FloatArray] = field(default_factory=dict)
    expected: Mapping[str, FloatArray] = field(default_factory=dict)
    composed: IntArray = field(default_factory=lambda: np.empty((0, 1), dtype=np.int64))
    cell_rows: IntArray = field(default_factory=lambda: np.ones(1, dtype=np.int64))
    dated: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def own_share(self, size: int = 1) -> FloatArray:
        """By batch of so many stretches, which share of the rows that it is compared with are its own; shape (s // size,).

        1 where a batch is only ever compared with itself.
        """
        return self.own_share_of(batched(self.composed, size))

    def own_share_of(self, composed: Any) -> FloatArray:
        """As `own_share`, of any rows of the reference by cell, shape (..., cells)."""
        composed = np.asarray(composed, dtype=np.float64)
        own = (composed**2 / np.maximum(self.cell_rows, 1)).sum(axis=-1)
        share: FloatArray = own / np.maximum(composed.sum(axis=-1), 1.0)
        return share


def batched(values: Any, size: int) -> FloatArray:
    """Sums over batches of consecutive stretches, shape (s // size, ...); what is left over at the end is left out."""
    batches = max(len(values) // size, 1)
    used = np.asarray(values[: batches * size], dtype=np.float64)
    summed: FloatArray = used.reshape(batches, -1, *used.shape[1:]).sum(axis=1)
    return summed


@dataclass(frozen=True, slots=True)
class Seasons:
    """A reference by the cell of the season that its rows are of.

    Attributes:
        rows: rows per cell, shape (cells,).
        counts: by column, rows per cell and bin, then those missing, then those unseen: shape (cells, bins + 2).
    """

    rows: IntArray
    counts: Mapping[str, IntArray]


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
        dated: whether the rows have times.
    """

    def __init__(
        self,
        bins: Mapping[str, Bins],
        *,
        seconds: float,
        stretch_rows: int = 0,
        match: Sequence[str] = (),
        every: int = 1,
        dated: bool = True,
    ) -> None:
        self.bins = dict(bins)
        self.seconds, self.stretch_rows, self.match, self.every = seconds, stretch_rows, match, every
        self.dated = dated
        self._taken = 0
        self._whole: Profile | None = None
        self._cells = math.prod(SIZES[name] for name in match) if match else 0
        self._index: dict[int, int] = {}  # stretch → its row in the tallies, in order of appearance
        self._rows = np.zeros((0, max(self._cells, 1)), dtype=np.int64)
        self._cell_rows = np.zeros(self._cells, dtype=np.int64)
        self._tallies: dict[str, Tally] = {}

    def add(self, batch: EventBatch) -> None:
        """Take a batch in, with the columns that it holds."""
        if not len(batch):
            return
        places = self.place(batch.times)
        held = {name: bins for name, bins in self.bins.items() if name in batch.features}
        profile = profile_batch(batch, held)
        self._whole = profile if self._whole is None else self._whole + profile
        for name in self.bins:
            if name in batch.features:
                # Which rows held no number is only known in sum; such rows are missing here, which is what counts.
                self.add_column(name, self.bins[name], batch.features[name], places)

    def place(self, times: FloatArray) -> Places:
        """Count rows by their times, and say where they belong; a row whose time is NaN belongs nowhere."""
        timed = np.isfinite(times)
        if self.seconds:
            found = np.floor(np.where(timed, times, 0.0) / self.seconds).astype(np.int64)
            kept = timed & (found % self.every == 0)
        else:
            found = (np.arange(len(times)) + self._taken) // max(self.stretch_rows, 1)
            kept = np.ones(len(times), dtype=bool)
        self._taken += len(times)
        stretches = np.where(kept, self._known(found, kept), -1)
        small = np.int16 if max(len(self._index), self._cells) < 2**15 else np.int32
        if not self.match:
            self._rows += tallied(stretches[kept], self._rows.shape)
            return Places(stretches.astype(small))
        cells = np.full(len(times), -1, dtype=np.int64)
        cells[timed] = cells_of(times[timed], self.match)
        self._cell_rows += np.bincount(cells[timed], minlength=self._cells)
        # Cut by rows, one without a time has its stretch, and no cell.
        known = kept & timed
        self._rows += tallied(stretches[known] * self._cells + cells[known], self._rows.shape)
        return Places(stretches.astype(small), cells.astype(small))

    def _known(self, found: IntArray, kept: Any) -> IntArray:
        """The rows of the tallies for these stretches, and room for those that are new."""
        different = np.unique(found[kept])
        rows = [self._index.setdefault(place, len(self._index)) for place in different.tolist()]
        self._rows = grown(self._rows, len(self._index))
        if not rows:
            return np.zeros(len(found), dtype=np.int64)
        nearest = np.minimum(np.searchsorted(different, found), len(rows) - 1)
        return np.array(rows, dtype=np.int64)[nearest]

    def add_column(self, name: str, bins: Bins, values: FloatArray | ObjectArray | Coded, places: Places) -> None:
        """Take in one column's values of rows that have been placed."""
        self.bins.setdefault(name, bins)
        tally, runs = self._tally_of(name), places.runs()
        if isinstance(bins, NumericBins) and len(places) >= LONG * (len(runs) - 1):
            for start, end in zip(runs[:-1].tolist(), runs[1:].tolist(), strict=True):
                stretch = int(places.stretches[start]) if end > start else -1
                cell = int(places.cells[start]) if places.cells is not None and end > start else -1
                if stretch >= 0 or cell >= 0:
                    within = np.clip(np.asarray(values[start:end], dtype=np.float64), bins.low, bins.high)
                    counts, sums, _, _ = binned(np.sort(within), bins)
                    tally.add(stretch, cell, np.append(counts, [end - start - counts.sum(), 0]), sums)
        else:
            tally.add_rows(places, values, bins)

    def add_profile(self, place: int, cell: int, profile: Profile) -> None:
        """Take in the profile of rows that are all of one stretch and one cell of the season."""
        self._taken += profile.rows
        self._whole = profile if self._whole is None else self._whole + profile
        stretch = -1
        if not self.seconds or place % self.every == 0:
            stretch = self._index.setdefault(place, len(self._index))
            self._rows = grown(self._rows, len(self._index))
            self._rows[stretch, cell if self.match else 0] += profile.rows
        if self.match:
            self._cell_rows[cell] += profile.rows
        for name, column in profile.columns.items():
            if name in self.bins:
                rows = np.append(column.counts, [column.missing, column.unseen])
                self._tally_of(name).add(stretch, cell, rows, clipped(column).sums)

    def _tally_of(self, name: str) -> Tally:
        if name not in self._tallies:
            self._tallies[name] = Tally(self.bins[name], self._cells)
        self._tallies[name].grow(len(self._index))
        return self._tallies[name]

    def whole(self) -> Profile | None:
        """The profile of all that has come in; None for nothing."""
        return self._whole

    def stretches(self) -> Stretches:
        """What has been cut."""
        order = np.array([self._index[place] for place in sorted(self._index)], dtype=np.int64)
        composed = self._rows[order]
        rows = composed.sum(axis=1)
        tallies = {name: self._tally_of(name) for name in self.bins}
        counts = {name: tally.counts[order] for name, tally in tallies.items()}
        sums = {name: tally.sums[order] for name, tally in tallies.items() if tally.sums is not None}
        if not self.match:
            whole = np.array([self._taken], dtype=np.int64)
            return Stretches(
                self.seconds, rows, counts, sums, composed=rows[:, None], cell_rows=whole, dated=self.dated
            )
        expected = {
            name: composed @ (found / np.maximum(found.sum(axis=1, keepdims=True), 1))
            for name, found in self.seasons().counts.items()
        }
        return Stretches(self.seconds, rows, counts, sums, expected, composed, self._cell_rows)

    def seasons(self) -> Seasons:
        """All rows by the cell of the season; of no cell where they are not matched by it."""
        tallies = {name: self._tally_of(name) for name in self.bins}
        counts = {name: tally.seasons for name, tally in tallies.items() if tally.seasons is not None}
        return Seasons(self._cell_rows, counts)
