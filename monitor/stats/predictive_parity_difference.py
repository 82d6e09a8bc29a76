"""Predictive parity."""

from __future__ import annotations

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Shares, shares_of
from monitor.stats._groups import Groups
from monitor.stats._homogeneity import same_share
from monitor.stats._simultaneous import difference_interval


def by_group(groups: Groups) -> Shares:
    """The precision of each group: of its rows predicted positive, those that are.

    Raises:
        NoData: fewer than two groups have labelled rows predicted positive.
    """
    return shares_of(
        groups, lambda counts: counts.tp, lambda counts: counts.tp + counts.fp, "labelled rows predicted positive"
    )


def predictive_parity_difference(groups: Groups) -> float:
    """Largest precision of a group less the smallest, between 0 and 1; 0 is parity.

    Precision is the share of positive labels among the rows predicted positive. Source: Chouldechova, Big Data 5 (2017), who
    shows that it and equalised odds can't both hold where base rates differ. As fairlearn's
    `MetricFrame(metrics=precision_score, ...).difference()`, which takes 0 for a group that has no such rows.

    Args:
        groups: counts by name, at least two with labelled rows predicted positive; those without are left out.

    Raises:
        NoData: fewer than two groups have labelled rows predicted positive.

    >>> from monitor.stats._groups import GroupCounts
    >>> predictive_parity_difference({"a": GroupCounts(tp=3, fp=1), "b": GroupCounts(tp=1, fp=1)})
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
    """How often groups with equal precisions would differ as much, or more (`same_share`).

    Raises:
        NoData: fewer than two groups have labelled rows predicted positive.
    """
    return same_share(by_group(groups))


STATISTIC = Statistic(
    name="predictive_parity_difference",
    family="fairness",
    applies_to=frozenset({"binary"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=predictive_parity_difference,
    default_threshold=0.1,
    default_material=0.05,
)
