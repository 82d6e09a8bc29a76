"""Demographic parity, as a ratio."""

from __future__ import annotations

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Shares, shares_of
from monitor.stats._groups import Groups
from monitor.stats._homogeneity import same_share
from monitor.stats._simultaneous import ratio_interval


def by_group(groups: Groups) -> Shares:
    """The selection rate of each group: rows predicted positive. Needs no label.

    Raises:
        NoData: fewer than two groups have predictions.
    """
    return shares_of(groups, lambda counts: counts.selected, lambda counts: counts.rows, "predictions")


def demographic_parity_ratio(groups: Groups) -> float:
    """Smallest selection rate of a group over the largest, between 0 and 1; 1 is parity.

    Source: the "four-fifths rule" of the Uniform Guidelines on Employee Selection Procedures (29 CFR 1607.4 D, 1978), from which
    the threshold of 0.8 comes; as fairlearn's `demographic_parity_ratio`.

    Args:
        groups: counts by name, at least two with predictions; those without are left out.

    Raises:
        NoData: fewer than two groups have predictions, or nobody is predicted positive.

    >>> from monitor.stats._groups import GroupCounts
    >>> demographic_parity_ratio({"a": GroupCounts(rows=10, selected=5), "b": GroupCounts(rows=20, selected=5)})
    0.5
    """
    return by_group(groups).ratio


def interval(groups: Groups, level: float = 0.95) -> tuple[float, float]:
    """Limits of the value, simultaneous over all pairs of groups (`ratio_interval`).

    The upper one is 1 where no two groups differ for certain.

    Raises:
        NoData: as the value.
    """
    return ratio_interval(by_group(groups), level)


def significance(groups: Groups) -> float:
    """How often groups with equal selection rates would differ as much, or more (`same_share`).

    Raises:
        NoData: fewer than two groups have predictions.
    """
    return same_share(by_group(groups))


STATISTIC = Statistic(
    name="demographic_parity_ratio",
    family="fairness",
    applies_to=frozenset({"binary"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=demographic_parity_ratio,
    default_threshold=0.8,
    default_material=0.05,
)
