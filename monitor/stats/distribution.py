"""How far what is served lies from what the model was trained on."""

from __future__ import annotations

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, Statistic
from monitor.stats._shares import plain, shares


def distribution(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> float | FloatArray:
    """The share of rows that would have to change bins for serving to look like training, from 0 to 1.

    `½ Σ |qᵢ − pᵢ|` with p the shares of the training rows and q those served; missing and unseen rows have bins of their own.
    That is the total variation distance: what the two have not in common, `1 − Σ min(pᵢ, qᵢ)` (Levin, Peres & Wilmer, Markov
    Chains and Mixing Times, ch. 4).

    Args:
        reference: rows per bin, shape (..., k).
        current: rows per bin, shape (..., k).

    Returns:
        The share; of leading axes, an array of them.

    Raises:
        NoData: either has no rows.

    >>> distribution(np.array([50, 50]), np.array([75, 25]))
    0.25
    """
    p, q = shares(reference, current)
    return plain(np.minimum(np.sum(np.abs(q - p), axis=-1) / 2, 1.0))


STATISTIC = Statistic(
    name="distribution",
    family="skew",
    applies_to=frozenset({"numeric", "categorical"}),
    unit="share of rows",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=distribution,
    default_material=0.1,
    null="g_test",
    rate=0.5,
)
