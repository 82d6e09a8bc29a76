"""The outbox emptied: each delivery is tried until it is taken, refused for good, or given up."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from monitor import registry
from monitor.config import Config
from monitor.consequences.recording import Effects
from monitor.consequences.retraining import Told, request_from_json
from monitor.metrics import Metrics
from monitor.notify import _wire
from monitor.records import Outcome, OutcomeKind
from monitor.store import Store, StoreError, watch

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 300.0
LONGEST_ASKED_SECONDS = 3600.0  # a peer may ask us to wait for years
MOST_ATTEMPTS = 100
LONGEST_SECONDS = 24 * 3600.0
IDLE_SECONDS = 1.0
THREADS = 3

Delivered = Callable[[Connection, str, str, str], list[Told]]


def wait_before(attempt: int, asked: float | None) -> float:
    """Real seconds before the next attempt: what the peer asked for, else doubling from 1 s to 5 min, with jitter."""
    doubled: float = min(FIRST_WAIT_SECONDS * 2 ** min(attempt - 1, 20), LONGEST_WAIT_SECONDS)
    if asked is not None:
        return min(max(asked, FIRST_WAIT_SECONDS), LONGEST_ASKED_SECONDS)
    return doubled * random.uniform(0.75, 1.25)


class Deliveries:
    """A few threads that take due deliveries from the outbox, one target's at a time: a hung one holds up no other."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        *,
        config: Callable[[], Config],
        now: Callable[[], float],
        trigger_settled: Delivered,
        told: Callable[[Effects], None],
        mine: Callable[[], AbstractContextManager[bool]],
    ) -> None:
        self._mine = mine
        self._store, self._metrics = store, metrics
        self._config, self._now = config, now
        self._trigger_settled, self._told = trigger_settled, told
        self._taken: set[str] = set()
        self._untold: dict[str, Outcome] = {}  # what became of attempts that the store could not be told of yet
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"delivery-{number}", daemon=True) for number in range(THREADS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    def stop(self, *, patience_seconds: float) -> None:
        """Let attempts under way end; what is abandoned waits in the outbox for the next start."""
        self._stopping.set()
        self._wake.set()
        until = time.monotonic() + patience_seconds
        for thread in self._threads:
            if thread.is_alive():  # not where the start has failed
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._mine() as mine:
                    busy = mine and self._one()
            except StoreError as error:
                log.warning("outbox not available", extra={"error": str(error)})
                busy = False
            except Exception:
                # The edge of one round: the outbox has to be emptied by somebody.
                log.exception("delivery round failed")
                busy = False
            if not busy:
                self._wake.wait(IDLE_SECONDS)
                self._wake.clear()

    def _one(self) -> bool:
        """Attempt one due delivery; whether there was one."""
        with self._lock:
            with self._store.read() as connection:
                due = watch.due_deliveries(connection, real_now=time.time(), besides=self._taken)
            if not due:
                return False
            item = due[0]
            self._taken.add(item.target)
        try:
            # A store that refuses writes must not make a receiver hear the same thing again and again.
            outcome = self._untold.get(item.key) or self._attempt(item)
            self._untold[item.key] = outcome
            self._settle(item, outcome)
            del self._untold[item.key]
        finally:
            with self._lock:
                self._taken.discard(item.target)
        return True

    def _attempt(self, item: watch.Pending) -> Outcome:
        try:
            if item.kind == "trigger":
                return self._trigger(item)
            return self._notify(item)
        except Exception as error:
            # The edge of one delivery: whatever is wrong with it, the others go on.
            log.exception("delivery failed", extra={"key": item.key, "target": item.target})
            return Outcome(OutcomeKind.FAILED, type(error).__name__)

    def _notify(self, item: watch.Pending) -> Outcome:
        for receiver in self._config().alerting.receivers:
            if receiver.name == item.target:
                module = registry.load("receiver", receiver.type)
                outcome: Outcome = module.send(_wire.from_json(item.body), receiver.options)
                return outcome
        return Outcome(OutcomeKind.FAILED, "receiver is no longer configured")

    def _trigger(self, item: watch.Pending) -> Outcome:
        with self._store.read() as connection:
            if not watch.is_waiting(connection, item.key):
                return Outcome(OutcomeKind.FAILED, "the retraining is over")
        for app, model in self._config().models():
            if f"{app.name}/{model.name}" == item.target and model.retraining is not None:
                spec = model.retraining.trigger
                module = registry.load("trigger", spec.type)
                outcome: Outcome = module.send(request_from_json(item.body), spec.options, time.time())
                return outcome
        return Outcome(OutcomeKind.FAILED, "retraining is no longer configured")

    def _settle(self, item: watch.Pending, outcome: Outcome) -> None:
        attempts, waited = item.attempts + 1, time.time() - item.queued
        state = {OutcomeKind.DELIVERED: "delivered", OutcomeKind.FAILED: "failed"}.get(outcome.kind, "pending")
        reason, due = outcome.reason, time.time() + wait_before(attempts, outcome.retry_after_seconds)
        if state == "pending" and (attempts >= MOST_ATTEMPTS or waited >= LONGEST_SECONDS):
            state, reason = "failed", f"given up after {attempts} attempts: {outcome.reason}"

        def change(connection: Connection) -> list[Told]:
            watch.settle_delivery(connection, item.key, state=state, reason=reason, due=due)
            if state == "pending":
                return []
            data = {
                "key": item.key, "kind": item.kind, "target": item.target, "state": state, "reason": reason,
                "attempts": attempts,
            }  # fmt: skip
            app, _, model = item.target.partition("/") if item.kind == "trigger" else (item.body["app"], "", "")
            name = model or item.body["model"]
            watch.write_ledger(connection, "delivery", app=app, model=name, at=self._now(), data=data)
            if item.kind == "trigger":
                after = "accepted" if state == "delivered" else "failed"
                return self._trigger_settled(connection, item.key, after, reason)
            return []

        told = self._store.write(change)
        # Once it is settled: an attempt that the store is told of again and again is still one.
        self._count(item, outcome, dropped=state == "failed")
        if state != "delivered":
            log.warning("delivery not taken", extra={"target": item.target, "state": state, "reason": reason})
        self._told(Effects(retrainings=told))

    def _count(self, item: watch.Pending, outcome: Outcome, *, dropped: bool) -> None:
        failed = outcome.kind is not OutcomeKind.DELIVERED
        if item.kind == "trigger":
            app, _, model = item.target.partition("/")
            self._metrics.add("anchorwatch_retraining_failures_total", float(failed), app=app, model=model)
            return
        self._metrics.add("anchorwatch_notification_attempts_total", receiver=item.target)
        self._metrics.add("anchorwatch_notification_failures_total", float(failed), receiver=item.target)
        self._metrics.add("anchorwatch_notification_dropped_total", float(dropped), receiver=item.target)
