"""A model's predictions and labels, opened for reading beside a running daemon."""

from __future__ import annotations

from pathlib import Path

from monitor import registry
from monitor.config import Model, StorePlace
from monitor.source import EventSource
from monitor.source._index import remember_in
from monitor.source.ingest import IngestSource
from monitor.store import open_for_reading
from monitor.windows import bucket_seconds


def open_events(app: str, model: Model, directory: Path, place: StorePlace) -> EventSource:
    """Where a model's predictions are: its files, or the store.

    Raises:
        SourceError: the files cannot be read.
        StoreError: the store cannot.
    """
    module = registry.load("source", model.predictions.type)
    if module.HEAVY:
        remember_in(place.data_dir / "files")
        source: EventSource = module.open_source(model.predictions, model.labels, model, directory)
        return source
    return IngestSource(open_for_reading(place), app, model.name, bucket_seconds=bucket_seconds(model.windows))
