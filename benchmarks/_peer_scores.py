"""The peers' drift scores of one column, in NumPy: what the benchmarks use where running the peer itself would take days.

`tests/benchmarks/test_peers.py` holds each of them against the peer itself, to 1e-9. Nothing here knows of missing values,
because neither Evidently's nor NannyML's drift scores do: they drop them first, and so do these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import chdtrc

from monitor.records import Coded, FloatArray, IntArray
from monitor.stats.psi import psi as counted_psi

ESTIMATED = 10_000  # with a reference of so many rows NannyML's KS and Wasserstein go by so many equal-width bins
FEW_VALUES = 5  # up to so many different values Evidently takes Jensen-Shannon for a number
BINNED = 20  # beyond so many different values Evidently bins a number for its PSI
EVIDENTLY_DRIFT = 0.1  # its default threshold of every distance
PSI_DRIFT = 0.2  # the textbook's
GROUPS = 10


def jensen_shannon(p: FloatArray, q: FloatArray) -> float:
    """The distance (root of the divergence) of two vectors of shares, in nats ** 0.5, as SciPy has it.

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) ** 2 / np.log(2)
    1.0
    """
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = sum(np.where(side > 0, side * np.log(side / middle), 0.0).sum() for side in (p, q))
    return float(np.sqrt(max(divergence, 0.0) / 2))


def hellinger(p: FloatArray, q: FloatArray) -> float:
    return float(np.sqrt(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2) / 2))


@dataclass(frozen=True)
class NumericReference:
    """A numeric column of a reference, with what the scores need of it."""

    values: FloatArray  # finite or not, but no NaN

    @classmethod
    def of(cls, column: FloatArray) -> NumericReference:
        return cls(np.sort(column[~np.isnan(column)]))

    @cached_property
    def few(self) -> FloatArray:
        """Its different values."""
        return np.unique(self.values)

    @cached_property
    def prefix(self) -> FloatArray:
        """Sums of its smallest values, shape (N + 1,)."""
        return np.append(0.0, np.cumsum(self.values))

    @cached_property
    def spread(self) -> float:
        return float(np.std(self.values))

    @cached_property
    def doane(self) -> tuple[FloatArray, FloatArray]:
        """NannyML's bins, and the shares of them."""
        edges = np.histogram_bin_edges(self.values, bins="doane")
        return edges, np.histogram(self.values, bins=edges)[0] / len(self.values)

    @cached_property
    def fine(self) -> tuple[FloatArray, FloatArray]:
        """Edges of equal-width bins, and the distribution function at their upper ends."""
        counts, edges = np.histogram(self.values, bins=ESTIMATED)
        return edges, np.cumsum(counts / len(self.values))

    @cached_property
    def deciles(self) -> tuple[FloatArray, IntArray]:
        """The inner edges of ten groups of equal weight, ties counted once, and the rows of each."""
        edges = np.unique(np.quantile(self.values, np.arange(1, GROUPS) / GROUPS))
        return edges, grouped(self.values, edges)


def grouped(values: FloatArray, edges: FloatArray) -> IntArray:
    """Rows of each group `(below, edge]`."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


# --- distances of numbers: the current side is sorted, without NaN, and not empty -------------------------------------


def wasserstein(reference: NumericReference, current: FloatArray) -> float:
    """`∫ |F − G| dx`, in closed form between the current values: they are few, and the reference's many.

    Between two of them G is constant; F crosses it once, at that quantile of the reference.
    """
    x, n = reference.values, len(reference.values)
    points = np.concatenate([[min(x[0], current[0])], current, [max(x[-1], current[-1])]])
    level = np.arange(len(points) - 1) / len(current)  # G right of every point
    low, high = points[:-1], points[1:]
    # The first value up to which F has reached the level; rounding must not skip one.
    reached = np.clip(np.ceil(level * n - 1e-9).astype(np.int64) - 1, 0, n - 1)
    crossing = np.clip(x[reached], low, high)
    left = level * (crossing - low) - _integral(reference, low, crossing)
    right = _integral(reference, crossing, high) - level * (high - crossing)
    return float(np.sum(np.maximum(left, 0.0) + np.maximum(right, 0.0)))


def _integral(reference: NumericReference, low: FloatArray, high: FloatArray) -> FloatArray:
    """`∫ F dx` from low to high: every value counts from where it stands."""
    x = reference.values
    before, within = np.searchsorted(x, low, side="right"), np.searchsorted(x, high, side="right")
    return (high * within - low * before - (reference.prefix[within] - reference.prefix[before])) / len(x)


def kolmogorov_smirnov(reference: NumericReference, current: FloatArray) -> float:
    """The exact two-sample statistic: Evidently's (as a p-value), frouros' and, up to 10,000 reference rows, NannyML's."""
    x, n = reference.values, len(current)
    above = np.searchsorted(x, current, side="right") / len(x)
    below = np.searchsorted(x, current, side="left") / len(x)
    upto = np.searchsorted(current, current, side="right") / n
    before = np.searchsorted(current, current, side="left") / n
    return float(max(np.max(upto - above), np.max(below - before), 0.0))


