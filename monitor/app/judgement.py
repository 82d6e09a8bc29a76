"""The judgement of one model in the daemon: what is due, where it is computed, and what it needs from one run to the next."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from monitor import registry
from monitor.app._profiles import ProfileUpdates
from monitor.app.jobs import Results
from monitor.check import (
    Calibrations,
    Context,
    References,
    Said,
    explained,
    in_order,
    is_heavy,
    judge_model,
    waits_for_labels,
)
from monitor.child import ChildFailed, in_child
from monitor.config import Loaded, Model, StorePlace
from monitor.consequences.exposition import expose_judgement
from monitor.profile import Reference
from monitor.records import CheckResult, Finding, NoData, Sample, Verdict, Window
from monitor.source import SourceError
from monitor.source._left_out import Reason
from monitor.source._open import open_events
from monitor.source._reference import read_reference, reference_key, span_of
from monitor.source.ingest import IngestSource
from monitor.store import StoreError, events, history, open_for_reading
from monitor.store.reading import count_labelled
from monitor.store.references import load_reference, save_reference
from monitor.windows import every_seconds, looked_at, newest_due

log = logging.getLogger(__name__)

LEFT_OUT = "anchorwatch_source_files_left_out"
MANY_LABELS = 50_000  # labelled rows from which on they are not held beside the app


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a model: which windows, which checks, and what these have left at their last run.

    Attributes:
        now: Unix seconds.
        windows: the newest one first; the labels of the last have matured.
        checks: which are run.
        states: what each has left.
        said: what was said of these windows at the look before.
    """

    now: float
    windows: Sequence[Window]
    checks: Collection[str]
    states: Mapping[str, str]
    said: Said

    def judge(
        self, app: str, model: Model, source: Any, references: References, checks: Collection[str]
    ) -> list[CheckResult]:
        """The results of some of the checks."""
        newest, *between = self.windows
        return judge_model(
            app, model, newest, source, references,
            now=self.now, matured=self.windows[-1], between=between[:-1], checks=checks, states=self.states, said=self.said,
        )  # fmt: skip


def judge_files(
    app: str, model: Model, directory: Path, place: StorePlace, look: Look
) -> tuple[list[CheckResult], list[Reference], Counter[str]]:
    """Judge a model whose predictions are files; runs in a child process.

    Returns:
        The results, the references that the store does not keep yet (reading one costs more than judging a window), and how
        many files were left out, by reason.
    """
    source = open_events(app, model, directory, place)
    read: dict[str, Reference] = {}
    with closing(open_for_reading(place)) as store:

        def look_up(version: str) -> Reference | None:
            found = reference_key(model, version, directory)
            if found is None or found[0] in read:
                return None if found is None else read[found[0]]
            with store.read() as connection:
                number = events.find_model(connection, app, model.name)
                kept = None if number is None else load_reference(connection, number, found[0], stretches=True)
            if kept is None:
                kept = read_reference(model, version, directory, source, now=look.now)
                assert kept is not None  # it has a key
                read[found[0]] = kept
            return kept

        references = References(look_up, directory=directory)
        judged = look.judge(app, model, source, references, look.checks)
        left_out = getattr(source, "left_out", {})  # of files alone
        return judged, list(read.values()), Counter(each.reason.value for each in left_out.values())


def prepare_in_child(
    app: str,
    model: Model,
    version: str,
    checks: Sequence[str],
    directory: Path,
    place: StorePlace,
    window: Window,
    now: float,
) -> dict[str, Any]:
    """What each of some checks makes of the rows of a reference, or why it cannot; runs in a child process."""
    source = open_events(app, model, directory, place)
    context = Context(app, model, window, source, References(lambda _: None, directory=directory), now)
    made: dict[str, Any] = {}
    for check in checks:
        try:
            made[check] = registry.load("check", check).prepare(context, model.checks[check].options, version)
        except (SourceError, NoData) as reason:
            made[check] = reason
    return made


def read_in_child(
    app: str, model: Model, version: str, directory: Path, place: StorePlace, now: float
) -> Reference | None:
    """Read a reference, from its files or from the model's own predictions; runs in a child process."""
    return read_reference(model, version, directory, open_events(app, model, directory, place), now=now)


