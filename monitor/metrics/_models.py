"""What the checks of a model say: a family for each number of a finding."""

from __future__ import annotations

from monitor.metrics._kinds import SUBJECT, counter, gauge
from monitor.records import Family


def _judged(prefix: str, what: str, when: str, *labels: str) -> tuple[Family, ...]:
    """What is a breach of a value, and whether it is one."""
    return (
        gauge(f"{prefix}_threshold", f"The value beyond which {what} is a breach{when}.", *labels),
        gauge(f"{prefix}_breached", f"Whether {what} is a breach.", *labels),
    )


def _compared(prefix: str, what: str, *labels: str) -> tuple[Family, ...]:
    """A value beside that of the reference."""
    return (
        gauge(f"{prefix}_baseline", f"{what} on the model's reference.", *labels),
        gauge(f"{prefix}_lower", f"Lower end of the interval of {what.lower()}.", *labels),
        gauge(f"{prefix}_upper", f"Upper end of the interval of {what.lower()}.", *labels),
        gauge(f"{prefix}_floor", "The loss below which nobody is alerted, in the metric's unit.", *labels),
        gauge(f"{prefix}_p_value", "How often an unchanged model would do as badly or worse.", *labels),
        gauge(f"{prefix}_calibration", "Always 1; how the threshold is known.", *labels, "calibration"),
        *_judged(prefix, what.lower(), ": material, and significant", *labels),
    )


def _drift(prefix: str, what: str, of: str, *labels: str) -> tuple[Family, ...]:
    """The families of one kind of drift: what it scores, when that is a breach, and how that is known."""
    labels = (*SUBJECT, *labels, "statistic")
    return (
        gauge(f"{prefix}_score", f"Distance {of}; 0 is no drift.", *labels),
        gauge(
            f"{prefix}_threshold", f"The score above which a {what} has drifted: significant, and material.", *labels
        ),
        gauge(f"{prefix}_floor", "The score below which a drift is too small to matter.", *labels),
        gauge(f"{prefix}_p_value", "How often unchanged data would score as much or more.", *labels),
        gauge(f"{prefix}_calibration", "Always 1; how the threshold is known.", *labels, "calibration"),
        gauge(f"{prefix}_breached", f"Whether a {what} has drifted.", *labels),
    )


_PERFORMANCE = (
    gauge(
        "model_performance",
        "Performance in the newest judged window, of all rows or of a segment; its unit is the metric's own.",
        *SUBJECT,
        "metric",
        "segment",
    ),
    *_compared("model_performance", "Performance", *SUBJECT, "metric", "segment"),
    gauge("model_performance_rows", "Labelled rows the performance was computed on.", *SUBJECT, "segment"),
    gauge(
        "model_performance_provisional",
        "Whether labels may still come that change the performance.",
        *SUBJECT,
        "metric",
        "segment",
    ),
    gauge("model_class_performance", "Performance on one class against all others.", *SUBJECT, "metric", "class"),
    gauge(
        "model_confusion_rows",
        "Labelled rows by their true class and the predicted one.",
        *SUBJECT,
        "actual",
        "predicted",
    ),
)

_LABELS = (
    gauge("model_label_coverage", "Share of predictions that have a label, once these have matured.", *SUBJECT),
    *_judged("model_label_coverage", "coverage", ": it is below", *SUBJECT),
    gauge("model_label_lag_seconds", "Time within which 95 % of the labels came.", *SUBJECT),
    *_judged("model_label_lag_seconds", "the lag", "", *SUBJECT),
    gauge(
        "model_label_selection",
        "Coverage of the segment that labels cover best less that of the one they cover worst.",
        *SUBJECT,
        "segment",
    ),
    *_judged("model_label_selection", "selection", "", *SUBJECT, "segment"),
)

_ESTIMATION = (
    gauge("model_estimated_performance", "Performance as estimated before labels have come.", *SUBJECT, "metric"),
    *_compared("model_estimated_performance", "Estimated performance", *SUBJECT, "metric"),
    gauge(
        "model_estimation_error", "Actual less estimated performance, in the newest matured window.", *SUBJECT, "metric"
    ),
    gauge("model_estimation_trust", "Always 1; whether the estimate may be relied on.", *SUBJECT, "metric", "trust"),
)

_CONCEPT = (
    gauge("model_concept_loss", "Mean loss since the newest change in the stream of losses.", *SUBJECT, "detector"),
    gauge("model_concept_loss_baseline", "Mean loss of the reference.", *SUBJECT, "detector"),
    *_judged("model_concept_loss", "a loss that has changed", "", *SUBJECT, "detector"),
    gauge(
        "model_concept_drift_since_timestamp_seconds",
        "Event time of the newest change, in Unix time.",
        *SUBJECT,
        "detector",
    ),
)

