"""A city whose riders, weather and growth can be asked for any hour, in any order, and always answer the same.

Each day draws from a generator seeded with (seed, day), so nothing depends on the pace of the replay or on what was
asked before. The shapes follow what is known of real bike rental: commuters make two peaks on working days, warmth and
a clear sky bring riders, rain keeps them away, and the service grows. Times are Unix seconds; the city lives in UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOUR = 3600
DAY = 24 * HOUR

AREAS = ("harbour", "centre", "campus", "riverside")
WEATHERS = ("clear", "cloudy", "rain", "snow")

_RIDES_PER_HOUR = {"harbour": 120.0, "centre": 210.0, "campus": 150.0, "riverside": 90.0}
_LEISURE = {"harbour": 0.5, "centre": 0.2, "campus": 0.1, "riverside": 0.7}  # share of rides that are not commuting
_RIDERS_IN = {"clear": 1.0, "cloudy": 0.92, "rain": 0.5, "snow": 0.3}
_HOLIDAYS = {(1, 1), (1, 17), (2, 21), (5, 30), (7, 4), (9, 5), (10, 10), (11, 11), (11, 24), (12, 25), (12, 26)}
_GROWTH_PER_DAY = math.log(2.0) / 365.25
_OPENED = datetime(2010, 12, 1, tzinfo=UTC).timestamp()
SERVICE_OPENS = datetime(2011, 2, 22, tzinfo=UTC).timestamp()
SEED = 2


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of one area in one hour: the features before it begins, the rides (and when they are booked) after.

    `booked_at` is when the booking system knows the rides: about 03:00 the next day, sometimes days late, rarely never.
    """

    event_id: str
    timestamp: float
    features: dict[str, Any]
    rides: int
    booked_at: float | None


@dataclass(frozen=True, slots=True)
class _Day:
    """One day's weather, each array by hour."""

    working: bool
    weekday: int
    weather: tuple[str, ...]
    numbers: dict[str, NDArray[np.float64]]


