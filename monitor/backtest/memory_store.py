"""The store of a backtest: the daemon's tables in memory, gone with it."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from monitor.store import schema


class MemoryStore:
    """The tables of a store, made at `now` (Unix seconds). One thread uses it."""

    def __init__(self, *, now: float) -> None:
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(":memory:", isolation_level=None),
            poolclass=StaticPool,
        )
        event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        with self.write() as connection:
            schema.migrate(connection, now)

    def write(self) -> AbstractContextManager[Connection]:
        """One transaction."""
        return self._engine.begin()
