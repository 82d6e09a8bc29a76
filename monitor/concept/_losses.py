"""Losses between two fences, and what a reference says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from monitor.records import FloatArray, NoData

LEAST_ROWS = 500  # independent ones; from fewer, means are too uncertain for any promise
BATCHES = 64  # a long-run variance from fewer batch means is off by more than a fifth too often
FAR = 2.0**1020  # the distance of two of these is still a float
NEAR = 2.0**-900  # and a small part of this as well


@dataclass(frozen=True, slots=True)
class Change:
    """A change in the mean of the losses.

    Attributes:
        row: rows seen when it was noticed, counted from the first one ever fed.
        since: rows before the change, as far as can be told.
        before: mean loss before it.
        after: mean loss from it on.
    """

    row: int
    since: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """The losses of a reference, in units: 0 at the lower fence, 1 at the upper one.

    Attributes:
        low: the lower fence, in the unit of the loss.
        high: the upper one.
        units: the losses, shape (n,).
        mean: their mean.
        spread: their standard deviation.
        inflation: how many rows tell as much as one independent row: the long-run variance over the variance, at least 1.
    """

    low: float
    high: float
    units: FloatArray
    mean: float
    spread: float
    inflation: float

    @classmethod
    def of(cls, losses: FloatArray) -> Baseline:
        """Of the losses of unchanged rows, shape (n,), in order of time.

        Raises:
            NoData: too few rows, or losses that are all alike.
        """
        if len(losses) < LEAST_ROWS:
            raise NoData(f"expected at least {LEAST_ROWS} labelled rows of the reference, got {len(losses)}")
        low, high = _fences(losses)
        if high - low < NEAR:
            raise NoData(f"expected losses of the reference that differ, got only {low:g}")
        units = in_units(losses, low, high)
        inflation = _inflation(units)
        baseline = cls(low, high, units, float(np.mean(units)), float(np.std(units)), inflation)
        baseline.need(LEAST_ROWS, "since neighbouring rows resemble each other")
        return baseline

    @property
    def independent_rows(self) -> float:
        """So many independent rows would tell as much."""
        return len(self.units) / self.inflation

    def need(self, rows: float, reason: str) -> None:
        """Refuse a reference of fewer independent rows.

        Raises:
            NoData: with the number of rows that would be enough.
        """
        if self.independent_rows < rows:
            enough, given = math.ceil(rows * self.inflation), len(self.units)
            raise NoData(f"expected at least {enough} labelled rows of the reference, {reason}, got {given}")


def in_units(losses: FloatArray, low: float, high: float) -> FloatArray:
    """The losses as 0 (at the lower fence or below it) to 1 (at the upper one or above it), shape (n,).

    Raises:
        ValueError: a loss is NaN.
    """
    if np.isnan(losses).any():
        raise ValueError("expected losses that are numbers, got NaN")
    units: FloatArray = (np.clip(losses, low, high) - low) / (high - low)
    return units


def _fences(losses: FloatArray) -> tuple[float, float]:
    """As far beyond the first and the last percentile as these are from the median, but not beyond the losses themselves.

    One loss of 1e6 would hide all others. Where a percentile is the median itself (a class that is hardly ever wrong), what lies
    beyond it is all there is to see, and nothing is cut off.
    """
    losses = np.clip(losses, -FAR, FAR)
    first, middle, last = (float(each) for each in np.quantile(losses, [0.01, 0.5, 0.99]))
    least, most = float(losses.min()), float(losses.max())
    low = max(least, 2 * first - middle) if first < middle else least
    high = min(most, 2 * last - middle) if last > middle else most
    return low, high


def _inflation(units: FloatArray) -> float:
    """The largest that neighbours, and the means of batches of any length, tell; it is on the safe side.

    On independent rows the variance of a batch's mean is the rows' variance over its length. Where neighbours resemble each
    other, or losses have their hours and days, it is more: batch means, as in steady-state simulation (Law, Simulation Modeling
    and Analysis, 9.5.3). Batches of a short reference are too short to tell; then neighbours do, as if losses were
    autoregressive of the first order: (1 + r) / (1 − r).
    """
    centered = units - np.mean(units)
    variance = float(np.mean(np.square(centered)))
    neighbours = float(np.mean(centered[1:] * centered[:-1])) / variance
    largest, length = max((1 + neighbours) / max(1 - neighbours, 1 / len(units)), 1.0), 2
    while len(units) >= BATCHES * length:
        batches = len(units) // length
        means = centered[: batches * length].reshape(batches, length).mean(axis=1)
        largest = max(largest, length * float(np.var(means, ddof=1)) / variance)
        length *= 2
    return largest
