"""Two columns of values in order: what the exact forms of the statistics start from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monitor.records import FloatArray, IntArray, NoData

BLOCK = 16_384  # so many rows at a time: what is made of them stays in the processor's cache


def ordered(values: FloatArray) -> FloatArray:
    """The values in rising order, without those that are NaN; shape (rows,).

    Raises:
        NoData: there is none.
    """
    rising: FloatArray = np.sort(np.asarray(values, dtype=np.float64))  # NaN comes last, and costs no time
    rising = rising[: np.searchsorted(rising, np.nan)]
    if not len(rising):
        raise NoData("no values to compare")
    return rising


def finite(rising: FloatArray) -> FloatArray:
    """The finite ones of values in rising order."""
    first, last = np.searchsorted(rising, -np.inf, side="right"), np.searchsorted(rising, np.inf, side="left")
    return rising[first:last]


def bounded(reference: FloatArray, current: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both sides, in rising order, with every infinity put at the smallest or the largest finite value of both.

    Raises:
        NoData: no value of the reference is finite.
    """
    inner = [side for side in (finite(reference), finite(current)) if len(side)]
    if not len(finite(reference)):
        raise NoData("no finite values in the reference")
    low, high = min(side[0] for side in inner), max(side[-1] for side in inner)
    first, second = (
        np.clip(side, low, high) if side[0] < low or side[-1] > high else side for side in (reference, current)
    )
    return first, second


def transport(reference: FloatArray, current: FloatArray) -> float:
    """Wasserstein's distance (of order 1) of two columns, finite and in rising order, of shapes (N,) and (n,).

    The mean of |F⁻¹(u) − G⁻¹(u)| over u from 0 to 1. In units of 1 / (N n) all the steps of both quantile functions are whole
    numbers that are known without looking at a value, so nothing needs to be merged but these.
    """
    rows, current_rows = len(reference), len(current)
    total = 0.0
    for first in range(0, rows, BLOCK):
        last = min(first + BLOCK, rows)
        start, stop = first * current_rows, last * current_rows
        own = np.arange(first + 1, last + 1) * current_rows
        other = np.arange(start // rows + 1, stop // rows + 1) * rows
        ends = np.concatenate([own, other])
        ends.sort(kind="stable")  # two runs, which a stable sort merges
        widths = np.diff(ends, prepend=start)
        ends -= 1
        apart = np.abs(reference[ends // current_rows] - current[ends // rows])
        total += float(np.sum(apart * widths))
    return total / (rows * current_rows)


def merged(reference: FloatArray, current: FloatArray) -> Iterator[tuple[FloatArray, IntArray, IntArray]]:
    """Two columns in rising order as one, block by block: its different values, and the rows of either side up to each.

    A block begins with the end of the one before it, the first one with its smallest value and no rows yet.
    """
    first = other_first = 0
    end = min(reference[0], current[0])
    while first < len(reference):
        last, other_last = len(reference), len(current)
        if first + BLOCK < len(reference):
            cut = reference[first + BLOCK - 1]
            last, other_last = (int(np.searchsorted(side, cut, side="right")) for side in (reference, current))
        both = np.concatenate([reference[first:last], current[other_first:other_last]])
        order = np.argsort(both, kind="stable")  # two runs, which a stable sort merges
        both = both[order]
        ends = np.flatnonzero(np.append(both[1:] != both[:-1], True))
        own = np.cumsum(order < last - first)[ends]
        values = np.append(end, both[ends])
        yield values, first + np.append(0, own), other_first + np.append(0, ends + 1 - own)
        first, other_first, end = last, other_last, values[-1]
