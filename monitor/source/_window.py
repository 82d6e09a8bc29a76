"""What the rows of a window in files come to, by version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.config import Model
from monitor.profile import Bins, ColumnProfile, Cutter, Profile, Reference, profile_column, same_bins
from monitor.profile.seasons import count_cells
from monitor.records import UNVERSIONED, Column, EventBatch, Role, Window
from monitor.source import ReferenceFor
from monitor.source._arrow import array_of, coded, mask, missing
from monitor.source._columns import has_classes, written_name
from monitor.source._sample import sampled, spread_out
from monitor.source._table import Piece, Table, together

BATCH_ROWS = 65_536  # of whole rows


class Versions:
    """The versions that a table's rows name, each with a number, in order of appearance.

    Args:
        table: whose rows they are.
        column: what their column is called; where the table has none, all rows are of one version.
    """

    def __init__(self, table: Table, column: str) -> None:
        self.read: list[str] = [column] if column in table.types else []
        self.numbers: dict[str, int] = {}

    def of(self, piece: Piece) -> NDArray[np.int32]:
        """The version's number of each row of a piece whose last column is the version's."""
        if not self.read:
            return np.full(piece.rows, self._number(UNVERSIONED), dtype=np.int32)
        found = coded(piece.columns[-1], _spelled)
        numbers = [self._number(name) for name in found.names]
        if (found.codes < 0).any():
            numbers.append(self._number(UNVERSIONED))
        return np.array(numbers, dtype=np.int32)[found.codes]

    def _number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


def _spelled(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(slots=True)
class _Seen:
    """What a window holds of one version, before any column is read; `number` is how its rows are marked."""

    number: int
    rows: int = 0
    first: float = np.inf
    last: float = -np.inf
    seasons: dict[int, int] = field(default_factory=dict)

    def add(self, times: Any, reference: Reference | None) -> None:
        self.rows += len(times)
        self.first, self.last = min(self.first, float(times.min())), max(self.last, float(times.max()))
        if reference is not None and reference.match:
            for cell, rows in count_cells(times, reference.match).items():
                self.seasons[cell] = self.seasons.get(cell, 0) + rows


def _marked(table: Table, model: Model, window: Window, references: ReferenceFor) -> tuple[Any, dict[str, _Seen]]:
    """The mark of each row's version, shape (rows,), -1 outside of the window; and what the window holds of each version."""
    table.prune(model.columns.timestamp, window.start, window.end)
    versions = Versions(table, model.columns.version)
    marks: list[Any] = [np.zeros(0, dtype=np.int32)]
    seen: dict[str, _Seen] = {}
    for piece in table.read(versions.read, time=model.columns.timestamp):
        marks.append(np.where(_inside(piece, window), versions.of(piece), -1).astype(np.int32))
        here, names = np.unique(marks[-1][marks[-1] >= 0]), list(versions.numbers)
        for number in here.tolist():
            assert piece.times is not None  # they were asked for
            version = names[number]
            held = seen.setdefault(version, _Seen(number))
            held.add(piece.times[marks[-1] == number], references(version))
    return np.concatenate(marks), seen


def _inside(piece: Piece, window: Window) -> Any:
    assert piece.times is not None  # they were asked for
    return (piece.times >= window.start) & (piece.times < window.end)


def profiles(table: Table, model: Model, window: Window, references: ReferenceFor) -> dict[str, Profile]:
    """The profile of a window by version.

    Raises:
        SourceError: the files cannot be read.
    """
    marks, seen = _marked(table, model, window, references)
    columns = _profiled(table, model, marks, {held.number: references(version) for version, held in seen.items()})
    return {
        version: Profile(held.rows, held.first, held.last, columns[held.number], held.seasons)
        for version, held in seen.items()
    }


