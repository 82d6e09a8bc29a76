"""The moments of a column: where its values lie, how far they spread, how lopsided they are, how heavy their tails."""

from __future__ import annotations

import math

import numpy as np

from monitor.records import FloatArray

CONSTANT = 1e-14  # a spread below so much of the values' size is rounding, and has no shape


def moments(values: FloatArray) -> dict[str, float]:
    """The first four moments of the finite values; what is not defined, or beyond any float, is left out.

    `mean`; `spread`, the standard deviation (divided by n); `skewness`, m₃ / m₂^1.5; `kurtosis`, m₄ / m₂² − 3, which is 0 for
    a normal distribution: the biased ("population") definitions, as `scipy.stats.skew` and `kurtosis` have them by default.

    Args:
        values: shape (n,), NaN where missing.

    >>> found = moments(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> found["mean"], round(found["spread"], 3), found["skewness"], round(found["kurtosis"], 2)
    (2.5, 1.118, 0.0, -1.36)
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {}
    # In units of the largest value nothing overflows.
    scale = float(np.abs(finite).max()) or 1.0
    away = finite / scale
    mean = float(away.mean())
    away = away - mean
    spread = math.sqrt(float((away * away).mean()))
    found = {"mean": mean * scale, "spread": spread * scale if spread > CONSTANT else 0.0}
    if spread > CONSTANT:
        away = away / spread
        found["skewness"], found["kurtosis"] = float((away**3).mean()), float((away**4).mean()) - 3.0
    return {name: value for name, value in found.items() if math.isfinite(value)}


def moments_of_both(reference: FloatArray, current: FloatArray) -> dict[str, float]:
    """The moments of both sides by name: `reference mean`, `current mean`, ...

    Args:
        reference: shape (N,), NaN where missing.
        current: shape (n,), likewise.
    """
    sides = {"reference": reference, "current": current}
    return {f"{side} {name}": value for side, values in sides.items() for name, value in moments(values).items()}
