"""The riders and the booking system, replayed faster than life: they ask for predictions, and tell what came true.

Run it from the folder above, beside the application and the daemon:
`python -m bikes.traffic --start 2011-03-01T00:00:00Z --rate 43200`.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from bikes.service import MODEL
from bikes.simulator import HOUR, SEED, SERVICE_OPENS, City, Observation
from monitor.client import Client

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
HOURS_AT_ONCE = 24


@dataclass(frozen=True, slots=True)
class ReplayClock:
    """A clock that showed `start` at real time `origin` and goes `rate` times as fast since; all in Unix seconds."""

    start: float
    rate: float
    origin: float

    def now(self) -> float:
        """What the clock shows."""
        return self.start + self.rate * (time.time() - self.origin)


class Traffic:
    """Replays the city hour by hour, from `since` on.

    Nothing is left out: what lies before the clock's start, or in a pause, is caught up with, a day in each request.
    """

    def __init__(
        self, city: City, clock: ReplayClock, app_url: str, watch_url: str, *, since: float = SERVICE_OPENS
    ) -> None:
        self._city, self._clock = city, clock
        self._app_url, self._watch = app_url, Client(watch_url)
        self._next_hour = -(-since // HOUR) * HOUR
        self._bookings: list[tuple[float, str, int]] = []
        self._session = requests.Session()

    def run(self, stop: threading.Event) -> None:
        """Replay until `stop` is set."""
        with self._session, self._watch:
            while not stop.is_set():
                self.catch_up(self._clock.now(), stop)
                stop.wait(TICK_SECONDS)

    def catch_up(self, now: float, stop: threading.Event) -> None:
        """Ask for every hour that has begun by `now`, and tell the rides that are booked by then."""
        while self._next_hour <= now and not stop.is_set():
            end = min(self._next_hour + HOURS_AT_ONCE * HOUR, (now // HOUR + 1) * HOUR)
            observed = self._city.between(self._next_hour, end)
            if self._ask(observed, stop):
                self._next_hour = end
                for row in observed:
                    if row.booked_at is not None:
                        self._bookings.append((row.booked_at, row.event_id, row.rides))
        self._tell(now, stop)

    def _ask(self, observed: Sequence[Observation], stop: threading.Event) -> bool:
        instances = [
            {"event_id": row.event_id, "timestamp": _iso(row.timestamp), "features": row.features} for row in observed
        ]
        return self._post("/predict", {"instances": instances}, stop)

    def _post(self, path: str, payload: Any, stop: threading.Event) -> bool:
        """Whether the app has taken it; if not, the same is to be sent again, a moment later."""
        try:
            answer = self._session.post(f"{self._app_url}{path}", json=payload, timeout=(2, 10))
            answer.raise_for_status()
        except requests.RequestException as error:
            log.warning("the app did not answer, it is asked again: %s", type(error).__name__)
            stop.wait(1.0)
            return False
        return True

    def _tell(self, now: float, stop: threading.Event) -> None:
        """The booking system's nightly batch: to the app's own records, and as labels to Anchorwatch."""
        due = sorted(booking for booking in self._bookings if booking[0] <= now)
        labels: list[dict[str, Any]] = [
            {"model": MODEL, "event_id": event_id, "label": rides, "label_timestamp": _iso(booked_at)}
            for booked_at, event_id, rides in due
        ]
        if labels and self._post("/rides", labels, stop):
            self._bookings = [booking for booking in self._bookings if booking[0] > now]
            for label in labels:
                self._watch.log_label(**label)
            self._watch.flush(timeout_seconds=2.0)  # what is not taken by then is sent later


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def main() -> None:
    """Replay until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="bikes.traffic", description=__doc__)
    parser.add_argument("--app", default=os.environ.get("BIKES_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--watch", default=os.environ.get("ANCHORWATCH_URL", "http://127.0.0.1:9877"))
    parser.add_argument("--start", default="2011-03-01T00:00:00Z", help="what the clock shows at the origin")
    parser.add_argument("--rate", type=float, default=43200.0, help="event seconds per real second")
    parser.add_argument("--origin", type=float, default=time.time(), help="real Unix seconds; now, if not given")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda _signum, _frame: stop.set())
    clock = ReplayClock(datetime.fromisoformat(given.start).timestamp(), given.rate, given.origin)
    Traffic(City(given.seed), clock, given.app, given.watch).run(stop)


if __name__ == "__main__":
    main()
