"""The store itself: SQLite in WAL mode or PostgreSQL, many readers, and one thread that writes.

Every change is a function of a connection, handed to that thread through a bounded queue. The thread runs what has
queued up in one transaction, each change in a savepoint of its own, and answers only after the commit is on the disk.
"""

from __future__ import annotations

import fcntl
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from monitor.config import StorePlace
from monitor.store import schema
from monitor.store.dialect import STATEMENTS, forget, is_of_the_rows, live_rows, rows_bytes, tables_bytes

T = TypeVar("T")
Change = Callable[[Connection], T]

FILE, LOCK = "anchorwatch.db", "anchorwatch.lock"
WRITER_LOCK = 0x616E63686F72  # a number that nobody else's advisory locks are likely to have
QUEUE_LENGTH = 1000
COMPILED = 200  # statements that are kept in SQLAlchemy's own form; those on a wide model's columns are large
GROUP = 200  # changes a commit takes at most
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


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
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


def _sqlite(path: Path, *, read_only: bool, size: int) -> Engine:
    engine = create_engine(
        "sqlite://",
        query_cache_size=COMPILED,
        creator=lambda: _connect(path, read_only=read_only),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=4,
    )
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _postgresql(url: URL, *, read_only: bool, size: int) -> Engine:
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


def _url(place: StorePlace) -> URL | None:
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


