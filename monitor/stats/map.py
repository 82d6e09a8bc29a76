"""The mean average precision of ranked lists."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, Statistic
from monitor.stats._outcomes import RankedOutcomes
from monitor.stats._ranking import Ranking, influence_of_lists, items_of, mean_of_lists, rank


def mean_average_precision(outcomes: RankedOutcomes, *, k: int | None = None) -> float:
    """Mean over lists of the mean, over their relevant items, of the precision at each one's rank; 0 to 1, lower is worse.

    A relevant item beyond the first k counts as 0, and at most k of them are counted, so that the best order scores 1. Items
    scored alike count in the mean of their orders. A list without a relevant item has no average precision, and is left out.
    Source: Buckley and Voorhees, SIGIR 2000; ties: McSherry and Najork, ECIR 2008.

    Args:
        outcomes: items with their list; relevant is what has a label above 0, whatever its size.
        k: how many of the first items count; None for all.

    Raises:
        NoData: there is no row, or no list with a relevant item.

    >>> items = RankedOutcomes(np.array([0.0, 1.0, 1.0]), np.array([0.9, 0.5, 0.1]), np.array([0, 0, 0]))
    >>> round(mean_average_precision(items), 3), mean_average_precision(items, k=2)
    (0.583, 0.25)
    """
    ranking = rank(outcomes)
    return mean_of_lists(ranking, _values(ranking, k))


def influence(outcomes: RankedOutcomes, value: float, *, k: int | None = None) -> FloatArray:
    """What each list does to the value, at its first row, shape (n,); see `influence_of_lists`."""
    ranking = rank(outcomes)
    return influence_of_lists(ranking, _values(ranking, k), value)


def _values(ranking: Ranking, k: int | None) -> FloatArray:
    lists = len(ranking.list_start)
    wanted = ranking.list_relevant if k is None else np.minimum(ranking.list_relevant, k)
    chosen = np.flatnonzero(ranking.relevant if k is None else ranking.relevant * (ranking.before < k))
    group, number = items_of(ranking.size[chosen])
    size, relevant, ahead = (side[chosen][group] for side in (ranking.size, ranking.relevant, ranking.relevant_before))
    place = ranking.before[chosen][group] + number + 1
    # Where an item at this place is relevant (relevant / size), so many of the items up to it are expected to be.
    up_to_it = ahead + 1 + number * (relevant - 1) / np.maximum(size - 1, 1)
    precisions = relevant / size * up_to_it / place
    if k is not None:
        precisions[place > k] = 0.0
    found = np.bincount(ranking.group_list[chosen][group], precisions, lists)
    values: FloatArray = np.minimum(found / np.maximum(wanted, 1), 1.0)
    return values


STATISTIC = Statistic(
    name="map",
    family="performance",
    applies_to=frozenset({"ranking"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=mean_average_precision,
    default_material=0.02,
    needs="lists",
    influence=influence,
    parameters=frozenset({"k"}),
)
