"""Reading Parquet, CSV and JSON files with DuckDB, within a memory limit and off the interpreter lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from monitor.source import SourceError
from monitor.source._paths import READERS, matching_files

MEMORY = "512MB"
BATCH_ROWS = 100_000


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string for SQL."""
    return "'" + text.replace("'", "''") + "'"


class Table:
    """The rows of some files, narrowed by a condition. Close it when done."""

    def __init__(self, path: str, where: str | None, directory: Path) -> None:
        self.files = matching_files(path, directory)
        self.connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": MEMORY,
                "threads": 2,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
            },
        )
        self.connection.execute("SET TimeZone = 'UTC'")
        self.relation = self._relation(self.files, where)
        self.columns = self._describe(self.relation)

    def _relation(self, files: list[Path], where: str | None) -> str:
        listed = ", ".join(literal(str(file)) for file in files)
        call = f"{READERS[files[0].suffix]}([{listed}], union_by_name=true)"
        return f"(SELECT * FROM {call} WHERE {where})" if where else f"(SELECT * FROM {call})"

    def _describe(self, relation: str) -> dict[str, str]:
        rows = self.run(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        return {name: kind for name, kind, *_ in rows}

    def attach(self, path: str, where: str | None, directory: Path) -> tuple[str, dict[str, str]]:
        """Other files as a relation of the same connection, and its columns."""
        relation = self._relation(matching_files(path, directory), where)
        return relation, self._describe(relation)

    def require(self, name: str, key: str, columns: dict[str, str] | None = None) -> str:
        """The quoted name of a column that has to be there.

        Raises:
            SourceError: it is not; names the key of the configuration that says so.
        """
        have = self.columns if columns is None else columns
        if name not in have:
            raise SourceError(
                f"{self.files[0].name}: expected the column {name!r} ({key}), got the columns {', '.join(have)}"
            )
        return quoted(name)

    def run(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run a query.

        Raises:
            SourceError: DuckDB cannot do it, in DuckDB's words.
        """
        try:
            return self.connection.execute(sql, parameters)
        except duckdb.Error as error:
            raise SourceError(f"{self.files[0].name}: {str(error).splitlines()[0]}") from error

    def batches(self, sql: str, parameters: list[Any] | None = None) -> Iterator[Any]:
        """The result as Arrow record batches."""
        try:
            with closing(self.connection.sql(sql, params=parameters).to_arrow_reader(BATCH_ROWS)) as reader:
                yield from reader
        except (duckdb.Error, OSError) as error:
            raise SourceError(f"{self.files[0].name}: {str(error).splitlines()[0]}") from error

    def seconds(self, name: str, key: str) -> str:
        """SQL for a time column as Unix seconds: naive timestamps are UTC, numbers are Unix seconds already."""
        column, kind = self.require(name, key), self.columns[name]
        if kind.startswith(("TIMESTAMP", "DATE")) or kind == "VARCHAR":
            # The session's time zone is UTC, so a naive time is taken as UTC, and one with an offset by its offset.
            return f"(epoch_us(CAST({column} AS TIMESTAMPTZ)) / 1000000.0)"
        return f"CAST({column} AS DOUBLE)"

    def close(self) -> None:
        self.connection.close()
