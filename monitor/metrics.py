"""Every metric: its name, its help text, its labels; the values behind them; and their exposition.

The families of the collectors stand in the collectors' own files and are gathered from there. Values live in plain
dictionaries, so that a result that is no longer true can be withdrawn at once: a gauge never freezes green.
"""

from __future__ import annotations

import gzip
import platform
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from monitor import registry
from monitor.records import Family, Sample

_SUBJECT = ("app", "model", "version")
_CHECK = ("app", "model", "check")
_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(f"anchorwatch_{name}", "gauge", text, labels)


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(f"anchorwatch_{name}", "counter", text, labels)


def _drift(prefix: str, what: str, of: str, *labels: str) -> tuple[Family, ...]:
    """The families of one kind of drift: what it scores, when that is a breach, and how that is known."""
    labels = (*_SUBJECT, *labels, "statistic")
    return (
        _gauge(f"{prefix}_score", f"Distance {of}; 0 is no drift.", *labels),
        _gauge(
            f"{prefix}_threshold", f"The score above which a {what} has drifted: significant, and material.", *labels
        ),
        _gauge(f"{prefix}_floor", "The score below which a drift is too small to matter.", *labels),
        _gauge(f"{prefix}_p_value", "How often unchanged data would score as much or more.", *labels),
        _gauge(f"{prefix}_calibration", "Always 1; how the threshold is known.", *labels, "calibration"),
        _gauge(f"{prefix}_breached", f"Whether a {what} has drifted.", *labels),
    )


