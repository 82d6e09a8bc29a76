"""The logarithmic loss."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Classified
from monitor.stats._probabilities import of_the_truth

EPSILON = float(np.finfo(np.float64).eps)


def log_loss(outcomes: Classified) -> float:
    """Mean of `−ln p`, with p the probability given to the true class, in nats; 0 is perfect, higher is worse.

    p is held within 2.2e-16 of 0 and of 1, as in scikit-learn, so that a row costs 36 at most. Probabilities of many classes
    are taken as they are, even if they don't add up to 1.

    Args:
        outcomes: rows of two or more classes, with scores.

    Raises:
        NoData: there is no row, no score, or one that is no probability.

    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> label = np.array([False, True])
    >>> round(log_loss(BinaryOutcomes(label, label, score=np.array([0.1, 0.8]))), 4)
    0.1643
    """
    return float(np.mean(_losses(outcomes)))


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value: its own loss less the mean of all, shape (n,)."""
    losses = _losses(outcomes)
    losses -= value
    return losses


def _losses(outcomes: Classified) -> FloatArray:
    stated = of_the_truth(outcomes)
    np.clip(stated, EPSILON, 1 - EPSILON, out=stated)
    np.log(stated, out=stated)
    return np.negative(stated, out=stated)


STATISTIC = Statistic(
    name="log_loss",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="nats",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=log_loss,
    default_material=0.10,
    needs="scores",
    influence=influence,
    relative=True,
)
