"""The four special functions that the calibration needs.

They are SciPy's, which tests hold them to; `scipy.special` itself takes 27 MB, a quarter of what the resident daemon has.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from monitor.records import FloatArray

_erfc = np.frompyfunc(math.erfc, 1, 1)
_lgamma = np.frompyfunc(math.lgamma, 1, 1)
_inverse = np.frompyfunc(NormalDist().inv_cdf, 1, 1)
_TINY = 1e-300


def normal_tail(x: Any) -> FloatArray:
    """P(Z > x) of the standard normal distribution, accurate in relative terms far out; shape of `x`.

    >>> round(float(normal_tail(1.96)), 4)
    0.025
    """
    tail: FloatArray = 0.5 * np.asarray(_erfc(np.asarray(x, dtype=np.float64) / math.sqrt(2)), dtype=np.float64)
    return tail


def normal_quantile(p: Any) -> FloatArray:
    """The inverse of the standard normal distribution function, for p above 0 and below 1; shape of `p`.

    >>> round(float(normal_quantile(0.975)), 2)
    1.96
    """
    return np.asarray(_inverse(np.asarray(p, dtype=np.float64)), dtype=np.float64)


def kolmogorov_survival(x: Any) -> FloatArray:
    """P(K > x) of Kolmogorov's distribution; shape of `x`. Both of its series, each where it converges fast.

    >>> round(float(kolmogorov_survival(1.358)), 3)
    0.05
    """
    x = np.asarray(x, dtype=np.float64)
    orders = np.arange(1, 9)
    far, near = np.maximum(x, 0.5)[..., None], np.clip(x, 1e-3, 1.0)[..., None]
    tail = 2 * ((-1.0) ** (orders - 1) * np.exp(-2 * orders**2 * far**2)).sum(axis=-1)
    body = math.sqrt(2 * math.pi) / near[..., 0] * np.exp(-((2 * orders - 1) ** 2) * math.pi**2 / (8 * near**2)).sum(-1)
    survival: FloatArray = np.where(x < 0.7, 1 - body, tail)
    return np.clip(survival, 0.0, 1.0)


def beta_distribution(a: Any, b: Any, x: Any) -> FloatArray:
    """The regularised incomplete beta function I_x(a, b), for a, b > 0 and x in [0, 1]; the shapes are broadcast.

    By Lentz's continued fraction, on the side where it converges (Numerical Recipes, chapter 6.4; DLMF 8.17.22).

    >>> round(float(beta_distribution(3.0, 1.0, 0.1)), 6)
    0.001
    """
    a, b, x = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in (a, b, x)))
    flipped = x > (a + 1) / (a + b + 2)
    first, second, at = np.where(flipped, b, a), np.where(flipped, a, b), np.where(flipped, 1 - x, x)
    inside = (at > 0) & (at < 1)
    # Where the answer is known, nothing that would take long to converge.
    first, second, safe = np.where(inside, first, 1.0), np.where(inside, second, 1.0), np.where(inside, at, 0.5)
    log_beta = np.asarray(_lgamma(first), dtype=np.float64) + np.asarray(_lgamma(second), dtype=np.float64)
    log_beta = log_beta - np.asarray(_lgamma(first + second), dtype=np.float64)
    front = np.exp(np.maximum(first * np.log(safe) + second * np.log1p(-safe) - log_beta, -700.0)) / first
    found = np.where(inside, front * _fraction(first, second, safe), np.where(at >= 1, 1.0, 0.0))
    value: FloatArray = np.where(flipped, 1 - found, found)
    return np.clip(value, 0.0, 1.0)


def _fraction(a: FloatArray, b: FloatArray, x: FloatArray) -> FloatArray:
    c = np.ones_like(x)
    d = _inverted(1 - (a + b) * x / (a + 1))
    found = d.copy()
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = _inverted(1 + even * d), _away(1 + even / c)
        found = found * d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = _inverted(1 + odd * d), _away(1 + odd / c)
        step = d * c
        found = found * step
        if np.all(np.abs(step - 1) < 1e-14):
            break
    return found


def _away(value: FloatArray) -> FloatArray:
    return np.where(np.abs(value) < _TINY, _TINY, value)


def _inverted(value: FloatArray) -> FloatArray:
    return 1 / _away(value)
