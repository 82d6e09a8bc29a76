"""The symmetric mean absolute percentage error."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._numbers import errors_of
from monitor.stats._outcomes import NumericOutcomes


def smape(outcomes: NumericOutcomes) -> float:
    """Mean of `2 |predicted − label| / (|predicted| + |label|)`, as a ratio between 0 and 2; 0 is perfect, higher is worse.

    A row with 0 predicted and 0 true is right and counts as 0; a row where one of them alone is 0, or of the other sign, counts
    as 2 however small the other is. The form of Makridakis (Int. J. Forecasting 9, 1993); some halve it.

    Raises:
        NoData: there is no row.

    >>> smape(NumericOutcomes(np.array([1.0, 0.0]), np.array([3.0, 0.0])))
    0.5
    """
    return min(float(np.mean(_ratios(outcomes))), 2.0)


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value: its ratio less the mean of all, shape (n,)."""
    return _ratios(outcomes) - value


def _ratios(outcomes: NumericOutcomes) -> FloatArray:
    errors, exponent = errors_of(outcomes)
    distances = np.abs(errors)
    with np.errstate(over="ignore"):
        sizes = np.abs(outcomes.predicted) + np.abs(outcomes.label)
    if not np.isfinite(sizes).all():  # then half of both will do
        sizes = np.abs(outcomes.predicted) / 2 + np.abs(outcomes.label) / 2
        distances = np.ldexp(distances, exponent - 1)
    ratios: FloatArray = 2 * np.divide(distances, sizes, out=np.zeros(len(sizes)), where=sizes > 0)
    return ratios


STATISTIC = Statistic(
    name="smape",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="ratio",
    low=0.0,
    high=2.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=smape,
    default_material=0.10,
    needs="numbers",
    influence=influence,
    relative=True,
)
