"""Data that tests of estimation share: made here, or real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from monitor import registry
from monitor.estimate import Metric
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes, NumericOutcomes

CLASSES = ("a", "b", "c")


def metrics(*names: str, **parameters: Any) -> list[Metric]:
    return [Metric(registry.load("statistic", name).STATISTIC, parameters) for name in names]


def overconfident_classes(number: int, seed: int) -> ClassOutcomes:
    """Three classes by a model whose logits are twice what they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.2, (number, 3)) + np.array([0.0, 0.4, -0.6])
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    label = (truth.cumsum(axis=1) < rng.random((number, 1))).sum(axis=1)
    return ClassOutcomes(label, scores.argmax(axis=1), CLASSES, scores)


def uneven_errors(number: int, seed: int, *, shift: float = 0.0) -> tuple[np.ndarray, NumericOutcomes]:
    """A regression that errs more where its first feature is large, and in one of three categories; the first can shift."""
    rng = np.random.default_rng(seed)
    first = np.clip(rng.beta(2, 2, number) + shift, 0, 1)
    second, third = rng.normal(0, 1, number), rng.integers(0, 3, number).astype(np.float64)
    predicted = 50 + 10 * second + 5 * third
    label = predicted + rng.normal(0, 1 + 6 * first**2 + 3 * (third == 2))
    return np.column_stack([first, second, third]), NumericOutcomes(label, predicted)


def binary(frame: Any, label: str, predicted: str, score: str) -> BinaryOutcomes:
    return BinaryOutcomes(
        frame[label].to_numpy() == 1, frame[predicted].to_numpy() == 1, frame[score].to_numpy(dtype=np.float64)
    )


def frame(shared_data: Path, name: str) -> Any:
    import pandas as pd

    return pd.read_parquet(shared_data / name)


def by_month(data: Any) -> Iterator[tuple[str, Any]]:
    import pandas as pd

    for month, rows in data.groupby(pd.to_datetime(data["timestamp"]).dt.strftime("%Y-%m")):
        yield str(month), rows
