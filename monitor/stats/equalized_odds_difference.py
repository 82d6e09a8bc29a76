"""Equalised odds."""

from __future__ import annotations

import math

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Shares, shares_of
from monitor.stats._groups import Groups
from monitor.stats._homogeneity import same_share
from monitor.stats._simultaneous import difference_interval


def by_group(groups: Groups) -> tuple[Shares, Shares]:
    """The true positive rate and the false positive rate of each group that has it.

    Raises:
        NoData: fewer than two groups have positive labels, or fewer than two have negative ones.
    """
    return (
        shares_of(groups, lambda counts: counts.tp, lambda counts: counts.tp + counts.fn, "positive labels"),
        shares_of(groups, lambda counts: counts.fp, lambda counts: counts.fp + counts.tn, "negative labels"),
    )


def equalized_odds_difference(groups: Groups) -> float:
    """The larger of two gaps between groups, of their true and of their false positive rates; between 0 and 1, 0 is equality.

    Source: Hardt, Price and Srebro, NeurIPS 2016; as fairlearn's `equalized_odds_difference` (`agg="worst_case"`).

    Args:
        groups: counts by name. A group without positive labels is left out of the one gap, one without negative ones out of
            the other.

    Raises:
        NoData: fewer than two groups have positive labels, or fewer than two have negative ones.

    >>> from monitor.stats._groups import GroupCounts
    >>> equalized_odds_difference({"a": GroupCounts(tp=3, fn=1, fp=1, tn=1), "b": GroupCounts(tp=2, fn=2, fp=0, tn=2)})
    0.5
    """
    true, false = by_group(groups)
    return max(true.gap, false.gap)


def interval(groups: Groups, level: float = 0.95) -> tuple[float, float]:
    """Limits of the value, simultaneous over both rates and all pairs of groups (`difference_interval`).

    The two rates are of different rows, so each is held at the root of the level. The lower limit is 0 where no two groups differ
    for certain.

    Raises:
        NoData: as the value.
    """
    limits = [difference_interval(rates, math.sqrt(level)) for rates in by_group(groups)]
    return max(low for low, _ in limits), max(high for _, high in limits)


def significance(groups: Groups) -> float:
    """How often groups with equal rates would differ as much, or more: the smaller p-value (`same_share`) of two.

    Raises:
        NoData: as the value.
    """
    least = min(same_share(rates) for rates in by_group(groups))
    return -math.expm1(2 * math.log1p(-least)) if least < 1 else 1.0


STATISTIC = Statistic(
    name="equalized_odds_difference",
    family="fairness",
    applies_to=frozenset({"binary"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=equalized_odds_difference,
    default_threshold=0.1,
    default_material=0.05,
)
