"""The accuracy of a classifier, with every class counting alike."""

from __future__ import annotations

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Classified, Ratio, at_least_two_classes

_RECALL = Ratio(part=(1, 0, 0, 0), whole=(0, 1, 0, 0), lacking="rows labelled {}", zero=False)


def balanced_accuracy(outcomes: Classified) -> float:
    """Mean, over the classes, of the share of their rows that are predicted to be of them; between 0 and 1, 1 is perfect.

    Of two classes, the mean of recall and specificity. A class without labels is left out. Source: Brodersen, Ong, Stephan and
    Buhmann, ICPR 2010; for more classes as in scikit-learn, which also has a value (with a warning) where only one is labelled.

    Args:
        outcomes: rows of two or more classes.

    Raises:
        NoData: there is no row, or only one class among the labels.

    >>> import numpy as np
    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> balanced_accuracy(BinaryOutcomes(np.array([True, False, False]), np.array([True, False, True])))
    0.75
    """
    at_least_two_classes(outcomes)
    return _RECALL.value(outcomes, average="macro")


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value, shape (n,): the delta method on the mean of ratios."""
    return _RECALL.influence(outcomes, value, average="macro")


STATISTIC = Statistic(
    name="balanced_accuracy",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=balanced_accuracy,
    default_material=0.02,
    needs="classes",
    influence=influence,
    symmetric=True,
)
