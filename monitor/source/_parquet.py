"""Parquet files by PyArrow, column by column; a condition on their rows is judged by DuckDB."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from monitor.records import ColumnKind, FloatArray
from monitor.source import SourceError
from monitor.source._arrow import floats, is_written_time, kind_of, mask, seconds_of, truths
from monitor.source._bytes import Reading
from monitor.source._chosen import PARQUET, Chosen
from monitor.source._footers import ends_of, footer, is_content
from monitor.source._index import Entry
from monitor.source._left_out import CannotRead, Reason, changed
from monitor.source._paths import File, on_disk
from monitor.source._table import CHUNK_ROWS, Piece

BUFFER_BYTES = 1 << 20  # read from the disk at a time: without it a whole row group is held, compressed
FAR_BUFFER_BYTES = 8 << 20  # from far away, where each reading has to wait for the way there and back


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group: its file, its number in there, and its rows."""

    file: int
    number: int
    rows: int


class ParquetTable:
    """The rows of Parquet files, narrowed by a condition.

    Args:
        files: which, where nobody has chosen them.
        where: an SQL condition.
        chosen: the files to read among those that there are.
    """

    by_column = True

    def __init__(self, files: Sequence[File | Path], where: str | None, *, chosen: Chosen | None = None) -> None:
        plain = [on_disk(file) if isinstance(file, Path) else file for file in files]
        self.chosen = chosen or Chosen("", PARQUET, plain, total=len(plain))
        self.files, self._name = self.chosen.files, self.chosen.name
        self._metadata = [footer(file) for file in self.files]
        schemas = [{field.name: field.type for field in found.schema.to_arrow_schema()} for found in self._metadata]
        self._schemas = schemas
        told = self.chosen.partitions.items()
        self._partitions = {name: kind for name, kind in told if name in self.chosen.named}
        known = self.chosen.types if self.chosen.types is not None else merged(schemas)
        self.types: Mapping[str, Any] = {
            **known,
            **{name: kind for name, kind in self._partitions.items() if name not in known},
        }
        self._groups = [
            _Group(place, number, found.row_group(number).num_rows)
            for place, found in enumerate(self._metadata)
            for number in range(found.num_row_groups)
        ]
        self._kept: Any = None if where is None else self._condition(where)
        self._times: FloatArray | None = None

    def _condition(self, where: str) -> Any:
        from monitor.source._sql import evaluated

        found = [truths(piece) for piece in evaluated(self.chosen, f"coalesce(({where}), false)")]
        kept = np.concatenate(found) if found else np.zeros(0, dtype=bool)
        expected = sum(group.rows for group in self._groups)
        if len(kept) != expected:
            problem = f"{self._name}: expected {expected} rows, got {len(kept)}: the files were changed"
            raise changed(self.files) or SourceError(problem)
        return kept

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(group.rows for group in self._groups) if self._kept is None else int(self._kept.sum())

    def _is_written(self, time: str) -> bool:
        """Whether times are text, in some file at least."""
        return any(is_written_time(schema[time]) for schema in self._schemas if time in schema)

    def prune(self, time: str, start: float, end: float) -> None:
        """Leave out the row groups that say of themselves that they have no row in `[start, end)`."""
        if self._is_written(time):  # they are read all at once
            return
        held = [self._may_hold(group, time, start, end) for group in self._groups]
        if self._kept is not None:
            rows = np.repeat(held, np.array([group.rows for group in self._groups], dtype=np.int64))
            self._kept = self._kept[rows.astype(bool)]
        self._groups = [group for group, holds in zip(self._groups, held, strict=True) if holds]

    def _may_hold(self, group: _Group, time: str, start: float, end: float) -> bool:
        ends = ends_of(self._metadata[group.file].row_group(group.number), time)
        return ends is None or Entry("", 0, *ends).may_hold(start, end)

    def read(self, names: Sequence[str], *, time: str | None = None, chunk_rows: int = CHUNK_ROWS) -> Iterator[Piece]:
        """Columns, all rows of them, in pieces; where a file lacks one, its values are null.

        Raises:
            SourceError: they cannot be read.
        """
        written = time is not None and self._is_written(time)
        if written and self._times is None:
            self._times = self._written_times(time or "")
        wanted = [*names, *([time] if time is not None and not written else [])]
        offset = 0
        for rows, columns in self._chunks(wanted, chunk_rows):
            part = slice(offset, offset + rows)
            offset += rows
            times = seconds_of(columns.pop()) if len(wanted) > len(names) else None
            if written and self._times is not None:
                times = self._times[part]
            if self._kept is None:
                yield Piece(rows, times, columns)
                continue
            kept = self._kept[part]
            held = int(kept.sum())
            if held:
                here = mask(kept)
                yield Piece(held, None if times is None else times[kept], [column.filter(here) for column in columns])

    def _written_times(self, time: str) -> FloatArray:
        from monitor.source._sql import evaluated, quoted, seconds_sql

        found = [floats(piece) for piece in evaluated(self.chosen, seconds_sql(quoted(time), "VARCHAR"))]
        return np.concatenate(found) if found else np.empty(0)

    def _chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[tuple[int, list[Any]]]:
        for place, groups in groupby(self._groups, key=lambda group: group.file):
            numbers = [(group.number, group.rows) for group in groups]
            here = [name for name in dict.fromkeys(names) if name in self._schemas[place]]
            if not here:
                for _, rows in numbers:
                    for start in range(0, rows, chunk_rows):
                        held = min(chunk_rows, rows - start)
                        yield held, [self._same(place, name, held) for name in names]
                continue
            for batch in self._batches(place, [number for number, _ in numbers], here, chunk_rows):
                found = {name: batch.column(name) for name in here}
                rows = batch.num_rows
                yield rows, [found[name] if name in found else self._same(place, name, rows) for name in names]

    def _same(self, place: int, name: str, rows: int) -> Any:
        """A column that does not stand in a file: what its path tells, or nothing."""
        if name not in self._partitions:
            return pa.nulls(rows)
        value = dict(self.files[place].partition).get(name)
        return pa.repeat(pa.scalar(value, self._partitions[name]), rows)

    def _batches(self, place: int, numbers: list[int], names: list[str], chunk_rows: int) -> Iterator[Any]:
        file, types = self.files[place], self._schemas[place]
        coded = [name for name in names if pa.types.is_string(types[name]) or pa.types.is_large_string(types[name])]
        far = file.store is not None
        try:
            with pq.ParquetFile(
                pa.PythonFile(Reading(file, ahead=0), mode="r") if far else file.path,
                metadata=self._metadata[place],
                read_dictionary=coded,
                pre_buffer=False,
                buffer_size=FAR_BUFFER_BYTES if far else BUFFER_BYTES,
            ) as opened:
                yield from opened.iter_batches(chunk_rows, row_groups=numbers, columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            said = getattr(error, "strerror", None) or str(error).splitlines()[0]
            problem = SourceError(f"{file.name}: {said}")
            if isinstance(error, OSError | pa.ArrowInvalid):  # any other is Arrow's own, and no file's
                problem = CannotRead(str(problem), Reason.UNREADABLE, lasting=is_content(error), file=file)
            raise changed([file]) or problem from error

    def close(self) -> None:
        """Nothing is held open between two reads."""


def read_through(file: File) -> None:
    """Read every column of a file, to find out whether that can be done.

    Raises:
        CannotRead: it cannot.
        SourceError: it was changed meanwhile, or holds what is not read here.
    """
    with closing(ParquetTable([file], None)) as table:
        for name in table.types:
            deque(table.read([name]), maxlen=0)


def merged(schemas: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The columns of all files; one that is numbers here and text there is text."""
    found: dict[str, Any] = {}
    for schema in schemas:
        for name, kind in schema.items():
            old = found.get(name)
            if old is None or pa.types.is_null(old) or kind_of(old) is ColumnKind.NUMERIC:
                found[name] = kind if not pa.types.is_null(kind) or old is None else old
    return found