CORE: tuple[Family, ...] = (
    _gauge("build_info", "Always 1; which Anchorwatch this is.", "version", "pythonversion"),
    _gauge("config_info", "Always 1; the hash of the configuration in force.", "hash"),
    _gauge("config_last_reload_successful", "Whether the last attempt to load the configuration succeeded."),
    _gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded, in Unix time."),
    _gauge(
        "app_info",
        "Always 1; owner and runbook of an app, to be joined to its other series.",
        "app",
        "owner",
        "runbook",
    ),
    _gauge("app_probe_breached", "Whether the probe's last look found the app wanting.", "app", "probe"),
    _gauge(
        "model_info", "Always 1; a version seen and the reference it is judged against.", *_SUBJECT, "task", "reference"
    ),
    _counter("model_predictions_total", "Predictions taken in.", *_SUBJECT),
    Family(
        "anchorwatch_model_latency_seconds",
        "histogram",
        "How long predictions took, as their events say.",
        _SUBJECT,
        _LATENCY_BUCKETS,
    ),
    _counter("model_labels_total", "Labels taken in.", "app", "model"),
    _gauge("model_labels_unmatched", "Labels kept that no prediction has claimed yet.", "app", "model"),
    _counter(
        "model_labels_expired_total", "Labels dropped because no prediction claimed them in time.", "app", "model"
    ),
    _gauge(
        "model_performance",
        "Performance in the newest judged window; its unit is the metric's own.",
        *_SUBJECT,
        "metric",
    ),
    _gauge("model_performance_baseline", "The same on the model's reference.", *_SUBJECT, "metric"),
    _gauge("model_performance_lower", "Lower end of the 95 % interval of performance.", *_SUBJECT, "metric"),
    _gauge("model_performance_upper", "Upper end of the 95 % interval of performance.", *_SUBJECT, "metric"),
    _gauge(
        "model_performance_floor", "The loss below which nobody is alerted, in the metric's unit.", *_SUBJECT, "metric"
    ),
    _gauge(
        "model_performance_p_value", "How often an unchanged model would do as badly or worse.", *_SUBJECT, "metric"
    ),
    _gauge(
        "model_performance_calibration", "Always 1; how the threshold is known.", *_SUBJECT, "metric", "calibration"
    ),
    _gauge("model_performance_threshold", "The value beyond which performance is a breach.", *_SUBJECT, "metric"),
    _gauge("model_performance_breached", "Whether performance is beyond its threshold.", *_SUBJECT, "metric"),
    _gauge("model_performance_rows", "Labelled rows the performance was computed on.", *_SUBJECT),
    *_drift("feature_drift", "feature", "of a feature from its reference", "feature"),
    _gauge(
        "feature_drift_impact",
        "Importance of a feature × its score in units of its floor: which one to look at first.",
        *_SUBJECT,
        "feature",
        "statistic",
    ),
    *_drift("model_prediction_drift", "prediction", "of the predictions from those on the reference", "output"),
    *_drift("model_label_drift", "label", "of the labels from those of the reference"),
    *_drift("model_multivariate_drift", "set of columns", "of many columns at once from the reference", "columns"),
    _gauge("model_drift_share", "Share of the model's features that have drifted, by importance.", *_SUBJECT),
    _gauge("model_drift_share_threshold", "The share above which the model's input has drifted.", *_SUBJECT),
    _gauge("model_drift_share_breached", "Whether the model's input as a whole has drifted.", *_SUBJECT),
    _gauge("feature_missing_ratio", "Share of rows in which a feature was missing.", *_SUBJECT, "feature"),
    _gauge("feature_unseen_ratio", "Share of rows with a value the reference does not know.", *_SUBJECT, "feature"),
    _gauge(
        "feature_quality_threshold",
        "The value beyond which data quality is a breach.",
        *_SUBJECT,
        "feature",
        "statistic",
    ),
    _gauge(
        "feature_quality_breached", "Whether a feature's data quality is a breach.", *_SUBJECT, "feature", "statistic"
    ),
    _gauge("model_versions_omitted", "Versions not judged: there are newer ones enough.", "app", "model"),
    _gauge(
        "feature_series_omitted",
        "Features left out of the series because of the limit metrics.features.",
        "app",
        "model",
    ),
    _gauge("check_state", "1 for the state the check is in: ok, breached, no_data or error.", *_CHECK, "state"),
    _gauge("check_rows", "Rows the check's last run judged.", *_CHECK),
    _gauge("check_last_run_timestamp_seconds", "When the check last ran, in Unix time of the daemon's clock.", *_CHECK),
    _gauge(
        "check_last_success_timestamp_seconds", "When the check last came to ok or breached, in Unix time.", *_CHECK
    ),
    _gauge("check_window_end_timestamp_seconds", "End of the window last judged, in Unix time.", *_CHECK),
    _gauge("check_duration_seconds", "How long the check's last run took.", *_CHECK),
    _counter("check_runs_total", "Runs of the check.", *_CHECK),
    _counter("check_failures_total", "Runs of the check that ended in an error.", *_CHECK),
    _counter(
        "check_late_runs_total",
        "Runs that were due while the one before was still under way, and were run once after.",
        *_CHECK,
    ),
    _gauge(
        "alerts",
        "Alerts of the built-in evaluator, by name and state.",
        "app",
        "model",
        "alertname",
        "severity",
        "state",
    ),
    _counter(
        "alert_changes_total",
        "Changes of alerts of the built-in evaluator, by the state they led to.",
        "alertname",
        "state",
    ),
    _counter("notification_attempts_total", "Attempts to deliver a notification.", "receiver"),
    _counter("notification_failures_total", "Attempts to deliver a notification that failed.", "receiver"),
    _counter("notification_dropped_total", "Notifications given up for good.", "receiver"),
    _gauge("notification_queue_length", "Notifications not delivered yet.", "receiver"),
    _counter("retraining_requests_total", "Retrainings asked for.", "app", "model"),
    _counter("retraining_refusals_total", "Retrainings refused, by the guard that refused.", "app", "model", "guard"),
    _counter(
        "retraining_outcomes_total", "Retrainings that came to an end, by how they ended.", "app", "model", "outcome"
    ),
    _gauge("retraining_active", "Whether a retraining is under way.", "app", "model"),
    _counter("retraining_failures_total", "Attempts to ask for a retraining that failed.", "app", "model"),
    _counter("ingest_requests_total", "Requests to take in predictions or labels.", "kind"),
    _counter("ingest_requests_refused_total", "Requests refused as a whole, by reason.", "kind", "reason"),
    _counter("ingest_records_total", "Records taken in for the first time.", "app", "model", "kind"),
    _counter(
        "ingest_duplicates_total", "Records accepted that were known already by their id.", "app", "model", "kind"
    ),
    _counter(
        "ingest_rejected_total",
        "Records rejected, by reason; the newest are kept aside in the store.",
        "kind",
        "reason",
    ),
    _gauge("store_queue_length", "Writes waiting for the store."),
    _gauge("store_size_bytes", "Size of the store's files."),
    _counter("store_errors_total", "Writes the store could not do."),
    _counter("store_rows_expired_total", "Raw rows deleted because they were past their retention.", "table"),
)


