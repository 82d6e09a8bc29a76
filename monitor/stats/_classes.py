"""Rows by true and predicted class, the ratios of them that each class has, and what a single row does to these.

Whatever depends on counts alone, and on their proportions rather than their size, has one influence for all rows of a cell: n
times its derivative by the cell's count (Euler's theorem makes their mean 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from monitor.records import FloatArray, IntArray, NoData
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes

Classified = BinaryOutcomes | ClassOutcomes
Average = Literal["macro", "micro", "weighted"]

POSITIVE = 1  # its place among two classes
MOST_CLASSES = 1000  # a table of all pairs of them takes 8 MB


def confusion(outcomes: Classified) -> IntArray:
    """Rows by true (first axis) and predicted class, shape (k, k); of two, the negative class comes first.

    Raises:
        NoData: there is no row, or there are so many classes that these are no classes.
    """
    if not len(outcomes):
        raise NoData("no labelled rows")
    if not isinstance(outcomes, BinaryOutcomes) and len(outcomes.classes) > MOST_CLASSES:
        raise NoData(f"expected at most {MOST_CLASSES} classes, got {len(outcomes.classes)}: are these ids?")
    if isinstance(outcomes, BinaryOutcomes):
        return np.array(outcomes.counts, dtype=np.int64).reshape(2, 2)
    return outcomes.confusion


def share_right(outcomes: Classified) -> float:
    """Share of rows whose predicted class is the true one; also of so many classes that no table of all pairs is made.

    Raises:
        NoData: there is no row.
    """
    if isinstance(outcomes, ClassOutcomes) and len(outcomes) and len(outcomes.classes) > MOST_CLASSES:
        return float(np.mean(outcomes.label == outcomes.predicted))
    return float(np.trace(confusion(outcomes))) / len(outcomes)


def by_row(outcomes: Classified, table: FloatArray) -> FloatArray:
    """What a table of shape (k, k) says of each row's true and predicted class, shape (n,)."""
    if isinstance(outcomes, BinaryOutcomes):
        return table.ravel().take(outcomes.label.view(np.uint8) * np.uint8(2) + outcomes.predicted.view(np.uint8))
    return table.ravel().take(outcomes.label * len(table) + outcomes.predicted)


def name_of(outcomes: Classified, place: int) -> str:
    """A class as a message calls it: `positive`, `'cat'`."""
    if isinstance(outcomes, BinaryOutcomes):
        return "positive" if place == POSITIVE else "negative"
    return repr(str(outcomes.classes[place]))


def at_least_two_classes(outcomes: Classified) -> IntArray:
    """Rows by true class, shape (k,).

    Raises:
        NoData: there is no row, or only rows of one class.
    """
    labelled: IntArray = confusion(outcomes).sum(axis=1)
    present = np.flatnonzero(labelled)
    if len(present) < 2:
        of_which = "both classes" if isinstance(outcomes, BinaryOutcomes) else "at least two classes"
        raise NoData(f"expected labels of {of_which}, got only {name_of(outcomes, int(present[0]))} ones")
    return labelled


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio that each class has, of a part of the rows to a whole, and its averages over the classes.

    `part` and `whole` say how often these count in: the rows that are of the class and predicted to be, those that are of it,
    those predicted to be of it, all rows.

    Attributes:
        part: four coefficients.
        whole: four coefficients.
        lacking: what a class without such a ratio has none of, with a place for the class.
        zero: in an average, a class without such a ratio counts as 0, as it does in scikit-learn, and is not left out. (A class
            that is neither in the labels nor among the predictions is left out always.)
    """

    part: tuple[int, int, int, int]
    whole: tuple[int, int, int, int]
    lacking: str
    zero: bool = True

    def value(self, outcomes: Classified, average: Average | None = None, per_class: int | None = None) -> float:
        """The ratio of one class, or the average over all: of two, the positive class's if nothing is said; macro of more.

        Raises:
            NoData: there is no row, or nothing to have a share of.
            ValueError: both `average` and `per_class` are given, or the average is an unknown one.
        """
        ratios, weights, _ = self._by_class(outcomes, average, per_class)
        return float(weights @ ratios / weights.sum())

    def influence(
        self, outcomes: Classified, value: float, average: Average | None = None, per_class: int | None = None
    ) -> FloatArray:
        """What each row does to the value, shape (n,): the delta method, class by class."""
        ratios, weights, wholes = self._by_class(outcomes, average, per_class)
        total = float(weights.sum())
        scale = np.divide(weights, wholes * total, out=np.zeros(len(weights)), where=wholes > 0)
        both, true, predicted, everywhere = (
            scale * (part - ratios * whole) for part, whole in zip(self.part, self.whole, strict=True)
        )
        if average == "weighted":
            true = true + (ratios - value) / total  # the weights are counts of rows themselves
        table = true[:, None] + predicted + everywhere.sum() + np.diag(both)
        return by_row(outcomes, table * len(outcomes))

    def trials(self, outcomes: Classified, average: Average | None = None, per_class: int | None = None) -> float:
        """How many rows the value is a proportion of; 0 where it is an average that is no proportion of rows."""
        _, weights, wholes = self._by_class(outcomes, average, per_class)
        proportional = np.array_equal(weights, wholes) or np.count_nonzero(weights) == 1
        trials = float(wholes[weights > 0].sum())
        # Over all classes a row may count more than once in the whole; then the rows are no trials.
        return trials if proportional and trials <= len(outcomes) else 0.0

    def _by_class(
        self, outcomes: Classified, average: Average | None, per_class: int | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The ratio, the weight in the average, and the whole of each class; all of shape (k,)."""
        if average is None and per_class is None:
            average, per_class = (None, POSITIVE) if isinstance(outcomes, BinaryOutcomes) else ("macro", None)
        elif average is not None and per_class is not None:
            raise ValueError(f"expected an average or one class, got {average!r} and class {per_class}")
        cells = confusion(outcomes)
        true, predicted = cells.sum(axis=1), cells.sum(axis=0)
        counts = np.stack([np.diagonal(cells), true, predicted, np.full(len(cells), len(outcomes))]).astype(np.float64)
        parts, wholes = np.array(self.part) @ counts, np.array(self.whole) @ counts
        ratios = np.divide(parts, wholes, out=np.zeros(len(cells)), where=wholes > 0)
        if per_class is not None:
            if wholes[per_class] == 0:
                raise NoData(f"expected {self.lacking.format(name_of(outcomes, per_class))}, got none")
            return ratios, np.eye(len(cells))[per_class], wholes
        used = (true + predicted > 0) & (self.zero | (wholes > 0))
        weights = np.where(used, _weights(average, counts[1], wholes), 0.0)
        if not weights.any():  # no row is labelled other than one class, and its others are what is missing
            at_least_two_classes(outcomes)
        if average == "micro":
            ratios = np.full(len(cells), float(parts[used].sum() / weights.sum()))
        return ratios, weights, wholes


def _weights(average: Average | None, labelled: FloatArray, wholes: FloatArray) -> FloatArray:
    if average == "macro":
        return np.ones(len(labelled))
    if average == "micro":
        return wholes
    if average == "weighted":
        return labelled
    raise ValueError(f"expected the average to be macro, micro or weighted, got {average!r}")
