"""One number for each group, of those that have it, and how far the groups lie apart in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.records import FloatArray, NoData
from monitor.stats._groups import GroupCounts, Groups


@dataclass(frozen=True, eq=False)
class Shares:
    """A proportion in each group that has one.

    Attributes:
        names: of these groups, g of them, at least two.
        part: rows that count, shape (g,).
        whole: rows of which they are a share, shape (g,), above 0.
        left_out: groups that have no rows of which there could be a share.
    """

    names: tuple[str, ...]
    part: FloatArray
    whole: FloatArray
    left_out: tuple[str, ...] = ()

    @property
    def values(self) -> FloatArray:
        """The shares, shape (g,)."""
        values: FloatArray = self.part / self.whole
        return values

    @property
    def by_name(self) -> dict[str, float]:
        """The same, by the group's name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    @property
    def gap(self) -> float:
        """The largest share less the smallest."""
        return _spread(self.values)

    @property
    def ratio(self) -> float:
        """The smallest share over the largest.

        Raises:
            NoData: all shares are 0.
        """
        if not self.part.any():
            raise NoData("expected a share above 0 in some group, got only zeros")
        return float(self.values.min() / self.values.max())


@dataclass(frozen=True, eq=False)
class Means:
    """The mean of something in each group that has it.

    Attributes:
        names: of these groups, g of them, at least two.
        values: the means, shape (g,).
        variances: of the single rows, shape (g,); NaN where there is only one row.
        rows: shape (g,), above 0.
        left_out: groups that have no such rows.
    """

    names: tuple[str, ...]
    values: FloatArray
    variances: FloatArray
    rows: FloatArray
    left_out: tuple[str, ...] = ()

    @property
    def by_name(self) -> dict[str, float]:
        """The means by the group's name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    @property
    def gap(self) -> float:
        """The largest mean less the smallest."""
        return _spread(self.values)


def shares_of(
    groups: Groups, part: Callable[[GroupCounts], int], whole: Callable[[GroupCounts], int], what: str
) -> Shares:
    """A proportion by group.

    Args:
        groups: by name.
        part: of a group, the rows that count.
        whole: of a group, the rows of which they are a share.
        what: these rows are, for the message.

    Raises:
        NoData: fewer than two groups have one.
    """
    names, left_out = _split(groups, whole, what)
    counts = np.array([(part(groups[name]), whole(groups[name])) for name in names], dtype=np.float64)
    return Shares(names, counts[:, 0], counts[:, 1], left_out)


def means_of(groups: Groups, total: Callable[[GroupCounts], float], what: str) -> Means:
    """A mean by group over its `measured` rows, of something whose squares add up to the group's `squared_errors`.

    Args:
        groups: by name.
        total: of a group, the sum.
        what: the rows are, for the message.

    Raises:
        NoData: fewer than two groups have one.
    """
    names, left_out = _split(groups, lambda counts: counts.measured, what)
    rows = np.array([groups[name].measured for name in names], dtype=np.float64)
    values = np.array([total(groups[name]) for name in names]) / rows
    spread = np.maximum(np.array([groups[name].squared_errors for name in names]) / rows - values**2, 0.0)
    variances = np.full(len(names), np.nan)
    np.divide(spread, 1 - 1 / rows, out=variances, where=rows > 1)
    return Means(names, values, variances, rows, left_out)


def _split(groups: Groups, whole: Callable[[GroupCounts], int], what: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = tuple(name for name in groups if whole(groups[name]) > 0)
    left_out = tuple(name for name in groups if whole(groups[name]) <= 0)
    if len(names) < 2:
        without = f", none in {', '.join(left_out[:5])}{', ...' if len(left_out) > 5 else ''}" if left_out else ""
        raise NoData(f"expected two groups with {what}, got {len(names)}{without}")
    return names, left_out


def _spread(values: FloatArray) -> float:
    return float(values.max() - values.min())
