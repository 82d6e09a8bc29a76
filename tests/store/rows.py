"""Rows to store, and stores to put them in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine

from monitor.config import StorePlace
from monitor.options import Secret
from monitor.profile import Reference, build_reference
from monitor.records import Column, ColumnKind, EventBatch, fingerprint
from monitor.store import Store
from monitor.store.events import NewEvent, NewLabel

NOW = 1_325_376_000.0
COLUMNS = (Column("temp", ColumnKind.NUMERIC), Column("season", ColumnKind.CATEGORICAL))


DATABASE: str | None = None


def place(folder: Path) -> StorePlace:
    """A folder, or a schema of the database that goes by its name."""
    if DATABASE is None:
        return StorePlace(folder)
    schema = f"s_{fingerprint(str(folder))}"
    engine = create_engine(DATABASE)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    engine.dispose()
    return StorePlace(folder, Secret(f"{DATABASE}?options=-csearch_path%3D{schema}"))


@contextmanager
def opened(folder: Path, now: float = NOW) -> Iterator[Store]:
    store = Store(place(folder), now=now)
    try:
        yield store
    finally:
        store.close()


def event(event_id: str, time: float = NOW, version: str = "1", prediction: Any = 1.0, **features: Any) -> NewEvent:
    return NewEvent(event_id, time, version, features, prediction)


def label(event_id: str, value: Any = 1.0) -> NewLabel:
    return NewLabel(event_id, None, value)


def reference(fingerprint: str = "a", spread: float = 1.0) -> Reference:
    """Normal temperatures and seasons; another fingerprint and spread have other bins."""
    rows = 100
    season = np.array(["spring", "summer", None, "autumn"] * (rows // 4), dtype=object)
    features = {"temp": np.linspace(0, spread, rows), "season": season}
    return build_reference(
        EventBatch("1", np.zeros(rows), features), COLUMNS, fingerprint=fingerprint, version="1", window_seconds=3600.0
    )
