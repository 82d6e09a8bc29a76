"""What is known of every row, as numbers: the columns themselves, their products, the bins their values fall into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from monitor.records import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of every row, reference and window below each other.

    Attributes:
        sums: of each feature over each part, shape (parts, P); a part is a fold of a stretch or of the window.
        squares: sum of each feature's squares over all rows, shape (P,).
        fourths: sum of its fourth powers, shape (P,).
        kept: the first so many features are always kept.
        gates: squared standard scores above which a feature is heard, shape (P,).
        columns: the values of some features, shape (rows, len(places)).
    """

    sums: FloatArray
    squares: FloatArray
    fourths: FloatArray
    kept: int
    gates: FloatArray
    columns: Callable[[IntArray], FloatArray]


class Block(Protocol):
    """Features of one kind, of which there may be too many to be held at once."""

    def sums(self, bounds: IntArray) -> FloatArray:
        """Their sums over consecutive rows between the bounds: shape (parts, features)."""

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """The sums of their squares and of their fourth powers over all rows."""

    def columns(self, places: IntArray) -> FloatArray:
        """The values of some of them, shape (rows, len(places))."""


class Plain:
    """Columns as they are."""

    def __init__(self, rows: FloatArray) -> None:
        self.rows = rows

    def sums(self, bounds: IntArray) -> FloatArray:
        return np.add.reduceat(self.rows, bounds[:-1], axis=0)

    def moments(self) -> tuple[FloatArray, FloatArray]:
        squares = self.rows**2
        return squares.sum(axis=0), (squares**2).sum(axis=0)

    def columns(self, places: IntArray) -> FloatArray:
        return self.rows[:, places]


class Products:
    """The products of all pairs of columns, their squares among them."""

    def __init__(self, rows: FloatArray) -> None:
        self.rows = rows
        self.pairs = np.triu_indices(rows.shape[1])

    def sums(self, bounds: IntArray) -> FloatArray:
        parts = [self.rows[first:end] for first, end in pairwise(bounds.tolist())]
        return np.array([(part.T @ part)[self.pairs] for part in parts])

    def moments(self) -> tuple[FloatArray, FloatArray]:
        squares = self.rows**2
        fourths = squares**2
        return (squares.T @ squares)[self.pairs], (fourths.T @ fourths)[self.pairs]

    def columns(self, places: IntArray) -> FloatArray:
        return self.rows[:, self.pairs[0][places]] * self.rows[:, self.pairs[1][places]]


class Binned:
    """Which bin of a column a row falls into: 1 there, 0 elsewhere.

    Args:
        rows: shape (rows, columns).
        edges: by column the inner edges of its bins; a column without any has no features.
    """

    def __init__(self, rows: FloatArray, edges: Sequence[FloatArray]) -> None:
        binned = [place for place, inner in enumerate(edges) if len(inner)]
        self.bins = np.array([len(edges[place]) + 1 for place in binned], dtype=np.int64)
        codes = [np.searchsorted(edges[place], rows[:, place]) for place in binned]
        self.codes = np.array(codes, dtype=np.int64).reshape(len(binned), len(rows))
        self.column = np.repeat(np.arange(len(binned)), self.bins)
        self.bin = np.arange(self.bins.sum()) - np.repeat(np.cumsum(self.bins) - self.bins, self.bins)

    def sums(self, bounds: IntArray) -> FloatArray:
        parts = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        counted = [
            np.bincount(parts * size + codes, minlength=(len(bounds) - 1) * size).reshape(-1, size)
            for codes, size in zip(self.codes, self.bins.tolist(), strict=True)
        ]
        return np.hstack(counted).astype(np.float64) if counted else np.zeros((len(bounds) - 1, 0))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        rows = self.sums(np.array([0, self.codes.shape[1]]))[0]
        return rows, rows

    def columns(self, places: IntArray) -> FloatArray:
        return np.asarray(self.bin[places] == self.codes[self.column[places]].T, dtype=np.float64)


def joined(blocks: Sequence[Block], bounds: IntArray, *, kept: int) -> Features:
    """The features of several blocks, each with the gate for as many as there are in it.

    Args:
        blocks: the first of them begins with the features that are always kept.
        bounds: first row of every part, and the end of the last.
        kept: how many these are.
    """
    sums = [block.sums(bounds) for block in blocks]
    moments = [block.moments() for block in blocks]
    sizes = [found.shape[1] for found in sums]
    starts = np.append(0, np.cumsum(sizes))

    def columns(places: IntArray) -> FloatArray:
        picked = [
            block.columns(places[(places >= first) & (places < end)] - first)
            for block, first, end in zip(blocks, starts[:-1], starts[1:], strict=True)
        ]
        return np.hstack(picked)

    return Features(
        np.hstack(sums).astype(np.float64),
        np.concatenate([squares for squares, _ in moments]),
        np.concatenate([fourths for _, fourths in moments]),
        kept,
        np.concatenate([universal_gate(size) for size in sizes]),
        columns,
    )


def universal_gate(features: int) -> FloatArray:
    """The square of the largest of so many independent standard normal values, roughly: shape (features,)."""
    return np.full(features, 2 * np.log(max(features, 2)))
