"""The rows of a query that are of wanted ids, in memory, to be read as those of files are."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from monitor.options import Secret
from monitor.records import instant
from monitor.source import SourceError
from monitor.source._chosen import Chosen
from monitor.source._database import Database, read_rows
from monitor.source._table import CHUNK_ROWS, Piece
from monitor.source._values import category
from monitor.source._wire import wire_value

TIMEOUT_SECONDS = 600.0


class QueriedTable:
    """Rows of a query as a table. What is not of a wanted id is never held."""

    by_column = False

    def __init__(self, options: Any, directory: Path, *, name: str, wanted: Collection[str]) -> None:
        """Read the rows.

        Args:
            options: the `url` and the `query`.
            directory: where relative paths start.
            name: the column with the id.
            wanted: ids as they are spelled in the store.

        Raises:
            SourceError: the database does not answer, or does not take the query, or it has no ids.
        """
        self.chosen = Chosen("query", "", [])
        self.files = self.chosen.files
        query = SimpleNamespace(url=_rebased(options.url, directory), query=options.query)
        database = Database(query, directory, timeout_seconds=TIMEOUT_SECONDS)
        try:
            self._held: dict[str, list[Any]] = {column: [] for column in database.columns()}
        finally:
            database.close()
        if name in self._held:
            for piece in read_rows(query, directory, timeout_seconds=TIMEOUT_SECONDS):
                self._keep(piece, name, wanted)
        self._arrays = {column: _array(values) for column, values in self._held.items()}
        self.types: Mapping[str, Any] = {column: array.type for column, array in self._arrays.items()}

    def _keep(self, piece: list[dict[str, Any]], name: str, wanted: Collection[str]) -> None:
        for row in piece:
            if category(_plain(row[name])) in wanted:
                for column, value in row.items():
                    self._held[column].append(value)

    @property
    def rows(self) -> int:
        """How many there are."""
        return max((len(values) for values in self._held.values()), default=0)

    def prune(self, time: str, start: float, end: float) -> None:
        """They are in memory already."""

    def read(self, names: Sequence[str], *, time: str | None = None, chunk_rows: int = CHUNK_ROWS) -> Iterator[Piece]:
        """Columns, all rows of them, in pieces.

        Raises:
            SourceError: there is something else than times among the times.
        """
        times = None if time is None else np.array([_seconds(value, time) for value in self._held[time]])
        for start in range(0, self.rows, chunk_rows):
            end = min(start + chunk_rows, self.rows)
            columns = [self._arrays[name].slice(start, end - start) for name in names]
            yield Piece(end - start, None if times is None else times[start:end], columns)

    def close(self) -> None:
        """Nothing is held but memory."""


def _rebased(secret: Secret, directory: Path) -> Secret:
    return secret if secret.path is None else Secret(path=directory / secret.path)


def _plain(value: Any) -> Any:
    """A value as JSON has it; one that JSON has no value for, such as a number beyond all floats, is missing."""
    found = wire_value(value)
    return None if isinstance(found, msgspec.Raw) else found


def _array(values: list[Any]) -> Any:
    import pyarrow as pa

    plain = [_plain(value) for value in values]
    try:
        return pa.array(plain)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # of several types: then as names
        return pa.array([category(value) for value in plain], pa.string())


def _seconds(value: Any, name: str) -> float:
    try:
        if value is None:
            return math.nan
        if isinstance(value, str):
            return instant(value)
        if isinstance(value, date):
            whole = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
            return (whole if whole.tzinfo else whole.replace(tzinfo=UTC)).timestamp()
        return float(value)
    except (TypeError, ValueError):
        raise SourceError(f"query: expected times in {name}, got {type(value).__name__}") from None
