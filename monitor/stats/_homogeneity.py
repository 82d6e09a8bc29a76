"""May the differences between groups be chance? Tests that all groups have the same share, or the same mean."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import FloatArray
from monitor.stats._gaps import Means, Shares
from monitor.stats._simultaneous import need_two_rows

ENOUGH = 5.0  # expected rows in every cell of a table from which on a chi-square law holds; below, it is judged exactly


def same_share(shares: Shares) -> float:
    """How often groups of one true share would look as different as these, or more.

    The G-test of homogeneity with Williams' correction (Biometrika 63, 1976). Where a cell expects fewer than five rows: each
    group against all the others, by Fisher's exact test where that table is as poor, and the smallest p-value times the
    number of groups (Bonferroni), which is on the safe side.
    """
    part, rest = shares.part, shares.whole - shares.part
    table = np.stack([part, rest], axis=1)
    if _least_expected(table) >= ENOUGH:
        return _g_test(table)
    total = table.sum(axis=0)
    single = [_two_rows(np.stack([row, total - row])) for row in table]
    return min(1.0, min(single) * (len(single) if len(single) > 2 else 1))


def same_mean(means: Means) -> float:
    """How often groups of one true mean would differ as much as these, or more.

    James' first-order test (Biometrika 38, 1951): a weighted sum of squares that allows for unequal variances and for their
    being estimated.

    Raises:
        NoData: a group has a single row.
    """
    need_two_rows(means)
    if means.gap == 0:
        return 1.0
    unit = max(float(np.abs(means.values).max()), float(np.sqrt(means.variances).max()))
    # Groups that are constant would weigh without end.
    variances = np.maximum((np.sqrt(means.variances) / unit) ** 2, 1e-18)
    values, weights = means.values / unit, means.rows / variances
    parts = weights / weights.sum()
    statistic = float(weights @ (values - parts @ values) ** 2)
    number = len(weights)
    unsettled = float(((1 - parts) ** 2 / (means.rows - 1)).sum()) / (2 * (number**2 - 1))
    # A quantile c of the chi-square law becomes the critical value c (1 + unsettled (3 c + g + 1)); here the way back.
    slope = 1 + unsettled * (number + 1)
    quantile = 2 * statistic / (slope + math.sqrt(slope**2 + 12 * unsettled * statistic))
    return chi_square_tail(quantile, number - 1)


def chi_square_tail(x: float, freedom: int) -> float:
    """P(X > x) of the chi-square distribution at a whole number of degrees of freedom, where it is a finite sum.

    Source: Abramowitz and Stegun, 26.4.4 and 26.4.5.

    >>> round(chi_square_tail(3.841, 1), 4), round(chi_square_tail(5.991, 2), 4)
    (0.05, 0.05)
    """
    half, odd = x / 2, freedom % 2
    if half <= 0:
        return 1.0
    powers = [order + odd / 2 for order in range(freedom // 2)]
    tail = sum(math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers)
    return min(tail + (math.erfc(math.sqrt(half)) if odd else 0.0), 1.0)


def _two_rows(table: FloatArray) -> float:
    return _g_test(table) if _least_expected(table) >= ENOUGH else _fisher(table)


def _least_expected(table: FloatArray) -> float:
    return float(table.sum(axis=1).min() * table.sum(axis=0).min() / table.sum())


def _g_test(table: FloatArray) -> float:
    rows, columns, total = table.sum(axis=1), table.sum(axis=0), float(table.sum())
    expected = rows[:, None] * columns / total
    held = table > 0
    g = 2 * float((table[held] * np.log(table[held] / expected[held])).sum())
    freedom = len(rows) - 1
    williams = 1 + (total * (1 / rows).sum() - 1) * (total * (1 / columns).sum() - 1) / (6 * total * freedom)
    return chi_square_tail(g / float(williams), freedom)


def _fisher(table: FloatArray) -> float:
    """Fisher's exact test of a table of two by two: the chance of all tables that are no likelier, at the same margins."""
    (first, others), (second, _) = table.tolist()
    drawn, marked = first + others, first + second
    unmarked = float(table.sum()) - marked
    possible = np.arange(max(0.0, drawn - unmarked), min(drawn, marked) + 1)
    before = possible[:-1]
    steps = np.log((marked - before) * (drawn - before) / ((before + 1) * (unmarked - drawn + before + 1)))
    log_chance = np.append(0.0, np.cumsum(steps))
    chance = np.exp(log_chance - log_chance.max())
    observed = chance[int(first - possible[0])]
    return min(float(chance[chance <= observed * (1 + 1e-7)].sum() / chance.sum()), 1.0)
