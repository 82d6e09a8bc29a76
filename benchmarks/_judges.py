"""What judges windows in the benchmarks: the drift check itself, or a plain G-test as a yardstick for the harness.

A judge is called with a reference (bins, profiles, stretches) and the profiles of windows of one length, and gives for every
window and test a p-value, a value and whether the value is material. Tests are columns × statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import chdtrc

from benchmarks._populations import HOUR
from monitor.profile import (
    ColumnProfile,
    NumericBins,
    Profile,
    Reference,
    baseline,
    clipped,
    comparable,
    expected,
    group_counts,
    histogram_pair,
)
from monitor.records import FloatArray, Histogram, Statistic

MONTH = 30 * 24 * HOUR
LOOKS = int(MONTH / HOUR)  # hourly windows in a model-month
BUDGET = 1.0  # false alerts per model and month
SIZES = (1, 10, 100)  # features of the models that are told of
ASKED = 3  # so many windows of each reference are judged by the check itself, too


@dataclass(frozen=True)
class Judged:
    """What a judge says of `w` windows in `t` tests.

    Attributes:
        tests: column and statistic of each test, t of them.
        p_values: shape (w, t); NaN where the judge says `no_data`.
        values: shape (w, t).
        material: whether a value is beyond its default floor, shape (w, t).
        levels: by number of features, the significance level of one test in one look.
        disagreements: verdicts that were not what p-value and level say (of those the judge gave by itself).
    """

    tests: tuple[tuple[str, str], ...]
    p_values: FloatArray
    values: FloatArray
    material: np.ndarray
    levels: Mapping[int, float]
    disagreements: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are tested, each once."""
        return tuple(dict.fromkeys(column for column, _ in self.tests))

    def breached(self, features: int) -> np.ndarray:
        """Which tests are significant, whatever the effect's size: shape (w, t)."""
        return np.nan_to_num(self.p_values, nan=1.0) < self.levels[features]

    def by_column(self) -> tuple[FloatArray, np.ndarray]:
        """By column, the smallest p-value, and whether any value is material: both of shape (w, columns).

        The smallest of several is no p-value itself; it is a score whose own level is found on unchanged windows.
        """
        places = [[at for at, (name, _) in enumerate(self.tests) if name == column] for column in self.columns]
        smallest = np.stack([self.p_values[:, held].min(axis=1) for held in places], axis=1)
        return smallest, np.stack([self.material[:, held].any(axis=1) for held in places], axis=1)


class Judge(Protocol):
    """Judges windows of one length, an hour if nothing else is said, which follow each other."""

    def __call__(
        self,
        reference: Reference,
        windows: Iterable[Profile],
        features: tuple[int, ...] = SIZES,
        window_seconds: float = HOUR,
    ) -> Judged:
        """Judge the windows as those of models with so many features like the reference's."""


def g_test(
    reference: Reference,
    windows: Iterable[Profile],
    features: tuple[int, ...] = SIZES,
    window_seconds: float = HOUR,
) -> Judged:
    """A plain G-test on the groups, with half of the budget divided evenly over looks and features.

    It knows nothing of autocorrelation nor of small counts: a yardstick, and what the harness is tested with.
    """
    held = list(windows)
    names = list(reference.bins)
    p_values, values = np.full((len(held), len(names)), np.nan), np.zeros((len(held), len(names)))
    for place, name in enumerate(names):
        bins = reference.bins[name]
        before = comparable(reference.profiles[name], bins)
        after = np.stack([comparable(window.columns[name], bins) for window in held])
        values[:, place], degrees = g_statistic(before, after)
        p_values[:, place] = chdtrc(np.maximum(degrees, 1), values[:, place])
    levels = {number: BUDGET * window_seconds / (2 * MONTH * number) for number in features}
    tests = tuple((name, "g_test") for name in names)
    return Judged(tests, p_values, values, np.ones(values.shape, dtype=bool), levels)


