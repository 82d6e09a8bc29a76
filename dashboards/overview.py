"""The Overview: every app and its models, side by side. The app is on the left, its models are on the right."""

from __future__ import annotations

from dashboards.panels import (
    GREEN,
    Json,
    dashboard,
    lines,
    number,
    query,
    state_of,
    states_over_time,
    steps,
    table,
    variable,
)

APP = 'app=~"$app"'
MODEL = f'{APP}, model=~"$model"'
_RATE = "[$__rate_interval]"
_BAD = steps((None, "green"), (1, "red"))
_UNSURE = steps((None, "green"), (1, "orange"))
_TO_MODEL = [
    {
        "title": "Open this model",
        "url": "/d/anchorwatch-model?var-app=${__field.labels.app}&var-model=${__field.labels.model}",
    }
]


def firing(selector: str) -> str:
    """What fires, whoever evaluates: the daemon's own alerts, and Prometheus's where the daemon has none."""
    by = "app, model, alertname, severity"
    return (
        f'sum by ({by}) (anchorwatch_alerts{{{selector}, state="firing"}}) > 0'
        f' or on (app, model, alertname) count by ({by}) (ALERTS{{{selector}, alertstate="firing"}})'
    )


def retrainings(selector: str) -> list[Json]:
    """Retrainings asked for, refused and ended, each time they happen."""
    return [
        query(
            f"sum by (model) (increase(anchorwatch_retraining_requests_total{{{selector}}}{_RATE}))",
            "{{model}} asked for",
        ),
        query(
            f"sum by (model, guard) (increase(anchorwatch_retraining_refusals_total{{{selector}}}{_RATE}))",
            "{{model}} refused: {{guard}}",
        ),
        query(
            f"sum by (model, outcome) (increase(anchorwatch_retraining_outcomes_total{{{selector}}}{_RATE}))",
            "{{model}} {{outcome}}",
        ),
    ]


def _now() -> list[tuple[int, Json]]:
    down = f"count(min by (app) (anchorwatch_app_up{{{APP}}}) == 0) or vector(0)"
    unsure = f'sum(anchorwatch_check_state{{{APP}, state="no_data"}}) or vector(0)'
    failing = f'sum(anchorwatch_check_state{{{APP}, state="error"}}) or vector(0)'
    taken = f"sum(increase(anchorwatch_model_predictions_total{{{MODEL}}}[1h])) or vector(0)"
    running = f"sum(anchorwatch_retraining_active{{{MODEL}}}) or vector(0)"
    panels = [
        number("Apps down", "Apps of which at least one probe fails.", query(down, instant=True), "none", _BAD),
        number(
            "Alerts firing",
            "Alerts that fire, by the daemon's own evaluator or, without one, by Prometheus.",
            query(f"count({firing(APP)}) or vector(0)", instant=True),
            "none",
            _BAD,
        ),
        number(
            "Checks without evidence",
            "Checks that cannot tell for lack of data. That is not the same as fine.",
            query(unsure, instant=True),
            "none",
            _UNSURE,
        ),
        number("Checks failing", "Checks that end in an error.", query(failing, instant=True), "none", _BAD),
        number("Predictions in the last hour", "Predictions taken in.", query(taken, instant=True), "short", GREEN),
        number(
            "Retrainings under way",
            "Models being trained anew at this moment.",
            query(running, instant=True),
            "none",
            steps((None, "green"), (1, "blue")),
        ),
    ]
    return [(4, one) for one in panels]


def _states() -> list[tuple[int, Json]]:
    return [
        (
            12,
            states_over_time(
                "App: probes and readings",
                "What each probe, scrape and process reading says.",
                query(state_of(f'{APP}, model=""', by="app, check"), "{{app}} {{check}}"),
            ),
        ),
        (
            12,
            states_over_time(
                "Model: checks",
                "What each check of a model says.",
                query(state_of(MODEL, by="app, model, check"), "{{model}} {{check}}"),
            ),
        ),
    ]


def _traffic() -> list[tuple[int, Json]]:
    return [
        (
            12,
            lines(
                "App: requests",
                "Requests a second, as the app counts them itself.",
                [query(f"sum by (app) (anchorwatch_app_requests_per_second{{{APP}}})", "{{app}}")],
                "reqps",
            ),
        ),
        (
            12,
            lines(
                "Model: predictions",
                "Predictions taken in, a second.",
                [
                    query(
                        f"sum by (app, model) (rate(anchorwatch_model_predictions_total{{{MODEL}}}{_RATE}))",
                        "{{model}}",
                    )
                ],
                "cps",
                links=_TO_MODEL,
            ),
        ),
    ]


