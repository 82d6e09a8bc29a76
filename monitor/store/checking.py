"""Whether a store is what it should be: nothing in it contradicts anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, func, select

from monitor.store import ids
from monitor.store.layout import Layout, layout_of
from monitor.store.profiles import DAY
from monitor.store.schema import cursors, models, profiles

TOGETHER = 5000
_decode = msgspec.msgpack.Decoder().decode


def complaints(connection: Connection, *, quick: bool = False) -> Iterator[str]:
    """What is wrong with a store, one line each; nothing where all is well.

    Args:
        connection: for reading; everything is of the moment at which it began.
        quick: without what takes the longer the more events there are.
    """
    yield from _file(connection)
    for number, app, name, last in connection.execute(
        select(models.c.id, models.c.app, models.c.name, models.c.last_seq)
    ):
        for complaint in _model(connection, number, last, quick=quick):
            yield f"{app}/{name}: {complaint}"


def _file(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        for said in connection.exec_driver_sql("PRAGMA quick_check").scalars():
            if said != "ok":
                yield str(said)


def _model(connection: Connection, number: int, last: int, *, quick: bool) -> Iterator[str]:
    layout = layout_of(connection, number)
    events, labels = layout.events, layout.labels
    newest = connection.execute(select(func.max(events.c.seq))).scalar() or 0
    if newest > last:
        yield f"expected no event beyond the number {last}, found {newest}"
    reached = connection.execute(select(func.max(cursors.c.seq)).where(cursors.c.model_id == number)).scalar() or 0
    if reached > last:
        yield f"expected profiles up to the event {last} at most, found them up to {reached}"
    without = labels.outerjoin(events, labels.c.event_seq == events.c.seq)
    strays = select(func.count()).select_from(without).where(events.c.seq.is_(None))
    if found := connection.execute(strays).scalar_one():
        yield f"expected every label to have its event, found {found} without"
    yield from _roll_ups(connection, number)
    if not quick:
        yield from _ids(connection, layout)
        yield from _buckets(connection, layout)


def _ids(connection: Connection, layout: Layout) -> Iterator[str]:
    """Every event is found by its id, and none by another's."""
    events, last, wrong = layout.events, 0, 0
    query = select(events.c.seq, events.c.event_id).order_by(events.c.seq).limit(TOGETHER)
    while rows := connection.execute(query.where(events.c.seq > last)).all():
        found = ids.find(connection, layout, [row.event_id for row in rows])
        wrong += sum(found.get(row.event_id) != row.seq for row in rows)
        last = rows[-1].seq
    if wrong:
        yield f"expected every event to be found by its id, found {wrong} that are not"


def _rows_of(connection: Connection, number: int) -> dict[tuple[str, str, int], Counter[int]]:
    """The rows of each profile by version, series and length, by when it starts."""
    found: dict[tuple[str, str, int], Counter[int]] = {}
    names = (profiles.c.version, profiles.c.series, profiles.c.seconds, profiles.c.bucket, profiles.c.body)
    query = select(*names).where(profiles.c.model_id == number)
    for version, series, seconds, bucket, body in connection.execution_options(yield_per=1000).execute(query):
        found.setdefault((version, series, seconds), Counter())[bucket] += _decode(body)[1]
    return found


def _roll_ups(connection: Connection, number: int) -> Iterator[str]:
    """The profiles of days are the sums of those that are shorter."""
    rows = _rows_of(connection, number)
    for (version, series, seconds), shorter in rows.items():
        days = rows.get((version, series, DAY))
        if days is None or seconds == DAY:
            continue
        summed: Counter[int] = Counter()
        for bucket, count in shorter.items():
            summed[bucket // DAY * DAY] += count
        wrong = [day for day in days if days[day] != summed[day]]
        if wrong:
            yield f"version {version}: expected days to be the sums of profiles of {seconds} s, found {len(wrong)} otherwise"


def _buckets(connection: Connection, layout: Layout) -> Iterator[str]:
    """No profile has fewer rows than there still are."""
    events, rows = layout.events, _rows_of(connection, layout.number)
    reached = select(cursors.c.version, cursors.c.series, cursors.c.seq).where(cursors.c.model_id == layout.number)
    for version, series, seq in connection.execute(reached).all():
        kept = {seconds: held for (of, name, seconds), held in rows.items() if (of, name) == (version, series)}
        if not kept:
            continue
        shortest = min(kept)
        times = select(events.c.time).where(events.c.version == version, events.c.seq <= seq)
        counted: Counter[int] = Counter()
        for part in connection.execution_options(yield_per=TOGETHER).execute(times).scalars().partitions(TOGETHER):
            counted.update(int(time // shortest) * shortest for time in part)
        wrong = [bucket for bucket, count in counted.items() if kept[shortest][bucket] < count]
        if wrong:
            yield f"version {version}: expected every event in its profile, found {len(wrong)} profiles that lack some"
