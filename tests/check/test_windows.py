"""Which windows there are and which are due: aligned to UTC, half-open, the newest one that is told of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as some

from monitor.config import Windows
from monitor.records import Window, instant
from monitor.windows import (
    bucket_seconds,
    look_ages,
    looked_at,
    newest_due,
    newest_holding,
    next_due_time,
    next_look_time,
    window_seconds,
)
from tests.check.windows_given import DAY, HOUR, made, windows

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MOMENTS = some.floats(0, 4e9) | some.integers(0, 4_000_000_000 // 60).map(lambda minutes: minutes * 60.0)


def starts_a(calendar: str | None, moment: float) -> bool:
    date = datetime.fromtimestamp(moment, UTC)
    midnight = moment % DAY == 0
    return midnight and {"day": True, "week": date.weekday() == 0, "month": date.day == 1}[str(calendar)]


def is_window(asked: Windows, window: Window) -> bool:
    """Whether this is one of the windows that were asked for, by their definition rather than by arithmetic on them."""
    if asked.calendar is None:
        return window.end % asked.every == 0 and window.end - window.start == asked.size
    days = range(int(window.start) + DAY, int(window.end), DAY)
    return (
        starts_a(asked.calendar, window.start)
        and starts_a(asked.calendar, window.end)
        and not any(starts_a(asked.calendar, day) for day in days)
    )


def following(asked: Windows, window: Window) -> Window:
    """The window after this one, found by looking at every day."""
    if asked.calendar is None:
        return Window(window.start + asked.every, window.end + asked.every)
    end = window.end + DAY
    while not starts_a(asked.calendar, end):
        end += DAY
    return Window(window.end, end)


@EXAMPLES
@given(windows(), MOMENTS)
def test_the_newest_due_window_is_due_and_no_newer_one_is(asked: Windows, now: float) -> None:
    window = newest_due(asked, now)
    assert is_window(asked, window)
    assert window.end + asked.lateness <= now
    assert following(asked, window).end + asked.lateness > now


@EXAMPLES
@given(windows(), MOMENTS, some.floats(0, 1))
def test_the_newest_window_that_holds_an_event_is_due_and_no_newer_one_does(
    asked: Windows, now: float, share: float
) -> None:
    due = newest_due(asked, now)
    event = due.end * (1 - 0.01 * share) - 1e-3  # at most a fortieth of the time since 1970 before the end
    assume(0 <= event < due.end)
    window = newest_holding(asked, event, due)
    assert is_window(asked, window)
    assert window.end <= due.end
    assert window.start <= event < window.end
    after = following(asked, window)
    assert after.end > due.end or after.start > event


MATURE = some.sampled_from([0.0, 90.0, 3.0 * DAY, 40.0 * DAY])


@EXAMPLES
@given(windows(), MOMENTS, MATURE)
def test_the_windows_that_are_looked_at_are_the_newest_of_their_ages_down_to_the_one_that_has_matured(
    asked: Windows, now: float, mature: float
) -> None:
    """The newest comes first, none twice; without a time to mature there is only that one."""
    found = looked_at(asked, now, mature)
    assert found[0] == newest_due(asked, now)
    assert [each.end for each in found] == sorted({each.end for each in found}, reverse=True)
    assert all(is_window(asked, each) for each in found)
    assert (
        found[-1].end + max(asked.lateness, mature)
        <= now
        < following(asked, found[-1]).end + max(asked.lateness, mature)
    )
    assert len(found) == 1 or mature > asked.lateness
    assert len(found) <= len(look_ages(asked, mature))


@EXAMPLES
@given(windows(), MOMENTS, MATURE)
def test_no_window_is_missed_at_any_of_its_ages(asked: Windows, now: float, mature: float) -> None:
    """Going from one look to the next, each age of each window is looked at, at most one step of the windows late."""
    after = next_look_time(asked, now, mature)
    assert now < after <= next_due_time(asked, now)
    for age in look_ages(asked, mature):
        before, later = (newest_due(asked.replace(lateness=age), time) for time in (now, after))
        assert later == before or later == following(asked, before)


@EXAMPLES
@given(windows(), MOMENTS)
def test_no_window_is_longer_than_windows_are_said_to_be(asked: Windows, now: float) -> None:
    window = newest_due(asked, now)
    assert window.end - window.start <= window_seconds(asked)
    assert asked.calendar is not None or window.end - window.start == window_seconds(asked)


@EXAMPLES
@given(windows(), MOMENTS)
def test_an_event_on_the_edge_between_two_windows_belongs_to_the_later_one(asked: Windows, now: float) -> None:
    due = newest_due(asked, now)
    assert newest_holding(asked, due.start, due) == due


@EXAMPLES
@given(windows(), MOMENTS)
def test_the_next_window_becomes_due_when_it_is_said_to(asked: Windows, now: float) -> None:
    window, next_time = newest_due(asked, now), next_due_time(asked, now)
    assert next_time > now
    assert newest_due(asked, next_time) == following(asked, window)
    assert newest_due(asked, max(now, next_time - 1)) == window


@EXAMPLES
@given(windows(), MOMENTS)
@example(made(size="25m", every="10m"), 6000.0)
def test_every_window_is_a_whole_number_of_buckets(asked: Windows, now: float) -> None:
    bucket, window = bucket_seconds(asked), newest_due(asked, now)
    assert 60 <= bucket <= DAY
    assert DAY % bucket == 0
    assert window.start % bucket == 0 == window.end % bucket


@pytest.mark.parametrize(
    ("keys", "now", "expected"),
    [
        ({"size": "1h", "every": "1h", "lateness": "0s"}, "2011-03-01T02:00:00", "2011-03-01T01:00:00Z/2011-03-01T02:00:00Z"),
        ({"size": "1h", "every": "1h", "lateness": "1s"}, "2011-03-01T02:00:00", "2011-03-01T00:00:00Z/2011-03-01T01:00:00Z"),
        ({"size": "7d", "every": "1d", "lateness": "1h"}, "2011-03-01T00:59:59", "2011-02-21T00:00:00Z/2011-02-28T00:00:00Z"),
        ({"size": "7d", "every": "1d", "lateness": "1h"}, "2011-03-01T01:00:00", "2011-02-22T00:00:00Z/2011-03-01T00:00:00Z"),
        ({"size": "25m", "every": "10m", "lateness": "0s"}, "2011-03-01T00:19:00", "2011-02-28T23:45:00Z/2011-03-01T00:10:00Z"),
        ({"calendar": "month", "lateness": "0s"}, "2012-03-01T00:00:00", "2012-02-01T00:00:00Z/2012-03-01T00:00:00Z"),
        ({"calendar": "month", "lateness": "3d"}, "2012-03-03T23:59:59", "2012-01-01T00:00:00Z/2012-02-01T00:00:00Z"),
        ({"calendar": "month", "lateness": "0s"}, "2012-01-31T12:00:00", "2011-12-01T00:00:00Z/2012-01-01T00:00:00Z"),
        ({"calendar": "week", "lateness": "0s"}, "2024-01-07T23:59:59", "2023-12-25T00:00:00Z/2024-01-01T00:00:00Z"),
        ({"calendar": "week", "lateness": "0s"}, "2024-01-08T00:00:00", "2024-01-01T00:00:00Z/2024-01-08T00:00:00Z"),
        ({"calendar": "day", "lateness": "0s"}, "2024-03-01T11:00:00", "2024-02-29T00:00:00Z/2024-03-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_windows_are_where_a_person_expects_them(keys: dict[str, str], now: str, expected: str) -> None:
    """Weeks begin on Monday, months on the first, both in UTC; the rest on multiples of `every` since 1970."""
    assert str(newest_due(made(**keys), instant(now))) == expected


def test_size_without_every_is_judged_once_per_size() -> None:
    assert made(size="3h").every == 3 * HOUR


@pytest.mark.parametrize("asked", [{"calendar": "month"}, {"calendar": "week"}, {"calendar": "day"}])
def test_calendar_windows_are_made_of_days(asked: dict[str, str]) -> None:
    assert bucket_seconds(made(**asked)) == DAY
