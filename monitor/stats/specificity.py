"""The share of what is not of a class that is not predicted to be."""

from __future__ import annotations

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Average, Classified, Ratio

_SPECIFICITY = Ratio(part=(1, -1, -1, 1), whole=(0, -1, 0, 1), lacking="rows labelled other than {}", zero=False)


def specificity(outcomes: Classified, *, average: Average | None = None, per_class: int | None = None) -> float:
    """Share of the negative rows that are predicted negative, `tn / (tn + fp)`; between 0 and 1, 1 is perfect.

    Of more classes, what is not of the class is negative. A class besides which there is no other label, and one that is neither
    labelled nor predicted, is left out of an average.

    Args:
        outcomes: rows of two or more classes.
        average: over the classes: `macro`, all alike; `micro`, their rows together; `weighted`, by their labelled rows. Where
            neither this nor a class is given, it is the positive class's of two, and the macro average of more.
        per_class: place of the class against all others that is asked for.

    Raises:
        NoData: there is no row, or none that is not of the class.
        ValueError: both `average` and `per_class` are given, or the average is an unknown one.

    >>> import numpy as np
    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> specificity(BinaryOutcomes(np.array([False, False, True]), np.array([True, False, True])))
    0.5
    """
    return _SPECIFICITY.value(outcomes, average, per_class)


def influence(
    outcomes: Classified, value: float, *, average: Average | None = None, per_class: int | None = None
) -> FloatArray:
    """What each row does to the value, shape (n,): `(right − value) / share of the others` of one of them, else 0."""
    return _SPECIFICITY.influence(outcomes, value, average, per_class)


def trials(outcomes: Classified, *, average: Average | None = None, per_class: int | None = None) -> float:
    """The rows that it is a share of: those that are not of the class; 0 for an average that is no share of rows."""
    return _SPECIFICITY.trials(outcomes, average, per_class)


STATISTIC = Statistic(
    name="specificity",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=specificity,
    default_material=0.02,
    needs="classes",
    influence=influence,
    trials=trials,
    parameters=frozenset({"average", "per_class"}),
)
