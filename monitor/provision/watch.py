"""The watch on the watch, for Prometheus only (the daemon cannot tell of its own absence), and the recording rules."""

from __future__ import annotations

from typing import Any

_DAEMON = "job, instance"


def _alert(name: str, expr: str, severity: str, summary: str, description: str, **more: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        **more,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }


def _grew(family: str, by: str, over: str = "15m") -> str:
    return f"sum by ({by}) (increase({family}[{over}]))"


# A check's interval is not known here, so "stale" is told from its past: it ran at least every half hour and has not
# for two hours, or at least every other day and has not for three.
_RUNS = "anchorwatch_check_runs_total"
_STALE = (
    f"increase({_RUNS}[2h]) == 0 and increase({_RUNS}[1d] offset 2h) > 48\n"
    f"or\n"
    f"increase({_RUNS}[3d]) == 0 and increase({_RUNS}[14d] offset 3d) > 7\n"
)

_ATTEMPTS, _FAILURES = "anchorwatch_notification_attempts_total", "anchorwatch_notification_failures_total"
_RECEIVER = f"{_DAEMON}, receiver"

WATCH: tuple[dict[str, Any], ...] = (
    _alert(
        "AnchorwatchDown",
        "absent(anchorwatch_build_info)",
        "critical",
        "no Anchorwatch is seen",
        "Prometheus scrapes no Anchorwatch: nothing is watched. Alerts that were firing are kept.",
        **{"for": "5m"},
    ),
    _alert(
        "AnchorwatchUnreachable",
        f"up == 0 and on ({_DAEMON}) last_over_time(anchorwatch_build_info[1h])",
        "warning",
        "{{ $labels.instance }} cannot be scraped",
        "This Anchorwatch was there within the last hour, is still a target, and does not answer.",
        **{"for": "5m"},
    ),
    _alert(
        "AnchorwatchCheckStale",
        _STALE,
        "warning",
        "{{ $labels.app }} {{ $labels.model }}: {{ $labels.check }} no longer runs",
        "The check ran regularly and has stopped. See /v1/status and the daemon's log.",
        **{"for": "5m"},
    ),
    _alert(
        "AnchorwatchNotificationsFailing",
        f"{_grew(_FAILURES, _RECEIVER)} > 0\n  and {_grew(_FAILURES, _RECEIVER)} >= {_grew(_ATTEMPTS, _RECEIVER)}\n",
        "warning",
        "no notification reaches {{ $labels.receiver }}",
        "Every attempt to deliver to {{ $labels.receiver }} failed for a quarter of an hour; they are retried.",
        **{"for": "10m"},
    ),
    _alert(
        "AnchorwatchNotificationsDropped",
        f"{_grew('anchorwatch_notification_dropped_total', _RECEIVER)} > 0",
        "critical",
        "notifications to {{ $labels.receiver }} were given up",
        "{{ $labels.receiver }} refused them for good, or did for too long. The ledger names them.",
    ),
    _alert(
        "AnchorwatchConfigReloadFailed",
        "anchorwatch_config_last_reload_successful == 0",
        "warning",
        "{{ $labels.instance }} runs on an old configuration",
        "The last reload was refused. `anchorwatch config validate` says why.",
        **{"for": "5m"},
    ),
    _alert(
        "AnchorwatchStoreErrors",
        f"{_grew('anchorwatch_store_errors_total', _DAEMON)} > 0",
        "critical",
        "{{ $labels.instance }} cannot write its store",
        "Writes to the store fail. Is its disk full or gone? Predictions are refused meanwhile.",
    ),
    _alert(
        "AnchorwatchRetrainingFailing",
        f"{_grew('anchorwatch_retraining_failures_total', 'app, model', '1h')} > 0",
        "warning",
        "{{ $labels.model }}: a retraining could not be asked for",
        "The trigger of {{ $labels.app }} {{ $labels.model }} failed. See /v1/retrainings.",
    ),
)

RECORDED: tuple[dict[str, str], ...] = (
    {
        "record": "app_model:anchorwatch_model_predictions:rate5m",
        "expr": "sum by (app, model) (rate(anchorwatch_model_predictions_total[5m]))",
    },
    {
        "record": "app_model:anchorwatch_model_labels_per_prediction:ratio1d",
        "expr": "sum by (app, model) (increase(anchorwatch_model_labels_total[1d]))\n"
        "/\n"
        "(sum by (app, model) (increase(anchorwatch_model_predictions_total[1d])) > 0)\n",
    },
    {
        "record": "app_model_version:anchorwatch_feature_drift_score:max_share_of_threshold",
        "expr": "max by (app, model, version) (anchorwatch_feature_drift_score / anchorwatch_feature_drift_threshold)",
    },
    {
        "record": "app_model:anchorwatch_model_latency_seconds:p95_5m",
        "expr": "histogram_quantile(0.95,"
        " sum by (app, model, le) (rate(anchorwatch_model_latency_seconds_bucket[5m])))",
    },
)
