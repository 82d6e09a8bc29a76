"""Intervals of the largest gap between any two of several groups.

The largest of many gaps is above zero even where nothing differs. So all pairs are held at once, with the critical value of the
studentized range (Agresti, Bini, Bertaccini and Ryu, Biometrics 64, 2008), which at two groups is the usual normal quantile.
Where every pair's difference lies within its limits, the largest true difference lies between the largest lower and the
largest upper one. All pairs are held though only the extreme one counts, so the interval is on the wide side.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from monitor.records import FloatArray, NoData
from monitor.stats._gaps import Means, Shares

_erfc = np.frompyfunc(math.erfc, 1, 1)
_GRID = np.linspace(-9.0, 9.0, 721)


def difference_interval(shares: Shares, level: float) -> tuple[float, float]:
    """Limits of the largest difference between two groups' true shares, at a confidence of about `level` or more.

    Each pair by Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10).
    """
    value, (low, high) = shares.values, _wilson(shares, critical(len(shares.names), level))
    difference = value[:, None] - value
    below = difference - np.hypot((value - low)[:, None], high - value)
    above = difference + np.hypot((high - value)[:, None], value - low)
    return _largest(below, above, 1.0)


def ratio_interval(shares: Shares, level: float) -> tuple[float, float]:
    """Limits of the smallest ratio of two groups' true shares, at a confidence of about `level` or more.

    Each pair by MOVER-R with Wilson's limits (Donner and Zou, Statistical Methods in Medical Research 21, 2012, equation 9).

    Raises:
        NoData: all shares are 0.
    """
    if not shares.part.any():
        raise NoData("expected a share above 0 in some group, got only zeros")
    value, (low, high) = shares.values, _wilson(shares, critical(len(shares.names), level))
    product = value[:, None] * value
    # The lower limit with its root taken to the other side, where nothing cancels and nothing is divided by 0.
    upper, lower = (low * (2 * value - low))[:, None], high * (2 * value - high)
    root = np.sqrt(np.maximum(product**2 - upper * lower, 0.0))
    least = np.divide(upper, product + root, out=np.zeros_like(product), where=upper > 0)
    upper, lower = (high * (2 * value - high))[:, None], low * (2 * value - low)
    root = np.sqrt(np.maximum(product**2 - upper * lower, 0.0))
    most = np.divide(product + root, lower, out=np.full_like(product, math.inf), where=lower > 0)
    apart = ~np.eye(len(value), dtype=bool)
    return min(float(least[apart].min()), 1.0), min(float(most[apart].min()), 1.0)


def mean_interval(means: Means, level: float) -> tuple[float, float]:
    """Limits of the largest difference between two groups' true means, at a confidence of about `level`.

    Each pair by Welch's interval (Games and Howell, Journal of Educational Statistics 1, 1976), with Student's quantile by its
    expansion in one over the degrees of freedom (Abramowitz and Stegun, 26.7.5).

    Raises:
        NoData: a group has a single row.
    """
    need_two_rows(means)
    unit = max(float(np.sqrt(means.variances).max()), 1e-300)
    squared = (np.sqrt(means.variances) / unit) ** 2 / means.rows
    total = squared[:, None] + squared
    single = squared**2 / (means.rows - 1)
    freedom = total**2 / np.maximum(single[:, None] + single, 1e-300)
    z = critical(len(means.names), level)
    reach = _student(z, np.maximum(freedom, 1.0)) * np.sqrt(total) * unit
    difference = means.values[:, None] - means.values
    return _largest(difference - reach, difference + reach, math.inf)


def need_two_rows(means: Means) -> None:
    """Raise `NoData` where a group has a single row, and so no spread."""
    for name, rows in zip(means.names, means.rows, strict=True):
        if rows < 2:
            raise NoData(f"expected two labelled rows in every group, got 1 in {name}")


@lru_cache
def critical(groups: int, level: float) -> float:
    """What the pairwise differences, each in its own standard errors, all stay below with a chance of `level`.

    The quantile of the range of so many standard normal values, over the root of 2; a safe choice at unequal variances
    (Hayter, Annals of Statistics 12, 1984).

    >>> round(critical(2, 0.95), 3), round(critical(3, 0.95), 3)
    (1.96, 2.344)
    """
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _range_distribution(groups, middle) < level else (low, middle)
    return (low + high) / 2 / math.sqrt(2)


def _range_distribution(groups: int, width: float) -> float:
    """P(the range of so many standard normal values < width), over where the largest of them lies."""
    density = np.exp(-(_GRID**2) / 2) / math.sqrt(2 * math.pi)
    within = (_normal(_GRID) - _normal(_GRID - width)) ** (groups - 1)
    return float(groups * (density * within).sum() * (_GRID[1] - _GRID[0]))


def _normal(x: FloatArray) -> FloatArray:
    return 0.5 * np.asarray(_erfc(-x / math.sqrt(2)), dtype=np.float64)


def _student(z: float, freedom: FloatArray) -> FloatArray:
    cubic, fifth = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    seventh = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    quantile: FloatArray = z + cubic / freedom + fifth / freedom**2 + seventh / freedom**3
    return quantile


def _wilson(shares: Shares, z: float) -> tuple[FloatArray, FloatArray]:
    """Wilson's score limits of each share (Journal of the American Statistical Association 22, 1927)."""
    value, rows = shares.values, shares.whole
    center = (shares.part + z**2 / 2) / (rows + z**2)
    reach = z / (rows + z**2) * np.sqrt(rows * value * (1 - value) + z**2 / 4)
    # On the edges the limit is the edge, which rounding would miss.
    low = np.where(shares.part == 0, 0.0, np.clip(center - reach, 0.0, value))
    high = np.where(shares.part == rows, 1.0, np.clip(center + reach, value, 1.0))
    return low, high


def _largest(below: FloatArray, above: FloatArray, largest: float) -> tuple[float, float]:
    """Limits of the largest of all differences: each place holds those of its row's group less its column's."""
    apart = ~np.eye(len(below), dtype=bool)
    return min(max(float(below[apart].max()), 0.0), largest), min(float(above[apart].max()), largest)
