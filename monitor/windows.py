"""Which windows there are, and which of them are due. All are aligned to UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from monitor.config import Windows
from monitor.records import Window

DAY = 86400


def bucket_seconds(windows: Windows) -> int:
    """The length of the buckets that every window is a whole number of: at least a minute, at most a day."""
    if windows.calendar:
        return DAY
    return math.gcd(math.gcd(int(windows.size), int(windows.every)), DAY)


def every_seconds(windows: Windows) -> float:
    """The time between the ends of two windows that follow each other; of a calendar's, the longest."""
    return windows.every if windows.calendar is None else window_seconds(windows)


def window_seconds(windows: Windows) -> float:
    """The length of a window; of a calendar's, the longest."""
    return windows.size if windows.calendar is None else {"day": 1, "week": 7, "month": 31}[windows.calendar] * DAY


def _calendar_start(kind: str, time: float) -> datetime:
    midnight = datetime.fromtimestamp(time, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "week":
        return midnight - timedelta(days=midnight.weekday())
    return midnight.replace(day=1) if kind == "month" else midnight


def _calendar_end(kind: str, start: datetime) -> datetime:
    if kind == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=7 if kind == "week" else 1)


def newest_due(windows: Windows, now: float) -> Window:
    """The newest window whose end + lateness is not after `now` (Unix seconds).

    >>> print(newest_due(Windows(calendar="month", lateness="1h"), 1298941200.0))
    2011-02-01T00:00:00Z/2011-03-01T00:00:00Z
    """
    latest = now - windows.lateness
    if windows.calendar is None:
        end = latest // windows.every * windows.every
        return Window(end - windows.size, end)
    end_date = _calendar_start(windows.calendar, latest)
    start = _calendar_start(windows.calendar, end_date.timestamp() - 1)
    return Window(start.timestamp(), end_date.timestamp())


def newest_matured(windows: Windows, now: float, mature: float) -> Window:
    """The newest window whose labels have matured: its end + `mature` (or the lateness, if longer) is not after `now`."""
    return newest_due(windows.replace(lateness=max(windows.lateness, mature)), now)


def newest_holding(windows: Windows, time: float, due: Window) -> Window:
    """The newest window, not after `due`, that holds an event at `time`."""
    if windows.calendar is None:
        # The last end on the grid whose window begins at or before the event.
        end = min((time + windows.size) // windows.every * windows.every, due.end)
        return Window(end - windows.size, end)
    start = _calendar_start(windows.calendar, time)
    return Window(start.timestamp(), _calendar_end(windows.calendar, start).timestamp())


def next_due_time(windows: Windows, now: float) -> float:
    """When, after `now`, the next window becomes due."""
    end = newest_due(windows, now).end
    if windows.calendar is None:
        return end + windows.every + windows.lateness
    return _calendar_end(windows.calendar, datetime.fromtimestamp(end, UTC)).timestamp() + windows.lateness
