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
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, event, inspect
from sqlalchemy.exc import SQLAlchemyError

from monitor.config import StorePlace
from monitor.store import schema
from monitor.store.dialect import forget, is_of_the_rows, live_rows, rows_bytes, tables_bytes
from monitor.store.reaching import StoreError, StoreFull, connect, postgresql_engine, sqlite_engine, url_of

T = TypeVar("T")
Change = Callable[[Connection], T]

FILE, LOCK = "anchorwatch.db", "anchorwatch.lock"
QUEUE_LENGTH = 1000
GROUP = 200  # changes a commit takes at most


class ReadStore:
    """A store opened for reading: beside a running daemon, or as the reading half of one."""

    def __init__(self, place: StorePlace) -> None:
        """Get ready to read; nothing is connected to yet.

        Raises:
            StoreError: the URL of the database is of no use.
        """
        self.url = url_of(place)
        self.path = place.data_dir / FILE
        #: What the store is called in messages, without its password.
        self.name = FILE if self.url is None else f"{self.url.host or 'localhost'}/{self.url.database}"
        self._readers = self._engine(read_only=True, size=2)

    def _engine(self, *, read_only: bool, size: int) -> Engine:
        if self.url is None:
            return sqlite_engine(self.path, read_only=read_only, size=size)
        return postgresql_engine(self.url, read_only=read_only, size=size)

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
            with closing(connect(store.path, read_only=False)) as file:
                file.execute("VACUUM")
                file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            engine = postgresql_engine(store.url, read_only=False, size=1)
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
        # The writer goes last: the last one out puts the log into the database, and a reader may not.
        super().close()
        self._writer.dispose()
        self._release()

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
