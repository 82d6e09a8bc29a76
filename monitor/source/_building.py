"""A reference out of files, one column at a time: 20 million rows of it take no more memory than one of their columns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from monitor.config import Model
from monitor.profile.reference import BINNED, Chunk, Chunks, Covered, ReferenceBuilder
from monitor.profile.tallies import Places
from monitor.records import Column
from monitor.source._arrow import array_of, floats
from monitor.source._columns import has_classes, written_name
from monitor.source._table import Table, open_table
from monitor.source._window import Versions


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a reference before its columns are read; it covers 0 seconds where it has no times."""

    rows: int
    covered: float
    versions: tuple[str, ...]


def survey(table: Table, time: str | None, version: str, *, window_seconds: float) -> Survey:
    """Go through times and versions once."""
    versions, rows = Versions(table, version), 0
    covered = Covered(window_seconds)
    for piece in table.read(versions.read, time=time):
        rows += piece.rows
        versions.of(piece)
        if piece.times is not None:
            covered.add(piece.times)
    return Survey(rows, covered.seconds, tuple(versions.numbers))


def placed(table: Table, time: str | None, builder: ReferenceBuilder) -> Places:
    """Where every row belongs."""
    times = (np.zeros(piece.rows) if piece.times is None else piece.times for piece in table.read([], time=time))
    if builder.by_rows:
        return builder.place(np.concatenate(list(times)))
    return Places.joined([builder.place(some) for some in times])


def add_columns(
    table: Table,
    columns: Sequence[Column],
    model: Model,
    places: Places,
    builder: ReferenceBuilder,
    held_bytes: int,
) -> None:
    """Read columns that the table has, and hand each to the builder."""
    most = 1 if table.by_column else max(held_bytes // (8 * max(len(places), 1)), 1)
    binned = [column for column in columns if column.kind in BINNED]
    for start in range(0, len(binned), most):
        group = binned[start : start + most]
        if 8 * len(places) * len(group) > held_bytes:
            for column in group:
                builder.add(column, partial(_column, table, column, model, places))
            continue
        held: list[list[Chunk]] = [[] for _ in group]
        for chunks in _chunks(table, group, model, places):
            for kept, chunk in zip(held, chunks, strict=True):
                kept.append(chunk)
        for column in group:
            builder.add(column, partial(iter, held.pop(0)))


def _column(table: Table, column: Column, model: Model, places: Places) -> Iterator[Chunk]:
    for (chunk,) in _chunks(table, [column], model, places):
        yield chunk


def _chunks(table: Table, columns: Sequence[Column], model: Model, places: Places) -> Iterator[list[Chunk]]:
    offset = 0
    for piece in table.read([written_name(column, model.columns) for column in columns]):
        here = places[offset : offset + piece.rows]
        offset += piece.rows
        yield [_chunk(array, column, here) for column, array in zip(columns, piece.columns, strict=True)]


def _chunk(array: Any, column: Column, places: Places) -> Chunk:
    values, invalid = array_of(array, column.kind, classes=has_classes(column))
    return Chunk(values, places, invalid)


@contextmanager
def joined_labels(
    options: Any, model: Model, directory: Path, column: Column, places: Places, held_bytes: int
) -> Iterator[Chunks]:
    """The labels of a reference that stand in files of their own, by id; the first label of an id stands.

    The join is made once. What comes of it is kept in memory where it is small, and on the disk where it is not.

    Raises:
        SourceError: they cannot be read.
    """
    from monitor.source._access import access_of
    from monitor.source._duck import DuckTable, first_labels
    from monitor.source._sql import literal, quoted

    access = access_of(options, model)
    # One thread: the rows are numbered as they come.
    with closing(DuckTable(options.path, options.where, directory, threads=1, access=access)) as table:
        labels = first_labels(table, model, directory)
        numbered = f"(SELECT row_number() OVER () - 1 AS row, {quoted(model.columns.id)} AS id FROM {table.relation})"
        sql = f"SELECT p.row, l.label FROM {numbered} p JOIN {labels} l ON CAST(p.id AS VARCHAR) = l.id"
        if 16 * len(places) <= held_bytes:
            held = [_label_chunk(batch.columns, column, places) for batch in table.batches(sql)]
            yield partial(iter, held)
            return
        with tempfile.NamedTemporaryFile(prefix="anchorwatch-", suffix=".parquet") as file:
            table.run(f"COPY ({sql}) TO {literal(file.name)} (FORMAT parquet)")
            table.close()
            kept = open_table(file.name, None, directory)
            yield lambda: (_label_chunk(piece.columns, column, places) for piece in kept.read(["row", "label"]))


def _label_chunk(found: Sequence[Any], column: Column, places: Places) -> Chunk:
    rows, labels = found
    return _chunk(labels, column, places[floats(rows).astype(np.int64)])
