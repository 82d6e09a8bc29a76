"""The area under the ROC curve."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Classified, at_least_two_classes
from monitor.stats._outcomes import BinaryOutcomes
from monitor.stats._ranks import Ranks, each_against_the_rest, ranks


def roc_auc(outcomes: Classified) -> float:
    """How often a positive row is scored above a negative one, ties half; between 0 and 1: 1 is perfect, 0.5 a coin's.

    The Mann-Whitney form of the area (Hanley and McNeil, Radiology 143, 1982), from whole numbers. Of more than two classes the
    mean over each class against the rest, as scikit-learn's `multi_class="ovr"`; a class without labels is left out, and scores
    need not add up to 1 (scikit-learn refuses both).

    Args:
        outcomes: rows of two or more classes, with scores.

    Raises:
        NoData: there is no row, no score, or only one class among the labels.

    >>> label = np.array([False, True, False, True])
    >>> roc_auc(BinaryOutcomes(label, label, score=np.array([0.1, 0.4, 0.4, 0.9])))
    0.875
    """
    at_least_two_classes(outcomes)
    if isinstance(outcomes, BinaryOutcomes):
        return _area(ranks(outcomes))
    return float(np.mean([_area(ranks(each)) for each in each_against_the_rest(outcomes)]))


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value, shape (n,).

    DeLong's structural components (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988): of a positive row the share of
    negatives below it less the value, over the share of positives; of a negative one likewise. How many rows are positive has
    no part in it, to first order.
    """
    if isinstance(outcomes, BinaryOutcomes):
        return _components(ranks(outcomes), value)
    total, classes = np.zeros(len(outcomes)), 0
    for each in each_against_the_rest(outcomes):
        ranked = ranks(each)
        total += _components(ranked, _area(ranked))
        classes += 1
    return total / classes


def _area(ranked: Ranks) -> float:
    """Pairs in the right order, in halves, over all."""
    found, before = ranked.found, ranked.found_before
    negatives = (ranked.ends - found) + (ranked.before - before)
    return int((found - before) @ negatives) / (2 * ranked.positives * ranked.negatives)


def _components(ranked: Ranks, area: float) -> FloatArray:
    rows, positives, negatives = len(ranked.label), ranked.positives, ranked.negatives
    halves = ranked.found + ranked.found_before
    of_negatives = (1 - area - halves / (2 * positives)) * (rows / negatives)
    halves = ranked.ends + ranked.before - halves
    of_positives = (halves / (2 * negatives) - area) * (rows / positives)
    return ranked.by_row(of_positives, of_negatives)


STATISTIC = Statistic(
    name="roc_auc",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=roc_auc,
    default_material=0.02,
    needs="scores",
    influence=influence,
)
