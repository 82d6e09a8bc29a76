"""How long ago the newest prediction was made."""

from __future__ import annotations

import math

from monitor.records import Direction, NoData, Statistic


def staleness(*, now: float = math.nan, newest: float = math.nan, **_: float) -> float:
    """Seconds from the newest prediction to an instant; 0 where it is not before that.

    Args:
        now: the instant, in Unix seconds.
        newest: event time of the newest prediction, in Unix seconds.

    Raises:
        NoData: there is no prediction.

    >>> staleness(now=1_300_003_600.0, newest=1_300_000_000.0)
    3600.0
    """
    if math.isnan(now) or math.isnan(newest):
        raise NoData("no predictions")
    return max(float(now - newest), 0.0)


STATISTIC = Statistic(
    name="staleness",
    family="quality",
    applies_to=frozenset({"model"}),
    unit="seconds",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=staleness,
    default_threshold=3600.0,
)
