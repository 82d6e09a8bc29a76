"""One model in depth: what its checks say, which features drift, how well it does and for whom, its retrainings."""

from __future__ import annotations

from dashboards import bins, outcomes
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
from dashboards.selectors import MODEL, RATE, VERSION


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


def _of_threshold(family: str, by: str) -> str:
    """A drift score in units of its threshold; a unit change must not flatten all other lines, so it ends at 1000 %."""
    score, threshold = f"{family}_score{{{VERSION}}}", f"{family}_threshold{{{VERSION}}}"
    return f"clamp_max(max by ({by}) ({score} / ({threshold} > 0)), 10)"


def _drift() -> list[tuple[int, Json]]:
    share = _of_threshold("anchorwatch_feature_drift", "feature, statistic, version")
    impact = f"sort_desc(max by (feature) (anchorwatch_feature_drift_impact{{{VERSION}}}))"
    return [
        (
            16,
            lines(
                "Drift by feature, as a share of its threshold",
                "Distance of each feature from its reference, over the threshold that this many rows deserve; "
                "above 100 % is a breach. Shown up to 1000 %.",
                [query(share, "{{feature}} {{statistic}} {{version}}")],
                "percentunit",
                limit=1,
                legend_table=True,
            ),
        ),
        (
            8,
            bars(
                "Where to look first",
                "Impact: the importance of each feature times its drift in units of what is material. It ranks; it is no alarm.",
                query(impact, "{{feature}}", instant=True),
                "none",
                GREEN,
            ),
        ),
    ]


def _whole() -> list[tuple[int, Json]]:
    share = "anchorwatch_model_drift_share"
    return [
        (
            12,
            lines(
                "Drift of predictions, labels and many columns at once",
                "As a share of each one's threshold; above 100 % is a breach. Labels are judged once they have matured.",
                [
                    query(
                        _of_threshold("anchorwatch_model_prediction_drift", "output, statistic, version"),
                        "{{output}} {{statistic}} {{version}}",
                    ),
                    query(
                        _of_threshold("anchorwatch_model_label_drift", "statistic, version"),
                        "label {{statistic}} {{version}}",
                    ),
                    query(
                        _of_threshold("anchorwatch_model_multivariate_drift", "columns, statistic, version"),
                        "{{columns}} {{statistic}} {{version}}",
                    ),
                ],
                "percentunit",
                limit=1,
            ),
        ),
        (
            6,
            lines(
                "Features drifted, by importance",
                "Share of the model's features that have drifted, each counted with its importance.",
                [
                    query(f"max by (version) ({share}{{{VERSION}}})", "{{version}}"),
                    query(f"max by (model) ({share}_threshold{{{VERSION}}})", "threshold"),
                ],
                "percentunit",
            ),
        ),
        (
            6,
            lines(
                "How often unchanged data would drift as much",
                "The smallest p-value of each feature: near 0 is hardly chance. An alert takes a material change, too.",
                [query(f"min by (feature) (anchorwatch_feature_drift_p_value{{{VERSION}}})", "{{feature}}")],
                "percentunit",
            ),
        ),
    ]


def _skew() -> list[tuple[int, Json]]:
    score = "anchorwatch_feature_skew_score"
    return [
        (
            12,
            lines(
                "Skew",
                "How far what is served lies from what was trained on, by feature; broken schemas are 1.",
                [query(f"max by (feature, statistic) ({score}{{{VERSION}}})", "{{feature}} {{statistic}}")],
                "short",
                legend_table=True,
            ),
        ),
        (
            12,
            lines(
                "Volume and freshness",
                "Predictions of the newest window over the usual number, and the hours since the newest prediction.",
                [
                    query(f"max by (model) (anchorwatch_model_volume_ratio{{{MODEL}}})", "volume over the usual"),
                    query(
                        f"max by (model) (anchorwatch_model_staleness_seconds{{{MODEL}}}) / 3600", "hours of silence"
                    ),
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
        return 8, lines(title, text, queries, "percentunit", legend_table=True)

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
        of(
            "Values out of range",
            "Share of rows beyond the range of a feature.",
            "anchorwatch_feature_out_of_range_ratio",
            "out_of_range_ratio",
        ),
    ]


def _traffic() -> list[tuple[int, Json]]:
    bucket = f"sum by (le) (rate(anchorwatch_model_latency_seconds_bucket{{{VERSION}}}{RATE}))"
    return [
        (
            8,
            lines(
                "Predictions by version",
                "Predictions taken in a second.",
                [
                    query(
                        f"sum by (version) (rate(anchorwatch_model_predictions_total{{{VERSION}}}{RATE}))",
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
        bins.feature(),
    ]
    rows = [
        (4, _now()),
        (6, _states()),
        (10, _drift()),
        (8, bins.by_bin()),
        (8, _whole()),
        (8, outcomes.performance()),
        (6, outcomes.labels()),
        (8, outcomes.unlabelled()),
        (9, _quality()),
        (8, _skew()),
        (8, outcomes.fairness()),
        (7, _traffic()),
        (7, _events()),
        (5, _versions()),
    ]
    text = "One model in depth: its checks, drift, performance, labels, data quality, skew, fairness and retrainings."
    return dashboard("anchorwatch-model", "Anchorwatch: Model", text, variables, rows)
