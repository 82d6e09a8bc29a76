"""A store from before there were typed columns keeps all it holds."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from monitor.profile import Reference
from monitor.records import Window
from monitor.source.ingest import IngestSource
from monitor.store import events, reading
from tests.store.rows import NOW, event, opened, reference

pytestmark = pytest.mark.files_only

OLD = """
DROP TABLE fields; DROP TABLE id_pages; DROP TABLE id_segments; DROP TABLE models;
DROP TABLE events_1; DROP TABLE labels_1; DROP TABLE waiting_labels_1;
CREATE TABLE models (id INTEGER PRIMARY KEY, app VARCHAR NOT NULL, name VARCHAR NOT NULL, UNIQUE (app, name));
INSERT INTO models VALUES (1, 'shop', 'demand');
CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, event_id VARCHAR NOT NULL,
    time FLOAT NOT NULL, received FLOAT NOT NULL, version VARCHAR NOT NULL, body BLOB NOT NULL, UNIQUE (model_id, event_id));
CREATE TABLE labels (seq INTEGER PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, event_id VARCHAR NOT NULL,
    time FLOAT, received FLOAT NOT NULL, body BLOB NOT NULL, UNIQUE (model_id, event_id));
UPDATE meta SET value = '2' WHERE key = 'schema';
"""


def three_in_their_profile(folder: Path) -> Reference:
    """Events of a store that is closed again, and the reference of their profile."""
    known = reference()
    with opened(folder) as store:
        rows = [event(f"e{place}", NOW + place, temp=place / 10) for place in range(3)]
        store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW))
        source = IngestSource(store, "shop", "demand", bucket_seconds=3600)
        source.catch_up(store, lambda _: known, now=NOW)
    return known


def test_every_event_and_label_is_moved_and_profiles_go_on(tmp_path: Path) -> None:
    known = three_in_their_profile(tmp_path)
    with sqlite3.connect(tmp_path / "anchorwatch.db") as connection:
        connection.executescript(OLD)
        for place in range(5):  # of which three are in their profile
            body = {"features": {"temp": place / 10, "tag": [None, 1, "x", True, [1.0, 2.0]][place]}, "prediction": 1.5}
            row = (place + 1, 1, f"e{place}", NOW + place, NOW + place, "1", json.dumps(body).encode())
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for place, name in enumerate(["e4", "stray"]):
            connection.execute("INSERT INTO labels VALUES (?, 1, ?, NULL, ?, ?)", (place + 1, name, NOW, b"2.5"))
    with opened(tmp_path) as store, store.read() as connection:
        moved = list(reading.wire_events(connection, 1))
        assert [row["event_id"] for row, _ in moved] == [f"e{place}" for place in range(5)]
        assert [row["features"]["tag"] for row, _ in moved] == [None, 1, "x", True, [1.0, 2.0]]
        assert [label["label"] if label else None for _, label in moved] == [None, None, None, None, 2.5]
        assert events.count_unmatched(connection, 1) == 1
        source = IngestSource(store, "shop", "demand", bucket_seconds=3600)
        assert source.profiles(Window(NOW, NOW + 3600), lambda _: known)["1"].rows == 5
        assert source.catch_up(store, lambda _: known, now=NOW) == 2
        again = [event("e4", NOW), event("new", NOW)]
        assert store.write(lambda c: events.add_events(c, "shop", "demand", again, received=NOW)).new == 1


def test_a_model_without_rows_gives_no_number_that_its_profile_knows(tmp_path: Path) -> None:
    known = three_in_their_profile(tmp_path)
    with sqlite3.connect(tmp_path / "anchorwatch.db") as connection:
        connection.executescript(OLD)
    with opened(tmp_path) as store:
        more = [event(f"f{place}", NOW + place) for place in range(5)]
        store.write(lambda c: events.add_events(c, "shop", "demand", more, received=NOW))
        source = IngestSource(store, "shop", "demand", bucket_seconds=3600)
        assert source.catch_up(store, lambda _: known, now=NOW) == 5
        assert source.profiles(Window(NOW, NOW + 3600), lambda _: known)["1"].rows == 8
