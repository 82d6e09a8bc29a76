"""How much a reference differs from itself, between its own stretches: the yardstick for what a window may differ.

Rows that follow each other are alike (autocorrelation), and so are rows of one season: their counts vary more than those of
independent rows, and not evenly, but by direction. The statistic of the G-test then behaves like Σ λᵢ χ²₁ instead of χ² (Rao
& Scott, JASA 1981). The λ come from the reference alone: the eigenvalues of the covariance of its stretches' shares, in units
of what independent rows would vary, times their rows (batch means). Each stretch is compared with the others only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.calibrate.significance import g_statistic
from monitor.profile.stretches import batched
from monitor.records import FloatArray, IntArray

MOSTLY_OWN = 0.5
FEWEST = 4  # with fewer stretches than that a variance is not told at all
# An estimate from four windows says next to nothing of its own tail: by Student's law nothing would ever alert. It is trusted
# as one from nine would be, and the calibration's name says that the reference is short.
LEAST_FREEDOM = 8.0
Group = Callable[[FloatArray], FloatArray]
SHORT = 10  # a reference of fewer windows than that cannot show what differs between windows


@dataclass(frozen=True, slots=True)
class Restlessness:
    """How much more than independent rows the shares of one column vary.

    Attributes:
        weights: λ of the G-test, shape (groups - 1,), each at least 1.
        freedom: degrees of freedom their estimate rests on.
        contrasts: variance inflation of each contrast, shape (c,), at least 1; the last four are the shares of rows in the
            first and the last group, missing and unseen.
        contrast_freedom: degrees of freedom of these, shape (c,).
        rows: rows of the batches λ was read from, if they are whole windows and thus hold what differs between windows; it then
            grows with the rows of a window. inf where shorter batches told as much.
        batches: how many of the stretches make up one of those batches.
    """

    weights: FloatArray
    freedom: float
    contrasts: FloatArray
    contrast_freedom: FloatArray
    rows: float
    batches: int


def restlessness(
    counts: IntArray | FloatArray,
    expected: FloatArray | None,
    group: Group,
    own_share: Callable[[int], FloatArray],
    scores: FloatArray,
    *,
    parts: int,
    numeric: bool,
) -> Restlessness:
    """Read the restlessness of one column off the stretches of its reference.

    Batches of 1 stretch, 2, ... up to a window are tried (the divisors of `parts`), and the shortest one is taken whose
    inflation no longer one exceeds by more than a standard error: short batches are many and tell precisely, long ones hold
    what only differs between windows. Eigenvalues are shrunk to their mean (Chen et al., IEEE TSP 2010, the Rao-Blackwellised
    Ledoit-Wolf estimator); those below 1 are taken as 1, so that a reference that is more regular than chance makes no alarms.

    Args:
        counts: rows per bin of each stretch, missing and unseen, shape (s, bins + 2).
        expected: rows that the whole reference expects of rows of the same seasons, alike; None where not matched.
        group: adds bins up to the groups that the G-test looks at.
        own_share: by size of batch, which share of the rows that each is compared with are its own, shape (batches,).
        scores: contrasts on the bins, shape (c, bins + 2).
        parts: stretches in a window.
        numeric: whether the first two contrasts are level and spread.
    """
    sizes = [size for size in range(1, parts + 1) if parts % size == 0]
    levels = [_level(counts, expected, group, own_share(size), scores, size, numeric=numeric) for size in sizes]
    # What is compared with itself for the most part tells nothing.
    told = [level for level in levels if level.batches >= FEWEST and level.own <= MOSTLY_OWN] or levels[:1]
    chosen = told[settled([(level.mean, level.freedom) for level in told])]
    inflations, freedoms = [], []
    for place in range(len(scores)):
        row = told[settled([(level.contrasts[place], level.batches - 1.0) for level in told])]
        inflations.append(max(row.contrasts[place], 1.0))
        freedoms.append(min(max(row.batches - 1.0, LEAST_FREEDOM), float(row.heavy[place])))
    window_level = chosen.size == parts and parts > 0
    # Far from the reference G grows more slowly than the squares that the λ come from. What whole windows have shown of it
    # counts; of shorter batches it does not carry over, for their average lies nearer.
    bend = chosen.bend if window_level and expected is None else 1.0
    return Restlessness(
        np.maximum(chosen.weights * bend, 1.0),
        min(max(chosen.freedom, LEAST_FREEDOM), chosen.burst),
        np.array(inflations),
        np.array(freedoms),
        chosen.rows if window_level else np.inf,
        chosen.size,
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """What batches of `size` stretches tell.

    `heavy` are the degrees of freedom of each contrast's tail, `burst` those of G's, `bend` their mean G over the mean of the
    squares that it is near to, `own` the mean share of what they are compared with that is their own.
    """

    size: int
    batches: int
    rows: float
    weights: FloatArray
    mean: float
    freedom: float
    contrasts: FloatArray
    heavy: FloatArray
    burst: float
    bend: float
    own: float


def settled(levels: Sequence[tuple[float, float]]) -> int:
    """The place of the first level (inflation, degrees of freedom) that no later one exceeds by more than a standard error."""
    for place, (inflation, _) in enumerate(levels):
        later = levels[place + 1 :]
        if all(other <= inflation * (1 + np.sqrt(2 / max(freedom, 1.0))) for other, freedom in later):
            return place
    return len(levels) - 1


def _level(
    fine: IntArray | FloatArray,
    expected: FloatArray | None,
    group: Group,
    own: FloatArray,
    scores: FloatArray,
    size: int,
    *,
    numeric: bool,
) -> _Level:
    counts = batched(fine, size)
    whole = counts.sum(axis=0) / max(counts.sum(), 1.0)
    rows = counts.sum(axis=1)
    awaited = np.outer(rows, whole)
    if expected is not None:
        awaited = batched(expected, size)
        # Of a label, not every row that is awaited has come.
        awaited = awaited * (rows / np.maximum(awaited.sum(axis=1), 1e-12))[:, None]
    batches = len(counts)
    moved = (counts - awaited) / np.maximum(rows, 1.0)[:, None]
    # Left out of its own yardstick: what is compared with itself in part looks too quiet.
    root = np.sqrt(rows / (1 - np.minimum(own, 0.9)))[:, None]
    # Of the groups, the eigenvalues; of the bins, the contrasts.
    shares = group(whole)
    used = shares > 0
    scaled = (group(moved) * root)[:, used] / np.sqrt(shares[used])
    eigenvalues = np.linalg.eigvalsh(scaled.T @ scaled / batches)[::-1][: max(int(used.sum()) - 1, 1)]
    eigenvalues = _shrunk(np.maximum(eigenvalues, 0.0), batches)
    floored = np.maximum(eigenvalues, 1.0)
    # So many directions share the tail; with each of them the estimate rests on more.
    directions = float((floored**2).sum() ** 2 / (floored**4).sum())
    spread = np.maximum((whole * (scores - (scores @ whole)[:, None]) ** 2).sum(axis=1), 1e-300)
    contrasts = moved @ scores.T
    if numeric:
        contrasts[:, 1] -= contrasts[:, 0] ** 2  # as `contrast_statistic` has it
    squared = (contrasts * root) ** 2
    heavy = _heavy_freedom((squared**2).mean(axis=0), squared.mean(axis=0), batches)
    squares, grouped = (scaled**2).sum(axis=1), group(counts)
    found = float(g_statistic(grouped.sum(axis=0) - grouped, grouped).sum())
    return _Level(
        size,
        batches,
        float(rows.mean()),
        eigenvalues,
        float(eigenvalues.mean()),
        (batches - 1) * directions,
        squared.mean(axis=0) / spread,
        heavy,
        _burst_freedom(squares, eigenvalues),
        min(found / float(squares.sum()), 1.0) if squares.any() else 1.0,
        float(own.mean()),
    )


def _heavy_freedom(fourth: FloatArray, second: FloatArray, batches: int) -> FloatArray:
    """Degrees of freedom of a Student's t with the kurtosis that the batches show; inf where chance alone may have made it.

    Windows that differ by rare bursts, as a reference shows them, have heavier tails than a normal law of their variance.
    """
    excess = fourth / np.maximum(second**2, 1e-300) - 3 - 3 * np.sqrt(24 / batches)
    found: FloatArray = np.where(excess > 0, 4 + 6 / np.maximum(excess, 1e-6), np.inf)
    return found


def _burst_freedom(squares: FloatArray, eigenvalues: FloatArray) -> float:
    """As `_heavy_freedom`, of the whole: what a χ²_ν / ν below Σ λᵢ χ²₁ adds to its variance is what the batches show more."""
    total = float(eigenvalues.sum())
    if total <= 0 or len(squares) < 2:
        return np.inf
    expected = 2 * float((eigenvalues**2).sum()) / total**2
    shown = float(squares.var(ddof=1)) / max(float(squares.mean()) ** 2, 1e-300)
    excess = (1 + shown - 3 * expected * np.sqrt(8 / len(squares))) / (1 + expected) - 1
    return 4 + 2 / excess if excess > 0 else np.inf


def _shrunk(eigenvalues: FloatArray, samples: int) -> FloatArray:
    number, total, squares = len(eigenvalues), float(eigenvalues.sum()), float((eigenvalues**2).sum())
    excess = (samples + 2) * (squares - total**2 / number)
    weight = 1.0 if excess <= 0 else min(1.0, ((samples - 2) / samples * squares + total**2) / excess)
    return (1 - weight) * eigenvalues + weight * total / number
