"""Real columns, binned as the watch bins them, so that counts, means, widths and spread belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as some

from monitor.profile import NumericBins, draw_bins, histogram_pair, profile_column
from monitor.records import ColumnKind, Histogram

# Numbers whose squares and whose products with 1e-12 are still what they should be.
TIDY = some.floats(-1e9, 1e9).map(lambda value: value if abs(value) > 1e-6 else 0.0) | some.integers(-5, 5).map(float)
NUMBERS = TIDY | some.sampled_from([np.nan, np.inf, -np.inf])


def column(values: some.SearchStrategy[float] = NUMBERS, *, finite: bool = False) -> some.SearchStrategy[Any]:
    """A column that has a value, or one that is finite."""
    held = (lambda value: np.isfinite(value)) if finite else (lambda value: not np.isnan(value))
    return (
        some.lists(values, min_size=1, max_size=60)
        .filter(lambda values: any(held(value) for value in values))
        .map(lambda values: np.array(values, dtype=np.float64))
    )


def two_columns(values: some.SearchStrategy[float] = NUMBERS) -> some.SearchStrategy[tuple[Any, ...]]:
    """A reference, which has a finite value, and a window: another column, or the same one moved or with more rows."""

    @some.composite
    def drawn(draw: some.DrawFn) -> tuple[Any, ...]:
        reference = draw(column(values, finite=True))
        moved = some.sampled_from([0.0, 1.0, 1e3]).map(lambda by: reference + by)
        more = some.integers(1, 5).map(lambda times: np.repeat(reference, times))
        return reference, draw(column(values) | moved | more)

    return drawn()


def bins_of(reference: Any) -> NumericBins:
    bins = draw_bins(reference, ColumnKind.NUMERIC)
    assert isinstance(bins, NumericBins)
    return bins


def binned(reference: Any, current: Any) -> tuple[Histogram, Histogram]:
    """Both columns on the reference's bins."""
    bins = bins_of(reference)
    return histogram_pair(profile_column(reference, bins), profile_column(current, bins), bins)


def two_histograms() -> some.SearchStrategy[tuple[Histogram, Histogram]]:
    return two_columns().map(lambda columns: binned(*columns))


def stacked(sides: list[Histogram]) -> Histogram:
    """Repetitions along a leading axis."""
    first = sides[0]
    counts, means = np.stack([side.counts for side in sides]), np.stack([side.means for side in sides])
    return Histogram(counts, means, first.widths, first.spread)


def arrays_of(data: Any) -> list[Any]:
    """The arrays within an input."""
    return [data.counts, data.means, data.widths] if isinstance(data, Histogram) else [data]
