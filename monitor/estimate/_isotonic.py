"""Isotonic regression of labels on scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.records import FloatArray, IntArray
from monitor.stats._outcomes import BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Isotonic:
    """A curve that never falls: straight between its points, level beyond the outer ones.

    Attributes:
        scores: where its points stand, rising, shape (k,).
        shares: its heights there, shape (k,).
    """

    scores: FloatArray
    shares: FloatArray

    def __call__(self, score: FloatArray) -> FloatArray:
        """The share of positive labels that belongs to each score, shape (n,)."""
        return np.interp(score, self.scores, self.shares)


def isotonic(score: FloatArray, label: BoolArray) -> Isotonic:
    """The rising curve of least squares through the labels, by pooling adjacent violators.

    Rows of one score count as one point. Equal to scikit-learn's `IsotonicRegression(out_of_bounds="clip")`, which is not part
    of every installation. Source: Ayer, Brunk, Ewing, Reid and Silverman, Annals of Mathematical Statistics 26 (1955); as a
    calibration of scores Zadrozny and Elkan, KDD 2002.

    Args:
        score: shape (n,), finite, at least one.
        label: whether the row is positive, shape (n,).

    >>> isotonic(np.array([0.1, 0.2, 0.3, 0.9]), np.array([False, True, False, True])).shares
    array([0. , 0.5, 0.5, 1. ])
    """
    places, group = np.unique(score, return_inverse=True)
    positives = np.bincount(group, weights=label).astype(np.float64)
    shares = _rising(positives, np.bincount(group).astype(np.float64))
    kept = np.ones(len(places), dtype=bool)
    kept[1:-1] = (shares[1:-1] != shares[:-2]) | (shares[1:-1] != shares[2:])
    return Isotonic(places[kept], shares[kept])


def _rising(sums: FloatArray, weights: FloatArray) -> FloatArray:
    """The mean of each point's block, once no block's mean lies above the next one's."""
    points, starts = len(sums), np.arange(len(sums))
    joined = points
    while joined:
        # Two neighbours of which the first is not below the second share a block in the end: whole falling runs join at once.
        first = np.flatnonzero(np.append(True, sums[1:] * weights[:-1] > sums[:-1] * weights[1:]))
        joined = len(sums) - len(first)
        sums, weights, starts = np.add.reduceat(sums, first), np.add.reduceat(weights, first), starts[first]
        if joined < len(sums) / 10:  # few are left, and each round may bring out only one more
            sums, weights, starts = _one_by_one(sums, weights, starts)
            joined = 0
    return np.repeat(sums / weights, np.diff(np.append(starts, points)))


def _one_by_one(sums: FloatArray, weights: FloatArray, starts: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    blocks: list[tuple[float, float, int]] = []
    for total, weight, start in zip(sums.tolist(), weights.tolist(), starts.tolist(), strict=True):
        block = (total, weight, start)
        while blocks and blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2])
        blocks.append(block)
    return (
        np.array([block[0] for block in blocks]),
        np.array([block[1] for block in blocks]),
        np.array([block[2] for block in blocks], dtype=np.int64),
    )
