"""The weighted absolute percentage error."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, NoData, Statistic
from monitor.stats._numbers import errors_of, quotient, tamed, times
from monitor.stats._outcomes import NumericOutcomes


def wape(outcomes: NumericOutcomes) -> float:
    """Sum of `|predicted − label|` over the sum of `|label|`, as a ratio (0.1 is 10 %); 0 is perfect, higher is worse.

    The absolute percentage errors, each weighted by the size of its label (Kolassa and Schütz, Foresight 6, 2007: MAD/mean).

    Raises:
        NoData: there is no row, or no label other than 0.

    >>> wape(NumericOutcomes(np.array([1.0, 3.0, 0.0]), np.array([2.0, 3.0, 1.0])))
    0.5
    """
    distances, sizes, exponent = _sides(outcomes)
    return quotient(float(np.mean(distances)), float(np.mean(sizes)), exponent)


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value, shape (n,): `(|e| − value × |label|) / mean |label|`, the delta method on a ratio."""
    distances, sizes, _ = _sides(outcomes)
    error = float(np.mean(distances))
    if error == 0:
        return np.zeros(len(distances))
    # The same in shares of both means: neither these nor their difference can leave the range of floats.
    return times(value, distances / error - sizes / float(np.mean(sizes)))


def _sides(outcomes: NumericOutcomes) -> tuple[FloatArray, FloatArray, int]:
    """Absolute errors and absolute labels, and the exponent of the one over that of the other."""
    errors, exponent = errors_of(outcomes)
    distances, exponent = tamed(np.abs(errors), exponent)
    sizes, other = tamed(np.abs(outcomes.label))
    if not sizes.any():
        raise NoData("expected labels other than 0, got only zeros")
    return distances, sizes, exponent - other


STATISTIC = Statistic(
    name="wape",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="ratio",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=wape,
    default_material=0.10,
    needs="numbers",
    influence=influence,
    relative=True,
)
