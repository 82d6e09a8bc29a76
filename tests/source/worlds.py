"""The same predictions in files and pushed to a store, and the model that made them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monitor.config import Model, load
from monitor.source import EventSource
from monitor.source.files import open_source
from monitor.source.ingest import IngestSource
from monitor.store import Store, events
from monitor.store.events import NewEvent, NewLabel
from monitor.windows import bucket_seconds
from tests.store.rows import opened

HOUR, DAY = 3600.0, 86400.0
START = 1_600_041_600.0 // DAY * DAY  # a midnight
FEATURES = ("x", "c")


def log(rows: int, *, seed: int = 0, days: float = 10, task: str = "binary", start: float = START) -> pd.DataFrame:
    """Predictions of two versions, the second one in the second half, in no particular order of time."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(rows)
    times = start + order * (days * DAY / rows)
    x = np.round(draw.normal(0, 1, rows) + np.sin(times / DAY * 2 * np.pi), 3)
    x[draw.random(rows) < 0.05] = math.nan
    score = 1 / (1 + np.exp(-np.nan_to_num(x)))
    said: Any = np.round(3 * np.nan_to_num(x), 2) if task == "regression" else (score > 0.5).astype(int)
    return pd.DataFrame(
        {
            "event_id": [f"{seed}-{place}" for place in range(rows)],
            "timestamp": pd.to_datetime(times, unit="s"),
            "model_version": np.where(order < rows / 2, "1", "2"),
            "x": x,
            "c": np.array(["red", "green", "blue", None], dtype=object)[draw.integers(0, 4, rows)],
            "prediction": said,
            "probability": score,
        }
    )


def model(folder: Path, **parts: Any) -> Model:
    """A model as the configuration gives it."""
    import yaml

    section = {
        "name": "demand",
        "task": "binary",
        "windows": {"size": "1d", "every": "1h", "lateness": "0s"},
        "predictions": {"type": "files", "path": "log.parquet"},
        **parts,
    }
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [section]}]}, sort_keys=False))
    return load(path).config.models()[0][1]


def seconds(frame: pd.DataFrame) -> Any:
    return frame.timestamp.dt.tz_localize("UTC").map(lambda moment: moment.timestamp()).to_numpy()


def as_event(row: dict[str, Any], features: tuple[str, ...] = FEATURES) -> NewEvent:
    held = {name: None if pd.isna(row[name]) else row[name] for name in features}
    body = json.loads(json.dumps({"features": held, "said": row["prediction"], "score": row.get("probability")}))
    time = row["timestamp"].tz_localize("UTC").timestamp()
    return NewEvent(row["event_id"], time, row["model_version"], body["features"], body["said"], body["score"])


def push(store: Store, made: pd.DataFrame, features: tuple[str, ...] = FEATURES) -> None:
    rows = [as_event(row, features) for row in made.to_dict("records")]
    store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=START))


def push_labels(store: Store, rows: list[tuple[str, Any, float | None]], received: float = START) -> None:
    labels = [NewLabel(name, time, json.loads(json.dumps(value))) for name, value, time in rows]
    store.write(lambda c: events.add_labels(c, "shop", "demand", labels, received=received))


@contextmanager
def source(kind: str, folder: Path, watched: Model, made: pd.DataFrame) -> Iterator[EventSource]:
    """These predictions behind a source: in one file, in several, as text, or pushed."""
    if kind == "ingest":
        with opened(folder / "data") as store:
            push(store, made)
            yield IngestSource(store, "shop", "demand", bucket_seconds=bucket_seconds(watched.windows))
        return
    if kind == "csv":
        made.to_csv(folder / "log.csv", index=False)
        watched = model(folder, **_parts(watched), predictions={"type": "files", "path": "log.csv"})
    elif kind == "several":
        for number, part in enumerate(np.array_split(np.arange(len(made)), 3)):
            made.iloc[part].to_parquet(folder / f"part-{number}.parquet", row_group_size=50)
        watched = model(folder, **_parts(watched), predictions={"type": "files", "path": "part-*.parquet"})
    else:
        made.to_parquet(folder / "log.parquet", row_group_size=70)
    yield open_source(watched.predictions, watched.labels, watched, folder)


def _parts(watched: Model) -> dict[str, Any]:
    return {"task": watched.task, "columns": watched.columns.model_dump()}


KINDS = ["parquet", "several", "csv", "ingest"]