def nannyml_ks(reference: NumericReference, current: FloatArray) -> float:
    """Exact below 10,000 reference rows, and by equal-width bins from there on."""
    if len(reference.values) < ESTIMATED:
        return kolmogorov_smirnov(reference, current)
    edges, upto = reference.fine
    return float(np.max(np.abs(upto - (np.searchsorted(current, edges[0]) / len(current) + _inside(edges, current)))))


def _inside(edges: FloatArray, current: FloatArray) -> FloatArray:
    """The share of rows from the first edge up to each of the others; the last bin holds its upper edge."""
    bins = len(edges) - 1
    places = np.searchsorted(edges, current, side="right") - 1
    places[current == edges[-1]] = bins - 1
    counts = np.bincount(places[(places >= 0) & (places < bins)], minlength=bins)
    return np.cumsum(counts) / len(current)


def nannyml_wasserstein(reference: NumericReference, current: FloatArray) -> float:
    """Its estimate by equal-width bins, with its own way of adding what lies outside them."""
    if len(reference.values) < ESTIMATED:
        return wasserstein(reference, current)
    edges, upto = reference.fine
    n = len(current)
    smaller, bigger = current[current < edges[0]], current[current > edges[-1]]
    share = (len(smaller) + 1) / n if len(smaller) else 0.0
    outside = _outside(np.append(smaller, edges[0]), rising=True) * share if len(smaller) else 0.0
    if len(bigger):
        outside += _outside(np.append(edges[-1], bigger), rising=False) * (len(bigger) + 1) / n
    inside = _inside(edges, current) + share
    return float(np.sum(np.abs(upto - inside)) * (edges[1] - edges[0]) + outside)


def _outside(values: FloatArray, *, rising: bool) -> float:
    points, counts = np.unique(values, return_counts=True)
    upto = np.cumsum(counts) / len(values)
    return float(np.sum((upto if rising else 1 - upto)[:-1] * np.diff(points)))


