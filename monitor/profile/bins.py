"""Bins, drawn once from a reference and never moved by what comes later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from monitor.records import Coded, ColumnKind, FloatArray, IntArray, NoData, ObjectArray

FINE = 50  # so many quantile bins are kept
GROUPS = 10  # and PSI and its kin look at so many groups of them
CATEGORIES = 1000  # so many categories are told apart; the rarer ones of a wider column count as one
CATEGORY_GROUPS = 101  # so there are at most that many groups, the rest among them
ALONE = 0.01  # a category with at least that share of the rows is a group of its own
BLOCK = 65_536  # so many codes stay in the processor's cache while they are counted


@dataclass(frozen=True, slots=True)
class NumericBins:
    """Bins `(-inf, e0], (e0, e1], … (en, inf)` with the strictly rising inner edges `e`; `groups[i]` is bin i's group.

    `center` is a fixed point among the values, their mean in the reference: moments are kept about it, so that nothing of
    them is lost where values are large and lie close together. `low` and `high` are the smallest and the largest of them: the
    range of what is known.
    """

    edges: FloatArray
    groups: IntArray
    center: float = 0.0
    low: float = -np.inf
    high: float = np.inf

    kind = ColumnKind.NUMERIC

    def __len__(self) -> int:
        return len(self.edges) + 1

    def place(self, values: FloatArray) -> IntArray:
        """The bin of every value; shape (n,). NaN has no bin: leave it out before."""
        return np.searchsorted(self.edges, values, side="left").astype(np.int64)

    def group_names(self) -> list[str]:
        """What the groups hold, in words: `(-inf, 3.5]`."""
        last = {int(group): place for place, group in enumerate(self.groups)}
        uppers = [self.edges[last[group]] if last[group] < len(self.edges) else np.inf for group in sorted(last)]
        return [f"({low:.6g}, {high:.6g}]" for low, high in pairwise([-np.inf, *uppers])]


@dataclass(frozen=True, slots=True)
class CategoricalBins:
    """One bin for each category of the reference, the most frequent first; `groups[i]` is bin i's group.

    Where there is one group entry more than categories, the last bin holds all the others.
    """

    categories: tuple[str, ...]
    groups: IntArray

    kind = ColumnKind.CATEGORICAL

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def has_rest(self) -> bool:
        """Whether the last bin holds every category that is not told apart."""
        return len(self.groups) > len(self.categories)

    def group_names(self) -> list[str]:
        """What the groups hold: a category, or `other` for those too many to stand alone."""
        members: dict[int, list[str]] = {}
        for name, group in zip([*self.categories, "other"], self.groups, strict=False):
            members.setdefault(int(group), []).append(name)
        return [held[0] if len(held) == 1 else "other" for _, held in sorted(members.items())]


Bins = NumericBins | CategoricalBins


def draw_bins(values: FloatArray | ObjectArray | Coded, kind: ColumnKind) -> Bins:
    """The bins of one column of the reference.

    Numeric: inner edges at the quantiles 1/50 … 49/50 (linear interpolation), equal ones once; a bin holds its upper edge,
    the outer bins are open. The groups are cut at those edges that are deciles. So a value that many rows share, such as a
    zero, is an edge, and its bin is not mixed with what lies above it; a constant column has two bins, up to its value and
    above it. A column of at most fifty different values has a bin for each of them, and one for what lies above all of them;
    its groups are cut at the deciles all the same. What falls below the smallest value is in the first bin with it: that is
    for checks of range to see.
    Categorical: the categories by falling frequency, ties by name; those rarer than one row in a hundred are one group.
    Beyond the first thousand they share one last bin, and then no value counts as unseen: which ones the reference had is no
    longer known.

    Args:
        values: shape (n,); NaN or None where missing.
        kind: numeric or categorical.

    Raises:
        NoData: no value is there.

    >>> draw_bins(np.array([0.0, 0.0, 0.0, 1.0]), ColumnKind.NUMERIC).group_names()[0]
    '(-inf, 0]'
    """
    if kind is ColumnKind.NUMERIC:
        numbers = np.asarray(values, dtype=np.float64)
        return numeric_bins(np.sort(numbers[np.isfinite(numbers)]))
    return categorical_bins(count_categories(values))


def numeric_bins(ordered: FloatArray) -> NumericBins:
    """The bins of a numeric column, from its finite values in rising order, shape (n,).

    Raises:
        NoData: there is none.
    """
    if not len(ordered):
        raise NoData("the reference has no value in this column")
    quantiles = _quantiles(ordered)
    deciles = np.unique(quantiles[np.arange(1, FINE) % (FINE // GROUPS) == 0])
    few = _few_values(ordered)
    edges = np.unique(quantiles) if few is None else _edges_between(few, deciles)
    groups = np.searchsorted(deciles, np.append(edges, np.inf), side="left").astype(np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = ordered.mean()
    # Sums beyond any float, of both signs, have no mean.
    center = float(np.clip(ordered[len(ordered) // 2] if np.isnan(mean) else mean, ordered[0], ordered[-1]))
    return NumericBins(edges, groups, center, float(ordered[0]), float(ordered[-1]))


def _quantiles(ordered: FloatArray) -> FloatArray:
    """The fiftieths, to the last bit as `np.quantile` has them, without its copy of the values."""
    places = (len(ordered) - 1) * (np.arange(1, FINE) / FINE)
    before = np.floor(places).astype(np.int64)
    low, high = ordered[before], ordered[np.minimum(before + 1, len(ordered) - 1)]
    share = places - before
    with np.errstate(over="ignore", invalid="ignore"):
        step = high - low
        between: FloatArray = np.where(share >= 0.5, high - step * (1 - share), low + step * share)
    # Two values that are further apart than any float: halve them first.
    return np.where(np.isfinite(step), between, low * (1 - share) + high * share)


def _few_values(ordered: FloatArray) -> FloatArray | None:
    """The different values of a column that has few of them, rising; None where there are more."""
    found: list[float] = []
    place = 0
    while place < len(ordered):
        if len(found) == FINE:
            return None
        found.append(float(ordered[place]))
        place = int(np.searchsorted(ordered, ordered[place], side="right"))
    return np.array(found)


def _edges_between(values: FloatArray, deciles: FloatArray) -> FloatArray:
    """Edges that part every value from the next: the deciles, and where none of them does, the value itself."""
    before = np.searchsorted(deciles, values, side="left")
    unparted = np.append(before[:-1] == before[1:], True)  # the largest one is parted from what may come above it
    edges: FloatArray = np.unique(np.concatenate([deciles, values[unparted]]))
    return edges


def same_bins(one: Mapping[str, Bins], other: Mapping[str, Bins]) -> bool:
    """Whether these are the same columns on the same bins, so that their profiles add up."""
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def _same(one: Bins, other: Bins) -> bool:
    if one is other:
        return True
    if isinstance(one, NumericBins) and isinstance(other, NumericBins):
        about = (one.center, one.low, one.high) == (other.center, other.low, other.high)
        return about and np.array_equal(one.edges, other.edges)
    if isinstance(one, CategoricalBins) and isinstance(other, CategoricalBins):
        return one.categories == other.categories and one.has_rest == other.has_rest
    return False


def count_categories(values: ObjectArray | FloatArray | Coded) -> dict[str, int]:
    """Rows by category, without those that miss it."""
    if not isinstance(values, Coded):
        found = Counter(values.tolist())
        found.pop(None, None)
        return dict(found)
    counted: dict[str, int] = {}
    rows = np.zeros(len(values.names) + 1, dtype=np.int64)
    for start in range(0, len(values), BLOCK):
        rows += np.bincount(values.codes[start : start + BLOCK] + 1, minlength=len(rows))
    for name, count in zip(values.names, rows[1:].tolist(), strict=True):
        if count:
            counted[name] = counted.get(name, 0) + count
    return counted


def categorical_bins(counted: Mapping[str, int]) -> CategoricalBins:
    """The bins of a categorical column, from its rows by category.

    Raises:
        NoData: there is none.
    """
    if not counted:
        raise NoData("the reference has no value in this column")
    ordered = sorted(counted, key=lambda name: (-counted[name], name))
    kept = tuple(ordered[:CATEGORIES])
    bins = len(kept) + (len(ordered) > CATEGORIES)
    # By share and not by rank: of many that are alike, the first ones are those that had luck in this reference.
    alone = sum(counted[name] >= ALONE * sum(counted.values()) for name in kept)
    return CategoricalBins(kept, np.minimum(np.arange(bins), alone).astype(np.int64))
