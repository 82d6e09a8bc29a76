"""From a result to everything that follows from it, in one transaction: alerts, deliveries, retrainings, the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from monitor.alert.lifecycle import due_again, evaluate
from monitor.config import App, Loaded
from monitor.consequences.retraining import CountLabels, Retrainings, Told
from monitor.notify import _routing, _wire
from monitor.records import Alert, AlertState, Change, ChangeReason, CheckResult, Rule, fingerprint
from monitor.source._pulled import check_of, pulled
from monitor.store import events, history, watch
from monitor.store.versions import note_versions


@dataclass(slots=True)
class Effects:
    """What was decided, for the metrics: `changes` of alerts, and what became of retrainings."""

    changes: list[Change] = field(default_factory=list)
    retrainings: list[Told] = field(default_factory=list)

    def add(self, other: Effects) -> None:
        self.changes += other.changes
        self.retrainings += other.retrainings


def adjusted(rules: Iterable[Rule], loaded: Loaded) -> tuple[Rule, ...]:
    """The shipped rules as the configuration adjusts them."""
    found = []
    for rule in rules:
        override = loaded.config.alerting.rules.get(rule.name)
        severity = override.severity if override and override.severity else rule.severity
        seconds = override.for_ if override and override.for_ is not None else rule.for_seconds
        found.append(replace(rule, severity=severity, for_seconds=seconds))
    return tuple(found)


class Recorder:
    """What follows from results under one configuration. Its methods run in the store's writer, each in one transaction."""

    def __init__(
        self,
        loaded: Loaded,
        rules: Iterable[Rule],
        *,
        now: Callable[[], float],
        store_created: float,
        url: str,
        count_labels: CountLabels | None = None,
    ) -> None:
        self.loaded = loaded
        self.rules = adjusted(rules, loaded)
        self.now = now
        self.url = url
        self.retrainings = Retrainings(loaded, self.rules, store_created=store_created, count_labels=count_labels)
        self._apps: dict[str, App] = {app.name: app for app in loaded.config.apps}

    @property
    def builtin(self) -> bool:
        """Whether the alerts are this daemon's to evaluate."""
        return self.loaded.config.alerting.evaluator == "builtin"

    def checks(self) -> set[tuple[str, str | None, str]]:
        """Every check that is configured: app, model (None for the app's own) and name."""
        found: set[tuple[str, str | None, str]] = set()
        for app in self.loaded.config.apps:
            found |= {(app.name, None, f"probe:{probe.name}") for probe in app.probes}
            found |= {(app.name, None, name) for name in ("scrape", "process") if getattr(app, name) is not None}
            found |= {(app.name, model.name, check) for model in app.models for check in model.checks}
        found |= {(app, model.name, check_of(kind)) for app, model, kind in pulled(self.loaded.config)}
        return found

    def record(self, connection: Connection, result: CheckResult) -> Effects:
        """Keep a result and everything that follows from it."""
        now = self.now()
        effects = Effects()
        kept = watch.save_result(connection, result, now=now)
        history.keep(connection, result, now)
        if self.builtin:
            effects.add(self._evaluate(connection, result, now))
        if result.model is not None:
            number = events.model_id(connection, result.app, result.model)
            for version in note_versions(connection, number, result.versions, now):
                effects.retrainings += self.retrainings.version_seen(connection, result.app, result.model, version, now)
            effects.retrainings += self.retrainings.follow(connection, kept, now)
            if self.builtin:
                effects.retrainings += self.retrainings.consider(connection, kept, now)
        return effects

    def tick(self, connection: Connection) -> Effects:
        """What only time has changed: alerts that have been pending long enough, repeats, retrainings overdue."""
        now = self.now()
        effects = Effects()
        if self.builtin:
            for app, model, check in watch.live_checks(connection):
                kept = watch.load_result(connection, app, model, check)
                if kept is None:
                    continue
                decided = self._evaluate(connection, kept.result, now)
                effects.add(decided)
                # An alert that has only now lasted long enough is new evidence; being told of again is not.
                lasted = any(change.reason is ChangeReason.BREACH_PERSISTED for change in decided.changes)
                if lasted and model is not None:
                    effects.retrainings += self.retrainings.consider(connection, kept, now)
        effects.retrainings += self.retrainings.time_out(connection, now)
        return effects

    def retire(self, connection: Connection) -> Effects:
        """End the alerts of checks that are no longer configured, and forget those checks.

        Where Prometheus evaluates now, all alerts of ours end: nobody would ever end them.
        """
        now, effects, configured = self.now(), Effects(), self.checks()
        known = {(kept.result.app, kept.result.model, kept.result.check) for kept in watch.all_results(connection)}
        live_checks = set(watch.live_checks(connection))
        for app, model, check in (known | live_checks) - configured | (set() if self.builtin else live_checks):
            live = watch.load_alerts(connection, app, model, check)
            over = [
                Change(
                    replace(alert, state=AlertState.RESOLVED, resolved_at=now),
                    alert.state,
                    ChangeReason.SUBJECT_RETIRED,
                    now,
                )
                for alert in live.values()
                if alert.state is AlertState.FIRING
            ]
            pending = [key for key, alert in live.items() if alert.state is AlertState.PENDING]
            watch.drop_alerts(connection, pending)
            if (app, model, check) not in configured:
                watch.drop_result(connection, app, model, check)
                history.drop_state(connection, app, model or "", check)
            effects.add(self._tell(connection, app, model, check, over, [], now))
        return effects

    def _evaluate(self, connection: Connection, result: CheckResult, now: float) -> Effects:
        live = watch.load_alerts(connection, result.app, result.model, result.check)
        decided = evaluate(self.rules, live, result, now)
        watch.drop_alerts(connection, decided.forgotten)
        changes = list(decided.changes)
        for alert in live.values():
            again = due_again([alert], _routing.repeat_seconds(alert, self.loaded.config.alerting), now)
            still = not any(change.alert.fingerprint == alert.fingerprint for change in changes)
            changes += [Change(each, each.state, ChangeReason.REPEAT_DUE, now) for each in again if still]
        return self._tell(connection, result.app, result.model, result.check, changes, decided.kept, now)

    def _tell(
        self,
        connection: Connection,
        app: str,
        model: str | None,
        check: str,
        changes: Sequence[Change],
        kept: Sequence[Alert],
        now: float,
    ) -> Effects:
        """Keep the alerts, write the ledger, and queue the deliveries."""
        told = [change.alert for change in changes if change.alert.state is not AlertState.PENDING]
        noted = {alert.fingerprint: alert for alert in [*kept, *_routing.told(told, now)]}
        watch.save_alerts(connection, app, model, check, list(noted.values()))
        for change in changes:
            if change.reason is not ChangeReason.REPEAT_DUE:
                data = {
                    "name": change.alert.name,
                    "state": change.alert.state.value,
                    "reason": change.reason.value,
                    "severity": change.alert.severity.value,
                    "fingerprint": change.alert.fingerprint,
                    "labels": dict(change.alert.labels),
                    "summary": change.alert.summary,
                    "value": change.alert.value,
                    "threshold": change.alert.threshold,
                }
                watch.write_ledger(connection, "alert", app=app, model=model, at=now, data=data)
        configured = self._apps.get(app)
        about = {
            "owner": configured.owner if configured else "",
            "runbook": configured.runbook if configured else "",
            "url": self.url,
        }
        queued = _routing.notifications(changes, self.loaded.config.alerting, about=about, now=now)
        for receiver, notification in queued:
            watch.add_delivery(
                connection,
                key=notification.key,
                kind="notification",
                target=receiver,
                subject=fingerprint(notification.name, app, model or "", check),
                body=_wire.as_json(notification),
                now=now,
                real_now=time.time(),
            )
        return Effects(changes=list(changes))
