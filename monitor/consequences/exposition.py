"""Results and decisions as metrics. A result that is no longer true takes its series with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monitor.config import Model
from monitor.consequences.recording import Effects
from monitor.metrics import Metrics
from monitor.records import AlertState, CheckResult, Finding, Sample, Verdict

_PARTS = ("score", "threshold", "floor", "p_value", "calibration", "breached")
_SHARE = "anchorwatch_model_drift_share"
_DRIFT = (
    *(f"anchorwatch_{what}_drift_{part}" for what in ("feature", "model_prediction", "model_label") for part in _PARTS),
    "anchorwatch_feature_drift_impact",
    _SHARE,
    f"{_SHARE}_threshold",
    f"{_SHARE}_breached",
)
_PERFORMANCE = (
    "anchorwatch_model_performance",
    "anchorwatch_model_performance_baseline",
    "anchorwatch_model_performance_lower",
    "anchorwatch_model_performance_upper",
    "anchorwatch_model_performance_floor",
    "anchorwatch_model_performance_p_value",
    "anchorwatch_model_performance_calibration",
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
_MULTIVARIATE = tuple(f"anchorwatch_model_multivariate_drift_{part}" for part in _PARTS)
FAMILIES = {"drift": _DRIFT, "multivariate": _MULTIVARIATE, "performance": _PERFORMANCE, "quality": _QUALITY}
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


def expose_judgement(metrics: Metrics, app: str, model: Model, judged: Sequence[CheckResult], *, features: int) -> None:
    """The results of all of a model's checks on its newest window; `features` is the budget of series."""
    shown = _shown_features(metrics, app, model, judged, features)
    for result in judged:
        expose_findings(metrics, result, features=shown)
    _expose_versions(metrics, app, model, judged)


def _shown_features(
    metrics: Metrics, app: str, model: Model, judged: Sequence[CheckResult], limit: int
) -> frozenset[str] | None:
    """The features within the budget of series: the most important first, then in the reference's order."""
    names = dict.fromkeys(f.feature for result in judged for f in result.findings if f.feature is not None)
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
    statistic = finding.statistic
    if finding.subject == "model":
        if statistic != "drift_share":  # nothing is known, not even which features there are
            return []
        labels = _labels(finding)
        return [*_valued(_SHARE, labels, finding.value), *_judged(_SHARE, finding, labels)]
    if finding.subject == "label":
        return _drifted("anchorwatch_model_label_drift", finding, _labels(finding, statistic=statistic))
    name = str(finding.feature)
    if finding.subject == "prediction":
        return _drifted(
            "anchorwatch_model_prediction_drift", finding, _labels(finding, output=name, statistic=statistic)
        )
    labels = _labels(finding, feature=name, statistic=statistic)
    impact = _valued("anchorwatch_feature_drift_impact", labels, finding.impact)
    return [*_drifted("anchorwatch_feature_drift", finding, labels), *impact]


def _multivariate(finding: Finding) -> list[Sample]:
    labels = _labels(finding, columns=finding.feature or "all", statistic=finding.statistic)
    return _drifted("anchorwatch_model_multivariate_drift", finding, labels)


def _drifted(prefix: str, finding: Finding, labels: Mapping[str, str]) -> list[Sample]:
    samples = [*_valued(f"{prefix}_score", labels, finding.value), *_judged(prefix, finding, labels)]
    if finding.value is not None:
        samples += _valued(f"{prefix}_floor", labels, finding.material)
        samples += _valued(f"{prefix}_p_value", labels, finding.p_value)
        if finding.calibration is not None:
            samples.append(Sample(f"{prefix}_calibration", {**labels, "calibration": finding.calibration}, 1.0))
    return samples


def _performance(finding: Finding) -> list[Sample]:
    labels = _labels(finding, metric=finding.statistic)
    prefix = "anchorwatch_model_performance"
    samples = [
        *_valued(prefix, labels, finding.value),
        *_valued(f"{prefix}_baseline", labels, finding.baseline),
        Sample(f"{prefix}_rows", _labels(finding), finding.rows),
        *_judged(prefix, finding, labels),
    ]
    if finding.value is not None:
        samples += _valued(f"{prefix}_floor", labels, finding.material)
        samples += _valued(f"{prefix}_p_value", labels, finding.p_value)
        if finding.interval is not None:
            samples += _valued(f"{prefix}_lower", labels, finding.interval[0])
            samples += _valued(f"{prefix}_upper", labels, finding.interval[1])
        if finding.calibration is not None:
            samples.append(Sample(f"{prefix}_calibration", {**labels, "calibration": finding.calibration}, 1.0))
    return samples


def _quality(finding: Finding) -> list[Sample]:
    if finding.feature is None:
        return []
    feature = _labels(finding, feature=finding.feature)
    labels = {**feature, "statistic": finding.statistic}
    ratio = _RATIOS.get(finding.statistic)
    shown = _valued(ratio, feature, finding.value) if ratio else []
    return [*shown, *_judged("anchorwatch_feature_quality", finding, labels)]


_SAMPLES = {"drift": _drift, "multivariate": _multivariate, "performance": _performance, "quality": _quality}


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
