"""The share of rows that are copies of another one."""

from __future__ import annotations

from monitor.records import Direction, NoData, Statistic


def duplicate_ratio(*, rows: int, copies: int = 0, **_: int) -> float:
    """Share of rows that could go without a different one being lost: rows beyond the first of those that are alike.

    Between 0 and 1 (exclusive): a window in which every row comes twice has a half of it.

    Raises:
        NoData: there is no row.

    >>> duplicate_ratio(rows=96, copies=48)
    0.5
    """
    if rows == 0:
        raise NoData("no rows")
    return copies / rows


STATISTIC = Statistic(
    name="duplicate_ratio",
    family="quality",
    applies_to=frozenset({"model"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=duplicate_ratio,
    default_threshold=0.01,
)
