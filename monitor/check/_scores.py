"""The scores of a window's columns against their baseline, with what unchanged data would do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monitor.calibrate import (
    Calibration,
    Evidence,
    Significance,
    far_evidence,
    kolmogorov_evidence,
    outside_p_value,
    significance,
)
from monitor.check._verdict import measured
from monitor.profile import (
    Baseline,
    CategoricalBins,
    ColumnProfile,
    NumericBins,
    Reference,
    clipped,
    expected,
    group_counts,
    histogram_pair,
)
from monitor.records import Column, FloatArray, Histogram, NoData, Statistic

FEWEST_REFERENCE_ROWS = 100


@dataclass(frozen=True, slots=True)
class Keys:
    """What turns the two keys of an alert.

    Attributes:
        level: the significance level of one test, from the budget of false alarms.
        material: by statistic, the effect below which nobody is alerted, where it is not the statistic's own default.
        thresholds: by statistic, a fixed threshold instead of both.
    """

    level: float
    material: Mapping[str, float]
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Score:
    """One column's score in one statistic: a value with its threshold, or the reason why there is none.

    `held_back` says that the value is significant, and only too small to matter.
    """

    column: Column
    statistic: Statistic
    value: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    calibration: str | None = None
    material: float | None = None
    held_back: bool = False
    reason: str = ""


def score_columns(
    reference: Reference,
    base: Baseline,
    current: Mapping[str, ColumnProfile],
    calibration: Calibration,
    wanted: Mapping[str, Sequence[Statistic]],
    keys: Keys,
    *,
    min_rows: int,
) -> list[Score]:
    """Score every column in every statistic that is wanted of it.

    Args:
        reference: the columns and their bins.
        base: what the window is held against.
        current: the window's profile, by column; a column that is not in it is not scored.
        calibration: of the reference.
        wanted: statistics by column.
        keys: what a breach takes.
        min_rows: with fewer rows nothing is said.
    """
    columns = {column.name: column for column in reference.columns if column.name in current}
    told = list(columns)
    sides = {
        name: (
            np.asarray(group_counts(base.counts[name], reference.bins[name]), dtype=np.float64),
            np.asarray(group_counts(_with_rest(current[name]), reference.bins[name]), dtype=np.float64),
        )
        for name in told
    }
    awaited = [expected(base, reference, name) for name in told]
    counted = [np.asarray(_with_rest(current[name]), dtype=np.float64) for name in told]
    tested = significance(calibration, told, awaited, counted, keys.level)
    places = {name: place for place, name in enumerate(told)}
    scores = []
    for name, column in columns.items():
        for statistic in wanted.get(name, ()):
            # Those compared by their values have as many rows as hold one.
            by_value = statistic.needs == "histogram" or statistic.null == "kolmogorov"
            rows = int(current[name].counts.sum()) if by_value else current[name].rows
            try:
                if rows < min_rows:
                    raise NoData(f"expected at least {min_rows} rows, got {rows}")
                if base.rows < FEWEST_REFERENCE_ROWS:
                    raise NoData(
                        f"expected a reference of at least {FEWEST_REFERENCE_ROWS} rows, got {math.floor(base.rows)}"
                    )
                pair = _Pair(reference, base, current[name], name, sides[name])
                scores.append(_score(column, statistic, pair, calibration, tested, places[name], keys))
            except (NoData, ArithmeticError) as reason:  # values at the end of what a float holds
                fixed = keys.thresholds.get(statistic.name)
                threshold = (
                    fixed if fixed is not None else keys.material.get(statistic.name, statistic.default_material)
                )
                scores.append(Score(column, statistic, threshold=threshold, material=threshold, reason=str(reason)))
    return scores


def _with_rest(profile: ColumnProfile) -> Any:
    return np.append(profile.counts, [profile.missing, profile.unseen])


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both sides of one column."""

    reference: Reference
    base: Baseline
    current: ColumnProfile
    name: str
    groups: tuple[FloatArray, FloatArray]

    def inputs(self, statistic: Statistic) -> tuple[Any, Any]:
        """What the statistic compares."""
        if statistic.needs == "counts":
            return self.groups
        bins = self.reference.bins[self.name]
        assert isinstance(bins, NumericBins)  # the configuration asks for histograms of numeric columns only
        before, after = histogram_pair(self.reference.profiles[self.name], self.current, bins)
        return Histogram(self.base.counts[self.name][:-2], before.means, before.widths, before.spread), after

    def within(self, statistic: Statistic) -> float:
        """The score of both sides' values clipped to the range of the reference.

        Raises:
            NoData: nothing finite comes of them.
        """
        held = replace(
            self,
            reference=replace(self.reference, profiles={self.name: clipped(self.reference.profiles[self.name])}),
            current=clipped(self.current),
        )
        return measured(statistic, *held.inputs(statistic))

    def with_unseen(self, statistic: Statistic) -> float:
        """The score of counts with as many unseen rows as are to be expected.

        Raises:
            NoData: nothing finite comes of them.
        """
        awaited = np.asarray(
            group_counts(expected(self.base, self.reference, self.name), self.reference.bins[self.name])
        )
        return measured(statistic, awaited, self.groups[1])

    def rows(self, statistic: Statistic) -> tuple[float, float]:
        """Rows that are compared: all of them, or those that hold a value."""
        if statistic.needs == "counts":
            return float(self.groups[0].sum()), float(self.groups[1].sum())
        return float(self.base.counts[self.name][:-2].sum()), float(self.current.counts.sum())


