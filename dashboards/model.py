"""One model in depth: what its checks say, which features drift, how well it does, its retrainings."""

from __future__ import annotations

from dashboards.overview import firing, retrainings
from dashboards.panels import (
    GREEN,
    Json,
    bars,
    dashboard,
    lines,
    number,
    query,
    state_of,
    states_now,
    states_over_time,
    steps,
    table,
    variable,
)

MODEL = 'app="$app", model="$model"'
VERSION = f'{MODEL}, version=~"$version"'
_RATE = "[$__rate_interval]"
_SHARE = steps((None, "green"), (0.7, "orange"), (1, "red"))


def _now() -> list[tuple[int, Json]]:
    predictions = f"sum(increase(anchorwatch_model_predictions_total{{{VERSION}}}[1h])) or vector(0)"
    labels = (
        f"sum(increase(anchorwatch_model_labels_total{{{MODEL}}}[1d]))"
        f" / (sum(increase(anchorwatch_model_predictions_total{{{MODEL}}}[1d])) > 0)"
    )
    drifted = (
        f"count(max by (feature) (anchorwatch_feature_drift_breached{{{VERSION}}}) == 1)"
        f" or 0 * count(anchorwatch_feature_drift_breached{{{VERSION}}})"
    )
    return [
        (
            12,
            states_now(
                "Checks now",
                "The state of each check. No data means too little evidence, and is not the same as ok.",
                query(state_of(MODEL, by="check"), "{{check}}", instant=True),
            ),
        ),
        (
            4,
            number(
                "Features drifted",
                "Features beyond their drift threshold; no number when drift is not known.",
                query(drifted, instant=True),
                "none",
                steps((None, "green"), (1, "red")),
            ),
        ),
        (
            4,
            number(
                "Predictions in the last hour",
                "Predictions taken in, of the chosen versions.",
                query(predictions, instant=True),
                "short",
                GREEN,
            ),
        ),
        (
            4,
            number(
                "Labels per prediction",
                "Labels that came in for each prediction over the last day.",
                query(labels, instant=True),
                "percentunit",
                GREEN,
            ),
        ),
    ]


def _states() -> list[tuple[int, Json]]:
    text = "What each check said, and when it could not tell."
    return [(24, states_over_time("Checks over time", text, query(state_of(MODEL, by="check"), "{{check}}")))]


def _drift() -> list[tuple[int, Json]]:
    score, threshold = "anchorwatch_feature_drift_score", "anchorwatch_feature_drift_threshold"
    share = f"sort_desc(max by (feature, statistic) ({score}{{{VERSION}}} / {threshold}{{{VERSION}}}))"
    return [
        (
            16,
            lines(
                "Drift by feature",
                "Distance of each feature from its reference, and the threshold above which it counts as drifted.",
                [
                    query(
                        f"max by (feature, statistic, version) ({score}{{{VERSION}}})",
                        "{{feature}} {{statistic}} {{version}}",
                    ),
                    query(f"max by (statistic) ({threshold}{{{VERSION}}})", "{{statistic}} highest threshold"),
                ],
                "none",
                legend_table=True,
            ),
        ),
        (
            8,
            bars(
                "Drift now, as a share of the threshold",
                "The features that drifted most come first; above 100 % is a breach.",
                query(share, "{{feature}}", instant=True),
                "percentunit",
                _SHARE,
            ),
        ),
    ]


def _performance() -> list[tuple[int, Json]]:
    value, threshold = "anchorwatch_model_performance", "anchorwatch_model_performance_threshold"
    return [
        (
            12,
            lines(
                "Performance",
                "Performance on labelled predictions, and the value beyond which it is a breach.",
                [
                    query(f"max by (metric, version) ({value}{{{VERSION}}})", "{{metric}} {{version}}"),
                    query(f"max by (metric) ({threshold}{{{VERSION}}})", "{{metric}} threshold"),
                ],
                "short",
                low=None,
            ),
        ),
        (
            6,
            lines(
                "Labelled rows judged",
                "Rows the newest performance was computed on.",
                [query(f"max by (version) (anchorwatch_model_performance_rows{{{VERSION}}})", "{{version}}")],
                "short",
            ),
        ),
        (
            6,
            lines(
                "Labels",
                "Labels taken in a second, and labels that no prediction has claimed so far.",
                [
                    query(
                        f"sum by (model) (rate(anchorwatch_model_labels_total{{{MODEL}}}{_RATE}))", "taken in a second"
                    ),
                    query(f"sum by (model) (anchorwatch_model_labels_unmatched{{{MODEL}}})", "unmatched"),
                ],
                "short",
            ),
        ),
    ]


