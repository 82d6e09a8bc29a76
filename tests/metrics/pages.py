"""Metrics with something on them, and what their page shows."""

from __future__ import annotations

from monitor.metrics import Metrics
from monitor.records import Sample

UP, PREDICTIONS, LATENCY = (
    "anchorwatch_app_up",
    "anchorwatch_model_predictions_total",
    "anchorwatch_model_latency_seconds",
)
PERFORMANCE = "anchorwatch_model_performance"
SUBJECT = {"app": "shop", "model": "demand", "version": "v1"}
ACCEPT = [
    f"{kind};version=1.0.0;escaping={scheme}"
    for kind in ("text/plain", "application/openmetrics-text")
    for scheme in ("underscores", "allow-utf-8", "dots", "values")
]


def shown(metrics: Metrics, prefix: str) -> dict[str, float]:
    """The lines of a page that begin so, without the number, and their numbers."""
    lines = metrics.render(None)[0].decode().split("\n")
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(prefix)}


def filled() -> Metrics:
    metrics = Metrics("0")
    metrics.swap([UP], [Sample(UP, {"app": "shop", "probe": probe}, 1) for probe in ('"a"', "b\\", "c\nd", "é漢😀")])
    metrics.set(PERFORMANCE, 0.25, metric="mae", **SUBJECT)
    metrics.set(PERFORMANCE, 1234567.0, metric="mae", segment="a", **SUBJECT)
    metrics.add(PREDICTIONS, 10**7, **SUBJECT)
    metrics.observe_many(LATENCY, [0.001, 0.3, 99.0], **SUBJECT)
    return metrics
