"""One version's stream of losses: its detectors, what they have noticed and when. All of it goes through JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from monitor.check._losses import Losses
from monitor.concept import Adwin, Change, PageHinkley
from monitor.records import FloatArray, NoData

DETECTORS: Mapping[str, type[Adwin | PageHinkley]] = {"adwin": Adwin, "page_hinkley": PageHinkley}
STEP = 32  # rows from one mark to the next: as ADWIN's buckets
KEPT = 32  # so many marks are kept of each distance; older ones lie further apart
FEWEST_ROWS_PER_ALARM = 1000.0


@dataclass(slots=True)
class Noticed:
    """A change that a detector has noticed.

    Attributes:
        since: when losses began to be other ones, in Unix seconds, as far as can be told.
        noticed: when that was noticed.
        row: rows of the stream before it.
        total: sum of the losses of these rows, in units.
        before: mean loss before, in the loss's own unit.
        after: mean loss from then on until it was noticed.
    """

    since: float
    noticed: float
    row: int
    total: float
    before: float
    after: float

    @property
    def is_worse(self) -> bool:
        return self.after > self.before


@dataclass(slots=True)
class Stream:
    """A version's losses so far.

    Attributes:
        key: what it was calibrated on.
        rows_per_false_alarm: and for how many rows.
        low: losses below count as this.
        high: losses above count as this.
        baseline: mean loss of the reference, between these fences.
        reference_rows: rows that is the mean of.
        settings: of each detector; the reason where it has none.
        states: of each detector.
        changes: the newest that each detector has noticed.
        rows: seen so far.
        total: sum of their losses, in units: 0 at the lower fence, 1 at the upper one.
        last: event time of the newest row.
        marks: rows, event time and total from time to time, rising.
    """

    key: str
    rows_per_false_alarm: float
    low: float
    high: float
    baseline: float
    reference_rows: int
    settings: dict[str, dict[str, float] | str]
    states: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Noticed] = field(default_factory=dict)
    rows: int = 0
    total: float = 0.0
    last: float = 0.0
    marks: list[tuple[int, float, float]] = field(default_factory=list)

    @classmethod
    def begun(cls, key: str, losses: Losses, detectors: Sequence[str], rows_per_false_alarm: float) -> Self:
        """A stream that nothing has been fed to, on the losses of its reference.

        Raises:
            NoData: they are too few, or all alike.
        """
        rate = max(rows_per_false_alarm, FEWEST_ROWS_PER_ALARM)
        settings: dict[str, dict[str, float] | str] = {}
        fences, reason = None, ""
        for name in detectors:
            try:
                detector = DETECTORS[name].calibrated(losses.values, rows_per_false_alarm=rate)
            except NoData as error:
                settings[name] = reason = str(error)
                continue
            settings[name], fences = asdict(detector), (detector.low, detector.high)
        if fences is None:
            raise NoData(reason)
        baseline = float(np.mean(np.clip(losses.values, *fences)))
        return cls(key, rows_per_false_alarm, *fences, baseline, len(losses), settings)

    def following(self, before: Stream | None) -> Stream:
        """This stream as the continuation of another, where its losses were measured between the same fences."""
        if before is None or (before.low, before.high) != (self.low, self.high):
            return self
        self.states, self.changes = before.states, before.changes
        self.rows, self.total, self.last, self.marks = before.rows, before.total, before.last, before.marks
        return self

    def feed(self, losses: Losses) -> None:
        """Take in what came since; however it is cut into pieces, the result is the same, but for rounding."""
        if not len(losses):
            return
        self._mark(losses)
        before = self.rows - len(losses)
        for name, settings in self.settings.items():
            if isinstance(settings, str):
                continue
            detector: Any = DETECTORS[name](**settings)  # type: ignore[arg-type]
            self.states[name], changes = detector.feed(self.states.get(name), losses.values)
            for change in changes:
                noticed = self._noticed(change, float(losses.times[change.row - before - 1]))
                old = self.changes.get(name)
                if name == "page_hinkley" and old is not None:
                    # It starts anew whenever it has noticed something; while losses stay high, the rise began before.
                    noticed.since, noticed.row, noticed.total = old.since, old.row, old.total
                self.changes[name] = noticed
        self.marks = [mark for mark in self.marks if self.rows - mark[0] < KEPT * _step(mark[0])]

    def _mark(self, losses: Losses) -> None:
        units = (np.clip(losses.values, self.low, self.high) - self.low) / (self.high - self.low)
        totals = self.total + np.cumsum(units)
        if not self.rows:
            self.marks = [(0, float(losses.times[0]), 0.0)]
        for place in range((-self.rows - 1) % STEP, len(losses), STEP):
            self.marks.append((self.rows + place + 1, float(losses.times[place]), float(totals[place])))
        self.rows, self.total, self.last = self.rows + len(losses), float(totals[-1]), float(losses.times[-1])

    def _noticed(self, change: Change, when: float) -> Noticed:
        rows, times, totals = self._marks()
        since, total = float(np.interp(change.since, rows, times)), float(np.interp(change.since, rows, totals))
        return Noticed(since, when, change.since, total, change.before, change.after)

    def _marks(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        rows, times, totals = np.array([*self.marks, (self.rows, self.last, self.total)], dtype=np.float64).T
        return rows, times, totals

    def settle(self, recent: float, thresholds: Mapping[str, float]) -> None:
        """Forget each rise that is over: it was not noticed again since an event time, and losses are back below a threshold."""
        row, total = self.at(recent)
        if round(self.rows - row) < 1:
            return
        mean, _ = self.mean_since(row, total)
        for name, change in list(self.changes.items()):
            if change.noticed < recent and (not change.is_worse or mean <= thresholds[name]):
                del self.changes[name]

    def mean_since(self, row: float, total: float) -> tuple[float, int]:
        """The mean loss of the rows after so many, and how many that are."""
        rows = self.rows - row
        mean = min(max((self.total - total) / rows, 0.0), 1.0)
        return float(f"{self.low + (self.high - self.low) * mean:.10g}"), round(rows)

    def at(self, time: float) -> tuple[float, float]:
        """Rows before an event time and their total, as near as marks tell."""
        rows, times, totals = self._marks()
        if time <= times[0]:
            return 0.0, 0.0
        row = float(np.interp(time, times, rows))
        return row, float(np.interp(row, rows, totals))

    def as_json(self) -> dict[str, Any]:
        """Plain numbers and names."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `as_json`.

        Raises:
            TypeError: it is of another form.
        """
        changes = {name: Noticed(**change) for name, change in row["changes"].items()}
        return cls(**{**row, "changes": changes, "marks": [(int(r), float(t), float(s)) for r, t, s in row["marks"]]})


def _step(rows: int) -> float:
    """The distance at which a mark still stands; that of the first one never ends."""
    return float(rows & -rows) if rows else float("inf")
