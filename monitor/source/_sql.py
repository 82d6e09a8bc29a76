"""What DuckDB is asked: where files are scanned, with which types, and what it says when it cannot."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from glob import has_magic
from pathlib import Path
from typing import Any

import duckdb

from monitor.source import SourceError
from monitor.source._bytes import file_system_for_duckdb
from monitor.source._chosen import Chosen, is_settled
from monitor.source._left_out import CannotRead, LeftOut, Reason, changed, say
from monitor.source._paths import File

MEMORY = "160MB"  # what it needs beyond goes to the disk
BATCH_ROWS = 100_000
WRITTEN = ("VARCHAR", "JSON", "BOOLEAN")  # the types whose values are times only where they read like some


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string for SQL."""
    return "'" + text.replace("'", "''") + "'"


def seconds_sql(column: str, kind: str) -> str:
    """SQL for a time column as Unix seconds: naive timestamps are UTC, numbers are Unix seconds already.

    NULL where a text is no time: one such row must not stop all others. `no_times` says how many there are.
    """
    # The session's time zone is UTC, so a naive time is taken as UTC, and one with an offset by its offset.
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"(epoch_us(CAST({column} AS TIMESTAMPTZ)) / 1000000.0)"
    if kind not in WRITTEN:
        return f"CAST({column} AS DOUBLE)"
    # One text is enough to make texts of a column of numbers.
    text = _text(column, kind)
    number = f"TRY_CAST({text} AS DOUBLE)"
    seconds = f"CASE WHEN isfinite({number}) THEN {number} END"
    return f"coalesce(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)) / 1000000.0, {seconds})"


def _text(column: str, kind: str) -> str:
    return f"({column} ->> '$')" if kind == "JSON" else f"CAST({column} AS VARCHAR)"


class Files:
    """The files that one connection reads: whole ones of this machine by themselves, all others by way of Python."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._by_key: dict[str, tuple[File, int]] = {}

    def scan(
        self,
        files: Sequence[File],
        sizes: Mapping[str, int],
        reader: str,
        more: str = "",
        partitions: Mapping[str, Any] | None = None,
    ) -> str:
        """SQL for the rows of files of one kind, in their order, with the columns that their paths tell."""
        listed = ", ".join(literal(self.path(file, sizes.get(file.path, file.size), reader)) for file in files)
        # The first line of a CSV names its columns, also where all of them are text.
        header = ", header=true" if reader == "read_csv" else ""
        scan = f"{reader}([{listed}], union_by_name=true, hive_partitioning=false{header}{more})"
        told = "".join(f", {self._told(name, kind, files)}" for name, kind in (partitions or {}).items())
        return f"(SELECT *{told} FROM {scan})" if told else scan

    def path(self, file: File, size: int, reader: str) -> str:
        """What DuckDB calls a file, of which so many bytes are read."""
        changes = reader != "read_parquet" and not is_settled(file)
        if file.store is None and size == file.size and not changes and not has_magic(file.path):
            return file.path
        if not self._by_key:
            self._connection.register_filesystem(file_system_for_duckdb(self._by_key))
        key = str(len(self._by_key))
        self._by_key[key] = file, size
        return f"anchorwatch://{key}/{file.name}"

    def _told(self, name: str, kind: Any, files: Sequence[File]) -> str:
        values = [dict(file.partition).get(name) for file in files]
        listed = ", ".join("NULL" if value is None else literal(_written(value)) for value in values)
        column = f"CAST([{listed}] AS VARCHAR[])[CAST(file_index AS BIGINT) + 1]"
        return f"CAST({column} AS {self.sql_type(kind)}) AS {quoted(name)}"

    def sql_type(self, kind: Any) -> str:
        """DuckDB's type for one of Arrow's."""
        import pyarrow as pa

        relation = self._connection.from_arrow(pa.schema([("value", kind)]).empty_table())
        return str(relation.types[0])


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def words(error: Exception) -> str:
    """What DuckDB says, in one line; of an error in Python it tells the whole way there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any(line.startswith(("Traceback", "Error Traceback")) for line in lines):
        raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
        return (raised or lines)[-1].partition(": ")[2] or lines[-1]
    return re.sub(r"anchorwatch://\d+/", "", lines[0]) if lines else type(error).__name__


