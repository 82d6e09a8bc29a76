"""The client: records in from the app's threads, and on to the daemon behind their back."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet, ref

from monitor.client import _fork
from monitor.client._backlog import Backlog, Dropped, Stats
from monitor.client._limits import Limits
from monitor.client._post import Target
from monitor.client._record import NotPlain, TooLarge, encoded
from monitor.client._sender import Sender, tell

START_AGAIN_SECONDS = 1.0  # after the system had no thread for us


class Client:
    """Tells the daemon of predictions and labels. Thread-safe, and safe to fork: each process has its own queue.

    No method waits for the daemon but `flush` and `close`, and none raises for what it is given. A record is written as
    JSON at once, in the caller's thread (about 15 µs for 20 features), so that it may be changed afterwards. One thread,
    started by the first record, sends batches, again and again if need be: the events' ids make that safe.

    Args:
        url: where the daemon listens; None or empty: nobody watches, and records go nowhere.
        app: the app's name in the daemon's configuration, needed where two apps have a model of one name.
        token: a token of the role `ingest`, where the daemon asks for one.
        token_file: a file with it instead, read at each request.
        limits: what may be taken of the app's memory, time and network.

    Raises:
        ValueError: the URL is none or names a user, there are two tokens, or a limit is no positive number.

    >>> with Client(None) as client:
    ...     client.log_prediction("demand", "order-17", {"temp": 0.3}, 212.0)
    'order-17'
    """

    def __init__(
        self,
        url: str | None,
        *,
        app: str | None = None,
        token: str | None = None,
        token_file: str | Path | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._target = Target.checked(url, token, token_file) if url else None
        self._app, self.limits = app, (limits or Limits()).checked()
        self.begin_anew()
        _fork.remember(self)
        _open.add(self)

    def begin_anew(self) -> None:
        """Forget the queue and the thread: they are the parent's, if this is a forked child."""
        self._backlog = Backlog(self.limits)
        self._thread: threading.Thread | None = None
        self._starting, self._start_after = threading.Lock(), 0.0

    def log_prediction(  # noqa: PLR0913 - the keys of a prediction on the wire
        self,
        model: str,
        event_id: object,
        features: Mapping[str, Any],
        prediction: object,
        *,
        probability: object = None,
        model_version: object = None,
        timestamp: object = None,
        latency_seconds: object = None,
        app: str | None = None,
    ) -> str:
        """Queue a prediction; returns its id, by which its label is logged later.

        Args:
            model: its name in the daemon's configuration.
            event_id: unique within the model; None: a random one is made.
            features: what the model was given, by name.
            prediction: what it said.
            probability: how sure it was: a number, or one by class.
            model_version: which version said so.
            timestamp: when, as a datetime (UTC where it has no zone), ISO 8601 or Unix seconds; None: now.
            latency_seconds: how long it took.
            app: the app's name, if it is not the client's.
        """
        record = {
            "model": model,
            "event_id": event_id,
            "timestamp": timestamp,
            "model_version": model_version,
            "features": features,
            "prediction": prediction,
            "probability": probability,
            "latency_seconds": latency_seconds,
            "app": app,
        }
        return self._log("predictions", record, "timestamp")

    def log_label(
        self, model: str, event_id: object, label: object, *, label_timestamp: object = None, app: str | None = None
    ) -> str:
        """Queue the label of a prediction; returns the id.

        Args:
            model: as in the prediction.
            event_id: as in the prediction.
            label: what came true.
            label_timestamp: when that was known, as a datetime, ISO 8601 or Unix seconds; None: now.
            app: as in the prediction.
        """
        record = {"model": model, "event_id": event_id, "label": label, "label_timestamp": label_timestamp, "app": app}
        return self._log("labels", record, "label_timestamp")

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Send what is queued at once, and wait for it; whether all of it was settled (sent or dropped) in time."""
        self._start_if_waiting()
        return self._backlog.flush(timeout_seconds)

    def close(self, timeout_seconds: float | None = None) -> bool:
        """Flush, for `limits.exit_seconds` if not said otherwise, and stop; what is left is dropped. Whether none was."""
        self._start_if_waiting()
        backlog, thread = self._backlog, self._thread
        backlog.close()
        patience = self.limits.exit_seconds if timeout_seconds is None else timeout_seconds
        done = backlog.flush(0.0 if backlog.stopped or thread is None else patience)
        if left := backlog.stop():
            tell(logging.WARNING, "gave up on %d records that could not be delivered", left)
        if done and thread is not None:
            thread.join(1.0)
        return done

    def stats(self) -> Stats:
        """What became of the records so far, in this process."""
        return self._backlog.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _log(self, kind: str, record: dict[str, Any], moment: str) -> str:
        event_id, backlog = "", self._backlog
        try:
            given = record["event_id"]
            record["event_id"] = event_id = str(uuid.uuid4()) if given is None else str(given)
            if self._target is None:
                return event_id
            if backlog.is_full:
                backlog.drop(Dropped.QUEUE_FULL)
            else:
                backlog.put(kind, self._line(record, moment))
        except TooLarge as error:
            backlog.drop(Dropped.TOO_LARGE, str(error))
        except Exception as error:  # noqa: BLE001 - the edge to the app, which must not suffer from what it hands over
            # Somebody else's message could hold a value, which is not ours to log.
            detail = str(error) if isinstance(error, NotPlain) else type(error).__name__
            backlog.drop(Dropped.NOT_SERIALISABLE, detail)
        if self._thread is None:
            self._start()
        return event_id

    def _line(self, record: dict[str, Any], moment: str) -> bytes:
        """The record as JSON, with its time and its app.

        Written here and not by the thread that sends: encoding a batch there would hold the interpreter's lock for
        milliseconds, and those would be the app's slowest requests.
        """
        given = record[moment]
        if given is None:
            record[moment] = time.time()
        elif hasattr(given, "isoformat"):
            record[moment] = given.isoformat()
        if record["app"] is None:
            record["app"] = self._app
        wire = {name: value for name, value in record.items() if value is not None}
        return encoded(wire, self.limits.record_bytes)

    def _start_if_waiting(self) -> None:
        """Have a thread for what waits, if the system had none before."""
        if self._thread is None and self._backlog.stats().waiting:
            self._start(at_once=True)

    def _start(self, *, at_once: bool = False) -> None:
        """Start the thread, unless somebody else is about to, or the system has none to give (or had none just before)."""
        if self._target is None or not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None and (at_once or time.monotonic() >= self._start_after):
                self._start_after = time.monotonic() + START_AGAIN_SECONDS
                sender = Sender(self._backlog, self._target, self.limits)
                thread = threading.Thread(target=sender.run, name="anchorwatch-client", daemon=True)
                thread.start()
                self._thread = thread
                _close_at_the_end_of_a_child(self)
        except RuntimeError:  # no thread to be had, or the interpreter is ending
            pass
        finally:
            self._starting.release()


_open: WeakSet[Client] = WeakSet()


@atexit.register
def _close_all() -> None:
    for client in list(_open):
        client.close()


def _close_at_the_end_of_a_child(client: Client) -> None:
    """A process of multiprocessing ends without atexit, and has a list of its own."""
    if "multiprocessing.util" in sys.modules:
        from multiprocessing import parent_process
        from multiprocessing.util import Finalize

        known = ref(client)

        def close() -> None:
            if (found := known()) is not None:
                found.close()

        if parent_process() is not None:
            Finalize(None, close, exitpriority=10)