Known = tuple[dict[str, Reference], dict[str, str], dict[str, str]]  # references; why others are not to be had


def judge_heavily(
    app: str, model: Model, directory: Path, place: StorePlace, look: Look, known: Known
) -> list[CheckResult]:
    """The checks that read raw rows, of a model whose predictions are pushed; runs in a child process."""
    source = open_events(app, model, directory, place)
    found, failures, missing = known
    with closing(open_for_reading(place)) as store, store.read() as connection:
        number = events.find_model(connection, app, model.name)
        assert number is not None  # its references are kept under it
        # With their stretches, which the daemon leaves in the store.
        kept = {v: load_reference(connection, number, each.fingerprint, stretches=True) for v, each in found.items()}
    references = References(lambda version: kept.get(version) or found.get(version), directory=directory)
    references.failures.update(failures)
    references.missing.update(missing)
    return look.judge(app, model, source, references, look.checks)


def looks_between(model: Model) -> dict[str, float]:
    """The checks that are also run between two windows, and how often: every so many seconds."""
    found = {}
    for name, spec in model.checks.items():
        every = getattr(registry.load("check", name), "looks_every", None)
        seconds = every(spec.options) if every else None
        if seconds is not None and seconds < every_seconds(model.windows):
            found[name] = seconds
    return found