_FAIRNESS = (
    gauge(
        "model_fairness", "How differently groups of people are treated, by metric.", *SUBJECT, "attribute", "metric"
    ),
    gauge("model_fairness_lower", "Lower end of its 95 % interval.", *SUBJECT, "attribute", "metric"),
    gauge("model_fairness_upper", "Upper end of its 95 % interval.", *SUBJECT, "attribute", "metric"),
    gauge(
        "model_fairness_p_value",
        "How often groups treated alike would differ as much.",
        *SUBJECT,
        "attribute",
        "metric",
    ),
    *_judged("model_fairness", "the difference", ", where it is significant", *SUBJECT, "attribute", "metric"),
    gauge(
        "model_fairness_group",
        "What each group got, in the metric's own terms.",
        *SUBJECT,
        "attribute",
        "metric",
        "group",
    ),
)

_VOLUME = (
    gauge("model_staleness_seconds", "Time since the newest prediction.", "app", "model"),
    gauge("model_volume_ratio", "Predictions in the newest window over the usual number.", "app", "model"),
    gauge(
        "model_volume_threshold", "The value beyond which staleness or volume is a breach.", "app", "model", "statistic"
    ),
    gauge("model_volume_breached", "Whether staleness or volume is a breach.", "app", "model", "statistic"),
)

_QUALITY = (
    gauge("feature_missing_ratio", "Share of rows in which a feature was missing.", *SUBJECT, "feature"),
    gauge("feature_unseen_ratio", "Share of rows with a value the reference does not know.", *SUBJECT, "feature"),
    gauge("feature_out_of_range_ratio", "Share of rows beyond the range of a feature.", *SUBJECT, "feature"),
    gauge("model_duplicate_ratio", "Share of rows that are there more than once.", *SUBJECT),
    gauge(
        "feature_quality_threshold",
        "The value beyond which data quality is a breach; without a feature it is about the rows as a whole.",
        *SUBJECT,
        "feature",
        "statistic",
    ),
    gauge("feature_quality_breached", "Whether data quality is a breach.", *SUBJECT, "feature", "statistic"),
)

_DRIFT = (
    *_drift("feature_drift", "feature", "of a feature from its reference", "feature"),
    gauge(
        "feature_drift_impact",
        "Importance of a feature × its score in units of its floor: which one to look at first.",
        *SUBJECT,
        "feature",
        "statistic",
    ),
    *_drift("model_prediction_drift", "prediction", "of the predictions from those on the reference", "output"),
    *_drift("model_label_drift", "label", "of the labels from those of the reference"),
    *_drift("model_multivariate_drift", "set of columns", "of many columns at once from the reference", "columns"),
    gauge("model_drift_share", "Share of the model's features that have drifted, by importance.", *SUBJECT),
    gauge("model_drift_share_threshold", "The share above which the model's input has drifted.", *SUBJECT),
    gauge("model_drift_share_breached", "Whether the model's input as a whole has drifted.", *SUBJECT),
)

_SKEW = (
    *_drift("feature_skew", "column", "of what is served from what was trained on", "feature"),
    gauge(
        "feature_moment",
        "Mean, spread, skewness or kurtosis of a feature, of the reference or of the newest window.",
        *SUBJECT,
        "feature",
        "side",
        "moment",
    ),
)

# Rows by bin, counted as they arrive, whatever the checks say.
OF_BINS: tuple[Family, ...] = (
    counter(
        "feature_bin_total",
        "Rows by arrival since the process started, by bin of the reference.",
        *SUBJECT, "feature", "reference", "bin",
    ),
    gauge(
        "feature_bin_reference_ratio",
        "Share of the reference's rows in each bin.",
        *SUBJECT, "feature", "reference", "bin",
    ),
)  # fmt: skip

# What a check's findings are exposed as, by the check's name.
OF_CHECKS: dict[str, tuple[Family, ...]] = {
    "drift": tuple(family for family in _DRIFT if "multivariate" not in family.name),
    "multivariate": tuple(family for family in _DRIFT if "multivariate" in family.name),
    "performance": _PERFORMANCE,
    "labels": _LABELS,
    "estimation": _ESTIMATION,
    "concept": _CONCEPT,
    "fairness": _FAIRNESS,
    "volume": _VOLUME,
    "quality": _QUALITY,
    "skew": _SKEW,
}
