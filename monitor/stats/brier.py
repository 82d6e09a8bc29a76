"""The Brier score."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Classified
from monitor.stats._outcomes import BinaryOutcomes
from monitor.stats._probabilities import probabilities


def brier(outcomes: Classified) -> float:
    """Mean squared distance of the probabilities from what turned out to be true; 0 is perfect, higher is worse.

    Of two classes that of the positive one, between 0 and 1. Of more the sum over all classes, between 0 and 2 where
    probabilities add up to 1, as Brier has it (Monthly Weather Review 78, 1950) and scikit-learn does by default. Its size hangs
    on how rare the classes are, so that a loss is told as a share of the reference's.

    Args:
        outcomes: rows of two or more classes, with scores.

    Raises:
        NoData: there is no row, no score, or one that is no probability.

    >>> label = np.array([False, True])
    >>> round(brier(BinaryOutcomes(label, label, score=np.array([0.1, 0.8]))), 4)
    0.025
    """
    return float(np.mean(_losses(outcomes)))


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value: its own squared distance less the mean of all, shape (n,)."""
    losses = _losses(outcomes)
    losses -= value
    return losses


def _losses(outcomes: Classified) -> FloatArray:
    stated = probabilities(outcomes)
    if isinstance(outcomes, BinaryOutcomes):
        distances = stated - outcomes.label
        return np.square(distances, out=distances)
    of_truth = np.take_along_axis(stated, outcomes.label[:, None], axis=1)[:, 0]
    losses: FloatArray = np.einsum("ij,ij->i", stated, stated)
    losses += 1 - 2 * of_truth
    return np.maximum(losses, 0.0, out=losses)  # what cancels may come out below


STATISTIC = Statistic(
    name="brier",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=brier,
    default_material=0.10,
    needs="scores",
    influence=influence,
    relative=True,
)