def nannyml_shares(reference: NumericReference, current: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares of its bins, and of what lies outside of them where anything does."""
    edges, shares = reference.doane
    return _with_leftover(shares, np.histogram(current, bins=edges)[0] / len(current))


def _with_leftover(before: FloatArray, after: FloatArray) -> tuple[FloatArray, FloatArray]:
    left = 1 - np.sum(after)
    return (np.append(before, 0.0), np.append(after, left)) if left > 0 else (before, after)


def evidently_default(reference: NumericReference, current: FloatArray) -> float:
    """What it chooses with more than 1,000 reference rows: Wasserstein in standard deviations, Jensen-Shannon of few values."""
    if len(reference.few) <= FEW_VALUES:
        values = np.union1d(reference.few, current)
        if len(values) <= FEW_VALUES:
            return jensen_shannon(_shares_of(values, reference.values), _shares_of(values, current))
    return wasserstein(reference, current) / max(reference.spread, 0.001)


def evidently_psi(reference: NumericReference, current: FloatArray) -> float:
    """Its bins are of equal width over both sides together, as many as Sturges says."""
    if len(reference.few) > BINNED:
        low, high = min(reference.values[0], current[0]), max(reference.values[-1], current[-1])
        number = int(np.ceil(np.log2(len(reference.values) + len(current)) + 1))
        edges = np.linspace(low, high, number + 1)
        sides = [np.histogram(side, edges)[0] / len(side) for side in (reference.values, current)]
    else:
        values = np.union1d(reference.few, current)
        sides = [_shares_of(values, side) for side in (reference.values, current)]
    return _evidently_psi(*sides)


def _evidently_psi(p: FloatArray, q: FloatArray) -> float:
    floored = []
    for side in (p, q):
        smallest = side[side > 0].min()
        floored.append(np.where(side == 0, smallest / 1e6 if smallest <= 1e-4 else 1e-4, side))
    return float(np.sum((floored[0] - floored[1]) * np.log(floored[0] / floored[1])))


def _shares_of(values: FloatArray, side: FloatArray) -> FloatArray:
    return np.bincount(np.searchsorted(values, side), minlength=len(values)) / len(side)


def textbook_psi(reference: NumericReference, current: FloatArray) -> float:
    """PSI on ten groups of equal weight in the reference, floor 1e-4: the fixed-threshold yardstick."""
    edges, counts = reference.deciles
    return float(counted_psi(counts, grouped(current, edges)))


# --- distances of categories: counts by name, missing ones left out ---------------------------------------------------


@dataclass(frozen=True)
class CategoricalReference:
    """Rows by category of a reference, without those that miss it. Categories it lacks have 0."""

    counts: IntArray

    @classmethod
    def of(cls, column: Coded) -> CategoricalReference:
        return cls(counts_of(column))


def counts_of(column: Coded) -> IntArray:
    """Rows by name."""
    return np.bincount(column.codes[column.codes >= 0], minlength=len(column.names))


def categorical_sides(reference: CategoricalReference, current: IntArray) -> tuple[FloatArray, FloatArray]:
    """Shares of the reference's categories, all others together in one place more where there are any."""
    known = reference.counts > 0
    before, after = reference.counts[known] / reference.counts.sum(), current[known] / current.sum()
    return _with_leftover(before, after)


def evidently_categorical(reference: CategoricalReference, current: IntArray) -> float:
    return jensen_shannon(reference.counts / reference.counts.sum(), current / current.sum())


def evidently_categorical_psi(reference: CategoricalReference, current: IntArray) -> float:
    held = (reference.counts > 0) | (current > 0)
    return _evidently_psi(reference.counts[held] / reference.counts.sum(), current[held] / current.sum())


def chi_square(reference: CategoricalReference, current: IntArray) -> tuple[float, float]:
    """The statistic of the table of both sides, as `scipy.stats.chi2_contingency` has it, and its p-value."""
    table = np.stack([reference.counts, current]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    degrees = table.shape[1] - 1
    if not degrees:
        return 0.0, 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    away = np.abs(table - expected)
    if degrees == 1:
        away = np.maximum(away - 0.5, 0.0)  # Yates
    statistic = float(np.sum(away**2 / expected))
    return statistic, float(chdtrc(degrees, statistic))


def l_infinity(reference: CategoricalReference, current: IntArray) -> float:
    return float(np.max(np.abs(reference.counts / reference.counts.sum() - current / current.sum())))


def textbook_categorical_psi(reference: CategoricalReference, current: IntArray) -> float:
    return float(counted_psi(reference.counts, current))


LOG_2 = float(np.sqrt(np.log(2)))

NUMERIC: Mapping[str, Callable[[NumericReference, FloatArray], float]] = {
    "evidently default": evidently_default,
    "evidently ks": kolmogorov_smirnov,
    "evidently psi": evidently_psi,
    "nannyml jensen_shannon": lambda reference, current: jensen_shannon(*nannyml_shares(reference, current)) / LOG_2,
    "nannyml kolmogorov_smirnov": nannyml_ks,
    "nannyml wasserstein": nannyml_wasserstein,
    "nannyml hellinger": lambda reference, current: hellinger(*nannyml_shares(reference, current)),
    "fixed psi": textbook_psi,
}

CATEGORICAL: Mapping[str, Callable[[CategoricalReference, IntArray], float]] = {
    "evidently default": evidently_categorical,
    "evidently psi": evidently_categorical_psi,
    "nannyml jensen_shannon": lambda reference, current: jensen_shannon(*categorical_sides(reference, current)) / LOG_2,
    "nannyml chi2": lambda reference, current: chi_square(reference, current)[0],
    "nannyml hellinger": lambda reference, current: hellinger(*categorical_sides(reference, current)),
    "nannyml l_infinity": l_infinity,
    "fixed psi": textbook_categorical_psi,
}


def scores(
    reference: NumericReference | CategoricalReference, current: FloatArray | Coded, methods: tuple[str, ...]
) -> list[float]:
    """The scores of one column of one window; NaN where it holds no value."""
    if isinstance(reference, CategoricalReference):
        assert isinstance(current, Coded)
        counts = counts_of(current)
        return [CATEGORICAL[name](reference, counts) if counts.sum() else float("nan") for name in methods]
    numbers = np.asarray(current)
    present = np.sort(numbers[~np.isnan(numbers)])
    return [NUMERIC[name](reference, present) if len(present) else float("nan") for name in methods]


def prepared(column: FloatArray | Coded) -> NumericReference | CategoricalReference:
    """A reference's column, ready for scores."""
    return CategoricalReference.of(column) if isinstance(column, Coded) else NumericReference.of(np.asarray(column))


def reference_threshold(of_chunks: FloatArray) -> float:
    """NannyML's: mean + 3 standard deviations of the reference's own chunks, each compared with the whole reference."""
    return float(np.nanmean(of_chunks) + 3 * np.nanstd(of_chunks))
