"""What only a database server can do to a store: go away, come back, refuse, and serve several daemons at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from monitor.config import StorePlace
from monitor.options import Secret
from monitor.records import Window
from monitor.source.ingest import IngestSource
from monitor.store import Store, StoreError, events, ids, layout, open_for_reading, reaching, reading
from monitor.store.filters import hashes_of
from tests.servers import PostgreSQL, closed_port, eventually, postgresql
from tests.store.rows import NOW, event, reference

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def backend() -> None:
    """These run once, on a server of their own."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        yield running


def place(server: PostgreSQL, folder: Path) -> StorePlace:
    return StorePlace(folder, Secret(server.url()))


def add(store: Store, *names: str) -> events.Taken:
    rows = [event(name, NOW) for name in names]
    return store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW))


def kept(store: Store) -> list[str]:
    with store.read() as connection:
        number = events.find_model(connection, "shop", "demand")
        return [row["event_id"] for row, _ in reading.wire_events(connection, number)] if number else []


def test_what_was_answered_survives_the_server_s_death_and_the_writer_goes_on(
    server: PostgreSQL, tmp_path: Path
) -> None:
    store = Store(place(server, tmp_path), now=NOW)
    add(store, "before")
    server.program.kill()
    with pytest.raises(StoreError):
        add(store, "meanwhile")
    server.program.start()
    eventually(lambda: add(store, "after").new == 1)
    assert add(store, "before").duplicates == 1
    assert [name for name in kept(store) if name != "meanwhile"] == ["before", "after"]
    assert store.errors >= 1
    store.close()


def test_two_daemons_give_no_number_twice_and_take_no_event_twice(server: PostgreSQL, tmp_path: Path) -> None:
    """Each adds the same ids in its own order, many at a time; numbers become visible in their order."""
    stores = [Store(place(server, tmp_path / name), now=NOW) for name in "ab"]
    names = [f"shared {at}" for at in range(600)]
    taken: list[events.Taken] = []

    def work(store: Store, ordered: list[str]) -> None:
        taken.extend(add(store, *ordered[at : at + 7]) for at in range(0, len(ordered), 7))

    threads = [threading.Thread(target=work, args=each) for each in zip(stores, (names, names[::-1]), strict=True)]
    seen: list[int] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with stores[0].read() as connection:
            number = events.find_model(connection, "shop", "demand")
            if number:
                rows = reading.rows_after(
                    connection, number, seen[-1] if seen else 0, keys=(), versions=["1"], limit=10**6
                )
                seen += rows.column("seq") if rows.rows else []
    assert sum(each.new for each in taken) == 600
    assert sorted(name for name in kept(stores[1]) if name.startswith("shared")) == sorted(names)
    with stores[1].read() as connection:
        rows = reading.rows_after(connection, 1, seen[-1] if seen else 0, keys=(), versions=["1"], limit=10**6)
        everything = reading.rows_after(connection, 1, 0, keys=(), versions=["1"], limit=10**6)
    # Whoever reads on from the last number it has seen misses none.
    assert [*seen, *(rows.column("seq") if rows.rows else [])] == list(everything.column("seq"))
    for store in stores:
        store.close()


def test_a_column_that_another_daemon_has_brought_is_known(server: PostgreSQL, tmp_path: Path) -> None:
    one, other = (Store(place(server, tmp_path / name), now=NOW) for name in "ab")
    for store, name in ((one, "x"), (other, "y"), (one, "z")):
        rows = [event(f"column {name}", NOW, **{name: 1.0, f"also {name}": "t"})]
        store.write(lambda c, rows=rows: events.add_events(c, "shop", "demand", rows, received=NOW))
    with other.read() as connection:
        found = {row["event_id"]: row["features"] for row, _ in reading.wire_events(connection, 1)}
    assert [found[f"column {name}"] for name in "xyz"] == [{name: 1.0, f"also {name}": "t"} for name in "xyz"]
    one.close(), other.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://root:hunter2@127.0.0.1/x", r"store\.url: expected postgresql\+psycopg://…, got mysql://…"),
        ("no url, hunter2", r"store\.url: expected a URL such as"),
        ("postgresql+psycopg://watch:hunter2@127.0.0.1:{closed}/log", r"127\.0\.0\.1/log: .*"),
        ("postgresql+psycopg://watch:hunter2-wrong@127.0.0.1:{port}/log", r"127\.0\.0\.1/log: .*authentication failed"),
        ("postgresql+psycopg://watch:hunter2@127.0.0.1:{port}/no_such", r"127\.0\.0\.1/no_such: .*does not exist"),
    ],
)
def test_a_database_that_cannot_be_opened_is_refused_without_its_password(
    server: PostgreSQL, tmp_path: Path, url: str, expected: str
) -> None:
    where = StorePlace(tmp_path, Secret(url.format(port=server.program.port, closed=closed_port())))
    with pytest.raises(StoreError, match=expected) as caught:
        Store(where, now=NOW)
    assert "hunter2" not in str(caught.value)


