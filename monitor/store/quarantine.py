"""Records that were not taken in: kept aside, the newest of them, for a person to read and to send again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from monitor.records import iso
from monitor.store.schema import quarantine

ROWS_KEPT = 10_000
BYTES_KEPT = 16 * 1024 * 1024
RECORD_BYTES = 16 * 1024  # of one record; a longer one is cut, and cannot be sent again


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that was not taken in: why, by a short name and in words, and what it was.

    `subject` is the app and the model whose source it came from, where it had one of its own.
    """

    kind: str
    reason: str
    message: str
    record: bytes
    whole: bool = True
    subject: tuple[str, str] | None = None


def set_aside(connection: Connection, rows: Sequence[Rejection], *, now: float) -> None:
    """Keep rejected records; the oldest make room for them."""
    values = [
        {
            "at": now,
            "kind": row.kind,
            "reason": row.reason,
            "message": row.message.replace("\0", "\ufffd")[:1000],
            "whole": row.whole and len(row.record) <= RECORD_BYTES,
            "record": row.record[:RECORD_BYTES],
            "app": row.subject and row.subject[0],
            "model": row.subject and row.subject[1],
        }
        for row in rows[-ROWS_KEPT:]
    ]
    connection.execute(insert(quarantine), values)
    newest = connection.execute(select(func.max(quarantine.c.seq))).scalar_one()
    connection.execute(delete(quarantine).where(quarantine.c.seq <= newest - ROWS_KEPT))


def trim(connection: Connection) -> int:
    """Drop the oldest beyond the room there is for all; how many went."""
    size = func.sum(func.length(quarantine.c.record)).over(order_by=quarantine.c.seq.desc())
    summed = select(quarantine.c.seq, size.label("size")).subquery()
    beyond = connection.execute(select(func.max(summed.c.seq)).where(summed.c.size > BYTES_KEPT)).scalar()
    return 0 if beyond is None else connection.execute(delete(quarantine).where(quarantine.c.seq <= beyond)).rowcount


def read_aside(connection: Connection, *, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
    """The records after a sequence number, oldest first, as they are shown; what is no UTF-8 in them is replaced."""
    query = select(quarantine).where(quarantine.c.seq > after).order_by(quarantine.c.seq).limit(limit)
    return [
        {
            "seq": row.seq,
            "at": iso(row.at),
            "kind": row.kind,
            "reason": row.reason,
            "message": row.message,
            "whole": row.whole,
            "app": row.app,
            "model": row.model,
            "record": row.record.decode("utf-8", "replace"),
        }
        for row in connection.execute(query)
    ]


def records_aside(
    connection: Connection, kind: str, seqs: Collection[int] | None, limit: int
) -> list[tuple[int, bytes, tuple[str, str] | None]]:
    """The whole records of a kind, with their numbers and whose source they came from: these, or the oldest."""
    query = select(quarantine).where(quarantine.c.kind == kind, quarantine.c.whole)
    if seqs is not None:
        query = query.where(quarantine.c.seq.in_(list(seqs)))
    return [
        (row.seq, row.record, (row.app, row.model) if row.model else None)
        for row in connection.execute(query.order_by(quarantine.c.seq).limit(limit))
    ]


def take_out(connection: Connection, seqs: Collection[int]) -> set[int]:
    """Drop records that have been sent again; those that were still there."""
    gone = delete(quarantine).where(quarantine.c.seq.in_(list(seqs))).returning(quarantine.c.seq)
    return set(connection.execute(gone).scalars())
