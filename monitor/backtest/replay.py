"""The replay: a simulated clock steps from due time to due time, and the daemon's own code judges and decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from sqlalchemy import Connection

from monitor.alert.rules import RULES
from monitor.backtest.history import History
from monitor.backtest.memory_store import MemoryStore
from monitor.backtest.outcome import Outcome
from monitor.backtest.progress import Progress, Tell
from monitor.backtest.series import SeriesLog
from monitor.check import judge_model, waits_for_labels
from monitor.config import Loaded, Route
from monitor.consequences.configured import expose_config
from monitor.consequences.exposition import expose_alerts, expose_effects, expose_judgement, expose_run
from monitor.consequences.recording import Effects, Recorder
from monitor.metrics import Metrics
from monitor.records import AlertState, CheckResult, Verdict, Window
from monitor.store import watch
from monitor.store.history import last_verdicts, load_states
from monitor.version import VERSION
from monitor.windows import looked_at

LEDGER_PAGE = 1000
NEVER = 1e10  # seconds: nobody is told of an alert again, as nobody was told of it at all


class Replay:
    """One pass over the histories of some models, with a store and metrics of its own.

    Alerts are evaluated here also where Prometheus is to do it: its rules are the same. A retraining that is asked for goes
    to no trigger and counts as accepted; a version that shows itself in the history afterwards is taken for what it brought,
    else `follow.timeout` ends it. The store is as old as the history: as if the daemon had been started at the first event of
    the models replayed, so the guard `no_history` refuses within the first `cooldown` after it, as it would have then.
    """

    def __init__(self, loaded: Loaded, histories: Sequence[History], *, series: SeriesLog | None, tell: Tell) -> None:
        firsts = [history.first for history in histories if history.first is not None]
        self._now = min(firsts, default=0.0)
        self._loaded = _silent(loaded)
        self._store = MemoryStore(now=self._now)
        self._recorder = Recorder(
            self._loaded,
            RULES,
            now=lambda: self._now,
            store_created=self._now,
            url="",
            count_labels=self._count_labels,
        )
        self._rules = {rule.name: rule for rule in self._recorder.rules}
        self._metrics, self._series, self._tell = Metrics(VERSION), series, tell
        self._sources = {(history.app, history.model.name): history.source for history in histories}
        self._judged_until: dict[str, float] = {}
        self.outcome = Outcome()
        checks = [(history.app, history.model.name, check) for history in histories for check in history.model.checks]
        expose_config(self._metrics, self._loaded, checks=checks, gone=[])

    def run(self, times: Sequence[tuple[float, History]]) -> Outcome:
        """Judge each model at its times (Unix seconds, rising), and let time pass in between."""
        outcome = self.outcome
        if times:
            outcome.start, outcome.end = times[0][0], times[-1][0]
        for due, group in groupby(times, key=lambda item: item[0]):
            self._let_time_pass(due)
            self._now = due
            for _, history in group:
                self._judge(history)
                outcome.windows += 1
                self._tell(Progress("judging", history.name, outcome.windows, len(times), len(outcome.alerts)))
            self._show()
        self._read_ledger()
        return outcome

    # --- one judgement --------------------------------------------------------------------------------------------

    def _judge(self, history: History) -> None:
        app, model, now = history.app, history.model, self._now
        mature = model.labels.mature if model.labels else 0.0
        window, *earlier = looked_at(model.windows, now, mature)
        fresh = window.end > self._judged_until.get(history.name, -math.inf)
        self._judged_until[history.name] = window.end
        with self._store.write() as connection:
            states = load_states(connection, app, model.name)
            said = last_verdicts(connection, app, model.name, [window, *earlier])
        judged = judge_model(
            app, model, window, history.source, history.standards.at(now),
            now=now, matured=earlier[-1] if earlier else window, between=earlier[:-1], known_by=now, states=states, said=said,
            checks=[check for check in model.checks if fresh or waits_for_labels(check)],
        )  # fmt: skip
        for result in judged:
            self._take(result)
        features = self._loaded.config.metrics.features
        expose_judgement(self._metrics, app, model, judged, features=features)

    def _take(self, result: CheckResult) -> None:
        with self._store.write() as connection:
            effects = self._recorder.record(connection, result)
            self._accept(connection, effects)
            live = (
                watch.load_alerts(connection, result.app, result.model, result.check)
                if self.outcome.is_alerting
                else {}
            )
        success = self._now if result.verdict in (Verdict.OK, Verdict.BREACHED) else None
        expose_run(self._metrics, result, now=self._now, last_success=success, seconds=0.0)
        self.outcome.judged(result)
        self._decided(effects)
        self.outcome.firing(live.values())

    def _accept(self, connection: Connection, effects: Effects) -> None:
        """Take the part of the trigger."""
        for told in [each for each in effects.retrainings if each.state == "requested"]:
            effects.retrainings += self._recorder.retrainings.delivered(
                connection, told.key, state="accepted", reason="a backtest asks nobody", now=self._now
            )

    def _decided(self, effects: Effects) -> None:
        expose_effects(self._metrics, effects)
        self.outcome.changed(effects.changes)

    def _count_labels(self, app: str, model: str, since: float, at_most: int) -> int:
        """The labelled predictions since an event time whose label has come by now."""
        source, total = self._sources[app, model], 0
        for batch in source.labelled(Window(since, math.inf), numeric=False, known_by=self._now):
            total += len(batch)
            if total >= at_most:
                break
        return min(total, at_most)

    # --- time in between ------------------------------------------------------------------------------------------

    def _let_time_pass(self, until: float) -> None:
        """Go to each moment before `until` at which time alone may change something, as the daemon's tick does."""
        while (moment := self._next_change()) < until:
            self._now = moment
            with self._store.write() as connection:
                effects = self._recorder.tick(connection)
                self._accept(connection, effects)
            self._decided(effects)
            if effects.changes or effects.retrainings:
                self._show()

    def _next_change(self) -> float:
        """The next moment at which an alert has been pending for its `for`, or a retraining is overdue; inf if never."""
        with self._store.write() as connection:
            pending = [alert for alert, _ in watch.alert_counts(connection) if alert.state is AlertState.PENDING]
            moments = [
                alert.pending_since + self._rules[alert.name].for_seconds
                for alert in pending
                if alert.name in self._rules
            ]
            # Overdue is what is past its deadline.
            moments += [math.nextafter(row.deadline, math.inf) for row in watch.unfinished_retrainings(connection)]
        return min((moment for moment in moments if moment > self._now), default=math.inf)

    # --- what is shown --------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self._series is None:
            return
        with self._store.write() as connection:
            expose_alerts(self._metrics, watch.alert_counts(connection))
            active = {(row.app, row.model) for row in watch.unfinished_retrainings(connection)}
        for app, model in self._loaded.config.models():
            if model.retraining is not None:
                under_way = float((app.name, model.name) in active)
                self._metrics.set("anchorwatch_retraining_active", under_way, app=app.name, model=model.name)
        self._series.note(self._metrics.collect(), self._now)

    def _read_ledger(self) -> None:
        """The retrainings, without our own acceptance of them."""
        after = 0
        with self._store.write() as connection:
            while page := watch.read_ledger(connection, after=after, limit=LEDGER_PAGE):
                after = page[-1]["seq"]
                for entry in page:
                    if entry["kind"] == "retraining" and entry["data"]["state"] != "accepted":
                        self.outcome.noted(entry)


def _silent(loaded: Loaded) -> Loaded:
    """The same configuration with an evaluator of our own, and nobody to tell."""
    nobody = Route(to=()).replace(repeat=NEVER)
    alerting = loaded.config.alerting.replace(evaluator="builtin", receivers=(), routes=(nobody,))
    return replace(loaded, config=loaded.config.replace(alerting=alerting))
