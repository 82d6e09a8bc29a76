"""Equality of errors between groups."""

from __future__ import annotations

import math

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Means, Shares, means_of, shares_of
from monitor.stats._groups import Groups
from monitor.stats._homogeneity import same_mean, same_share
from monitor.stats._simultaneous import difference_interval, mean_interval


def by_group(groups: Groups) -> Shares | Means:
    """The error of each group: of two classes the share of rows predicted wrongly, of numbers the mean absolute error.

    Raises:
        NoData: fewer than two groups have labelled rows.
    """
    if any(counts.labelled for counts in groups.values()):
        return shares_of(groups, lambda counts: counts.fp + counts.fn, lambda counts: counts.labelled, "labelled rows")
    return means_of(groups, lambda counts: counts.absolute_errors, "labelled rows")


def group_error_difference(groups: Groups) -> float:
    """Largest error of a group less the smallest; 0 is equality, higher is worse.

    For two classes the error is the share of rows predicted wrongly, between 0 and 1: balance over both kinds of error, of which
    `equalized_odds_difference` takes each by itself. For numbers it is the mean absolute error, in the unit of the label.
    Source: overall accuracy equality, Berk, Heidari, Jabbari, Kearns and Roth, Sociological Methods and Research 50 (2021). As
    fairlearn's `MetricFrame(metrics=zero_one_loss, ...).difference()`, or that of `mean_absolute_error`.

    Args:
        groups: counts by name, at least two with labelled rows; those without are left out.

    Raises:
        NoData: fewer than two groups have labelled rows.

    >>> from monitor.stats._groups import GroupCounts
    >>> group_error_difference({"a": GroupCounts(tp=3, fn=1), "b": GroupCounts(tp=1, fp=1)})
    0.25
    >>> close, far = GroupCounts(measured=2, absolute_errors=1.0), GroupCounts(measured=4, absolute_errors=6.0)
    >>> group_error_difference({"a": close, "b": far})
    1.0
    """
    return by_group(groups).gap


def interval(groups: Groups, level: float = 0.95) -> tuple[float, float]:
    """Limits of the value, simultaneous over all pairs of groups (`difference_interval`, or `mean_interval` for numbers).

    The lower one is 0 where no two groups differ for certain.

    Raises:
        NoData: as the value, or a group of numbers has a single row.
    """
    errors = by_group(groups)
    return difference_interval(errors, level) if isinstance(errors, Shares) else mean_interval(errors, level)


def significance(groups: Groups) -> float:
    """How often groups of equal errors would differ as much, or more (`same_share`, or `same_mean` for numbers).

    Raises:
        NoData: as the value, or a group of numbers has a single row.
    """
    errors = by_group(groups)
    return same_share(errors) if isinstance(errors, Shares) else same_mean(errors)


STATISTIC = Statistic(
    name="group_error_difference",
    family="fairness",
    applies_to=frozenset({"binary", "regression"}),
    unit="label",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=group_error_difference,
    default_threshold=None,
    default_material=0.05,
)
