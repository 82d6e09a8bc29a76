"""The confusion matrix, and the share of the rows that lie off its diagonal."""

from __future__ import annotations

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Classified, share_right


def confusion_matrix(outcomes: Classified) -> float:
    """Share of rows whose predicted class is not the true one, between 0 and 1; 0 is perfect.

    The matrix itself, rows by true and predicted class, is told beside it.

    Raises:
        NoData: there is no row.

    >>> import numpy as np
    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> confusion_matrix(BinaryOutcomes(np.array([True, False, True, True]), np.array([True, True, True, True])))
    0.25
    """
    return 1 - share_right(outcomes)


def influence(outcomes: Classified, value: float) -> FloatArray:
    """What each row does to the value: 1 where it is wrong and 0 where not, less the share of all, shape (n,)."""
    deviations: FloatArray = (outcomes.label != outcomes.predicted) - value
    return deviations


def trials(outcomes: Classified) -> float:
    """The rows that it is a share of: all."""
    return float(len(outcomes))


STATISTIC = Statistic(
    name="confusion_matrix",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=confusion_matrix,
    default_material=0.02,
    needs="classes",
    influence=influence,
    trials=trials,
    symmetric=True,
)
