"""Shares of rows: what the statistics on counts start from."""

from __future__ import annotations

from typing import Any

import numpy as np

from monitor.records import FloatArray, IntArray, NoData

FLOOR = 1e-4  # the share an empty bin is given where a logarithm is taken; the recording rules floor at the same


def row_totals(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> tuple[Any, Any]:
    """Rows of both sides, shape (..., 1).

    Raises:
        NoData: one of them has none.
    """
    totals = reference.sum(axis=-1, keepdims=True), current.sum(axis=-1, keepdims=True)
    if not all(np.all(total > 0) for total in totals):
        raise NoData("no rows to compare")
    return totals


def shares(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
    """The share of rows in each bin, of both sides; shape (..., k).

    Raises:
        NoData: one of them has no rows.
    """
    of_reference, of_current = row_totals(reference, current)
    return reference / of_reference, current / of_current


def floored_shares(reference: FloatArray | IntArray, current: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
    """As `shares`, each at least `FLOOR` and not scaled again, so that an empty bin counts and does not explode."""
    p, q = shares(reference, current)
    return np.maximum(p, FLOOR), np.maximum(q, FLOOR)


def over(numerator: Any, denominator: Any) -> FloatArray:
    """The quotient, and 0 where there is nothing to divide by; both are broadcast."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    quotient: FloatArray = np.divide(numerator, denominator, out=np.zeros(shape), where=denominator > 0)
    return quotient


def plain(scores: FloatArray) -> float | FloatArray:
    """A float where there is one score, else the array of them."""
    return float(scores) if np.ndim(scores) == 0 else scores