class ModelJudgement:
    """All checks of one model, on its newest window that is due."""

    def __init__(self, app: str, model: Model, loaded: Loaded, results: Results, updates: ProfileUpdates) -> None:
        self.app, self.model, self.results, self.updates = app, model, results, updates
        self.directory, self.place = loaded.directory, loaded.store
        self.feature_limit = loaded.config.metrics.features
        self._references: dict[str, Reference] = {}
        self._calibrations = Calibrations(self._with_stretches)
        self._prepared: dict[tuple[str, str, float], Any] = {}
        self._judged_until = float("-inf")  # so that a daemon that has just started shows everything

    def run(self) -> None:
        """Judge once, and record every check's result: all of them on a new window, else those that labels may change."""
        now = self.results.now()
        mature = self.model.labels.mature if self.model.labels else 0.0
        windows = looked_at(self.model.windows, now, mature)
        fresh = windows[0].end > self._judged_until
        checks = [check for check in self.model.checks if fresh or waits_for_labels(check)]
        self._judged_until = windows[0].end
        self._look(windows, checks, now)

    def between_windows(self, check: str) -> None:
        """Run one check that does not only look when a window is due."""
        now = self.results.now()
        self._look([newest_due(self.model.windows, now)], [check], now)

    def _look(self, windows: Sequence[Window], checks: Sequence[str], now: float) -> None:
        started = time.perf_counter()
        judged = self._guarded(windows, checks, now)
        seconds = (time.perf_counter() - started) / max(len(judged), 1)
        for result in judged:
            self.results.take(result, seconds)
        shown = partial(
            expose_judgement, self.results.metrics, self.app, self.model, judged,
            features=self.feature_limit, counted=self.updates.features,
        )  # fmt: skip
        self.results.show(shown)

    def _guarded(self, windows: Sequence[Window], checks: Sequence[str], now: float) -> list[CheckResult]:
        """The results of the checks, or the error that kept all of them from having one."""
        try:
            return self._judge(Look(now, windows, checks, *self._kept(windows)))
        except (SourceError, StoreError, ChildFailed, OSError) as error:
            return [self._failed(check, windows[0], str(error)) for check in checks]
        except Exception as error:
            # The edge of one run: one broken model never stops another.
            log.exception("judgement failed", extra={"app": self.app, "model": self.model.name})
            return [self._failed(check, windows[0], f"{type(error).__name__}: {error}") for check in checks]

    def _kept(self, windows: Sequence[Window]) -> tuple[dict[str, str], Said]:
        """What the checks have left, and what was said of these windows, at the look before."""
        with self.results.store.read() as connection:
            states = history.load_states(connection, self.app, self.model.name)
            return states, history.last_verdicts(connection, self.app, self.model.name, windows)

    def _judge(self, look: Look) -> list[CheckResult]:
        if registry.load("source", self.model.predictions.type).HEAVY:
            return self._judge_files(look)
        source = self.updates.source
        prepare = partial(self._prepare, now=look.now)
        references = References(self.reference_of, self._calibrations, self.directory, prepare=prepare)
        self.updates.catch_up(references, now=look.now)
        self._count_versions(source)
        heavy = self._heavy(look)
        light = [check for check in look.checks if check not in heavy]
        judged = look.judge(self.app, self.model, source, references, light)
        if heavy:
            # It is not told of these references' stretches: it reads rows.
            known = (dict(references.found), references.failures, references.missing)
            judged += self._heavily(look, heavy, known)
        return in_order(explained(judged))

    def _heavy(self, look: Look) -> list[str]:
        """The checks that a process of its own is for: those that read raw rows, and those of labels where there are many."""
        waiting = [check for check in look.checks if waits_for_labels(check) and not is_heavy(check)]
        many = False
        if waiting:
            with self.results.store.read() as connection:
                number = events.find_model(connection, self.app, self.model.name)
                since = look.windows[-1].start
                many = number is not None and (
                    count_labelled(connection, number, since=since, at_most=MANY_LABELS) >= MANY_LABELS
                )
        return [check for check in look.checks if is_heavy(check) or (many and check in waiting)]

    def _judge_files(self, look: Look) -> list[CheckResult]:
        judged, read, left_out = in_child(judge_files, self.app, self.model, self.directory, self.place, look)
        for reference in read:
            self._keep(reference)
        about = {"app": self.app, "model": self.model.name}
        samples = [Sample(LEFT_OUT, {**about, "reason": reason.value}, left_out[reason]) for reason in Reason]
        self.results.show(lambda: self.results.metrics.swap([LEFT_OUT], samples, **about))
        return judged

    def _keep(self, reference: Reference) -> None:
        """Keep a reference in the store: its bins stay what they are, and it is not read again."""
        now = self.results.now()

        def change(connection: Connection) -> None:
            save_reference(connection, events.model_id(connection, self.app, self.model.name), reference, now)

        self.results.store.write(change)

    def _heavily(self, look: Look, heavy: Sequence[str], known: Known) -> list[CheckResult]:
        """The checks that are heavy, in a child; if it dies, they alone have failed."""
        try:
            return in_child(
                judge_heavily, self.app, self.model, self.directory, self.place, replace(look, checks=heavy), known
            )
        except (ChildFailed, OSError) as error:
            return [self._failed(check, look.windows[0], str(error)) for check in heavy]

    def _count_versions(self, source: IngestSource) -> None:
        omitted = source.omitted_versions()
        self.results.metrics.set("anchorwatch_model_versions_omitted", omitted, app=self.app, model=self.model.name)

    def reference_of(self, version: str) -> Reference | None:
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
                reference = in_child(read_in_child, self.app, self.model, version, self.directory, self.place, now)
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
            # A process takes longer to start than most checks to prepare: all that will ask are served by one.
            others = [each for each in self.model.checks if each != check and self._prepares(each)]
            wanted = [check, *(each for each in others if (key[0], each, key[2]) not in self._prepared)]
            arguments = self.app, self.model, version, wanted, self.directory, self.place, window, now
            try:
                made = in_child(prepare_in_child, *arguments)
            except ChildFailed as error:  # a reference that cannot be read; what needs none goes on
                raise SourceError(str(error)) from error
            for name, prepared in made.items():
                if not isinstance(prepared, Exception):
                    self._prepared = {old: kept for old, kept in self._prepared.items() if old[:2] != (key[0], name)}
                    self._prepared[key[0], name, key[2]] = prepared
            if isinstance(made[check], Exception):
                raise made[check]
        return self._prepared[key]

    def _prepares(self, check: str) -> bool:
        """Whether a check that is run here makes something of a reference's rows."""
        return hasattr(registry.load("check", check), "prepare") and not is_heavy(check)

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
