"""The population stability index."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import floored_shares, plain


def psi(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """Population stability index of two count vectors on the same bins.

    `Σ (qᵢ − pᵢ) ln(qᵢ / pᵢ)`, with p the reference's shares and q the current ones, each floored at 1e-4 and not scaled
    again, so that an empty bin counts and does not explode. Symmetric; 0 for equal shares; in nats. Source: Siddiqi,
    Credit Risk Scorecards (2006); the floor is ours and stands in the recording rules alike.

    Args:
        reference: rows per bin, shape (..., k).
        current: rows per bin, shape (..., k).

    Returns:
        The index; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> round(psi(np.array([50, 50]), np.array([75, 25])), 4)
    0.2747
    """
    p, q = floored_shares(reference, current)
    return plain(np.sum((q - p) * np.log(q / p), axis=-1))


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
    default_material=0.1,
    null="g_test",
    per_chi_square=1.0,
)
