"""Calibration by group."""

from __future__ import annotations

import math

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Means, means_of
from monitor.stats._groups import GroupCounts, Groups
from monitor.stats._homogeneity import same_mean
from monitor.stats._simultaneous import mean_interval


def by_group(groups: Groups) -> Means:
    """By how much the scores of each group overstate: mean score less the share of positive labels.

    Raises:
        NoData: fewer than two groups have labelled rows with a score.
    """
    return means_of(groups, _surplus, "labelled rows with a score")


def _surplus(counts: GroupCounts) -> float:
    return counts.score_negatives + counts.score_positives - (counts.tp + counts.fn)


def group_calibration_difference(groups: Groups) -> float:
    """Largest mean overstatement of a group's scores less the smallest; 0 is equal calibration, at most 2 for probabilities.

    Overstatement is the mean score less the share of positive labels: calibration in the large, as a score of 0.7 has to mean the
    same for everybody. Groups that are off by the same in the same direction are equal here; how far off they are is
    told by `ece`. Source: calibration within groups, Kleinberg, Mullainathan and Raghavan, ITCS 2017, here on average and not
    at each score. As fairlearn's `MetricFrame(metrics=mean score − mean label, ...).difference()`.

    Args:
        groups: counts by name, at least two with labelled rows that have a score; those without are left out.

    Raises:
        NoData: fewer than two groups have labelled rows with a score.

    >>> fair = GroupCounts(tn=5, tp=5, measured=10, score_negatives=1.0, score_positives=4.0)
    >>> flattered = GroupCounts(tn=5, tp=5, measured=10, score_negatives=2.0, score_positives=5.0)
    >>> round(group_calibration_difference({"a": fair, "b": flattered}), 6)
    0.2
    """
    return by_group(groups).gap


def interval(groups: Groups, level: float = 0.95) -> tuple[float, float]:
    """Limits of the value, simultaneous over all pairs of groups (`mean_interval`).

    The lower one is 0 where no two groups differ for certain.

    Raises:
        NoData: as the value, or a group has a single row.
    """
    return mean_interval(by_group(groups), level)


def significance(groups: Groups) -> float:
    """How often groups of equal calibration would differ as much, or more (`same_mean`).

    Raises:
        NoData: as the value, or a group has a single row.
    """
    return same_mean(by_group(groups))


STATISTIC = Statistic(
    name="group_calibration_difference",
    family="fairness",
    applies_to=frozenset({"binary"}),
    unit="ratio",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=group_calibration_difference,
    default_threshold=0.1,
    default_material=0.05,
)
