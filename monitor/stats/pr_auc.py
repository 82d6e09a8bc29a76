"""The area under the precision-recall curve, as average precision."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, NoData, Statistic
from monitor.stats._classes import Classified
from monitor.stats._outcomes import BinaryOutcomes
from monitor.stats._ranks import Ranks, each_against_the_rest, ranks


def pr_auc(outcomes: Classified) -> float:
    """Mean, over the positive rows, of the precision among all rows scored as high or higher; between 0 and 1, 1 is perfect.

    Average precision `Σ (Rᵢ − Rᵢ₋₁) Pᵢ` over the thresholds, with no line drawn between them, as in scikit-learn; a model that
    knows nothing comes to the share of positives, so that it moves with that. Of more than two classes the mean over each class
    against the rest, without those that have no labels (scikit-learn has them count as 0, and warns).

    Args:
        outcomes: rows of two or more classes, with scores.

    Raises:
        NoData: there is no row, no score, or no positive row. Where all are positive it is 1, as precision is.

    >>> label = np.array([False, True, False, True])
    >>> round(pr_auc(BinaryOutcomes(label, label, score=np.array([0.1, 0.4, 0.4, 0.9]))), 4)
    0.8333
    """
    if isinstance(outcomes, BinaryOutcomes):
        ranked = ranks(outcomes)
        if ranked.positives == 0:
            raise NoData("expected labels of the positive class, got only negative ones")
        return _average_precision(ranked)
    return float(np.mean([_average_precision(ranks(each)) for each in each_against_the_rest(outcomes)]))


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value, shape (n,).

    The first derivative of `E[Y G₁(S) / G(S)] / E[Y]` by the rows' distribution, with G the share of rows scored as high or
    higher and G₁ that of positive ones: `(y (g(s) − value + A(s)) − B(s)) / E[Y]` with g = G₁ / G, and with A and B the means of
    1 / G and g / G over the positive rows up to s, times their share. Of a positive row it is its own precision and what it
    adds to that of the positives below; of a negative one what it takes from these.
    """
    if isinstance(outcomes, BinaryOutcomes):
        return _derivatives(ranks(outcomes), value)
    total, classes = np.zeros(len(outcomes)), 0
    for each in each_against_the_rest(outcomes):
        ranked = ranks(each)
        total += _derivatives(ranked, _average_precision(ranked))
        classes += 1
    return total / classes


def _precisions(ranked: Ranks) -> FloatArray:
    """Of each group, among its rows and those above."""
    precisions: FloatArray = (ranked.positives - ranked.found_before) / (len(ranked.label) - ranked.before)
    return precisions


def _average_precision(ranked: Ranks) -> float:
    return float(np.diff(ranked.found, prepend=0) @ _precisions(ranked)) / ranked.positives


def _derivatives(ranked: Ranks, value: float) -> FloatArray:
    precisions = _precisions(ranked)
    # Positives of a group over all rows from it on.
    weights = np.diff(ranked.found, prepend=0) / (len(ranked.label) - ranked.before)
    added = np.cumsum(weights)
    added += precisions
    added -= value
    weights *= precisions
    taken = np.cumsum(weights, out=weights)
    added -= taken
    scale = len(ranked.label) / ranked.positives
    added *= scale
    taken *= -scale
    return ranked.by_row(added, taken)


STATISTIC = Statistic(
    name="pr_auc",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=pr_auc,
    default_material=0.02,
    needs="scores",
    influence=influence,
)
