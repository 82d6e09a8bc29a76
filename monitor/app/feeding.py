"""What is pulled: each feed has a thread that polls it, stores what came together with how far it has been read, and goes on."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from monitor import registry
from monitor.app.intake import Intake
from monitor.app.jobs import Results
from monitor.config import Loaded, Model
from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.source import SourceError
from monitor.source._pulled import UnreadableRow, check_of
from monitor.store import StoreError
from monitor.store.pending import PositionMoved, feed_position, save_position
from monitor.wire import Kind, Only, decode

log = logging.getLogger(__name__)

POLL_RECORDS = 5000
POLL_SECONDS = 1.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0  # after an error, each time twice as long
TOLD_SECONDS = 60.0  # what is as it was is told again so often
STEADY_SECONDS = 60.0  # so long a feed is read without an error, or until nothing waits, before it counts as recovered


class Following:
    """One feed and its thread."""

    def __init__(
        self,
        app: str,
        model: Model,
        kind: Kind,
        loaded: Loaded,
        results: Results,
        intake: Intake,
        *,
        mine: Callable[[], AbstractContextManager[bool]],
    ) -> None:
        self.app, self.model, self.kind = app, model, kind
        self._spec: Any = model.predictions if kind == "predictions" else model.labels
        self._directory, self._intake, self._mine = loaded.directory, intake, mine
        self._results, self._store, self._metrics = results, results.store, results.metrics
        self._feed: Any = None
        self._told: tuple[Verdict | None, float] = None, 0.0
        self._well_since: float | None = -math.inf  # since when it was read without an error
        self._labels = {"app": app, "model": model.name, "kind": kind}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"feed-{app}-{model.name}-{kind}", daemon=True)

    def start(self) -> None:
        for name in ("skipped", "lost", "failures"):
            self._metrics.add(f"anchorwatch_ingest_feed_{name}_total", 0, **self._labels)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end, without waiting."""
        self._stopping.set()

    def join(self, patience_seconds: float) -> None:
        """Wait until it has ended; what was under way is stored or left where it is."""
        self._thread.join(patience_seconds)

    def _run(self) -> None:
        wait = FIRST_WAIT_SECONDS
        while not self._stopping.is_set():
            try:
                more = False
                with self._mine() as mine:
                    if mine:
                        self._feed = self._feed or self._opened()
                        more = self._step(self._feed)
                if not mine:
                    self._stopping.wait(POLL_SECONDS)
                    continue
                self._metrics.set("anchorwatch_ingest_feed_up", 1, **self._labels)
                if self._is_well(more=more):
                    self._tell(Verdict.OK, "it was read")
                    wait = FIRST_WAIT_SECONDS
                if not more and self._feed.every_seconds:
                    self._stopping.wait(self._feed.every_seconds)
                continue
            except PositionMoved:
                continue
            except (StoreError, UnreadableRow) as error:
                self._failed(str(error))
            except SourceError as error:
                self._failed(str(error))
                self._close()
            except Exception as error:
                # The edge of one feed: its fault stops no other.
                log.exception("feed failed", extra=self._labels)
                self._failed(f"{type(error).__name__}: {error}")
                self._close()
            self._stopping.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        self._close()

    def _opened(self) -> Any:
        module = registry.load("source", self._spec.type)
        columns = self.model.columns
        return module.open_feed(self._spec.options, kind=self.kind, columns=columns, directory=self._directory)

    def _close(self) -> None:
        """Let go of the feed: another has the secrets as they are then, and goes on at the position in the store."""
        feed, self._feed = self._feed, None
        try:
            if feed is not None:
                feed.close()
        except Exception:
            log.exception("feed not closed", extra=self._labels)  # which must not end the thread

    def _is_well(self, *, more: bool) -> bool:
        """Whether an error is over: a feed that reads on to a row that stops it, again and again, is never well."""
        now = time.monotonic()
        if self._well_since is None:
            self._well_since = now
        if not more:
            self._well_since = -math.inf
        return now - self._well_since >= STEADY_SECONDS

    def _failed(self, reason: str) -> None:
        self._well_since = None
        log.error("feed not read", extra={**self._labels, "reason": reason})
        self._metrics.set("anchorwatch_ingest_feed_up", 0, **self._labels)
        self._metrics.add("anchorwatch_ingest_feed_failures_total", **self._labels)
        self._tell(Verdict.ERROR, reason)

    def _tell(self, verdict: Verdict, reason: str) -> None:
        """The result of a check of its own, so that a feed that stays broken alerts; now and then while nothing changes."""
        before, told = self._told
        if verdict is before and 0 <= time.monotonic() - told < TOLD_SECONDS:
            return
        self._told = verdict, time.monotonic()
        check, now = check_of(self.kind), self._results.now()
        window = Window(now - TOLD_SECONDS, now)
        finding = Finding(self.app, check, check, verdict, reason, window, model=self.model.name)
        result = CheckResult(self.app, self.model.name, check, verdict, reason, window, 0, (finding,))
        try:
            self._results.take(result, 0.0)
        except Exception:
            log.exception("state of a feed not told", extra=self._labels)  # which must not end the feed

    def _step(self, feed: Any) -> bool:
        """Poll once and store what came; whether more waits."""
        with self._store.read() as connection:
            before = feed_position(connection, self.app, self.model.name, self.kind)
        pulled = feed.poll(before, limit=POLL_RECORDS, timeout_seconds=POLL_SECONDS)
        if pulled.records or pulled.position != before:
            batch = decode(pulled.records, self.kind, Only((self.app, self.model.name)))
            keep = partial(self._keep, before=before, position=pulled.position)
            batch.also.append(lambda connection, _batch, _now: keep(connection))
            self._intake.take(batch).result()
            feed.confirm(pulled.position)
            self._metrics.set("anchorwatch_ingest_feed_last_record_timestamp_seconds", time.time(), **self._labels)
        self._metrics.add("anchorwatch_ingest_feed_skipped_total", pulled.skipped, **self._labels)
        self._metrics.add("anchorwatch_ingest_feed_lost_total", pulled.lost, **self._labels)
        if pulled.caution:
            log.warning("feed read with caution", extra={**self._labels, "caution": pulled.caution})
        return bool(pulled.more)

    def _keep(self, connection: Any, *, before: str | None, position: str) -> None:
        save_position(connection, self.app, self.model.name, self.kind, position, before=before)