def _score(
    column: Column,
    statistic: Statistic,
    pair: _Pair,
    calibration: Calibration,
    tested: Significance,
    place: int,
    keys: Keys,
) -> Score:
    value = measured(statistic, *pair.inputs(statistic))
    if statistic.name in keys.thresholds:
        return Score(column, statistic, value, keys.thresholds[statistic.name], calibration="fixed")
    material = keys.material.get(statistic.name, statistic.default_material or 0.0)
    evidence = _evidence(statistic, pair, calibration, tested, place, value, keys.level)
    return Score(
        column,
        statistic,
        value,
        max(material, evidence.threshold),
        evidence.p_value,
        f"{evidence.kind}_{calibration.how}",
        material,
        held_back=value > evidence.threshold,
    )


def _evidence(
    statistic: Statistic,
    pair: _Pair,
    calibration: Calibration,
    tested: Significance,
    place: int,
    value: float,
    level: float,
) -> Evidence:
    n_reference, n_current = pair.rows(statistic)
    if statistic.null == "kolmogorov":
        return kolmogorov_evidence(calibration.columns[pair.name], value, n_reference, n_current, level)
    if statistic.null == "resampled":
        if (pair.name, statistic.name) in calibration.unusable:
            raise NoData(calibration.unusable[pair.name, statistic.name])
        drawn = calibration.resampled[pair.name, statistic.name]
        if statistic.reach is not None:
            before, rest = pair.reference.profiles[pair.name], calibration.columns[pair.name]
            outside = outside_p_value(rest, before.outside, pair.current.outside, n_reference, n_current)
            within = pair.within(statistic) if pair.current.outside != (0, 0) or before.outside != (0, 0) else value
            return far_evidence(drawn, value, within, outside, n_reference, n_current, level)
        held = value if statistic.needs == "histogram" else pair.with_unseen(statistic)
        threshold = drawn.threshold(level, n_reference, n_current) + value - held
        return Evidence(drawn.p_value(held, n_reference, n_current), threshold, "resampled")
    p_value = float(tested.p_values[place])
    threshold = _threshold(
        statistic, tested, place, value, 1 / n_reference + 1 / n_current, significant=p_value <= level
    )
    return Evidence(p_value, threshold, "g_test")


def _threshold(
    statistic: Statistic, tested: Significance, place: int, value: float, unit: float, *, significant: bool
) -> float:
    """The score at which the test of the counts would just be significant.

    These statistics are functions of the same counts as G, and for small changes proportional to it, or to its root. Where
    the formula would contradict the test, because the change is large or because a contrast has decided, the threshold is where
    the score would lie if the change were so much smaller or larger.
    """
    rate, shrink = statistic.rate or 1.0, float(tested.shrink[place])
    if statistic.per_chi_square is not None:
        scale = statistic.per_chi_square * (unit if statistic.rate else 1.0)
        formula = float((tested.critical[place] * scale) ** rate)
        if math.isnan(shrink) or (value > formula) == significant:
            return formula
    return 0.0 if math.isnan(shrink) else value * shrink**rate


def kinds(reference: Reference) -> dict[str, str]:
    """By column with bins, `numeric` or `categorical`."""
    return {
        name: "categorical" if isinstance(bins, CategoricalBins) else "numeric" for name, bins in reference.bins.items()
    }
