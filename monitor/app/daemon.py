"""The daemon: its parts, and how they start, reload and stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from monitor import registry
from monitor.alert.rules import RULES
from monitor.app._bins import BinCounters
from monitor.app._profiles import EVERY_SECONDS, READ_SECONDS, ProfileUpdates
from monitor.app.deliveries import Deliveries
from monitor.app.feeding import Following
from monitor.app.intake import Intake
from monitor.app.jobs import AppLook, Housekeeping, Results
from monitor.app.judgement import ModelJudgement, looks_between
from monitor.app.leases import WATCH, Leases, unit_of
from monitor.config import Config, ConfigError, Loaded, Model, load
from monitor.consequences.configured import expose_config, forget_unconfigured, forget_unit
from monitor.consequences.exposition import expose_alerts, expose_effects
from monitor.consequences.recording import Effects, Recorder
from monitor.memory import settle
from monitor.metrics import Metrics
from monitor.records import iso
from monitor.schedule import Scheduler, WallClock
from monitor.source._pulled import pulled
from monitor.store import Store, StoreError, watch
from monitor.version import VERSION
from monitor.web._outside import OutsideAlert, decision
from monitor.windows import next_look_time

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 6.0  # of the 10 that a stop may take; requests under way have had 2 before
TICK_SECONDS = 1.0  # real time
HOUSEKEEPING_SECONDS = 30.0  # real time
FIXED_KEYS = ("listen", "metrics_listen", "data_dir", "store.url")


class StartFailed(Exception):
    """The daemon cannot start; the message says what to do."""


class Daemon:
    """Everything that runs, under one configuration at a time."""

    def __init__(self, loaded: Loaded, *, clock: WallClock, demo: bool = False) -> None:
        """Open the store and build the parts; nothing runs yet.

        Raises:
            StartFailed: the store cannot be opened.
        """
        self.demo, self._clock = demo, clock
        self._loaded = loaded
        try:
            self._store = Store(loaded.store, now=clock.now())
        except StoreError as error:
            raise StartFailed(f"data_dir: expected a store that opens: {error}") from None
        self._metrics = Metrics(VERSION)
        self._scheduler = Scheduler(clock, jitter_seconds=min(0.5, 0.5 / clock.rate))
        self._looks: list[AppLook | ProfileUpdates] = []
        self._bins: dict[tuple[str, str], BinCounters] = {}
        self._feeds: list[Following] = []
        self._jobs: dict[str, list[str]] = {}  # by unit
        self._leases = Leases(self._store, changed=self._shared)
        self._ready = False
        self._refusal = ""  # what the store said when it last refused a tick
        self._counted_errors = 0
        self._reloading = threading.Lock()
        self._intake = Intake(
            self._store, self._metrics, now=clock.now, told=lambda effects: expose_effects(self._metrics, effects)
        )
        self._recorder = self._new_recorder(loaded)
        self._intake.configure(loaded.config, self._recorder)
        self._deliveries = Deliveries(
            self._store,
            self._metrics,
            config=lambda: self._loaded.config,
            now=clock.now,
            trigger_settled=self._trigger_settled,
            told=lambda effects: expose_effects(self._metrics, effects),
            mine=partial(self._leases.working, WATCH),
        )

    # --- what the web sees ----------------------------------------------------------------------------------------

    @property
    def loaded(self) -> Loaded:
        return self._loaded

    @property
    def store(self) -> Store:
        return self._store

    @property
    def metrics(self) -> Metrics:
        return self._metrics

    @property
    def clock(self) -> WallClock:
        return self._clock

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def intake(self) -> Intake:
        return self._intake

    def alert_from_outside(self, alerts: list[OutsideAlert]) -> Future[list[dict[str, str]]]:
        """Consider alerts that another evaluator has raised."""
        recorder, now = self._recorder, self._clock.now()
        effects = Effects()

        def change(connection: Connection) -> list[dict[str, str]]:
            decided = []
            for alert in alerts:
                told = []
                if alert.status == "firing":
                    started = alert.started_at if alert.started_at == alert.started_at else now
                    told = recorder.retrainings.external(connection, alert.labels, started, now)
                effects.retrainings.extend(told)
                decided.append(decision(told))
            return decided

        future = self._store.submit(change)
        future.add_done_callback(lambda stored: None if stored.exception() else self._changed_and_counted(effects))
        return future

    def _changed_and_counted(self, effects: Effects) -> None:
        expose_effects(self._metrics, effects)
        self._deliveries.wake()

    # --- start, reload, stop --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Schedule everything; from then on the daemon is ready."""
        self._apply(self._loaded)
        self._scheduler.start()
        self._deliveries.start()
        self._leases.start()
        self._ready = True
        settle()
        listen = f"http://{self._loaded.config.listen}/"
        log.info("daemon started", extra={"open": listen, "config": self._loaded.hash, "clock": iso(self._clock.now())})

    def reload(self) -> list[str]:
        """Load the configuration file anew and put it in force, whole; or keep the old one and say what is wrong."""
        with self._reloading:
            try:
                fresh = load(self._loaded.path, rules=[rule.name for rule in RULES])
                problems = self._fixed(fresh.config)
            except ConfigError as error:
                fresh, problems = self._loaded, error.lines
            if problems:
                self._metrics.set("anchorwatch_config_last_reload_successful", 0)
                log.error("configuration not reloaded", extra={"problems": problems})
                return problems
            self._scheduler.clear()
            self._unfollow(PATIENCE_SECONDS)
            self._results.retire()
            for look in self._looks:
                look.close()
            forget_unconfigured(self._metrics, self._loaded, fresh.config)
            self._apply(fresh)
            log.info("configuration reloaded", extra={"config": fresh.hash})
            return []

    def _fixed(self, fresh: Config) -> list[str]:
        """What cannot change while the daemon runs."""
        old = self._loaded.config
        return [
            f"{self._loaded.path.name}:1: {key}: expected {attrgetter(key)(old)} until a restart, got {attrgetter(key)(fresh)}"
            for key in FIXED_KEYS
            if attrgetter(key)(old) != attrgetter(key)(fresh)
        ]

    def _new_recorder(self, loaded: Loaded) -> Recorder:
        return Recorder(
            loaded,
            RULES,
            now=self._clock.now,
            store_created=self._store.created,
            url=f"http://{loaded.config.listen}/",
        )

    def _apply(self, loaded: Loaded) -> None:
        """Put a configuration in force: recorder, series, jobs."""
        before = self._recorder.checks()
        self._loaded = loaded
        self._recorder = recorder = self._new_recorder(loaded)
        self._intake.configure(loaded.config, recorder)
        expose_config(self._metrics, loaded, checks=recorder.checks(), gone=before - recorder.checks())
        results = self._results = Results(
            self._store, self._metrics, recorder, now=self._clock.now, changed=self._changed, leases=self._leases
        )
        units = {WATCH, *(unit_of(app.name, None) for app in loaded.config.apps)}
        units |= {unit_of(app.name, model.name) for app, model in loaded.config.models()}
        self._leases.configure(units)
        for unit in units:
            if not self._leases.holds(unit):
                self._forget(unit)
        try:
            expose_effects(self._metrics, self._store.write(recorder.retire))
        except StoreError as error:
            # A full disk keeps nobody from watching; alerts of checks that are gone end at the next start or reload.
            log.error("gone checks not retired", extra={"error": str(error)})  # noqa: TRY400 - the error says it all
        self._schedule(loaded, results)
        self._follow(loaded, results)
        with suppress(StoreError):  # the next tick will tell
            self._refresh()

    def _follow(self, loaded: Loaded, results: Results) -> None:
        """Begin to pull what is pulled."""
        for app, model, kind in pulled(loaded.config):
            mine = partial(self._leases.working, unit_of(app, model.name))
            feed = Following(app, model, kind, loaded, results, self._intake, mine=mine)
            self._feeds.append(feed)
            feed.start()

    def _unfollow(self, patience_seconds: float) -> None:
        for feed in self._feeds:
            feed.stop()
        ends = time.monotonic() + patience_seconds
        for feed in self._feeds:
            feed.join(max(0.1, ends - time.monotonic()))
        self._feeds = []

    def _schedule(self, loaded: Loaded, results: Results) -> None:
        self._looks, self._jobs = [], {}
        for app in loaded.config.apps:
            specs = [(f"probe:{probe.name}", probe) for probe in app.probes]
            specs += [(name, spec) for name in ("scrape", "process") if (spec := getattr(app, name)) is not None]
            for check, spec in specs:
                look = AppLook(app.name, check, spec, results)
                self._looks.append(look)
                late = partial(self._late, app.name, None, check)
                self._every(unit_of(app.name, None), f"{app.name}/{check}", spec.every, look.run, late)
        for app, model in loaded.config.models():
            updates = self._profiled(app.name, model, loaded, results)
            judgement = ModelJudgement(app.name, model, loaded, results, updates)
            mature = model.labels.mature if model.labels else 0.0
            following = partial(next_look_time, model.windows, mature=mature)
            late = partial(self._late_model, app.name, model.name, tuple(model.checks))
            unit, name = unit_of(app.name, model.name), f"{app.name}/{model.name}"
            self._jobs.setdefault(unit, []).append(name)
            self._scheduler.at(name, following, self._if_mine(unit, judgement.run), late)
            for check, every in looks_between(model).items():
                late = partial(self._late, app.name, model.name, check)
                work = partial(judgement.between_windows, check)
                self._every(unit, f"{name}/{check}", every, work, late, lane="judge")
            if not registry.load("source", model.predictions.type).HEAVY:
                self._update(judgement)
        rate = self._clock.rate
        keep = Housekeeping(loaded, results)
        self._every(WATCH, "housekeeping", HOUSEKEEPING_SECONDS * rate, keep.run, _nothing, lane="keep")
        self._every(WATCH, "tick", TICK_SECONDS * rate, partial(self._tick, results), _nothing, lane="keep")

    def _every(
        self,
        unit: str,
        name: str,
        seconds: float,
        work: Callable[[], None],
        late: Callable[[], None],
        lane: str = "look",
    ) -> None:
        """Schedule a unit's work, which is only done while the unit is this daemon's."""
        self._jobs.setdefault(unit, []).append(name)
        self._scheduler.every(name, seconds, self._if_mine(unit, work), late, lane=lane)

    def _if_mine(self, unit: str, work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with self._leases.working(unit) as mine:
                if mine:
                    work()

        return run

    def _shared(self, gained: set[str], lost: set[str]) -> None:
        """Begin with what has become this daemon's, and show no more what has become another's."""
        for unit in lost:
            self._forget(unit)
        for unit in gained:
            self._scheduler.soon(self._jobs.get(unit, ()))

    def _forget(self, unit: str) -> None:
        if unit == WATCH:
            names = ("anchorwatch_alerts", "anchorwatch_notification_queue_length", "anchorwatch_retraining_active")
            self._metrics.withdraw(names)
            return
        for app, model in [(app.name, None) for app in self._loaded.config.apps] + [
            (app.name, model.name) for app, model in self._loaded.config.models()
        ]:
            if unit_of(app, model) == unit:
                forget_unit(self._metrics, app, model)
                if model and (app, model) in self._bins:
                    self._bins[app, model].leave()

    def _profiled(self, app: str, model: Model, loaded: Loaded, results: Results) -> ProfileUpdates:
        """What feeds a model's profiles; it goes with the configuration, and the counters stay."""
        bins = self._bins.setdefault(
            (app, model.name), BinCounters(self._metrics, app, model.name, now=self._clock.now)
        )
        updates = ProfileUpdates(app, model, loaded, results, bins)
        self._looks.append(updates)
        return updates

    def _update(self, judgement: ModelJudgement) -> None:
        """Feed the profiles of a model between its looks, and read beside what references that takes."""
        updates, rate = judgement.updates, self._clock.rate
        unit, name = unit_of(judgement.app, judgement.model.name), f"{judgement.app}/{judgement.model.name}"
        read = partial(updates.read_references, judgement.reference_of)
        self._every(unit, f"{name}/profiles", EVERY_SECONDS * rate, updates.run, _nothing, lane="judge")
        self._every(unit, f"{name}/references", READ_SECONDS * rate, read, _nothing, lane="judge")

    def _late(self, app: str, model: str | None, check: str) -> None:
        self._metrics.add("anchorwatch_check_late_runs_total", app=app, model=model, check=check)

    def _late_model(self, app: str, model: str, checks: tuple[str, ...]) -> None:
        for check in checks:
            self._late(app, model, check)

    def _tick(self, results: Results) -> None:
        try:
            results.tell(self._store.write(results.recorder.tick))
            self._refusal = ""
        except StoreError as error:
            # Once for each reason, and not each second.
            if str(error) != self._refusal:
                log.error("store refused", extra={"error": str(error)})  # noqa: TRY400 - the error says it all
            self._refusal = str(error)
            self._count_errors()
            return
        self._refresh()

    def _changed(self, _: Effects) -> None:
        self._deliveries.wake()
        self._refresh()

    def _refresh(self) -> None:
        """The figures that are counted in the store, and how often it refused."""
        self._count_errors()
        if not self._leases.holds(WATCH):
            return
        with self._store.read() as connection:
            live = watch.alert_counts(connection)
            queued = watch.queue_lengths(connection)
            active = {(row.app, row.model) for row in watch.unfinished_retrainings(connection)}
        expose_alerts(self._metrics, live)
        for receiver in self._loaded.config.alerting.receivers:
            waiting = queued.get(receiver.name, 0)
            self._metrics.set("anchorwatch_notification_queue_length", waiting, receiver=receiver.name)
        for app, model in self._loaded.config.models():
            if model.retraining is not None:
                under_way = float((app.name, model.name) in active)
                self._metrics.set("anchorwatch_retraining_active", under_way, app=app.name, model=model.name)

    def _count_errors(self) -> None:
        errors = self._store.errors - self._counted_errors
        self._counted_errors += errors
        self._metrics.add("anchorwatch_store_errors_total", errors)

    def _trigger_settled(self, connection: Connection, key: str, state: str, reason: str) -> list[Any]:
        now = self._clock.now()
        return self._recorder.retrainings.delivered(connection, key, state=state, reason=reason, now=now)

    def stop(self) -> None:
        """Finish or abandon what runs, write what is queued, close the store."""
        self._ready = False
        started = time.monotonic()
        self._unfollow(PATIENCE_SECONDS / 3)
        abandoned = self._scheduler.stop(patience_seconds=PATIENCE_SECONDS / 2)
        self._deliveries.stop(patience_seconds=max(0.5, PATIENCE_SECONDS - (time.monotonic() - started)))
        for look in self._looks:
            look.close()
        self._leases.stop()
        self._store.close()
        log.info("daemon stopped", extra={"abandoned": abandoned})


def _nothing() -> None:
    """Housekeeping that comes late is nobody's concern."""
