"""Features as they are recomputed offline, joined with logged predictions by id, and by time where they have one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.config import Model
from monitor.records import Coded, Column, EventBatch, FloatArray, IntArray, ObjectArray
from monitor.source._access import access_of
from monitor.source._arrow import coded, truths
from monitor.source._sample import sampled
from monitor.source._table import Table, open_table, require
from monitor.source._values import category


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The offline row of each prediction that has one.

    Attributes:
        partner: by prediction, whether it has one, shape (n,).
        later: predictions without one whose id has rows of a later time only.
        values: by column, of the predictions that have one, in their order; a column that the files lack is left out.
    """

    partner: NDArray[np.bool_]
    later: int
    values: dict[str, FloatArray | ObjectArray]


def recomputed(
    options: Any, model: Model, directory: Path, ids: Sequence[str | None], times: FloatArray, columns: Sequence[Column]
) -> Recomputed:
    """Join predictions with their offline rows.

    Where they have the model's time column, the row taken is the newest of that id that is not after the prediction: what
    was known then, and never what came later. Of several of one time, and where there are no times, the last one stands.

    Args:
        options: `path` and `where` of the files, or `url` and `query` of a database.
        model: whose columns `id` and `timestamp` they have.
        directory: where relative paths start.
        ids: of the predictions, n of them.
        times: of the predictions, shape (n,).
        columns: what is wanted; only the rows that are joined are read.

    Raises:
        SourceError: they cannot be read, or lack the id.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(ids)) if name is not None}
    with closing(_opened(options, model, directory, numbers)) as table:
        require(table, model.columns.id, "columns.id, which replay joins by")
        time = model.columns.timestamp if model.columns.timestamp in table.types else None
        keys = np.array([numbers.get(name, -1) if name is not None else -1 for name in ids], dtype=np.int64)
        found = _rows_of(table, model.columns.id, time, numbers)
        chosen = latest_before(keys, times, found.keys, found.times)
        partner = chosen >= 0
        places, back = np.unique(found.places[chosen[partner]], return_inverse=True)
        here = [column for column in columns if column.name in table.types]
        batch = sampled(table, model, here, places, time=None)
    later = int((~partner & np.isin(keys, found.keys)).sum())
    return Recomputed(partner, later, {column.name: _values(batch, column.name)[back] for column in here})


def _opened(options: Any, model: Model, directory: Path, wanted: Collection[str]) -> Table:
    if options.type == "sql":
        from monitor.source._queried import QueriedTable

        return QueriedTable(options, directory, name=model.columns.id, wanted=wanted)
    return open_table(options.path, options.where, directory, access_of(options, model))


def _values(batch: EventBatch, name: str) -> FloatArray | ObjectArray:
    values = batch.features[name]
    return values.spelled() if isinstance(values, Coded) else values


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of a table that are of a wanted id: its number, their times (-inf where there are none), their places."""

    keys: IntArray
    times: FloatArray
    places: IntArray


def _rows_of(table: Table, name: str, time: str | None, numbers: dict[str, int]) -> _Found:
    parts, offset = [(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64))], 0
    for piece in table.read([name], time=time):
        held, rows = _wanted(piece.columns[0], numbers)
        known = np.array([*(numbers.get(each, -1) for each in held.names), -1], dtype=np.int64)
        keys = known[held.codes]
        times = np.full(len(rows), -np.inf) if piece.times is None else piece.times[rows]
        fits = (keys >= 0) & ~np.isnan(times)
        parts.append((keys[fits], times[fits], offset + rows[fits]))
        offset += piece.rows
    return _Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _wanted(ids: Any, numbers: dict[str, int]) -> tuple[Coded, IntArray]:
    """The ids of some rows, those of all wanted ids among them, and where these rows are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = ids.dictionary_decode() if pa.types.is_dictionary(ids.type) else ids
    if pa.types.is_integer(plain.type):
        plain = plain.cast(pa.string())
    if not (pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type)):
        return coded(ids, category), np.arange(len(ids), dtype=np.int64)
    # To spell all of them would take longer than all the rest.
    mask = pc.is_in(plain, value_set=pa.array(list(numbers), plain.type))
    return coded(plain.filter(mask), category), np.flatnonzero(truths(mask))


def latest_before(keys: IntArray, times: FloatArray, other_keys: IntArray, other_times: FloatArray) -> IntArray:
    """By row, the place of the newest among other rows of the same key that is not after it; -1 where there is none.

    Args:
        keys: of each row, shape (n,).
        times: of each row, shape (n,).
        other_keys: of the others, shape (m,).
        other_times: of the others, shape (m,); of those with one time, the last one counts.

    >>> latest_before(np.array([7, 7]), np.array([5.0, 1.0]), np.array([7, 7, 7]), np.array([2.0, 5.0, 6.0])).tolist()
    [1, -1]
    """
    rows = len(keys)
    every_key, every_time = np.concatenate([other_keys, keys]), np.concatenate([other_times, times])
    asks = np.arange(len(every_key)) >= len(other_keys)
    order = np.lexsort((asks, every_time, every_key))  # stable: at one time, what answers comes first
    newest = np.maximum.accumulate(np.where(asks[order], -1, np.arange(len(order))))
    answer = np.where(newest >= 0, order[newest], -1)
    fits = (answer >= 0) & (every_key[answer] == every_key[order])
    found = np.full(rows, -1, dtype=np.int64)
    found[order[asks[order]] - len(other_keys)] = np.where(fits, answer, -1)[asks[order]]
    return found
