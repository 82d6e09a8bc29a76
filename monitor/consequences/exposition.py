"""Results and decisions as metrics. A result that is no longer true takes its series with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from monitor.config import Model
from monitor.consequences.findings import expose_findings
from monitor.consequences.recording import Effects
from monitor.metrics import Metrics
from monitor.records import AlertState, CheckResult, Sample, Verdict

CHECK_GAUGES = (
    "anchorwatch_check_state",
    "anchorwatch_check_rows",
    "anchorwatch_check_last_run_timestamp_seconds",
    "anchorwatch_check_last_success_timestamp_seconds",
    "anchorwatch_check_window_end_timestamp_seconds",
    "anchorwatch_check_duration_seconds",
    "anchorwatch_check_subjects_omitted",
)


def expose_state(metrics: Metrics, app: str, model: str | None, check: str, state: Verdict) -> None:
    """The state of a check: always there, 1 for the one it is in."""
    subject = {"app": app, "model": model or "", "check": check}
    samples = [
        Sample("anchorwatch_check_state", {**subject, "state": each.value}, float(each is state)) for each in Verdict
    ]
    metrics.swap(["anchorwatch_check_state"], samples, **subject)
    metrics.add("anchorwatch_check_runs_total", 0, app=app, model=model, check=check)
    metrics.add("anchorwatch_check_failures_total", 0, app=app, model=model, check=check)
    metrics.add("anchorwatch_check_late_runs_total", 0, app=app, model=model, check=check)


def expose_run(
    metrics: Metrics, result: CheckResult, *, now: float, last_success: float | None, seconds: float
) -> None:
    """That a check ran, when, on how many rows, and what came of it."""
    subject = {"app": result.app, "model": result.model, "check": result.check}
    expose_state(metrics, result.app, result.model, result.check, result.verdict)
    metrics.add("anchorwatch_check_runs_total", **subject)
    metrics.add("anchorwatch_check_failures_total", float(result.verdict is Verdict.ERROR), **subject)
    metrics.set("anchorwatch_check_rows", result.rows, **subject)
    metrics.set("anchorwatch_check_subjects_omitted", result.omitted, **subject)
    metrics.set("anchorwatch_check_last_run_timestamp_seconds", now, **subject)
    metrics.set("anchorwatch_check_window_end_timestamp_seconds", result.window.end, **subject)
    metrics.set("anchorwatch_check_duration_seconds", seconds, **subject)
    if last_success is not None:
        metrics.set("anchorwatch_check_last_success_timestamp_seconds", last_success, **subject)


def expose_judgement(
    metrics: Metrics,
    app: str,
    model: Model,
    judged: Sequence[CheckResult],
    *,
    features: int,
    counted: Iterable[str] = (),
) -> None:
    """The results of a model's checks; `features` is the budget of series, `counted` are features that have others, too.

    What is told of the model as a whole, such as its versions, stays as it is where only some of the checks have run.
    """
    whole = {result.check for result in judged} >= set(model.checks)
    shown = _shown_features(metrics, app, model, judged, features, counted) if whole else None
    for result in judged:
        expose_findings(metrics, result, features=shown)
    if whole:
        _expose_versions(metrics, app, model, judged)


def _shown_features(
    metrics: Metrics, app: str, model: Model, judged: Sequence[CheckResult], limit: int, counted: Iterable[str]
) -> frozenset[str] | None:
    """The features within the budget of series: the most important first, then in the reference's order."""
    found = (f.feature for result in judged for f in result.findings if f.feature is not None)
    names = dict.fromkeys([*counted, *found])
    declared = model.features or {}
    weights = {name: (declared[name].importance or 0.0) if name in declared else 0.0 for name in names}
    shown = sorted(names, key=lambda name: -weights[name])[:limit]
    omitted = len(names) - len(shown)
    metrics.set("anchorwatch_feature_series_omitted", omitted, app=app, model=model.name)
    return frozenset(shown) if omitted else None


def _expose_versions(metrics: Metrics, app: str, model: Model, judged: Sequence[CheckResult]) -> None:
    found: dict[str, str | None] = {}
    for result in judged:
        for finding in result.findings:
            if finding.version is not None and not finding.superseded:
                found.setdefault(finding.version, finding.reference_version)
                found[finding.version] = found[finding.version] or finding.reference_version
    if not found and any(result.verdict is Verdict.ERROR for result in judged):
        return
    subject = {"app": app, "model": model.name}
    samples = [
        Sample(
            "anchorwatch_model_info",
            {**subject, "version": version, "task": model.task, "reference": reference or ""},
            1,
        )
        for version, reference in found.items()
    ]
    metrics.swap(["anchorwatch_model_info"], samples, **subject)


def expose_effects(metrics: Metrics, effects: Effects) -> None:
    """What was decided: changes of alerts, and what became of retrainings."""
    for change in effects.changes:
        metrics.add("anchorwatch_alert_changes_total", alertname=change.alert.name, state=change.alert.state.value)
    for told in effects.retrainings:
        subject = {"app": told.app, "model": told.model}
        if told.state == "refused":
            metrics.add("anchorwatch_retraining_refusals_total", guard=told.guard, **subject)
        elif told.state == "requested":
            metrics.add("anchorwatch_retraining_requests_total", **subject)
        elif told.state in OUTCOMES:
            metrics.add("anchorwatch_retraining_outcomes_total", outcome=told.state, **subject)


OUTCOMES = ("recovered", "not_recovered", "failed", "timed_out")


def expose_alerts(metrics: Metrics, live: Iterable[Any]) -> None:
    """How many alerts are pending and firing, by name."""
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for alert, _ in live:
        for state in (AlertState.PENDING, AlertState.FIRING):
            labels = {
                "app": alert.labels["app"],
                "model": alert.labels.get("model", ""),
                "alertname": alert.name,
                "severity": alert.severity.value,
                "state": state.value,
            }
            key = tuple(labels.items())
            counts[key] = counts.get(key, 0) + (alert.state is state)
    samples = [Sample("anchorwatch_alerts", dict(key), count) for key, count in counts.items()]
    metrics.swap(["anchorwatch_alerts"], samples)
