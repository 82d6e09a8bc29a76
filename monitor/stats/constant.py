"""Whether a feature holds one and the same value in all rows."""

from __future__ import annotations

from monitor.records import Direction, NoData, Statistic


def constant(*, rows: int, missing: int = 0, values: int = 0, **_: int) -> float:
    """1 where all rows with a value hold the same one, else 0.

    Args:
        rows: all rows.
        missing: those without a value.
        values: how many different values there are; it is enough to tell one from more.

    Raises:
        NoData: no row holds a value.

    >>> constant(rows=168, missing=2, values=1), constant(rows=168, values=2)
    (1.0, 0.0)
    """
    if rows - missing <= 0:
        raise NoData("no values" if rows else "no rows")
    return float(values == 1)


STATISTIC = Statistic(
    name="constant",
    family="quality",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="boolean",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=constant,
    default_threshold=0.5,
)
