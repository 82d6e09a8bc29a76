"""Predictions, labels and references in files: Parquet, CSV, JSON lines, Delta tables and the logs of serving systems."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from monitor.config import Model, PluginSpec
from monitor.options import Duration
from monitor.options import Options as _Options
from monitor.profile import Reference
from monitor.profile.reference import ReferenceBuilder
from monitor.records import Column, EventBatch, LabelledBatch, NoData, Role
from monitor.source import Match, SourceError
from monitor.source import _standing as standing
from monitor.source._access import LOGS, access_of
from monitor.source._files import FilesSource
from monitor.source._storage import FilePath, Storage, is_remote
from monitor.windows import window_seconds

ROLES = frozenset({"reference", "predictions", "labels"})
HEAVY = True
HELD_BYTES = 64 << 20  # columns of so many bytes are kept between the two readings of a reference


class Log(_Options):
    """How the records of a serving system are read, where they do not say so themselves."""

    serving_model: str = ""
    id_from: str = ""
    classes: tuple[str, ...] = ()
    prediction: str = ""
    probability: str = ""


class Options(_Options):
    """Files by path, glob or folder, or a Delta table, here or far away; `where` is an SQL condition on their rows.

    `versions`, for a reference, is a path with `{version}` in it: where that file exists, the version is judged against
    its own reference. `match` names what a window's rows are matched with a reference's by.
    """

    path: FilePath
    format: Literal["auto", "parquet", "csv", "jsonl", "delta", "sagemaker", "tf_serving", "mlflow"] = "auto"
    where: str | None = None
    versions: FilePath | None = None
    match: Match = ()
    delta_version: Annotated[int, Field(ge=0)] | None = None
    path_dates: Duration | None = None
    storage: Storage | None = None
    log: Log = Log()

    @model_validator(mode="after")
    def _fits(self) -> Options:
        if self.delta_version is not None and self.format not in ("auto", "delta", "mlflow"):
            raise ValueError(f"expected delta_version beside format: delta, got format: {self.format}")
        if self.storage is not None and not is_remote(self.path) and not is_remote(self.versions or ""):
            raise ValueError("expected storage beside a remote path such as s3://bucket/log/")
        if self.log != Log() and self.format not in LOGS:
            raise ValueError(f"expected log beside format: {', '.join(LOGS)}, got format: {self.format}")
        return self


def reference_key(options: Options, directory: Path) -> str:
    """What a reference read from these files is known by: it changes when the files do.

    Raises:
        SourceError: there are no such files.
    """
    return standing.key(options, directory)


def for_version(options: Options, version: str, directory: Path) -> Options | None:
    """The options of a version's own reference, None where it has none.

    Raises:
        SourceError: it is remote, and cannot be asked for.
    """
    # A version is a stranger's text: only plain names are ever made part of a path.
    if options.versions is None or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", version):
        return None
    own = options.replace(path=options.versions.replace("{version}", version))
    return own if standing.is_there(own, directory) else None


def read_reference(
    options: Options,
    model: Model,
    directory: Path,
    *,
    fingerprint: str,
    version: str | None = None,
    held_bytes: int = HELD_BYTES,
) -> Reference:
    """Read a reference, draw its bins and cut it into stretches, one column at a time.

    Args:
        options: which files.
        model: whose reference it is.
        directory: where relative paths start.
        fingerprint: what the reference is known by.
        version: whose own it is; where it is nobody's, the one that all its rows name, if they do.
        held_bytes: a column is read twice; one that takes more bytes than that is not kept in between.

    Raises:
        SourceError: the files cannot be read, lack a declared feature, or have no time to match by.
        NoData: they have no rows.
    """
    from monitor.source._arrow import is_written_time
    from monitor.source._building import add_columns, joined_labels, placed, survey
    from monitor.source._columns import reference_columns, written_name
    from monitor.source._sql import say_no_times
    from monitor.source._table import open_table, require

    with closing(open_table(options.path, options.where, directory, access_of(options, model))) as table:
        columns = reference_columns(table.types, model, options.where or "")
        there = [column for column in columns if written_name(column, model.columns) in table.types]
        for column in columns:
            if column.role is Role.FEATURE:
                require(table, column.name, f"features.{column.name}")
        time = model.columns.timestamp if model.columns.timestamp in table.types else None
        if time is not None and is_written_time(table.types[time]):
            say_no_times(table.chosen, time)
        if options.match:
            require(table, model.columns.timestamp, "columns.timestamp, which reference.match goes by")
        found = survey(table, time, model.columns.version, window_seconds=window_seconds(model.windows))
        if not found.rows:
            raise NoData("the reference has no rows")
        builder = ReferenceBuilder(
            columns,
            rows=found.rows,
            covered=found.covered,
            window_seconds=window_seconds(model.windows),
            match=options.match,
        )
        places = placed(table, time, builder)
        add_columns(table, there, model, places, builder, held_bytes)
    for column in columns:
        if column not in there:
            try:
                with joined_labels(options, model, directory, column, places, held_bytes) as labels:
                    builder.add(column, labels)
            except SourceError as error:  # labels that cannot be read stop nothing else
                builder.unusable[column.name] = str(error)
    named = found.versions[0] if len(found.versions) == 1 else None
    return builder.reference(fingerprint=fingerprint, version=version or named)


def reference_rows(
    options: Options, model: Model, directory: Path, columns: Sequence[Column], *, limit: int
) -> EventBatch:
    """Raw rows of a reference: at most `limit` of them, evenly spread over its files.

    Raises:
        SourceError: the files cannot be read.
    """
    from monitor.source._sample import sampled, spread_out
    from monitor.source._table import open_table

    with closing(open_table(options.path, options.where, directory, access_of(options, model))) as table:
        places = spread_out(np.zeros(table.rows, dtype=np.int32), 0, limit)
        time = model.columns.timestamp if model.columns.timestamp in table.types else None
        return sampled(table, model, columns, places, time=time)


def reference_outcomes(
    options: Options, model: Model, directory: Path, columns: Sequence[Column], *, numeric: bool
) -> Iterator[LabelledBatch]:
    """The rows of a reference that have a label: in its own files, or by id in those of the model's labels.

    Raises:
        SourceError: the files cannot be read.
    """
    from monitor.source._joined import has_outcomes, labelled_rows

    if has_outcomes(options, model, directory):
        yield from labelled_rows(options, model, directory, numeric=numeric, columns=columns)


def open_source(predictions: PluginSpec, labels: PluginSpec | None, model: Model, directory: Path) -> FilesSource:
    """The source of a model whose predictions are files; without label files it has no labels."""
    return FilesSource(predictions.options, labels.options if labels else None, model, directory)
