"""Reading CSV and JSON files, conditions and joins with DuckDB, within a memory limit and off the interpreter lock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from monitor.config import Model
from monitor.records import UNVERSIONED
from monitor.source import SourceError
from monitor.source._access import PLAIN, Access, access_of
from monitor.source._arrow import floats
from monitor.source._catalog import Catalog
from monitor.source._chosen import Chosen
from monitor.source._left_out import changed
from monitor.source._sql import BATCH_ROWS, Files, connected, literal, quoted, relation_of, seconds_sql, words
from monitor.source._table import CHUNK_ROWS, Piece

EARLY = (
    7 * 86400.0
)  # a label may bear a time so long before its prediction's, where its time is a date or another clock's


class DuckTable:
    """The rows of some files, narrowed by a condition. Close it when done.

    Args:
        path: a file, a glob, a folder or a Delta table.
        where: an SQL condition.
        directory: where relative paths start.
        threads: how many read.
        access: how the files are reached and read.
        chosen: the files, where they are chosen already.
    """

    by_column = False

    def __init__(
        self,
        path: str,
        where: str | None,
        directory: Path,
        *,
        threads: int = 2,
        access: Access = PLAIN,
        chosen: Chosen | None = None,
    ) -> None:
        self.chosen = chosen or Catalog(path, directory, access).chosen()
        self.files, self._name = self.chosen.files, self.chosen.name
        self.connection = connected(threads)
        self._read = Files(self.connection)
        self.relation = relation_of(self.chosen, self._read, where)
        self.columns = self._describe(self.relation)
        self.types = self._types()

    def _types(self) -> dict[str, Any]:
        try:
            schema = self.connection.sql(f"SELECT * FROM {self.relation} LIMIT 0").to_arrow_table().schema
        except duckdb.Error as error:
            raise self._failed(error) from error
        # What folders are called is no feature, unless somebody says so.
        hidden = self.chosen.partitions.keys() - self.chosen.named
        return {field.name: field.type for field in schema if field.name not in hidden}

    def _describe(self, relation: str) -> dict[str, str]:
        rows = self.run(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        return {name: kind for name, kind, *_ in rows}

    def attach(self, chosen: Chosen, where: str | None) -> tuple[str, dict[str, str]]:
        """Other files as a relation of the same connection, and its columns."""
        relation = relation_of(chosen, self._read, where)
        return relation, self._describe(relation)

    def require(self, name: str, key: str, columns: dict[str, str] | None = None, *, of: Chosen | None = None) -> str:
        """The quoted name of a column that has to be there.

        Raises:
            SourceError: it is not; names the key of the configuration that says so.
        """
        have = self.columns if columns is None else columns
        if name not in have:
            where = (of or self.chosen).name
            raise SourceError(f"{where}: expected the column {name!r} ({key}), got the columns {', '.join(have)}")
        return quoted(name)

    def run(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Run a query.

        Raises:
            SourceError: DuckDB cannot do it, in DuckDB's words.
        """
        try:
            return self.connection.execute(sql, parameters)
        except duckdb.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> SourceError:
        return changed(self.files) or SourceError(f"{self._name}: {words(error)}")

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
            raise self._failed(error) from error

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


def first_labels(
    table: DuckTable,
    model: Model,
    directory: Path,
    known_by: float = math.inf,
    *,
    since: float = -math.inf,
    note: Callable[[Chosen], None] = lambda _: None,
) -> str:
    """SQL for the label files' rows (id, label, came): of each id the first label, as far as it has come by an instant.

    `came` is when, in Unix seconds; -inf where labels have no time.

    Args:
        table: whose connection it is for.
        model: whose labels they are.
        directory: where relative paths start.
        known_by: labels that came later are not seen.
        since: the first time of the predictions; files whose labels all came long before it are not read.
        note: is told which files are read.

    Raises:
        SourceError: they cannot be read, or lack a column.
    """
    names, options = model.columns, model.labels.options
    catalog = Catalog(options.path, directory, access_of(options, model, labels=True), time=names.label_timestamp)
    chosen = catalog.chosen(None if since == -math.inf and known_by == math.inf else (since - EARLY, known_by))
    note(chosen)
    relation, columns = table.attach(chosen, options.where)
    label = table.require(names.label, "columns.label", columns, of=chosen)
    key = table.require(names.id, "columns.id", columns, of=chosen)
    first, came, known = f"first({label})", "CAST('-inf' AS DOUBLE)", ""
    if names.label_timestamp in columns:
        time = quoted(names.label_timestamp)
        seconds = seconds_sql(time, columns[names.label_timestamp])
        first, came = f"arg_min({label}, {time})", f"min({seconds})"
        if known_by < math.inf:
            known = f" WHERE {seconds} <= {known_by!r}"
    return f"(SELECT CAST({key} AS VARCHAR) AS id, {first} AS label, {came} AS came FROM {relation}{known} GROUP BY 1)"
