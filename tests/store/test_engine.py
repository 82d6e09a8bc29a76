"""The store itself: what is answered is on the disk, a fault stays with who caused it, and a full queue says so."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import OperationalError

from monitor.store import Store, StoreError, StoreFull, engine, open_for_reading
from monitor.store.schema import STEPS, ledger, marks, meta
from monitor.store.watch import first_time, read_ledger, write_ledger
from tests.store.rows import NOW, opened, place


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def note(connection: Connection, kind: str = "note") -> None:
    write_ledger(connection, kind, app="shop", model=None, at=NOW, data={})


def noted(store: engine.ReadStore) -> list[str]:
    with store.read() as connection:
        return [entry["kind"] for entry in read_ledger(connection)]


class Held:
    """The writer, held up by a change that waits, so that what is queued behind it goes into one group."""

    def __init__(self, store: Store) -> None:
        self.entered, self.released = threading.Event(), threading.Event()
        self.future = store.submit(self._wait)
        assert self.entered.wait(10)

    def _wait(self, _: Connection) -> None:
        self.entered.set()
        assert self.released.wait(10)

    def release(self) -> None:
        self.released.set()
        self.future.result(10)


@pytest.mark.files_only
def test_what_is_written_is_there_for_every_reader_once_it_is_answered(store: Store, tmp_path: Path) -> None:
    store.write(note)
    assert noted(store) == ["note"]
    beside = sqlite3.connect(tmp_path / "anchorwatch.db")
    assert beside.execute("SELECT count(*) FROM ledger").fetchone() == (1,)
    assert beside.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    beside.close()


@pytest.mark.files_only
def test_acknowledged_changes_are_synced_to_the_disk(store: Store) -> None:
    """`synchronous = FULL` is what makes a commit survive a power cut."""
    assert store.write(lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar()) == 2


def test_one_failing_change_spoils_nothing_of_its_group(store: Store) -> None:
    held = Held(store)

    def breaks(connection: Connection) -> None:
        note(connection, "half of a change")
        raise LookupError("no such thing")

    def doubles(connection: Connection) -> None:
        note(connection, "half of a change")
        connection.execute(insert(marks), [{"mark": "x"}, {"mark": "x"}])

    before = store.submit(lambda c: note(c, "before"))
    broken, doubled = store.submit(breaks), store.submit(doubles)
    after = store.submit(lambda c: note(c, "after"))
    held.release()
    before.result(10), after.result(10)
    with pytest.raises(LookupError, match="no such thing"):
        broken.result(10)
    with pytest.raises(StoreError, match=r"UNIQUE constraint failed|unique constraint"):
        doubled.result(10)
    assert noted(store) == ["before", "after"]


@pytest.mark.files_only
def test_a_fault_of_the_database_fails_the_group_and_not_the_writer(store: Store) -> None:
    held = Held(store)
    before = store.submit(note)
    broken = store.submit(lambda c: c.exec_driver_sql("SELECT * FROM no_such_table"))
    held.release()
    for future in (before, broken):
        with pytest.raises(StoreError, match=r"^anchorwatch\.db: no such table: no_such_table$"):
            future.result(10)
    assert store.errors == 1
    store.write(note)
    assert noted(store) == ["note"]


def test_who_no_longer_waits_for_an_answer_does_not_stop_the_writer(store: Store) -> None:
    held = Held(store)
    left = store.submit(lambda c: note(c, "left"))
    assert left.cancel()
    stayed = store.submit(lambda c: note(c, "stayed"))
    held.release()
    stayed.result(10)
    store.write(lambda c: note(c, "later"))
    assert noted(store) == ["stayed", "later"]


def test_a_change_that_was_called_off_in_a_group_that_fails_does_not_stop_the_writer(store: Store) -> None:
    held = Held(store)
    called_off = store.submit(note)

    def fails(_: Connection) -> None:
        raise OperationalError("", {}, Exception("database or disk is full"))

    failing = store.submit(fails)
    assert called_off.cancel()
    held.release()
    with pytest.raises(StoreError):
        failing.result(10)
    store.write(note)
    assert noted(store) == ["note"]


def test_a_full_queue_says_so_at_once_and_loses_nothing_it_took(store: Store) -> None:
    held = Held(store)
    taken = [store.submit(note) for _ in range(engine.QUEUE_LENGTH)]
    with pytest.raises(StoreFull, match="queue is full"):
        store.submit(note)
    assert store.queue_length == len(taken) == engine.QUEUE_LENGTH
    held.release()
    for future in taken:
        future.result(30)
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(ledger)).scalar() == len(taken)
    store.write(note)  # and there is room again


@pytest.mark.files_only
def test_a_closed_store_is_one_file_that_has_it_all(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write(note)
        assert noted(store) == ["note"]  # a reader that may put nothing into the file is still there
    assert sorted(file.name for file in tmp_path.iterdir()) == ["anchorwatch.db", "anchorwatch.lock"]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/anchorwatch.db").write_bytes((tmp_path / "anchorwatch.db").read_bytes())
    copied = open_for_reading(tmp_path / "copy")
    assert noted(copied) == ["note"]
    copied.close()


def test_closing_writes_what_is_queued_and_takes_nothing_more(tmp_path: Path) -> None:
    store = Store(place(tmp_path), now=NOW)
    futures = [store.submit(note) for _ in range(300)]
    store.close()
    assert all(future.done() for future in futures)
    with pytest.raises(StoreError, match="the store is closed"):
        store.submit(note)
    store.close()  # twice is no fault
    with opened(tmp_path) as again:
        assert len(noted(again)) == 300


def test_an_existing_store_is_opened_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path, now=NOW) as store:
        store.write(note)
    with opened(tmp_path, now=NOW + 9999) as again:
        assert again.created == NOW
        assert noted(again) == ["note"]


def test_a_store_of_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write(lambda c: c.execute(update(meta).where(meta.c.key == "schema").values(value="99")))
    expected = f"expected a store of schema {len(STEPS)} or older, got 99: it needs a newer Anchorwatch"
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            Store(place(tmp_path), now=NOW)
        assert str(caught.value).endswith(f": {expected}")


# --- one daemon at a time ---------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from monitor.store import Store
store = Store(Path(sys.argv[1]), now=0.0)
print("held", flush=True)
sys.stdin.read()
"""


