"""The calibration of a reference: what a window of so many rows would score against it if nothing had changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np

from monitor.calibrate.resampling import Resampled, resample
from monitor.calibrate.restlessness import MOSTLY_OWN, SHORT, Restlessness, restlessness
from monitor.calibrate.significance import (
    contrast_scores,
    contrast_statistic,
    g_statistic,
    parts_of_level,
    share_p_value,
)
from monitor.calibrate.tails import (
    contrast_critical,
    contrast_tail,
    kolmogorov_critical,
    kolmogorov_tail,
    weighted_chi_square_critical,
    weighted_chi_square_tail,
)
from monitor.profile import Bins, NumericBins, Reference, Stretches, group_counts
from monitor.records import FloatArray, NoData, Statistic


@dataclass(frozen=True, slots=True)
class Evidence:
    """What unchanged data would do, for one score.

    Attributes:
        p_value: how often they would score as much or more.
        threshold: the score that they exceed with the chance that was asked for.
        kind: how that is known, such as `g_test_by_stretches`.
    """

    p_value: float
    threshold: float
    kind: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a reference says of itself.

    Attributes:
        how: `by_stretches`, `by_season`, or why it says little: `short_reference` (of fewer than ten windows),
            `undated_reference` (its rows have no time, so that their order had to do).
        bins: of the reference's columns.
        columns: the restlessness of each column.
        scores: the contrasts of each numeric column, shape (2, bins + 2); of a categorical one, shape (0, bins + 2).
        resampled: by column and statistic, where no closed form is known.
        unusable: by column and statistic, why it cannot be resampled.
    """

    how: str
    bins: Mapping[str, Bins]
    columns: Mapping[str, Restlessness]
    scores: Mapping[str, FloatArray]
    resampled: Mapping[tuple[str, str], Resampled]
    unusable: Mapping[tuple[str, str], str] = field(default_factory=dict)


def calibrate(
    reference: Reference, statistics: Mapping[str, Sequence[Statistic]], *, window_seconds: float
) -> Calibration:
    """Calibrate a reference for windows of a length. The same reference always has the same calibration.

    Args:
        reference: with its stretches.
        statistics: those that will be asked for, by column; of these, the ones without a closed form are resampled.
        window_seconds: length of the windows.

    Raises:
        ValueError: the reference has no stretches.
    """
    cut = reference.stretches
    if cut is None:
        raise ValueError("expected a reference with its stretches, got one without")
    parts = max(round(window_seconds / cut.seconds), 1) if cut.seconds else _parts_of_undated(cut)
    columns, scores, resampled, unusable = {}, {}, {}, {}
    for column in reference.columns:
        bins = reference.bins.get(column.name)
        if bins is None:
            continue
        counts, expected = cut.counts[column.name], cut.expected.get(column.name)
        whole = counts.sum(axis=0)
        numeric = isinstance(bins, NumericBins)
        scores[column.name] = contrast_scores(whole) if numeric else np.zeros((0, len(whole)))
        rest = restlessness(
            counts,
            expected,
            partial(group_counts, bins=bins),
            cut.own_share,
            _tested(scores[column.name], bins),
            parts=parts,
            numeric=numeric,
        )
        columns[column.name] = rest
        for statistic in statistics.get(column.name, ()):
            if statistic.null == "resampled":
                # Its own stream of random numbers: what is asked for beside it changes nothing.
                seed = f"{reference.fingerprint}/{column.name}/{statistic.name}"
                own = np.random.default_rng([*seed.encode()])
                try:
                    resampled[column.name, statistic.name] = resample(statistic, reference, column.name, rest, rng=own)
                except NoData as reason:
                    unusable[column.name, statistic.name] = str(reason)
    how = _how(reference, cut, window_seconds)
    return Calibration(how, reference.bins, columns, scores, resampled, unusable)


