"""What unchanged data would score, by resampling the reference's own stretches, where no closed form is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.calibrate.restlessness import LEAST_FREEDOM, Restlessness
from monitor.calibrate.tails import ExponentialTail, crossing
from monitor.profile import Bins, ColumnProfile, NumericBins, Reference, clipped, group_counts, histogram_pair
from monitor.profile.stretches import batched
from monitor.records import FloatArray, Histogram, NoData, Statistic

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Resampled:
    """Scores of one statistic on unchanged data, in a form that no longer depends on the number of rows.

    A score that is like a mean of n rows, or a square of one, falls off as exp(-n t² / 2λ) where many rows make it up. Where few
    far values do, it falls off no faster than their number does. Both are in Bennett's exponent (JASA 57, 1962): with the
    score t = v ** (1 / 2 rate) of a single far row being r / n, the scores are told of by 2 n h(r t) / r², where
    h(u) = (1 + u) ln(1 + u) - u; for small r t that is n t².

    Attributes:
        tail: of these.
        rate: of the statistic.
        reach: r, for scores v themselves; 0 where no value can move one far.
        inflation: of the variance, of what differs most between blocks.
        rows: of a block, where blocks are whole windows: what differs between them does not average out over more rows.
    """

    tail: ExponentialTail
    rate: float
    reach: float = 0.0
    inflation: float = 1.0
    rows: float = math.inf

    def p_value(self, value: float, n_reference: float, n_current: float) -> float:
        """How often unchanged data would score as much or more, with so many rows on either side.

        Raises:
            NoData: the score is too large for any number.
        """
        exponent = self._exponent(value, self._unit(n_reference, n_current))
        if not math.isfinite(exponent):
            raise NoData("expected values of which something finite comes")
        return self.tail.p_value(exponent)

    def threshold(self, level: float, n_reference: float, n_current: float) -> float:
        """The score that unchanged data exceed with a chance of `level`, at most a tenth."""
        unit = self._unit(n_reference, n_current)
        goal = self.tail.value(level)
        plain = float((goal * unit) ** self.rate)
        if self.reach == 0:
            return plain
        found = crossing(
            lambda score: goal - _exponents(score, np.array(unit), self.rate, self.reach), np.array([plain / 2])
        )
        return float(found[0])

    def _unit(self, n_reference: float, n_current: float) -> float:
        growth = max(1.0, n_current / self.rows)
        return 1 / n_reference + (1 + (self.inflation - 1) * growth) / self.inflation / n_current

    def _exponent(self, score: float, unit: float) -> float:
        return float(_exponents(np.array(score), np.array(unit), self.rate, self.reach))


def _exponents(scores: FloatArray, unit: FloatArray, rate: float, reach: float) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        length = scores ** (1 / (2 * rate))
        far = reach ** (1 / (2 * rate))
        plain: FloatArray = length**2 / unit
        if far == 0:
            return plain
        u = far * length
        # h(u) itself loses its digits where u is small.
        bennett = np.where(u < 1e-3, u**2 / 2 - u**3 / 6, (1 + u) * np.log1p(u) - u)
        exponents: FloatArray = np.minimum(2 * bennett / far**2 / unit, plain)
    return exponents


def resample(
    statistic: Statistic, reference: Reference, column: str, rest: Restlessness, *, rng: np.random.Generator
) -> Resampled:
    """Split the stretches of a reference at random into "reference" and "current", and score each split.

    Stretches go in batches of consecutive ones, so that rows that follow each other stay together (block permutation).
    Where the reference is matched by season, a batch is compared with what the whole reference expects of its seasons.

    Args:
        statistic: that has no closed form; on counts or on histograms.
        reference: with its stretches.
        column: of it.
        rest: of the column; its batches of stretches are the blocks.
        rng: where the splits come from.

    Raises:
        NoData: there is nothing to compare.
    """
    cut, bins, batch = reference.stretches, reference.bins[column], rest.batches
    assert cut is not None  # the caller calibrates by them
    blocks = max(len(cut) // batch, 1)
    counts = batched(cut.counts[column], batch)
    expected = batched(cut.expected[column], batch) if cut.expected else None
    taken = max(1, min(blocks // 3, round(blocks / 10)))
    chosen = np.zeros((DRAWS, blocks))
    for row in range(DRAWS):
        chosen[row, rng.permutation(blocks)[:taken]] = 1.0
    current = chosen @ counts
    others = (1 - chosen) @ counts
    if expected is not None:
        # What the whole reference expects of rows of these seasons, without these rows' own share in it.
        own = np.minimum(cut.own_share_of(chosen @ batched(cut.composed, batch)), 0.9)[:, None]
        others = np.maximum(chosen @ expected - own * current, 0.0) / (1 - own)
        worth = current.sum(axis=1, keepdims=True) * (1 / own - 1)  # in rows, as a window's baseline is
        others = others * (worth / np.maximum(others.sum(axis=1, keepdims=True), 1e-12))
    n_current, n_reference = current.sum(axis=1), others.sum(axis=1)
    if statistic.needs == "histogram":
        assert isinstance(bins, NumericBins)  # no other column has a histogram
        sums = batched(cut.sums[column], batch)
        n_current, n_reference = current[:, :-2].sum(axis=1), others[:, :-2].sum(axis=1)
        usable = (n_current > 0) & (n_reference > 0)
        within = clipped(reference.profiles[column])
        whole, _ = histogram_pair(within, within, bins)
        other_sums = (1 - chosen) @ sums if expected is None else others[:, :-2] * whole.means
        sides = [
            _histogram(whole, others[usable, :-2], other_sums[usable]),
            _histogram(whole, current[usable, :-2], (chosen @ sums)[usable]),
        ]
        scores = np.asarray(statistic.compute(*sides))
    else:
        usable = (n_current > 0) & (n_reference > 0)
        scores = np.asarray(statistic.compute(group_counts(others, bins)[usable], group_counts(current, bins)[usable]))
    if not usable.any():
        raise NoData("the reference has too few values to be compared with itself")
    unit = 1 / n_reference[usable] + 1 / n_current[usable]
    reach = _reach(statistic, reference.profiles[column], bins)
    exponents = _exponents(scores, unit, statistic.rate, reach)
    if not np.isfinite(exponents).all():
        raise NoData("the reference has values so large that nothing finite comes of them")
    tail = ExponentialTail.fit(exponents, max(blocks - 1.0, LEAST_FREEDOM))
    return Resampled(tail, statistic.rate, reach, float(rest.weights.max()), rest.rows)


def _reach(statistic: Statistic, profile: ColumnProfile, bins: Bins) -> float:
    """What one row can do to a score, times the rows: as the farthest value of the range would, beyond which none is counted."""
    if statistic.reach is None or not isinstance(bins, NumericBins):
        return 0.0
    farthest = max(bins.high - bins.center, bins.center - bins.low)
    spread = profile.spread()
    return float(statistic.reach(farthest, spread)) if spread > 0 else 0.0


def _histogram(whole: Histogram, counts: FloatArray, sums: FloatArray) -> Histogram:
    means = np.where(counts > 0, sums / np.where(counts > 0, counts, 1.0), whole.means)
    return Histogram(counts, means, whole.widths, whole.spread)