def test_a_database_without_a_store_is_told_to_a_reader(server: PostgreSQL, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="found none: has the daemon run"):
        open_for_reading(StorePlace(tmp_path, Secret(server.url(database="postgres"))))


def test_the_size_is_that_of_its_tables(server: PostgreSQL, tmp_path: Path) -> None:
    store = Store(place(server, tmp_path), now=NOW)
    before = store.size_bytes()
    add(store, *(f"event {at}" for at in range(5000)))
    assert store.size_bytes() > before + 5000 * 50
    store.close()


def test_nobody_waits_without_end_for_a_lock_that_another_session_holds(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "BUSY_SECONDS", 1)
    store = Store(place(server, tmp_path), now=NOW)
    with create_engine(server.url()).connect() as other:
        other.exec_driver_sql(f"SELECT pg_advisory_lock({reaching.WRITER_LOCK})")
        began = time.monotonic()
        with pytest.raises(StoreError, match="lock"):
            add(store, "held up")
        assert time.monotonic() - began < 10
        other.exec_driver_sql(f"SELECT pg_advisory_unlock({reaching.WRITER_LOCK})")
    assert add(store, "held up").new == 1
    store.close()


def test_a_new_column_waits_a_moment_and_no_longer_for_somebody_who_reads_the_table(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "GROW_SECONDS", 1)
    store = Store(place(server, tmp_path), now=NOW)
    add(store, "there")
    with store.read() as connection:
        assert list(reading.wire_events(connection, 1))
        with pytest.raises(StoreError, match="lock"):
            store.write(lambda c: events.add_events(c, "shop", "demand", [event("wider", other=1)], received=NOW))
        other = store.write(lambda c: events.add_events(c, "shop", "risk", [event("of another")], received=NOW))
        assert other.new == 1
    again = store.write(lambda c: events.add_events(c, "shop", "demand", [event("wider", other=1)], received=NOW))
    assert again.new == 1
    store.close()


def test_a_time_after_2038_is_a_time_like_any_other(server: PostgreSQL, tmp_path: Path) -> None:
    store, known = Store(place(server, tmp_path), now=NOW), reference()
    late = 2_524_608_000.0  # 2050
    rows = [event("late", late, version="of 2050", temp=0.5)]
    store.write(lambda c: events.add_events(c, "later", "demand", rows, received=NOW))
    source = IngestSource(store, "later", "demand", bucket_seconds=3600)
    assert source.catch_up(store, lambda _: known, now=NOW) == 1
    assert source.profiles(Window(late, late + 3600), lambda _: known)["of 2050"].rows == 1
    store.close()


def test_a_row_that_is_too_wide_is_its_own_fault(server: PostgreSQL, tmp_path: Path) -> None:
    """One that its values alone have room for, and not what lies between them, as numbers stand at multiples of 8 bytes."""
    store = Store(place(server, tmp_path), now=NOW)
    features: dict[str, Any] = {}
    for number in range(330):
        features[f"text {number}"] = f"a text of {number:06} letters"
        if number < 220:
            features[f"number {number}"] = 1.0
    wide = event("wide", **features)
    entered, released = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        entered.set()
        assert released.wait(10)

    held = store.submit(hold)
    assert entered.wait(10)
    refused = store.submit(lambda c: events.add_events(c, "shop", "wide", [wide], received=NOW))
    beside = store.submit(lambda c: events.add_events(c, "shop", "beside", [event("a")], received=NOW))
    released.set()
    held.result(10)
    with pytest.raises(StoreError, match="too big"):
        refused.result(10)
    assert beside.result(10).new == 1
    store.close()


def test_a_daemon_that_was_idle_does_not_read_what_others_have_put_into_segments(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "FULL", 100)
    idle, busy = (Store(place(server, tmp_path / name), now=NOW) for name in ("idle", "busy"))

    def push(store: Store, *names: str) -> events.Taken:
        rows = [event(name) for name in names]
        return store.write(lambda c: events.add_events(c, "shop", "shared", rows, received=NOW))

    push(idle, "first")
    for at in range(0, 1000, 50):
        push(busy, *(f"event {place}" for place in range(at, at + 50)))
    asked: list[int] = []
    whole = hashes_of
    monkeypatch.setattr(ids, "hashes_of", lambda names: (asked.append(len(names)), whole(names))[1])
    again = push(idle, "event 7", "first", "event 999", "last")
    assert (again.new, again.duplicates) == (1, 3)
    assert sum(asked) < 200
    for store in (idle, busy):
        store.close()
