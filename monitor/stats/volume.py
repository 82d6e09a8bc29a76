"""The rows of a window beside those that are usual at its time."""

from __future__ import annotations

import math

from monitor.records import Direction, NoData, Statistic


def volume(*, rows: int, usual: float = 0.0, **_: float) -> float:
    """Rows for each one that is usual: 1 is as ever, 0 is silence, 2 is twice as many.

    Too few are what it declares to be worse; too many are judged as well, the other way round.

    Raises:
        NoData: none are usual.

    >>> volume(rows=18, usual=24.0)
    0.75
    """
    if not 0 < usual < math.inf:
        raise NoData("no rows are usual at this time")
    return rows / usual


STATISTIC = Statistic(
    name="volume",
    family="quality",
    applies_to=frozenset({"model"}),
    unit="ratio",
    low=0.0,
    high=math.inf,
    worse=Direction.LOWER_IS_WORSE,
    compute=volume,
    default_threshold=0.5,
)
