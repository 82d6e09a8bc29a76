"""A model, its reference and its predictions in memory, judged by the real checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monitor.check import References, judge_model
from monitor.config import Model, load
from monitor.profile import Profile, Reference, build_reference, profile_batch
from monitor.records import (
    CheckResult,
    Column,
    ColumnKind,
    EventBatch,
    Finding,
    LabelledBatch,
    Window,
)
from monitor.source import ReferenceFor

HOUR, DAY = 3600.0, 86400.0
WINDOW = Window(1_300_000_000 // DAY * DAY - 7 * DAY, 1_300_000_000 // DAY * DAY)
NOW = WINDOW.end + HOUR
COLUMNS = (Column("temp", ColumnKind.NUMERIC), Column("season", ColumnKind.CATEGORICAL))
TEMP = np.random.default_rng(0).permutation(np.linspace(0, 1, 200))
SEASON = np.array(["spring", "summer"] * 100, dtype=object)


def model(folder: Path, task: str = "regression", **parts: Any) -> Model:
    """A model as the configuration gives it, with these parts of its section."""
    import yaml

    section = {"name": "demand", "task": task, "windows": {"size": "7d", "every": "1d", "lateness": "1h"}, **parts}
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [section]}]}))
    return load(path).config.models()[0][1]


def batch(
    version: str = "1",
    *,
    start: float = 0.0,
    temp: Any = TEMP,
    season: Any = SEASON,
    absent: Mapping[str, int] | None = None,
    invalid: Mapping[str, int] | None = None,
) -> EventBatch:
    """Predictions a minute apart, `start` seconds into the window."""
    times = WINDOW.start + start + 60.0 * np.arange(len(temp))
    return EventBatch(version, times, {"temp": temp, "season": season}, absent or {}, invalid or {})


def reference(rows: EventBatch | None = None) -> Reference:
    return build_reference(
        batch() if rows is None else rows, COLUMNS, fingerprint="normal", version="1", window_seconds=7 * DAY
    )


def labelled(label: Any, prediction: Any, version: str = "1", *, time: float = WINDOW.start) -> LabelledBatch:
    dtype = object if isinstance(label[0], str) else np.float64
    versions = np.full(len(label), version, dtype=object)
    times = np.full(len(label), time)
    return LabelledBatch(times, versions, np.array(prediction, dtype=dtype), np.array(label, dtype=dtype), times)


@dataclass
class MemorySource:
    """A source of predictions that are here already. What is an exception is raised where it is asked for."""

    batches: list[EventBatch] | Exception = field(default_factory=list)
    labels: list[LabelledBatch] | Exception = field(default_factory=list)

    def newest_event(self, before: float) -> float | None:
        raise AssertionError("the window is given; no check asks for the newest event")

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        if isinstance(self.batches, Exception):
            raise self.batches
        found = {}
        for rows in self.batches:
            if len(rows.times) and not window.start <= rows.times[0] < window.end:
                continue
            known = references(rows.version)
            found[rows.version] = profile_batch(rows, known.bins if known else {})
        return found

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        if isinstance(self.labels, Exception):
            raise self.labels
        yield from (rows for rows in self.labels if window.start <= rows.times[0] < window.end)


def judged(
    watched: Model,
    source: MemorySource,
    look_up: Callable[[str], Reference | None] = lambda _: reference(),
    *,
    now: float = NOW,
    window: Window = WINDOW,
    matured: Window | None = None,
) -> dict[str, CheckResult]:
    """The result of every check of the model, by the check's name."""
    results = judge_model("shop", watched, window, source, References(look_up), now=now, matured=matured)
    return {result.check: result for result in results}


def finding(result: CheckResult, statistic: str, feature: str | None = None, version: str | None = "1") -> Finding:
    """The only finding of that statistic, feature and version."""
    about = (statistic, feature, version)
    (found,) = [each for each in result.findings if (each.statistic, each.feature, each.version) == about]
    return found
