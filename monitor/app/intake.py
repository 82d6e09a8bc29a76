"""A decoded batch into the store, and into the counters once it is there."""

from __future__ import annotations

from sqlalchemy import Connection

from monitor.consequences.recording import Effects, Recorder
from monitor.metrics import Metrics
from monitor.store import events
from monitor.store.events import Taken
from monitor.web._ingest import Batch

Subject = tuple[str, str]


def intake(
    connection: Connection, batch: Batch, recorder: Recorder, *, now: float
) -> tuple[dict[Subject, Taken], Effects]:
    """Store a batch in one transaction; a version that is new may be what a retraining has brought."""
    taken: dict[Subject, Taken] = {}
    effects = Effects()
    for (app, model), rows in batch.events.items():
        found = taken[app, model] = events.add_events(connection, app, model, rows, received=now)
        for version in found.new_versions:
            effects.retrainings += recorder.retrainings.version_seen(connection, app, model, version, now)
    for (app, model), labels in batch.labels.items():
        taken[app, model] = events.add_labels(connection, app, model, labels, received=now)
    if batch.rejections:
        events.add_rejections(connection, batch.rejections, now=now)
    return taken, effects


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


def count_taken(metrics: Metrics, batch: Batch, taken: dict[Subject, Taken], shown: VersionLabels) -> None:
    """Count what was stored; called once it is on the disk."""
    for (app, model), found in taken.items():
        subject = {"app": app, "model": model}
        metrics.add("anchorwatch_ingest_records_total", found.new, kind=batch.kind, **subject)
        metrics.add("anchorwatch_ingest_duplicates_total", found.duplicates, kind=batch.kind, **subject)
        if batch.kind == "labels":
            metrics.add("anchorwatch_model_labels_total", found.new, **subject)
            continue
        versions, latencies = batch.versions[app, model], batch.latencies.get((app, model), {})
        for event_id in found.ids:
            version = shown.of((app, model), versions[event_id])
            metrics.add("anchorwatch_model_predictions_total", version=version, **subject)
            if event_id in latencies:
                seconds = latencies[event_id][1]
                metrics.observe("anchorwatch_model_latency_seconds", seconds, version=version, **subject)
    for rejection in batch.rejections:
        metrics.add("anchorwatch_ingest_rejected_total", kind=rejection.kind, reason=rejection.reason)
