"""Counting one column by stretch and by cell of the season."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.profile.bins import Bins, NumericBins
from monitor.records import Coded, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Places:
    """Where each row of a batch belongs: its stretch (-1: to none that is kept) and its cell of the season, shape (n,).

    No cells where nothing is matched by season.
    """

    stretches: NDArray[np.signedinteger[Any]]
    cells: NDArray[np.signedinteger[Any]] | None = None

    def __len__(self) -> int:
        return len(self.stretches)

    def __getitem__(self, rows: Any) -> Places:
        return Places(self.stretches[rows], None if self.cells is None else self.cells[rows])

    @classmethod
    def joined(cls, parts: Sequence[Places]) -> Places:
        """Several batches one after the other."""
        cells = [part.cells for part in parts if part.cells is not None]
        return cls(np.concatenate([part.stretches for part in parts]), np.concatenate(cells) if cells else None)

    def runs(self) -> IntArray:
        """Where rows of another stretch or cell begin, the first row and the end included."""
        changes = self.stretches[1:] != self.stretches[:-1]
        if self.cells is not None:
            changes |= self.cells[1:] != self.cells[:-1]
        return np.concatenate([[0], np.flatnonzero(changes) + 1, [len(self)]]).astype(np.int64)


class Tally:
    """What is counted of one column: by stretch, and by cell of the season."""

    def __init__(self, bins: Bins, cells: int) -> None:
        width = len(bins) + 2
        self.counts = np.zeros((0, width), dtype=np.int64)
        self.sums = np.zeros((0, len(bins))) if isinstance(bins, NumericBins) else None
        self.seasons = np.zeros((cells, width), dtype=np.int64) if cells else None

    def grow(self, stretches: int) -> None:
        """Make room for so many stretches."""
        self.counts = grown(self.counts, stretches)
        if self.sums is not None:
            self.sums = grown(self.sums, stretches)

    def add(self, stretch: int, cell: int, rows: IntArray, sums: FloatArray) -> None:
        """Add rows per bin, missing and unseen, that are all of one stretch and one cell, -1 for none.

        Sums are of values clipped to the range of the bins.
        """
        if stretch >= 0:
            self.counts[stretch] += rows
            if self.sums is not None:
                self.sums[stretch] += sums
        if self.seasons is not None and cell >= 0:
            self.seasons[cell] += rows

    def add_rows(self, places: Places, values: Any, bins: Bins) -> None:
        """Add rows one by one."""
        slots, width = _slots(values, bins), len(bins) + 2
        kept = places.stretches >= 0
        stretches = places.stretches[kept].astype(np.int64)
        self.counts += tallied(stretches * width + slots[kept], self.counts.shape)
        if self.seasons is not None and places.cells is not None:
            timed = places.cells >= 0
            self.seasons += tallied(places.cells[timed].astype(np.int64) * width + slots[timed], self.seasons.shape)
        if self.sums is not None:
            assert isinstance(bins, NumericBins)  # others have no sums
            within = np.clip(values[kept], bins.low, bins.high)
            finite = np.isfinite(within)
            keys = stretches[finite] * len(bins) + slots[kept][finite]
            self.sums += tallied(keys, self.sums.shape, within[finite])


def _slots(values: Any, bins: Bins) -> IntArray:
    """The bin of every row; behind the bins, one place for those missing and one for those unseen."""
    if isinstance(bins, NumericBins):
        numbers = np.asarray(values, dtype=np.float64)
        return np.where(np.isnan(numbers), len(bins), bins.place(numbers))
    index: dict[str | None, int] = {name: place for place, name in enumerate(bins.categories)}
    other = len(bins) - 1 if bins.has_rest else len(bins) + 1
    names = [*values.names, None] if isinstance(values, Coded) else values.tolist()
    slots = np.array([len(bins) if name is None else index.get(name, other) for name in names], dtype=np.int64)
    return slots[values.codes] if isinstance(values, Coded) else slots


def tallied(keys: IntArray, shape: tuple[int, ...], weights: FloatArray | None = None) -> Any:
    """How often each place of a table of that shape is named, or the sum of its weights."""
    return np.bincount(keys, weights, minlength=shape[0] * shape[1]).reshape(shape)


def grown(table: Any, rows: int) -> Any:
    """A table with at least so many rows, the new ones of zeros."""
    if len(table) >= rows:
        return table
    return np.concatenate([table, np.zeros((rows - len(table), *table.shape[1:]), table.dtype)])
