"""The panels about the counters of rows by bin: the reference against what comes in, over all replicas."""

from __future__ import annotations

from dashboards.panels import Json, columns, lines, query, variable
from dashboards.selectors import MODEL, VERSION

_SHARE = "anchorwatch_feature_bin_reference_ratio"


def feature() -> Json:
    """The variable that says which feature's bins are shown."""
    return variable("feature", "Feature", f"label_values({_SHARE}{{{MODEL}}}, feature)", several=False)


def by_bin() -> list[tuple[int, Json]]:
    """One feature by bin, and all of them as one number each."""
    chosen = f'{VERSION}, feature="$feature"'
    grown = f"(increase(anchorwatch_feature_bin_total{{{chosen}}}[$__range]))"
    psi = "anchorwatch:feature_psi"
    return [
        (
            12,
            columns(
                "Reference and current by bin",
                "Share of rows in each bin of the chosen feature: of the reference, and of what came in over the time shown. Of "
                "versions with different references choose one.",
                {
                    "reference": query(f"max by (bin) ({_SHARE}{{{chosen}}})", instant=True, table=True),
                    "current": query(
                        f"sum by (bin) {grown} / on () group_left () (sum {grown} > 0)", instant=True, table=True
                    ),
                },
                "bin",
                "percentunit",
            ),
        ),
        (
            12,
            lines(
                "PSI by feature over all replicas",
                "Of the rows that came in over the last hour and the last day, by Prometheus's own rules; it says how far, and "
                "not whether that many rows could tell.",
                [
                    query(
                        f"max by (feature, version) ({psi}:{over}{{{VERSION}}})",
                        f"{{{{feature}}}} {{{{version}}}} {over}",
                    )
                    for over in ("1h", "1d")
                ],
                "short",
                legend_table=True,
            ),
        ),
    ]
