"""The runs that the schedule asks for: a look at an app, a judgement of a model, and housekeeping."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from monitor import registry
from monitor.check import Calibrations, Context, References, is_heavy, judge_model
from monitor.child import ChildFailed, in_child
from monitor.config import Loaded, Model, PluginSpec
from monitor.consequences.exposition import expose_effects, expose_judgement, expose_run
from monitor.consequences.recording import Effects, Recorder
from monitor.memory import give_back
from monitor.metrics import Metrics
from monitor.profile import Reference
from monitor.records import CheckResult, Family, Finding, Reading, Sample, Verdict, Window
from monitor.source import SourceError
from monitor.source._open import open_events
from monitor.source._reference import read_reference, reference_key, span_of
from monitor.source.ingest import IngestSource
from monitor.store import Store, StoreError, events, open_for_reading, watch
from monitor.store.profiles import expire_profiles, load_reference, save_reference
from monitor.windows import bucket_seconds, newest_due, newest_matured, window_seconds

log = logging.getLogger(__name__)

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
    ) -> None:
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
            return None if self.retired else self.recorder.record(connection, result)

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


def judge_files(
    app: str, model: Model, directory: Path, data_dir: Path, window: Window, matured: Window, now: float
) -> tuple[list[CheckResult], list[Reference]]:
    """Judge a model whose predictions are files; runs in a child process.

    Returns:
        The results, and the references that the store does not keep yet: reading one costs more than judging a window.
    """
    source = open_events(app, model, directory, data_dir)
    read: dict[str, Reference] = {}
    with closing(open_for_reading(data_dir)) as store:

        def look_up(version: str) -> Reference | None:
            found = reference_key(model, version, directory)
            if found is None or found[0] in read:
                return None if found is None else read[found[0]]
            with store.read() as connection:
                number = events.find_model(connection, app, model.name)
                kept = None if number is None else load_reference(connection, number, found[0], stretches=True)
            if kept is None:
                kept = read_reference(model, version, directory, source, now=now)
                assert kept is not None  # it has a key
                read[found[0]] = kept
            return kept

        references = References(look_up, directory=directory)
        return judge_model(app, model, window, source, references, now=now, matured=matured), list(read.values())


def prepare_in_child(
    app: str, model: Model, version: str, check: str, directory: Path, data_dir: Path, window: Window, now: float
) -> Any:
    """What a check makes of the rows of a reference; runs in a child process."""
    source = open_events(app, model, directory, data_dir)
    context = Context(app, model, window, source, References(lambda _: None, directory=directory), now)
    return registry.load("check", check).prepare(context, model.checks[check].options, version)


def read_in_child(
    app: str, model: Model, version: str, directory: Path, data_dir: Path, now: float
) -> Reference | None:
    """Read a reference, from its files or from the model's own predictions; runs in a child process."""
    return read_reference(model, version, directory, open_events(app, model, directory, data_dir), now=now)


Known = tuple[dict[str, Reference], dict[str, str], dict[str, str]]  # references; why others are not to be had


def judge_heavily(
    app: str, model: Model, directory: Path, data_dir: Path, window: Window, matured: Window, now: float, known: Known
) -> list[CheckResult]:
    """The checks that read raw rows, of a model whose predictions are pushed; runs in a child process."""
    source = open_events(app, model, directory, data_dir)
    found, failures, missing = known
    references = References(found.get, directory=directory)
    references.failures.update(failures)
    references.missing.update(missing)
    return judge_model(app, model, window, source, references, now=now, matured=matured, heavy=True)


