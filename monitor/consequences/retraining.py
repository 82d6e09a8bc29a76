"""Retrainings, from the evidence to the end: asked for, refused, followed. Each step is written to the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from monitor import registry
from monitor.alert.lifecycle import labels_of
from monitor.config import Loaded, Model
from monitor.records import (
    AlertState,
    CheckResult,
    Finding,
    RetrainingRequest,
    Rule,
    Verdict,
    Window,
    fingerprint,
    instant,
    iso,
)
from monitor.retrain import GuardContext, Refusal, breached_until, first_refusal, guards_of, judge_outcome
from monitor.store import events, watch
from monitor.store.reading import count_labelled
from monitor.store.watch import KeptResult, KeptRetraining
from monitor.windows import window_seconds

CountLabels = Callable[[str, str, float, int], int]  # app, model, since, at most


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a retraining: its state, or the guard that refused it."""

    app: str
    model: str
    state: str
    reason: str
    guard: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """The alert that is evidence for a retraining."""

    rule: Rule
    version: str | None
    started_at: float


def request_as_json(order: RetrainingRequest) -> dict[str, Any]:
    """A request as it waits in the outbox."""
    row = {name: getattr(order, name) for name in order.__slots__}
    row["window"] = None if order.window is None else [iso(order.window.start), iso(order.window.end)]
    row["evidence"] = [finding.as_json() for finding in order.evidence]
    return row


def request_from_json(row: Mapping[str, Any]) -> RetrainingRequest:
    """The inverse of `request_as_json`."""
    window = None if row["window"] is None else Window(*(instant(text) for text in row["window"]))
    evidence = tuple(Finding.from_json(finding) for finding in row["evidence"])
    return RetrainingRequest(**{**row, "window": window, "evidence": evidence})


