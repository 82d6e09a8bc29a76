"""The one set of alert rules. The built-in evaluator reads it, and the rules for Prometheus and Grafana are built from it."""

from __future__ import annotations

from monitor.records import Rule, Severity

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

_FEATURE = ("model", "version", "feature", "statistic")

RULES: tuple[Rule, ...] = (
    Rule(
        name="AppDown",
        check="probe:",
        on="breached",
        severity=Severity.CRITICAL,
        for_seconds=MINUTE,
        metric="anchorwatch_app_probe_breached",
        by=("probe",),
        summary="{app} fails its probe {probe}",
        description="Seen from outside, {app} did not answer its probe {probe} as expected.",
    ),
    Rule(
        name="AppProbeNoData",
        check="probe:",
        on="no_data",
        severity=Severity.WARNING,
        for_seconds=10 * MINUTE,
        summary="{app}: {check} has no result",
        description="Nothing is known from {check} of {app}: it has not run, or it could not tell.",
    ),
    Rule(
        name="AppScrapeNoData",
        check="scrape",
        on="no_data",
        severity=Severity.WARNING,
        for_seconds=10 * MINUTE,
        summary="{app}: its own metrics cannot be read",
        description="Request rate, error ratio and latency of {app} are unknown: its metrics could not be scraped.",
    ),
    Rule(
        name="AppProcessNoData",
        check="process",
        on="no_data",
        severity=Severity.WARNING,
        for_seconds=10 * MINUTE,
        summary="{app}: its process cannot be found",
        description="CPU and memory of {app} are unknown: no such process was found.",
    ),
    Rule(
        name="ModelFeatureDrift",
        check="drift",
        on="breached",
        severity=Severity.WARNING,
        for_seconds=0.0,
        metric="anchorwatch_feature_drift_breached",
        by=_FEATURE,
        summary="{model}: {feature} has drifted ({statistic})",
        description="In {app}, the feature {feature} of {model} {version} is no longer distributed as in its reference.",
    ),
    Rule(
        name="ModelFeatureDriftNoData",
        check="drift",
        on="no_data",
        severity=Severity.WARNING,
        for_seconds=6 * HOUR,
        summary="{model}: too little evidence to judge drift",
        description="{app}: the drift of {model} is unknown. Do its predictions arrive, and are there enough of them?",
    ),
    Rule(
        name="ModelPerformanceDegraded",
        check="performance",
        on="breached",
        severity=Severity.CRITICAL,
        for_seconds=0.0,
        metric="anchorwatch_model_performance_breached",
        by=("model", "version", "metric"),
        summary="{model}: {metric} is worse than allowed",
        description="In {app}, the {metric} of {model} {version}, measured on labelled predictions, is beyond its threshold.",
    ),
    Rule(
        name="ModelPerformanceNoData",
        check="performance",
        on="no_data",
        severity=Severity.WARNING,
        for_seconds=DAY,
        summary="{model}: too few labels to judge performance",
        description="{app}: nobody knows how well {model} does. Do its labels arrive, and do their ids match?",
    ),
    Rule(
        name="ModelDataQualityDegraded",
        check="quality",
        on="breached",
        severity=Severity.WARNING,
        for_seconds=0.0,
        metric="anchorwatch_feature_quality_breached",
        by=_FEATURE,
        summary="{model}: {feature} fails {statistic}",
        description="In {app}, the feature {feature} that {model} {version} receives is beyond the limit of {statistic}.",
    ),
    Rule(
        name="ModelDataQualityNoData",
        check="quality",
        on="no_data",
        severity=Severity.WARNING,
        for_seconds=6 * HOUR,
        summary="{model}: too little evidence to judge data quality",
        description="{app}: the quality of the data of {model} is unknown. Do its predictions arrive?",
    ),
    Rule(
        name="CheckFailing",
        check="*",
        on="error",
        severity=Severity.WARNING,
        for_seconds=15 * MINUTE,
        summary="{app}: the check {check} fails",
        description="The check {check} of {app} ended in an error, so its subject is not being watched. See the daemon's log.",
    ),
)
