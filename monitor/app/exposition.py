"""Results and decisions as metrics. A result that is no longer true takes its series with it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from monitor import registry
from monitor.app.recording import Effects
from monitor.config import Config, Loaded
from monitor.metrics import Metrics
from monitor.records import AlertState, CheckResult, Finding, Sample, Verdict
from monitor.registry import known

_DRIFT = (
    "anchorwatch_feature_drift_score",
    "anchorwatch_feature_drift_threshold",
    "anchorwatch_feature_drift_breached",
)
_PERFORMANCE = (
    "anchorwatch_model_performance",
    "anchorwatch_model_performance_threshold",
    "anchorwatch_model_performance_breached",
    "anchorwatch_model_performance_rows",
)
_QUALITY = (
    "anchorwatch_feature_missing_ratio",
    "anchorwatch_feature_unseen_ratio",
    "anchorwatch_feature_quality_threshold",
    "anchorwatch_feature_quality_breached",
)
_RATIOS = {"missing_ratio": "anchorwatch_feature_missing_ratio", "unseen_ratio": "anchorwatch_feature_unseen_ratio"}
FAMILIES = {"drift": _DRIFT, "performance": _PERFORMANCE, "quality": _QUALITY}
CHECK_GAUGES = (
    "anchorwatch_check_state",
    "anchorwatch_check_rows",
    "anchorwatch_check_last_run_timestamp_seconds",
    "anchorwatch_check_last_success_timestamp_seconds",
    "anchorwatch_check_window_end_timestamp_seconds",
    "anchorwatch_check_duration_seconds",
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
    metrics.set("anchorwatch_check_last_run_timestamp_seconds", now, **subject)
    metrics.set("anchorwatch_check_window_end_timestamp_seconds", result.window.end, **subject)
    metrics.set("anchorwatch_check_duration_seconds", seconds, **subject)
    if last_success is not None:
        metrics.set("anchorwatch_check_last_success_timestamp_seconds", last_success, **subject)


def expose_findings(metrics: Metrics, result: CheckResult, *, features: frozenset[str] | None) -> None:
    """The findings of a model's check; `features` are those within the budget of series (None: all).

    Where there is a threshold and no value, the threshold stays: that is how the rules tell a subject without evidence,
    whose alert keeps firing, from one that is gone.
    """
    samples: list[Sample] = []
    for finding in result.findings:
        shown = features is None or finding.feature is None or finding.feature in features
        if shown and not finding.superseded and finding.version is not None:
            samples += _SAMPLES[result.check](finding) if result.check in _SAMPLES else []
    metrics.swap(FAMILIES.get(result.check, ()), samples, app=result.app, model=result.model or "")


def _labels(finding: Finding, **more: str) -> dict[str, str]:
    return {"app": finding.app, "model": finding.model or "", "version": finding.version or "", **more}


def _judged(prefix: str, finding: Finding, labels: Mapping[str, str]) -> list[Sample]:
    """Threshold and verdict; without a threshold there is no verdict to show, and without a value none either."""
    if finding.threshold is None:
        return []
    threshold = Sample(f"{prefix}_threshold", labels, finding.threshold)
    if finding.value is None:
        return [threshold]
    return [threshold, Sample(f"{prefix}_breached", labels, float(finding.verdict is Verdict.BREACHED))]


def _valued(name: str, labels: Mapping[str, str], value: float | None) -> list[Sample]:
    return [] if value is None else [Sample(name, labels, value)]


def _drift(finding: Finding) -> list[Sample]:
    if finding.feature is None:
        return []
    labels = _labels(finding, feature=finding.feature, statistic=finding.statistic)
    score = _valued("anchorwatch_feature_drift_score", labels, finding.value)
    return [*score, *_judged("anchorwatch_feature_drift", finding, labels)]


def _performance(finding: Finding) -> list[Sample]:
    labels = _labels(finding, metric=finding.statistic)
    return [
        *_valued("anchorwatch_model_performance", labels, finding.value),
        Sample("anchorwatch_model_performance_rows", _labels(finding), finding.rows),
        *_judged("anchorwatch_model_performance", finding, labels),
    ]


def _quality(finding: Finding) -> list[Sample]:
    if finding.feature is None:
        return []
    feature = _labels(finding, feature=finding.feature)
    labels = {**feature, "statistic": finding.statistic}
    ratio = _RATIOS.get(finding.statistic)
    shown = _valued(ratio, feature, finding.value) if ratio else []
    return [*shown, *_judged("anchorwatch_feature_quality", finding, labels)]


_SAMPLES = {"drift": _drift, "performance": _performance, "quality": _quality}


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


Check = tuple[str, str | None, str]


def expose_config(metrics: Metrics, loaded: Loaded, *, checks: Iterable[Check], gone: Iterable[Check]) -> None:
    """What is configured: its checks without a result yet, its counters at 0; what no longer is goes off the page."""
    metrics.withdraw(["anchorwatch_config_info", "anchorwatch_app_info"])
    metrics.set("anchorwatch_config_info", 1, hash=loaded.hash)
    metrics.set("anchorwatch_config_last_reload_successful", 1)
    metrics.set("anchorwatch_config_last_reload_success_timestamp_seconds", time.time())
    for app in loaded.config.apps:
        metrics.set("anchorwatch_app_info", 1, app=app.name, owner=app.owner, runbook=app.runbook)
    for app_name, model_name, check in gone:
        metrics.withdraw(CHECK_GAUGES, app=app_name, model=model_name or "", check=check)
    for app_name, model_name, check in checks:
        expose_state(metrics, app_name, model_name, check, Verdict.NO_DATA)
    for receiver in loaded.config.alerting.receivers:
        for name in ("attempts", "failures", "dropped"):
            metrics.add(f"anchorwatch_notification_{name}_total", 0, receiver=receiver.name)
    for app, model in loaded.config.models():
        _expose_zeros(metrics, app.name, model.name, guarded=model.retraining is not None)


def _expose_zeros(metrics: Metrics, app: str, model: str, *, guarded: bool) -> None:
    """Counters at 0 from the start, so that their first increase is seen."""
    metrics.add("anchorwatch_model_labels_total", 0, app=app, model=model)
    for kind in ("predictions", "labels"):
        for name in ("records", "duplicates"):
            metrics.add(f"anchorwatch_ingest_{name}_total", 0, app=app, model=model, kind=kind)
    if guarded:
        metrics.add("anchorwatch_retraining_requests_total", 0, app=app, model=model)
        metrics.add("anchorwatch_retraining_failures_total", 0, app=app, model=model)
        for guard in known("guard"):
            metrics.add("anchorwatch_retraining_refusals_total", 0, app=app, model=model, guard=guard)
        for outcome in OUTCOMES:
            metrics.add("anchorwatch_retraining_outcomes_total", 0, app=app, model=model, outcome=outcome)


def forget_unconfigured(metrics: Metrics, old: Loaded, fresh: Config) -> None:
    """Take the series of the apps, probes and models that are no longer configured off the page."""
    apps = {app.name: app for app in fresh.apps}
    models = {(app.name, model.name) for app, model in fresh.models()}
    for app in old.config.apps:
        if app.name not in apps:
            metrics.forget(app=app.name)
            continue
        kept = {probe.name for probe in apps[app.name].probes}
        for probe in app.probes:
            if probe.name not in kept:
                metrics.forget(app=app.name, probe=probe.name)
        for spec, still in ((app.scrape, apps[app.name].scrape), (app.process, apps[app.name].process)):
            if spec is not None and still is None:
                families = registry.load("probe", spec.type).FAMILIES
                metrics.withdraw([family.name for family in families], app=app.name)
    for app, model in old.config.models():
        if (app.name, model.name) not in models:
            metrics.forget(app=app.name, model=model.name)
