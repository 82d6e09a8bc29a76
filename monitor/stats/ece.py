"""The expected calibration error."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, Statistic
from monitor.stats._classes import Classified
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes
from monitor.stats._probabilities import probabilities
from monitor.stats._ranks import ordered

BINS = 10


def ece(outcomes: Classified) -> float:
    """How far probabilities lie from what they say, on average; between 0 and 1, 0 is perfect.

    `Σ (rows of the bin / n) |mean probability − share of positives|` over ten bins of equally many rows, cut from the window's
    own scores; rows of one score share a bin, so that there may be fewer. Of more than two classes it is that of the most likely
    class: of its probability, and whether the label is it (top-label). Source: Naeini, Cooper and Hauskrecht, AAAI 2015, and
    Guo, Pleiss, Sun and Weinberger, ICML 2017, who take bins of equal width, of which most hold hardly a row of a good model.

    There is no `influence`: near 0 this is no smooth function of the rows. Chance in the bins' shares always adds to the distance
    (Roelofs, Cain, Shlens and Mozer, AISTATS 2022). A perfectly calibrated model comes to `√(2 · bins · brier / (π n))` or a
    little less, so that a small window lies above a large one: compare windows of like numbers of rows.

    Args:
        outcomes: rows of two or more classes, with scores.

    Raises:
        NoData: there is no row, no score, or one that is no probability.

    >>> label = np.array([True, False, True, True])
    >>> ece(BinaryOutcomes(label, label, score=np.array([0.5, 0.5, 0.75, 0.75])))
    0.125
    """
    stated = probabilities(outcomes)
    if isinstance(outcomes, ClassOutcomes):
        top = stated.argmax(axis=1)
        right, confidence = top == outcomes.label, np.take_along_axis(stated, top[:, None], axis=1)[:, 0]
        outcomes = BinaryOutcomes(right, right, confidence)
    label, score = ordered(outcomes)
    cuts = score[np.arange(BINS) * len(score) // BINS]
    starts = np.unique(np.searchsorted(score, cuts))
    surplus = np.add.reduceat(np.clip(score, 0.0, 1.0) - label, starts)
    return float(np.abs(surplus).sum()) / len(score)


STATISTIC = Statistic(
    name="ece",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=ece,
    default_material=0.02,
    needs="scores",
)
