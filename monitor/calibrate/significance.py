"""The significance of a difference between two vectors of counts: the G-test, and contrasts with one degree of freedom."""

from __future__ import annotations

import numpy as np

from monitor.calibrate.special import beta_distribution, normal_quantile
from monitor.records import FloatArray, IntArray

Counts = FloatArray | IntArray


def g_statistic(reference: Counts, current: Counts) -> FloatArray:
    """The G-test of homogeneity of two count vectors, with Williams' correction (Biometrika 63, 1976).

    Args:
        reference: rows per group, shape (..., k).
        current: rows per group, shape (..., k).

    Returns:
        G / q, shape (...): about χ² with (groups that hold rows) − 1 degrees of freedom where nothing has changed and rows are
        independent; 0 where either has no rows.

    >>> round(float(g_statistic(np.array([50, 50]), np.array([75, 25]))), 2)
    13.42
    """
    reference, current = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    both = reference + current
    n_reference, n_current = reference.sum(axis=-1), current.sum(axis=-1)
    total = n_reference + n_current
    known = (n_reference > 0) & (n_current > 0)
    ratio = np.where(known, n_current / np.where(total > 0, total, 1.0), 0.5)[..., None]
    statistic = 2 * (_deviance(reference, both * (1 - ratio)) + _deviance(current, both * ratio))
    held = both > 0
    inverse = np.where(held, 1 / np.where(held, both, 1.0), 0.0).sum(axis=-1)
    safe = np.where(known, total, 1.0)
    sides = safe * (1 / np.where(known, n_reference, 1.0) + 1 / np.where(known, n_current, 1.0)) - 1
    freedom = np.maximum(held.sum(axis=-1) - 1, 1)
    correction = 1 + np.maximum(sides * (safe * inverse - 1), 0.0) / (6 * safe * freedom)
    corrected: FloatArray = np.where(known, statistic / correction, 0.0)
    return corrected


def _deviance(observed: FloatArray, expected: FloatArray) -> FloatArray:
    held = observed > 0
    ratio = np.where(held, observed, 1.0) / np.where(held & (expected > 0), expected, 1.0)
    total: FloatArray = np.where(held, observed * np.log(ratio), 0.0).sum(axis=-1)
    return total


def contrast_scores(reference: Counts) -> FloatArray:
    """Two contrasts on the groups of a numeric column: its level and its spread.

    The level has normal scores of the reference's mid-ranks (van der Waerden), so that it sees a shift in one direction nearly
    as well as a test of means does; the spread has their squares. Missing and unseen rows, the last two places, score
    as the average row does, and so say nothing.

    Args:
        reference: rows per group, shape (k + 2,).

    Returns:
        The scores, shape (2, k + 2).
    """
    counts = np.asarray(reference, dtype=np.float64)[:-2]
    shares = counts / max(counts.sum(), 1.0)
    middle = np.clip(np.cumsum(shares) - shares / 2, 1e-6, 1 - 1e-6)
    level = normal_quantile(middle)
    level = level - shares @ level
    spread = level**2 - shares @ level**2
    return np.stack([np.append(level, [0.0, 0.0]), np.append(spread, [0.0, 0.0])])


def contrast_statistic(
    reference: Counts, current: Counts, scores: FloatArray, level: FloatArray | None = None
) -> FloatArray:
    """The squared difference of the mean scores over its variance for independent rows: about χ²₁ where nothing has changed.

    Args:
        reference: rows per group, shape (..., k).
        current: rows per group, shape (..., k).
        scores: a score for every group, shape (..., k).
        level: where the scores are squares of these, the square of how far their mean has moved is taken off: a spread is
            one about the window's own level, and windows that differ in level alone do not differ in spread.

    Returns:
        Shape (...); 0 where all rows score the same or either side has none.
    """
    reference, current = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    n_reference, n_current = reference.sum(axis=-1), current.sum(axis=-1)
    known = (n_reference > 0) & (n_current > 0)
    n_reference, n_current = np.where(known, n_reference, 1.0), np.where(known, n_current, 1.0)
    pooled = (reference + current) / (n_reference + n_current)[..., None]
    mean = (pooled * scores).sum(axis=-1, keepdims=True)
    variance = (pooled * (scores - mean) ** 2).sum(axis=-1)
    shares = current / n_current[..., None] - reference / n_reference[..., None]
    difference = (shares * scores).sum(axis=-1)
    if level is not None:
        difference = difference - (shares * level).sum(axis=-1) ** 2
    told = known & (variance > 1e-12)
    error = np.where(told, variance, 1.0) * (1 / n_current + 1 / n_reference)
    squared: FloatArray = np.where(told, difference**2 / error, 0.0)
    return squared


def share_p_value(
    reference: FloatArray, current: FloatArray, n_reference: FloatArray, n_current: FloatArray, inflation: FloatArray
) -> FloatArray:
    """Whether one kind of rows, such as those missing, has become more or less frequent: the exact conditional test.

    Given how many there are on both sides together, those in the window are binomial, however rare they are (Przyborowski &
    Wilenski, Biometrika 31, 1940). Where they come in clusters, there are that many fewer independent ones: counts are divided
    by the inflation of their variance, and the incomplete beta function takes fractions.

    Args:
        reference: rows of that kind in the reference, shape (...).
        current: in the window, shape (...).
        n_reference: all rows of the reference, shape (...).
        n_current: of the window, shape (...).
        inflation: of the variance, at least 1, shape (...).

    Returns:
        Twice the smaller tail, shape (...); 1 where there are none on either side.

    >>> none = np.array(0.0)
    >>> p = share_p_value(none, np.array(3.0), np.array(9900.0), np.array(100.0), np.array(1.0))
    >>> round(float(p) / (2 * 0.01**3), 6)
    1.0
    """
    p: FloatArray = np.ones(np.shape(current + reference))
    told = (reference + current > 0) & (n_reference > 0) & (n_current > 0)
    if told.any():
        wide = np.broadcast_arrays(current / inflation, reference / inflation, n_current / (n_current + n_reference))
        held, others, chance = (each[told] for each in wide)
        here, there = held > 0, others > 0
        more = np.where(here, beta_distribution(np.where(here, held, 1.0), others + 1, chance), 1.0)
        fewer = np.where(there, beta_distribution(np.where(there, others, 1.0), held + 1, 1 - chance), 1.0)
        p[told] = np.minimum(2 * np.minimum(more, fewer), 1.0)
    return p


def parts_of_level(contrasts: FloatArray) -> FloatArray:
    """How a significance level is divided over the G-test, the contrasts, and the rows missing and unseen; rows add up to 1.

    A shift is what is to be seen first, so most goes to the level. The tests of the rows missing and unseen get little: their
    exact p-values fall by orders of magnitude with each further row.

    Args:
        contrasts: level and spread, shape (f, c), c 0 or 2; NaN where a column has none.

    Returns:
        Shape (f, 1 + c + 2).
    """
    held = ~np.isnan(contrasts) * np.array([0.7, 0.07])[: contrasts.shape[1]]
    others = np.full((len(contrasts), 2), 0.05)
    return np.concatenate([0.9 - held.sum(axis=1, keepdims=True), held, others], axis=1)