class ModelJudgement:
    """All checks of one model, on its newest window that is due."""

    def __init__(self, app: str, model: Model, loaded: Loaded, results: Results) -> None:
        self.app, self.model, self.results = app, model, results
        self.directory, self.data_dir = loaded.directory, loaded.data_dir
        self.feature_limit = loaded.config.metrics.features
        self._references: dict[str, Reference] = {}
        self._calibrations = Calibrations(self._with_stretches)
        self._prepared: dict[tuple[str, str, float], Any] = {}

    def run(self) -> None:
        """Judge once, and record every check's result."""
        started, now = time.perf_counter(), self.results.now()
        window = newest_due(self.model.windows, now)
        try:
            judged = self._judge(window, now)
        except (SourceError, StoreError, ChildFailed, OSError) as error:
            judged = [self._failed(check, window, str(error)) for check in self.model.checks]
        except Exception as error:
            # The edge of one run: one broken model never stops another.
            log.exception("judgement failed", extra={"app": self.app, "model": self.model.name})
            judged = [self._failed(check, window, f"{type(error).__name__}: {error}") for check in self.model.checks]
        seconds = (time.perf_counter() - started) / max(len(judged), 1)
        for result in judged:
            self.results.take(result, seconds)
        shown = partial(
            expose_judgement, self.results.metrics, self.app, self.model, judged, features=self.feature_limit
        )
        self.results.show(shown)

    def _judge(self, window: Window, now: float) -> list[CheckResult]:
        mature = self.model.labels.mature if self.model.labels else 0.0
        matured = newest_matured(self.model.windows, now, mature)
        if registry.load("source", self.model.predictions.type).HEAVY:
            return self._judge_files(window, matured, now)
        store = self.results.store
        source = IngestSource(store, self.app, self.model.name, bucket_seconds=bucket_seconds(self.model.windows))
        prepare = partial(self._prepare, now=now)
        references = References(self._reference, self._calibrations, self.directory, prepare=prepare)
        source.catch_up(store, references, now=now)
        self._count_versions(source)
        judged = judge_model(self.app, self.model, window, source, references, now=now, matured=matured, heavy=False)
        if any(is_heavy(check) for check in self.model.checks):
            # It is not told of these references' stretches: it reads rows.
            known = (dict(references.found), references.failures, references.missing)
            judged += self._heavily(window, matured, now, known)
        return judged

    def _judge_files(self, window: Window, matured: Window, now: float) -> list[CheckResult]:
        judged, read = in_child(judge_files, self.app, self.model, self.directory, self.data_dir, window, matured, now)
        for reference in read:
            self._keep(reference)
        return judged

    def _keep(self, reference: Reference) -> None:
        """Keep a reference in the store: its bins stay what they are, and it is not read again."""
        now = self.results.now()

        def change(connection: Connection) -> None:
            save_reference(connection, events.model_id(connection, self.app, self.model.name), reference, now)

        self.results.store.write(change)

    def _heavily(self, window: Window, matured: Window, now: float, known: Known) -> list[CheckResult]:
        """The checks that are heavy, in a child; if it dies, they alone have failed."""
        try:
            return in_child(
                judge_heavily, self.app, self.model, self.directory, self.data_dir, window, matured, now, known
            )
        except (ChildFailed, OSError) as error:
            heavy = [check for check in self.model.checks if is_heavy(check)]
            return [self._failed(check, window, str(error)) for check in heavy]

    def _count_versions(self, source: IngestSource) -> None:
        omitted = source.omitted_versions()
        self.results.metrics.set("anchorwatch_model_versions_omitted", omitted, app=self.app, model=self.model.name)

    def _reference(self, version: str) -> Reference | None:
        """The reference of a version: from memory, from the store, or read in a child and then kept in both."""
        found = reference_key(self.model, version, self.directory)
        if found is None:
            return None
        key, _ = found
        if key not in self._references:
            number = self.results.store.write(lambda c: events.model_id(c, self.app, self.model.name))
            with self.results.store.read() as connection:
                reference = load_reference(connection, number, key)
            if reference is None:
                now = self.results.now()
                reference = in_child(read_in_child, self.app, self.model, version, self.directory, self.data_dir, now)
                assert reference is not None  # it has a key
                self._keep(reference)
            self._references[key] = reference
        return self._references[key]

    def _prepare(self, version: str, check: str, window: Window, *, now: float) -> Any:
        """What a check makes of a reference's rows, which are read in a child; of each reference and check the newest is kept."""
        found, span = reference_key(self.model, version, self.directory), span_of(self.model, window)
        assert found is not None  # nobody prepares what is not configured
        key = found[0], check, span.start if span else 0.0
        if key not in self._prepared:
            arguments = self.app, self.model, version, check, self.directory, self.data_dir, window, now
            try:
                prepared = in_child(prepare_in_child, *arguments)
            except ChildFailed as error:  # a reference that cannot be read; what needs none goes on
                raise SourceError(str(error)) from error
            self._prepared = {old: made for old, made in self._prepared.items() if old[:2] != key[:2]}
            self._prepared[key] = prepared
        return self._prepared[key]

    def _with_stretches(self, reference: Reference) -> Reference:
        """A reference as it was kept, with its stretches: they are only needed while it is calibrated."""
        with self.results.store.read() as connection:
            number = events.find_model(connection, self.app, self.model.name)
            assert number is not None  # its references are kept under it
            found = load_reference(connection, number, reference.fingerprint, stretches=True)
        assert found is not None
        return found

    def _failed(self, check: str, window: Window, reason: str) -> CheckResult:
        finding = Finding(self.app, check, check, Verdict.ERROR, reason, window, model=self.model.name)
        return CheckResult(self.app, self.model.name, check, Verdict.ERROR, reason, window, 0, (finding,))


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
        self._expire("profiles", lambda c: expire_profiles(c, updated_before=now - options.profiles, limit=STEP_ROWS))
        for app, model in self.loaded.config.models():
            if model.labels is not None and model.labels.type == "ingest":
                self._labels(app.name, model, now)
        give_back()

    def _events(self, app: str, model: Model, now: float) -> None:
        """Raw rows go when they are old, and not before the longest of the model's windows has been judged on them."""
        needed = window_seconds(model.windows) + max(
            model.windows.lateness, model.labels.mature if model.labels else 0.0
        )
        kept = max(self.loaded.config.store.retention, needed)
        with self.results.store.read() as connection:
            number = events.find_model(connection, app, model.name)
        if number is not None:
            step = partial(events.expire_events, number=number, now=now, keep=kept, limit=STEP_ROWS)
            self._expire("events", step)

    def _labels(self, app: str, model: Model, now: float) -> None:
        store, metrics = self.results.store, self.results.metrics
        with store.read() as connection:
            number = events.find_model(connection, app, model.name)
        if number is None:
            return
        before = now - model.labels.expire
        gone = self._expire(
            "labels", lambda c: events.expire_labels(c, number, received_before=before, limit=STEP_ROWS)
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
