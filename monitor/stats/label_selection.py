"""How much more of some segments has a label than of others."""

from __future__ import annotations

from monitor.records import Direction, Statistic
from monitor.stats._gaps import Shares


def label_selection(shares: Shares) -> float:
    """The coverage of the segment that labels cover best, less that of the one they cover worst; between 0 and 1, 0 is perfect.

    Where it is large, what is measured on labelled rows need not hold for the others.

    Args:
        shares: labelled rows of each segment, and all of its rows.

    >>> import numpy as np
    >>> label_selection(Shares(("easy", "hard"), np.array([90.0, 10.0]), np.array([100.0, 100.0])))
    0.8
    """
    return shares.gap


STATISTIC = Statistic(
    name="label_selection",
    family="labels",
    applies_to=frozenset({"binary", "multiclass", "regression", "ranking"}),
    unit="ratio",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=label_selection,
    default_threshold=0.2,
)
