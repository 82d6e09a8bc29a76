"""What the application does, apart from HTTP: predict with the live version, remember, and train the next one."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bikes.model import Artefacts, DemandModel, Example, train
from bikes.simulator import DAY, SERVICE_OPENS, City
from monitor.client import Client

log = logging.getLogger(__name__)

MODEL = "bike-demand"
WINTER_DAYS = 90
RECENT_DAYS = 42
REMEMBERED = 20_000


class RideLog:
    """The application's own record: the features it served, the rides once booked; the oldest rows go first."""

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self._capacity, self._lock = capacity, threading.Lock()
        self._rows: OrderedDict[str, Example] = OrderedDict()

    def served(self, rows: Iterable[Example]) -> None:
        """Remember what was asked; the rides are not known yet (NaN). A row asked twice stays as it was."""
        with self._lock:
            for row in rows:
                self._rows.setdefault(row.event_id, row)
            while len(self._rows) > self._capacity:
                self._rows.popitem(last=False)

    def booked(self, rides: Mapping[str, float]) -> int:
        """Fill in the rides by event id. Returns how many rows were known."""
        with self._lock:
            known = {key: value for key, value in rides.items() if key in self._rows}
            for key, value in known.items():
                self._rows[key] = replace(self._rows[key], rides=value)
        return len(known)

    def recent(self, days: float) -> list[Example]:
        """The rows with known rides of the last so many days, counted back from the newest of them."""
        with self._lock:
            complete = [row for row in self._rows.values() if row.rides == row.rides]  # NaN differs from itself
        newest = max((row.timestamp for row in complete), default=0.0)
        return [row for row in complete if row.timestamp > newest - days * DAY]


class Service:
    """The live model and what surrounds it; `watch` takes its predictions on their way to Anchorwatch."""

    def __init__(self, artefacts: Artefacts, city: City, watch: Client) -> None:
        self._artefacts, self._watch = artefacts, watch
        self._training = ThreadPoolExecutor(1, thread_name_prefix="training")
        self._requests: OrderedDict[str, None] = OrderedDict()
        self.rides = RideLog()
        winter = [
            Example(row.event_id, row.timestamp, row.features, float(row.rides))
            for row in city.between(SERVICE_OPENS - WINTER_DAYS * DAY, SERVICE_OPENS)
        ]
        self.rides.served(winter)
        self.live: DemandModel = artefacts.newest() or self._train(winter, "v1")

    def predict(self, instances: Sequence[Mapping[str, Any]]) -> tuple[str, list[float]]:
        """Predict each instance with one and the same version; log and report those that carry an event id.

        An instance without an id is somebody trying the service (a probe, a person with curl), not a rider's question.
        """
        model = self.live  # read once: a deployment in the middle of a request must not split it
        values = model.predict([instance["features"] for instance in instances])
        asked = [(row, value) for row, value in zip(instances, values, strict=True) if "event_id" in row]
        self.rides.served(Example(row["event_id"], _moment(row), row["features"], float("nan")) for row, _ in asked)
        for row, value in asked:
            self._watch.log_prediction(
                MODEL, row["event_id"], row["features"], value, model_version=model.version, timestamp=row["timestamp"]
            )
        return model.version, values

    def request_retraining(self, request_id: str) -> bool:
        """Start a retraining in the background unless this request was seen before; returns whether it is new."""
        if request_id in self._requests:
            return False
        self._requests[request_id] = None
        while len(self._requests) > 1000:
            self._requests.popitem(last=False)
        self._training.submit(self._retrain)
        return True

    def close(self) -> None:
        """Finish the training that runs, start no other."""
        self._training.shutdown(wait=True, cancel_futures=True)

    def _retrain(self) -> None:
        version = f"v{int(self.live.version.removeprefix('v')) + 1}"
        try:
            self.live = self._train(self.rides.recent(RECENT_DAYS), version)
        except Exception:  # the edge of a background job: the old version stays live, and the log says why
            log.exception("training of %s failed", version)

    def _train(self, examples: Sequence[Example], version: str) -> DemandModel:
        model, honest = train(examples, version)
        self._artefacts.save(model, examples, honest)
        until = datetime.fromtimestamp(model.trained_until, UTC)
        log.info("trained %s on %d rows up to %s", version, len(examples), until)
        return model


def _moment(row: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(row["timestamp"]).timestamp()
