"""The Page–Hinkley test: how far have losses climbed above what they were in the reference?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from monitor.concept._losses import Baseline, Change, in_units
from monitor.records import FloatArray

SCALE = 2**32  # sums of whole numbers are exact, however they are cut into pieces
PIECE = 4096  # rows at a time: what is left of a piece is looked at again after a change
OVERSHOOT = 1.166  # twice 0.583, in standard deviations of a row: Siegmund, Sequential Analysis (1985), chapter 10
LEAST_LARGE = 10  # so many wrong rows, where a row is right or wrong: the squared skewness is rows per wrong one
MARGIN = 2.326  # the mean of one reference in a hundred lies more standard errors than that below the true one


class PageHinkleyState(TypedDict):
    """What is kept between two pieces; plain numbers, as JSON holds them.

    Attributes:
        rows: losses seen.
        height: how far the sum has climbed, in 2**-32 of the distance of the fences.
        since: rows before it last stood at 0.
    """

    rows: int
    height: int
    since: int


@dataclass(frozen=True, slots=True)
class PageHinkley:
    """The detector's settings. Only losses that rise are found.

    A sum of `loss − mean − allowance` that starts anew at 0 whenever it falls below it finds a change when it climbs above the
    threshold, and then starts anew as well. Source: Page, Biometrika 41 (1954).

    Attributes:
        low: losses below count as this; in the unit of the loss, as are the others.
        high: losses above count as this.
        mean: of the reference.
        allowance: by how much losses may exceed it.
        threshold: how far the sum may climb.
    """

    low: float
    high: float
    mean: float
    allowance: float
    threshold: float

    @classmethod
    def calibrated(cls, losses: FloatArray, *, rows_per_false_alarm: float, shift: float | None = None) -> PageHinkley:
        """The detector for losses like these of a reference, shape (n,), in order of time.

        **False alarms**: while nothing changes, a change is found once in `rows_per_false_alarm` rows on average, or less often.
        With y the sum's steps, −a their mean and θ the root of `E exp(θ y) = 1`, that takes `(exp(θ b) − 1 − θ b) / (θ a)` rows,
        where b is the threshold and what the sum overshoots it by. For normal losses this is Siegmund's approximation
        (θ = 2 a / σ²); with the θ of the reference's own losses it holds for skewed ones, too, for which the normal one is far
        too eager. Where neighbouring rows resemble each other, each counts as if it came `inflation` times (the long-run
        variance over the variance, by batch means). The allowance also covers what the reference's mean may be too low by: a
        short reference makes the detector slow rather than eager. All this is so on average over references; with a single
        one it may be a few times as often.

        Args:
            losses: of the reference.
            rows_per_false_alarm: see above.
            shift: the rise in the mean loss to be found soonest, in its unit, above 0; None: a quarter of the standard
                deviation of a loss. A rise is found after about threshold / (rise − allowance) rows.

        Raises:
            NoData: too few rows, or losses that are all alike.

        >>> wrong = (np.arange(2000) % 10 == 0).astype(float)
        >>> detector = PageHinkley.calibrated(wrong, rows_per_false_alarm=100_000)
        >>> _, changes = detector.feed(None, np.concatenate([wrong, np.ones(50)]))
        >>> changes[0].row, changes[0].since, changes[0].before, round(changes[0].after, 6)
        (2014, 2000, 0.1, 1.0)
        """
        baseline = Baseline.of(losses)
        skewness = max(float(np.mean(((baseline.units - baseline.mean) / baseline.spread) ** 3)), 0.0)
        baseline.need(LEAST_LARGE * skewness**2, "since large losses are rare in it")
        unit = baseline.high - baseline.low
        wanted = baseline.spread / 4 if shift is None else shift / unit
        drift = min(wanted, 1 - baseline.mean) / 2
        exponent = _exponent(baseline.units - baseline.mean, drift, baseline.inflation)
        climbed = _climb(rows_per_false_alarm * exponent * drift) / exponent
        margin = baseline.spread * _margin(baseline.independent_rows, skewness)
        threshold = max(climbed - OVERSHOOT * baseline.spread, 0.0)
        mean = baseline.low + unit * baseline.mean
        return cls(baseline.low, baseline.high, mean, unit * (drift + margin), unit * threshold)

    def feed(self, state: PageHinkleyState | None, losses: FloatArray) -> tuple[PageHinkleyState, list[Change]]:
        """Take in what came since, in order of time; however it is cut into pieces, the result is the same.

        Args:
            state: as the last piece left it, or None at the beginning. It is not changed.
            losses: shape (n,).

        Returns:
            The new state, and the changes that were noticed. While losses stay high, they are noticed again and again.

        Raises:
            ValueError: a loss is NaN.
        """
        rows, height, since = (state["rows"], state["height"], state["since"]) if state else (0, 0, 0)
        unit = self.high - self.low
        level = (self.mean - self.low) / unit + self.allowance / unit
        steps = np.rint((in_units(losses, self.low, self.high) - level) * SCALE).astype(np.int64)
        most = math.floor(self.threshold / unit * SCALE)
        changes = []
        at = 0
        while at < len(steps):
            path = height + np.cumsum(steps[at : at + PIECE])
            heights = path - np.minimum(np.minimum.accumulate(path), 0)
            beyond = heights > most
            found = bool(beyond.any())
            end = int(np.argmax(beyond)) + 1 if found else len(heights)
            grounded = np.flatnonzero(heights[:end] == 0)
            if len(grounded):
                since = rows + at + int(grounded[-1]) + 1
            height = int(heights[end - 1])
            at += end
            if found:
                after = level + height / SCALE / (rows + at - since)
                changes.append(Change(rows + at, since, self.mean, self.low + unit * after))
                height, since = 0, rows + at
        return {"rows": rows + len(steps), "height": height, "since": since}, changes


def _margin(rows: float, skewness: float) -> float:
    """What a mean of so many rows may be too low by, in their standard deviations: Johnson's bound (JASA 73, 1978)."""
    return MARGIN / math.sqrt(rows) + skewness * (1 + 2 * MARGIN**2) / (6 * rows)


def _exponent(centered: FloatArray, drift: float, inflation: float) -> float:
    """The root θ > 0 of `mean exp(θ inflation (x − drift)) = 1`, by Newton's method from above: the logarithm is convex."""
    most = float(centered.max())
    theta = 2 * drift / (inflation * float(np.mean(centered * centered)))

    def logarithm(theta: float) -> tuple[float, float]:
        weights = np.exp(theta * inflation * (centered - most))
        total = float(weights.sum())
        slope = float(weights @ centered) / total - drift
        return math.log(total / len(centered)) + theta * inflation * (most - drift), inflation * slope

    while logarithm(theta)[0] <= 0:
        theta *= 2
    for _ in range(60):
        value, slope = logarithm(theta)
        step = value / slope
        theta -= step
        if abs(step) < 1e-12 * theta:
            break
    return theta


def _climb(target: float) -> float:
    """The root of `exp(y) − 1 − y = target`."""
    y = math.log1p(target) + math.sqrt(2 * target) / (1 + target)
    for _ in range(60):
        y -= (math.expm1(y) - y - target) / math.expm1(y)
    return y
