"""The runs that the schedule asks for: a look at an app, a judgement of a model, and housekeeping."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from monitor import registry
from monitor.app.leases import Leases, unit_of
from monitor.config import Loaded, Model, PluginSpec
from monitor.consequences.exposition import expose_effects, expose_run
from monitor.consequences.recording import Effects, Recorder
from monitor.memory import give_back
from monitor.metrics import Metrics
from monitor.records import CheckResult, Family, Finding, Reading, Sample, Verdict, Window
from monitor.store import Store, StoreError, events, expiry, history, watch
from monitor.store.pending import expire_halves
from monitor.store.profiles import expire_profiles
from monitor.store.quarantine import trim
from monitor.store.reading import oldest_receipt
from monitor.windows import every_seconds, window_seconds

log = logging.getLogger(__name__)

LATE_LOOK = 3600.0  # seconds
HALF_KEPT = 86400.0  # seconds that a request waits for its response
EVICTED_ROWS, EVICTIONS = 5000, 200  # in a step, and steps in a round
THINNED_ROWS = 2000  # in a step
STEP_ROWS = 500  # retention deletes in small steps, so that nobody waits long for the writer


class Results:
    """Where every result goes: the store, and then the metrics.

    Once `retired`, because another configuration is in force, a run that was still under way leaves no trace.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        recorder: Recorder,
        *,
        now: Callable[[], float],
        changed: Callable[[Effects], None],
        leases: Leases,
    ) -> None:
        self._leases = leases
        self.store, self.metrics, self.recorder, self.now, self.changed = store, metrics, recorder, now, changed
        self.retired = False
        self._showing = threading.Lock()

    def retire(self) -> None:
        """Take no result from now on, and show none."""
        with self._showing:
            self.retired = True

    def show(self, step: Callable[[], None]) -> None:
        """Put something on the metrics page, unless another configuration is in force by now."""
        with self._showing:
            if not self.retired:
                step()

    def take(self, result: CheckResult, seconds: float) -> None:
        """Record a result and all that follows from it, then expose it."""

        def change(connection: Connection) -> Effects | None:
            # Asked in the writer: what comes after the retirement of its check would bring the check's alerts back.
            # Another daemon may have taken the work over while this one was held up.
            gone = self.retired or not self._leases.still(connection, unit_of(result.app, result.model))
            return None if gone else self.recorder.record(connection, result)

        try:
            effects = self.store.write(change)
        except StoreError as error:
            # What the store was not told of has no consequences, and must not look as if it were watched.
            log.warning("result not kept", extra={"app": result.app, "check": result.check, "error": str(error)})
            result, effects = replace(result, verdict=Verdict.ERROR, reason=str(error)), Effects()
        if effects is None:
            return
        now = self.now()
        success = now if result.verdict in (Verdict.OK, Verdict.BREACHED) else None
        self.show(lambda: expose_run(self.metrics, result, now=now, last_success=success, seconds=seconds))
        self.tell(effects)

    def tell(self, effects: Effects) -> None:
        """Count what was decided and wake whoever delivers it."""
        expose_effects(self.metrics, effects)
        if effects.changes or effects.retrainings:
            self.changed(effects)


class AppLook:
    """One collector of one app: a probe, the scrape, or the process."""

    def __init__(self, app: str, check: str, spec: PluginSpec, results: Results) -> None:
        self.app, self.check, self.every, self.results = app, check, spec.every, results
        module = registry.load("probe", spec.type)
        self.families: tuple[Family, ...] = module.FAMILIES
        self.labels = {"app": app} | ({"probe": spec.name} if module.SECTION == "probes" else {})
        self.collector: Any = module.Collector(spec.options)

    def run(self) -> None:
        """Look once, and record what was seen."""
        started, now = time.perf_counter(), self.results.now()
        try:
            reading: Reading = self.collector.collect()
        except Exception as error:
            # The edge of one run: a collector's fault is its own.
            log.exception("collector failed", extra={"app": self.app, "check": self.check})
            reading = Reading(Verdict.ERROR, f"{type(error).__name__}: {error}")
        self.results.show(lambda: self._expose(reading))
        value = {Verdict.OK: 1.0, Verdict.BREACHED: 0.0}.get(reading.verdict)
        window = Window(now - self.every, now)
        finding = Finding(
            self.app, self.check, "up", reading.verdict, reading.reason, window, value=value, threshold=1.0, rows=1
        )
        result = CheckResult(self.app, None, self.check, reading.verdict, reading.reason, window, 1, (finding,))
        self.results.take(result, time.perf_counter() - started)

    def _expose(self, reading: Reading) -> None:
        metrics = self.results.metrics
        gauges = [family.name for family in self.families if family.kind == "gauge"]
        labelled = [Sample(s.name, {**self.labels, **s.labels}, s.value) for s in reading.samples]
        metrics.swap(gauges, [s for s in labelled if metrics.kind(s.name) == "gauge"], **self.labels)
        for sample in labelled:
            if metrics.kind(sample.name) == "counter":
                metrics.add(sample.name, sample.value, **sample.labels)
        if "probe" in self.labels:
            breached = [
                Sample("anchorwatch_app_probe_breached", self.labels, float(reading.verdict is Verdict.BREACHED))
            ]
            known = reading.verdict in (Verdict.OK, Verdict.BREACHED)
            metrics.swap(["anchorwatch_app_probe_breached"], breached if known else [], **self.labels)

    def close(self) -> None:
        self.collector.close()


