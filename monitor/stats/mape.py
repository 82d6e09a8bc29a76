"""The mean absolute percentage error."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, NoData, Statistic
from monitor.stats._numbers import LARGEST, around, errors_of, mean_of, times
from monitor.stats._outcomes import NumericOutcomes


def mape(outcomes: NumericOutcomes) -> float:
    """Mean of `|predicted − label| / |label|`, as a ratio (0.1 is 10 %); 0 is perfect, higher is worse.

    Rows whose label is 0 have no such ratio and are left out; scikit-learn divides by a tiny number there instead, so that a
    single one hides all others. Labels near 0 weigh heavily all the same: `wape` is the steadier choice where there are such.

    Raises:
        NoData: there is no row, or no label other than 0.

    >>> mape(NumericOutcomes(np.array([1.0, 2.0, 0.0]), np.array([2.0, 1.0, 5.0])))
    0.75
    """
    return mean_of(_ratios(outcomes)[0])


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value, shape (n,): its ratio less the mean of all, over the share of rows that have a ratio.

    A row without one has none: the delta method on a ratio of means.
    """
    ratios, used = _ratios(outcomes)
    influences = np.zeros(len(outcomes))
    influences[used] = times(len(outcomes) / len(ratios), around(ratios, 0, value))
    return influences


def _ratios(outcomes: NumericOutcomes) -> tuple[FloatArray, slice | IntArray]:
    """Of the rows that have one, and which rows these are."""
    errors, exponent = errors_of(outcomes)
    used: slice | IntArray = slice(None)
    label = outcomes.label
    if not label.all():
        used = np.flatnonzero(label)
        errors, label = errors[used], label[used]
    if not len(label):
        raise NoData("expected labels other than 0, got only zeros")
    with np.errstate(over="ignore"):
        ratios = np.ldexp(np.abs(errors) / np.abs(label), exponent)
    return np.minimum(ratios, LARGEST), used


STATISTIC = Statistic(
    name="mape",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="ratio",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=mape,
    default_material=0.10,
    needs="numbers",
    influence=influence,
    relative=True,
)
