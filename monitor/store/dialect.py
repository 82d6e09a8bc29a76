"""What SQLite and PostgreSQL are told in different words, and what is remembered of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

ROWS_TOGETHER = 128
VALUES_TOGETHER = (
    4_000  # a prepared statement takes 80 bytes for each, and one is kept for each size and set of columns
)
STATEMENTS = 64  # so many are kept


def insert_new(connection: Connection, table: Table) -> Any:
    """An insert that may say what happens where the row is there already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def kept(connection: Connection, name: str) -> dict[Any, Any]:
    """What is remembered from one transaction to the next on a connection; the writer forgets it when it rolls back."""
    found: dict[Any, Any] = connection.info.setdefault("kept", {}).setdefault(name, {})
    return found


def placeholder(connection: Connection) -> str:
    """How a driver's own statements mark a value."""
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


def insert_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    *parts: Sequence[tuple[Any, ...]],
    new_only: bool = False,
) -> int:
    """Insert rows by the driver's own way, which is many times faster; how many were inserted.

    Args:
        connection: within a savepoint.
        table: a name of ours, and never a stranger's; as are the columns.
        columns: what the rows hold.
        parts: the rows, or the first values of each and the others; all parts are of one length.
        new_only: leave out those whose key is there already.
    """
    # Many rows in one statement: between statements the driver lets go of the interpreter, and has to get it back. The sizes
    # are few, so that statements are prepared once.
    mark, most = placeholder(connection), ROWS_TOGETHER
    # Who inserts undoes what failed by a savepoint. SQLite would else copy every page before each statement, to undo it alone.
    verb = "INSERT OR FAIL" if connection.dialect.name == "sqlite" and not new_only else "INSERT"
    while most * len(columns) > VALUES_TOGETHER:
        most //= 2
    inserted, at, rows = 0, 0, len(parts[0])
    while at < rows:
        while most > rows - at:
            most //= 2
        sql = _insertion(verb, table, tuple(columns), most, mark, new_only=new_only)
        pieces = chain.from_iterable(zip(*(part[at : at + most] for part in parts), strict=True))
        values = tuple(chain.from_iterable(pieces))
        inserted += connection.exec_driver_sql(sql, values).rowcount
        at += most
    return inserted


@lru_cache(maxsize=STATEMENTS)
def _insertion(verb: str, table: str, columns: tuple[str, ...], rows: int, mark: str, *, new_only: bool) -> str:
    one = f"({', '.join([mark] * len(columns))})"
    otherwise = " ON CONFLICT DO NOTHING" if new_only else ""
    return f"{verb} INTO {table} ({', '.join(columns)}) VALUES {', '.join([one] * rows)}{otherwise}"


def is_writing(connection: Connection) -> bool:
    """Whether this is the writer's connection."""
    return bool(connection.info.get("writing"))


def is_of_the_rows(error: BaseException) -> bool:
    """Whether a fault is that of what was to be written, and not of the disk, the connection or the lock."""
    if isinstance(error, IntegrityError | DataError | ProgrammingError):
        return True
    # PostgreSQL's class 54, program limits: a row that is too wide for its page, more columns than it has.
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(state, str) and state.startswith("54")


def alone(connection: Connection) -> bool:
    """Whether nobody else writes to this store: then what its one writer remembers is always true."""
    return connection.dialect.name == "sqlite"


def tables_bytes(connection: Connection) -> int:
    """Bytes that the tables of a PostgreSQL schema take on its disk."""
    sql = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c"
        " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
    )
    return int(connection.exec_driver_sql(sql).scalar_one())


def rows_bytes(connection: Connection) -> int:
    """About how many bytes the rows of a PostgreSQL schema take, with as much again for half of them in indexes.

    By the newest rows of each table and how many rows it has: the size of its files does not fall when rows go.
    """
    total = 0
    names = connection.exec_driver_sql(
        "SELECT relname, n_live_tup FROM pg_stat_user_tables WHERE schemaname = current_schema()"
    )
    for name, rows in names.all():
        sql = f'SELECT avg(pg_column_size(t.*)) FROM (SELECT * FROM "{name}" LIMIT 1000) t'  # noqa: S608 - names of ours
        average = connection.exec_driver_sql(sql).scalar() or 0
        total += int(1.5 * rows * (float(average) + 28))
    return total


def live_rows(connection: Connection) -> int:
    """About how many events a PostgreSQL schema holds, as of when its tables were last counted, as `rows_bytes` is."""
    sql = (
        "SELECT coalesce(sum(n_live_tup), 0) FROM pg_stat_user_tables"
        " WHERE schemaname = current_schema() AND relname LIKE 'events%%'"
    )
    return int(connection.exec_driver_sql(sql).scalar_one())


def forget(connection: Connection) -> None:
    """Forget what was remembered: what it came from has been rolled back."""
    connection.info.pop("kept", None)
