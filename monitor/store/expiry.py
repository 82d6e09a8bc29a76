"""Letting events and labels go: for their age, by sampling, and where there is no room; none before its profile has it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, false, func, or_, select, true, update

from monitor.store import ids
from monitor.store.filters import hashes_of, in_sample
from monitor.store.layout import Layout, layout_of
from monitor.store.schema import cursors, models
from monitor.store.versions import FED, newest_versions

ASKED = 500  # events in one statement
SKIPPED = 200_000  # numbers of events among which those are looked for that may go before others


def expire_labels(connection: Connection, number: int, *, received_before: float, limit: int) -> int:
    """Drop unmatched labels received before an instant; how many went."""
    waiting = layout_of(connection, number).waiting
    old = select(waiting.c.event_id).where(waiting.c.received < received_before).limit(limit)
    return connection.execute(delete(waiting).where(waiting.c.event_id.in_(old))).rowcount


def _profiled(connection: Connection, number: int) -> dict[str, int]:
    """Up to which event the rows of each version are in their profiles; versions that have none are left out."""
    query = select(cursors.c.version, func.min(cursors.c.seq)).where(cursors.c.model_id == number, cursors.c.fed)
    return {row[0]: row[1] for row in connection.execute(query.group_by(cursors.c.version))}


def _waiting(connection: Connection, number: int, events: Table) -> ColumnElement[bool]:
    """Which rows wait for their profile: those that it will take in, as far as is known here.

    Of versions that are not fed none does, and none at all where the model has no profiles.
    """
    profiled = _profiled(connection, number)
    fed = newest_versions(connection, number, limit=FED) if profiled else []
    later = (and_(events.c.version == each, events.c.seq > profiled.get(each, 0)) for each in fed)
    return or_(false(), *later)


def expire_events(connection: Connection, *, number: int, now: float, keep: float, limit: int) -> int:
    """Drop a model's oldest predictions received more than `keep` ago, with their labels; how many predictions went.

    What has not been added to its profiles yet stays as long again: a reference that cannot be read for a while costs
    nothing, and one that never can fills no disk. Versions that are not fed, and models without profiles, wait for none.
    """
    events = layout_of(connection, number).events
    waiting = _waiting(connection, number, events)
    old = and_(events.c.received < now - keep, or_(~waiting, events.c.received < now - 2 * keep))
    return _drop(connection, number, old, limit)


def thin(connection: Connection, *, number: int, share: float, received_before: float, limit: int) -> tuple[int, int]:
    """Leave only a sample of a model's next events that are old enough; how many were looked at, and how many went.

    Which ones stay, their ids say. None goes that is not in its profile, or whose id is not known without it. One that will
    be in its profile is waited for; others stay as they are.
    """
    layout = layout_of(connection, number)
    events, mine = layout.events, models.c.id == number
    done = connection.execute(select(models.c.thinned_seq).where(mine)).scalar_one()
    known = ids.last_in_segments(connection, number)
    profiled = _profiled(connection, number)
    fed = {each: profiled[each] for each in newest_versions(connection, number, limit=FED) if each in profiled}
    query = select(events.c.seq, events.c.event_id, events.c.version, events.c.received, events.c.time)
    query = query.where(events.c.seq > done, events.c.seq <= known).order_by(events.c.seq).limit(limit)
    rows = connection.execute(query).all()
    # In order of arrival, and so the first that has to stay whole ends it.
    ready = list(
        takewhile(lambda row: row.received < received_before and row.seq <= fed.get(row.version, row.seq), rows)
    )
    if not ready:
        return 0, 0
    sampled = in_sample(hashes_of([row.event_id for row in ready]), share).tolist()
    # One that nobody has fed, or that says it is of another day, stays for its retention: nothing waits for it.
    gone = [
        row.seq
        for row, stays in zip(ready, sampled, strict=True)
        if not stays and row.seq <= profiled.get(row.version, 0) and row.time < received_before
    ]
    _delete(connection, layout, gone)
    connection.execute(update(models).where(mine).values(thinned_seq=ready[-1].seq))
    return len(ready), len(gone)


def drop_oldest(connection: Connection, *, number: int, limit: int) -> int:
    """Drop a model's first predictions, whatever their age; how many went.

    What is not in its profile yet goes last: only where nothing else is left, or so much of it is before all else that looking
    for that would keep the writer.
    """
    layout = layout_of(connection, number)
    events, labels = layout.events, layout.labels
    first = connection.execute(select(func.min(events.c.seq))).scalar()
    if first is None:
        return 0
    near = and_(~_waiting(connection, number, events), events.c.seq < first + SKIPPED)
    query = select(events.c.seq).order_by(events.c.seq).limit(limit)
    seqs, going = connection.execute(query.where(near)).scalars().all(), near
    if not seqs:
        seqs, going = connection.execute(query).scalars().all(), true()
    connection.execute(delete(events).where(events.c.seq <= seqs[-1], going))
    left = select(events.c.seq).where(events.c.seq <= seqs[-1])
    connection.execute(delete(labels).where(labels.c.event_seq <= seqs[-1], labels.c.event_seq.not_in(left)))
    _drop_segments(connection, layout, seqs[-1])
    return len(seqs)


def _drop(connection: Connection, number: int, which: Any, limit: int) -> int:
    layout = layout_of(connection, number)
    events = layout.events
    query = select(events.c.seq).order_by(events.c.received, events.c.seq).limit(limit)
    gone = list(connection.execute(query if which is None else query.where(which)).scalars())
    _delete(connection, layout, gone)
    if gone:
        _drop_segments(connection, layout, max(gone))
    return len(gone)


def _drop_segments(connection: Connection, layout: Layout, gone: int) -> None:
    """Forget the ids of events that have all gone, of which `gone` was the last.

    Not up to the next that is there: between them may be some that were thinned out, whose ids are still to be known.
    """
    oldest = connection.execute(select(func.min(layout.events.c.seq))).scalar()
    ids.drop_segments(connection, layout.number, gone + 1 if oldest is None else min(oldest, gone + 1))


def _delete(connection: Connection, layout: Layout, seqs: Sequence[int]) -> None:
    for at in range(0, len(seqs), ASKED):
        some = seqs[at : at + ASKED]
        connection.execute(delete(layout.labels).where(layout.labels.c.event_seq.in_(some)))
        connection.execute(delete(layout.events).where(layout.events.c.seq.in_(some)))
