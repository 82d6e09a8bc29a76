"""Lists in the order that a model gives them, all at once.

Items that the model scores alike stand in no order. What a list is worth is then the mean over all orders of such ties, each as
likely as the others, in closed form: McSherry and Najork, Computing Information Retrieval Performance Measures Efficiently in the
Presence of Tied Scores (ECIR 2008). So the order in which rows arrive never counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.records import FloatArray, IntArray, NoData
from monitor.stats._outcomes import RankedOutcomes


@dataclass(frozen=True, slots=True)
class Ranking:
    """Items list by list, each from its first to its last, in groups of items scored alike.

    Attributes:
        label: the relevance of each item, shape (n,).
        place: its place in its list, from 0; of items scored alike in any order, shape (n,).
        item_list: the list of each item, from 0 without gaps, shape (n,).
        group_start: the first item of each group, shape (g,).
        group_list: the list of each group, shape (g,).
        size: items of each group, shape (g,).
        relevant: how many of them are relevant, shape (g,).
        before: items of the list that stand before the group, shape (g,).
        relevant_before: relevant ones among these, shape (g,).
        list_start: the first item of each list, shape (l,).
        list_relevant: relevant items of each list, shape (l,).
        list_row: the first row of each list, in the order of the outcomes, shape (l,).
    """

    label: FloatArray
    place: IntArray
    item_list: IntArray
    group_start: IntArray
    group_list: IntArray
    size: IntArray
    relevant: IntArray
    before: IntArray
    relevant_before: IntArray
    list_start: IntArray
    list_relevant: IntArray
    list_row: IntArray


def rank(outcomes: RankedOutcomes) -> Ranking:
    """Put the items in order.

    Raises:
        NoData: there is no row, or no list with a relevant item.
    """
    rows = len(outcomes)
    if not rows:
        raise NoData("no labelled rows")
    order = outcomes.order
    lists, predicted, label = outcomes.lists[order], outcomes.predicted[order], outcomes.label[order]
    begins_list = np.append(True, lists[1:] != lists[:-1])
    begins_group = begins_list.copy()
    begins_group[1:] |= predicted[1:] != predicted[:-1]
    list_start, group_start = np.flatnonzero(begins_list), np.flatnonzero(begins_group)
    item_list = np.cumsum(begins_list) - 1
    place = np.arange(rows) - list_start[item_list]
    group_list = item_list[group_start]
    is_relevant = label > 0
    list_relevant = np.add.reduceat(is_relevant, list_start, dtype=np.int64)
    if not list_relevant.any():
        raise NoData(f"expected a list with a relevant item, got none in {len(list_start)}")
    relevant = np.add.reduceat(is_relevant, group_start, dtype=np.int64)
    ahead = np.cumsum(relevant) - relevant
    return Ranking(
        label=label,
        place=place,
        item_list=item_list,
        group_start=group_start,
        group_list=group_list,
        size=np.diff(group_start, append=rows),
        relevant=relevant,
        before=place[group_start],
        relevant_before=ahead - (np.cumsum(list_relevant) - list_relevant)[group_list],
        list_start=list_start,
        list_relevant=list_relevant,
        list_row=np.minimum.reduceat(order, list_start),
    )


def mean_of_lists(ranking: Ranking, values: FloatArray) -> float:
    """The mean over the lists that have a relevant item; `values` are of all lists, shape (l,), none above 1."""
    return min(float(np.mean(values[ranking.list_relevant > 0])), 1.0)


def influence_of_lists(ranking: Ranking, values: FloatArray, value: float) -> FloatArray:
    """What each row does to the mean over lists, shape (n,).

    Lists are what is independent here, not rows. So what a list does to the mean, its value less the mean, stands at the list's
    first row, times rows per list; its other rows, and lists without a relevant item, have 0. The sum is 0 and
    mean(influence²) / n is the variance of the mean over lists exactly, whatever their lengths.
    """
    used = ranking.list_relevant > 0
    influences = np.zeros(len(ranking.label))
    influences[ranking.list_row[used]] = (values[used] - value) * (len(influences) / np.count_nonzero(used))
    return influences


def items_of(sizes: IntArray) -> tuple[IntArray, IntArray]:
    """For each item of groups of these sizes, its group and its number in it, from 0.

    >>> [part.tolist() for part in items_of(np.array([2, 1]))]
    [[0, 0, 1], [0, 1, 0]]
    """
    group = np.repeat(np.arange(len(sizes)), sizes)
    return group, np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group]


def log_factorials(most: int) -> FloatArray:
    """Natural logarithms of 0! to most!, shape (most + 1,)."""
    return np.append(0.0, np.cumsum(np.log(np.arange(1, most + 1))))
