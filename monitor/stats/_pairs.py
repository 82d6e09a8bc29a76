"""Is it chance that two groups lie so far apart? Asked of the pairs that lie too far apart, and of no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from monitor.stats._gaps import Means, Shares
from monitor.stats._homogeneity import same_mean, same_share


@dataclass(frozen=True, slots=True)
class _Pair:
    table: Shares | Means
    low: int
    high: int

    def chance(self) -> float:
        """How often two equal groups of these sizes would differ as much, or more."""
        places, table = np.array([self.low, self.high]), self.table
        names = (table.names[self.low], table.names[self.high])
        if table.values[self.low] == table.values[self.high]:
            return 1.0
        if isinstance(table, Shares):
            return same_share(Shares(names, table.part[places], table.whole[places]))
        return same_mean(Means(names, table.values[places], table.variances[places], table.rows[places]))


def chance_of_gap(tables: Sequence[Shares | Means], too_far: Callable[[float, float], bool]) -> float:
    """How often groups that are all equal would show a pair as different as the clearest of those that lie too far apart.

    A test of all groups at once is significant where two large groups differ by very little, and the gap that matters may then be
    that of a small group, by chance. So each pair is tested on its own (`same_share`, `same_mean`), only those count that lie too
    far apart (all of them where none does), and the smallest p-value is taken times the number of all pairs (Bonferroni). Of
    two groups it is the test of these.

    Args:
        tables: one number by group, of one kind or of several, such as true and false positive rates.
        too_far: whether a lower and a higher number lie too far apart.

    Returns:
        A p-value that holds whatever pairs are picked out.

    Raises:
        NoData: a group has a single row, and so no spread.

    >>> rates = Shares(("a", "b", "c"), np.array([5000.0, 5300.0, 63.0]), np.array([10000.0, 10000.0, 100.0]))
    >>> chance_of_gap([rates], lambda low, high: high - low > 0.02) < 0.001  # a and b
    True
    >>> chance_of_gap([rates], lambda low, high: high - low > 0.1) < 0.02  # c, of a hundred rows
    False
    """
    pairs = [_pair(table, *places) for table in tables for places in combinations(range(len(table.names)), 2)]
    far = [each for each in pairs if too_far(float(each.table.values[each.low]), float(each.table.values[each.high]))]
    return min(1.0, len(pairs) * min(each.chance() for each in far or pairs))


def _pair(table: Shares | Means, first: int, second: int) -> _Pair:
    rising = table.values[first] <= table.values[second]
    return _Pair(table, first, second) if rising else _Pair(table, second, first)
