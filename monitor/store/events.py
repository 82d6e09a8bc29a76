"""Events and labels: taking them in once, reading them back, letting them go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from monitor.store.schema import cursors, events, labels, models, rejected, versions

REJECTED_KEPT = 10_000
RECORD_CHARACTERS = 4000
BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One prediction as it is stored. `body` is the JSON of features, prediction, probability and latency."""

    event_id: str
    time: float
    version: str
    body: bytes


@dataclass(frozen=True, slots=True)
class NewLabel:
    """One label as it is stored; `body` is its JSON."""

    event_id: str
    time: float | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that was not taken in, and why."""

    kind: str
    reason: str
    record: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch: how many were new, which versions were seen for the first time, and the new events' ids."""

    new: int
    duplicates: int
    new_versions: tuple[str, ...] = ()
    ids: frozenset[str] = frozenset()


def model_id(connection: Connection, app: str, name: str) -> int:
    """The number of a model, given to it at its first appearance."""
    found = find_model(connection, app, name)
    if found is not None:
        return found
    inserted = connection.execute(insert(models).values(app=app, name=name))
    assert inserted.inserted_primary_key is not None  # the table has one
    return int(inserted.inserted_primary_key[0])


def find_model(connection: Connection, app: str, name: str) -> int | None:
    """The number of a model, None where the store has never seen it."""
    row = connection.execute(select(models.c.id).where(models.c.app == app, models.c.name == name)).first()
    return None if row is None else int(row.id)


def add_events(connection: Connection, app: str, model: str, rows: Sequence[NewEvent], *, received: float) -> Taken:
    """Store predictions; one whose id is known already is left as it was."""
    number = model_id(connection, app, model)
    last = connection.execute(select(func.max(events.c.seq))).scalar_one() or 0
    values = [
        {
            "model_id": number,
            "event_id": row.event_id,
            "time": row.time,
            "received": received,
            "version": row.version,
            "body": row.body,
        }
        for row in rows
    ]
    connection.execute(insert(events).on_conflict_do_nothing(), values)
    fresh = connection.execute(select(events.c.event_id, events.c.version).where(events.c.seq > last)).all()
    seen = note_versions(connection, number, [row.version for row in fresh], received)
    return Taken(len(fresh), len(rows) - len(fresh), seen, frozenset(row.event_id for row in fresh))


def note_versions(connection: Connection, number: int, names: Sequence[str], now: float) -> tuple[str, ...]:
    """Remember the versions of a model; those not known before come back."""
    known = set(connection.execute(select(versions.c.version).where(versions.c.model_id == number)).scalars())
    fresh = [name for name in dict.fromkeys(names) if name not in known]
    if fresh:
        rows = [{"model_id": number, "version": name, "first_seen": now} for name in fresh]
        connection.execute(insert(versions), rows)
    return tuple(fresh)


def newest_versions(connection: Connection, number: int, *, limit: int) -> list[str]:
    """The versions of a model that were first seen last."""
    query = select(versions.c.version).where(versions.c.model_id == number)
    order = (versions.c.first_seen.desc(), versions.c.version)
    return list(connection.execute(query.order_by(*order).limit(limit)).scalars())


def count_versions(connection: Connection, number: int) -> int:
    """How many versions of a model have ever been seen."""
    query = select(func.count()).select_from(versions).where(versions.c.model_id == number)
    return int(connection.execute(query).scalar_one())


def known_versions(connection: Connection, number: int) -> dict[str, float]:
    """The versions of a model and when each was first seen."""
    rows = connection.execute(select(versions.c.version, versions.c.first_seen).where(versions.c.model_id == number))
    return {row.version: row.first_seen for row in rows}


def add_labels(connection: Connection, app: str, model: str, rows: Sequence[NewLabel], *, received: float) -> Taken:
    """Store labels, also those whose prediction is still unknown; the first label of an id stands."""
    number = model_id(connection, app, model)
    values = [
        {"model_id": number, "event_id": row.event_id, "time": row.time, "received": received, "body": row.body}
        for row in rows
    ]
    last = connection.execute(select(func.max(labels.c.seq))).scalar_one() or 0
    connection.execute(insert(labels).on_conflict_do_nothing(), values)
    new = connection.execute(select(func.count()).select_from(labels).where(labels.c.seq > last)).scalar_one()
    return Taken(new, len(rows) - new)


def add_rejections(connection: Connection, rows: Sequence[Rejection], *, now: float) -> None:
    """Keep rejected records aside for a person to read: the newest few thousand, each cut to a few thousand characters."""
    values = [
        {"at": now, "kind": row.kind, "reason": row.reason, "record": row.record[:RECORD_CHARACTERS]} for row in rows
    ]
    connection.execute(insert(rejected), values[-REJECTED_KEPT:])
    newest = connection.execute(select(func.max(rejected.c.seq))).scalar_one()
    connection.execute(delete(rejected).where(rejected.c.seq <= newest - REJECTED_KEPT))


def newest_event(connection: Connection, number: int, before: float) -> float | None:
    """The newest event time of a model before an instant."""
    query = select(func.max(events.c.time)).where(events.c.model_id == number, events.c.time < before)
    found = connection.execute(query).scalar_one()
    return None if found is None else float(found)


def oldest_event(connection: Connection, number: int) -> float | None:
    """The oldest event time of a model that is kept."""
    found = connection.execute(select(func.min(events.c.time)).where(events.c.model_id == number)).scalar_one()
    return None if found is None else float(found)


