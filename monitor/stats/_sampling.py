"""Which rows of a long reference are looked at: whole stretches of it, each as long as a window, and not a row here and there.

Only so can a stretch be compared with the window: rows picked evenly over weeks hide what one hour differs from the next by.
"""

from __future__ import annotations

import math

import numpy as np

from monitor.records import FloatArray, IntArray, Window
from monitor.stats._layout import FEWEST_STRETCHES, MOST_STRETCHES, STRETCH_ROWS, USUAL_STRETCHES, cut_evenly, spread

READ_STRETCHES = 16  # so many are read where rows cannot be counted beforehand


def pick_stretches(times: FloatArray, *, seconds: float, limit: int) -> IntArray:
    """Places of at most `limit` rows of a reference, in order of time: stretches as long as a window, evenly spread over it.

    Args:
        times: event times of the reference, shape (N,), in any order; all alike where it has none: then the rows follow
            upon each other as they stand. NaN is left out.
        seconds: length of a window.
        limit: at most so many rows are picked.

    >>> hourly = np.repeat(np.arange(1000) * 3600.0, 50)
    >>> places = pick_stretches(hourly, seconds=3600.0, limit=1000)
    >>> len(places), len(np.unique(hourly[places]))
    (1000, 20)
    """
    order: IntArray = np.flatnonzero(~np.isnan(times))
    order = order[np.argsort(times[order], kind="stable")]
    pieces = _cells(times[order], seconds)
    if len(pieces) < FEWEST_STRETCHES:
        if len(order) <= limit:
            return order
        pieces = _runs(len(order), limit) if _undated(times[order]) else [np.arange(len(order))]
    usual = int(np.median([len(piece) for piece in pieces]))
    number = min(max(limit // usual, USUAL_STRETCHES), MOST_STRETCHES)
    kept = [pieces[place] for place in spread(len(pieces), number)]
    picked: IntArray = np.concatenate([piece[spread(len(piece), limit // len(kept))] for piece in kept])
    return np.asarray(order[picked])


def number_stretches(times: FloatArray, *, seconds: float, current_rows: int) -> tuple[IntArray, str]:
    """The stretch of each row of a reference in order of time, -1 for none, and how much these stretches can tell.

    Args:
        times: event times in rising order, shape (N,).
        seconds: length of a window.
        current_rows: rows of the window that are looked at.

    Returns:
        The numbers, shape (N,), and `by_stretches` where each is as long as a window; `undated_reference` (no times),
        `short_reference` (fewer than eight windows) or `thin_reference` (windows of fewer than 25 rows) where they are not.
    """
    pieces = _cells(times, seconds)
    if len(pieces) >= FEWEST_STRETCHES:
        numbers = np.full(len(times), -1, dtype=np.int64)
        for number, piece in enumerate(pieces):
            numbers[piece] = number
        return numbers, "by_stretches"
    numbers = cut_evenly(len(times), current_rows)
    if _undated(times):
        return numbers, "undated_reference"
    short = times[-1] - times[0] < FEWEST_STRETCHES * seconds
    return numbers, "short_reference" if short else "thin_reference"


def _undated(times: FloatArray) -> bool:
    return not len(times) or bool(times[0] == times[-1])


def _cells(times: FloatArray, seconds: float) -> list[IntArray]:
    """The rows of each stretch of that length that has enough of them."""
    if _undated(times):
        return []
    cuts = np.flatnonzero(np.diff(np.floor(times / seconds))) + 1
    return [piece for piece in np.split(np.arange(len(times)), cuts) if len(piece) >= STRETCH_ROWS]


def _runs(rows: int, limit: int) -> list[IntArray]:
    starts = np.arange(USUAL_STRETCHES) * rows // USUAL_STRETCHES
    return [start + np.arange(limit // USUAL_STRETCHES) for start in starts]


def windows_of(span: Window, seconds: float) -> list[Window]:
    """Windows of that length within a span, evenly spread over it, at most 16; the span itself where it holds fewer than eight.

    >>> [window.start for window in windows_of(Window(0.0, 1000.0), 100.0)][:3]
    [0.0, 100.0, 200.0]
    """
    first, last = math.ceil(span.start / seconds), math.floor(span.end / seconds)
    if last - first < FEWEST_STRETCHES:
        return [span]
    starts = (first + spread(last - first, READ_STRETCHES)) * seconds
    return [Window(start, start + seconds) for start in starts.tolist()]
