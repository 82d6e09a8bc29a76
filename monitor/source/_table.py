"""The rows of some files, a few columns at a time: whichever library reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from monitor.records import FloatArray
from monitor.source import SourceError
from monitor.source._access import PLAIN, Access
from monitor.source._catalog import Catalog
from monitor.source._chosen import PARQUET, Chosen
from monitor.source._paths import File

CHUNK_ROWS = 131_072  # of numbers and names: a megabyte a column
SMALL_CHUNK_ROWS = 8_192  # of texts and vectors


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows: their times (Unix seconds) where they were asked for, and their columns as Arrow arrays."""

    rows: int
    times: FloatArray | None
    columns: list[Any]


class Table(Protocol):
    """The rows of some files, narrowed by a condition, always in the same order. Close it when done.

    `by_column` says that each column is best read for itself.
    """

    chosen: Chosen
    files: list[File]
    by_column: bool

    @property
    def types(self) -> Mapping[str, Any]:
        """The Arrow types of its columns."""

    @property
    def rows(self) -> int:
        """How many there are."""

    def prune(self, time: str, start: float, end: float) -> None:
        """Leave out what certainly has no row with its time in `[start, end)`, if that saves reading."""

    def read(self, names: Sequence[str], *, time: str | None = None, chunk_rows: int = CHUNK_ROWS) -> Iterator[Piece]:
        """Columns, all rows of them, in pieces.

        Raises:
            SourceError: they cannot be read.
        """

    def close(self) -> None: ...


def open_table(path: str, where: str | None, directory: Path, access: Access = PLAIN) -> Table:
    """All rows of files: Parquet is read by PyArrow, which is faster and takes less memory, all else by DuckDB.

    Raises:
        SourceError: there are no such files, or they cannot be read.
    """
    return table_of(Catalog(path, directory, access).chosen(), where, directory)


def table_of(chosen: Chosen, where: str | None, directory: Path) -> Table:
    """The rows of files that were chosen.

    Raises:
        SourceError: they cannot be read.
    """
    if chosen.reader == PARQUET:
        from monitor.source._parquet import ParquetTable

        return ParquetTable(chosen.files, where, chosen=chosen)
    from monitor.source._duck import DuckTable

    return DuckTable(chosen.shown, where, directory, chosen=chosen)


def together(table: Table, names: Sequence[str]) -> list[list[str]]:
    """Columns in the groups they are best read in."""
    if table.by_column:
        return [[name] for name in names]
    return [list(names)] if names else []


def require(table: Table, name: str, key: str) -> str:
    """The name of a column that has to be there.

    Raises:
        SourceError: it is not; names the key of the configuration that says so.
    """
    if name not in table.types:
        raise SourceError(
            f"{table.chosen.name}: expected the column {name!r} ({key}), got the columns {', '.join(table.types)}"
        )
    return name
