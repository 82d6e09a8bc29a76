"""What SQLite and PostgreSQL are told in different words, and what is remembered of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


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
    rows: Sequence[tuple[Any, ...]],
    *,
    new_only: bool = False,
) -> int:
    """Insert rows by the driver's own way, which is many times faster; how many were inserted.

    `new_only` leaves out those whose key is there already. Table and columns are names of ours, and never a stranger's.
    """
    if not rows:
        return 0
    values = ", ".join([placeholder(connection)] * len(columns))
    otherwise = " ON CONFLICT DO NOTHING" if new_only else ""
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}){otherwise}"  # noqa: S608 - names of ours
    return connection.exec_driver_sql(sql, list(rows)).rowcount


def forget(connection: Connection) -> None:
    """Forget what was remembered: what it came from has been rolled back."""
    connection.info.pop("kept", None)
