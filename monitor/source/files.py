"""Predictions, labels and references in Parquet, CSV or JSON files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from monitor.config import Model, PluginSpec
from monitor.options import Options as _Options
from monitor.profile import Cutter, Profile, Reference
from monitor.profile.reference import ReferenceBuilder
from monitor.records import Column, EventBatch, LabelledBatch, NoData, Role, Window, fingerprint
from monitor.source import Match, ReferenceFor, SourceError
from monitor.source._paths import matching_files
from monitor.windows import window_seconds

if TYPE_CHECKING:
    from monitor.source._table import Table

ROLES = frozenset({"reference", "predictions", "labels"})
HEAVY = True
HELD_BYTES = 64 << 20  # columns of so many bytes are kept between the two readings of a reference


class Options(_Options):
    """Files by path, glob or folder; `where` is an SQL condition on their rows.

    `versions`, for a reference, is a path with `{version}` in it: where that file exists, the version is judged against
    its own reference. `match` names what a window's rows are matched with a reference's by.
    """

    path: str = Field(min_length=1)
    where: str | None = None
    versions: str | None = None
    match: Match = ()


def reference_key(options: Options, directory: Path) -> str:
    """What a reference read from these files is known by: it changes when the files do.

    Raises:
        SourceError: there are no such files.
    """
    stats = [(str(file), file.stat()) for file in matching_files(options.path, directory)]
    files = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    return fingerprint(options.where or "", *files, *options.match)


def for_version(options: Options, version: str, directory: Path) -> Options | None:
    """The options of a version's own reference, None where it has none."""
    # A version is a stranger's text: only plain names are ever made part of a path.
    if options.versions is None or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", version):
        return None
    path = options.versions.replace("{version}", version)
    return options.replace(path=path) if (directory / path).is_file() else None


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
    from monitor.source._building import add_columns, joined_labels, placed, survey
    from monitor.source._columns import reference_columns, written_name
    from monitor.source._table import open_table, require

    with closing(open_table(options.path, options.where, directory)) as table:
        columns = reference_columns(table.types, model, options.where or "")
        there = [column for column in columns if written_name(column, model.columns) in table.types]
        for column in columns:
            if column.role is Role.FEATURE:
                require(table, column.name, f"features.{column.name}")
        time = model.columns.timestamp if model.columns.timestamp in table.types else None
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

    with closing(open_table(options.path, options.where, directory)) as table:
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
        yield from labelled_rows(options, model, directory, numeric=numeric, columns=columns, beside_labels=True)


class FilesSource:
    """One model's predictions and labels, read from files anew at each look, so that what was added is seen."""

    def __init__(self, predictions: Options, labels: Options | None, model: Model, directory: Path) -> None:
        self.predictions, self.labels, self.model, self.directory = predictions, labels, model, directory

    def _open(self) -> Table:
        from monitor.source._table import open_table, require

        table = open_table(self.predictions.path, self.predictions.where, self.directory)
        try:
            require(table, self.model.columns.id, "columns.id")
            require(table, self.model.columns.timestamp, "columns.timestamp")
        except SourceError:
            table.close()
            raise
        return table

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant.

        Raises:
            SourceError: the files cannot be read.
        """
        newest = -math.inf
        with closing(self._open()) as table:
            for piece in table.read([], time=self.model.columns.timestamp):
                assert piece.times is not None  # they were asked for
                newest = max(newest, float(piece.times[piece.times < before].max(initial=-math.inf)))
        return None if newest == -math.inf else newest

    def oldest_event(self) -> float | None:
        """The oldest event time that is there.

        Raises:
            SourceError: the files cannot be read.
        """
        oldest = math.inf
        with closing(self._open()) as table:
            for piece in table.read([], time=self.model.columns.timestamp):
                assert piece.times is not None  # they were asked for
                oldest = min(oldest, float(np.nanmin(piece.times, initial=math.inf)))
        return None if oldest == math.inf else oldest

    def columns(self, window: Window, model: Model) -> tuple[Column, ...]:  # noqa: ARG002 - files have them at any time
        """The columns that the files have, but for the label.

        Raises:
            SourceError: the files cannot be read, or lack a declared feature.
        """
        from monitor.source._columns import reference_columns

        with closing(self._open()) as table:
            found = reference_columns(table.types, model, self.predictions.where or "")
        return tuple(column for column in found if column.role is not Role.LABEL)

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        """The profile of a window by version.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._window import profiles

        with closing(self._open()) as table:
            return profiles(table, self.model, window, references)

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        """Give a cutter all rows of a span, of every version that shares the cutter's bins.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._window import cut

        with closing(self._open()) as table:
            cut(table, self.model, span, references, cutter)

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        """Raw rows of a window by version, in order of event time: at most `limit` of each, evenly spread over the window.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._window import rows

        with closing(self._open()) as table:
            return rows(table, self.model, window, columns, limit=limit)

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        """The window's predictions whose label is in the label files by an instant; the first label of an id stands.

        Where labels have no time of their own, they have always been there.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._joined import labelled_rows

        if self.labels is None:
            return
        yield from labelled_rows(
            self.predictions,
            self.model,
            self.directory,
            numeric=numeric,
            columns=columns,
            window=window,
            known_by=known_by,
        )


def open_source(predictions: PluginSpec, labels: PluginSpec | None, model: Model, directory: Path) -> FilesSource:
    """The source of a model whose predictions are files; without label files it has no labels."""
    return FilesSource(predictions.options, labels.options if labels else None, model, directory)  # type: ignore[arg-type]
