"""One column's statistic on rows, with stretches of the reference held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitor.records import FloatArray, IntArray
from monitor.stats._comparison import Comparison, Kolmogorov, beyond_stretches
from monitor.stats._layout import lay_out


def compare_column(
    score: Callable[[FloatArray, FloatArray], float], reference: FloatArray, current: FloatArray, stretch: IntArray
) -> Comparison:
    """The exact Kolmogorov–Smirnov statistic of two columns, and what stretches of the reference score against the others.

    Args:
        score: the statistic of two columns of values.
        reference: shape (N,), in order of time; NaN is left out.
        current: shape (n,), likewise.
        stretch: by row of the reference, the number of its stretch.

    Raises:
        NoData: too few rows.
    """
    there = np.isfinite(reference)
    before, after = reference[there], current[np.isfinite(current)]
    layout = lay_out(len(before), len(after), stretch[there], alike=True)
    before, after = before[layout.reference], after[layout.current]
    value = score(before, after)
    held_out = np.array([score(np.delete(before, place), before[place]) for place in layout.stretches])
    rows = len(before) * len(after) / (len(before) + len(after))
    # The standard deviation of Kolmogorov's distribution is 0.26.
    nulls = (Kolmogorov(rows), beyond_stretches(held_out, center=0.0, least=0.26 / np.sqrt(rows)))
    return Comparison(value, nulls, held_out, len(after), len(before))
