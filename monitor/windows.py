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


def look_ages(windows: Windows, mature: float) -> tuple[float, ...]:
    """How long after its end a window is looked at, in seconds, rising: when it is due, and twice again as its labels come.

    >>> look_ages(Windows(size="7d", lateness="1h"), 3 * 86400.0)
    (3600.0, 86400.0, 259200.0)
    """
    return tuple(sorted({max(windows.lateness, age) for age in (0.0, mature // 3, mature)}))


def looked_at(windows: Windows, now: float, mature: float) -> list[Window]:
    """The newest window of each age at which windows are looked at, the newest first: the labels of the last have matured."""
    found = [newest_due(windows.replace(lateness=age), now) for age in look_ages(windows, mature)]
    return list(dict.fromkeys(found))


def next_look_time(windows: Windows, now: float, mature: float) -> float:
    """When, after `now`, the next window becomes due, or an older one is to be looked at again.

    Windows that come more often than their labels mature need no looks of their own: the next one's will do.
    """
    ages = (windows.lateness, *own_look_ages(windows, mature))
    return min(next_due_time(windows.replace(lateness=age), now) for age in ages)


def own_look_ages(windows: Windows, mature: float) -> tuple[float, ...]:
    """The ages at which a window is looked at again at a time of its own."""
    return tuple(age for age in look_ages(windows, mature) if windows.lateness < age < every_seconds(windows))


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
