"""The panels about what a model's predictions turned out to be worth."""

from __future__ import annotations

from dashboards.panels import Json, lines, query
from dashboards.selectors import MODEL, RATE, VERSION


def performance() -> list[tuple[int, Json]]:
    """How well it does, as a whole, by segment and by class."""
    value, threshold = "anchorwatch_model_performance", "anchorwatch_model_performance_threshold"
    whole = f'{VERSION}, segment=""'
    return [
        (
            12,
            lines(
                "Performance",
                "Performance on labelled predictions, with the ends of its 95 % interval, the reference's value, and the value "
                "beyond which it is a breach.",
                [
                    query(f"max by (metric, version) ({value}{{{whole}}})", "{{metric}} {{version}}"),
                    query(f"max by (metric, version) ({value}_lower{{{whole}}})", "{{metric}} {{version}} lower end"),
                    query(f"max by (metric, version) ({value}_upper{{{whole}}})", "{{metric}} {{version}} upper end"),
                    query(f"max by (metric) ({value}_baseline{{{whole}}})", "{{metric}} of the reference"),
                    query(f"max by (metric) ({threshold}{{{whole}}})", "{{metric}} threshold"),
                ],
                "short",
                low=None,
            ),
        ),
        (
            12,
            lines(
                "Performance by segment and class",
                "The same for each segment, and of a classifier for each class, where these are asked for.",
                [
                    query(f'max by (metric, segment) ({value}{{{VERSION}, segment!=""}})', "{{metric}} {{segment}}"),
                    query(
                        f"max by (metric, class) (anchorwatch_model_class_performance{{{VERSION}}})",
                        "{{metric}} class {{class}}",
                    ),
                ],
                "short",
                low=None,
                legend_table=True,
            ),
        ),
    ]


def unlabelled() -> list[tuple[int, Json]]:
    """How well it seems to do while labels are still to come, and whether its losses have changed."""
    estimated, loss = "anchorwatch_model_estimated_performance", "anchorwatch_model_concept_loss"
    return [
        (
            12,
            lines(
                "Performance estimated before labels",
                "What the inputs tell of the performance, and by how much earlier estimates were off. Not to be relied on where "
                "labels have shown it to be wrong: then there is no estimate.",
                [
                    query(f"max by (metric, version) ({estimated}{{{VERSION}}})", "{{metric}} {{version}}"),
                    query(f"max by (metric) ({estimated}_threshold{{{VERSION}}})", "{{metric}} threshold"),
                    query(
                        f"max by (metric) (anchorwatch_model_estimation_error{{{VERSION}}})",
                        "{{metric}}: actual less estimated",
                    ),
                ],
                "short",
                low=None,
            ),
        ),
        (
            12,
            lines(
                "Losses as labels come",
                "Mean loss since the newest change, beside that of the reference.",
                [
                    query(f"max by (detector, version) ({loss}{{{VERSION}}})", "{{detector}} {{version}}"),
                    query(f"max by (detector) ({loss}_baseline{{{VERSION}}})", "{{detector}} of the reference"),
                    query(f"max by (detector) ({loss}_threshold{{{VERSION}}})", "{{detector}} threshold"),
                ],
                "short",
                low=None,
            ),
        ),
    ]


def labels() -> list[tuple[int, Json]]:
    """Whether its labels come."""
    rows, taken = "anchorwatch_model_performance_rows", "anchorwatch_model_labels_total"
    return [
        (
            6,
            lines(
                "Labelled rows judged",
                "Rows the newest performance was computed on.",
                [query(f'max by (version) ({rows}{{{VERSION}, segment=""}})', "{{version}}")],
                "short",
            ),
        ),
        (
            6,
            lines(
                "Labels",
                "Labels taken in a second, and labels that no prediction has claimed so far.",
                [
                    query(f"sum by (model) (rate({taken}{{{MODEL}}}{RATE}))", "taken in a second"),
                    query(f"sum by (model) (anchorwatch_model_labels_unmatched{{{MODEL}}})", "unmatched"),
                ],
                "short",
            ),
        ),
        (
            6,
            lines(
                "Coverage of labels",
                "Share of predictions that have a label once these have matured, and how unlike segments are in that.",
                [
                    query(f"max by (version) (anchorwatch_model_label_coverage{{{VERSION}}})", "{{version}}"),
                    query(f"max by (segment) (anchorwatch_model_label_selection{{{VERSION}}})", "gap by {{segment}}"),
                ],
                "percentunit",
            ),
        ),
        (
            6,
            lines(
                "Lag of labels",
                "Time within which 95 % of the labels came.",
                [
                    query(f"max by (version) (anchorwatch_model_label_lag_seconds{{{VERSION}}})", "{{version}}"),
                    query(f"max by (model) (anchorwatch_model_label_lag_seconds_threshold{{{VERSION}}})", "threshold"),
                ],
                "s",
            ),
        ),
    ]


def fairness() -> list[tuple[int, Json]]:
    """How it treats groups."""
    value = "anchorwatch_model_fairness"
    return [
        (
            12,
            lines(
                "Fairness",
                "How differently groups are treated, with the value beyond which that is a breach.",
                [
                    query(f"max by (attribute, metric) ({value}{{{VERSION}}})", "{{metric}} {{attribute}}"),
                    query(f"max by (metric) ({value}_threshold{{{VERSION}}})", "{{metric}} threshold"),
                ],
                "short",
                legend_table=True,
            ),
        ),
        (
            12,
            lines(
                "What each group gets",
                "The rates that the metrics compare, by group.",
                [query(f"max by (metric, attribute, group) ({value}_group{{{VERSION}}})", "{{metric}} {{group}}")],
                "short",
                legend_table=True,
            ),
        ),
    ]
