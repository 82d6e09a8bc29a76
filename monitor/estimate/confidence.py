"""Confidence-based estimation: what a classifier's own probabilities say of how good it is, before any label has come.

The scores are calibrated on a reference with labels, where that makes them truer; then every row stands for as many right and
wrong predictions as its probability says. This holds while the relation of scores and labels stays what it was on the
reference: it sees a shift of the inputs, and never a change of the concept. `reliability` tells when not to believe it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitor.estimate._calibration import Calibration, fit_calibration
from monitor.estimate._estimate import Estimate, Metric, Sampling, sampling
from monitor.estimate._expected import (
    ExpectedBinary,
    ExpectedClasses,
    area,
    average_precision,
    expected_binary,
    expected_classes,
)
from monitor.estimate.reliability import CalibrationCounts, Checked
from monitor.records import FloatArray, IntArray, NoData, Statistic
from monitor.stats._outcomes import BinaryOutcomes, BoolArray, ClassOutcomes
from monitor.stats._probabilities import probabilities
from monitor.stats.log_loss import EPSILON


@dataclass(frozen=True, eq=False)
class BinaryRows:
    """Rows of two classes without a label.

    Attributes:
        predicted: whether the model says "positive", shape (n,).
        score: the model's own, shape (n,).
        probability: of the positive class, calibrated, shape (n,).
    """

    predicted: BoolArray
    score: FloatArray
    probability: FloatArray

    def __len__(self) -> int:
        return len(self.score)

    @cached_property
    def expected(self) -> ExpectedBinary:
        """The expected confusion matrix, in the form that metrics take."""
        return expected_binary(self.predicted, self.probability)

    def roc_auc(self) -> float:
        return area(self.score, self.probability)

    def pr_auc(self) -> float:
        return average_precision(self.score, self.probability)

    def log_loss(self) -> float:
        stated = np.clip(self._stated, EPSILON, 1 - EPSILON)
        return -float(np.mean(self.probability * np.log(stated) + (1 - self.probability) * np.log1p(-stated)))

    def brier(self) -> float:
        p = self.probability
        return float(np.mean((self._stated - p) ** 2 + p * (1 - p)))

    @property
    def _stated(self) -> FloatArray:
        return probabilities(BinaryOutcomes(self.predicted, self.predicted, self.score))


@dataclass(frozen=True, eq=False)
class ClassRows:
    """Rows of more classes without a label.

    Attributes:
        predicted: place of the predicted class, shape (n,).
        scores: the model's own, by class, shape (n, k).
        probability: calibrated, by class, shape (n, k); each row adds up to 1.
        classes: their names.
    """

    predicted: IntArray
    scores: FloatArray
    probability: FloatArray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def expected(self) -> ExpectedClasses:
        """The expected confusion matrix, in the form that metrics take."""
        return expected_classes(self.predicted, self.probability, self.classes)

    def roc_auc(self) -> float:
        return self._each_against_the_rest(area)

    def pr_auc(self) -> float:
        return self._each_against_the_rest(average_precision)

    def log_loss(self) -> float:
        losses = np.log(np.clip(self._stated, EPSILON, 1 - EPSILON))
        return -float(np.einsum("ij,ij->", self.probability, losses)) / len(self)

    def brier(self) -> float:
        # Of a one-hot label y, E |s − y|² = |s|² − 2 s·p + 1, as the probabilities p add up to 1.
        stated = self._stated
        return max(float(np.sum(stated * (stated - 2 * self.probability))) / len(self) + 1, 0.0)

    def _each_against_the_rest(self, curve: Callable[[FloatArray, FloatArray], float]) -> float:
        present = np.flatnonzero(self.probability.any(axis=0))
        return float(np.mean([curve(self.scores[:, place], self.probability[:, place]) for place in present]))

    @property
    def _stated(self) -> FloatArray:
        return probabilities(ClassOutcomes(self.predicted, self.predicted, self.classes, self.scores))


Rows = BinaryRows | ClassRows

_BY_SCORE: dict[str, Callable[[Rows], float]] = {
    "roc_auc": lambda rows: rows.roc_auc(),
    "pr_auc": lambda rows: rows.pr_auc(),
    "log_loss": lambda rows: rows.log_loss(),
    "brier": lambda rows: rows.brier(),
}


def can_estimate(statistic: Statistic) -> bool:
    """Whether a metric can be estimated from probabilities: all of classes, and these of scores.

    The calibration error cannot: the estimate rests on there being none.
    """
    return statistic.needs == "classes" or statistic.name in _BY_SCORE


@dataclass(frozen=True, eq=False)
class ConfidenceEstimator:
    """Fitted on a reference; made by `fit_confidence`.

    Attributes:
        calibrations: of the positive class, or of each.
        classes: their names; None where there are two.
        samplings: of each metric that was asked for, in that order.
    """

    calibrations: tuple[Calibration, ...]
    classes: tuple[str, ...] | None
    samplings: tuple[Sampling, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What can be estimated."""
        return tuple(each.metric for each in self.samplings)

    def rows(self, predicted: BoolArray | IntArray, scores: FloatArray) -> Rows:
        """Rows with calibrated probabilities.

        Args:
            predicted: as in `BinaryOutcomes` or `ClassOutcomes`, shape (n,).
            scores: shape (n,) of two classes, (n, k) of more.

        Raises:
            NoData: there is no row.
        """
        if not len(scores):
            raise NoData("no predictions")
        if self.classes is None:
            return BinaryRows(predicted.astype(np.bool_), scores, self.calibrations[0](scores))
        by_class = np.stack(
            [calibrate(column) for calibrate, column in zip(self.calibrations, scores.T, strict=True)], axis=1
        )
        total = by_class.sum(axis=1, keepdims=True)
        # Where no class is possible, they all are alike; as NannyML has it.
        even = np.full_like(by_class, 1 / len(self.classes))
        np.divide(by_class, total, out=even, where=total > 0)
        return ClassRows(predicted.astype(np.int64), scores, even, self.classes)

    def estimate(self, place: int, rows: Rows) -> Estimate:
        """A metric of these rows, with bounds.

        Args:
            place: of the metric in `metrics`.
            rows: of the window.

        Raises:
            NoData: it has no value, such as the precision where nothing is predicted positive.
        """
        return self.samplings[place].estimate(self._value(place, rows), len(rows))

    def check(self, place: int, outcomes: BinaryOutcomes | ClassOutcomes) -> Checked:
        """What would have been estimated of labelled rows, beside what came true.

        Raises:
            NoData: there is no value to estimate, or none came true.
        """
        return self.samplings[place].check(self._value(place, self._rows_of(outcomes)), outcomes)

    def calibration(self, outcomes: BinaryOutcomes | ClassOutcomes) -> CalibrationCounts:
        """How the probabilities of labelled rows fared; of more than two classes that of the predicted one.

        Raises:
            NoData: there is no row, or no score.
        """
        rows = self._rows_of(outcomes)
        if isinstance(rows, BinaryRows):
            return CalibrationCounts.of(rows.probability, outcomes.label.astype(np.bool_))
        confidence = np.take_along_axis(rows.probability, rows.predicted[:, None], axis=1)[:, 0]
        return CalibrationCounts.of(confidence, outcomes.label == outcomes.predicted)

    def _rows_of(self, outcomes: BinaryOutcomes | ClassOutcomes) -> Rows:
        return self.rows(outcomes.predicted, _scores(outcomes))

    def _value(self, place: int, rows: Rows) -> float:
        metric = self.metrics[place]
        if metric.statistic.needs == "classes":
            return metric.of(rows.expected)
        return _BY_SCORE[metric.statistic.name](rows)


