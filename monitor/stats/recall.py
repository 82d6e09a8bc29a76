"""The share of what is of a class that is predicted to be."""

from __future__ import annotations

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Average, Classified, Ratio

_RECALL = Ratio(part=(1, 0, 0, 0), whole=(0, 1, 0, 0), lacking="rows labelled {}")


def recall(outcomes: Classified, *, average: Average | None = None, per_class: int | None = None) -> float:
    """Share of the positive rows that are predicted positive, `tp / (tp + fn)`; between 0 and 1, 1 is perfect.

    As in scikit-learn, in an average a class that is predicted and of which no row is labelled counts as 0, and one that is
    neither is left out; `balanced_accuracy` leaves out both. Of a single class without labels there is none (scikit-learn warns
    and says 0).

    Args:
        outcomes: rows of two or more classes.
        average: over the classes: `macro`, all alike; `micro`, their rows together; `weighted`, by their labelled rows. Where
            neither this nor a class is given, it is the positive class's of two, and the macro average of more.
        per_class: place of the class against all others that is asked for.

    Raises:
        NoData: there is no row, or none that is of the class.
        ValueError: both `average` and `per_class` are given, or the average is an unknown one.

    >>> import numpy as np
    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> recall(BinaryOutcomes(np.array([True, False, True]), np.array([True, True, False])))
    0.5
    """
    return _RECALL.value(outcomes, average, per_class)


def influence(
    outcomes: Classified, value: float, *, average: Average | None = None, per_class: int | None = None
) -> FloatArray:
    """What each row does to the value, shape (n,): `(found − value) / share of the class` of a row of it, else 0."""
    return _RECALL.influence(outcomes, value, average, per_class)


def trials(outcomes: Classified, *, average: Average | None = None, per_class: int | None = None) -> float:
    """The rows that it is a share of: those of the class; 0 for an average that is no share of rows."""
    return _RECALL.trials(outcomes, average, per_class)


STATISTIC = Statistic(
    name="recall",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=recall,
    default_material=0.02,
    needs="classes",
    influence=influence,
    trials=trials,
    parameters=frozenset({"average", "per_class"}),
)