def no_times(chosen: Chosen, time: str) -> str:
    """What is said of the rows whose time is a text that is none; empty where there are none. Rows without a time are no fault.

    Raises:
        CannotRead: not one of the texts is a time.
        SourceError: the files cannot be read.
    """
    with closing(connected(1)) as connection:
        try:
            relation, column = relation_of(chosen, Files(connection), None), quoted(time)
            described = connection.execute(f"DESCRIBE SELECT {column} FROM {relation}").fetchone()
            assert described is not None  # the column is there
            if described[1] not in WRITTEN:
                return ""
            seconds, text = seconds_sql(column, described[1]), _text(column, described[1])
            refused = f"FILTER ({text} IS NOT NULL AND {seconds} IS NULL)"
            sql = f"SELECT count(*), count({seconds}), count(*) {refused}, any_value({text}) {refused} FROM {relation}"
            found = connection.execute(sql).fetchone()
        except (duckdb.Error, OSError) as error:
            raise changed(chosen.files) or problem_of(chosen.files[0], error) from error
    assert found is not None  # counts are one row
    rows, times, wrong, value = found
    said = f"expected ISO 8601 or Unix seconds in the column {time!r}, got {value!r:.60}"
    if wrong and not times:
        raise CannotRead(f"{chosen.name}: {said}", Reason.UNREADABLE, lasting=True)
    return f"{chosen.name}: refused {wrong} of {rows} rows: {said}" if wrong else ""


def say_no_times(chosen: Chosen, time: str) -> None:
    """Warn of rows whose time is a text that is none, where no catalog has looked for them.

    Raises:
        SourceError: not one of the texts is a time, or the files cannot be read.
    """
    refused = no_times(chosen, time) if chosen.files else ""
    if refused:
        first = chosen.files[0]
        told = LeftOut(first.below, first.stamp, Reason.REFUSED, refused, is_fault=True)
        say(chosen.shown, max(chosen.total, 1), [told])


def problem_of(file: File, error: Exception) -> CannotRead:
    """Why a file cannot be read, and whether that lasts."""
    said, passing = words(error), isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException)
    passing = passing or "Traceback" in str(error)
    gone = passing and any(sign in str(error) for sign in ("No files found", "No such file", "FileNotFoundError"))
    reason = Reason.VANISHED if gone else Reason.UNREADABLE
    return CannotRead(f"{file.name}: {said}", reason, lasting=not passing)


def connected(threads: int) -> duckdb.DuckDBPyConnection:
    """A connection that holds its memory limit, takes UTC for naive times and loads nothing by itself."""
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


def relation_of(chosen: Chosen, files: Files, where: str | None) -> str:
    """SQL for the rows of chosen files, with the columns of all that there are, narrowed by a condition."""
    parts = []
    if chosen.files:
        more = _declared(chosen)
        parts.append(f"SELECT * FROM {files.scan(chosen.files, chosen.sizes, chosen.reader, more, chosen.partitions)}")
    if chosen.types is not None and chosen.is_pruned:
        # Other files may have more columns, or wider types: what is asked must mean the same in every window.
        types = {name: kind if isinstance(kind, str) else files.sql_type(kind) for name, kind in chosen.types.items()}
        types |= {name: files.sql_type(kind) for name, kind in chosen.partitions.items()}
        nothing = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in types.items())
        parts.append(f"SELECT {nothing or 'NULL AS nothing'} WHERE false")
    parts = parts or ["SELECT NULL AS nothing WHERE false"]  # all files are empty
    whole = f"({' UNION ALL BY NAME '.join(parts)})"
    return f"(SELECT * FROM {whole} WHERE {where})" if where else whole


def _declared(chosen: Chosen) -> str:
    """What is known of texts: types that hold what stands in any file, also in those not read now, and how they are written."""
    if chosen.types is None or chosen.reader == "read_parquet":
        return ""
    shapes = [chosen.shapes[file.path] for file in chosen.files if file.path in chosen.shapes]
    own = {name for shape in shapes for name in shape.types}
    told = {name: kind for name, kind in chosen.types.items() if name in own or chosen.reader == "read_json"}
    listed = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in told.items())
    types = f", {'columns' if chosen.reader == 'read_json' else 'types'}={{{listed}}}" if told else ""
    dialects = {shape.dialect for shape in shapes}
    if len(dialects) == 1 and (dialect := dialects.pop()) is not None and len(shapes) == len(chosen.files):
        types += dialect_sql(dialect)
    return types


def dialect_sql(dialect: tuple[str, str, str]) -> str:
    """How CSVs are written. DuckDB finds it out as well, but at each question anew, and that takes most of the time."""
    pairs = zip(("delim", "quote", "escape"), dialect, strict=True)
    return "".join(f", {key}={literal(value)}" for key, value in pairs)


def evaluated(chosen: Chosen, expression: str) -> Iterator[Any]:
    """An SQL expression on every row, in the files' order, as Arrow arrays.

    Raises:
        SourceError: it cannot be evaluated.
    """
    with closing(connected(1)) as connection:
        try:
            sql = f"SELECT {expression} AS value FROM {relation_of(chosen, Files(connection), None)}"
            with closing(connection.sql(sql).to_arrow_reader(BATCH_ROWS)) as reader:
                for batch in reader:
                    yield batch.column(0)
        except (duckdb.Error, OSError) as error:
            raise SourceError(f"{chosen.name}: {words(error)}") from error
