"""Connections to the store: how SQLite and PostgreSQL are opened, for reading and for the one who writes."""

from __future__ import annotations

import sqlite3
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from monitor.config import StorePlace
from monitor.store.dialect import STATEMENTS

WRITER_LOCK = 0x616E63686F72  # a number that nobody else's advisory locks are likely to have
COMPILED = 200  # statements that are kept in SQLAlchemy's own form; those on a wide model's columns are large
BUSY_SECONDS = 10
IDLE_SECONDS = 60  # a transaction of ours that does nothing for so long has lost its daemon
# What libpq is told, so that a database whose host is gone is noticed.
PEER_IS_ALIVE = {
    "connect_timeout": BUSY_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class StoreError(Exception):
    """The store could not do what was asked; nothing of it was kept."""


class StoreFull(StoreError):
    """More changes wait than the queue holds; ask again later."""


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a file, or make it unless it is only to be read."""
    mode = "ro" if read_only else "rwc"
    # Transactions are begun by us: Python's own rules would leave schema changes and reads outside of them.
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit is on the disk when it returns, also through a power cut. It is what 202 promises.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA foreign_keys = ON")
    # In KiB, for each connection: the daemon lives beside an application that needs the memory more.
    connection.execute(f"PRAGMA cache_size = -{512 if read_only else 2048}")
    return connection


def sqlite_engine(path: Path, *, read_only: bool, size: int) -> Engine:
    """So many connections to a file; one that writes has the file to itself from the beginning of a transaction on."""
    engine = create_engine(
        "sqlite://",
        query_cache_size=COMPILED,
        creator=lambda: connect(path, read_only=read_only),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=4,
    )
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def postgresql_engine(url: URL, *, read_only: bool, size: int) -> Engine:
    """So many connections to a database; of those that write, one at a time has its turn."""
    said = url.query.get("options", "")
    options = f"{said} -c default_transaction_read_only={'on' if read_only else 'off'} -c timezone=UTC"
    if not read_only:
        # Nobody waits without end for a lock, nor holds one from beyond the grave.
        options += f" -c lock_timeout={BUSY_SECONDS}s -c idle_in_transaction_session_timeout={IDLE_SECONDS}s"
    engine = create_engine(
        url,
        query_cache_size=COMPILED,
        pool_size=size,
        max_overflow=4,
        pool_pre_ping=True,  # the server may have been restarted
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={**PEER_IS_ALIVE, "options": options, "application_name": "anchorwatch"},
    )
    if not read_only:
        # One writer at a time, as with SQLite: so that numbers are given in the order in which they become visible.
        lock = f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(lock))
    return engine


def url_of(place: StorePlace) -> URL | None:
    """The database's URL, None where the store is a file.

    Raises:
        StoreError: the URL is none of PostgreSQL's, cannot be read, or its driver is not installed.
    """
    if place.url is None:
        return None
    try:
        url = make_url(place.url.reveal())
    except (OSError, ValueError, ArgumentError):
        raise StoreError("store.url: expected a URL such as postgresql+psycopg://user:password@host/name") from None
    if url.get_backend_name() != "postgresql":
        raise StoreError(f"store.url: expected postgresql+psycopg://…, got {url.drivername}://…")
    if find_spec("psycopg") is None:
        raise StoreError("store.url: expected the package psycopg: install anchorwatch[postgres]")
    return url.set(drivername="postgresql+psycopg")
