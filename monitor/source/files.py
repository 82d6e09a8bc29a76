"""Predictions, labels and references in Parquet, CSV or JSON files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from monitor.config import Model, PluginSpec
from monitor.options import Options as _Options
from monitor.profile import Profile, Reference, merge, profile_batch
from monitor.records import (
    UNVERSIONED,
    Column,
    ColumnKind,
    EventBatch,
    LabelledBatch,
    ObjectArray,
    Window,
    fingerprint,
)
from monitor.source import ReferenceFor, SourceError
from monitor.source._paths import matching_files
from monitor.source._values import category, column, objects, outcomes

ROLES = frozenset({"reference", "predictions", "labels"})
HEAVY = True

_NUMERIC = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL|REAL)")
_CATEGORICAL = re.compile(r"(VARCHAR|BOOLEAN|ENUM|UUID)")


class Options(_Options):
    """Files by path, glob or folder; `where` is an SQL condition on their rows.

    `versions`, for a reference, is a path with `{version}` in it: where that file exists, the version is judged against
    its own reference.
    """

    path: str = Field(min_length=1)
    where: str | None = None
    versions: str | None = None


def reference_key(options: Options, directory: Path) -> str:
    """What a reference read from these files is known by: it changes when the files do.

    Raises:
        SourceError: there are no such files.
    """
    stats = [(str(file), file.stat()) for file in matching_files(options.path, directory)]
    return fingerprint(options.where or "", *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats))


def for_version(options: Options, version: str, directory: Path) -> Options | None:
    """The options of a version's own reference, None where it has none."""
    # A version is a stranger's text: only plain names are ever made part of a path.
    if options.versions is None or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", version):
        return None
    path = options.versions.replace("{version}", version)
    return options.replace(path=path) if (directory / path).is_file() else None


def read_reference(
    options: Options, model: Model, directory: Path
) -> tuple[EventBatch, tuple[Column, ...], str | None]:
    """The rows of a reference, its columns, and the version it belongs to where all its rows name one.

    Raises:
        SourceError: the files cannot be read, or lack a declared feature.
    """
    from monitor.source._duck import Table, quoted

    table = Table(options.path, options.where, directory)
    try:
        columns = _columns(table.columns, model, options.where or "")
        for feature in columns:
            table.require(feature.name, f"features.{feature.name}")
        names = ", ".join([*(quoted(feature.name) for feature in columns), _version_sql(table, model)])
        values: dict[str, list[Any]] = {feature.name: [] for feature in columns}
        versions: set[str] = set()
        for batch in table.batches(f"SELECT {names} FROM {table.relation}"):
            versions.update(set(batch.column(batch.num_columns - 1).unique().to_pylist()))
            for place, feature in enumerate(columns):
                values[feature.name].append(_array(batch.column(place), feature.kind))
        return _whole(values, columns), columns, versions.pop() if len(versions) == 1 else None
    finally:
        table.close()


def _whole(values: dict[str, list[Any]], columns: tuple[Column, ...]) -> EventBatch:
    features, invalid = {}, {}
    for feature in columns:
        parts = values[feature.name]
        empty = np.empty(0, dtype=np.float64 if feature.kind is ColumnKind.NUMERIC else object)
        features[feature.name] = np.concatenate([part for part, _ in parts]) if parts else empty
        invalid[feature.name] = sum(count for _, count in parts)
    rows = max((len(values) for values in features.values()), default=0)
    return EventBatch("", np.zeros(rows), features, invalid=invalid)


def _columns(kinds: Mapping[str, str], model: Model, where: str) -> tuple[Column, ...]:
    """The features: those declared, or every column of the reference that has no other part to play."""
    declared = model.features or {}
    said = set(re.findall(r"\w+", re.sub(r"'[^']*'", "", where)))
    names = list(declared) or [name for name in kinds if name not in model.columns.names() | said]
    found = []
    for name in names:
        kind = (declared[name].type if name in declared else None) or _kind(kinds.get(name, ""))
        if kind is not None:
            found.append(Column(name, kind, declared[name].importance if name in declared else None))
        elif name in declared:
            raise SourceError(
                f"features.{name}: expected numbers, text or truth values, got {kinds.get(name, 'nothing')}"
            )
    return tuple(found)


def _kind(sql_type: str) -> ColumnKind | None:
    if _NUMERIC.match(sql_type):
        return ColumnKind.NUMERIC
    return ColumnKind.CATEGORICAL if _CATEGORICAL.match(sql_type) else None


def _array(arrow: Any, kind: ColumnKind) -> tuple[Any, int]:
    """An Arrow column as the array of its kind, and how many values were no number where one was due."""
    import pyarrow as pa

    if kind is ColumnKind.NUMERIC:
        if pa.types.is_integer(arrow.type) or pa.types.is_floating(arrow.type) or pa.types.is_decimal(arrow.type):
            return np.asarray(arrow.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64), 0
        return column(arrow.to_pylist(), kind)
    # Few values repeat often: spell each once.
    coded = arrow.dictionary_encode()
    names = objects([*(category(value) for value in coded.dictionary.to_pylist()), None])
    return names[coded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)], 0


def _version_sql(table: Any, model: Model) -> str:
    from monitor.source._duck import quoted

    name = model.columns.version
    if name not in table.columns:
        return f"'{UNVERSIONED}' AS version"
    return f"coalesce(CAST({quoted(name)} AS VARCHAR), '{UNVERSIONED}') AS version"