def g_statistic(before: np.ndarray, after: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """G of each row of `after`, shape (w, k), against `before`, shape (k,); and the degrees of freedom."""
    rows = after.sum(axis=1, keepdims=True)
    pooled = (before + after) / (before.sum() + rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        old = np.where(before > 0, before * np.log(before / (pooled * before.sum())), 0.0)
        new = np.where(after > 0, after * np.log(after / (pooled * rows)), 0.0)
    return 2 * (old + new).sum(axis=1), ((before + after) > 0).sum(axis=1) - 1.0


def drift_check(
    reference: Reference,
    windows: Iterable[Profile],
    features: tuple[int, ...] = SIZES,
    window_seconds: float = HOUR,
) -> Judged:
    """The drift check with its default statistics and floors, calibrated on the reference.

    All windows are scored at once, by column, with the check's own calibration and statistics. The check itself judges the
    first few one by one: a p-value or verdict that differs is counted as a disagreement.
    """
    from monitor.calibrate import calibrate
    from monitor.check.drift import Options, wanted_statistics

    wanted = wanted_statistics(reference, Options().statistics)
    calibration = calibrate(reference, wanted, window_seconds=window_seconds)
    held = list(windows)
    tests = tuple((name, found.name) for name, statistics in wanted.items() for found in statistics)
    levels = {number: _level(number * len(tests) / len(wanted), window_seconds) for number in features}
    p_values, values = np.full((len(held), len(tests)), np.nan), np.full((len(held), len(tests)), np.nan)
    floors = np.zeros(len(tests))
    for name, statistics in wanted.items():
        column = _Column(reference, calibration, name, held)
        for found in statistics:
            at = tests.index((name, found.name))
            values[:, at], p_values[:, at] = column.scored(found)
            floors[at] = found.default_material or 0.0
    level = levels[max(features)]
    wrong = _disagreements(reference, calibration, wanted, held[:ASKED], p_values, level)
    with np.errstate(invalid="ignore"):
        return Judged(tests, p_values, values, values > floors, levels, wrong)


def _level(tests: float, window_seconds: float) -> float:
    from monitor.calibrate import significance_level

    return significance_level(
        at_most=BUDGET,
        per_seconds=MONTH,
        every_seconds=window_seconds,
        size_seconds=window_seconds,
        tests=max(round(tests), 1),
    )


class _Column:
    """All windows of one column against its reference."""

    def __init__(self, reference: Reference, calibration: Any, name: str, windows: list[Profile]) -> None:
        self.calibration, self.name, self.bins = calibration, name, reference.bins[name]
        self.whole, self.profiles = reference.profiles[name], [window.columns[name] for window in windows]
        # One baseline for all windows: worlds have no season.
        base = baseline(reference, Profile(0, 0.0, 0.0))
        self.expected = expected(base, reference, name)
        self.before = np.asarray(group_counts(base.counts[name], self.bins), dtype=np.float64)
        after = [np.append(each.counts, [each.missing, each.unseen]) for each in self.profiles]
        self.counts = np.stack(after) if after else np.zeros((0, len(self.bins) + 2))
        self.after = np.asarray(group_counts(self.counts, self.bins), dtype=np.float64)

    def scored(self, statistic: Statistic) -> tuple[FloatArray, FloatArray]:
        """Values and p-values of one statistic; NaN where it has no data."""
        if statistic.null == "g_test":
            return np.asarray(statistic.compute(self.before, self.after)), self.g_test()
        if statistic.null != "resampled":
            raise ValueError(f"expected a statistic of the drift check's default, got {statistic.name}")
        sides, rows = ((self.before, self.after), (self.before.sum(), self.after.sum(axis=1)))
        if statistic.needs == "histogram":
            sides, rows = self.histograms(), (self.whole.counts.sum(), self.counts[:, :-2].sum(axis=1))
        told = rows[1] > 0
        values, p_values = np.full(len(told), np.nan), np.full(len(told), np.nan)
        values[told] = statistic.compute(*sides)
        drawn = self.calibration.resampled[self.name, statistic.name]
        from monitor.calibrate import far_p_value, outside_p_value

        far = statistic.reach is not None
        tested = np.asarray(statistic.compute(*self.histograms(within=True))) if far else values[told]
        found = [
            drawn.p_value(float(value), float(rows[0]), float(number))
            for value, number in zip(tested, rows[1][told], strict=True)
        ]
        if far:
            found = [
                far_p_value(inner, outside_p_value(self.rest, self.whole.outside, each.outside, rows[0], number))
                for inner, each, number in zip(found, self.held(told), rows[1][told], strict=True)
            ]
        p_values[told] = found
        return values, p_values

    @property
    def rest(self) -> Any:
        """How much the column varies between windows."""
        return self.calibration.columns[self.name]

    def held(self, told: Any) -> list[ColumnProfile]:
        """The windows that hold a value."""
        return [each for each, has in zip(self.profiles, told, strict=True) if has]

    def g_test(self) -> FloatArray:
        """The p-values of the check's own significance test."""
        from monitor.calibrate import significance

        number = len(self.after)
        return significance(
            self.calibration, [self.name] * number, [self.expected] * number, list(self.counts * 1.0)
        ).p_values

    def histograms(self, *, within: bool = False) -> tuple[Histogram, Histogram]:
        """Both sides on the fine bins, the windows that hold a value along the first axis; or those of clipped values."""
        assert isinstance(self.bins, NumericBins)
        base, _ = histogram_pair(self.whole, self.whole, self.bins)
        told = self.counts[:, :-2].sum(axis=1) > 0
        counts = self.counts[told, :-2]
        sums = np.stack([(clipped(each) if within else each).sums for each in self.profiles])[told]
        means = np.where(counts > 0, sums / np.maximum(counts, 1), base.means)
        return base, Histogram(counts, means, base.widths, base.spread)


def _disagreements(
    reference: Reference,
    calibration: Any,
    wanted: Mapping[str, list[Statistic]],
    windows: list[Profile],
    p_values: FloatArray,
    level: float,
) -> int:
    """How many scores of these windows the check itself would have given another p-value or verdict."""
    from monitor.check._scores import Keys, score_columns
    from monitor.profile import baseline

    wrong = 0
    for row, window in enumerate(windows):
        base = baseline(reference, window)
        scores = score_columns(reference, base, window.columns, calibration, wanted, Keys(level, {}, {}), min_rows=1)
        for found, mine in zip(scores, p_values[row], strict=True):
            said = float("nan") if found.p_value is None else found.p_value
            same = np.isclose(said, mine, rtol=1e-6, atol=1e-12, equal_nan=True)
            wrong += not same or found.held_back != bool(said < level)
    return wrong


JUDGES: Mapping[str, Judge] = {"drift": drift_check, "g_test": g_test}
