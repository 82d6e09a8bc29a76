"""What one file holds: its rows, its first and last time and the types of its columns, found out by reading it once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import msgspec

from monitor.source import SourceError
from monitor.source._bytes import bytes_of, whole_lines
from monitor.source._chosen import Dialect, TextShape
from monitor.source._index import Entry
from monitor.source._left_out import CannotRead, Reason
from monitor.source._paths import File, suffix
from monitor.source._storage import NotThere

REFUSED = b"anchorwatch.refused"  # the key under which a converted log says what is not in it
UNKNOWN = ""  # the type of a column that holds nothing
HEAD_BYTES = 1 << 16  # of the line with the names
SAMPLES = (None, -1)  # rows that are looked at for the types: DuckDB's own number, and all if these misled it


def survey_parquet(file: File, time: str) -> tuple[Entry, bytes]:
    """What a Parquet file says of itself; its times are read where it does not say them.

    Raises:
        CannotRead: it is gone, half-written or none.
        SourceError: it cannot be reached.
    """
    from monitor.source._footers import ends_of, footer

    found = footer(file)
    schema = found.schema.to_arrow_schema()
    shape: bytes = schema.remove_metadata().serialize().to_pybytes()
    refused = (found.metadata or {}).get(REFUSED, b"").decode()  # of a log's records, as they were converted
    if time not in schema.names:
        return Entry(file.stamp, found.num_rows, size=file.size, problem=refused), shape
    ends = [ends_of(found.row_group(place), time) for place in range(found.num_row_groups)]
    if None in ends:
        ends = [_read_ends(file, time)]
    first = min((each[0] for each in ends if each), default=math.inf)
    last = max((each[1] for each in ends if each), default=-math.inf)
    return Entry(file.stamp, found.num_rows, first, last, size=file.size, problem=refused), shape


def _read_ends(file: File, time: str) -> tuple[float, float]:
    import numpy as np

    from monitor.source._parquet import ParquetTable

    first, last = math.inf, -math.inf
    try:
        with closing(ParquetTable([file], None)) as table:
            for piece in table.read([], time=time):
                assert piece.times is not None  # they were asked for
                first = min(first, float(np.nanmin(piece.times, initial=math.inf)))
                last = max(last, float(np.nanmax(piece.times, initial=-math.inf)))
    except CannotRead:
        raise
    except SourceError as error:
        raise CannotRead(str(error), Reason.UNREADABLE) from error
    return first, last


def text_size(file: File, settled: bool) -> int:  # noqa: FBT001 - a fact about the file
    """How many bytes of a text can be read: all but a last line that is still being written.

    Raises:
        CannotRead: none can.
        SourceError: it cannot be reached.
    """
    if settled or file.path.endswith(".gz") or not file.size:
        return file.size
    try:
        size = _whole_json(file) if suffix(file.path) == ".json" else whole_lines(file)
    except SourceError as error:
        raise _gone(error) from error
    if not size:
        raise CannotRead(f"{file.name}: expected a whole line, got the beginning of one", Reason.HALF_WRITTEN)
    return size


def _gone(error: SourceError) -> CannotRead:
    return CannotRead(str(error), Reason.VANISHED if isinstance(error, NotThere) else Reason.UNREADABLE)


def _whole_json(file: File) -> int:
    """A list is whole at its bracket, objects at their braces."""
    head = bytes_of(file, 0, min(file.size, 4096)).lstrip()[:1]
    tail = bytes_of(file, max(file.size - 4096, 0), file.size).rstrip()[-1:]
    if head == b"[":
        return file.size if tail == b"]" else 0
    return file.size if tail == b"}" else whole_lines(file)


class TextSurvey:
    """Reads texts once each, all columns of them, so that it is known whether they can be read and what is in them.

    Args:
        reader: DuckDB's function for them.
        time: the column of their times.
    """

    def __init__(self, reader: str, time: str) -> None:
        from monitor.source._sql import Files, connected

        self._reader, self._time = reader, time
        self._alike: tuple[bytes, Dialect | None] = (b"", None)  # how the file before began, and was written
        self._connection = connected(1)
        self._files = Files(self._connection)

    def close(self) -> None:
        self._connection.close()

    def of(self, file: File, *, settled: bool) -> tuple[Entry, bytes | None]:
        """What is in a file, and its columns.

        Raises:
            CannotRead: it is gone, half-written or no such text.
            SourceError: it cannot be reached.
        """
        if not file.size:
            return Entry(file.stamp, 0, math.inf, -math.inf), None
        size = text_size(file, settled)
        try:
            return self._first(file, size)
        except CannotRead as problem:
            if not settled:
                torn = (size < file.size or file.path.endswith(".gz")) and problem.reason is Reason.UNREADABLE
                raise CannotRead(str(problem), Reason.HALF_WRITTEN if torn else problem.reason) from problem
            whole = text_size(file, settled=False)
            if whole == size:
                raise
            entry, shape = self._first(file, whole)
            said = f"{file.name}: expected a whole last line, got the beginning of one"
            return msgspec.structs.replace(entry, problem=said), shape

    def _first(self, file: File, size: int) -> tuple[Entry, bytes]:
        """What the first way to read it that goes through to its end makes of it."""
        import duckdb

        from monitor.source._sql import problem_of

        last: Exception | None = None
        for way in self._ways(file, size):
            try:
                more, dialect = way()
                found = self._counted(file, size, more, dialect)
            except duckdb.Error as error:
                last = error
                continue
            self._alike = (self._head(file, size), dialect)
            return found
        assert last is not None  # the last way ended with it
        raise problem_of(file, last) from last

    def _ways(self, file: File, size: int) -> Iterator[Callable[[], tuple[str, Dialect | None]]]:
        """How it may be written: as the file before it if it begins alike, else as DuckDB finds out from some or all rows."""
        head, dialect = self._alike
        if dialect is not None and head == self._head(file, size):
            yield lambda: ("", dialect)
        for sample in SAMPLES:
            more = "" if sample is None else f", sample_size={sample}"
            if self._reader == "read_csv":
                yield partial(self._sniffed, file, size, more)
                yield partial(self._sniffed, file, size, more, plain=True)
            else:
                yield lambda more=more: (more, None)  # type: ignore[misc]

    def _head(self, file: File, size: int) -> bytes:
        if self._reader != "read_csv":
            return b""
        try:
            return bytes_of(file, 0, min(size, HEAD_BYTES)).partition(b"\n")[0]
        except SourceError as error:
            raise _gone(error) from error

    def _sniffed(self, file: File, size: int, more: str, *, plain: bool = False) -> tuple[str, Dialect | None]:
        """How DuckDB finds a CSV to be written. It would find out anew at each question, which takes most of the time.

        Where it met no quotes there may be some further on: they are taken for the usual ones, unless that fails (`plain`).
        """
        from monitor.source._sql import literal

        path = self._files.path(file, size, self._reader)
        sql = f"SELECT Delimiter, Quote, Escape FROM sniff_csv({literal(path)}, header=true{more})"
        found = self._connection.execute(sql).fetchone()
        assert found is not None  # it says something, or raises
        delimiter, quote, escape = ("" if each == "(empty)" else str(each) for each in found)
        if not delimiter:
            return more, None
        return more, (delimiter, quote, escape) if quote or plain else (delimiter, '"', '"')

    def _counted(self, file: File, size: int, more: str, dialect: Dialect | None) -> tuple[Entry, bytes]:
        from monitor.source._sql import dialect_sql, quoted, seconds_sql

        more += dialect_sql(dialect) if dialect else ""
        scan = self._files.scan([file], {file.path: size}, self._reader, more)
        described = self._connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()
        types = {name: kind for name, kind, *_ in described}
        ends = "NULL, NULL"
        if self._time in types:
            seconds = seconds_sql(quoted(self._time), types[self._time])
            ends = ", ".join(f"{side}({seconds}) FILTER (isfinite({seconds}))" for side in ("min", "max"))
        counts = ", ".join(f"count({quoted(name)})" for name in types)
        row = self._connection.execute(f"SELECT count(*), {ends}, {counts} FROM {scan}").fetchone()
        assert row is not None  # a count is one row
        rows, first, last, *held = row
        told = {name: kind if some else UNKNOWN for (name, kind), some in zip(types.items(), held, strict=True)}
        if self._time in types:
            first, last = (math.inf if first is None else first), (-math.inf if last is None else last)
        return Entry(file.stamp, rows, first, last, size=size), msgspec.msgpack.encode(TextShape(told, dialect))


def arrow_types(shapes: Sequence[bytes]) -> Mapping[str, Any]:
    """The Arrow types of the columns of all Parquet files."""
    import pyarrow as pa

    from monitor.source._parquet import merged

    schemas = [pa.ipc.read_schema(pa.py_buffer(shape)) for shape in shapes]
    return merged([{each.name: each.type for each in schema} for schema in schemas])


def text_shape(written: bytes) -> TextShape:
    """The columns of a text, as they were noted."""
    return msgspec.msgpack.decode(written, type=TextShape)


def duck_types(shapes: Sequence[TextShape]) -> dict[str, str]:
    """The DuckDB types that hold the columns of all texts: names where nothing else does."""
    kinds: dict[str, list[str]] = {}
    for shape in shapes:
        for name, kind in shape.types.items():
            known = kinds.setdefault(name, [])
            if kind != UNKNOWN and kind not in known:
                known.append(kind)
    return {name: _one_for(known) for name, known in kinds.items()}


def _one_for(kinds: list[str]) -> str:
    if not kinds or "JSON" in kinds:
        return "VARCHAR"
    if len(kinds) == 1:
        return kinds[0]
    import duckdb

    from monitor.source._sql import connected

    with closing(connected(1)) as connection:
        try:
            each = " UNION ALL ".join(f"SELECT CAST(NULL AS {kind}) AS value" for kind in kinds)
            ((_, kind, *_),) = connection.execute(f"DESCRIBE {each}").fetchall()
        except duckdb.Error:
            return "VARCHAR"
    return str(kind)
