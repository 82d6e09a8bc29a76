"""What every statistic is held against: a second opinion that shares no code with it, and inputs that get worse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
import scipy.stats
from scipy.spatial import distance
from scipy.special import kl_div
from scipy.stats._morestats import (
    _anderson_ksamp_midrank,
)  # what anderson_ksamp standardises, and then gives out only so

from monitor.records import Histogram

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Oracle:
    """A second opinion.

    Attributes:
        value: the same number, computed by somebody else or by hand.
        worse: inputs, each scoring worse than the one before.
        within: relative and absolute tolerance: how exact the second opinion is.
    """

    value: Callable[..., float]
    worse: tuple[Inputs, ...]
    within: tuple[float, float] = (1e-12, 1e-12)


def given(*arrays: Any, **counts: int) -> Inputs:
    return tuple(np.array(array, dtype=object if isinstance(array[0], str) else None) for array in arrays), counts


def sides(reference: Any, current: Any, means: Any, moved: Any = None, *, spread: float = 1.0) -> Inputs:
    """Two histograms with these counts, on bins of width 1; the current means, where they are others, are `moved`."""
    first, second = (np.array(mean, dtype=np.float64) for mean in (means, means if moved is None else moved))
    widths = np.ones(len(means))
    return (
        Histogram(np.array(reference), first, widths, spread),
        Histogram(np.array(current), second, widths, spread),
    ), {}


# --- counts -----------------------------------------------------------------------------------------------------------


def floored(counts: Any) -> list[float]:
    return [max(count / sum(counts.tolist()), 1e-4) for count in counts.tolist()]


def plain_psi(reference: Any, current: Any) -> float:
    """The formula as it stands in textbooks, in plain Python, with the floor of 1e-4 that the design fixes."""
    return sum((q - p) * (math.log(q) - math.log(p)) for p, q in zip(floored(reference), floored(current), strict=True))


def generalised_kl(reference: Any, current: Any) -> float:
    """SciPy's divergence for measures that need not add up to 1."""
    return float(np.sum(kl_div(floored(current), floored(reference))))


def root_of_entropies(reference: Any, current: Any) -> float:
    """How much more there is to be told about both together than about each, in bits; not below 0, to rounding."""
    p, q = (side / side.sum() for side in (reference, current))
    bits = scipy.stats.entropy((p + q) / 2, base=2) - np.mean(scipy.stats.entropy([p, q], base=2, axis=1))
    return math.sqrt(max(float(bits), 0.0))


def plain_hellinger(reference: Any, current: Any) -> float:
    p, q = (np.sqrt(side / side.sum()) for side in (reference, current))
    return float(distance.euclidean(p, q)) / math.sqrt(2)


def table(reference: Any, current: Any) -> Any:
    both = np.array([reference, current])
    return both[:, both.sum(axis=0) > 0]


def contingency(reference: Any, current: Any, **options: Any) -> float:
    return float(scipy.stats.chi2_contingency(table(reference, current), correction=False, **options).statistic)


def balanced_cramers_v(reference: Any, current: Any) -> float:
    """V of the table in which both rows add up to 1."""
    return math.sqrt(contingency(reference / reference.sum(), current / current.sum()) / 2)


COUNTS_GET_WORSE = (
    given([50, 50], [50, 50]),
    given([50, 50], [75, 25]),
    given([50, 50], [99, 1]),
    given([50, 50], [100, 0]),
)


# --- histograms -------------------------------------------------------------------------------------------------------


def ks_of_bins(reference: Histogram, current: Histogram) -> float:
    """SciPy's, of the bins' numbers instead of values."""
    return ks_of_values(*numbers(reference, current))


def ks_of_values(reference: Any, current: Any) -> float:
    with np.errstate(divide="ignore"):  # in its p-value of two rows, which nobody asked for
        return float(scipy.stats.ks_2samp(reference, current, method="asymp").statistic)


def numbers(reference: Histogram, current: Histogram) -> list[Any]:
    return [np.repeat(np.arange(len(side.counts)), side.counts) for side in (reference, current)]


def at_means(measure: Callable[..., float]) -> Callable[[Histogram, Histogram], float]:
    return lambda reference, current: float(measure(reference.means, current.means, reference.counts, current.counts))


def spread_energy(reference: Histogram, current: Histogram) -> float:
    """SciPy's of masses at the means; less, bin by bin, what is too much in that for masses that aren't points."""
    total = at_means(scipy.stats.energy_distance)(reference, current) ** 2 / 2
    rows, others = reference.counts.sum(), current.counts.sum()
    for a, b, x, y, width in zip(
        reference.counts, current.counts, reference.means, current.means, reference.widths, strict=True
    ):
        moved = (a / rows + b / others) / 2 * abs(x - y)
        if moved:
            total -= moved**2 / abs(x - y) - moved**2 / width
    return 2 * max(float(total), 0.0)


