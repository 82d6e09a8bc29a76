"""From scores to shares and delays: every method at its own threshold, which unchanged windows exceed at one common rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks._changes import LENGTH
from monitor.records import FloatArray

FEATURES = 20  # of the model
ALARMS = 0.01  # share of unchanged windows in which a method may alarm for any of them
LEVEL = 1 - (1 - ALARMS) ** (1 / FEATURES)  # and for one
NOISE = 2.5  # standard errors


@dataclass(frozen=True)
class Threshold:
    """The score that unchanged windows exceed at the common rate, and what it could as well have been."""

    value: float
    low: float
    high: float


def threshold(scores: FloatArray, level: float = LEVEL) -> Threshold:
    """The quantile of unchanged scores at `1 - level`, and those a standard error of its rank to either side.

    A score beyond it alarms, so ties are on the safe side. A window that cannot be scored does not alarm.
    """
    ordered = np.sort(np.nan_to_num(scores.ravel(), nan=-np.inf))
    beyond = level * len(ordered)

    def at(number: float) -> float:
        return float(ordered[max(0, len(ordered) - 1 - math.floor(max(number, 0.0)))])

    return Threshold(at(beyond), at(beyond + math.sqrt(beyond)), at(beyond - math.sqrt(beyond)))


@dataclass(frozen=True)
class Power:
    """What one method makes of one scenario.

    Attributes:
        detected: share of windows, by copy of the feature, shape (copies,).
        delays: windows until the first that is detected, of every trial; beyond a trial's length where none is.
        wobble: how much the share may be off because the threshold is an estimate.
    """

    detected: FloatArray
    delays: FloatArray
    wobble: float

    @property
    def share(self) -> float:
        return float(self.detected.mean())

    @property
    def delay(self) -> float:
        return float(np.median(self.delays))


def power(scores: FloatArray, limit: Threshold, also: np.ndarray | None = None) -> Power:
    """Share and delay of scores of shape (copies, trials × 20); `also` must hold for a window to count."""
    held = np.nan_to_num(scores, nan=-np.inf)
    found = held > limit.value
    if also is not None:
        found &= also
    by_trial = found.reshape(-1, LENGTH)
    delays = np.where(by_trial.any(axis=1), by_trial.argmax(axis=1) + 1.0, LENGTH + 1.0)
    wobble = abs(float((held > limit.low).mean() - (held > limit.high).mean())) / 2
    return Power(found.mean(axis=1), delays, wobble)


@dataclass(frozen=True)
class Row:
    """One scenario at one size of window."""

    scenario: str
    rows: int
    ours: Power
    floored: Power
    peers: dict[str, Power]
    quality: Power

    @property
    def best(self) -> str:
        """The peer's score that detects most."""
        return max(self.peers, key=lambda method: self.peers[method].share)

    @property
    def lead(self) -> float:
        """How much more than the best peer we detect."""
        return self.ours.share - self.peers[self.best].share

    @property
    def noise(self) -> float:
        """The standard error of the lead: of the copies, paired, and of both thresholds."""
        paired = self.ours.detected - self.peers[self.best].detected
        of_mean = float(paired.std(ddof=1)) / math.sqrt(len(paired)) if len(paired) > 1 else 0.0
        return math.sqrt(of_mean**2 + self.ours.wobble**2 + self.peers[self.best].wobble ** 2)

    @property
    def verdict(self) -> str:
        """`ahead`, `level` or `behind`, by more than 2.5 standard errors."""
        if self.lead < -NOISE * self.noise - 1e-9:
            return "behind"
        return "ahead" if self.lead > NOISE * self.noise + 1e-9 else "level"
