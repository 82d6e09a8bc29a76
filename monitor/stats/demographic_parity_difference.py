"""Demographic parity, as a difference."""

from __future__ import annotations

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Shares, shares_of
from monitor.stats._groups import Groups
from monitor.stats._homogeneity import same_share
from monitor.stats._simultaneous import difference_interval


def by_group(groups: Groups) -> Shares:
    """The selection rate of each group: rows predicted positive. Needs no label.

    Raises:
        NoData: fewer than two groups have predictions.
    """
    return shares_of(groups, lambda counts: counts.selected, lambda counts: counts.rows, "predictions")


def demographic_parity_difference(groups: Groups) -> float:
    """Largest selection rate of a group less the smallest, between 0 and 1; 0 is parity.

    The selection rate is the share of rows predicted positive, with a label or without. Source: Dwork, Hardt, Pitassi, Reingold
    and Zemel, ITCS 2012 (statistical parity); as fairlearn's `demographic_parity_difference`. The usual threshold of 0.1 is
    a convention.

    Args:
        groups: counts by name, at least two with predictions; those without are left out.

    Raises:
        NoData: fewer than two groups have predictions.

    >>> from monitor.stats._groups import GroupCounts
    >>> demographic_parity_difference({"a": GroupCounts(rows=10, selected=5), "b": GroupCounts(rows=20, selected=5)})
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
    """How often groups with equal selection rates would differ as much, or more (`same_share`).

    Raises:
        NoData: fewer than two groups have predictions.
    """
    return same_share(by_group(groups))


STATISTIC = Statistic(
    name="demographic_parity_difference",
    family="fairness",
    applies_to=frozenset({"binary"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=demographic_parity_difference,
    default_threshold=0.1,
    default_material=0.05,
)
