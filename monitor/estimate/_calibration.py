"""Scores made into probabilities, where that makes them truer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.estimate._expected import area
from monitor.estimate._isotonic import Isotonic, isotonic
from monitor.records import FloatArray, IntArray, NoData
from monitor.stats._outcomes import BinaryOutcomes, BoolArray
from monitor.stats.ece import ece

FOLDS = 10
SEPARATED = 0.999  # an ROC AUC from which a curve through the labels would only say "always" and "never"


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a score to the probability of the positive class.

    Attributes:
        curve: None where the scores stand as they are.
        error: expected calibration error of the scores on the reference, each part of it scored by the others; None where it
            was too poor to tell.
        calibrated_error: the same of the calibrated scores.
    """

    curve: Isotonic | None
    error: float | None = None
    calibrated_error: float | None = None

    def __call__(self, score: FloatArray) -> FloatArray:
        """Probabilities, between 0 and 1, of the shape of `score`."""
        return np.clip(score, 0.0, 1.0) if self.curve is None else self.curve(score)


def fit_calibration(score: FloatArray, label: BoolArray, generator: np.random.Generator) -> Calibration:
    """A calibration of the scores, if it lowers their calibration error on rows that it was not fitted on.

    As NannyML does (CBPE, `needs_calibration`): isotonic regression, kept where the expected calibration error on held-out rows
    is lower with it than without, and never on one class only or where the scores part the classes all but perfectly. We
    hold out each row once, in ten stratified parts; NannyML draws a tenth ten times.

    Args:
        score: the model's scores, shape (n,), finite.
        label: whether the row is positive, shape (n,).
        generator: deals the rows to the parts.

    Raises:
        NoData: there is no row.

    >>> score = np.repeat([0.2, 0.8], 100)
    >>> label = np.tile(np.arange(10) < 4, 20)
    >>> found = fit_calibration(score, label, np.random.default_rng(1))
    >>> found(np.array([0.2, 0.5, 0.8])).tolist()
    [0.4, 0.4, 0.4]
    """
    if not len(score):
        raise NoData("expected reference rows with a label, got none")
    positives = int(np.count_nonzero(label))
    # Each part must leave rows of both classes to the others.
    if min(positives, len(label) - positives) < 2 or area(score, label.astype(np.float64)) > SEPARATED:
        return Calibration(None)
    fold = _stratified(label, generator)
    calibrated = np.empty(len(score))
    for part in range(FOLDS):
        held_out = fold == part
        calibrated[held_out] = isotonic(score[~held_out], label[~held_out])(score[held_out])
    before = _error(np.clip(score, 0.0, 1.0), label)
    after = _error(calibrated, label)
    return Calibration(isotonic(score, label) if after < before else None, before, after)


def _stratified(label: BoolArray, generator: np.random.Generator) -> IntArray:
    """A fold for each row, with the same share of positives in each."""
    shuffled = generator.permutation(len(label))
    by_class = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(len(label), dtype=np.int64)
    fold[by_class] = np.arange(len(label)) % FOLDS
    return fold


def _error(probability: FloatArray, label: BoolArray) -> float:
    return ece(BinaryOutcomes(label, label, probability))
