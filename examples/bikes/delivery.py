"""Getting records to Anchorwatch without ever making a rider wait."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import requests

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = (2.0, 10.0)
LONGEST_WAIT_SECONDS = 5.0


def deliver(session: requests.Session, url: str, records: Sequence[dict[str, Any]], stop: threading.Event) -> bool:
    """POST the records as one JSON list until they are taken, refused for good, or `stop` is set.

    No answer, 429 and 5xx are tried again with growing pauses (`Retry-After` is kept); any other refusal is final,
    because the same bytes would be refused again. Returns whether they were taken.
    """
    pause = 0.1
    while True:
        try:
            answer = session.post(url, json=records, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            log.info("could not reach %s: %s", url, type(error).__name__)
            wait = pause
        else:
            if answer.ok:
                return True
            if answer.status_code != 429 and answer.status_code < 500:
                log.warning("%s refused %d records for good: %d", url, len(records), answer.status_code)
                return False
            wait = max(pause, _retry_after(answer))
        if stop.wait(min(wait, LONGEST_WAIT_SECONDS)):
            return False
        pause = min(2 * pause, LONGEST_WAIT_SECONDS)


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


class Reporter:
    """Hands records to a thread that delivers them in batches.

    The queue is bounded: when it is full, records are dropped and counted, because serving riders matters more than
    watching them. `dropped` is called with how many were lost.
    """

    def __init__(self, url: str, *, dropped: Callable[[int], None], capacity: int = 20_000, batch: int = 500) -> None:
        self._url, self._batch, self._dropped = url, batch, dropped
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(capacity)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def submit(self, records: Sequence[dict[str, Any]]) -> None:
        """Queue records for delivery; returns at once."""
        for place, record in enumerate(records):
            try:
                self._queue.put_nowait(record)
            except queue.Full:
                self._dropped(len(records) - place)
                return

    def close(self, timeout_seconds: float = 3.0) -> None:
        """Deliver what is queued, but for no longer than this; then stop."""
        deadline = time.monotonic() + timeout_seconds
        try:
            self._queue.put(None, timeout=timeout_seconds)
            self._thread.join(max(0.0, deadline - time.monotonic()))
        except queue.Full:
            log.warning("gave up on %d records that could not be delivered", self._queue.qsize())
        self._stop.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        with requests.Session() as session:
            while (batch := self._take()) and not self._stop.is_set():
                records = [record for record in batch if record is not None]
                if records and not deliver(session, self._url, records, self._stop):
                    self._dropped(len(records))
                if batch[-1] is None:
                    return

    def _take(self) -> list[dict[str, Any] | None]:
        """The next batch, as large as what waits; None as its last item says that no more will come."""
        batch = [self._queue.get()]
        while len(batch) < self._batch and batch[-1] is not None:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch
