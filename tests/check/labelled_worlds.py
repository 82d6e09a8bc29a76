"""A model's predictions in memory, whose labels come in time: judged look by look, as the daemon would."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monitor.check import References, judge_model
from monitor.config import Model
from monitor.profile import Profile, Reference
from monitor.records import CheckResult, Column, ColumnKind, EventBatch, LabelledBatch, Role, Window
from monitor.source import SourceError
from monitor.windows import newest_due
from tests.check.judging import model

DAY = 86400.0


@dataclass
class Table:
    """Predictions with their labels, and a source of them.

    `columns` are features and scores (`score/<class>`); `missing` labels never come; `broken` is raised where labels are read.
    """

    times: Any
    predictions: Any
    labels: Any
    columns: Mapping[str, Any] = field(default_factory=dict)
    came: Any = None
    versions: Any = None
    broken: Exception | None = None
    reads: list[Window] = field(default_factory=list)

    def __post_init__(self) -> None:
        number = len(self.times)
        self.came = self.times if self.came is None else self.came
        self.versions = np.full(number, "1", dtype=object) if self.versions is None else self.versions

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: Any) -> Table:
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Table(
            self.times[rows], self.predictions[rows], self.labels[rows], columns, self.came[rows], self.versions[rows]
        )

    # --- what checks ask ----------------------------------------------------------------------------------------------

    def profiles(self, window: Window, _: Any) -> dict[str, Profile]:
        inside = self._inside(window)
        times, versions = self.times[inside], self.versions[inside]
        return {
            version: Profile(len(here), float(here.min()), float(here.max()), {})
            for version in dict.fromkeys(versions.tolist())
            if len(here := times[versions == version])
        }

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> dict[str, EventBatch]:
        found = {}
        for version in self.profiles(window, None):
            rows = np.flatnonzero(self._inside(window) & (self.versions == version))[:limit]
            held = {Role.PREDICTION.value: self.predictions, **self.columns}
            found[version] = EventBatch(version, self.times[rows], {c.name: held[c.name][rows] for c in columns})
        return found

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        if self.broken is not None:
            raise self.broken
        self.reads.append(window)
        rows = np.flatnonzero(self._inside(window) & (self.came <= known_by))
        if len(rows):
            yield LabelledBatch(
                self.times[rows], self.versions[rows], self.predictions[rows], self.labels[rows], self.came[rows],
                {column.name: self.columns[column.name][rows] for column in columns},
            )  # fmt: skip

    def _inside(self, window: Window) -> Any:
        return (self.times >= window.start) & (self.times < window.end)


@dataclass
class World:
    """A model whose reference is a period of its own production, and its looks one after the other.

    Attributes:
        watched: the model.
        table: its predictions.
        features: of the model, as its reference knows them.
        without: versions whose reference cannot be had, and why.
    """

    watched: Model
    table: Table
    features: tuple[Column, ...] = ()
    without: Mapping[str, Exception] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    prepared: dict[Any, Any] = field(default_factory=dict)
    fingerprint: str = "normal"

    def look(self, at: float, *, matured: bool = True) -> dict[str, CheckResult]:
        """The result of every check at an instant, on labels that are known by then; states are kept for the next look."""
        window = newest_due(self.watched.windows, at)
        mature = self.watched.labels.mature
        older = newest_due(self.watched.windows.replace(lateness=max(mature, self.watched.windows.lateness)), at)
        references = References(self._reference, prepared=self.prepared)
        results = judge_model(
            "shop", self.watched, window, self.table, references,  # type: ignore[arg-type]
            now=at, matured=older if matured else None, known_by=at, states=dict(self.states),
        )  # fmt: skip
        self.states |= {result.check: result.state for result in results if result.state is not None}
        return {result.check: result for result in results}

    def _reference(self, version: str) -> Reference | None:
        if version in self.without:
            raise self.without[version]
        return Reference(self.fingerprint, None, len(self.table), self.features, {}, {}, {})


def watched(folder: Path, task: str, check: str, options: Mapping[str, Any], **parts: Any) -> Model:
    """A model with one check; its reference is the first 30 days since 1970."""
    section: dict[str, Any] = {
        "reference": {"type": "window", "start": "1970-01-01", "end": "1970-01-31"},
        "labels": {"type": "ingest", "mature": "2d"},
        "windows": {"size": "1d", "every": "1d", "lateness": "1h"},
        "checks": {check: dict(options)},
    }
    return model(folder, task, **{**section, **parts})


def numeric(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, ColumnKind.NUMERIC) for name in names)


def seconds(times: Any) -> Any:
    """Unix seconds of naive times in a frame's column."""
    return times.to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6


def names(values: Any) -> Any:
    """Classes as they are spelled."""
    return values.to_numpy().astype(int).astype(str).astype(object)


UNREADABLE = SourceError("labels: expected a file, got a folder")