def in_use(folder: Path) -> str:
    return f"{folder} is in use by another daemon"


@pytest.mark.files_only
def test_a_folder_that_a_daemon_uses_is_refused_to_a_second_one_until_the_first_is_done(tmp_path: Path) -> None:
    first = Store(tmp_path, now=NOW)
    with pytest.raises(StoreError) as caught:
        Store(tmp_path, now=NOW)
    assert str(caught.value) == in_use(tmp_path)
    first.write(note)  # it was not disturbed
    first.close()
    with opened(tmp_path) as second:
        assert noted(second) == ["note"]


@pytest.mark.files_only
def test_a_folder_is_free_again_once_the_process_that_used_it_was_killed(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreError) as caught:
            Store(tmp_path, now=NOW)
        assert str(caught.value) == in_use(tmp_path)
        process.kill()
    with opened(tmp_path) as store:
        store.write(note)


@pytest.mark.files_only
def test_a_store_that_could_not_be_opened_holds_its_folder_no_longer(tmp_path: Path) -> None:
    (tmp_path / "anchorwatch.db").write_text("this is a letter, and quite a long one " * 50)
    with pytest.raises(StoreError, match="not a database") as caught:
        Store(tmp_path, now=NOW)
    (tmp_path / "anchorwatch.db").unlink()
    with opened(tmp_path) as store:
        store.write(note)
    assert caught.value is not None  # with all that hangs on it, as a caller's `except` would hold it


def test_reading_beside_a_daemon_needs_no_folder_of_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.write(note)
        beside = open_for_reading(place(tmp_path))
        assert noted(beside) == ["note"]
        beside.close()


@pytest.mark.files_only
def test_a_file_that_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "anchorwatch.db").write_text("this is a letter, and quite a long one " * 50)
    with pytest.raises(StoreError, match=r"anchorwatch\.db: file is not a database"):
        Store(tmp_path, now=NOW)


@pytest.mark.files_only
def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder is due")
    with pytest.raises(StoreError, match="data"):
        Store(tmp_path / "data", now=NOW)


@pytest.mark.files_only
@pytest.mark.parametrize("name", ["with space", "a#b", "a?mode=memory", "100%25", "ünïcode"])
def test_a_folder_may_be_called_anything(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / name) as store:
        store.write(note)
        assert noted(store) == ["note"]
    assert (tmp_path / name / "anchorwatch.db").is_file()


# --- reading beside the writer ----------------------------------------------------------------------------------------


def test_a_reader_beside_the_writer_sees_what_is_committed_and_can_change_nothing(store: Store, tmp_path: Path) -> None:
    beside = open_for_reading(place(tmp_path))
    store.write(note)
    assert noted(beside) == ["note"]
    with pytest.raises(StoreError, match=r"readonly|query_only|read-only"), beside.read() as connection:
        note(connection)
    store.write(note)
    assert noted(beside) == ["note", "note"]
    beside.close()


def test_everything_read_at_once_is_of_one_moment(store: Store) -> None:
    store.write(note)
    with store.read() as connection:
        before = len(read_ledger(connection))
        store.write(note)
        assert len(read_ledger(connection)) == before == 1
    assert len(noted(store)) == 2


def test_a_reader_does_not_hold_up_the_writer(store: Store) -> None:
    with store.read() as connection:
        read_ledger(connection)
        store.submit(note).result(10)


@pytest.mark.files_only
def test_where_there_is_no_store_a_reader_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"expected a store at .*, found none"):
        open_for_reading(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.files_only
def test_the_size_counts_the_write_ahead_log(store: Store, tmp_path: Path) -> None:
    store.write(note)
    files = [tmp_path / "anchorwatch.db", tmp_path / "anchorwatch.db-wal"]
    assert store.size_bytes() == sum(file.stat().st_size for file in files) > 0


def test_what_is_said_once_is_first_only_once(store: Store) -> None:
    assert [store.write(lambda c: first_time(c, "x")) for _ in range(3)] == [True, False, False]
