"""Tails: how often unchanged data would score as much. All are accurate in relative terms, far out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.calibrate.special import beta_distribution, kolmogorov_survival, normal_tail
from monitor.records import FloatArray

FEW = 30
UPPER = 0.1  # the share of the draws that a tail is fitted to


def weighted_chi_square_tail(weights: FloatArray, freedom: FloatArray, value: FloatArray) -> FloatArray:
    """P(Σ λᵢ χ²₁ > x · χ²_ν / ν), by the saddlepoint approximation (Kuonen, Biometrika 86, 1999; Lugannani & Rice 1980).

    The denominator is there because the λ have been estimated: with all λ equal it is Fisher's F distribution, with ν → ∞ a
    sum of chi-squares. The event is that a weighted sum with one negative weight, −x/ν on ν degrees, is above 0.

    Args:
        weights: λ, shape (..., k), at least 0; zeros are padding.
        freedom: ν, the degrees of freedom of the estimate, shape (...).
        value: x, shape (...).

    Returns:
        The probability, shape (...); 1 where x or all weights are 0.

    >>> p = weighted_chi_square_tail(np.ones(2), np.array(1e9), np.array(20.0))
    >>> round(float(p) * 1e5, 1)  # a chi-square with two degrees of freedom is exponential: exp(-10) = 4.5e-5
    4.7
    """
    weights, freedom, value = np.broadcast_arrays(weights, np.asarray(freedom)[..., None], np.asarray(value)[..., None])
    freedom, value = freedom[..., 0].astype(np.float64), value[..., 0].astype(np.float64)
    largest = weights.max(axis=-1)
    told = (largest > 0) & (value > 1e-9 * largest)  # below that, all there is lies above
    # In units of the largest weight nothing overflows.
    scale = np.where(largest > 0, largest, 1.0)
    x = np.where(told, value / scale, 1.0)
    found = _saddlepoint(np.where(told[..., None], weights / scale[..., None], 1.0), freedom, x)
    tail: FloatArray = np.where(told, found, 1.0)
    return tail


def _saddlepoint(weights: FloatArray, freedom: FloatArray, x: FloatArray) -> FloatArray:
    per = x / freedom

    above = x > weights.sum(axis=-1)
    # 1 - ulp keeps both logarithms finite at the ends of the range.
    low = np.where(above, 0.0, -0.5 / per * (1 - 1e-12))
    high = np.where(above, 0.5 * (1 - 1e-12), 0.0)
    width = high - low
    t = (low + high) / 2
    for _ in range(60):  # Newton's method, kept within a bracket
        pulled, pushed = weights / (1 - 2 * weights * t[..., None]), x / (1 + 2 * per * t)
        slope = pulled.sum(axis=-1) - pushed
        low, high = np.where(slope < 0, t, low), np.where(slope < 0, high, t)
        moved = t - slope / (2 * (pulled**2).sum(axis=-1) + 2 * pushed**2 / freedom)
        moved = np.where((moved > low) & (moved < high), moved, (low + high) / 2)
        settled = np.abs(moved - t) <= 1e-13 * width
        t = moved
        if settled.all():
            break
    exponent = -0.5 * np.log1p(-2 * weights * t[..., None]).sum(axis=-1) - freedom / 2 * np.log1p(2 * per * t)
    curvature = (2 * (weights / (1 - 2 * weights * t[..., None])) ** 2).sum(axis=-1)
    curvature = curvature + 2 * x * per / (1 + 2 * per * t) ** 2
    w = np.sign(t) * np.sqrt(np.maximum(-2 * exponent, 0.0))
    v = t * np.sqrt(curvature)
    # At the mean the formula is 0/0; there the tail is near one half, and nobody is alerted.
    middling = (np.abs(w) < 1e-4) | (np.abs(v) < 1e-4)
    w, v = np.where(middling, 1.0, w), np.where(middling, 1.0, v)
    tail: FloatArray = np.where(middling, 0.5, np.clip(normal_tail(w + np.log(v / w) / w), 0.0, 1.0))
    return tail


def weighted_chi_square_critical(weights: FloatArray, freedom: FloatArray, level: FloatArray) -> FloatArray:
    """The inverse of `weighted_chi_square_tail`: the x that is exceeded with the chance asked for.

    Args:
        weights: λ, shape (f, k), in each row at least one above 0.
        freedom: ν, shape (f,).
        level: the chance, below a half, shape (f,).

    >>> round(float(weighted_chi_square_critical(np.ones((1, 2)), np.array([1e9]), np.array([4.54e-5]))[0]))
    20
    """
    return _inverse(lambda x: weighted_chi_square_tail(weights, freedom, x), weights.sum(axis=-1), level)


def contrast_tail(value: FloatArray, freedom: FloatArray) -> FloatArray:
    """P(χ²₁ > x · χ²_ν / ν), the tail of Fisher's F with 1 and ν degrees of freedom: a contrast whose inflation is estimated.

    Args:
        value: x, a contrast over its inflation, shape (...); NaN where there is none.
        freedom: ν, shape (...).

    Returns:
        Shape (...); 1 where there is no contrast.

    >>> round(float(contrast_tail(np.array(3.8415), np.array(1e5))), 4)
    0.05
    """
    there = np.nan_to_num(value)
    tail: FloatArray = beta_distribution(freedom / 2, 0.5, freedom / (freedom + there))
    return np.where(np.isnan(value), 1.0, tail)


def contrast_critical(freedom: FloatArray, level: FloatArray) -> FloatArray:
    """The inverse of `contrast_tail`, for a chance below 0.3; shapes (f,)."""
    return _inverse(lambda x: contrast_tail(x, freedom), np.ones_like(level), level)


def _inverse(tail: Callable[[FloatArray], FloatArray], start: FloatArray, level: FloatArray) -> FloatArray:
    """Where a falling tail crosses a level, from `start`, where it is above it."""
    goal = np.log(level)
    # log p is nearly linear in the value, so that few steps lead there.
    return crossing(lambda x: np.log(np.maximum(tail(x), 1e-300)) - goal, start)


def crossing(falling: Callable[[FloatArray], FloatArray], start: FloatArray) -> FloatArray:
    """Where falling functions cross 0, by the Illinois variant of the secant (Dowell & Jarratt, BIT 11, 1971).

    Args:
        falling: of an array, elementwise.
        start: above 0, where each is still above 0.

    Returns:
        The places, to 1e-6 in the function's value; the shape of `start`.

    >>> crossing(lambda x: 2 - x**2, np.array([1.0])).round(3).tolist()
    [1.414]
    """
    low, high = start, 2 * start
    f_low, f_high = falling(low), falling(high)
    for _ in range(200):
        still = f_high > 0
        if not still.any():
            break
        low, f_low = np.where(still, high, low), np.where(still, f_high, f_low)
        high = np.where(still, high * 2, high)
        f_high = np.where(still, falling(high), f_high)
    middle = high
    for _ in range(60):
        middle = np.clip(high - f_high * (high - low) / np.where(f_high != f_low, f_high - f_low, -1.0), low, high)
        f_middle = falling(middle)
        if np.all((np.abs(f_middle) < 1e-6) | (high - low <= 1e-12 * high)):
            break
        above = f_middle > 0
        # No end of the bracket stays for ever.
        f_high = np.where(above, f_high * 0.5, f_middle)
        f_low = np.where(above, f_middle, f_low * 0.5)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return middle


def kolmogorov_tail(score: Any, freedom: Any) -> FloatArray:
    """P(K > x · √(χ²_ν / ν)) with K Kolmogorov's distribution: its tail, where the variance has been estimated.

    Args:
        score: x = D √(n N / (n + N)) / √inflation, shape (...).
        freedom: ν, shape (...).

    >>> round(float(kolmogorov_tail(1.358, 1e9)), 3)
    0.05
    """
    score, freedom = np.asarray(score, dtype=np.float64), np.asarray(freedom, dtype=np.float64)
    # The first term of the series, 2 exp(-2x²), averaged over the chi-square; the series itself where ν is large.
    averaged = np.exp(-freedom / 2 * np.log1p(4 * score**2 / freedom))
    near = np.minimum(score, 15.0)
    tail: FloatArray = np.clip(kolmogorov_survival(near) / np.exp(-2 * near**2) * averaged, 0.0, 1.0)
    return tail


def kolmogorov_critical(freedom: float, level: float) -> float:
    """The inverse of `kolmogorov_tail`, for a chance below 0.9.

    >>> round(kolmogorov_critical(1e9, 0.05), 3)
    1.358
    """
    found = _inverse(lambda x: kolmogorov_tail(x, freedom), np.array([0.5]), np.array([level]))
    return float(found[0])


@dataclass(frozen=True, slots=True)
class ExponentialTail:
    """P(T > x) from resampled T: counted in the body, and beyond the upper tenth by an exponential fitted to what exceeds it.

    The exponential suits squares of what is nearly normal, whose tails fall at least as fast. It is averaged over a χ²_ν / ν
    for the uncertainty of the blocks that were resampled, and its mean is taken two standard errors larger. Of few blocks
    there are few different draws, and their upper tenth is hardly a tail: then the mean is at least that of all draws.

    Attributes:
        draws: T of the resamplings, rising, shape (r,).
        start: where the upper tenth begins.
        mean: by how much T exceeds it in the mean, with the margin.
        freedom: ν, blocks resampled, less one.
    """

    draws: FloatArray
    start: float
    mean: float
    freedom: float

    @classmethod
    def fit(cls, draws: FloatArray, freedom: float) -> ExponentialTail:
        """The tail of these draws.

        >>> draws = np.random.default_rng(1).exponential(size=2000)
        >>> 1e-5 < ExponentialTail.fit(draws, 1e9).p_value(10.0) < 4e-4  # exp(-10) = 4.5e-5
        True
        """
        ordered = np.sort(draws)
        start = float(ordered[int((1 - UPPER) * len(ordered))])
        beyond = ordered[ordered > start] - start
        different = len(np.unique(beyond))
        mean = float(beyond.mean()) * (1 + 2 / math.sqrt(different)) if different else 0.0
        if different < FEW:
            mean = max(mean, float(ordered.mean()))
        return cls(ordered, start, mean, freedom)

    def p_value(self, value: float) -> float:
        """P(T > value), never 0."""
        if value <= self.start:
            return float(
                (len(self.draws) - np.searchsorted(self.draws, value, side="left") + 1) / (len(self.draws) + 1)
            )
        if self.mean == 0:
            return 1 / (len(self.draws) + 1)
        return UPPER * math.exp(-self.freedom / 2 * math.log1p(2 * (value - self.start) / self.mean / self.freedom))

    def value(self, p_value: float) -> float:
        """The inverse: what T exceeds with a chance below the upper tenth."""
        return self.start + self.mean * self.freedom / 2 * math.expm1(-2 / self.freedom * math.log(p_value / UPPER))
