"""Matthews' correlation coefficient."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Classified, at_least_two_classes, by_row, confusion


def mcc(outcomes: Classified) -> float:
    """Correlation of true and predicted class, between −1 and 1; 1 is perfect, 0 no better than chance.

    Of two classes `(tp × tn − fp × fn) / √((tp + fp)(tp + fn)(tn + fp)(tn + fn))` (Matthews, 1975), of more their general form
    R_K (Gorodkin, Computational Biology and Chemistry 28, 2004). Where all predictions are alike it is 0, as in scikit-learn and
    everywhere: the limit of what is close to that (Chicco and Jurman, BMC Genomics 21, 2020). Labels that are all alike have none
    (scikit-learn says 0 there too).

    Args:
        outcomes: rows of two or more classes.

    Raises:
        NoData: there is no row, or only one class among the labels.

    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> label, predicted = np.array([True, True, True, False]), np.array([True, False, True, True])
    >>> round(mcc(BinaryOutcomes(label, predicted)), 4)
    -0.3333
    """
    at_least_two_classes(outcomes)
    covariance, of_labels, of_predictions = _moments(outcomes)
    if of_predictions == 0:
        return 0.0
    return min(max(covariance / (math.sqrt(of_labels) * math.sqrt(of_predictions)), -1.0), 1.0)


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value, shape (n,): its derivative by the count of the row's cell; 0 if predictions are alike."""
    _, of_labels, of_predictions = _moments(outcomes)
    if of_predictions == 0:
        return np.zeros(len(outcomes))
    shares = confusion(outcomes) / len(outcomes)
    true, predicted = shares.sum(axis=1), shares.sum(axis=0)
    # By the cell (t, p): of the covariance 1[t = p] + Σ x_cc − p_t − t_p, and of the variances 2 − 2 t_t and 2 − 2 p_p.
    covariance = np.eye(len(shares)) + np.trace(shares) - predicted[:, None] - true
    labels, predictions = (1 - true) / of_labels, (1 - predicted) / of_predictions
    scale = math.sqrt(of_labels) * math.sqrt(of_predictions)
    return by_row(outcomes, covariance / scale - value * (labels[:, None] + predictions))


def _moments(outcomes: Classified) -> tuple[float, float, float]:
    """Covariance of true and predicted class, summed over the classes, and the variances of the two."""
    cells = confusion(outcomes)
    rows, true, predicted = len(outcomes), cells.sum(axis=1), cells.sum(axis=0)
    # Whole numbers up to here, so that nothing cancels that isn't alike.
    covariance = int(np.trace(cells)) * rows - int(true @ predicted)
    of_labels, of_predictions = rows**2 - int(true @ true), rows**2 - int(predicted @ predicted)
    return covariance / rows**2, of_labels / rows**2, of_predictions / rows**2


STATISTIC = Statistic(
    name="mcc",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=-1.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=mcc,
    default_material=0.02,
    needs="classes",
    influence=influence,
    symmetric=True,
)
