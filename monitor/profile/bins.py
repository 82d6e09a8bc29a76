"""Bins, drawn once from a reference and never moved by what comes later."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from monitor.records import ColumnKind, FloatArray, IntArray, NoData, ObjectArray

FINE = 50  # so many quantile bins are kept
GROUPS = 10  # and PSI and its kin look at so many groups of them
CATEGORIES = 1000  # so many categories are told apart; the rarer ones of a wider column count as one
CATEGORY_GROUPS = 50


@dataclass(frozen=True, slots=True)
class NumericBins:
    """Bins `(-inf, e0], (e0, e1], … (en, inf)` with the strictly rising inner edges `e`; `groups[i]` is bin i's group."""

    edges: FloatArray
    groups: IntArray

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


def draw_bins(values: FloatArray | ObjectArray, kind: ColumnKind) -> Bins:
    """The bins of one column of the reference.

    Numeric: inner edges at the quantiles 1/50 … 49/50 (linear interpolation), equal ones once; a bin holds its upper edge,
    the outer bins are open. The groups are cut at those edges that are deciles. So a value that many rows share, such as a
    zero, is an edge, and its bin is not mixed with what lies above it; a constant column has two bins, up to its value and
    above it. What falls below the smallest value is in the first bin with it: that is for checks of range to see.
    Categorical: the categories by falling frequency, ties by name. Beyond the first thousand they share one last bin, and
    then no value counts as unseen: which ones the reference had is no longer known.

    Args:
        values: shape (n,); NaN or None where missing.
        kind: which of the two.

    Raises:
        NoData: no value is there.

    >>> draw_bins(np.array([0.0, 0.0, 0.0, 1.0]), ColumnKind.NUMERIC).group_names()[0]
    '(-inf, 0]'
    """
    if kind is ColumnKind.NUMERIC:
        return _numeric(np.asarray(values, dtype=np.float64))
    return _categorical(values)


def _numeric(values: FloatArray) -> NumericBins:
    present = values[np.isfinite(values)]
    if not len(present):
        raise NoData("the reference has no value in this column")
    quantiles = np.quantile(present, np.arange(1, FINE) / FINE)
    edges = np.unique(quantiles)
    deciles = np.unique(quantiles[np.arange(1, FINE) % (FINE // GROUPS) == 0])
    return NumericBins(edges, np.searchsorted(deciles, np.append(edges, np.inf), side="left").astype(np.int64))


def _categorical(values: ObjectArray | FloatArray) -> CategoricalBins:
    counted = Counter(value for value in values.tolist() if value is not None)
    if not counted:
        raise NoData("the reference has no value in this column")
    ordered = sorted(counted, key=lambda name: (-counted[name], name))
    kept = tuple(ordered[:CATEGORIES])
    bins = len(kept) + (len(ordered) > CATEGORIES)
    last = CATEGORY_GROUPS - 1 if bins > CATEGORY_GROUPS else CATEGORY_GROUPS
    return CategoricalBins(kept, np.minimum(np.arange(bins), last).astype(np.int64))
