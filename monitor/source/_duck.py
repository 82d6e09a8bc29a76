"""Reading CSV and JSON files, conditions and joins with DuckDB, within a memory limit and off the interpreter lock."""

from __future__ import annotations

import math
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from monitor.config import Model
from monitor.records import UNVERSIONED
from monitor.source import SourceError
from monitor.source._arrow import floats
from monitor.source._paths import READERS, matching_files
from monitor.source._table import CHUNK_ROWS, Piece

MEMORY = "160MB"  # what it needs beyond goes to the disk
BATCH_ROWS = 100_000


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string for SQL."""
    return "'" + text.replace("'", "''") + "'"


def seconds_sql(column: str, kind: str) -> str:
    """SQL for a time column as Unix seconds: naive timestamps are UTC, numbers are Unix seconds already."""
    if kind.startswith(("TIMESTAMP", "DATE")) or kind == "VARCHAR":
        # The session's time zone is UTC, so a naive time is taken as UTC, and one with an offset by its offset.
        return f"(epoch_us(CAST({column} AS TIMESTAMPTZ)) / 1000000.0)"
    return f"CAST({column} AS DOUBLE)"


def reading(files: list[Path]) -> str:
    """SQL for the rows of files of one kind."""
    listed = ", ".join(literal(str(file)) for file in files)
    return f"{READERS[files[0].suffix]}([{listed}], union_by_name=true)"


def _connected(threads: int) -> duckdb.DuckDBPyConnection:
    # DuckDB makes this folder when it has to, and takes it away with the connection.
    scratch = str(Path(tempfile.gettempdir()) / f"anchorwatch-{secrets.token_hex(8)}")
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "temp_directory": scratch,
            "threads": threads,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def evaluated(files: list[Path], expression: str) -> Iterator[Any]:
    """An SQL expression on every row, in the files' order, as Arrow arrays.

    Raises:
        SourceError: it cannot be evaluated.
    """
    with closing(_connected(1)) as connection:
        try:
            sql = f"SELECT {expression} AS value FROM {reading(files)}"
            with closing(connection.sql(sql).to_arrow_reader(BATCH_ROWS)) as reader:
                for batch in reader:
                    yield batch.column(0)
        except (duckdb.Error, OSError) as error:
            raise SourceError(f"{files[0].name}: {str(error).splitlines()[0]}") from error


class DuckTable:
    """The rows of some files, narrowed by a condition. Close it when done."""

    by_column = False

    def __init__(self, path: str, where: str | None, directory: Path, *, threads: int = 2) -> None:
        self.files = matching_files(path, directory)
        self.connection = _connected(threads)
        self.relation = self._relation(self.files, where)
        self.columns = self._describe(self.relation)
        self.types = {field.name: field.type for field in self._schema()}

    def _schema(self) -> Any:
        return self.connection.sql(f"SELECT * FROM {self.relation} LIMIT 0").to_arrow_table().schema

    def _relation(self, files: list[Path], where: str | None) -> str:
        return f"(SELECT * FROM {reading(files)} WHERE {where})" if where else f"(SELECT * FROM {reading(files)})"

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

    @property
    def rows(self) -> int:
        """How many there are."""
        ((rows,),) = self.run(f"SELECT count(*) FROM {self.relation}").fetchall()
        return int(rows)

    def prune(self, time: str, start: float, end: float) -> None:
        """Text has to be read to the end."""

    def read(self, names: Sequence[str], *, time: str | None = None, chunk_rows: int = CHUNK_ROWS) -> Iterator[Piece]:
        """Columns, all rows of them, in pieces.

        Raises:
            SourceError: they cannot be read.
        """
        wanted = [quoted(name) for name in names]
        if time is not None:
            wanted.append(seconds_sql(quoted(time), self.columns[time]))
        sql = f"SELECT {', '.join(wanted) or '1'} FROM {self.relation}"
        for batch in self.batches(sql, rows=min(chunk_rows, BATCH_ROWS)):
            columns = batch.columns[: len(names)]
            times = None if time is None else floats(batch.columns[len(names)])
            yield Piece(batch.num_rows, times, columns)

    def batches(self, sql: str, parameters: list[Any] | None = None, rows: int = BATCH_ROWS) -> Iterator[Any]:
        """The result as Arrow record batches."""
        try:
            with closing(self.connection.sql(sql, params=parameters).to_arrow_reader(rows)) as reader:
                yield from reader
        except (duckdb.Error, OSError) as error:
            raise SourceError(f"{self.files[0].name}: {str(error).splitlines()[0]}") from error

    def seconds(self, name: str, key: str) -> str:
        """SQL for a time column as Unix seconds: naive timestamps are UTC, numbers are Unix seconds already."""
        return seconds_sql(self.require(name, key), self.columns[name])

    def close(self) -> None:
        self.connection.close()


def version_sql(table: DuckTable, name: str) -> str:
    """SQL for the version of a row."""
    if name not in table.columns:
        return literal(UNVERSIONED)
    return f"coalesce(CAST({quoted(name)} AS VARCHAR), {literal(UNVERSIONED)})"


def first_labels(table: DuckTable, model: Model, directory: Path, known_by: float = math.inf) -> str:
    """SQL for the label files' rows (id, label, came): of each id the first label, as far as it has come by an instant.

    `came` is when, in Unix seconds; -inf where labels have no time.

    Raises:
        SourceError: they lack a column.
    """
    names, options = model.columns, model.labels.options
    relation, columns = table.attach(options.path, options.where, directory)
    label = table.require(names.label, "columns.label", columns)
    key = table.require(names.id, "columns.id", columns)
    first, came, known = f"first({label})", "CAST('-inf' AS DOUBLE)", ""
    if names.label_timestamp in columns:
        time = quoted(names.label_timestamp)
        seconds = seconds_sql(time, columns[names.label_timestamp])
        first, came = f"arg_min({label}, {time})", f"min({seconds})"
        if known_by < math.inf:
            known = f" WHERE {seconds} <= {known_by!r}"
    return f"(SELECT CAST({key} AS VARCHAR) AS id, {first} AS label, {came} AS came FROM {relation}{known} GROUP BY 1)"
