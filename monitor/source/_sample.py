"""Every so manieth row of files, as it stands there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.config import Model
from monitor.records import Column, ColumnKind, EventBatch, FloatArray, IntArray
from monitor.source._arrow import joined, missing, whole_numbers
from monitor.source._columns import has_classes, written_name
from monitor.source._table import CHUNK_ROWS, SMALL_CHUNK_ROWS, Piece, Table, together

LONG = frozenset({ColumnKind.VECTOR, ColumnKind.TEXT})


def spread_out(marks: NDArray[np.int32], mark: int, limit: int) -> IntArray:
    """The places of at most `limit` of the rows with a mark, one in so many, in order.

    Args:
        marks: of every row, shape (n,).
        mark: of those that count.
        limit: how many are wanted at most.

    >>> spread_out(np.array([1, 0, 0, 0, 1, 0], dtype=np.int32), 0, 2).tolist()
    [1, 3]
    """
    rows = int(np.count_nonzero(marks == mark))
    wanted = min(limit, rows)
    parts, before = [np.zeros(0, dtype=np.int64)], 0
    for start in range(0, len(marks), CHUNK_ROWS):
        here = np.flatnonzero(marks[start : start + CHUNK_ROWS] == mark)
        ordinals = before + np.arange(len(here), dtype=np.int64)
        before += len(here)
        parts.append(start + here[ordinals * wanted % max(rows, 1) < wanted])
    return np.concatenate(parts)


def sampled(
    table: Table, model: Model, columns: Sequence[Column], places: IntArray, *, time: str | None, version: str = ""
) -> EventBatch:
    """Some rows of a table, by their places in rising order, put in order of time.

    Raises:
        SourceError: the files cannot be read.
    """
    times = _times(table, time, places)
    order = np.argsort(times, kind="stable")
    names = {column.name: written_name(column, model.columns) for column in columns}
    features, absent, invalid = {}, {}, {}
    for group in together(table, list(dict.fromkeys(name for name in names.values() if name in table.types))):
        here = [column for column in columns if names[column.name] in group]
        chunk_rows = SMALL_CHUNK_ROWS if any(column.kind in LONG for column in here) else CHUNK_ROWS
        found = [piece.columns for piece in _picked(table.read(group, chunk_rows=chunk_rows), places)]
        for column in here:
            arrays = [arrays[group.index(names[column.name])] for arrays in found]
            values, wrong = joined(arrays, column.kind, classes=has_classes(column))
            features[column.name], invalid[column.name] = values[order], wrong
    for column in columns:
        if column.name not in features:
            features[column.name], absent[column.name] = missing(len(places), column.kind), len(places)
    return EventBatch(version, times[order], features, absent, invalid)


def _times(table: Table, time: str | None, places: IntArray) -> FloatArray:
    if time is None:
        return np.zeros(len(places))
    found: list[Any] = [piece.times for piece in _picked(table.read([], time=time), places)]
    return np.concatenate([np.zeros(0), *found])


def _picked(pieces: Iterator[Piece], places: IntArray) -> Iterator[Piece]:
    offset = 0
    for piece in pieces:
        start, end = np.searchsorted(places, [offset, offset + piece.rows])
        if end > start:
            here = places[start:end] - offset
            times, wanted = None if piece.times is None else piece.times[here], whole_numbers(here)
            yield Piece(len(here), times, [column.take(wanted) for column in piece.columns])
        offset += piece.rows
