"""References and windows of a world in which nothing changes, through the project's own bins and profiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks._populations import HOUR, Features, Resampled, World, timed
from monitor.profile import Bins, CategoricalBins, ColumnProfile, NumericBins, Profile, Reference, build_reference
from monitor.profile import profile_batch as profile_rows
from monitor.records import Coded, EventBatch, FloatArray, IntArray

BY_COUNTS = 20_000  # windows of so many rows are drawn as counts, where rows are independent


def draw_reference(
    world: World, rows: int, window_rows: int, draw: np.random.Generator
) -> tuple[Reference, EventBatch]:
    """A reference of so many rows for windows of an hour, and the rows it was built from."""
    batch = timed(next(iter(world.windows(rows, 1, draw))), window_rows)
    reference = build_reference(batch, world.columns, fingerprint="drawn", version="1", window_seconds=HOUR)
    return reference, batch


def profile(features: Features, reference: Reference) -> Profile:
    """The profile of one window's rows."""
    rows = len(next(iter(features.values())))
    return profile_rows(EventBatch("1", np.arange(rows) * (HOUR / rows), features), reference.bins)


def draw_windows(
    world: World, reference: Reference, rows: int, number: int, draw: np.random.Generator
) -> Iterator[Profile]:
    """Profiles of windows of an unchanged world."""
    if rows >= BY_COUNTS and isinstance(world, Resampled):
        yield from counted_windows(world, reference, rows, number, draw)
    else:
        for features in world.windows(rows, number, draw):
            yield profile(features, reference)


# --- counts in place of rows ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Places:
    """What one row drawn from a column's table brings: chances of each place, and what its values there are.

    Places are the bins and, of a numeric column, two more for what lies below and above the reference's range.

    Attributes:
        shares: chance of each place, then of a missing, then of an unseen value, shape (places + 2,).
        mean, variance: of the values of each place, shape (places,); zeros for categories.
        low, high: smallest and largest value of each place, shape (places,).
    """

    shares: FloatArray
    mean: FloatArray
    variance: FloatArray
    low: FloatArray
    high: FloatArray


def _numeric_places(values: FloatArray, bins: NumericBins) -> _Places:
    present = values[~np.isnan(values)]
    at = bins.place(present)
    at[present < bins.low], at[present > bins.high] = len(bins), len(bins) + 1
    rows = np.bincount(at, minlength=len(bins) + 2).astype(np.float64)
    held = np.maximum(rows, 1)
    mean = np.bincount(at, weights=present, minlength=len(rows)) / held
    variance = np.bincount(at, weights=(present - mean[at]) ** 2, minlength=len(rows)) / held
    low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    np.minimum.at(low, at, present)
    np.maximum.at(high, at, present)
    shares = np.append(rows, [len(values) - len(present), 0]) / len(values)
    return _Places(shares, mean, variance, low, high)


def _categorical_places(values: Coded, bins: CategoricalBins) -> _Places:
    index = {name: place for place, name in enumerate(bins.categories)}
    unseen = len(bins) - 1 if bins.has_rest else len(bins) + 1
    places = np.array([*(index.get(name, unseen) for name in values.names), len(bins)])
    shares = np.bincount(places[values.codes], minlength=len(bins) + 2) / len(values)
    none = np.zeros(len(bins))
    return _Places(shares, none, none, none, none)


def _drawn(places: _Places, bins: Bins, rows: int, number: int, draw: np.random.Generator) -> list[ColumnProfile]:
    found = draw.multinomial(rows, places.shares, size=number)
    counts: IntArray = np.ascontiguousarray(found[:, :-2])
    missing, unseen = found[:, -2].tolist(), found[:, -1].tolist()
    if not isinstance(bins, NumericBins):
        none = np.zeros(len(bins))
        return [ColumnProfile(counts[row], none, missing[row], 0, unseen[row]) for row in range(number)]
    # Sums of many rows of one place: normal, with its own mean and variance.
    noise = draw.standard_normal(counts.shape) * np.sqrt(counts * places.variance)
    sums = np.clip(counts * places.mean + noise, counts * _finite(places.low), counts * _finite(places.high))
    low = np.where(counts > 0, places.low, np.inf).min(axis=1)
    high = np.where(counts > 0, places.high, -np.inf).max(axis=1)
    shift = sums.sum(axis=1) - counts.sum(axis=1) * bins.center
    squares = (counts * (places.variance + (places.mean - bins.center) ** 2)).sum(axis=1)
    outside = counts[:, -2:]
    clipped = sums[:, [0, -3]] + outside * [bins.low, bins.high]
    counts[:, [0, -3]] += outside
    sums[:, [0, -3]] += sums[:, -2:]
    return [
        ColumnProfile(
            counts[row, :-2], sums[row, :-2], missing[row], 0, 0, float(low[row]), float(high[row]), float(shift[row]),
            float(squares[row]), outside=tuple(outside[row].tolist()), clipped=tuple(clipped[row].tolist()),
        )
        for row in range(number)
    ]  # fmt: skip


def _finite(ends: FloatArray) -> FloatArray:
    return np.where(np.isfinite(ends), ends, 0.0)


def counted_windows(
    world: Resampled, reference: Reference, rows: int, number: int, draw: np.random.Generator
) -> Iterator[Profile]:
    """Profiles of resampled windows without drawing their rows: counts are multinomial, whatever their number.

    Columns are drawn independently of each other. Counts have exactly the distribution that profiles of resampled rows
    have; the sums of a bin are normal with the right mean and variance, which is close for the many rows this is used for.
    """
    columns: dict[str, list[ColumnProfile]] = {}
    for name, bins in reference.bins.items():
        values = world.table[name]
        if isinstance(bins, NumericBins):
            places = _numeric_places(np.asarray(values), bins)
        else:
            assert isinstance(values, Coded)
            places = _categorical_places(values, bins)
        columns[name] = _drawn(places, bins, rows, number, draw)
    for window in range(number):
        held = {name: profiles[window] for name, profiles in columns.items()}
        yield Profile(rows, 0.0, HOUR * (1 - 1 / rows), held)
