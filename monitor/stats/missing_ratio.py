"""The share of rows in which a feature is missing."""

from __future__ import annotations

from monitor.records import Direction, NoData, Statistic


def missing_ratio(*, rows: int, missing: int, **_: int) -> float:
    """Share of rows without a value (null, NaN or not sent at all), between 0 and 1; 0 is perfect.

    Raises:
        NoData: there is no row.

    >>> missing_ratio(rows=200, missing=10)
    0.05
    """
    if rows == 0:
        raise NoData("no rows")
    return missing / rows


STATISTIC = Statistic(
    name="missing_ratio",
    family="quality",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=missing_ratio,
    default_threshold=0.05,
)
