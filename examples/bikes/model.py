"""The model of hourly demand: what it is fed, how it is trained, and the versioned artefacts it leaves behind."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from bikes.simulator import AREAS, WEATHERS

CATEGORIES: dict[str, tuple[str, ...]] = {
    "area": AREAS,
    "weekday": ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    "workingday": ("no", "yes"),
    "weather": WEATHERS,
}
NUMBERS = ("hour", "temp", "feels_like", "humidity", "windspeed", "visibility", "cloud_cover", "radiation")
FEATURES = (*CATEGORIES, *NUMBERS)


@dataclass(frozen=True, slots=True)
class Example:
    """One row to learn from: the features as they were served, and the rides that came of it."""

    event_id: str
    timestamp: float
    features: Mapping[str, Any]
    rides: float


@dataclass(frozen=True, slots=True)
class DemandModel:
    """A trained model with its version. It never changes: a new training makes a new one."""

    version: str
    regressor: HistGradientBoostingRegressor
    trained_rows: int
    trained_until: float

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """Expected rides for each row of features; what is missing or unknown takes the trees' missing branch."""
        if not rows:
            return []
        return [round(float(value), 3) for value in self.regressor.predict(encode(rows))]


def encode(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """The features as the matrix (rows x 12) the regressor wants; a missing value or unknown category is NaN.

    >>> encode([{"area": "centre", "hour": 8}])[0, :5]
    array([ 1., nan, nan, nan,  8.])
    """
    return np.array([[_code(name, row.get(name)) for name in FEATURES] for row in rows], dtype=np.float64)


def _code(name: str, value: Any) -> float:
    if name in CATEGORIES:
        return float(CATEGORIES[name].index(value)) if value in CATEGORIES[name] else float("nan")
    return float("nan") if value is None else float(value)


def train(examples: Sequence[Example], version: str) -> tuple[DemandModel, list[float]]:
    """A model fitted on all examples, and what it would have said of each had it not been trained on it.

    The second list (out-of-fold predictions) makes the reference honest: a model flatters its own training rows.

    Raises:
        ValueError: there are too few examples to learn from.
    """
    if len(examples) < 200:
        raise ValueError(f"expected at least 200 examples to train on, got {len(examples)}")
    matrix = encode([example.features for example in examples])
    rides = np.array([example.rides for example in examples], dtype=np.float64)
    honest = cross_val_predict(_regressor(), matrix, rides, cv=KFold(3, shuffle=True, random_state=0))
    fitted = _regressor().fit(matrix, rides)
    newest = max(example.timestamp for example in examples)
    return DemandModel(version, fitted, len(examples), newest), [round(float(value), 3) for value in honest]


def _regressor() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss="poisson",  # rides are counts
        learning_rate=0.12,
        max_iter=150,
        max_leaf_nodes=16,
        min_samples_leaf=15,
        categorical_features=list(range(len(CATEGORIES))),
        early_stopping=False,
        random_state=0,
    )


class Artefacts:
    """The folder where versions live: `models/v1.joblib` to load again, `references/v1.parquet` to be judged against.

    Both are written beside their place and moved into it, so a reader sees a whole file or none.
    """

    def __init__(self, folder: Path) -> None:
        self._models, self._references = folder / "models", folder / "references"
        self._models.mkdir(parents=True, exist_ok=True)
        self._references.mkdir(parents=True, exist_ok=True)

    def reference(self, version: str) -> Path:
        """Where the training rows of a version lie, each with its out-of-fold prediction."""
        return self._references / f"{version}.parquet"

    def save(self, model: DemandModel, examples: Sequence[Example], honest: Sequence[float]) -> None:
        """Keep a version: the reference first, so that whoever sees the version finds what to judge it by."""
        table = reference_table(examples, honest, model.version)
        _write(self.reference(model.version), lambda path: pq.write_table(table, path))
        _write(self._models / f"{model.version}.joblib", lambda path: joblib.dump(model, path))

    def newest(self) -> DemandModel | None:
        """The version deployed last, or None before the first training."""
        found = [(re.fullmatch(r"v(\d+)\.joblib", path.name), path) for path in self._models.iterdir()]
        versions = [(int(match[1]), path) for match, path in found if match]
        return joblib.load(max(versions)[1]) if versions else None


def reference_table(examples: Sequence[Example], honest: Sequence[float], version: str) -> pa.Table:
    """The training rows as Anchorwatch reads a reference: id, time, version, features, prediction and label."""
    times = pa.array([int(example.timestamp * 1e6) for example in examples], pa.timestamp("us", tz="UTC"))
    columns: dict[str, Any] = {"event_id": [example.event_id for example in examples], "timestamp": times}
    columns["model_version"] = [version] * len(examples)
    columns |= {name: [example.features.get(name) for example in examples] for name in FEATURES}
    columns["prediction"] = list(honest)
    columns["label"] = [float(example.rides) for example in examples]
    return pa.table(columns)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    os.close(handle)
    write(Path(name))
    Path(name).replace(path)
