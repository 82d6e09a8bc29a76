"""Any database SQLAlchemy knows, read and never written: the owner's query, in pieces, by a cursor on the server."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Subquery,
    column,
    create_engine,
    event,
    false,
    func,
    literal_column,
    make_url,
    select,
    text,
)  # fmt: skip
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from monitor.options import Secret
from monitor.source import SourceError
from monitor.source._feed import hidden
from monitor.source._pulled import UnreadableRow

CHUNK = 100  # rows that are held on this side at once
CONNECT_SECONDS = 10
PIECE_ROWS = 5000
_EXTRAS = {"psycopg": ("psycopg", "postgres")}
# What drivers raise for a value they cannot read is not always wrapped.
_OF_A_VALUE = (DataError, ValueError, ArithmeticError, RecursionError)
_FAILURES = (SQLAlchemyError, OSError, *_OF_A_VALUE)


class Query(Protocol):
    """Options that name a query and where it runs."""

    @property
    def url(self) -> Secret: ...

    @property
    def query(self) -> str: ...


class Database:
    """One database and one query on it. Nothing is connected before something is read."""

    def __init__(self, options: Query, directory: Path, *, timeout_seconds: float) -> None:
        """Prepare it.

        Raises:
            SourceError: the URL is none, or its driver is not installed.
        """
        self._timeout_seconds = timeout_seconds
        self._url = _url(options.url, directory)
        held = [value for values in self._url.normalized_query.values() for value in values]
        self._secrets = [str(self._url.password or ""), *(each for each in held if len(each) > 3)]
        self._query = options.query.strip().rstrip(";")
        self.blocks = False  # whether one who reads keeps those who write waiting; known once it is connected
        self.engine = self._engine()

    def _engine(self) -> Engine:
        try:
            engine = create_engine(
                self._url,
                poolclass=NullPool,
                connect_args=_arguments(self._url),
                hide_parameters=True,
                **({"json_deserializer": _json} if self._url.get_backend_name() == "postgresql" else {}),
            )
        except NoSuchModuleError:
            raise SourceError(f"url: expected a database that SQLAlchemy knows, got {self._url.drivername!r}") from None
        except ImportError as error:
            package, extra = _EXTRAS.get(error.name or "", (error.name, ""))
            hint = f": install anchorwatch[{extra}]" if extra else ""
            raise SourceError(f"expected the package {package} for {self._url.drivername}{hint}") from error
        except (SQLAlchemyError, TypeError, ValueError) as error:
            raise self.failure(error) from None
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _lenient)
        return engine

    def failure(self, error: Exception) -> SourceError:
        """What the database says, in one line and without a secret."""
        said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        return SourceError(
            f"{self._url.get_backend_name()}: {hidden(str(said), *self._secrets) or type(said).__name__}"
        )

    def rows(
        self, narrowed: Callable[[Select[Any], Subquery], Select[Any]] | None = None, *, mark: str = ""
    ) -> Reading:
        """Start reading the query's rows.

        Args:
            narrowed: adds conditions and an order to the query.
            mark: a column that they name.

        Raises:
            SourceError: the database does not answer, or does not take the query.
        """
        # A line of its own, as the query may end in a comment; its colons are its own and no parameters.
        query = text(self._query.replace(":", "\\:") + "\n")
        table = query.columns(*([column(mark)] if mark else [])).subquery("pulled")
        statement: Select[Any] = select(literal_column("*")).select_from(table)
        return Reading(self, narrowed(statement, table) if narrowed else statement)

    def columns(self) -> list[str]:
        """What the query's columns are called.

        Raises:
            SourceError: the database does not answer, or does not take the query.
        """
        reading = self.rows(lambda statement, _: statement.where(false()))
        reading.close()
        return reading.names

    def count(self, mark: str, condition: Callable[[ColumnElement[Any]], ColumnElement[bool]]) -> int:
        """How many rows of the query fulfil a condition on one of its columns.

        Raises:
            SourceError: the database does not answer, or not in time.
        """
        counted: Callable[[Select[Any], Subquery], Select[Any]] = lambda _, table: (
            select(func.count()).select_from(table).where(condition(table.c[mark]))
        )
        reading = self.rows(counted, mark=mark)
        try:
            return int(reading.fetch(1)[0][0])
        finally:
            reading.close()

    def connect(self) -> Connection:
        """A connection that only reads, as far as the database can promise that."""
        connection = self.engine.connect()
        try:
            if self.engine.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(self._timeout_seconds * 1000)}")
            elif self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
                self.blocks = connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal"
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        self.engine.dispose()


class Reading:
    """The rows of one statement, as far as they were asked for. Close it when done."""

    def __init__(self, database: Database, statement: Select[Any]) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._held: deque[Sequence[Any]] | None = None
        self._failure: SourceError | None = None  # what came behind the rows that are held
        self.exhausted = False  # whether the statement has no more rows than those that were read
        try:
            self._connection = database.connect()
            options = {"stream_results": True, "yield_per": CHUNK}
            self._result = self._connection.execute(statement, execution_options=options)
            self.names = list(self._result.keys())
        except _FAILURES as error:
            self.close()
            raise database.failure(error) from None

    def fetch(self, rows: int) -> Sequence[Sequence[Any]]:
        """The next rows, at most so many; none when there are no more of them.

        Raises:
            UnreadableRow: a value among them cannot be read.
            SourceError: the database does not answer.
        """
        if self._held is not None:
            if self._failure is not None and not self._held:
                raise self._failure
            return [self._held.popleft() for _ in range(min(rows, len(self._held)))]
        try:
            found = self._result.fetchmany(rows)
        except _OF_A_VALUE as error:
            raise UnreadableRow(str(self._database.failure(error))) from None
        except _FAILURES as error:
            raise self._database.failure(error) from None
        self.exhausted = not found
        return found

    def hold(self, enough: Callable[[Sequence[Any]], bool]) -> None:
        """Take rows into memory, up to one that is enough, and let go of the database; what fails is told behind them."""
        held: deque[Sequence[Any]] = deque()
        try:
            while found := self.fetch(CHUNK):
                held += found
                if len(held) >= PIECE_ROWS and enough(found[-1]):
                    break
        except SourceError as error:
            self._failure = error
        self._held = held
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            with suppress(*_FAILURES):
                self._connection.close()


def read_rows(options: Query, directory: Path, *, timeout_seconds: float = 600.0) -> Iterator[list[dict[str, Any]]]:
    """A whole query, in pieces of some thousand rows, each row by the names of its columns.

    Args:
        options: the query, and where it runs.
        directory: where relative paths start (of SQLite).
        timeout_seconds: how long the database may take, where it can be told.

    Raises:
        SourceError: the database does not answer, or does not take the query.
    """
    database = Database(options, directory, timeout_seconds=timeout_seconds)
    try:
        reading = database.rows()
        try:
            once(reading.names)
            piece: list[dict[str, Any]] = []
            while rows := reading.fetch(CHUNK):
                piece += [dict(zip(reading.names, row, strict=True)) for row in rows]
                if len(piece) >= PIECE_ROWS:
                    yield piece
                    piece = []
            yield piece
        finally:
            reading.close()
    finally:
        database.close()


def once(names: Sequence[str]) -> None:
    """Of two columns with one name, one would be lost.

    Raises:
        SourceError: there are such.
    """
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise SourceError(f"query: expected every column to have a name of its own, got {twice[0]!r} twice")


def _url(secret: Secret, directory: Path) -> URL:
    try:
        url = make_url(secret.reveal())
    except OSError as error:
        raise SourceError(f"url: cannot read {secret.path}: {error.strerror}") from None
    except (ArgumentError, ValueError):  # its message may show a part of a password
        raise SourceError("url: expected one such as postgresql://user:password@host:5432/database") from None
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        path = directory / str(url.database)
        if not path.is_file():  # SQLite would make an empty one
            raise SourceError(f"url: expected a database, found nothing at {path}")
        return url.set(database=str(path))
    return url


def _arguments(url: URL) -> dict[str, Any]:
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    wanted = {"connect_timeout": CONNECT_SECONDS, "application_name": "anchorwatch"}
    return {key: value for key, value in wanted.items() if key not in url.query}


def _json(held: bytes | str) -> Any:
    """JSON that Python does not read, as it nests too deeply or a number is too long, is text."""
    try:
        return json.loads(held)
    except (RecursionError, ValueError):
        return held if isinstance(held, str) else held.decode("utf-8", "replace")


def _lenient(connection: Any, _record: object) -> None:
    """One text that is no UTF-8 must not stop all that come after it."""
    connection.text_factory = lambda held: held.decode("utf-8", "replace")
