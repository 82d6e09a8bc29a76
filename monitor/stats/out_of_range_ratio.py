"""The share of values that lie outside of what is plausible for a feature."""

from __future__ import annotations

from monitor.records import Direction, NoData, Statistic


def out_of_range_ratio(*, rows: int, missing: int = 0, unseen: int = 0, outside: int = 0, **_: int) -> float:
    """Share of the rows with a number whose number is out of range; between 0 and 1.

    Rows without a value, or whose value is no number, count on neither side: other statistics tell of them.

    Raises:
        NoData: no row holds a number.

    >>> out_of_range_ratio(rows=210, missing=6, unseen=4, outside=5)
    0.025
    """
    numbers = rows - missing - unseen
    if numbers <= 0:
        raise NoData("no numbers" if rows else "no rows")
    return outside / numbers


STATISTIC = Statistic(
    name="out_of_range_ratio",
    family="quality",
    applies_to=frozenset({"numeric"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=out_of_range_ratio,
    default_threshold=0.01,
)
