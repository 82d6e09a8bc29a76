"""What the metrics of a classifier would be if every probability held: expectations in the place of labels.

Source: confidence-based performance estimation (Kivimäki, Białek, Kuberski and Nurminen, arXiv 2505.05295; NannyML 0.13). A
ratio is estimated by the ratio of the expectations, which for n rows is off by something in the order of 1 / n.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from monitor.records import FloatArray, IntArray, NoData
from monitor.stats._outcomes import BinaryOutcomes, BoolArray, ClassOutcomes

# Metrics of classes depend on the proportions of the counts alone. So expected counts, which are no whole numbers, are told
# as whole numbers out of so many rows, and the metrics themselves do the rest; their squares still fit into 64 bits.
ROWS = 10**9


@dataclass(frozen=True, eq=False)
class ExpectedBinary(BinaryOutcomes):
    """Two classes, of which nothing is known but the expected confusion matrix."""

    table: IntArray = field(kw_only=True)

    def __len__(self) -> int:
        return int(self.table.sum())

    @cached_property
    def counts(self) -> tuple[int, int, int, int]:
        tn, fp, fn, tp = self.table.ravel().tolist()
        return tn, fp, fn, tp


@dataclass(frozen=True, eq=False)
class ExpectedClasses(ClassOutcomes):
    """More classes, of which nothing is known but the expected confusion matrix."""

    table: IntArray = field(kw_only=True)

    def __len__(self) -> int:
        return int(self.table.sum())

    @cached_property
    def confusion(self) -> IntArray:
        return self.table


def expected_binary(predicted: BoolArray, probability: FloatArray) -> ExpectedBinary:
    """Expected counts of two classes.

    Args:
        predicted: whether the model says "positive", shape (n,).
        probability: of the positive class, calibrated, shape (n,).

    >>> expected_binary(np.array([True, False]), np.array([0.75, 0.25])).counts
    (375000000, 125000000, 125000000, 375000000)
    """
    chosen, others = probability[predicted], probability[~predicted]
    table = np.array([[(1 - others).sum(), (1 - chosen).sum()], [others.sum(), chosen.sum()]])
    nobody = np.zeros(0, dtype=bool)
    return ExpectedBinary(nobody, nobody, table=_whole(table))


def expected_classes(predicted: IntArray, probability: FloatArray, classes: tuple[str, ...]) -> ExpectedClasses:
    """Expected counts of more classes.

    Args:
        predicted: place of the predicted class, shape (n,).
        probability: of each class, calibrated, shape (n, k).
        classes: their names, k of them.
    """
    number = len(classes)
    table = np.array([np.bincount(predicted, weights=part, minlength=number) for part in probability.T])
    nobody = np.zeros(0, dtype=np.int64)
    return ExpectedClasses(nobody, nobody, classes, table=_whole(table))


def _whole(table: FloatArray) -> IntArray:
    counts: IntArray = np.rint(table * (ROWS / table.sum())).astype(np.int64)
    return counts


def area(score: FloatArray, probability: FloatArray) -> float:
    """Expected area under the ROC curve.

    The expected number of pairs in the right order over that of all pairs, each row standing for `probability` positives and the
    rest of one negative; rows of equal score, and each row with itself, count half. Where all probabilities are 0 or 1, it is
    the area of these labels.

    Raises:
        NoData: all rows are certain to be of one class.

    >>> area(np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.0, 1.0, 0.0, 1.0]))
    0.875
    """
    positives, negatives = _masses(score, probability)
    everything = float(positives.sum()) * float(negatives.sum())
    if everything <= 0:
        raise NoData("expected probabilities of both classes, got only one")
    right = float(positives @ (np.cumsum(negatives) - negatives / 2))
    return min(max(right / everything, 0.0), 1.0)


def average_precision(score: FloatArray, probability: FloatArray) -> float:
    """Expected average precision: the mean over all thresholds of the precision, by the recall that each adds.

    Raises:
        NoData: no row can be positive.

    >>> average_precision(np.array([0.1, 0.5, 0.9]), np.array([0.0, 1.0, 0.0]))
    0.5
    """
    positives, negatives = (mass[::-1] for mass in _masses(score, probability))
    total = float(positives.sum())
    if total <= 0:
        raise NoData("expected rows that may be positive, got none")
    found = np.cumsum(positives)
    return min(max(float(positives @ (found / (found + np.cumsum(negatives)))) / total, 0.0), 1.0)


def _masses(score: FloatArray, probability: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Expected positives and negatives by distinct score, from the lowest."""
    order = np.argsort(score, kind="stable")
    ordered, probability = score[order], probability[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return np.add.reduceat(probability, starts), np.add.reduceat(1 - probability, starts)