def families() -> dict[str, Family]:
    """Every family by name: the core's and those that every collector declares."""
    found = {family.name: family for family in CORE}
    for name in registry.known("probe"):
        for family in registry.load("probe", name).FAMILIES:
            found.setdefault(family.name, family)
    return found


class _Series:
    """The values of one family, by their label values in the family's order."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.values: dict[tuple[str, ...], float] = {}
        self.counts: dict[tuple[str, ...], list[int]] = {}

    def key(self, labels: Mapping[str, str | None]) -> tuple[str, ...]:
        if unknown := set(labels) - set(self.family.labels):
            raise KeyError(f"{self.family.name}: expected the labels {self.family.labels}, got {sorted(unknown)}")
        return tuple(labels.get(name) or "" for name in self.family.labels)

    def matching(self, labels: Mapping[str, str]) -> list[tuple[str, ...]]:
        wanted = [
            (self.family.labels.index(name), value) for name, value in labels.items() if name in self.family.labels
        ]
        if len(wanted) < len(labels):
            return []
        return [key for key in self.values if all(key[place] == value for place, value in wanted)]

    def metric(self) -> Metric:
        family = self.family
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for key, counts in self.counts.items():
                total, buckets = 0, []
                for bound, count in zip([*map(str, family.buckets), "+Inf"], counts, strict=True):
                    total += count
                    buckets.append((bound, total))
                histogram.add_metric(list(key), buckets, self.values[key])
            return histogram
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=family.labels)
        for key, value in self.values.items():
            metric.add_metric(list(key), value)
        return metric


class Metrics:
    """The values that `/metrics` shows. Safe to use from several threads."""

    def __init__(self, version: str) -> None:
        self._lock = threading.Lock()
        self._series = {name: _Series(family) for name, family in families().items()}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self.set("anchorwatch_build_info", 1, version=version, pythonversion=platform.python_version())

    def set(self, name: str, value: float, /, **labels: str | None) -> None:
        """Set a gauge. A label given as None is exposed as empty, which Prometheus reads as absent."""
        series = self._series[name]
        key = series.key(labels)
        with self._lock:
            series.values[key] = float(value)

    def add(self, name: str, amount: float = 1.0, /, **labels: str | None) -> None:
        """Add to a counter; adding 0 creates its series, so that a first increase is seen."""
        series = self._series[name]
        key = series.key(labels)
        with self._lock:
            series.values[key] = series.values.get(key, 0.0) + amount

    def observe(self, name: str, value: float, /, **labels: str | None) -> None:
        """Count one observation of a histogram."""
        series = self._series[name]
        key = series.key(labels)
        with self._lock:
            counts = series.counts.setdefault(key, [0] * (len(series.family.buckets) + 1))
            counts[bisect_left(series.family.buckets, value)] += 1
            series.values[key] = series.values.get(key, 0.0) + value

    def withdraw(self, names: Iterable[str], /, **labels: str) -> None:
        """Take away every series of these families that carries these labels: the result is no longer true."""
        with self._lock:
            for name in names:
                series = self._series[name]
                for key in series.matching(labels):
                    del series.values[key]
                    series.counts.pop(key, None)

    def swap(self, names: Iterable[str], samples: Iterable[Sample], /, **labels: str) -> None:
        """Replace, in one step, the series of these gauges that carry these labels by the samples."""
        fresh = [
            (self._series[sample.name], self._series[sample.name].key(sample.labels), sample.value)
            for sample in samples
        ]
        with self._lock:
            for name in names:
                series = self._series[name]
                for key in series.matching(labels):
                    del series.values[key]
            for series, key, value in fresh:
                series.values[key] = float(value)

    def forget(self, **labels: str) -> None:
        """Take away everything known of an app or model, counters included: it is no longer configured."""
        self.withdraw(list(self._series), **labels)

    def kind(self, name: str) -> str:
        """Whether a family is a gauge, a counter or a histogram."""
        return self._series[name].family.kind

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks for at a scrape."""
        with self._lock:
            found = [series.metric() for series in self._series.values() if series.values]
        yield from found

    def describe(self) -> list[Metric]:
        """Nothing: so that registering costs no collection."""
        return []

    def render(self, accept: str | None, *, compressed: bool = False) -> tuple[bytes, str]:
        """The page for a scrape and its content type, in the format the scraper asks for."""
        encoder, content_type = choose_encoder(accept or "")
        page: bytes = encoder(self._registry)
        # Level 1: at the default of 9 most of a scrape's cost is compression.
        return (gzip.compress(page, 1) if compressed else page), content_type
