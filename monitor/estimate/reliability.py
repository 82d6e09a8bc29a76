"""May an estimate be relied on? What earlier estimates said, beside what came true.

An estimate without labels holds as long as the probabilities (or the modelled errors) do. Whether they still do is seen late,
from the labels that have come since; where they do not, an estimate is not to be shown as if it were fine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np

from monitor.records import FloatArray, NoData
from monitor.stats._outcomes import BoolArray

ERRORS = 3.0  # standard errors from which on a difference is not taken for chance
BINS = 20
CALIBRATION_TOLERANCE = 0.05
REMEMBERED = 3  # windows in a row that have to agree before an estimate that was wrong is relied on again


class Trust(StrEnum):
    """Whether to rely on an estimate."""

    RELIABLE = "reliable"
    UNRELIABLE = "unreliable"
    UNPROVEN = "unproven"  # too few labels have come to tell; never shown as reliable


@dataclass(frozen=True, slots=True)
class Checked:
    """An estimate of an earlier window beside what came true, both on its labelled rows.

    Attributes:
        estimated: without looking at the labels.
        actual: from the labels.
        standard_error: of their difference, from the window's rows, if the estimator is right.
        common_error: the same from the rows that the estimator was fitted on, which all windows share.
    """

    estimated: float
    actual: float
    standard_error: float
    common_error: float = 0.0


@dataclass(frozen=True, slots=True)
class CalibrationCounts:
    """Probabilities beside labels, on bins of equal width; those of several stretches add up.

    Attributes:
        rows: by bin, shape (b,).
        stated: sum of the probabilities, shape (b,).
        positives: rows that came true, shape (b,).
        variances: what `positives` would vary by if the probabilities held: the sum of p (1 − p), shape (b,).
    """

    rows: FloatArray
    stated: FloatArray
    positives: FloatArray
    variances: FloatArray

    @classmethod
    def of(cls, probability: FloatArray, label: BoolArray) -> Self:
        """Counts of labelled rows.

        Args:
            probability: as calibrated, shape (n,), between 0 and 1. Of more than two classes: that of the predicted one.
            label: whether it came true, shape (n,).
        """
        places = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
        values = (None, probability, label.astype(np.float64), probability * (1 - probability))
        return cls(*(np.bincount(places, weights=each, minlength=BINS).astype(np.float64) for each in values))

    def __add__(self, other: CalibrationCounts) -> CalibrationCounts:
        return CalibrationCounts(
            self.rows + other.rows,
            self.stated + other.stated,
            self.positives + other.positives,
            self.variances + other.variances,
        )

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015), between 0 and 1.

        Raises:
            NoData: there is no row.
        """
        if not self.rows.any():
            raise NoData("no labelled rows")
        return float(np.abs(self.positives - self.stated).sum() / self.rows.sum())

    @property
    def chance(self) -> tuple[float, float]:
        """Mean and standard deviation of the error if every probability held: a sum of half-normal distances."""
        spread = np.sqrt(self.variances) / max(float(self.rows.sum()), 1.0)
        mean = math.sqrt(2 / math.pi) * float(spread.sum())
        return mean, math.sqrt((1 - 2 / math.pi) * float(spread @ spread))


@dataclass(frozen=True, slots=True)
class Reliability:
    """What past labels say of the estimates of one metric.

    Attributes:
        trust: the verdict.
        reason: in words for people.
        error: actual less estimated, of the newest windows that together tell enough; None without any. A metric of its own.
        standard_error: of that, if the estimator is right.
        windows: so many they are.
        calibration_error: of the labelled rows, less what chance alone would give; None without any.
    """

    trust: Trust
    reason: str
    error: float | None = None
    standard_error: float | None = None
    windows: int = 0
    calibration_error: float | None = None


def reliability(
    history: Sequence[Checked],
    tolerance: float,
    calibration: CalibrationCounts | None = None,
    calibration_tolerance: float = CALIBRATION_TOLERANCE,
) -> Reliability:
    """Judge the estimator of one metric by what it said before.

    Two keys, as for alerts. Its error has to be beyond chance, more than three standard errors (its own bounds), and of weight,
    more than the tolerance. The newest windows are taken together until they could show an error of that weight; if all of
    them could not, nothing is proven. An estimator that was wrong is relied on again once it was right three windows in a
    row. The same two keys judge the calibration of the newest labelled rows, which shows a collapse before a window is whole.

    Args:
        history: of windows whose labels have come, the oldest first.
        tolerance: the error that would matter, in the metric's unit; such as the loss from which on it would alert.
        calibration: of the newest labelled rows, if the estimate rests on probabilities.
        calibration_tolerance: the calibration error that would matter.

    >>> reliability([Checked(0.9, 0.89, 0.005)], tolerance=0.02).trust
    <Trust.RELIABLE: 'reliable'>
    >>> reliability([Checked(0.95, 0.65, 0.01)], tolerance=0.02).reason
    'estimates were off by -0.3, with a standard error of 0.01'
    """
    excess, miscalibrated = _calibration(calibration, calibration_tolerance)
    found = [_together(history[: len(history) - back], tolerance) for back in range(min(REMEMBERED, len(history)))]
    newest = found[0] if found else (None, None, 0)
    details = (*newest, excess)
    if miscalibrated is not None:
        return Reliability(Trust.UNRELIABLE, miscalibrated, *details)
    for back, (error, standard_error, _) in enumerate(found):
        if abs(error) > max(ERRORS * standard_error, tolerance):
            when = "" if back == 0 else f", {back} window{'s' if back > 1 else ''} before the newest"
            reason = f"estimates were off by {error:.3g}, with a standard error of {standard_error:.3g}{when}"
            return Reliability(Trust.UNRELIABLE, reason, *details)
    if not found:
        return Reliability(Trust.UNPROVEN, "no labels have come to compare an estimate with", *details)
    error, standard_error, _ = found[0]
    if ERRORS * standard_error > tolerance:
        reason = f"too few labels to tell an error of {tolerance:.3g}: the standard error is {standard_error:.3g}"
        return Reliability(Trust.UNPROVEN, reason, *details)
    return Reliability(Trust.RELIABLE, f"estimates were off by {error:.3g}", *details)


def _together(history: Sequence[Checked], tolerance: float) -> tuple[float, float, int]:
    """Mean error of the newest windows, weighted by what each tells, its standard error, and their number."""
    weight = weighted = common = standard_error = 0.0
    number = 0
    for checked in reversed(history):
        number += 1
        precision = 1 / max(checked.standard_error, 1e-12) ** 2
        weight, weighted = weight + precision, weighted + precision * (checked.actual - checked.estimated)
        common = max(common, checked.common_error)
        standard_error = math.sqrt(1 / weight + common**2)
        if ERRORS * standard_error <= tolerance:
            break
    return weighted / weight, standard_error, number


def _calibration(counts: CalibrationCounts | None, tolerance: float) -> tuple[float | None, str | None]:
    """The calibration error beyond chance, and what is wrong with it, if anything."""
    if counts is None or not counts.rows.any():
        return None, None
    (mean, deviation), error = counts.chance, counts.error
    excess = max(error - mean, 0.0)
    if excess > tolerance and excess > ERRORS * deviation:
        return excess, f"labels have come otherwise than the probabilities say: by {error:.3g} in the mean"
    return excess, None
