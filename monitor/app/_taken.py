"""What was taken in, counted."""

from __future__ import annotations

from monitor.metrics import Metrics
from monitor.store.events import Taken
from monitor.wire import Kind, Subject


class VersionLabels:
    """The versions that have counters of their own: a version is a stranger's text, and every series costs memory."""

    def __init__(self, most: int = 50) -> None:
        self._most = most
        self._shown: dict[Subject, set[str]] = {}

    def of(self, subject: Subject, version: str) -> str:
        """The label of a version: itself, or `other` for those beyond the first so many of a model."""
        shown = self._shown.setdefault(subject, set())
        if len(shown) < self._most:
            shown.add(version)
        return version if version in shown else "other"


def count_taken(metrics: Metrics, kind: Kind, app: str, model: str, taken: Taken, shown: VersionLabels) -> None:
    """Count what was stored; called once it is on the disk."""
    subject = {"app": app, "model": model}
    metrics.add("anchorwatch_ingest_records_total", taken.new, kind=kind, **subject)
    metrics.add("anchorwatch_ingest_duplicates_total", taken.duplicates, kind=kind, **subject)
    if kind == "labels":
        metrics.add("anchorwatch_model_labels_total", taken.new, **subject)
    for version, rows in taken.predictions.items():
        label = shown.of((app, model), version)
        metrics.add("anchorwatch_model_predictions_total", rows, version=label, **subject)
        if version in taken.latencies:
            seconds = taken.latencies[version]
            metrics.observe_many("anchorwatch_model_latency_seconds", seconds, version=label, **subject)
