"""The Anderson–Darling statistic, as an effect."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from monitor.records import Direction, FloatArray, Histogram, Statistic
from monitor.stats._ecdf import running
from monitor.stats._shares import over, plain
from monitor.stats._values import merged, ordered


def anderson_darling(reference: Histogram, current: Histogram) -> float | FloatArray:
    """Anderson–Darling effect of two histograms on the same bins.

    `∫ (F − G)² / (H (1 − H)) dH`, with H the distribution function of both sides together: as Cramér–von Mises, with more
    weight on the tails. Rows that share one value or bin lie at the middle of their ranks. It doesn't grow with the number
    of rows; the classical two-sample statistic for tied data, A²ₐ, is N n (N + n − 1) / (N + n)² times it. Source: Scholz &
    Stephens, J. Amer. Statist. Assoc. 82 (1987), eq. 7.

    The default floor, 0.02, is what a normal column scores when it is shifted by 0.2 σ.

    Args:
        reference: counts of shape (..., k).
        current: counts of shape (..., k).

    Returns:
        The effect; of leading axes, an array of them.

    Raises:
        NoData: either has no values.

    >>> bins = {"means": np.array([0.5, 1.5]), "widths": np.ones(2), "spread": 0.5}
    >>> round(anderson_darling(Histogram(np.array([4, 0]), **bins), Histogram(np.array([2, 2]), **bins)), 4)
    1.3333
    """
    return plain(_effect(*running(reference.counts, current.counts)))


def exact(reference: FloatArray, current: FloatArray) -> float:
    """Anderson–Darling effect of two columns of values.

    NaN is left out. An infinity is a value like others, beyond all of them: only the order counts.

    Args:
        reference: shape (N,).
        current: shape (n,).

    Raises:
        NoData: either has no values.

    >>> round(exact(np.array([1.0, 2.0]), np.array([3.0, 4.0, np.nan])), 4)
    2.303
    """
    sides = ordered(reference), ordered(current)
    rows = [len(side) for side in sides]
    return float(sum(_effect(upto, others_upto, *rows) for _, upto, others_upto in merged(*sides)))


def _effect(reference: Any, current: Any, reference_rows: Any, current_rows: Any) -> FloatArray:
    """The part of the integral over a stretch of values, from the running counts of rows, shape (..., k + 1)."""
    gaps = reference / reference_rows - current / current_rows
    gaps = (gaps[..., :-1] + gaps[..., 1:]) / 2
    h = (reference + current) / (reference_rows + current_rows)
    shares, below, above = np.diff(h, axis=-1), h[..., :-1], 1 - h[..., 1:]
    # H (1 − H) at the middle rank, less a quarter of the share that is tied there.
    weights = below * above + shares * (1 - shares) / 4
    part: FloatArray = np.sum(over(np.square(gaps) * shares, weights), axis=-1)
    return part


STATISTIC = Statistic(
    name="anderson_darling",
    family="drift",
    applies_to=frozenset({"numeric"}),
    unit="effect",
    low=0.0,
    high=math.inf,
    worse=Direction.HIGHER_IS_WORSE,
    compute=anderson_darling,
    default_material=0.02,
    needs="histogram",
    exact=exact,
)