def fit_confidence(
    reference: BinaryOutcomes | ClassOutcomes, metrics: Sequence[Metric], generator: np.random.Generator
) -> ConfidenceEstimator:
    """Calibrate the scores of a reference, and read off how its metrics vary.

    Args:
        reference: labelled rows with scores.
        metrics: to be estimated.
        generator: deals rows to the parts on which the calibration is tried; the same seed gives the same estimator.

    Raises:
        NoData: the reference has no row, or no scores.
        ValueError: a metric can't be estimated from probabilities.

    >>> from monitor.stats.accuracy import STATISTIC
    >>> score = np.repeat([0.2, 0.9], 50)
    >>> reference = BinaryOutcomes(np.arange(100) % 10 < 2 + 7 * (score > 0.5), score > 0.5, score)
    >>> estimator = fit_confidence(reference, [Metric(STATISTIC)], np.random.default_rng(1))
    >>> estimate = estimator.estimate(0, estimator.rows(np.array([True, True, False]), np.array([0.9, 0.9, 0.2])))
    >>> round(estimate.value, 3), round(estimate.low, 3), estimate.high
    (0.867, 0.248, 1.0)
    """
    for metric in metrics:
        if not can_estimate(metric.statistic):
            raise ValueError(f"expected a metric that probabilities tell of, got {metric.statistic.name!r}")
    scores = _scores(reference)
    samplings = tuple(sampling(metric, reference) for metric in metrics)
    if isinstance(reference, BinaryOutcomes):
        return ConfidenceEstimator((fit_calibration(scores, reference.label, generator),), None, samplings)
    calibrations = [
        fit_calibration(column, reference.label == place, generator) for place, column in enumerate(scores.T)
    ]
    return ConfidenceEstimator(tuple(calibrations), tuple(reference.classes), samplings)


def _scores(outcomes: BinaryOutcomes | ClassOutcomes) -> FloatArray:
    scores = outcomes.score if isinstance(outcomes, BinaryOutcomes) else outcomes.scores
    if scores is None:
        raise NoData("the model gives no probabilities")
    return scores
