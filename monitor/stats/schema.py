"""Whether a column that the reference has is there at all."""

from __future__ import annotations

from monitor.records import Direction, NoData, Statistic


def schema(*, rows: int, absent: int, **_: int) -> float:
    """1 when not one row carries the column, else 0.

    Raises:
        NoData: there is no row.

    >>> schema(rows=10, absent=10), schema(rows=10, absent=9)
    (1.0, 0.0)
    """
    if rows == 0:
        raise NoData("no rows")
    return float(absent == rows)


STATISTIC = Statistic(
    name="schema",
    family="quality",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="boolean",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=schema,
    default_threshold=0.5,
)
