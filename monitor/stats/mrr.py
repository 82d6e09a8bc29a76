"""The mean reciprocal rank of the first relevant item."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._outcomes import RankedOutcomes
from monitor.stats._ranking import Ranking, influence_of_lists, items_of, log_factorials, mean_of_lists, rank


def mrr(outcomes: RankedOutcomes, *, k: int | None = None) -> float:
    """Mean over lists of `1 / rank` of their first relevant item; 0 to 1, lower is worse.

    It counts as 0 beyond the first k. Items scored alike count in the mean of their orders. A list without a relevant item has no
    such rank, and is left out. Source: Voorhees, TREC-8 (1999), where such a list counts as 0 instead; ties: McSherry and
    Najork, ECIR 2008.

    Args:
        outcomes: items with their list; relevant is what has a label above 0, whatever its size.
        k: how many of the first items count; None for all.

    Raises:
        NoData: there is no row, or no list with a relevant item.

    >>> items = RankedOutcomes(np.array([0.0, 1.0, 1.0]), np.array([0.9, 0.5, 0.7]), np.array([0, 0, 1]))
    >>> mrr(items), mrr(items, k=1)
    (0.75, 0.5)
    """
    ranking = rank(outcomes)
    return mean_of_lists(ranking, _values(ranking, k))


def influence(outcomes: RankedOutcomes, value: float, *, k: int | None = None) -> FloatArray:
    """What each list does to the value, at its first row, shape (n,); see `influence_of_lists`."""
    ranking = rank(outcomes)
    return influence_of_lists(ranking, _values(ranking, k), value)


def _values(ranking: Ranking, k: int | None) -> FloatArray:
    chosen = np.flatnonzero((ranking.relevant > 0) & (ranking.relevant_before == 0))
    group, number = items_of(ranking.size[chosen])
    size, relevant = ranking.size[chosen][group], ranking.relevant[chosen][group]
    # Of all ways to place the relevant items in their group, the share that puts the first one here.
    log = log_factorials(int(ranking.size.max()))
    after = size - number - 1
    possible = after >= relevant - 1
    rest = np.where(possible, after - relevant + 1, 0)
    logs = log[after] - log[relevant - 1] - log[rest] - (log[size] - log[relevant] - log[size - relevant])
    shares = np.where(possible, np.exp(np.where(possible, logs, 0.0)), 0.0)
    place = ranking.before[chosen][group] + number + 1
    reciprocals = shares / place
    if k is not None:
        reciprocals[place > k] = 0.0
    found = np.bincount(ranking.group_list[chosen][group], reciprocals, len(ranking.list_start))
    values: FloatArray = np.minimum(found, 1.0)
    return values


STATISTIC = Statistic(
    name="mrr",
    family="performance",
    applies_to=frozenset({"ranking"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=mrr,
    default_material=0.02,
    needs="lists",
    influence=influence,
    parameters=frozenset({"k"}),
)