def _profiled(
    table: Table, model: Model, marks: Any, references: Mapping[int, Reference | None]
) -> dict[int, dict[str, ColumnProfile]]:
    """The profiles of every version's columns, by its mark."""
    wanted: dict[str, list[tuple[int, Column, Bins]]] = {}
    found: dict[int, dict[str, ColumnProfile]] = {}
    for number, reference in references.items():
        found[number] = {}
        for column, bins in judged(reference):
            name = written_name(column, model.columns)
            absent = 0 if name in table.types else int((marks == number).sum())
            found[number][column.name] = _nothing(bins, absent)
            if not absent:
                wanted.setdefault(name, []).append((number, column, bins))
    for names in together(table, list(wanted)):
        offset = 0
        for piece in table.read(names):
            here = marks[offset : offset + piece.rows]
            offset += piece.rows
            for name, array in zip(names, piece.columns, strict=True):
                for number, column, bins in wanted[name]:
                    found[number][column.name] += _profile(array, here == number, column, bins)
    return found


def judged(reference: Reference | None) -> list[tuple[Column, Bins]]:
    """The columns that a window's rows are profiled on, with their bins; labels come later, and by another way."""
    if reference is None:
        return []
    return [
        (column, reference.bins[column.name])
        for column in reference.columns
        if column.name in reference.bins and column.role is not Role.LABEL
    ]


def _nothing(bins: Bins, absent: int) -> ColumnProfile:
    """The profile of rows that do not carry a column."""
    return ColumnProfile(np.zeros(len(bins), dtype=np.int64), np.zeros(len(bins)), absent, absent)


def _profile(array: Any, rows: Any, column: Column, bins: Bins) -> ColumnProfile:
    if not rows.any():
        return _nothing(bins, 0)
    here = array if rows.all() else array.filter(mask(rows))
    values, invalid = array_of(here, column.kind, classes=has_classes(column))
    return profile_column(values, bins, invalid=invalid)


def cut(table: Table, model: Model, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
    """Give a cutter all rows of a span, of every version that shares its bins.

    Raises:
        SourceError: the files cannot be read.
    """
    _, seen = _marked(table, model, span, references)
    known = {version: references(version) for version in seen}
    sharing = {v: reference for v, reference in known.items() if reference and same_bins(reference.bins, cutter.bins)}
    columns = next(([column for column, _ in judged(reference)] for reference in sharing.values()), [])
    here = [column for column in columns if written_name(column, model.columns) in table.types]
    versions = Versions(table, model.columns.version)
    names = [*(written_name(column, model.columns) for column in here), *versions.read]
    for piece in table.read(names, time=model.columns.timestamp, chunk_rows=BATCH_ROWS):
        numbers, inside = versions.of(piece), _inside(piece, span)
        for version in sharing:
            rows = inside & (numbers == versions.numbers.get(version, -1))
            if rows.any():
                cutter.add(_batch(piece, rows, here, columns))


def _batch(piece: Piece, rows: Any, here: Sequence[Column], columns: Sequence[Column]) -> EventBatch:
    assert piece.times is not None  # they were asked for
    times, kept = piece.times[rows], mask(rows)
    features, absent, invalid = {}, {}, {}
    for column in columns:
        if column in here:
            array = piece.columns[here.index(column)].filter(kept)
            values, wrong = array_of(array, column.kind, classes=has_classes(column))
            features[column.name], invalid[column.name] = values, wrong
        else:
            features[column.name], absent[column.name] = missing(len(times), column.kind), len(times)
    return EventBatch("", times, features, absent, invalid)


def rows(table: Table, model: Model, window: Window, columns: Sequence[Column], *, limit: int) -> dict[str, EventBatch]:
    """Raw rows of a window by version, in order of event time: at most `limit` of each, evenly spread over the window.

    Raises:
        SourceError: the files cannot be read.
    """
    marks, seen = _marked(table, model, window, lambda _: None)
    return {
        version: sampled(
            table,
            model,
            columns,
            spread_out(marks, held.number, limit),
            time=model.columns.timestamp,
            version=version,
        )
        for version, held in seen.items()
    }
