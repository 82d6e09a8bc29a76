"""The share of rows with a value that the reference does not know."""

from __future__ import annotations

from monitor.records import Direction, NoData, Statistic


def unseen_ratio(*, rows: int, unseen: int, **_: int) -> float:
    """Share of rows with a category the reference never had, or no number in a numeric feature; between 0 and 1.

    Raises:
        NoData: there is no row.

    >>> unseen_ratio(rows=200, unseen=4)
    0.02
    """
    if rows == 0:
        raise NoData("no rows")
    return unseen / rows


STATISTIC = Statistic(
    name="unseen_ratio",
    family="quality",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=unseen_ratio,
    default_threshold=0.01,
)
