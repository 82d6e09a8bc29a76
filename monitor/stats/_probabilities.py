"""Scores taken at their word: as probabilities, which lie between 0 and 1."""

from __future__ import annotations

import numpy as np

from monitor.records import FloatArray, NoData
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes

ROUNDING = 1e-6  # what single precision may add to a probability of 1


def probabilities(outcomes: BinaryOutcomes | ClassOutcomes) -> FloatArray:
    """The scores, shape (n,) of two classes and (n, k) of more, without what rounding has put beyond 0 and 1.

    Raises:
        NoData: there is no row, no score, or one that is no probability.
    """
    if not len(outcomes):
        raise NoData("no labelled rows")
    scores = outcomes.score if isinstance(outcomes, BinaryOutcomes) else outcomes.scores
    if scores is None:
        raise NoData("the model gives no probabilities")
    low, high = float(scores.min()), float(scores.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise NoData(f"expected probabilities between 0 and 1, got {low if low < -ROUNDING else high:g}")
    return scores if low >= 0 and high <= 1 else np.clip(scores, 0.0, 1.0)


def of_the_truth(outcomes: BinaryOutcomes | ClassOutcomes) -> FloatArray:
    """The probability that the model gave to each row's true class, shape (n,).

    Raises:
        NoData: as `probabilities`.
    """
    stated = probabilities(outcomes)
    if isinstance(outcomes, BinaryOutcomes):
        return np.where(outcomes.label, stated, 1.0 - stated)
    return np.take_along_axis(stated, outcomes.label[:, None], axis=1)[:, 0]
