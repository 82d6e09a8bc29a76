"""The normalised discounted cumulative gain of ranked lists."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._outcomes import RankedOutcomes
from monitor.stats._ranking import Ranking, influence_of_lists, mean_of_lists, rank


def ndcg(outcomes: RankedOutcomes, *, k: int | None = None) -> float:
    """Mean over lists of `Σ relevance / log2(1 + rank)` over what the best order would give; 0 to 1, lower is worse.

    Source: Järvelin and Kekäläinen, ACM TOIS 20 (2002), with the relevance itself as the gain, and items scored alike in the mean
    of their orders; both as in scikit-learn. A list without a relevant item has no best order, and is left out.

    Args:
        outcomes: items with their list.
        k: how many of the first items count; None for all.

    Raises:
        NoData: there is no row, or no list with a relevant item.

    >>> items = RankedOutcomes(np.array([0.0, 1.0]), np.array([0.9, 0.1]), np.array([0, 0]))
    >>> round(ndcg(items), 3), ndcg(items, k=1)
    (0.631, 0.0)
    """
    ranking = rank(outcomes)
    return mean_of_lists(ranking, _values(ranking, k))


def influence(outcomes: RankedOutcomes, value: float, *, k: int | None = None) -> FloatArray:
    """What each list does to the value, at its first row, shape (n,); see `influence_of_lists`."""
    ranking = rank(outcomes)
    return influence_of_lists(ranking, _values(ranking, k), value)


def _values(ranking: Ranking, k: int | None) -> FloatArray:
    # In shares of the list's highest, which changes nothing, and nothing can leave the range of floats.
    highest = np.maximum.reduceat(ranking.label, ranking.list_start)
    gains = ranking.label / np.where(highest > 0, highest, 1.0)[ranking.item_list]
    discounts = 1 / np.log2(np.arange(int(ranking.place.max()) + 1) + 2.0)
    discounts[len(discounts) if k is None else k :] = 0.0
    of_groups = np.add.reduceat(gains, ranking.group_start) / ranking.size
    of_groups *= np.add.reduceat(discounts[ranking.place], ranking.group_start)
    lists = len(ranking.list_start)
    found = np.bincount(ranking.group_list, of_groups, lists)
    relevant = np.flatnonzero(ranking.label > 0)
    best = relevant[np.lexsort((-gains[relevant], ranking.item_list[relevant]))]
    place = np.arange(len(best)) - (np.cumsum(ranking.list_relevant) - ranking.list_relevant)[ranking.item_list[best]]
    possible = np.bincount(ranking.item_list[best], gains[best] * discounts[place], lists)
    values: FloatArray = np.minimum(np.divide(found, possible, out=np.zeros(lists), where=possible > 0), 1.0)
    return values


STATISTIC = Statistic(
    name="ndcg",
    family="performance",
    applies_to=frozenset({"ranking"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=ndcg,
    default_material=0.02,
    needs="lists",
    influence=influence,
    parameters=frozenset({"k"}),
)
