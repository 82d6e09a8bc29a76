"""Whether a store is sound: what is well is not complained of, what contradicts itself is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from monitor.source.ingest import IngestSource
from monitor.store import Store, StoreError, events, expiry, ids
from monitor.store.checking import complaints
from monitor.store.engine import compact
from tests.store.rows import NOW, event, label, opened, place, reference


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Of several tables of ids, days, hours and buckets, some of whose rows have gone."""
    monkeypatch.setattr(ids, "FULL", 40)
    draw = random.Random(1)
    with opened(tmp_path) as made:
        source = IngestSource(made, "shop", "demand", bucket_seconds=600)
        for part in range(5):
            rows = [event(f"{part}-{at}", NOW + draw.uniform(0, 200_000), temp=draw.random()) for at in range(30)]
            made.write(lambda c, rows=rows: events.add_events(c, "shop", "demand", rows, received=NOW))
            told = [label(f"{part}-{at}") for at in range(0, 30, 3)] + [label(f"stray {part}")]
            made.write(lambda c, told=told: events.add_labels(c, "shop", "demand", told, received=NOW))
            if part < 4:  # the last are not in their profiles yet
                source.catch_up(made, lambda _: reference(), now=NOW)
        made.write(lambda c: expiry.drop_oldest(c, number=1, limit=35))
        yield made


def said(store: Store, *, quick: bool = False) -> list[str]:
    with store.read() as connection:
        return list(complaints(connection, quick=quick))


def spoil(store: Store, *statements: str) -> None:
    def change(connection: Connection) -> None:
        for each in statements:
            connection.execute(text(each))

    store.write(change)


def test_a_sound_store_is_not_complained_of(store: Store) -> None:
    assert said(store) == []


def test_a_store_that_is_looked_at_again_is_seen_as_it_is_by_then(store: Store) -> None:
    """Ids have come into segments that were there before, and into others."""
    assert said(store) == []
    for part in range(3):
        rows = [event(f"later {part}-{at}", NOW, temp=0.5) for at in range(30)]
        store.write(lambda c, rows=rows: events.add_events(c, "shop", "demand", rows, received=NOW))
        assert said(store) == []


def test_an_empty_store_is_sound(tmp_path: Path) -> None:
    with opened(tmp_path / "empty") as made:
        assert said(made) == []


@pytest.mark.parametrize(
    ("statement", "complaint", "quick"),
    [
        ("UPDATE models SET last_seq = 7", "expected no event beyond the number 7, found 150", True),
        (
            "UPDATE profile_cursors SET seq = 999",
            "expected profiles up to the event 150 at most, found them up to 999",
            True,
        ),
        ("DELETE FROM events_1 WHERE seq = 40", "expected every label to have its event, found 1 without", True),
        (
            "UPDATE events_1 SET event_id = 'another' WHERE seq = 50",
            "expected every event to be found by its id, found 1",
            False,
        ),
        (
            "DELETE FROM profiles WHERE seconds = 600 AND bucket % 1200 = 0",
            "expected every event in its profile",
            False,
        ),
        ("DELETE FROM profiles WHERE seconds = 3600 AND bucket % 7200 = 0", "expected days to be the sums", True),
    ],
)
def test_what_contradicts_itself_is_told(store: Store, statement: str, complaint: str, quick: bool) -> None:
    spoil(store, statement)
    assert any(complaint in each for each in said(store)), said(store)
    assert any(complaint in each for each in said(store, quick=True)) is quick


@pytest.mark.files_only
def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as made:
        rows = [event(str(at), NOW, temp=0.5) for at in range(3000)]
        made.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW))
    file = tmp_path / "data/anchorwatch.db"
    whole = bytearray(file.read_bytes())
    whole[-20 * 4096 : -19 * 4096] = bytes(4096)
    file.write_bytes(whole)
    with opened(tmp_path / "data") as made:
        assert said(made, quick=True) != [] if not _unreadable(made) else True


def _unreadable(store: Store) -> bool:
    try:
        said(store)
    except StoreError:
        return True
    return False


def test_room_is_given_back_and_nothing_else_changes(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as made:
        rows = [event(str(at), NOW, temp=at / 7) for at in range(5000)]
        made.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW))
        made.write(lambda c: expiry.drop_oldest(c, number=1, limit=4900))
        before = made.size_bytes()
        if made.url is None:
            with pytest.raises(StoreError, match="in use by another daemon"):
                compact(place(tmp_path / "data"))
    compact(place(tmp_path / "data"))
    with opened(tmp_path / "data") as made:
        assert made.size_bytes() < before
        assert said(made) == []
        again = [event(str(at), NOW, temp=at / 7) for at in range(5000)]
        assert made.write(lambda c: events.add_events(c, "shop", "demand", again, received=NOW)).duplicates == 100
