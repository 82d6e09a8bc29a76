"""ADWIN: a window of losses that grows while nothing changes, and is cut where its older part differs from its newer one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from monitor.concept._losses import Baseline, Change, in_units
from monitor.records import FloatArray

BUCKETS = 5  # of each size: the paper's M


class AdwinState(TypedDict):
    """What is kept between two pieces; plain numbers, as JSON holds them.

    Attributes:
        rows: losses seen.
        sums: sum of the losses in each bucket of the window, from the oldest on.
        squares: sum of their squares.
        levels: how many buckets there are of 1, 2, 4, ... times `clock` rows.
        pending: losses that don't fill a bucket yet.
    """

    rows: int
    sums: list[float]
    squares: list[float]
    levels: list[int]
    pending: list[float]


@dataclass(frozen=True, slots=True)
class Adwin:
    """The detector's settings. Changes in either direction are found.

    The window is cut between two of its parts, of n0 and n1 rows, when their means differ by at least
    `√(2 σ² l / m) + 2 l / (3 m)`, with `1/m = 1/n0 + 1/n1`, σ² the variance of the window and `l = ln(2 / δ')`; its oldest bucket
    then falls away, until no cut is left. Source: Bifet and Gavaldà, Learning from Time-Changing Data with Adaptive Windowing
    (SDM 2007), ADWIN2. Where we depart from it:

    - Losses enter in buckets of `clock` rows, and cuts are looked for as often. So a window of n rows has about
      5 log2(n / clock) buckets.
    - δ' is δ over the number of cuts that are looked at, where the paper has δ over n, for all cuts that there might be.
    - m is divided by `inflation`, since n rows of which neighbours resemble each other tell as much as n / inflation rows.

    **False alarms**: on losses whose mean does not change, a look finds a change with probability δ at most, and δ is
    `clock / rows_per_false_alarm`: no more than one in so many rows on average. That is the paper's bound, for a known σ²; with
    σ² taken from the window it is an approximation, and in simulation false alarms are far fewer than that.

    Attributes:
        rows_per_false_alarm: see above.
        low: losses below count as this; in the unit of the loss, as is `high`.
        high: losses above count as this.
        inflation: how many rows tell as much as one independent row, at least 1.
        clock: rows from one look to the next.

    >>> detector = Adwin(rows_per_false_alarm=100_000)
    >>> state, changes = detector.feed(None, np.repeat([0.0, 1.0], [960, 64]))
    >>> changes
    [Change(row=992, since=960, before=0.0, after=1.0)]
    """

    rows_per_false_alarm: float
    low: float = 0.0
    high: float = 1.0
    inflation: float = 1.0
    clock: int = 32

    @classmethod
    def calibrated(cls, losses: FloatArray, *, rows_per_false_alarm: float, clock: int = 32) -> Adwin:
        """The detector for losses like these of a reference, shape (n,), in order of time.

        Raises:
            NoData: too few rows, or losses that are all alike.
        """
        baseline = Baseline.of(losses)
        return cls(rows_per_false_alarm, baseline.low, baseline.high, baseline.inflation, clock)

    def feed(self, state: AdwinState | None, losses: FloatArray) -> tuple[AdwinState, list[Change]]:
        """Take in what came since, in order of time; however it is cut into pieces, the result is the same.

        Args:
            state: as the last piece left it, or None at the beginning. It is not changed.
            losses: shape (n,).

        Returns:
            The new state, and the changes that were noticed, each told by the cut that stood out most. One change may be
            noticed at several looks, until most of what was before it has left the window.

        Raises:
            ValueError: a loss is NaN.
        """
        before = state or AdwinState(rows=0, sums=[], squares=[], levels=[], pending=[])
        units = np.concatenate([before["pending"], in_units(losses, self.low, self.high)])
        blocks = len(units) // self.clock
        looks = units[: blocks * self.clock].reshape(blocks, self.clock)
        window = _Window(self, before["sums"], before["squares"], before["levels"])
        row = before["rows"] - len(before["pending"])
        changes = []
        for total, squares in zip(looks.sum(axis=1).tolist(), np.square(looks).sum(axis=1).tolist(), strict=True):
            row += self.clock
            window.add(total, squares)
            change = window.cut(row)
            if change is not None:
                changes.append(change)
        return {
            "rows": before["rows"] + len(losses),
            "sums": window.sums,
            "squares": window.squares,
            "levels": window.levels,
            "pending": units[blocks * self.clock :].tolist(),
        }, changes


class _Window:
    """An exponential histogram of the losses in the window (Datar et al., SIAM J. Comput. 31, 2002)."""

    def __init__(self, settings: Adwin, sums: list[float], squares: list[float], levels: list[int]) -> None:
        self.settings = settings
        self.sums, self.squares, self.levels = list(sums), list(squares), list(levels)
        self.sizes = [settings.clock << level for level in reversed(range(len(levels))) for _ in range(levels[level])]

    def add(self, total: float, squares: float) -> None:
        """Put in a bucket of `clock` rows; of too many of one size, the two oldest become one."""
        self.sums.append(total)
        self.squares.append(squares)
        self.sizes.append(self.settings.clock)
        levels = self.levels
        if not levels:
            levels.append(0)
        levels[0] += 1
        level, place = 0, len(self.sums)
        while levels[level] > BUCKETS:
            place -= levels[level]
            for side in (self.sums, self.squares, self.sizes):
                side[place] += side.pop(place + 1)  # type: ignore[assignment]
            levels[level] -= 2
            level += 1
            if level == len(levels):
                levels.append(0)
            levels[level] += 1
            place += 1

    def cut(self, row: int) -> Change | None:
        """Let the oldest buckets fall away as long as there is a cut."""
        place = self._cut()
        if place is None:
            return None
        # What falls away first is not yet the change: that lies where the two parts differ most.
        older, newer = sum(self.sizes[:place]), sum(self.sizes[place:])
        low, high = self.settings.low, self.settings.high
        before, after = sum(self.sums[:place]) / older, sum(self.sums[place:]) / newer
        while place is not None:
            for side in (self.sums, self.squares, self.sizes):
                side.pop(0)
            self.levels[-1] -= 1
            if not self.levels[-1]:
                self.levels.pop()
            place = self._cut()
        return Change(row, row - newer, *(low + (high - low) * mean for mean in (before, after)))

    def _cut(self) -> int | None:
        """The number of buckets before the cut that goes furthest beyond its bound; None where none does."""
        if len(self.sizes) < 2:
            return None
        sums, sizes = np.cumsum(self.sums), np.cumsum(self.sizes)
        rows, total = float(sizes[-1]), float(sums[-1])
        older, newer = sizes[:-1], rows - sizes[:-1]
        mean = total / rows
        variance = max(math.fsum(self.squares) / rows - mean * mean, 0.0)
        settings = self.settings
        delta = settings.clock / settings.rows_per_false_alarm / len(older)
        reach = settings.inflation * math.log(2 / delta)
        # Mean of the older part less that of the newer one is the older part's excess over the window's mean, times 1/m.
        per_row = rows / (older * newer)
        differences = np.abs(sums[:-1] - mean * older) * per_row
        excess = differences / (np.sqrt(2 * variance * reach * per_row) + 2 / 3 * reach * per_row)
        place = int(np.argmax(excess))
        return place + 1 if excess[place] >= 1 else None