def events_after(
    connection: Connection, number: int, version: str, seq: int, *, limit: int, start: float, end: float
) -> Sequence[Any]:
    """Rows (seq, time, body) of one version in order of arrival, after `seq`, with event time in `[start, end)`."""
    query = (
        select(events.c.seq, events.c.time, events.c.body)
        .where(events.c.model_id == number, events.c.version == version, events.c.seq > seq)
        .where(events.c.time >= start, events.c.time < end)
        .order_by(events.c.seq)
        .limit(limit)
    )
    return connection.execute(query).all()


def version_spans(connection: Connection, number: int, start: float, end: float) -> Sequence[Any]:
    """Rows (version, rows, first, last) of the events with time in `[start, end)`."""
    query = (
        select(events.c.version, func.count(), func.min(events.c.time), func.max(events.c.time))
        .where(events.c.model_id == number, events.c.time >= start, events.c.time < end)
        .group_by(events.c.version)
    )
    return connection.execute(query).all()


def spread_out_events(
    connection: Connection, number: int, version: str, *, limit: int, start: float, end: float
) -> Sequence[Any]:
    """Rows (seq, time, event_id, body) of at most `limit` events in `[start, end)`, one in so many, in order of time."""
    held = (
        events.c.model_id == number, events.c.version == version, events.c.time >= start, events.c.time < end
    )  # fmt: skip
    rows = connection.execute(select(func.count()).select_from(events).where(*held)).scalar_one()
    place = (func.row_number().over(order_by=(events.c.time, events.c.seq)) - 1).label("place")
    numbered = select(events.c.seq, place).where(*held).subquery()
    chosen = select(numbered.c.seq).where(numbered.c.place * min(limit, rows) % max(rows, 1) < min(limit, rows))
    query = select(events.c.seq, events.c.time, events.c.event_id, events.c.body).where(events.c.seq.in_(chosen))
    return connection.execute(query.order_by(events.c.time, events.c.seq)).all()


def labelled_events(
    connection: Connection, number: int, start: float, end: float, known_by: float = math.inf
) -> Iterator[Sequence[Any]]:
    """Batches of rows (time, version, body, label body, when it came) of the events that have a label by an instant.

    A label has come at its own time, or, where it tells none, when it was received.
    """
    joined = events.join(labels, and_(labels.c.model_id == events.c.model_id, labels.c.event_id == events.c.event_id))
    came = func.coalesce(labels.c.time, labels.c.received)
    query = (
        select(events.c.time, events.c.version, events.c.body, labels.c.body.label("label"), came.label("came"))
        .select_from(joined)
        .where(events.c.model_id == number, events.c.time >= start, events.c.time < end)
    )
    if known_by < math.inf:
        query = query.where(came <= known_by)
    yield from connection.execution_options(yield_per=BATCH_ROWS).execute(query).partitions(BATCH_ROWS)


def count_labelled(connection: Connection, number: int, *, since: float, at_most: int) -> int:
    """Labelled predictions with event time from `since` on; counting ends at `at_most`."""
    joined = events.join(labels, and_(labels.c.model_id == events.c.model_id, labels.c.event_id == events.c.event_id))
    some = select(events.c.seq).select_from(joined).where(events.c.model_id == number, events.c.time >= since)
    return int(connection.execute(select(func.count()).select_from(some.limit(at_most).subquery())).scalar_one())


def count_unmatched(connection: Connection, number: int) -> int:
    """Labels that no prediction has claimed."""
    return int(connection.execute(select(func.count()).select_from(_unmatched(number).subquery())).scalar_one())


def _unmatched(number: int) -> Any:
    claimed = select(events.c.seq).where(events.c.model_id == labels.c.model_id, events.c.event_id == labels.c.event_id)
    return select(labels.c.seq).where(labels.c.model_id == number, ~claimed.exists())


def expire_labels(connection: Connection, number: int, *, received_before: float, limit: int) -> int:
    """Drop unmatched labels received before an instant; how many went."""
    old = _unmatched(number).where(labels.c.received < received_before).limit(limit)
    return connection.execute(delete(labels).where(labels.c.seq.in_(old))).rowcount


def expire_events(connection: Connection, *, number: int, now: float, keep: float, limit: int) -> int:
    """Drop a model's oldest predictions received more than `keep` ago, with their labels; how many predictions went.

    What has not been added to its profiles yet stays as long again: a reference that cannot be read for a while costs
    nothing, and one that never can fills no disk.
    """
    waiting = select(func.min(cursors.c.seq)).where(
        cursors.c.model_id == events.c.model_id, cursors.c.version == events.c.version
    )
    profiled = events.c.seq <= func.coalesce(waiting.scalar_subquery(), events.c.seq)
    old = (
        select(events.c.seq, events.c.event_id)
        .where(events.c.model_id == number, events.c.received < now - keep)
        .where(or_(profiled, events.c.received < now - 2 * keep))
        .order_by(events.c.received)
        .limit(limit)
    )
    gone = connection.execute(old).all()
    if gone:
        ids = [row.event_id for row in gone]
        connection.execute(delete(labels).where(labels.c.model_id == number, labels.c.event_id.in_(ids)))
        connection.execute(delete(events).where(events.c.seq.in_([row.seq for row in gone])))
    return len(gone)


def export_events(connection: Connection, number: int) -> Iterator[Sequence[Any]]:
    """Batches of a model's raw events in order of arrival: (event_id, time, version, event body, label time and body)."""
    joined = events.outerjoin(
        labels, and_(labels.c.model_id == events.c.model_id, labels.c.event_id == events.c.event_id)
    )
    query = (
        select(
            events.c.event_id,
            events.c.time,
            events.c.version,
            events.c.body,
            labels.c.time.label("label_time"),
            labels.c.body.label("label_body"),
        )
        .select_from(joined)
        .where(events.c.model_id == number)
        .order_by(events.c.seq)
    )
    yield from connection.execution_options(yield_per=BATCH_ROWS).execute(query).partitions(BATCH_ROWS)
