"""A reference that trails behind the window: its counts are those of the time before, on bins that stay."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from monitor.config import Model
from monitor.options import Duration, duration_text
from monitor.options import Options as _Options
from monitor.profile import Reference
from monitor.records import NoData, Window
from monitor.source import EventSource, Match
from monitor.source._production import drawn_from

ROLES = frozenset({"reference"})
HEAVY = False


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("expected a duration above 0")
    return value


class Options(_Options):
    """How long it is, how far its end lies before the window's start, and the seasons that windows are matched by."""

    size: Annotated[Duration, AfterValidator(_positive)]
    gap: Duration = 0.0
    match: Match = ()


def span(options: Options, window: Window) -> Window:
    """The stretch that a window is held against.

    >>> day = 86400.0
    >>> print(span(Options(size="28d", gap="7d"), Window(40 * day, 41 * day)))
    1970-01-06T00:00:00Z/1970-02-03T00:00:00Z
    """
    end = window.start - options.gap
    return Window(end - options.size, end)


def reference_key(options: Options) -> str:
    """What the bins are known by."""
    return f"{options.size:g} {options.gap:g} {' '.join(options.match)}"


def draw_reference(options: Options, model: Model, source: EventSource, *, fingerprint: str, now: float) -> Reference:
    """The bins, drawn once from the first stretch of that length that there is.

    Raises:
        NoData: there is not so much history yet.
        SourceError: the predictions cannot be read.
    """
    first, last = source.oldest_event(), source.newest_event(now)
    known = 0.0 if first is None or last is None else last - first
    if first is None or known < options.size:
        raise NoData(
            f"expected {duration_text(options.size)} of predictions to trail behind, got {duration_text(known)}"
        )
    mature = model.labels.mature if model.labels else 0.0
    if known < options.size + mature:
        # Labels that come early are not like those that come late.
        raise NoData(
            f"expected {duration_text(mature)} more, for its labels to mature, got {duration_text(known)} in all"
        )
    span = Window(first, first + options.size)
    return drawn_from(source, model, span, fingerprint=fingerprint, match=options.match)