def spreads(measured: float, spread: float, mean: float) -> float:
    """The rule for a reference without spread, in other words: a 1e-12th of the mean, and no more than 1e12."""
    return min(measured / max(spread, abs(mean) * 1e-12), 1e12) if spread or mean else 1e12 * (measured > 0)


def normalised(measure: Callable[[Histogram, Histogram], float]) -> Callable[[Histogram, Histogram], float]:
    def value(reference: Histogram, current: Histogram) -> float:
        mean = float(np.average(reference.means, weights=reference.counts))
        return spreads(measure(reference, current), reference.spread, mean)

    return value


def cvm_of_tallies(reference: Any, current: Any) -> float:
    """In fractions, value by value, with the mean of the squares on both sides of each."""
    rows, others = int(sum(reference)), int(sum(current))
    f, g = ([Fraction(int(sum_), n) for sum_ in accumulate(side)] for side, n in ((reference, rows), (current, others)))
    squares = [Fraction(0), *((a - b) ** 2 for a, b in zip(f, g, strict=True))]
    weights = [Fraction(int(a + b), rows + others) for a, b in zip(reference, current, strict=True)]
    return float(sum(w * (a + b) / 2 for w, a, b in zip(weights, squares[:-1], squares[1:], strict=True)))


def ad_of_values(reference: Any, current: Any) -> float:
    """SciPy's statistic for tied data, divided by what makes it grow with the rows."""
    n, m = len(reference), len(current)
    both = np.sort(np.concatenate([reference, current]))
    different = np.unique(both)
    if len(different) == 1:
        return 0.0
    rising = [np.sort(reference), np.sort(current)]
    total = _anderson_ksamp_midrank(rising, both, different, 2, np.array([n, m]), n + m)
    return float(total) * (n + m) ** 2 / (n * m * (n + m - 1))


STILL, MEANS = [10, 20, 30, 40], [0.5, 1.5, 2.5, 3.5]
HISTOGRAMS_GET_WORSE = (
    sides(STILL, STILL, MEANS),
    sides(STILL, [12, 20, 30, 38], MEANS),
    sides(STILL, [40, 30, 20, 10], MEANS),
    sides(STILL, [100, 0, 0, 0], MEANS),
)


# --- all --------------------------------------------------------------------------------------------------------------


def share(part: str) -> Callable[..., float]:
    return lambda **counts: counts[part] / counts["rows"]


CLEAN = {"rows": 100, "missing": 0, "absent": 0, "unseen": 0}
ROUNDED = (1e-9, 1e-9)  # where the second opinion adds up large numbers of both signs
ORACLES = {
    "psi": Oracle(plain_psi, COUNTS_GET_WORSE),
    "kl_divergence": Oracle(generalised_kl, COUNTS_GET_WORSE),
    # The root of a difference of entropies, which nearly cancel.
    "jensen_shannon": Oracle(root_of_entropies, COUNTS_GET_WORSE, (1e-12, 1e-7)),
    "hellinger": Oracle(plain_hellinger, COUNTS_GET_WORSE),
    "total_variation": Oracle(lambda p, q: float(distance.cityblock(p / p.sum(), q / q.sum())) / 2, COUNTS_GET_WORSE),
    "l_infinity": Oracle(lambda p, q: float(distance.chebyshev(p / p.sum(), q / q.sum())), COUNTS_GET_WORSE),
    "chi_square": Oracle(contingency, COUNTS_GET_WORSE, ROUNDED),
    "g_test": Oracle(lambda p, q: contingency(p, q, lambda_="log-likelihood"), COUNTS_GET_WORSE, ROUNDED),
    "cramers_v": Oracle(balanced_cramers_v, COUNTS_GET_WORSE, (1e-9, 1e-9)),
    "ks": Oracle(ks_of_bins, HISTOGRAMS_GET_WORSE),
    "wasserstein_distance": Oracle(at_means(scipy.stats.wasserstein_distance), HISTOGRAMS_GET_WORSE, ROUNDED),
    "wasserstein": Oracle(normalised(at_means(scipy.stats.wasserstein_distance)), HISTOGRAMS_GET_WORSE, ROUNDED),
    "energy": Oracle(normalised(spread_energy), HISTOGRAMS_GET_WORSE, ROUNDED),
    "cramer_von_mises": Oracle(lambda p, q: cvm_of_tallies(p.counts, q.counts), HISTOGRAMS_GET_WORSE),
    "anderson_darling": Oracle(lambda p, q: ad_of_values(*numbers(p, q)), HISTOGRAMS_GET_WORSE, ROUNDED),
    "drift_share": Oracle(
        lambda weights, drifted: float(np.average(drifted, weights=weights)),
        (given([1.0, 3.0], [False, False]), given([1.0, 3.0], [True, False]), given([1.0, 3.0], [False, True])),
    ),
    "missing_ratio": Oracle(share("missing"), (given(**CLEAN), given(**CLEAN | {"missing": 5}))),
    "unseen_ratio": Oracle(share("unseen"), (given(**CLEAN), given(**CLEAN | {"unseen": 1}))),
    "out_of_range_ratio": Oracle(
        lambda **counts: counts["outside"] / sum((counts["rows"], -counts["missing"], -counts["unseen"])),
        (given(**CLEAN, outside=0), given(**CLEAN, outside=1), given(**CLEAN | {"missing": 50}, outside=1)),
    ),
    "duplicate_ratio": Oracle(
        lambda **counts: 1 - (counts["rows"] - counts["copies"]) / counts["rows"],
        (given(**CLEAN, copies=0), given(**CLEAN, copies=2)),
        (1e-9, 1e-12),
    ),
    "constant": Oracle(lambda **counts: 2.0 - counts["values"], (given(**CLEAN, values=2), given(**CLEAN, values=1))),
    "staleness": Oracle(
        lambda **counts: float(np.clip(counts["now"] - counts["newest"], 0, None)),
        (given(rows=1, now=0.0, newest=5.0), given(rows=1, now=7.0, newest=5.0), given(rows=1, now=8.0, newest=5.0)),
    ),
    "volume": Oracle(
        lambda **counts: float(np.divide(counts["rows"], counts["usual"])),
        (given(rows=48, usual=24), given(rows=24, usual=24), given(rows=0, usual=24)),
    ),
    "schema": Oracle(
        lambda **counts: 1.0 if counts["absent"] == counts["rows"] else 0.0,
        (given(**CLEAN | {"missing": 99, "absent": 99}), given(**CLEAN | {"missing": 100, "absent": 100})),
    ),
}