class Retrainings:
    """The retrainings of one configuration. Every method is part of a transaction of the store's writer.

    `count_labels` counts a model's labelled predictions since an event time, where they are not in this store.
    """

    def __init__(
        self,
        loaded: Loaded,
        rules: Iterable[Rule],
        *,
        store_created: float,
        count_labels: CountLabels | None = None,
    ) -> None:
        self.loaded = loaded
        self.rules = {rule.name: rule for rule in rules}
        self.store_created = store_created
        self._count_labels = count_labels
        self._models: dict[tuple[str, str], Model] = {
            (app.name, model.name): model for app, model in loaded.config.models()
        }

    # --- asking ---------------------------------------------------------------------------------------------------

    def consider(self, connection: Connection, kept: KeptResult, now: float) -> list[Told]:
        """Ask for a retraining if a breach of this check has lasted and its alert fires."""
        result = kept.result
        model = self._models.get((result.app, result.model or ""))
        if model is None or model.retraining is None or result.check not in model.retraining.on:
            return []
        if result.verdict is not Verdict.BREACHED:
            return []
        live = watch.load_alerts(connection, result.app, result.model, result.check).values()
        firing = [alert for alert in live if alert.state is AlertState.FIRING and alert.name in self.rules]
        firing = [alert for alert in firing if self.rules[alert.name].on == "breached"]
        # The version that made the newest predictions is the one a retraining would replace.
        newest = result.versions[0] if result.versions else None
        firing = [alert for alert in firing if alert.labels.get("version", newest) == newest]
        lasting = [f for f in result.findings if kept.streak_of(f) >= model.retraining.evidence.windows]
        firing = [
            alert
            for alert in firing
            if any(labels_of(self.rules[alert.name], finding) == dict(alert.labels) for finding in lasting)
        ]
        if not firing:
            return []
        first = min(firing, key=lambda alert: alert.started_at or now)
        cause = Cause(self.rules[first.name], newest, first.started_at or now)
        return self._attempt(connection, result.app, model, cause, kept, now)

    def external(self, connection: Connection, labels: Mapping[str, str], started_at: float, now: float) -> list[Told]:
        """Ask for a retraining because an alert from outside (Prometheus, Grafana) fires; [] where it is no reason to."""
        rule = self.rules.get(labels.get("alertname", ""))
        model = self._models.get((labels.get("app", ""), labels.get("model", "")))
        if rule is None or rule.on != "breached" or model is None or model.retraining is None:
            return []
        if rule.check not in model.retraining.on:
            return []
        app = labels["app"]
        kept = watch.load_result(connection, app, model.name, rule.check)
        cause = Cause(rule, labels.get("version"), started_at)
        return self._attempt(connection, app, model, cause, kept, now)

    def _attempt(
        self, connection: Connection, app: str, model: Model, cause: Cause, kept: KeptResult | None, now: float
    ) -> list[Told]:
        history = watch.model_retrainings(connection, app, model.name)
        refusal = self._refusal(connection, app, model, cause.version, history, now)
        about = f"{cause.rule.name} since {iso(cause.started_at)}"
        if refusal is not None:
            told = Told(app, model.name, "refused", refusal.reason, refusal.guard)
            self._note_refusal(connection, told, cause, about, now)
            return [told]
        key = fingerprint(
            app, model.name, cause.version or "", cause.rule.name, repr(cause.started_at), str(len(history))
        )
        order = self._order(key, app, model, cause, kept, now)
        done = self._end_older(connection, history, key, now)
        assert model.retraining is not None  # no attempt is made without one
        row = KeptRetraining(
            key, app, model.name, cause.version or "", "requested", about, cause.rule.check, now,
            now + model.retraining.follow.timeout, None, None, request_as_json(order),
        )  # fmt: skip
        watch.add_retraining(connection, row)
        watch.add_delivery(
            connection, key=key, kind="trigger", target=f"{app}/{model.name}", subject="retraining",
            body=request_as_json(order), now=now, real_now=time.time(),
        )  # fmt: skip
        told = Told(app, model.name, "requested", about, key=key)
        self._write(
            connection, told, now, version=cause.version, evidence=[_numbers(finding) for finding in order.evidence]
        )
        return [*done, told]

    def _refusal(
        self,
        connection: Connection,
        app: str,
        model: Model,
        version: str | None,
        history: list[KeptRetraining],
        now: float,
    ) -> Refusal | None:
        assert model.retraining is not None  # no attempt is made without one
        context = GuardContext(
            now=now,
            history=history,
            labels=partial(self._fresh_labels, connection, app, model, history),
            store_created=self.store_created,
            ephemeral=self.loaded.config.store.ephemeral,
            options=guards_of(model.retraining.guards),
            newest=partial(_newest_result, connection, app, model),
            version=version,
        )
        return first_refusal(context)

    def _fresh_labels(
        self, connection: Connection, app: str, model: Model, history: list[KeptRetraining], at_most: int
    ) -> int:
        """Labelled predictions since the newest retraining was asked for; counting ends at `at_most`."""
        if model.labels is not None and not registry.load("source", model.labels.type).HEAVY:
            since = history[0].requested if history else 0.0
            if self._count_labels is not None:
                return self._count_labels(app, model.name, since, at_most)
            number = events.model_id(connection, app, model.name)
            return count_labelled(connection, number, since=since, at_most=at_most)
        # Labels outside the store are only counted by the check that reads them.
        kept = watch.load_result(connection, app, model.name, "performance")
        return max((finding.rows for finding in kept.result.findings), default=0) if kept else 0

    def _order(
        self,
        key: str,
        app: str,
        model: Model,
        cause: Cause,
        kept: KeptResult | None,
        now: float,
    ) -> RetrainingRequest:
        result = kept.result if kept else None
        findings = result.findings if result else ()
        evidence = tuple(f for f in findings if f.verdict is Verdict.BREACHED and not f.superseded)
        # The window that the evidence is of: labels that came late may have shown it in an older one.
        window = max(
            (finding.window for finding in evidence), key=lambda w: w.end, default=result.window if result else None
        )
        rows = str(result.rows) if result else ""
        return RetrainingRequest(
            key=key,
            at=now,
            app=app,
            model=model.name,
            version=cause.version,
            cause=cause.rule.name,
            cause_started_at=cause.started_at,
            window=window,
            window_fingerprint=fingerprint(app, model.name, str(window), rows, *(repr(f.value) for f in findings)),
            config_hash=self.loaded.hash,
            evidence=evidence,
        )

    def _end_older(self, connection: Connection, history: list[KeptRetraining], key: str, now: float) -> list[Told]:
        """A new request says that what an older one brought was no cure."""
        told = []
        for row in history:
            if row.state == "deployed":
                told.append(self._finish(connection, row, "not_recovered", f"retraining {key} was asked for", now))
        return told

    def _note_refusal(self, connection: Connection, told: Told, cause: Cause, about: str, now: float) -> None:
        """A refusal is written once for each cause and guard, and counted every time."""
        mark = fingerprint("refusal", told.app, told.model, told.guard, cause.rule.name, repr(cause.started_at))
        if watch.first_time(connection, mark):
            self._write(connection, told, now, version=cause.version, cause=about)

    # --- following ------------------------------------------------------------------------------------------------

    def version_seen(self, connection: Connection, app: str, model: str, version: str, now: float) -> list[Told]:
        """A version has been seen for the first time: it may be what a retraining has brought."""
        told = []
        for row in _unfinished(connection, app, model):
            if row.state in ("requested", "accepted") and version != row.version:
                patience = self._patience(app, model)
                watch.change_retraining(
                    connection, row.key, state="deployed", new_version=version, deployed=now, deadline=now + patience
                )
                step = Told(app, model, "deployed", f"version {version} was seen", key=row.key)
                self._write(connection, step, now, version=row.version, new_version=version)
                told.append(step)
                break
        watch.write_ledger(connection, "version", app=app, model=model, at=now, data={"version": version})
        return told

    def _patience(self, app: str, name: str) -> float:
        """How long after its first prediction a version may take to be judged, in clock seconds."""
        model = self._models.get((app, name))
        if model is None or model.retraining is None:
            return 0.0
        settled = window_seconds(model.windows) + model.windows.lateness + (model.labels.mature if model.labels else 0)
        return settled * (1 + model.retraining.evidence.windows) + model.retraining.follow.timeout

    def follow(self, connection: Connection, kept: KeptResult, now: float) -> list[Told]:
        """Whether the newest result says that a retraining has helped."""
        result = kept.result
        model = self._models.get((result.app, result.model or ""))
        if model is None or model.retraining is None:
            return []
        told = []
        for row in _unfinished(connection, result.app, model.name):
            if row.state != "deployed":
                continue
            judged = row
            until = breached_until(row, result)
            if until > row.breached_until:
                judged = replace(row, breaches=row.breaches + 1, breached_until=until)
                counted = {"breaches": judged.breaches, "breached_until": judged.breached_until}
                watch.change_retraining(connection, row.key, **counted)
            step = judge_outcome(judged, result, windows=model.retraining.evidence.windows)
            if step is not None:
                told.append(self._finish(connection, row, step.state, step.reason, now))
        return told

    def delivered(self, connection: Connection, key: str, *, state: str, reason: str, now: float) -> list[Told]:
        """The trigger has taken the request (`accepted`) or refused it for good (`failed`)."""
        for row in watch.unfinished_retrainings(connection):
            if row.key == key and row.state == "requested":
                if state == "failed":
                    return [self._finish(connection, row, state, reason, now)]
                watch.change_retraining(connection, key, state=state)
                told = Told(row.app, row.model, state, reason, key=key)
                self._write(connection, told, now, version=row.version)
                return [told]
        return []

    def time_out(self, connection: Connection, now: float) -> list[Told]:
        """End the retrainings whose new version has not come in time."""
        told = []
        for row in watch.overdue_retrainings(connection, now=now):
            judged = row.state == "deployed"
            reason = "the new version was not judged in time" if judged else "no new version was seen in time"
            told.append(self._finish(connection, row, "timed_out", reason, now))
        return told

    def _finish(self, connection: Connection, row: KeptRetraining, state: str, reason: str, now: float) -> Told:
        watch.change_retraining(connection, row.key, state=state, reason=reason, finished=now)
        # A trigger that was down must not hear of it when it is up again.
        watch.cancel_delivery(connection, row.key, f"the retraining is over: {state}")
        told = Told(row.app, row.model, state, reason, key=row.key)
        self._write(connection, told, now, version=row.version, new_version=row.new_version)
        return told

    def _write(self, connection: Connection, told: Told, now: float, **more: Any) -> None:
        data = {"id": told.key, "state": told.state, "reason": told.reason, "guard": told.guard, **more}
        watch.write_ledger(connection, "retraining", app=told.app, model=told.model, at=now, data=data)


def _newest_result(connection: Connection, app: str, model: Model, check: str) -> CheckResult | None:
    kept = watch.load_result(connection, app, model.name, check) if check in model.checks else None
    return None if kept is None else kept.result


def _unfinished(connection: Connection, app: str, model: str) -> list[KeptRetraining]:
    """The retrainings of a model whose end is not known yet, the newest first."""
    rows = [row for row in watch.unfinished_retrainings(connection) if (row.app, row.model) == (app, model)]
    return sorted(rows, key=lambda row: -row.requested)


def _numbers(finding: Finding) -> dict[str, Any]:
    """What the ledger keeps of the evidence."""
    names = ("check", "statistic", "feature", "version", "value", "threshold", "rows")
    return {name: getattr(finding, name) for name in names}
