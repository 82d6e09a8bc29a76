"""The median absolute error."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._numbers import errors_of, restored, tamed, times
from monitor.stats._outcomes import NumericOutcomes


def median_ae(outcomes: NumericOutcomes) -> float:
    """Median of `|predicted − label|`, in the unit of the label; 0 is perfect, higher is worse.

    Of an even number of rows it is the mean of the two in the middle. Unlike the mean, it does not see what happens to less than
    half of the rows.

    Raises:
        NoData: there is no row.

    >>> median_ae(NumericOutcomes(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.5, 90.0])))
    1.0
    """
    distances, exponent = _distances(outcomes)
    return restored(float(np.median(distances)), exponent)


def influence(outcomes: NumericOutcomes, value: float) -> FloatArray:
    """What each row does to the value, shape (n,): `sign(d − m) / (2 f(m))` for a distance d, the median m, their density f.

    The density is the share of rows around the median over the stretch they lie on, `2h / (Q(½ + h) − Q(½ − h))`: Siddiqui's
    estimate (J. Res. NBS 64B, 1960) with Hall and Sheather's h (JRSS B 50, 1988), 0.97 n^(−1/3) for a level of 95 %. Where the
    rows around the median are all alike it is infinite and every row's influence 0: no other sample would give another median.
    """
    distances, exponent = _distances(outcomes)
    half = min(0.97 * len(distances) ** (-1 / 3), 0.5)
    below, above = np.quantile(distances, [0.5 - half, 0.5 + half])
    signs = np.sign(distances - math.ldexp(value, -exponent))
    return times(restored(float(above - below) / (4 * half), exponent), signs)


def _distances(outcomes: NumericOutcomes) -> tuple[FloatArray, int]:
    errors, exponent = errors_of(outcomes)
    return tamed(np.abs(errors), exponent)


STATISTIC = Statistic(
    name="median_ae",
    family="performance",
    applies_to=frozenset({"regression"}),
    unit="label",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=median_ae,
    default_material=0.10,
    needs="numbers",
    influence=influence,
    relative=True,
)