HALVES = given([50, 50], [75, 25])
LOG = math.log
BY_HAND = [
    # (0.75 - 0.5) ln 1.5 + (0.25 - 0.5) ln 0.5
    ("psi", HALVES, 0.25 * LOG(1.5) + 0.25 * LOG(2)),
    # An empty bin has the share 1e-4: (1e-4 - 0.5) ln(1e-4 / 0.5) + (1 - 0.5) ln 2
    ("psi", given([50, 50], [0, 100]), (1e-4 - 0.5) * LOG(2e-4) + 0.5 * LOG(2)),
    ("psi", given([0, 10, 90], [0, 10, 90]), 0.0),
    ("psi", given([0, 100], [100, 0]), 2 * (1 - 1e-4) * LOG(1e4)),
    ("kl_divergence", HALVES, 0.75 * LOG(1.5) + 0.25 * LOG(0.5)),
    # An empty bin of the reference has the share 1e-4: 0.5 ln(0.5 / 1e-4) + 0.5 ln 0.5, and 1e-4 that it is too much
    ("kl_divergence", given([0, 100], [50, 50]), 0.5 * LOG(5000) + 0.5 * LOG(0.5) + 1e-4),
    # With m = (0.625, 0.375): the mean of 0.5 log2 0.8 + 0.5 log2 4/3 and 0.75 log2 1.2 + 0.25 log2 2/3
    (
        "jensen_shannon",
        HALVES,
        math.sqrt((0.5 * LOG(0.8) + 0.5 * LOG(4 / 3) + 0.75 * LOG(1.2) + 0.25 * LOG(2 / 3)) / 2 / LOG(2)),
    ),
    ("jensen_shannon", given([3, 0, 1], [0, 7, 0]), 1.0),
    # Half of each is in common: m = (1/4, 1/2, 1/4), and either divergence is 0.5 log2 2 + 0.5 log2 1
    ("jensen_shannon", given([1, 1, 0], [0, 1, 1]), math.sqrt(0.5)),
    # Shares 0.5 ± 5e-10: the divergence is 2 (1e-9)² / 8 / ln 2, far below what a sum of logarithms can hold
    ("jensen_shannon", given([10**9, 10**9], [10**9 + 2, 10**9 - 2]), math.sqrt(1e-18 * 4 / 8 / LOG(2))),
    ("hellinger", HALVES, math.sqrt(1 - math.sqrt(0.375) - math.sqrt(0.125))),
    ("hellinger", given([3, 0, 1], [0, 7, 0]), 1.0),
    ("total_variation", given([20, 30, 50], [20, 50, 30]), 0.2),
    ("total_variation", given([3, 0, 1], [0, 7, 0]), 1.0),
    ("l_infinity", given([20, 30, 50], [30, 40, 30]), 0.2),
    ("l_infinity", given([10, 0], [0, 3]), 1.0),
    # Expected 62.5 and 37.5 in both rows
    ("chi_square", HALVES, 2 * 12.5**2 / 62.5 + 2 * 12.5**2 / 37.5),
    # Rows that have nothing in common: as much as there are rows
    ("chi_square", given([60, 40, 0], [0, 0, 30]), 130.0),
    ("g_test", HALVES, 2 * (50 * LOG(0.8) + 50 * LOG(4 / 3) + 75 * LOG(1.2) + 25 * LOG(2 / 3))),
    ("g_test", given([10, 0, 5], [0, 30, 0]), 2 * (15 * LOG(3) + 30 * LOG(1.5))),
    ("cramers_v", HALVES, math.sqrt(1 / 15)),
    ("cramers_v", given([5000, 5000], [75, 25]), math.sqrt(1 / 15)),
    ("cramers_v", given([60, 40, 0], [0, 0, 30]), 1.0),
    # Shares up to the edges: 0.4, 0.7 against 0.1, 0.5
    ("ks", sides([4, 3, 3], [1, 4, 5], [0, 1, 2]), 0.3),
    ("ks", sides([9, 0], [0, 2], [0, 1]), 1.0),
    # All rows of a bin move by 0.25 within it
    ("wasserstein_distance", sides([3, 3], [5, 5], [0.5, 1.5], [0.75, 1.75]), 0.25),
    # Half of the rows move from 0.5 to 1.5, where the other half already is
    ("wasserstein_distance", sides([2, 2], [0, 7], [0.5, 1.5]), 0.5),
    # One of four to 0.75 from 0.5, one from there to 1.25, two by 0.25 from 1.5 to 1.25
    ("wasserstein_distance", sides([2, 2], [1, 3], [0.5, 1.5], [0.75, 1.25]), (0.25 + 0.75 + 0.5) / 4),
    ("wasserstein", sides([3, 3], [5, 5], [0.5, 1.5], [0.75, 1.75], spread=0.5), 0.5),
    # A constant reference: a 1e-12th of its mean, and 1e12 where that is nothing
    ("wasserstein", sides([9, 0], [9, 0], [5.0, 5.0], spread=0.0), 0.0),
    ("wasserstein", sides([9, 0], [0, 9], [5.0, 6.0], spread=0.0), 2e11),
    ("wasserstein", sides([9, 0], [0, 9], [0.0, 3e-7], spread=0.0), 1e12),
    # F − G is 1/2 over a length of 1
    ("energy", sides([2, 2], [0, 7], [0.5, 1.5]), 0.5),
    ("energy", sides([2, 2], [0, 7], [0.5, 1.5], spread=0.25), 2.0),
    # Half of the rows move by 0.25 within either bin, on average over it by 1/8
    ("energy", sides([3, 3], [5, 5], [0.5, 1.5], [0.75, 1.75]), 2 * 2 / 64),
    # 2 of 8 rows lie where F − G goes from 0 to 1/2, 6 where it goes from 1/2 to 0
    ("cramer_von_mises", sides([2, 2], [0, 4], [0.5, 1.5]), 0.125),
    ("cramer_von_mises", sides([2, 0], [0, 2], [0.5, 1.5]), 0.5),
    # The mean of F − G is 1/4 in both; H (1 − H) − h / 4 is 1/8 · 7/8 − 1/16 and 5/8 · 3/8 − 3/16
    ("anderson_darling", sides([2, 2], [0, 4], [0.5, 1.5]), (1 / 4 + 3 / 4) / 16 / (3 / 64)),
    # 0.3 + 0.2 of 1.0
    ("drift_share", given([0.3, 0.5, 0.2], [True, False, True]), 0.5),
    ("missing_ratio", given(rows=200, missing=180, absent=0, unseen=0), 0.9),
    ("missing_ratio", given(rows=3, missing=3, absent=3, unseen=0), 1.0),
    ("unseen_ratio", given(rows=200, missing=100, absent=0, unseen=3), 0.015),
    # Of 7 numbers one is out of range
    ("out_of_range_ratio", given(rows=10, missing=2, unseen=1, outside=1), 1 / 7),
    # A Sunday of 48 half-hours is there twice in a week of them
    ("duplicate_ratio", given(rows=384, copies=48), 0.125),
    ("constant", given(rows=3, missing=1, values=1), 1.0),
    ("constant", given(rows=3, missing=1, values=2), 0.0),
    ("staleness", given(now=90_000.0, newest=0.0), 90_000.0),
    ("volume", given(rows=1, usual=24.0), 1 / 24),
    ("schema", given(rows=7, missing=7, absent=6, unseen=0), 0.0),
    ("schema", given(rows=7, missing=7, absent=7, unseen=0), 1.0),
]
