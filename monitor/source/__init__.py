"""Where events, labels and references come from; one file per kind.

A source is a module with `Options`, `ROLES` (what it can be: `reference`, `predictions`, `labels`), and, by role,
`open_source` (an `EventSource`) and `read_reference`. `HEAVY` says that it is read in a child process by the daemon.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

from monitor.config import Model
from monitor.profile import Cutter, Profile, Reference
from monitor.records import Column, EventBatch, LabelledBatch, Window


class SourceError(Exception):
    """A source that cannot be read; the message names what was expected and what was found."""


class EventSource(Protocol):
    """Where one model's predictions and labels are read, whatever kind of source they come from."""

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant (Unix seconds); None where there is none."""

    def oldest_event(self) -> float | None:
        """The oldest event time that is kept; None where there is none."""

    def columns(self, window: Window, model: Model) -> tuple[Column, ...]:
        """The columns of a window's predictions: the declared features, or all that its rows hold, and the model's outcomes."""

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        """The profile of a window by version, each on the bins of its reference (no columns where it has none)."""

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        """Give a cutter all rows of a span, of every version that shares the cutter's bins."""

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        """Raw rows of a window by version, in order of event time: at most `limit` of each, evenly spread over the window.

        A column whose role is that of the id holds the ids of the predictions, as they are spelled in labels.
        """

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        """The window's predictions whose label has come by an instant, in batches, in any order.

        Args:
            window: of event time.
            numeric: whether predictions and labels are numbers.
            known_by: labels that came later are not seen.
            columns: features and scores that are wanted beside them.
        """


Match = tuple[Literal["hour_of_day", "day_of_week", "month_of_year"], ...]
ReferenceFor = Callable[[str], Reference | None]
