"""The city is the same however it is asked, and behaves as cities do."""

import doctest
from datetime import UTC, datetime
from statistics import mean

import pytest
from bikes import model, simulator
from bikes.simulator import DAY, HOUR, City

MARCH = datetime(2011, 3, 1, tzinfo=UTC).timestamp()
WEEK = 7 * DAY


def test_an_hour_is_the_same_whatever_was_asked_before():
    straight, backwards = City(), City()
    hours = [MARCH + n * HOUR for n in range(72)]
    forth = [straight.hour(hour) for hour in hours]
    back = [backwards.hour(hour) for hour in reversed(hours)]
    assert forth == back[::-1]


def test_another_seed_is_another_city():
    assert City(seed=1).hour(MARCH) != City(seed=2).hour(MARCH)


def test_a_time_that_begins_no_hour_is_refused():
    with pytest.raises(ValueError, match="beginning of an hour"):
        City().hour(MARCH + 1)


def test_between_gives_each_hour_once():
    rows = City().between(MARCH, MARCH + 2 * DAY)
    assert len({row.event_id for row in rows}) == len(rows) == 48 * len(simulator.AREAS)
    assert City().between(MARCH, MARCH + DAY) + City().between(MARCH + DAY, MARCH + 2 * DAY) == rows


def test_spring_growth_and_rush_hour_bring_riders_and_rain_keeps_them_away():
    city = City()
    winter = mean(row.rides for row in city.between(MARCH - 4 * WEEK, MARCH))
    spring = mean(row.rides for row in city.between(MARCH + 8 * WEEK, MARCH + 12 * WEEK))
    assert spring > 2 * winter
    usual = {"area": "centre", "hour": 8, "weather": "clear", "temp": 12.0, "moment": MARCH, "working": True}
    rides = simulator.expected_rides(**usual)
    assert simulator.expected_rides(**usual | {"moment": MARCH + 365 * DAY}) == pytest.approx(2 * rides, rel=0.02)
    assert simulator.expected_rides(**usual | {"weather": "rain"}) < 0.6 * rides
    assert simulator.expected_rides(**usual | {"hour": 3}) < 0.1 * rides
    assert simulator.expected_rides(**usual | {"working": False}) < 0.5 * rides


def test_rides_are_booked_after_the_hour_and_nearly_all_by_the_next_morning():
    rows = City().between(MARCH, MARCH + 8 * WEEK)
    lags = [row.booked_at - row.timestamp for row in rows if row.booked_at is not None]
    assert min(lags) > 3 * HOUR
    assert 0.001 < 1 - len(lags) / len(rows) < 0.01
    assert 0.003 < mean(lag > 28 * HOUR for lag in lags) < 0.03


@pytest.mark.parametrize("module", [simulator, model])
def test_the_examples_in_the_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
