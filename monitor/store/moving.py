"""The rows of a store from before there were typed columns, moved to where they are kept now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from monitor.store.events import NewEvent, NewLabel, add_events, add_labels
from monitor.store.layout import create_tables
from monitor.store.quarantine import Rejection, set_aside

TOGETHER = 5000
CUT = 4000  # characters that were kept of a record
_decode = msgspec.json.Decoder().decode


def move_rows(connection: Connection) -> None:
    """Move every event and label, in order of arrival, each with the time of its receipt; cursors of profiles stay valid.

    An event keeps its number: profiles say up to which they reach.
    """
    for number, app, name in connection.execute(text("SELECT id, app, name FROM models")).all():
        create_tables(connection, number)
        for row in _rows(connection, "events", "seq, event_id, time, received, version, body", number):
            body = _decode(row.body)
            event = NewEvent(
                row.event_id, row.time, row.version, body["features"], body["prediction"],
                body.get("probability"), body.get("latency_seconds"),
            )  # fmt: skip
            connection.execute(
                text("UPDATE models SET last_seq = :seq WHERE id = :id"), {"seq": row.seq - 1, "id": number}
            )
            add_events(connection, app, name, [event], received=row.received)
        for row in _rows(connection, "labels", "seq, event_id, time, received, body", number):
            label = NewLabel(row.event_id, row.time, _decode(row.body))
            add_labels(connection, app, name, [label], received=row.received)
    # Also where all its rows have gone: a number that a profile has seen is given to no other event.
    reached = "(SELECT coalesce(max(seq), 0) FROM profile_cursors WHERE model_id = models.id)"
    connection.execute(text(f"UPDATE models SET last_seq = {reached} WHERE last_seq < {reached}"))  # noqa: S608 - of ours
    for table in ("events", "labels"):
        connection.execute(text(f"DROP TABLE {table}"))


def move_rejected(connection: Connection) -> None:
    """Move the records that were set aside; those that are as long as they could be may have been cut."""
    for row in connection.execute(text("SELECT at, kind, reason, record FROM rejected ORDER BY seq")).all():
        whole = len(row.record) < CUT
        rejection = Rejection(row.kind, row.reason, row.reason, row.record.encode(), whole=whole)
        set_aside(connection, [rejection], now=row.at)
    connection.execute(text("DROP TABLE rejected"))


def _rows(connection: Connection, table: str, columns: str, number: int) -> Iterator[Any]:
    last = 0
    query = text(
        f"SELECT {columns} FROM {table} WHERE model_id = :model AND seq > :last ORDER BY seq LIMIT {TOGETHER}"  # noqa: S608 - names of ours
    )
    while rows := connection.execute(query, {"model": number, "last": last}).all():
        yield from rows
        last = rows[-1].seq