def _quality() -> list[tuple[int, Json]]:
    def of(title: str, text: str, family: str, statistic: str) -> tuple[int, Json]:
        limit = f'max by (statistic) (anchorwatch_feature_quality_threshold{{{VERSION}, statistic="{statistic}"}})'
        queries = [
            query(f"max by (feature) ({family}{{{VERSION}}})", "{{feature}}"),
            query(limit, "threshold"),
        ]
        return 12, lines(title, text, queries, "percentunit", legend_table=True)

    return [
        of(
            "Missing values",
            "Share of rows without a value, by feature.",
            "anchorwatch_feature_missing_ratio",
            "missing_ratio",
        ),
        of(
            "Unseen values",
            "Share of rows with a value the reference does not know, by feature.",
            "anchorwatch_feature_unseen_ratio",
            "unseen_ratio",
        ),
    ]


def _traffic() -> list[tuple[int, Json]]:
    bucket = f"sum by (le) (rate(anchorwatch_model_latency_seconds_bucket{{{VERSION}}}{_RATE}))"
    return [
        (
            8,
            lines(
                "Predictions by version",
                "Predictions taken in a second.",
                [
                    query(
                        f"sum by (version) (rate(anchorwatch_model_predictions_total{{{VERSION}}}{_RATE}))",
                        "{{version}}",
                    )
                ],
                "cps",
                stacked=True,
            ),
        ),
        (
            8,
            lines(
                "Latency of predictions",
                "How long predictions took, where their events say so.",
                [query(f"histogram_quantile({share}, {bucket})", f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99)],
                "s",
            ),
        ),
        (
            8,
            lines(
                "Rows judged by check",
                "Rows the newest run of each check was about.",
                [query(f"max by (check) (anchorwatch_check_rows{{{MODEL}}})", "{{check}}")],
                "short",
            ),
        ),
    ]


def _events() -> list[tuple[int, Json]]:
    return [
        (
            12,
            lines(
                "Retrainings",
                "Retrainings asked for, refused (with the guard that refused) and ended.",
                retrainings(MODEL),
                "none",
                bars=True,
            ),
        ),
        (
            12,
            table(
                "Alerts firing now",
                "Alerts on this model; empty when nothing fires.",
                query(firing(MODEL), instant=True, table=True),
                ("severity", "alertname"),
                sort="severity",
            ),
        ),
    ]


def _versions() -> list[tuple[int, Json]]:
    text = "Versions seen in predictions, and the reference each is judged against."
    info = query(f"anchorwatch_model_info{{{MODEL}}}", instant=True, table=True)
    return [(24, table("Versions", text, info, ("version", "task", "reference"), sort="version"))]


def model() -> Json:
    """The dashboard."""
    variables = [
        variable("app", "App", 'label_values(anchorwatch_check_state{model!=""}, app)', several=False),
        variable(
            "model", "Model", 'label_values(anchorwatch_check_state{app="$app", model!=""}, model)', several=False
        ),
        variable("version", "Version", f"label_values(anchorwatch_model_info{{{MODEL}}}, version)", several=True),
    ]
    rows = [
        (4, _now()),
        (6, _states()),
        (10, _drift()),
        (8, _performance()),
        (9, _quality()),
        (7, _traffic()),
        (7, _events()),
        (5, _versions()),
    ]
    text = "One model in depth: its checks, drift, performance, data quality, labels and retrainings."
    return dashboard("anchorwatch-model", "Anchorwatch: Model", text, variables, rows)