class FilesSource:
    """One model's predictions and labels, read from files anew at each look, so that what was added is seen."""

    def __init__(self, predictions: Options, labels: Options | None, model: Model, directory: Path) -> None:
        self.predictions, self.labels, self.model, self.directory = predictions, labels, model, directory

    def _open(self) -> Any:
        from monitor.source._duck import Table

        table = Table(self.predictions.path, self.predictions.where, self.directory)
        table.require(self.model.columns.id, "columns.id")
        return table

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant.

        Raises:
            SourceError: the files cannot be read.
        """
        table = self._open()
        try:
            seconds = table.seconds(self.model.columns.timestamp, "columns.timestamp")
            row = table.run(f"SELECT max(t) FROM (SELECT {seconds} AS t FROM {table.relation}) WHERE t < ?", [before])
            found = row.fetchone()[0]
            return None if found is None else float(found)
        finally:
            table.close()

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        """The profile of a window by version.

        Raises:
            SourceError: the files cannot be read.
        """
        table = self._open()
        try:
            parts: dict[str, list[Profile]] = {}
            for version, rows in self._versions(table, window).items():
                reference = references(version)
                for batch in self._events(table, window, version, reference) if rows else ():
                    profile = profile_batch(batch, reference.bins if reference else {})
                    parts.setdefault(version, []).append(profile)
            return {version: whole for version, found in parts.items() if (whole := merge(found)) is not None}
        finally:
            table.close()

    def _in_window(self, table: Any) -> str:
        seconds = table.seconds(self.model.columns.timestamp, "columns.timestamp")
        version = _version_sql(table, self.model)
        return (
            f"(SELECT *, {seconds} AS __time, {version.replace(' AS version', '')} AS __version FROM {table.relation})"
        )

    def _versions(self, table: Any, window: Window) -> dict[str, int]:
        sql = f"SELECT __version, count(*) FROM {self._in_window(table)} WHERE __time >= ? AND __time < ? GROUP BY 1"
        return dict(table.run(sql, [window.start, window.end]).fetchall())

    def _events(self, table: Any, window: Window, version: str, reference: Reference | None) -> Iterator[EventBatch]:
        from monitor.source._duck import quoted

        columns = [c for c in reference.columns if c.name in reference.bins] if reference else []
        here = [column.name for column in columns if column.name in table.columns]
        selected = ", ".join(["__time", *(quoted(name) for name in here)])
        sql = f"SELECT {selected} FROM {self._in_window(table)} WHERE __time >= ? AND __time < ? AND __version = ?"
        for arrow in table.batches(sql, [window.start, window.end, version]):
            features, absent, invalid = {}, {}, {}
            for feature in columns:
                if feature.name in here:
                    values, wrong = _array(arrow.column(here.index(feature.name) + 1), feature.kind)
                    features[feature.name], invalid[feature.name] = values, wrong
                else:
                    features[feature.name] = _nothing(arrow.num_rows, feature.kind)
                    absent[feature.name] = arrow.num_rows
            if arrow.num_rows:
                times = np.asarray(arrow.column(0).to_numpy(zero_copy_only=False), dtype=np.float64)
                yield EventBatch(version, times, features, absent, invalid)

    def labelled(self, window: Window, *, numeric: bool) -> Iterator[LabelledBatch]:
        """The window's predictions whose label is in the label files; the first label of an id stands.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._duck import quoted

        if self.labels is None:
            return
        table = self._open()
        try:
            names = self.model.columns
            relation, columns = table.attach(self.labels.path, self.labels.where, self.directory)
            label = table.require(names.label, "columns.label", columns)
            key = table.require(names.id, "columns.id", columns)
            prediction = table.require(names.prediction, "columns.prediction")
            first = f"first({label})"
            if names.label_timestamp in columns:
                first = f"arg_min({label}, {quoted(names.label_timestamp)})"
            sql = (
                f"SELECT p.__time, p.__version, p.{prediction}, l.label FROM {self._in_window(table)} p"
                f" JOIN (SELECT CAST({key} AS VARCHAR) AS id, {first} AS label FROM {relation} GROUP BY 1) l"
                f" ON CAST(p.{quoted(names.id)} AS VARCHAR) = l.id"
                f" WHERE __time >= ? AND __time < ? AND l.label IS NOT NULL AND p.{prediction} IS NOT NULL"
            )
            for arrow in table.batches(sql, [window.start, window.end]):
                times, versions, said, true = (arrow.column(place).to_pylist() for place in range(4))
                yield LabelledBatch(
                    np.array(times, dtype=np.float64),
                    objects(versions),
                    outcomes(said, numeric=numeric),
                    outcomes(true, numeric=numeric),
                )
        finally:
            table.close()


def _nothing(rows: int, kind: ColumnKind) -> Any:
    if kind is ColumnKind.NUMERIC:
        return np.full(rows, np.nan)
    nothing: ObjectArray = np.empty(rows, dtype=object)
    return nothing


def open_source(predictions: PluginSpec, labels: PluginSpec | None, model: Model, directory: Path) -> FilesSource:
    """The source of a model whose predictions are files; without label files it has no labels."""
    return FilesSource(predictions.options, labels.options if labels else None, model, directory)  # type: ignore[arg-type]
