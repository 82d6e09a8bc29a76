"""Equality of opportunity."""

from __future__ import annotations

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Shares, shares_of
from monitor.stats._groups import Groups
from monitor.stats._homogeneity import same_share
from monitor.stats._simultaneous import difference_interval


def by_group(groups: Groups) -> Shares:
    """The true positive rate of each group: of its positive rows, those predicted so.

    Raises:
        NoData: fewer than two groups have positive labels.
    """
    return shares_of(groups, lambda counts: counts.tp, lambda counts: counts.tp + counts.fn, "positive labels")


def equal_opportunity_difference(groups: Groups) -> float:
    """Largest true positive rate of a group less the smallest, between 0 and 1; 0 is equality.

    Source: Hardt, Price and Srebro, NeurIPS 2016; as fairlearn's `equal_opportunity_difference`.

    Args:
        groups: counts by name, at least two with positive labels; those without are left out.

    Raises:
        NoData: fewer than two groups have positive labels.

    >>> from monitor.stats._groups import GroupCounts
    >>> equal_opportunity_difference({"a": GroupCounts(tp=3, fn=1), "b": GroupCounts(tp=1, fn=1)})
    0.25
    """
    return by_group(groups).gap


def interval(groups: Groups, level: float = 0.95) -> tuple[float, float]:
    """Limits of the value, simultaneous over all pairs of groups (`difference_interval`).

    The lower one is 0 where no two groups differ for certain.

    Raises:
        NoData: as the value.
    """
    return difference_interval(by_group(groups), level)


def significance(groups: Groups) -> float:
    """How often groups with equal true positive rates would differ as much, or more (`same_share`).

    Raises:
        NoData: fewer than two groups have positive labels.
    """
    return same_share(by_group(groups))


STATISTIC = Statistic(
    name="equal_opportunity_difference",
    family="fairness",
    applies_to=frozenset({"binary"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=equal_opportunity_difference,
    default_threshold=0.1,
    default_material=0.05,
)