def _tested(scores: FloatArray, bins: Bins) -> FloatArray:
    """The contrasts, and indicators of the outer groups, of missing and of unseen rows.

    Missing and unseen rows are also tested by themselves; what lies outside the range comes in clusters as the outer groups do.
    """
    first, last = bins.groups == bins.groups[0], bins.groups == bins.groups[-1]
    outer = np.stack([np.append(which, [0, 0]) for which in (first, last)]).astype(np.float64)
    return np.concatenate([scores, outer, np.eye(2, len(bins) + 2, len(bins))])


def _parts_of_undated(cut: Stretches) -> int:
    """Batches of up to a tenth of a reference without times: its windows' rows are not known yet."""
    largest = max(len(cut) // SHORT, 1)
    return 1 << (largest.bit_length() - 1)


def _how(reference: Reference, cut: Stretches, window_seconds: float) -> str:
    if not cut.seconds:
        return "short_reference" if cut.dated else "undated_reference"
    windows = len(cut) * cut.seconds / window_seconds
    parts = max(round(window_seconds / cut.seconds), 1)
    # Matched by a season that it has seen once, it cannot tell what differs between two of them.
    if windows < SHORT or len(cut) < SHORT or float(cut.own_share(parts).mean()) > MOSTLY_OWN:
        return "short_reference"
    return "by_season" if reference.match else "by_stretches"


@dataclass(frozen=True, slots=True)
class Significance:
    """The G-test with its contrasts, for several columns at once.

    Attributes:
        p_values: shape (f,).
        shrink: the factor by which G and the squared contrasts would have to change for the p-value to be the level asked
            for, shape (f,); NaN where there is no difference at all.
        critical: the critical value of G, where nothing but G tells, shape (f,).
    """

    p_values: FloatArray
    shrink: FloatArray
    critical: FloatArray


def significance(
    calibration: Calibration,
    names: Sequence[str],
    reference: Sequence[FloatArray],
    current: Sequence[FloatArray],
    level: float | None = None,
) -> Significance:
    """Test columns for any difference of their counts.

    Args:
        calibration: of the reference.
        names: the columns, f of them.
        reference: by column, rows that are expected per bin, missing and unseen, shape (bins + 2,).
        current: by column, rows per bin, missing and unseen, shape (bins + 2,).
        level: the significance level whose critical values are wanted; None where only p-values are.
    """
    if not names:
        nothing = np.empty(0)
        return Significance(nothing, nothing, nothing)
    wide_reference, wide_current = (
        _padded([group_counts(counts, calibration.bins[name]) for name, counts in zip(names, side, strict=True)])
        for side in (reference, current)
    )
    g = g_statistic(wide_reference, wide_current)
    rests = [calibration.columns[name] for name in names]
    weights = _weights(rests, wide_reference, wide_current, wide_current.sum(axis=1))
    freedom = np.array([rest.freedom for rest in rests])
    contrasts, contrast_freedom = _contrasts(calibration, names, reference, current)
    shares = _shares(rests, reference, current)
    tails = [
        weighted_chi_square_tail(weights, freedom, g)[:, None],
        contrast_tail(contrasts, contrast_freedom),
        shares,
    ]
    parts = parts_of_level(contrasts)
    # The smallest p-value counts, in units of its part of the level (Bonferroni): no test is free.
    weighed = np.concatenate(tails, axis=1) / np.maximum(parts, 1e-300)
    p_values = np.minimum(weighed.min(axis=1), 1.0)
    if level is None:
        unknown = np.full(len(names), np.nan)
        return Significance(p_values, unknown, unknown)
    critical = _critical(weights, freedom, level * parts[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = [
            (critical / np.where(g > 1e-9, g, 0.0))[:, None],
            _critical_contrasts(contrast_freedom, level * parts[:, 1:-2]) / np.where(contrasts > 1e-9, contrasts, 0.0),
            # The logarithm of an exact p-value is, like a chi-square, about proportional to the square of the effect.
            np.log(level * parts[:, -2:]) / np.log(shares),
        ]
    shrink = np.abs(np.nan_to_num(np.concatenate(needed, axis=1), nan=np.inf)).min(axis=1)
    return Significance(p_values, np.where(np.isfinite(shrink), shrink, np.nan), critical)


class _Critical:
    """Critical values of G, kept: they are the same for every window as long as its rows change no weight."""

    def __init__(self, kept: int = 4096) -> None:
        self._kept = kept
        self._found: dict[tuple[bytes, float, float], float] = {}

    def __call__(self, weights: FloatArray, freedom: FloatArray, level: FloatArray) -> FloatArray:
        """By column, for weights of shape (f, k)."""
        keys = [(row.tobytes(), nu, part) for row, nu, part in zip(weights, freedom, level, strict=True)]
        found = [self._found.get(key) for key in keys]
        new = [place for place, value in enumerate(found) if value is None]
        if new:
            solved = weighted_chi_square_critical(weights[new], freedom[new], level[new])
            if len(self._found) + len(new) > self._kept:
                self._found = {}
            self._found.update(zip([keys[place] for place in new], solved.tolist(), strict=True))
            for place, value in zip(new, solved.tolist(), strict=True):
                found[place] = value
        return np.array(found, dtype=np.float64)


_critical = _Critical()


@lru_cache(maxsize=1024)
def _critical_contrast(freedom: float, level: float) -> float:
    return float(contrast_critical(np.array([freedom]), np.array([level]))[0])


def _critical_contrasts(freedom: FloatArray, level: FloatArray) -> FloatArray:
    pairs = zip(freedom.ravel().tolist(), level.ravel().tolist(), strict=True)
    found = [_critical_contrast(nu, part) if part > 0 else np.nan for nu, part in pairs]
    return np.array(found, dtype=np.float64).reshape(freedom.shape)


def _padded(vectors: Sequence[FloatArray]) -> FloatArray:
    wide = np.zeros((len(vectors), max(len(vector) for vector in vectors)))
    for row, vector in enumerate(vectors):
        wide[row, : len(vector)] = vector
    return wide


def _weights(rests: Sequence[Restlessness], reference: FloatArray, current: FloatArray, rows: FloatArray) -> FloatArray:
    """λ of each column for so many rows; a group that the reference does not know adds a plain degree of freedom."""
    wide = np.zeros_like(current)
    new = ((reference == 0) & (current > 0)).sum(axis=1)
    for row, rest in enumerate(rests):
        grown = 1 + (rest.weights - 1) * _growth(rows[row], rest)
        held = grown[: wide.shape[1]]
        wide[row, : len(held)] = held
        extra = min(int(new[row]), wide.shape[1] - len(held))
        wide[row, len(held) : len(held) + extra] = 1.0
    return wide


def _growth(rows: float, rest: Restlessness) -> float:
    """What differs between windows counts in proportion to their rows; in steps of 2 % upwards, so that critical values stay."""
    ratio = rows / rest.rows
    return 1.02 ** math.ceil(math.log(ratio) / math.log(1.02)) if ratio > 1 else 1.0


def _contrasts(
    calibration: Calibration, names: Sequence[str], reference: Sequence[FloatArray], current: Sequence[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    most = max(len(calibration.scores[name]) for name in names)
    values, freedom = np.full((len(names), most), np.nan), np.full((len(names), most), 1e9)
    has = [row for row, name in enumerate(names) if len(calibration.scores[name])]
    if not has:
        return values, freedom
    before, after = (_padded([side[row] for row in has]) for side in (reference, current))
    scores = [_padded([calibration.scores[names[row]][place] for row in has]) for place in range(most)]
    for place in range(most):
        # The second one is of the spread.
        found = contrast_statistic(before, after, scores[place], None if place == 0 else scores[0])
        for row, value in zip(has, found, strict=True):
            rest = calibration.columns[names[row]]
            values[row, place] = value / (1 + (rest.contrasts[place] - 1) * _growth(current[row].sum(), rest))
            freedom[row, place] = rest.contrast_freedom[place]
    return values, freedom


def _shares(
    rests: Sequence[Restlessness], reference: Sequence[FloatArray], current: Sequence[FloatArray]
) -> FloatArray:
    """The p-values of the share of rows missing, and of those unseen, shape (f, 2)."""
    before = np.array([counts[-2:] for counts in reference], dtype=np.float64)
    after = np.array([counts[-2:] for counts in current], dtype=np.float64)
    n_before = np.array([[counts.sum()] for counts in reference], dtype=np.float64)
    n_after = np.array([[counts.sum()] for counts in current], dtype=np.float64)
    return share_p_value(before, after, n_before, n_after, np.array([_safe_inflation(rest)[-2:] for rest in rests]))


def _safe_inflation(rest: Restlessness) -> FloatArray:
    """Two standard errors of the estimate on the safe side: no distribution is at hand that would average over it."""
    margin = np.where(rest.contrasts > 1, 1 + 2 * np.sqrt(2 / rest.contrast_freedom), 1.0)
    found: FloatArray = rest.contrasts * margin
    return found


OUTSIDE = 0.1  # so much of the level of a score goes to the rows outside of the range; these are told by few of them


def outside_p_value(
    rest: Restlessness, before: Sequence[float], after: Sequence[float], n_reference: float, n_current: float
) -> float:
    """Whether rows lie beyond the range of the reference that are not there by chance: 1 in N + 1 does on either side.

    Args:
        rest: of the column.
        before: rows of the reference below and above the range; none, unless its counts are of a later time.
        after: those of the window.
        n_reference: rows of the reference that hold a value.
        n_current: rows of the window that hold one.
    """
    sides = np.array([n_reference]), np.array([n_current])
    found = share_p_value(np.array(before, float), np.array(after, float), *sides, _safe_inflation(rest)[-4:-2])
    return min(2 * float(found.min()), 1.0)


def far_evidence(
    drawn: Resampled, value: float, within: float, outside: float, n_reference: float, n_current: float, level: float
) -> Evidence:
    """What unchanged data would do to a score that a single far value can move.

    No reference says how far its world's values reach: one that lies beyond all of them may weigh any amount. So the score
    is tested as it would be with values clipped to the reference's range, and the rows outside by their number alone.

    Args:
        drawn: the resampled score of clipped values.
        value: the score.
        within: the score of clipped values.
        outside: of the rows outside, by `outside_p_value`.
        n_reference: rows of the reference that hold a value.
        n_current: rows of the window that hold one.
        level: the significance level whose critical value is wanted.
    """
    inner = drawn.p_value(within, n_reference, n_current)
    threshold = drawn.threshold(level * (1 - OUTSIDE), n_reference, n_current) + value - within
    if outside <= level * OUTSIDE:
        threshold = min(threshold, value * math.log(level * OUTSIDE) / math.log(max(outside, 1e-300)))
    return Evidence(far_p_value(inner, outside), threshold, "resampled")


def far_p_value(inner: float, outside: float) -> float:
    """The p-value of a score within the range and of the rows outside together, each in units of its part of the level."""
    return min(inner / (1 - OUTSIDE), outside / OUTSIDE, 1.0)


def kolmogorov_evidence(
    rest: Restlessness, value: float, n_reference: float, n_current: float, level: float
) -> Evidence:
    """What unchanged data would do to Kolmogorov's distance: his distribution, as wide as the most restless direction.

    Args:
        rest: of the column.
        value: the distance.
        n_reference: rows of the reference that hold a value.
        n_current: rows of the window that hold one.
        level: the significance level whose critical value is wanted.
    """
    largest = 1 + (float(rest.weights.max()) - 1) * max(1.0, n_current / rest.rows)
    unit = math.sqrt((1 / n_reference + 1 / n_current) * largest)
    critical = kolmogorov_critical(rest.freedom, level)
    return Evidence(float(kolmogorov_tail(value / unit, rest.freedom)), critical * unit, "kolmogorov")
