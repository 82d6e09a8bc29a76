"""Frames as files, and what the check `skew` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from monitor.check import References, judge_model
from monitor.config import Model, StorePlace, load
from monitor.records import CheckResult, Finding, Window
from monitor.source._open import open_events
from monitor.source._reference import read_reference

HOUR, DAY = 3600.0, 86400.0
START = pd.Timestamp("2026-01-05")  # a Monday
WINDOW = Window(START.timestamp() + 28 * DAY, START.timestamp() + 29 * DAY)


def saved(folder: Path, name: str, frame: pd.DataFrame) -> None:
    frame.to_parquet(folder / f"{name}.parquet", index=False)


def spread_over(frame: pd.DataFrame, start: pd.Timestamp, days: float) -> pd.DataFrame:
    """Rows that have no time of their own, evenly over some days, each a prediction."""
    times = start + pd.to_timedelta(np.arange(len(frame)) * days * DAY / len(frame), unit="s")
    return as_events(frame.assign(timestamp=times))


def as_events(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with a time as predictions of one version."""
    ids = [f"e{place}" for place in frame.index]
    return frame.assign(event_id=ids, model_version="1", prediction=0.0)


def configured(folder: Path, check: dict[str, Any] | None = None, **parts: Any) -> Model:
    """A model whose reference and predictions are the files of these names in a folder."""
    model = {
        "name": "demand", "task": "regression", "checks": {"skew": check or {}},
        "windows": {"size": "1d", "every": "1d", "lateness": "1h"},
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions.parquet"},
        **parts,
    }  # fmt: skip
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [model]}]}))
    return load(path).config.models()[0][1]


def judged(folder: Path, model: Model, window: Window = WINDOW) -> CheckResult:
    """The result of the check on one window."""
    source = open_events("shop", model, folder, StorePlace(folder))
    now = window.end + HOUR
    references = References(lambda version: read_reference(model, version, folder, source, now=now), directory=folder)
    (result,) = judge_model("shop", model, window, source, references, now=now)
    return result


def compared(
    folder: Path, reference: pd.DataFrame, current: pd.DataFrame, check: dict[str, Any] | None = None, **parts: Any
) -> CheckResult:
    """The result where these rows are the reference and those the window."""
    saved(folder, "reference", reference)
    saved(folder, "predictions", current)
    return judged(folder, configured(folder, check, **parts), parts.pop("window", WINDOW))


def faults(result: CheckResult) -> dict[str, str]:
    """What is wrong with the schema, by column."""
    found = {each.feature: each.reason for each in schema(result).values() if each.value}
    return {str(name): reason for name, reason in found.items()}


def schema(result: CheckResult) -> dict[str, Finding]:
    return {str(each.feature): each for each in result.findings if each.statistic == "schema"}


def of(result: CheckResult, statistic: str, feature: str | None = None) -> Finding:
    """The only finding of a statistic about a feature."""
    (found,) = [each for each in result.findings if (each.statistic, each.feature) == (statistic, feature)]
    return found
