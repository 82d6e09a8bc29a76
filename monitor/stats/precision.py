"""The share of what is predicted to be of a class that is of it."""

from __future__ import annotations

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Average, Classified, Ratio

_PRECISION = Ratio(part=(1, 0, 0, 0), whole=(0, 0, 1, 0), lacking="rows predicted {}")


def precision(outcomes: Classified, *, average: Average | None = None, per_class: int | None = None) -> float:
    """Share of the rows predicted positive that are positive, `tp / (tp + fp)`; between 0 and 1, 1 is perfect.

    As in scikit-learn, in an average a class of which rows are labelled and none predicted counts as 0, and one that is neither
    is left out. Of a single class that is never predicted there is none (scikit-learn warns and says 0).

    Args:
        outcomes: rows of two or more classes.
        average: over the classes: `macro`, all alike; `micro`, their rows together; `weighted`, by their labelled rows. Where
            neither this nor a class is given, it is the positive class's of two, and the macro average of more.
        per_class: place of the class against all others that is asked for.

    Raises:
        NoData: there is no row, or none that is predicted to be of the class.
        ValueError: both `average` and `per_class` are given, or the average is an unknown one.

    >>> import numpy as np
    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> precision(BinaryOutcomes(np.array([True, False, True]), np.array([True, True, False])))
    0.5
    """
    return _PRECISION.value(outcomes, average, per_class)


def influence(
    outcomes: Classified, value: float, *, average: Average | None = None, per_class: int | None = None
) -> FloatArray:
    """What each row does to the value, shape (n,): `(right − value) / share predicted` of a row predicted so, else 0."""
    return _PRECISION.influence(outcomes, value, average, per_class)


def trials(outcomes: Classified, *, average: Average | None = None, per_class: int | None = None) -> float:
    """The rows that it is a share of: those predicted to be of the class; 0 for an average that is no share of rows."""
    return _PRECISION.trials(outcomes, average, per_class)


STATISTIC = Statistic(
    name="precision",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=precision,
    default_material=0.02,
    needs="classes",
    influence=influence,
    trials=trials,
    parameters=frozenset({"average", "per_class"}),
)
