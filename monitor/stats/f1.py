"""The harmonic mean of precision and recall."""

from __future__ import annotations

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._classes import Average, Classified, Ratio

_F1 = Ratio(part=(2, 0, 0, 0), whole=(0, 1, 1, 0), lacking="rows labelled or predicted {}")


def f1(outcomes: Classified, *, average: Average | None = None, per_class: int | None = None) -> float:
    """Harmonic mean of precision and recall, `2 tp / (2 tp + fp + fn)`; between 0 and 1, 1 is perfect.

    0 where no positive row is found, though precision or recall may have no value there; as in scikit-learn and elsewhere. It is
    no share of rows: a right one counts twice. Source: van Rijsbergen, Information Retrieval (1979). A class that is neither
    labelled nor predicted is left out of an average.

    Args:
        outcomes: rows of two or more classes.
        average: over the classes: `macro`, all alike; `micro`, their rows together; `weighted`, by their labelled rows. Where
            neither this nor a class is given, it is the positive class's of two, and the macro average of more.
        per_class: place of the class against all others that is asked for.

    Raises:
        NoData: there is no row, or none that is, or is predicted to be, of the class.
        ValueError: both `average` and `per_class` are given, or the average is an unknown one.

    >>> import numpy as np
    >>> from monitor.stats._outcomes import BinaryOutcomes
    >>> f1(BinaryOutcomes(np.array([True, False, True]), np.array([True, True, False])))
    0.5
    """
    return _F1.value(outcomes, average, per_class)


def influence(
    outcomes: Classified, value: float, *, average: Average | None = None, per_class: int | None = None
) -> FloatArray:
    """What each row does to the value, shape (n,): the delta method on the ratio."""
    return _F1.influence(outcomes, value, average, per_class)


STATISTIC = Statistic(
    name="f1",
    family="performance",
    applies_to=frozenset({"binary", "multiclass"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=f1,
    default_material=0.02,
    needs="classes",
    influence=influence,
    parameters=frozenset({"average", "per_class"}),
)
