"""The findings of each check as series."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from monitor.metrics import OF_CHECKS, Metrics
from monitor.records import CheckResult, Finding, Sample, Verdict

_SHARE = "anchorwatch_model_drift_share"
_OF_MODEL = frozenset({"volume"})  # checks of a model as a whole: their series name no version
_RATIOS = {
    "missing_ratio": "anchorwatch_feature_missing_ratio",
    "unseen_ratio": "anchorwatch_feature_unseen_ratio",
    "out_of_range_ratio": "anchorwatch_feature_out_of_range_ratio",
    "duplicate_ratio": "anchorwatch_model_duplicate_ratio",
}


def expose_findings(metrics: Metrics, result: CheckResult, *, features: frozenset[str] | None) -> None:
    """The findings of a model's check; `features` are those within the budget of series (None: all).

    Where there is a threshold and no value, the threshold stays: that is how the rules tell a subject without evidence,
    whose alert keeps firing, from one that is gone.
    """
    samples: list[Sample] = []
    for finding in result.findings:
        shown = features is None or finding.feature is None or finding.feature in features
        about = finding.version is not None or result.check in _OF_MODEL
        if shown and about and not finding.superseded:
            samples += _SAMPLES[result.check](finding) if result.check in _SAMPLES else []
    names = [family.name for family in OF_CHECKS.get(result.check, ())]
    metrics.swap(names, samples, app=result.app, model=result.model or "")


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


def _compared(prefix: str, finding: Finding, labels: Mapping[str, str]) -> list[Sample]:
    """A value beside that of the reference, with its interval, and how its threshold is known."""
    samples = [
        *_valued(prefix, labels, finding.value),
        *_valued(f"{prefix}_baseline", labels, finding.baseline),
        *_judged(prefix, finding, labels),
    ]
    return (
        samples
        if finding.value is None
        else [*samples, *_known(prefix, finding, labels), *_ends(prefix, finding, labels)]
    )


def _known(prefix: str, finding: Finding, labels: Mapping[str, str]) -> list[Sample]:
    samples = _valued(f"{prefix}_floor", labels, finding.material)
    samples += _valued(f"{prefix}_p_value", labels, finding.p_value)
    if finding.calibration is not None:
        samples.append(Sample(f"{prefix}_calibration", {**labels, "calibration": finding.calibration}, 1.0))
    return samples


def _ends(prefix: str, finding: Finding, labels: Mapping[str, str]) -> list[Sample]:
    if finding.interval is None:
        return []
    return [Sample(f"{prefix}_{end}", labels, at) for end, at in zip(("lower", "upper"), finding.interval, strict=True)]


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
    return samples if finding.value is None else [*samples, *_known(prefix, finding, labels)]


def _performance(finding: Finding) -> list[Sample]:
    segment = finding.segment or ""
    labels = _labels(finding, metric=finding.statistic, segment=segment)
    prefix = "anchorwatch_model_performance"
    samples = [
        *_compared(prefix, finding, labels),
        Sample(f"{prefix}_rows", _labels(finding, segment=segment), finding.rows),
    ]
    if finding.value is not None:
        samples.append(Sample(f"{prefix}_provisional", labels, float(finding.provisional)))
    return [*samples, *_by_class(finding)]


def _by_class(finding: Finding) -> list[Sample]:
    if finding.statistic != "confusion_matrix":
        name, metric = "anchorwatch_model_class_performance", finding.statistic
        return [Sample(name, _labels(finding, metric=metric, **{"class": c}), v) for c, v in finding.parts.items()]
    pairs = [(*json.loads(key), rows) for key, rows in finding.parts.items()]
    name = "anchorwatch_model_confusion_rows"
    return [Sample(name, _labels(finding, actual=actual, predicted=said), rows) for actual, said, rows in pairs]


def _label_check(finding: Finding) -> list[Sample]:
    labels = _labels(finding)
    prefix = f"anchorwatch_model_{finding.statistic}" + ("_seconds" if finding.statistic == "label_lag" else "")
    if finding.segment is not None:
        labels["segment"] = finding.segment
    return [*_valued(prefix, labels, finding.value), *_judged(prefix, finding, labels)]


def _estimation(finding: Finding) -> list[Sample]:
    labels = _labels(finding, metric=finding.statistic)
    samples = _compared("anchorwatch_model_estimated_performance", finding, labels)
    samples = [each for each in samples if not each.name.endswith("_calibration")]
    samples += _valued("anchorwatch_model_estimation_error", labels, finding.parts.get("error"))
    if finding.calibration is not None:
        trusted = {**labels, "trust": finding.calibration}
        samples.append(Sample("anchorwatch_model_estimation_trust", trusted, 1.0))
    return samples


def _concept(finding: Finding) -> list[Sample]:
    labels = _labels(finding, detector=finding.statistic)
    prefix = "anchorwatch_model_concept_loss"
    return [
        *_valued(prefix, labels, finding.value),
        *_valued(f"{prefix}_baseline", labels, finding.baseline),
        *_judged(prefix, finding, labels),
        *_valued("anchorwatch_model_concept_drift_since_timestamp_seconds", labels, finding.parts.get("since")),
    ]


def _fairness(finding: Finding) -> list[Sample]:
    labels = _labels(finding, attribute=finding.segment or "", metric=finding.statistic)
    prefix = "anchorwatch_model_fairness"
    samples = [
        *_valued(prefix, labels, finding.value),
        *_judged(prefix, finding, labels),
        *_ends(prefix, finding, labels),
    ]
    samples += _valued(f"{prefix}_p_value", labels, finding.p_value)
    return samples + [Sample(f"{prefix}_group", {**labels, "group": g}, v) for g, v in finding.parts.items()]


def _volume(finding: Finding) -> list[Sample]:
    subject = {"app": finding.app, "model": finding.model or ""}
    name = {"staleness": "staleness_seconds", "volume": "volume_ratio"}.get(finding.statistic)
    samples = _valued(f"anchorwatch_model_{name}", subject, finding.value) if name else []
    return samples + _judged("anchorwatch_model_volume", finding, {**subject, "statistic": finding.statistic})


def _quality(finding: Finding) -> list[Sample]:
    feature = _labels(finding) | ({"feature": finding.feature} if finding.feature is not None else {})
    labels = {**feature, "statistic": finding.statistic}
    ratio = _RATIOS.get(finding.statistic)
    shown = _valued(ratio, feature, finding.value) if ratio else []
    return [*shown, *_judged("anchorwatch_feature_quality", finding, labels)]


def _skew(finding: Finding) -> list[Sample]:
    if finding.feature is None:
        return []
    feature = _labels(finding, feature=finding.feature)
    samples = _drifted("anchorwatch_feature_skew", finding, {**feature, "statistic": finding.statistic})
    if finding.statistic == "distribution":
        for key, value in finding.parts.items():
            side, _, moment = key.partition(" ")
            samples.append(Sample("anchorwatch_feature_moment", {**feature, "side": side, "moment": moment}, value))
    return samples


_SAMPLES: dict[str, Callable[[Finding], Iterable[Sample]]] = {
    "drift": _drift,
    "multivariate": _multivariate,
    "performance": _performance,
    "labels": _label_check,
    "estimation": _estimation,
    "concept": _concept,
    "fairness": _fairness,
    "volume": _volume,
    "quality": _quality,
    "skew": _skew,
}