class ReadStore:
    """A store opened for reading: beside a running daemon, or as the reading half of one."""

    def __init__(self, place: StorePlace) -> None:
        """Get ready to read; nothing is connected to yet.

        Raises:
            StoreError: the URL of the database is of no use.
        """
        self.url = _url(place)
        self.path = place.data_dir / FILE
        #: What the store is called in messages, without its password.
        self.name = FILE if self.url is None else f"{self.url.host or 'localhost'}/{self.url.database}"
        self._readers = self._engine(read_only=True, size=2)

    def _engine(self, *, read_only: bool, size: int) -> Engine:
        if self.url is None:
            return _sqlite(self.path, read_only=read_only, size=size)
        return _postgresql(self.url, read_only=read_only, size=size)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view: everything read inside is of the same moment."""
        try:
            with self._readers.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"{self.name}: {_said(error)}") from error

    def size_bytes(self) -> int:
        """Bytes on the disk, the write-ahead log included."""
        if self.url is not None:
            with self.read() as connection:
                return tables_bytes(connection)
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def used_bytes(self) -> int:
        """Bytes that hold something: neither database gives room that has become free back to the disk."""
        with self.read() as connection:
            if self.url is not None:
                return rows_bytes(connection)
            pages, free, size = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("page_count", "freelist_count", "page_size")
            )
            return int((pages - free) * size)

    def row_bytes(self) -> float | None:
        """About how much less is in use for each event that goes; None where `used_bytes` itself tells at once."""
        if self.url is None:
            return None
        with self.read() as connection:
            return rows_bytes(connection) / max(1, live_rows(connection))

    def close(self) -> None:
        self._readers.dispose()


def open_for_reading(place: StorePlace | Path) -> ReadStore:
    """The store of a data folder, or at its place, read-only.

    Raises:
        StoreError: there is none.
    """
    store = ReadStore(_place(place))
    if store.url is None and not store.path.is_file():
        raise StoreError(f"expected a store at {store.path}, found none: has the daemon run with this configuration?")
    if store.url is not None:
        try:
            with store.read() as connection:
                found = inspect(connection).has_table("meta")
        except StoreError:
            store.close()
            raise
        if not found:
            store.close()
            raise StoreError(
                f"expected a store in {store.name}, found none: has the daemon run with this configuration?"
            )
    return store


def compact(place: StorePlace) -> None:
    """Give the room of rows that have gone back to the disk.

    Raises:
        StoreError: a daemon uses the store, or it cannot be done, such as for want of room for a second copy.
    """
    store = ReadStore(place)
    lock = _lock(place.data_dir / LOCK) if store.url is None else None
    try:
        # Neither database does it within a transaction.
        if store.url is None:
            with closing(_connect(store.path, read_only=False)) as file:
                file.execute("VACUUM")
                file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            engine = _postgresql(store.url, read_only=False, size=1)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM (FULL, ANALYZE)")
            engine.dispose()
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StoreError(f"{store.name}: {_said(error)}") from error
    finally:
        store.close()
        if lock is not None:
            lock.close()


def _place(place: StorePlace | Path) -> StorePlace:
    return StorePlace(place) if isinstance(place, Path) else place


class Store(ReadStore):
    """The store with its writer thread."""

    def __init__(self, place: StorePlace | Path, *, now: float) -> None:
        """Open or create the store and bring it to the newest schema.

        Raises:
            StoreError: it cannot be opened, or is of a newer schema.
        """
        super().__init__(_place(place))
        where = str(self.path) if self.url is None else self.name
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Several daemons may share a database, and never a file.
            self._held = _lock(self.path.with_name(LOCK)) if self.url is None else None
        except OSError as error:
            raise StoreError(f"{where}: {_said(error)}") from error
        try:
            self._writer = self._engine(read_only=False, size=1)
            event.listen(self._writer, "connect", lambda _, record: record.info.update(writing=True))
            with self._writer.begin() as connection:
                schema.migrate(connection, now)
                self.created = schema.created_at(connection)
        except (SQLAlchemyError, sqlite3.Error, OSError, schema.NewerStore) as error:
            self._release()
            raise StoreError(f"{where}: {_said(error)}") from error
        self.errors = 0
        self._queue: queue.Queue[tuple[Change[Any], Future[Any]] | None] = queue.Queue(QUEUE_LENGTH)
        self._closing = False
        self._door = threading.Lock()  # nothing is queued behind the word to stop: nobody would ever answer it
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def queue_length(self) -> int:
        return self._queue.qsize()

    def submit(self, change: Change[T]) -> Future[T]:
        """Queue a change; its future is done once the change is on the disk.

        Raises:
            StoreFull: the queue is full.
            StoreError: the store is closed.
        """
        future: Future[T] = Future()
        with self._door:
            if self._closing:
                raise StoreError("the store is closed")
            try:
                self._queue.put_nowait((change, future))
            except queue.Full:
                raise StoreFull("the store's queue is full") from None
        return future

    def write(self, change: Change[T]) -> T:
        """Make a change and wait until it is on the disk.

        Raises:
            StoreFull: the queue is full.
            StoreError: the disk or the database refused, or the store is closed; nothing of the change was kept.
        """
        return self.submit(change).result()

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._door:
            first, self._closing = not self._closing, True
        if first:
            # Not behind the door: where the queue is full, the writer may have to come through it to make room.
            self._queue.put(None)
        self._thread.join()
        self._writer.dispose()
        self._release()
        super().close()

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            stop = False
            while len(group) < GROUP:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
            self._commit(group)
            if stop:
                return

    def _commit(self, group: list[tuple[Change[Any], Future[Any]]]) -> None:
        """One transaction for the group; who asked is answered after the commit, or told that there was none."""
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._writer.begin() as connection:
                for change, future in group:
                    # Whoever asked may have gone; from here on the answer can no longer be called off.
                    if future.set_running_or_notify_cancel():
                        results.append((future, *_attempt(connection, change)))
        except Exception as error:  # noqa: BLE001 - the writer outlives every fault; each caller hears of it
            self.errors += 1
            with suppress(SQLAlchemyError), self._writer.connect() as connection:
                forget(connection)
            said = f"{self.name}: {_said(error)}"
            for _, future in group:
                # One that was called off is over, and says so when it is asked to run.
                if not future.done() and (future.running() or future.set_running_or_notify_cancel()):
                    future.set_exception(StoreError(said))
            return
        for future, value, fault in results:
            if fault is None:
                future.set_result(value)
            else:
                future.set_exception(fault)


def _attempt(connection: Connection, change: Change[Any]) -> tuple[Any, BaseException | None]:
    """A change in its own savepoint: its fault undoes it alone. A fault of the disk ends the whole group."""
    savepoint = connection.begin_nested()
    try:
        value = change(connection)
    except SQLAlchemyError as error:
        if not is_of_the_rows(error):
            raise
        savepoint.rollback()
        forget(connection)
        return None, StoreError(_said(error))
    except Exception as error:  # noqa: BLE001 - handed to whoever asked for the change
        savepoint.rollback()
        forget(connection)
        return None, error
    savepoint.commit()
    return value, None


def _said(error: BaseException) -> str:
    """What the database said, without the statement and its values."""
    original = getattr(error, "orig", None) or error
    return next(iter(str(original).splitlines()), "") or type(original).__name__


def _lock(path: Path) -> IO[bytes]:
    """Hold the data folder for this process; the lock goes with it, however it ends.

    Raises:
        StoreError: another process holds it.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StoreError(f"{path.parent} is in use by another daemon") from None
    return file
