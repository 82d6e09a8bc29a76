"""The share of predictions that have a label."""

from __future__ import annotations

from monitor.records import Direction, NoData, Statistic


def label_coverage(labelled: int, rows: int) -> float:
    """Predictions that have a label over all predictions, between 0 and 1; 1 is perfect.

    Raises:
        NoData: there is no prediction.

    >>> label_coverage(150, 200)
    0.75
    """
    if rows == 0:
        raise NoData("no rows")
    return min(labelled / rows, 1.0)


STATISTIC = Statistic(
    name="label_coverage",
    family="labels",
    applies_to=frozenset({"binary", "multiclass", "regression", "ranking"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.LOWER_IS_WORSE,
    compute=label_coverage,
    default_threshold=0.5,
)
