"""Parquet files by PyArrow, column by column; a condition on their rows is judged by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from monitor.records import ColumnKind, FloatArray
from monitor.source import SourceError
from monitor.source._arrow import floats, is_written_time, kind_of, mask, seconds_of, truths
from monitor.source._table import CHUNK_ROWS, Piece

BUFFER_BYTES = 1 << 20  # read from the disk at a time: without it a whole row group is held, compressed


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group: its file, its number in there, and its rows."""

    file: int
    number: int
    rows: int


class ParquetTable:
    """The rows of Parquet files, narrowed by a condition."""

    by_column = True

    def __init__(self, files: list[Path], where: str | None) -> None:
        self.files = files
        self._metadata = [self._opened(file) for file in files]
        self._schemas = [
            {field.name: field.type for field in found.schema.to_arrow_schema()} for found in self._metadata
        ]
        self.types = _merged(self._schemas)
        self._groups = [
            _Group(place, number, found.row_group(number).num_rows)
            for place, found in enumerate(self._metadata)
            for number in range(found.num_row_groups)
        ]
        self._kept: Any = None if where is None else self._condition(where)
        self._times: FloatArray | None = None

    def _opened(self, file: Path) -> Any:
        try:
            return pq.read_metadata(file)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{file.name}: {str(error).splitlines()[0]}") from error

    def _condition(self, where: str) -> Any:
        from monitor.source._duck import evaluated

        found = [truths(piece) for piece in evaluated(self.files, f"coalesce(({where}), false)")]
        kept = np.concatenate(found) if found else np.zeros(0, dtype=bool)
        expected = sum(group.rows for group in self._groups)
        if len(kept) != expected:
            raise SourceError(
                f"{self.files[0].name}: expected {expected} rows, got {len(kept)}: the files were changed"
            )
        return kept

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(group.rows for group in self._groups) if self._kept is None else int(self._kept.sum())

    def prune(self, time: str, start: float, end: float) -> None:
        """Leave out the row groups that say of themselves that they have no row in `[start, end)`."""
        if self._times is not None:
            return
        held = [self._may_hold(group, time, start, end) for group in self._groups]
        if self._kept is not None:
            rows = np.repeat(held, [group.rows for group in self._groups])
            self._kept = self._kept[rows]
        self._groups = [group for group, holds in zip(self._groups, held, strict=True) if holds]

    def _may_hold(self, group: _Group, time: str, start: float, end: float) -> bool:
        found = self._metadata[group.file].row_group(group.number)
        for place in range(found.num_columns):
            column = found.column(place)
            if column.path_in_schema == time:
                ends = column.statistics if column.is_stats_set else None
                if ends is None or not ends.has_min_max:
                    return True
                first, last = _instant(ends.min), _instant(ends.max)
                # A second to spare: what is written may be finer than what a datetime holds.
                return first is None or last is None or (last >= start - 1 and first < end + 1)
        return True

    def read(self, names: Sequence[str], *, time: str | None = None, chunk_rows: int = CHUNK_ROWS) -> Iterator[Piece]:
        """Columns, all rows of them, in pieces; where a file lacks one, its values are null.

        Raises:
            SourceError: they cannot be read.
        """
        written = time is not None and is_written_time(self.types[time])
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
        from monitor.source._duck import evaluated, quoted, seconds_sql

        found = [floats(piece) for piece in evaluated(self.files, seconds_sql(quoted(time), "VARCHAR"))]
        return np.concatenate(found) if found else np.empty(0)

    def _chunks(self, names: Sequence[str], chunk_rows: int) -> Iterator[tuple[int, list[Any]]]:
        for place, groups in groupby(self._groups, key=lambda group: group.file):
            numbers = [(group.number, group.rows) for group in groups]
            here = [name for name in dict.fromkeys(names) if name in self._schemas[place]]
            if not here:
                for _, rows in numbers:
                    for start in range(0, rows, chunk_rows):
                        held = min(chunk_rows, rows - start)
                        yield held, [pa.nulls(held) for _ in names]
                continue
            for batch in self._batches(place, [number for number, _ in numbers], here, chunk_rows):
                found = {name: batch.column(name) for name in here}
                yield batch.num_rows, [found[name] if name in found else pa.nulls(batch.num_rows) for name in names]

    def _batches(self, place: int, numbers: list[int], names: list[str], chunk_rows: int) -> Iterator[Any]:
        path, types = self.files[place], self._schemas[place]
        coded = [name for name in names if pa.types.is_string(types[name]) or pa.types.is_large_string(types[name])]
        try:
            with pq.ParquetFile(
                path,
                metadata=self._metadata[place],
                read_dictionary=coded,
                pre_buffer=False,
                buffer_size=BUFFER_BYTES,
            ) as file:
                yield from file.iter_batches(chunk_rows, row_groups=numbers, columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{path.name}: {str(error).splitlines()[0]}") from error

    def close(self) -> None:
        """Nothing is held open between two reads."""


def _instant(value: Any) -> float | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _merged(schemas: list[dict[str, Any]]) -> Mapping[str, Any]:
    """The columns of all files; one that is numbers here and text there is text."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        for name, found in schema.items():
            old = merged.get(name)
            if old is None or pa.types.is_null(old) or kind_of(old) is ColumnKind.NUMERIC:
                merged[name] = found if not pa.types.is_null(found) or old is None else old
    return merged