def _errors() -> list[tuple[int, Json]]:
    value, threshold = "anchorwatch_model_performance", "anchorwatch_model_performance_threshold"
    whole = f'{MODEL}, segment=""'
    return [
        (
            12,
            lines(
                "App: errors",
                "Share of requests that ended in an error.",
                [query(f"max by (app) (anchorwatch_app_error_ratio{{{APP}}})", "{{app}}")],
                "percentunit",
            ),
        ),
        (
            12,
            lines(
                "Model: performance",
                "Performance on labelled predictions in the newest window, and the value beyond which it is a breach.",
                [
                    query(
                        f"max by (app, model, version, metric) ({value}{{{whole}}})", "{{model}} {{version}} {{metric}}"
                    ),
                    query(f"max by (app, model, metric) ({threshold}{{{whole}}})", "{{model}} {{metric}} threshold"),
                ],
                "short",
                low=None,
                links=_TO_MODEL,
            ),
        ),
    ]


def _latency() -> list[tuple[int, Json]]:
    share = (
        f"max by (app, model, version) (anchorwatch_feature_drift_score{{{MODEL}}}"
        f" / anchorwatch_feature_drift_threshold{{{MODEL}}})"
    )
    return [
        (
            12,
            lines(
                "App: latency",
                "Percentiles of the time the app takes to answer.",
                [
                    query(
                        f"max by (app, percentile) (anchorwatch_app_latency_seconds{{{APP}}})",
                        "{{app}} p{{percentile}}",
                    )
                ],
                "s",
            ),
        ),
        (
            12,
            lines(
                "Model: strongest drift",
                "Of a version's features the one that drifted most, as a share of its threshold; a breach above 100 %.",
                [query(share, "{{model}} {{version}}")],
                "percentunit",
                limit=1,
                links=_TO_MODEL,
            ),
        ),
    ]


def _resources() -> list[tuple[int, Json]]:
    missing, unseen = "anchorwatch_feature_missing_ratio", "anchorwatch_feature_unseen_ratio"
    return [
        (
            6,
            lines(
                "App: CPU",
                "Processor time of the app's process; 100 % is one core.",
                [query(f"sum by (app) (rate(anchorwatch_app_cpu_seconds_total{{{APP}}}{_RATE}))", "{{app}}")],
                "percentunit",
            ),
        ),
        (
            6,
            lines(
                "App: memory",
                "Resident memory of the app's process.",
                [query(f"sum by (app) (anchorwatch_app_memory_resident_bytes{{{APP}}})", "{{app}}")],
                "bytes",
            ),
        ),
        (
            12,
            lines(
                "Model: data quality",
                "Of a model's features the one with most missing values, and the one with most unseen values.",
                [
                    query(f"max by (app, model) ({missing}{{{MODEL}}})", "{{model}} missing"),
                    query(f"max by (app, model) ({unseen}{{{MODEL}}})", "{{model}} unseen"),
                ],
                "percentunit",
                links=_TO_MODEL,
            ),
        ),
    ]


def _events() -> list[tuple[int, Json]]:
    return [
        (
            12,
            table(
                "Alerts firing now",
                "One line for each alert, app and model; empty when nothing fires.",
                query(firing(APP), instant=True, table=True),
                ("severity", "alertname", "app", "model"),
                sort="severity",
            ),
        ),
        (
            12,
            lines(
                "Model: retrainings",
                "Retrainings asked for, refused (with the guard that refused) and ended.",
                retrainings(MODEL),
                "none",
                bars=True,
            ),
        ),
    ]


def _watch() -> list[tuple[int, Json]]:
    memory = "process_resident_memory_bytes and on (job, instance) anchorwatch_build_info"
    return [
        (
            6,
            lines(
                "Anchorwatch: records taken in",
                "Predictions and labels taken in by HTTP, a second.",
                [query(f"sum by (kind) (rate(anchorwatch_ingest_records_total{{{APP}}}{_RATE}))", "{{kind}}")],
                "cps",
            ),
        ),
        (
            6,
            lines(
                "Anchorwatch: notifications waiting",
                "Notifications not delivered yet, by receiver.",
                [query("sum by (receiver) (anchorwatch_notification_queue_length)", "{{receiver}}")],
                "none",
            ),
        ),
        (
            6,
            lines(
                "Anchorwatch: store",
                "Size of the store's files.",
                [query("anchorwatch_store_size_bytes", "{{instance}}")],
                "bytes",
            ),
        ),
        (6, lines("Anchorwatch: memory", "Resident memory of the daemon.", [query(memory, "{{instance}}")], "bytes")),
    ]


def overview() -> Json:
    """The dashboard."""
    variables = [
        variable("app", "App", "label_values(anchorwatch_check_state, app)", several=True),
        variable("model", "Model", f'label_values(anchorwatch_check_state{{{APP}, model!=""}}, model)', several=True),
    ]
    rows = [
        (4, _now()),
        (7, _states()),
        (7, _traffic()),
        (7, _errors()),
        (7, _latency()),
        (7, _resources()),
        (7, _events()),
        (6, _watch()),
    ]
    text = "Apps and the models inside them, side by side: the app on the left, its models on the right."
    return dashboard("anchorwatch-overview", "Anchorwatch: Overview", text, variables, rows)
