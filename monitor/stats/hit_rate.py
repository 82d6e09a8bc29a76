"""The share of ranked lists with a relevant item among the first k."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._outcomes import RankedOutcomes
from monitor.stats._ranking import Ranking, influence_of_lists, log_factorials, mean_of_lists, rank


def hit_rate(outcomes: RankedOutcomes, *, k: int | None = None) -> float:
    """Share of lists with a relevant item among their first k; 0 to 1, lower is worse.

    Items scored alike count in the mean of their orders: a list may then be a hit in part. A list without a relevant item cannot
    be hit, whatever the model does, and is left out; so without a k the share is 1.

    Args:
        outcomes: items with their list; relevant is what has a label above 0, whatever its size.
        k: how many of the first items count; None for all.

    Raises:
        NoData: there is no row, or no list with a relevant item.

    >>> items = RankedOutcomes(np.array([0.0, 1.0, 1.0]), np.array([0.9, 0.5, 0.7]), np.array([0, 0, 1]))
    >>> hit_rate(items, k=1), hit_rate(items, k=2)
    (0.5, 1.0)
    """
    ranking = rank(outcomes)
    return mean_of_lists(ranking, _values(ranking, k))


def influence(outcomes: RankedOutcomes, value: float, *, k: int | None = None) -> FloatArray:
    """What each list does to the value, at its first row, shape (n,); see `influence_of_lists`."""
    ranking = rank(outcomes)
    return influence_of_lists(ranking, _values(ranking, k), value)


def trials(outcomes: RankedOutcomes, *, k: int | None = None) -> float:  # noqa: ARG001 - takes what `compute` takes
    """How many lists the share is of: those with a relevant item."""
    return float(np.count_nonzero(rank(outcomes).list_relevant))


def _values(ranking: Ranking, k: int | None) -> FloatArray:
    if k is None:
        return (ranking.list_relevant > 0).astype(np.float64)
    # Of each group, the items within the first k; and the share of its orders in which none of these is relevant.
    drawn = np.clip(k - ranking.before, 0, ranking.size)
    others = ranking.size - ranking.relevant
    possible = others >= drawn
    log = log_factorials(int(ranking.size.max()))
    left = np.where(possible, others - drawn, 0)
    logs = log[others] - log[left] - (log[ranking.size] - log[ranking.size - drawn])
    missed = np.where(possible, np.exp(np.where(possible, logs, 0.0)), 0.0)
    first_group = np.flatnonzero(ranking.before == 0)
    values: FloatArray = 1 - np.multiply.reduceat(missed, first_group)
    return values


STATISTIC = Statistic(
    name="hit_rate",
    family="performance",
    applies_to=frozenset({"ranking"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=hit_rate,
    default_material=0.02,
    needs="lists",
    influence=influence,
    trials=trials,
    parameters=frozenset({"k"}),
)
