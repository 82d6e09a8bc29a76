"""The population stability index."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, IntArray, NoData, Statistic

FLOOR = 1e-4


def psi(reference: IntArray, current: IntArray) -> float:
    """Population stability index of two count vectors on the same bins.

    `Σ (qᵢ − pᵢ) ln(qᵢ / pᵢ)`, with p the reference's shares and q the current ones, each floored at 1e-4 and not scaled
    again, so that an empty bin counts and does not explode. Symmetric; 0 for equal shares; in nats. Source: Siddiqi,
    Credit Risk Scorecards (2006); the floor is ours and stands in the recording rules alike.

    Args:
        reference: rows per bin, shape (k,).
        current: rows per bin, shape (k,).

    Raises:
        NoData: either has no rows.

    >>> round(psi(np.array([50, 50]), np.array([75, 25])), 4)
    0.2747
    """
    if reference.sum() == 0 or current.sum() == 0:
        raise NoData("no rows to compare")
    p = np.maximum(reference / reference.sum(), FLOOR)
    q = np.maximum(current / current.sum(), FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


STATISTIC = Statistic(
    name="psi",
    family="drift",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="nats",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=psi,
    default_threshold=0.2,
)
