"""Rows of two classes in order of their score: what the statistics of ranking, and of parts of the ranking, start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monitor.records import FloatArray, IntArray, NoData
from monitor.stats._outcomes import BinaryOutcomes, BoolArray, ClassOutcomes


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Rows from the lowest score to the highest. Those of one score are a group, of which there are g: their order says nothing.

    Attributes:
        order: places of the rows, shape (n,); None where they lie in that order.
        label: whether the row is positive, in that order, shape (n,).
        ends: rows up to each group and with it, shape (g,).
        found: positives among these, shape (g,).
    """

    order: IntArray | None
    label: BoolArray
    ends: IntArray
    found: IntArray

    @property
    def positives(self) -> int:
        return int(self.found[-1])

    @property
    def negatives(self) -> int:
        return len(self.label) - self.positives

    @property
    def before(self) -> IntArray:
        """Rows below each group, shape (g,)."""
        return np.append(0, self.ends[:-1])

    @property
    def found_before(self) -> IntArray:
        """Positives below each group, shape (g,)."""
        return np.append(0, self.found[:-1])

    def by_row(self, of_positives: FloatArray, of_negatives: FloatArray) -> FloatArray:
        """A number for each row, in the order of the outcomes, from those for the positives and negatives of each group."""
        if len(self.ends) < len(self.label):
            sizes = np.diff(self.ends, prepend=0)
            of_positives, of_negatives = np.repeat(of_positives, sizes), np.repeat(of_negatives, sizes)
        ordered = np.where(self.label, of_positives, of_negatives)
        if self.order is None:
            return ordered
        rows = np.empty_like(ordered)
        rows[self.order] = ordered
        return rows


def ranks(outcomes: BinaryOutcomes) -> Ranks:
    """The rows in order of their score.

    Raises:
        NoData: there is no row, or no score.
    """
    label, score = ordered(outcomes)
    ends = np.append(np.flatnonzero(score[1:] != score[:-1]) + 1, len(score))
    found = np.cumsum(label, dtype=np.int64)
    return Ranks(outcomes.order, label, ends, found if len(ends) == len(found) else found[ends - 1])


def ordered(outcomes: BinaryOutcomes) -> tuple[BoolArray, FloatArray]:
    """Labels and scores from the lowest score to the highest, both of shape (n,).

    Raises:
        NoData: there is no row, or no score.
    """
    if not len(outcomes):
        raise NoData("no labelled rows")
    if outcomes.score is None:
        raise NoData("the model gives no probabilities")
    if outcomes.order is None:
        return outcomes.label, outcomes.score
    return outcomes.label[outcomes.order], outcomes.score[outcomes.order]


def each_against_the_rest(outcomes: ClassOutcomes) -> Iterator[BinaryOutcomes]:
    """For each class that the labels hold, in turn: is it this one or another?

    Raises:
        NoData: there is no row, or no score.
    """
    if not len(outcomes):
        raise NoData("no labelled rows")
    if outcomes.scores is None:
        raise NoData("the model gives no probabilities")
    for place in np.flatnonzero(outcomes.confusion.sum(axis=1)):
        score = np.ascontiguousarray(outcomes.scores[:, place])
        yield BinaryOutcomes(outcomes.label == place, outcomes.predicted == place, score)
