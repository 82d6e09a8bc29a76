"""When each model is judged: the due times of its windows, between its first and its last event or as asked."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

from monitor.backtest.history import History
from monitor.check import waits_for_labels
from monitor.config import Model, Windows
from monitor.windows import newest_due, next_due_time, own_look_ages

Times = list[tuple[float, History]]
Span = tuple[float, float]


def due_times(windows: Windows, after: float, until: float) -> Iterator[float]:
    """When windows are due, later than `after` and not later than `until` (Unix seconds).

    >>> list(due_times(Windows(size="1h", lateness="5m"), 0.0, 8000.0))
    [300.0, 3900.0, 7500.0]
    """
    before, due = newest_due(windows, after), next_due_time(windows, after)
    while due <= until:
        while newest_due(windows, due) == before:
            due = math.nextafter(due, math.inf)  # a lateness that no float holds exactly
        yield due
        before, due = newest_due(windows, due), next_due_time(windows, due)


def look_times(model: Model, after: float, until: float) -> Iterator[float]:
    """When a model is looked at: when windows are due, and where these are far between, again as their labels come."""
    windows, mature = model.windows, model.labels.mature if model.labels else 0.0
    ages = own_look_ages(windows, mature) if any(waits_for_labels(check) for check in model.checks) else ()
    regular = list(due_times(windows, after, until))
    # A window that was never judged is not looked at again.
    again = (time for age in ages for time in due_times(windows.replace(lateness=age), after, until))
    yield from sorted({*regular, *(time for time in again if regular and time > regular[0])})


def times_of(histories: Sequence[History], start: float | None, end: float | None) -> Times:
    """Each due time with the model that is judged then, in order of time.

    A model without events has none. One that cannot be read is judged as long as the others are, or once.

    Args:
        histories: of the models.
        start: the earliest due time, in Unix seconds; None for that of the history.
        end: the latest one.
    """
    spans = [_span(history, start, end) for history in histories]
    known = [span for span in spans if span is not None]
    times: Times = []
    for history, own in zip(histories, spans, strict=True):
        span = _instead(history.model.windows, known, start, end) if history.is_broken else own
        if span is not None:
            times += [(due, history) for due in look_times(history.model, *span)]
    return sorted(times, key=lambda item: item[0])


def _instead(windows: Windows, known: Sequence[Span], start: float | None, end: float | None) -> Span:
    """After and until when a broken model is judged."""
    until = max((last for _, last in known), default=time.time() if end is None else end)
    once = newest_due(windows, until).end + windows.lateness - 1.0
    return min((first for first, _ in known), default=once if start is None else start), until


def _span(history: History, start: float | None, end: float | None) -> Span | None:
    """After and until when a model is judged: from the first window with an event to the first that ends after the last one."""
    windows = history.model.windows
    if history.first is None or history.last is None:
        return None
    whole = next_due_time(windows.replace(lateness=0.0), history.last) + windows.lateness
    after = history.first + windows.lateness if start is None else math.nextafter(start, -math.inf)
    # Half a second, for a due time that no float holds exactly.
    return after, whole + 0.5 if end is None else end
