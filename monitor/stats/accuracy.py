"""The accuracy of a classifier."""

from __future__ import annotations

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Classified, share_right


def accuracy(outcomes: Classified) -> float:
    """Share of rows whose predicted class is the true one, between 0 and 1; 1 is perfect.

    Args:
        outcomes: rows of two or more classes.

    Raises:
        NoData: there is no row.

    >>> import numpy as np
    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> accuracy(BinaryOutcomes(np.array([True, False]), np.array([True, True])))
    0.5
    """
    return share_right(outcomes)


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value: 1 where it is right and 0 where not, less the share of all, shape (n,)."""
    deviations: FloatArray = (outcomes.label == outcomes.predicted) - value
    return deviations


def trials(outcomes: Classified) -> float:
    """The rows that it is a share of: all."""
    return float(len(outcomes))


STATISTIC = Statistic(
    name="accuracy",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=accuracy,
    default_material=0.02,
    needs="classes",
    influence=influence,
    trials=trials,
    symmetric=True,
)