class City:
    """The simulated city. Two cities with one seed are the same city.

    >>> one, two = City(seed=1).hour(1298937600), City(seed=1).hour(1298937600)
    >>> one == two, len(one), one[0].event_id
    (True, 4, 'harbour-2011-03-01T00')
    """

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed
        self._day = lru_cache(maxsize=64)(self._make_day)

    def hour(self, start: float) -> list[Observation]:
        """The observations of the hour that begins at `start`, one for each area.

        Raises:
            ValueError: `start` is not the beginning of an hour.
        """
        if start % HOUR:
            raise ValueError(f"expected the beginning of an hour, got {start}")
        return [self._observe(index, float(start)) for index in range(len(AREAS))]

    def between(self, start: float, end: float) -> list[Observation]:
        """All observations of the hours that begin in `[start, end)`, oldest first."""
        first = math.ceil(start / HOUR) * HOUR
        return [row for begin in range(first, math.ceil(end), HOUR) for row in self.hour(begin)]

    def _observe(self, area_index: int, start: float) -> Observation:
        area = AREAS[area_index]
        hour = int(start % DAY) // HOUR
        day = self._day(int(start // DAY))
        rng = np.random.default_rng([self.seed, int(start // HOUR), area_index])
        expected = expected_rides(
            area, hour, day.weather[hour], float(day.numbers["temp"][hour]), start, working=day.working
        )
        rides = int(rng.poisson(expected * rng.lognormal(0.0, 0.08)))
        features: dict[str, Any] = {
            "area": area,
            "hour": hour,
            "weekday": f"{date.fromordinal(_ordinal(start)):%a}".lower(),
            "workingday": "yes" if day.working else "no",
            "weather": day.weather[hour],
        }
        features |= {name: round(float(values[hour]), 2) for name, values in day.numbers.items()}
        event_id = f"{area}-{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H}"
        return Observation(event_id, start, features, rides, _booking_time(start, rng))

    def _anomaly(self, day: int) -> float:
        """How much warmer than usual a day is, in standard deviations; neighbouring days are alike."""
        shocks = (np.random.default_rng([self.seed, day - age, 1]).normal() for age in range(8))
        return float(sum(0.6**age * shock for age, shock in enumerate(shocks)) * 0.8)

    def _make_day(self, day: int) -> _Day:
        rng = np.random.default_rng([self.seed, day, 2])
        moment = datetime.fromtimestamp(day * DAY, UTC)
        hours = np.arange(24)
        blend = hours / 24
        warmer = (1 - blend) * self._anomaly(day) + blend * self._anomaly(day + 1)
        usual = usual_temperature(day * DAY + hours * HOUR)
        cloud = np.clip(rng.beta(1.2, 1.0) * 60 + rng.normal(20, 22, 24), 0, 100)
        temp = usual + 2.0 * warmer + 4.0 * np.cos((hours - 15) / 24 * 2 * np.pi) + rng.normal(0, 1.0, 24)
        wet = rng.random(24) < np.where(cloud > 75, 0.6, 0.03)
        weather = tuple(
            ("snow" if t < 0 else "rain") if w else ("cloudy" if c > 45 else "clear")
            for w, t, c in zip(wet, temp, cloud, strict=True)
        )
        wind = rng.gamma(3.0, 4.0, 24)
        sun = np.clip(np.sin((hours - 6) / 12 * np.pi), 0, None) * (450 + 16 * np.clip(usual, 0, None))
        numbers = {
            "temp": temp,
            "feels_like": temp - 0.12 * wind + rng.normal(0, 0.5, 24),
            "humidity": np.clip(45 + 0.3 * cloud + 15 * wet + rng.normal(0, 9, 24), 5, 100),
            "windspeed": wind,
            "visibility": np.clip(18 - 9 * wet + rng.normal(0, 3, 24), 0.2, 25),
            "cloud_cover": cloud,
            "radiation": sun * (1 - 0.65 * cloud / 100) * rng.uniform(0.9, 1.0, 24),
        }
        working = moment.weekday() < 5 and (moment.month, moment.day) not in _HOLIDAYS
        return _Day(working, moment.weekday(), weather, numbers)


def usual_temperature(moments: NDArray[Any] | float) -> Any:
    """The season's mean temperature in °C: coldest (2) in late January, warmest (26) in late July.

    >>> round(float(usual_temperature(datetime(2011, 1, 20, tzinfo=UTC).timestamp())), 1)
    2.0
    """
    days = (np.asarray(moments) - datetime(2011, 1, 20, tzinfo=UTC).timestamp()) / DAY
    return 14.0 - 12.0 * np.cos(days / 365.25 * 2 * np.pi)


def expected_rides(area: str, hour: int, weather: str, temp: float, moment: float, *, working: bool) -> float:
    """The mean number of rides in one area and hour, given all that matters; what a perfect model would predict."""
    leisure = _LEISURE[area]
    commute = math.exp(-(((hour - 8) / 1.3) ** 2)) + 1.1 * math.exp(-(((hour - 17.5) / 1.8) ** 2))
    commute += 0.12 * (6 <= hour < 22)
    stroll = 0.9 * math.exp(-(((hour - 14.5) / 4.0) ** 2))
    mix = (1 - leisure) * commute + leisure * stroll if working else 0.3 * (1 - leisure) * commute + 1.2 * stroll
    comfort = 0.15 + 0.85 / (1 + math.exp(-(temp - 9) / 2.0))  # few ride below 5 °C, most who ever will do above 14
    growth = math.exp(_GROWTH_PER_DAY * (moment - _OPENED) / DAY)
    return 0.2 + _RIDES_PER_HOUR[area] * mix * comfort * _RIDERS_IN[weather] * growth


def _booking_time(start: float, rng: np.random.Generator) -> float | None:
    """03:00 the next day for most; 1.5 % come late (a day and a half on average), 0.4 % never."""
    fate, extra = rng.random(), rng.exponential(36 * HOUR)
    if fate < 0.004:
        return None
    on_time = (start // DAY + 1) * DAY + 3 * HOUR + round(rng.uniform(0, 600))
    return float(on_time + round(extra) if fate < 0.019 else on_time)


def _ordinal(moment: float) -> int:
    return datetime.fromtimestamp(moment, UTC).toordinal()
