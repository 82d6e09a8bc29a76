"""Small histories in files, hour by hour, whose every finding and alert can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from monitor.alert.rules import RULES
from monitor.config import Loaded, load
from monitor.records import instant, iso

START = instant("2026-01-05T00:00:00Z")
HOUR = 3600.0
ROWS = 20


@dataclass(frozen=True)
class Hour:
    """Twenty predictions three minutes apart, each wrong by `error`; the labels come `late` seconds after the event."""

    error: float
    version: str = "v1"
    late: float = 60.0


def at(hours: float) -> str:
    """So many hours after the start."""
    return iso(START + hours * HOUR)


def write_history(folder: Path, hours: Sequence[Hour | float | None], *, name: str = "demand") -> None:
    """The files of a model: one hour after the other, None for one without predictions."""
    rows: dict[str, list[Any]] = {key: [] for key in ("event_id", "timestamp", "model_version", "temp", "prediction")}
    labels: dict[str, list[Any]] = {"event_id": [], "label": [], "label_timestamp": []}
    for number, given in enumerate(hours):
        hour = Hour(given) if isinstance(given, int | float) else given
        for place in range(ROWS if hour else 0):
            time = START + number * HOUR + place * 180
            identity = f"{number}-{place}"
            for key, value in zip(rows, (identity, time, hour.version, place / ROWS, 100.0), strict=True):
                rows[key].append(value)
            for key, value in zip(labels, (identity, 100.0 + hour.error, time + hour.late), strict=True):
                labels[key].append(value)
    pq.write_table(pa.table(rows), folder / f"{name}-predictions.parquet")
    pq.write_table(pa.table(labels), folder / f"{name}-labels.parquet")


def files_model(name: str = "demand", **changes: Any) -> dict[str, Any]:
    """A model on these files: hourly windows, and a mean absolute error of at most 5."""
    model = {
        "name": name,
        "task": "regression",
        "predictions": {"type": "files", "path": f"{name}-predictions.parquet"},
        "labels": {"type": "files", "path": f"{name}-labels.parquet", "mature": "0s"},
        "windows": {"size": "1h", "lateness": "0s"},
        "checks": {"performance": {"metrics": ["mae"], "thresholds": {"mae": 5}, "min_labels": 10}},
    }
    return {**model, **changes}


def retraining(**changes: Any) -> dict[str, Any]:
    """A retraining whose guards are out of the way, but for those that are given."""
    guards = {"min_labels": 0, "cooldown": "1h", "per_day": 9, **changes.pop("guards", {})}
    trigger = {"type": "webhook", "url": "http://127.0.0.1:9/"}
    return {"guards": guards, "trigger": trigger, "follow": {"timeout": "2h"}, **changes}


def write_config(folder: Path, *models: dict[str, Any], name: str = "anchorwatch.yml", **sections: Any) -> Path:
    """A configuration of an app with these models."""
    path = folder / name
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": list(models)}], **sections}), encoding="utf-8")
    return path


def configured(folder: Path, *models: dict[str, Any], **sections: Any) -> Loaded:
    return load(write_config(folder, *models, **sections), rules=[rule.name for rule in RULES])
