"""What is under way between two transactions: how far feeds have been read, and halves of calls."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, tuple_

from monitor.store.dialect import insert_new
from monitor.store.schema import feeds, halves


def feed_position(connection: Connection, app: str, model: str, kind: str) -> str | None:
    """How far a feed has been read; None before the first time."""
    here = (feeds.c.app == app, feeds.c.model == model, feeds.c.kind == kind)
    return connection.execute(select(feeds.c.position).where(*here)).scalar()


class PositionMoved(Exception):
    """Somebody else has read on meanwhile."""


def save_position(
    connection: Connection, app: str, model: str, kind: str, position: str, *, before: str | None
) -> None:
    """Keep how far a feed has been read, in the transaction that keeps the records.

    Raises:
        PositionMoved: it was not read from where it was `before`.
    """
    if feed_position(connection, app, model, kind) != before:
        raise PositionMoved
    adding = insert_new(connection, feeds).values(app=app, model=model, kind=kind, position=position)
    keys = feeds.primary_key
    connection.execute(adding.on_conflict_do_update(index_elements=keys, set_={"position": adding.excluded.position}))


def other_half(connection: Connection, key: str, side: str, other: str, body: bytes, *, now: float) -> bytes | None:
    """The other half of a call, which is then no longer kept; without it this one is kept, once."""
    there = (halves.c.key == key, halves.c.side == other)
    found = connection.execute(select(halves.c.body).where(*there)).scalar()
    if found is not None:
        connection.execute(delete(halves).where(halves.c.key == key))
        return bytes(found)
    row = {"key": key, "side": side, "received": now, "body": body}
    connection.execute(insert_new(connection, halves).values(**row).on_conflict_do_nothing())
    return None


def expire_halves(connection: Connection, *, received_before: float, limit: int) -> int:
    """Drop halves whose other half never came; how many went."""
    old = select(halves.c.key, halves.c.side).where(halves.c.received < received_before).limit(limit)
    return connection.execute(delete(halves).where(tuple_(halves.c.key, halves.c.side).in_(old))).rowcount
