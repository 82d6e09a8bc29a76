"""Rows that are copies of another one, and how many of them a reference has of its own accord."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.check._few_rows import limit_for
from monitor.check._statistics import statistic
from monitor.check._verdict import measured
from monitor.records import Coded, ColumnKind, EventBatch, FloatArray, NoData

Keys = NDArray[np.uint64]

SMALLEST = 16  # rows of a batch of the reference
RESTLESS = 1.5  # batches of the reference differ: a window may have so many times the copies of the worst one
TOO_MANY = 0.5  # a reference with more copies than that tells nothing
KINDS = frozenset({ColumnKind.NUMERIC, ColumnKind.CATEGORICAL, ColumnKind.TEXT})
_SEED, _STEP, _SPREAD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def row_keys(batch: EventBatch, names: Sequence[str]) -> tuple[Keys, Any]:
    """One number for each row, equal where all these features are; and which rows hold a value at all. Shapes (n,)."""
    keys, there = np.full(len(batch), _SEED), np.zeros(len(batch), dtype=bool)
    for name in names:
        codes, held = _codes(batch.features[name])
        keys = (keys ^ codes) * _STEP
        keys = (keys ^ (keys >> np.uint64(29))) * _SPREAD
        keys ^= keys >> np.uint64(32)
        there |= held
    return keys, there


def _codes(values: Any) -> tuple[Keys, Any]:
    if isinstance(values, Coded):
        names = np.array([hash(name) for name in (*values.names, None)], dtype=np.int64)
        return names[values.codes].view(np.uint64), values.codes >= 0
    if values.dtype == object:
        listed = values.tolist()
        hashes = np.fromiter((hash(value) for value in listed), dtype=np.int64, count=len(listed))
        return hashes.view(np.uint64), np.array([value is not None for value in listed], dtype=bool)
    held = ~np.isnan(values)
    return np.where(held, values + 0.0, np.nan).view(np.uint64), held  # -0.0 is 0.0, and one NaN is like another


def time_keys(times: FloatArray) -> Keys:
    """One number for each time, shape (n,)."""
    return (times + 0.0).view(np.uint64)


def copies(keys: Keys) -> int:
    """How many rows are equal to one before them."""
    return len(keys) - len(np.unique(keys))


@dataclass(frozen=True, slots=True)
class Usual:
    """The share of copies in batches of consecutive rows of a reference.

    Attributes:
        sizes: rows of a batch, rising; the last is the whole reference.
        most: the largest share among the batches of each size, shape (s,).
        mean: their mean, shape (s,).
        density: rows for each second; 0 where the rows have no times.
    """

    sizes: FloatArray
    most: FloatArray
    mean: FloatArray
    density: float = 0.0

    def at(self, rows: int, times_denser: float = 1.0) -> tuple[float, float]:
        """The mean and the largest share in batches of so many rows.

        Batches larger than the reference have copies in proportion to their rows, or fewer. What the reference shows none of may
        be there all the same: up to three such copies are taken to have been missed (the rule of three).

        Raises:
            NoData: the reference has so many that nothing can be told.
        """
        place = int(np.searchsorted(self.sizes, rows))
        if place < len(self.sizes):
            mean, most = float(self.mean[place]), float(self.most[place])
        else:
            whole, grown = float(self.sizes[-1]), rows / float(self.sizes[-1])
            seen = float(self.most[-1]) * whole
            mean, most = seen / whole * grown, (seen + 3 + 2 * seen**0.5) / whole * grown
        most = RESTLESS * most * max(times_denser, 1.0)
        if most > TOO_MANY:
            raise NoData(f"of as many rows of the reference up to {most / RESTLESS:.0%} are copies, too many to tell")
        return min(mean, 1.0), most


def usual_copies(keys: Keys, *, density: float = 0.0) -> Usual:
    """What a reference has of copies, from the keys of its rows in order of time, at least one."""
    sizes = []
    size = SMALLEST
    while size < len(keys):
        sizes.append(size)
        size *= 2
    sizes.append(len(keys))
    shares = []
    for size in sizes:
        batches = np.sort(keys[: len(keys) // size * size].reshape(-1, size), axis=1)
        shares.append((batches[:, 1:] == batches[:, :-1]).sum(axis=1) / size)
    return Usual(
        np.array(sizes, dtype=np.float64),
        np.array([share.max() for share in shares]),
        np.array([share.mean() for share in shares]),
        density,
    )


@dataclass(frozen=True, slots=True)
class Copied:
    """A share of copies: in the window, in the reference's own batches of as many rows, and what is too much."""

    value: float
    usual: float
    threshold: float

    @property
    def is_beyond(self) -> bool:
        return self.value > self.threshold


def share_of_copies(keys: Keys, usual: Usual, limit: float, times_denser: float = 1.0) -> Copied:
    """The copies of a window beside those that are usual in as many rows: so many more than these are allowed.

    Raises:
        NoData: there is no row, or nothing can be told.
    """
    value = measured(statistic("duplicate_ratio"), rows=len(keys), copies=copies(keys))
    mean, most = usual.at(len(keys), times_denser)
    return Copied(value, mean, limit_for(min(limit + most, 1.0), len(keys)))
