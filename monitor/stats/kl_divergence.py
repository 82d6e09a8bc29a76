"""The Kullback–Leibler divergence of the current distribution from the reference."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import floored_shares, plain


def kl_divergence(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """Kullback–Leibler divergence KL(current ‖ reference) of two count vectors on the same bins.

    `Σ qᵢ ln(qᵢ / pᵢ) − qᵢ + pᵢ`, with p the reference's shares and q the current ones, each floored at 1e-4 as for PSI. Where
    no share is floored, the two last terms add up to nothing; where one is, shares no longer add up to 1, and these terms
    keep every summand, and with it the divergence, from falling below 0. PSI is this and its reverse added up. Not
    symmetric; in nats. Source: Kullback & Leibler, Ann. Math. Statist. 22 (1951).

    Args:
        reference: rows per bin, shape (..., k).
        current: rows per bin, shape (..., k).

    Returns:
        The divergence; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> round(kl_divergence(np.array([50, 50]), np.array([75, 25])), 4)
    0.1308
    """
    p, q = floored_shares(reference, current)
    # A summand of nearly equal shares may be rounded to just below 0.
    return plain(np.sum(np.maximum(q * np.log(q / p) - (q - p), 0.0), axis=-1))


STATISTIC = Statistic(
    name="kl_divergence",
    family="drift",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="nats",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=kl_divergence,
    default_threshold=0.1,
    default_material=0.1,
    null="g_test",
    per_chi_square=0.5,
)