class Housekeeping:
    """What is past its time goes, a small step at a time; and the store's own figures are taken."""

    def __init__(self, loaded: Loaded, results: Results) -> None:
        self.loaded, self.results = loaded, results
        self._count_again: dict[tuple[str, str], float] = {}

    def run(self) -> None:
        """One round."""
        store, metrics, now = self.results.store, self.results.metrics, self.results.now()
        options = self.loaded.config.store
        metrics.set("anchorwatch_store_size_bytes", store.size_bytes())
        before = now - options.retention
        self._expire("outbox", lambda c: watch.expire_deliveries(c, created_before=before))
        for app, model in self.loaded.config.models():
            self._events(app.name, model, now)
        said = now - options.profiles
        self._expire("verdicts", lambda c: history.expire_verdicts(c, before=said, limit=STEP_ROWS))
        self._expire("profiles", lambda c: expire_profiles(c, updated_before=now - options.profiles, limit=STEP_ROWS))
        self._expire("halves", lambda c: expire_halves(c, received_before=now - HALF_KEPT, limit=STEP_ROWS))
        store.write(trim)
        self._evict()
        for app, model in self.loaded.config.models():
            if model.labels is not None and not registry.load("source", model.labels.type).HEAVY:
                self._labels(app.name, model, now)
        give_back()

    def _events(self, app: str, model: Model, now: float) -> None:
        """Raw rows go when they are old, and not before the longest of the model's windows has been judged on them."""
        # The last look at a window is one of a later window's looks, and may itself be late.
        needed = window_seconds(model.windows) + every_seconds(model.windows) + LATE_LOOK
        needed += max(model.windows.lateness, model.labels.mature if model.labels else 0.0)
        kept = max(self.loaded.config.store.retention, needed)
        with self.results.store.read() as connection:
            number = events.find_model(connection, app, model.name)
        if number is not None:
            step = partial(expiry.expire_events, number=number, now=now, keep=kept, limit=STEP_ROWS)
            self._expire("events", step)
            self._thin(app, model.name, number, now - needed)

    def _thin(self, app: str, model: str, number: int, before: float) -> None:
        """Of rows that have been judged, only a sample stays, where the configuration says so."""
        share = self.loaded.config.store.sample
        if share >= 1.0:
            return
        step = partial(expiry.thin, number=number, share=share, received_before=before, limit=THINNED_ROWS)
        total, looked = 0, THINNED_ROWS
        while looked == THINNED_ROWS:
            looked, gone = self.results.store.write(step)
            total += gone
        self.results.metrics.add("anchorwatch_store_rows_sampled_out_total", total, app=app, model=model)

    def _evict(self) -> None:
        """The oldest raw rows go where the store is larger than it may be; of all models, those received first."""
        store, most = self.results.store, self.loaded.config.store.max_size
        models = [(app.name, model.name) for app, model in self.loaded.config.models()]
        for app, model in models:
            self.results.metrics.add("anchorwatch_store_rows_evicted_total", 0, app=app, model=model)
        used: float = store.used_bytes()
        each = store.row_bytes()
        for _ in range(EVICTIONS):
            if used <= most:
                return
            with store.read() as connection:
                oldest = [
                    (first, app, model, number)
                    for app, model in models
                    if (number := events.find_model(connection, app, model)) is not None
                    and (first := oldest_receipt(connection, number)) is not None
                ]
            if not oldest:
                return
            _, app, model, number = min(oldest)
            gone = store.write(partial(expiry.drop_oldest, number=number, limit=EVICTED_ROWS))
            self.results.metrics.add("anchorwatch_store_rows_evicted_total", gone, app=app, model=model)
            log.warning("rows evicted", extra={"app": app, "model": model, "rows": gone, "max_size": most})
            # PostgreSQL counts now and then: what it says right after is what it said before.
            used = used - gone * each if each is not None else store.used_bytes()

    def _labels(self, app: str, model: Model, now: float) -> None:
        store, metrics = self.results.store, self.results.metrics
        with store.read() as connection:
            number = events.find_model(connection, app, model.name)
        if number is None:
            return
        before = now - model.labels.expire
        gone = self._expire(
            "labels", lambda c: expiry.expire_labels(c, number, received_before=before, limit=STEP_ROWS)
        )
        metrics.add("anchorwatch_model_labels_expired_total", gone, app=app, model=model.name)
        started = time.monotonic()
        if started < self._count_again.get((app, model.name), 0.0):
            return
        with store.read() as connection:
            unmatched = events.count_unmatched(connection, number)
        metrics.set("anchorwatch_model_labels_unmatched", unmatched, app=app, model=model.name)
        # Counting goes through every label: on a large store it is done less often, for a fiftieth of one core at most.
        self._count_again[app, model.name] = started + 50 * (time.monotonic() - started)

    def _expire(self, table: str, step: Callable[[Connection], int]) -> int:
        total = 0
        while gone := self.results.store.write(step):
            total += gone
            if gone < STEP_ROWS:
                break
        self.results.metrics.add("anchorwatch_store_rows_expired_total", total, table=table)
        return total
