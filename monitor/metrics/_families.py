"""Every metric: its name, its help text, its labels."""

from __future__ import annotations

from monitor import registry
from monitor.metrics._kinds import CHECK, SUBJECT, counter, gauge
from monitor.metrics._models import OF_BINS, OF_CHECKS
from monitor.records import Family

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

FEED = ("app", "model", "kind")

CORE: tuple[Family, ...] = (
    gauge("build_info", "Always 1; which Anchorwatch this is.", "version", "pythonversion"),
    gauge("config_info", "Always 1; the hash of the configuration in force.", "hash"),
    gauge("config_last_reload_successful", "Whether the last attempt to load the configuration succeeded."),
    gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded, in Unix time."),
    gauge(
        "app_info",
        "Always 1; owner and runbook of an app, to be joined to its other series.",
        "app",
        "owner",
        "runbook",
    ),
    gauge("app_probe_breached", "Whether the probe's last look found the app wanting.", "app", "probe"),
    gauge(
        "model_info", "Always 1; a version seen and the reference it is judged against.", *SUBJECT, "task", "reference"
    ),
    counter("model_predictions_total", "Predictions taken in.", *SUBJECT),
    Family(
        "anchorwatch_model_latency_seconds",
        "histogram",
        "How long predictions took, as their events say.",
        SUBJECT,
        LATENCY_BUCKETS,
    ),
    counter("model_labels_total", "Labels taken in.", "app", "model"),
    gauge("model_labels_unmatched", "Labels kept that no prediction has claimed yet.", "app", "model"),
    counter("model_labels_expired_total", "Labels dropped because no prediction claimed them in time.", "app", "model"),
    *(family for found in OF_CHECKS.values() for family in found),
    *OF_BINS,
    gauge("model_versions_omitted", "Versions not judged: there are newer ones enough.", "app", "model"),
    gauge(
        "feature_series_omitted",
        "Features left out of the series because of the limit metrics.features.",
        "app",
        "model",
    ),
    gauge("check_state", "1 for the state the check is in: ok, breached, no_data or error.", *CHECK, "state"),
    gauge("check_rows", "Rows the check's last run judged.", *CHECK),
    gauge("check_last_run_timestamp_seconds", "When the check last ran, in Unix time of the daemon's clock.", *CHECK),
    gauge("check_last_success_timestamp_seconds", "When the check last came to ok or breached, in Unix time.", *CHECK),
    gauge("check_window_end_timestamp_seconds", "End of the window last judged, in Unix time.", *CHECK),
    gauge("check_subjects_omitted", "Segments that the check's last run left out: there are too many.", *CHECK),
    gauge("check_duration_seconds", "How long the check's last run took.", *CHECK),
    counter("check_runs_total", "Runs of the check.", *CHECK),
    counter("check_failures_total", "Runs of the check that ended in an error.", *CHECK),
    counter(
        "check_late_runs_total",
        "Runs that were due while the one before was still under way, and were run once after.",
        *CHECK,
    ),
    gauge(
        "alerts",
        "Alerts of the built-in evaluator, by name and state.",
        "app",
        "model",
        "alertname",
        "severity",
        "state",
    ),
    counter(
        "alert_changes_total",
        "Changes of alerts of the built-in evaluator, by the state they led to.",
        "alertname",
        "state",
    ),
    counter("notification_attempts_total", "Attempts to deliver a notification.", "receiver"),
    counter("notification_failures_total", "Attempts to deliver a notification that failed.", "receiver"),
    counter("notification_dropped_total", "Notifications given up for good.", "receiver"),
    gauge("notification_queue_length", "Notifications not delivered yet.", "receiver"),
    counter("retraining_requests_total", "Retrainings asked for.", "app", "model"),
    counter("retraining_refusals_total", "Retrainings refused, by the guard that refused.", "app", "model", "guard"),
    counter(
        "retraining_outcomes_total", "Retrainings that came to an end, by how they ended.", "app", "model", "outcome"
    ),
    gauge("retraining_active", "Whether a retraining is under way.", "app", "model"),
    counter("retraining_failures_total", "Attempts to ask for a retraining that failed.", "app", "model"),
    counter("ingest_requests_total", "Requests to take in predictions or labels.", "kind"),
    counter("ingest_requests_refused_total", "Requests refused as a whole, by reason.", "kind", "reason"),
    counter("ingest_records_total", "Records taken in for the first time.", "app", "model", "kind"),
    counter("ingest_duplicates_total", "Records accepted that were known already by their id.", "app", "model", "kind"),
    counter(
        "ingest_rejected_total",
        "Records rejected, by reason; the newest are kept aside in the store.",
        "kind",
        "reason",
    ),
    gauge("ingest_feed_up", "Whether the last look at what is pulled succeeded.", *FEED),
    gauge("ingest_feed_last_record_timestamp_seconds", "When records were last pulled, in Unix time.", *FEED),
    counter("ingest_feed_failures_total", "Looks at what is pulled that failed.", *FEED),
    counter("ingest_feed_skipped_total", "What was pulled and is no record, such as tombstones.", *FEED),
    counter(
        "ingest_feed_lost_total", "Records that were gone before they could be pulled, as far as it is told.", *FEED
    ),
    gauge(
        "source_files_left_out",
        "Files that the last look did not read, or not all of, by reason; half-written ones may be young.",
        "app",
        "model",
        "reason",
    ),
    gauge("store_queue_length", "Writes waiting for the store."),
    gauge("store_size_bytes", "Size of the store's files."),
    counter("store_errors_total", "Writes the store could not do."),
    counter(
        "store_rows_evicted_total", "Raw rows deleted before their time, because of store.max_size.", "app", "model"
    ),
    counter("store_rows_sampled_out_total", "Raw rows deleted because of store.sample.", "app", "model"),
    counter("store_rows_expired_total", "Raw rows deleted because they were past their retention.", "table"),
)


def families() -> dict[str, Family]:
    """Every family by name: the core's and those that every collector declares."""
    found = {family.name: family for family in CORE}
    for name in registry.known("probe"):
        for family in registry.load("probe", name).FAMILIES:
            found.setdefault(family.name, family)
    return found
