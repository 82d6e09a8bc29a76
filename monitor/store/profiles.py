"""Profiles as the store keeps them: sparse, one row per model version and stretch of event time.

Stretches are buckets, and the hours and days they add up to; a window is the sum of the longest ones it is made of, so that a
month of minutes is thirty days. All are written in one transaction: a late row is in its bucket, its hour and its day at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, and_, delete, func, insert, select, update

from monitor.profile import Bins, Profile
from monitor.store.cursors import COUNTED, series_is
from monitor.store.dialect import insert_new
from monitor.store.encoding import Layout, Sum
from monitor.store.layout import layout_of
from monitor.store.schema import cursors, profiles

ROLLED_UP = (86400, 3600)
DAY = ROLLED_UP[0]
Fresh = Mapping[int, Mapping[int, bytes]]  # by length in seconds and by start, profiles as bytes


class CursorMoved(Exception):
    """Somebody else has profiled these rows already."""


def lengths(bucket_seconds: int) -> list[int]:
    """The lengths, in seconds, of what is kept of buckets that long: the longest first.

    >>> lengths(60), lengths(5400), lengths(86400)
    ([86400, 3600, 60], [86400, 5400], [86400])
    """
    return [*(whole for whole in ROLLED_UP if whole > bucket_seconds and whole % bucket_seconds == 0), bucket_seconds]


def rolled_up(found: Iterable[tuple[int, Profile]], layout: Layout, seconds: int) -> dict[int, dict[int, bytes]]:
    """Profiles of buckets, and the hours and days they add up to, as bytes by length and start.

    Most of the work of adding them to what is kept: it needs no database, and so nobody has to wait for it.

    Args:
        found: the profile of each bucket, with its start.
        layout: of their bins.
        seconds: the length of a bucket.
    """
    parts = {}
    for bucket, profile in found:
        whole = Sum(layout)
        whole.add(profile)
        parts[bucket] = whole.encoded()
    by_length = {seconds: parts}
    for length in reversed(lengths(seconds)[:-1]):
        together: dict[int, list[bytes]] = {}
        for start, body in parts.items():
            together.setdefault(start // length * length, []).append(body)
        parts = by_length[length] = {start: _added(bodies, layout) for start, bodies in together.items()}
    return by_length


def whole_of(fresh: Fresh, layout: Layout) -> Profile | None:
    """What `rolled_up` made of some profiles, as one; None where there were none."""
    whole = Sum(layout)
    for body in fresh[max(fresh)].values():
        whole.add_encoded(body)
    return whole.profile()


def rows_in(body: bytes) -> int:
    """How many rows a profile has that is bytes."""
    return int(msgspec.msgpack.decode(body)[1])


def _added(bodies: Sequence[bytes], layout: Layout) -> bytes:
    if len(bodies) == 1:
        return bodies[0]
    whole = Sum(layout)
    for body in bodies:
        whole.add_encoded(body)
    return whole.encoded()


@dataclass(frozen=True, slots=True)
class Move:
    """The profiles of a version's events in `(before, after]`, to be added to what is kept; of `COUNTED` there are none.

    Attributes:
        version: of the events.
        series: of the profiles.
        before: where the cursor is.
        after: where it goes.
        layout: of the bins that the profiles are on.
        fresh: what is added, as `rolled_up` makes it.
    """

    version: str
    series: str
    before: int
    after: int
    layout: Layout | None = None
    fresh: Fresh = field(default_factory=dict)


def advance(connection: Connection, number: int, moves: Iterable[Move], *, now: float) -> None:
    """Add the profiles of events to what is kept and move the cursors, in one transaction.

    Args:
        connection: of that transaction.
        number: the model's.
        moves: one for each version.
        now: Unix seconds.

    Raises:
        CursorMoved: a cursor is no longer where it was; nothing was added.
    """
    places = []
    for move in moves:
        query = select(cursors.c.seq, cursors.c.fed).where(*series_is(cursors, number, move.version, move.series))
        place = connection.execute(query).first()
        if (0 if place is None else place.seq) != move.before:
            raise CursorMoved
        places.append((move, None if place is None else bool(place.fed)))
    for move, fed in places:
        if _moved(connection, number, move, fed=fed):
            for length, fresh in move.fresh.items():
                if fresh and move.layout is not None:
                    _add(connection, (number, move.version, move.series, length), fresh, move.layout, now)


def _moved(connection: Connection, number: int, move: Move, *, fed: bool | None) -> bool:
    """Move a cursor, which may be that of a series left before, or None yet; whether its profiles are to be added."""
    of_version = cursors.c.model_id == number, cursors.c.version == move.version
    if not fed and move.series != COUNTED:
        # The series that was fed until now stays as it is, in case its reference comes back, and holds nothing up.
        others = update(cursors).where(*of_version, cursors.c.series != COUNTED, cursors.c.fed)
        connection.execute(others.values(fed=False))
    if fed is None and move.series != COUNTED:
        reached = _reached(connection, number, move.version, move.series)
        row = {"model_id": number, "version": move.version, "series": move.series, "seq": reached or move.after}
        connection.execute(insert(cursors).values(**row))
        return reached == 0
    here = update(cursors).where(*series_is(cursors, number, move.version, move.series))
    connection.execute(here.values(seq=move.after, fed=True))
    return True


def _reached(connection: Connection, number: int, version: str, series: str) -> int:
    """Up to which event a series without a cursor has its rows, 0 where it has none.

    Series that were left once lost their cursor. One whose rows are still there is rebuilt from them; else what it holds is all
    there is of some, and about where it ends is known by when it was last added to.
    """
    mine = series_is(profiles, number, version, series)
    updated, longest = connection.execute(
        select(func.max(profiles.c.updated), func.max(profiles.c.seconds)).where(*mine)
    ).one()
    if updated is None:
        return 0
    bodies = connection.execute(select(profiles.c.body).where(*mine, profiles.c.seconds == longest)).scalars()
    table = layout_of(connection, number).events
    there = select(func.count(), func.max(table.c.seq)).where(table.c.version == version, table.c.received <= updated)
    rows, reached = connection.execute(there).one()
    if rows < sum(map(rows_in, bodies)):
        return reached or 0
    connection.execute(delete(profiles).where(*mine))
    return 0


def _add(
    connection: Connection, key: tuple[int, str, str, int], fresh: Mapping[int, bytes], layout: Layout, now: float
) -> None:
    """Add profiles to what is kept of stretches of one length, by their starts."""
    number, version, series, length = key
    of = (*series_is(profiles, number, version, series), profiles.c.seconds == length)
    query = select(profiles.c.bucket, profiles.c.body).where(*of, profiles.c.bucket.in_(fresh))
    kept = {row.bucket: row.body for row in connection.execute(query)}
    rows = []
    for start, body in fresh.items():
        whole = _added([body, kept[start]], layout) if start in kept else body
        about = {"model_id": number, "version": version, "series": series, "seconds": length, "bucket": start}
        rows.append({**about, "updated": now, "body": whole})
    adding = insert_new(connection, profiles)
    changed = {name: adding.excluded[name] for name in ("updated", "body")}
    connection.execute(adding.on_conflict_do_update(index_elements=profiles.primary_key, set_=changed), rows)


def read_buckets(
    connection: Connection,
    number: int,
    version: str,
    series: str,
    *,
    bins: Mapping[str, Bins],
    seconds: int,
    start: int,
    end: int,
) -> Profile | None:
    """The profile of the buckets that begin in `[start, end)`, None where there are none.

    `seconds` is the length of a bucket.
    """
    whole = Sum(Layout(bins))
    for length, first, last in _pieces(start, end, lengths(seconds)):
        for _, body in _bodies(connection, number, version, series, length, first, last):
            whole.add_encoded(body)
    return whole.profile()


def read_parts(
    connection: Connection,
    number: int,
    version: str,
    series: str,
    *,
    bins: Mapping[str, Bins],
    seconds: int,
    start: int,
    end: int,
    longest: int,
) -> Iterator[tuple[int, Profile]]:
    """The profiles of the buckets that begin in `[start, end)`, each with its start.

    Buckets are added up where that saves reading, as long as what they add up to is no longer than `longest` seconds, and
    divides it.
    """
    layout = Layout(bins)
    usable = [length for length in lengths(seconds) if longest % length == 0]
    for length, first, last in _pieces(start, end, usable or [seconds]):
        for bucket, body in _bodies(connection, number, version, series, length, first, last):
            whole = Sum(layout)
            whole.add_encoded(body)
            if (profile := whole.profile()) is not None:
                yield bucket, profile


def _pieces(start: int, end: int, usable: list[int]) -> Iterator[tuple[int, int, int]]:
    """A stretch of time as (length, start, end): whole days, then whole hours before and behind them, then buckets."""
    length, *shorter = usable
    if not shorter:
        yield length, start, end
        return
    first, last = -(-start // length) * length, end // length * length
    if first >= last:
        yield from _pieces(start, end, shorter)
        return
    yield from _pieces(start, first, shorter)
    yield length, first, last
    yield from _pieces(last, end, shorter)


def _bodies(
    connection: Connection, number: int, version: str, series: str, length: int, start: int, end: int
) -> list[tuple[int, bytes]]:
    if start >= end:
        return []
    query = select(profiles.c.bucket, profiles.c.body).where(
        *series_is(profiles, number, version, series),
        profiles.c.seconds == length,
        profiles.c.bucket >= start,
        profiles.c.bucket < end,
    )
    return [(bucket, body) for bucket, body in connection.execute(query)]


def expire_profiles(connection: Connection, *, updated_before: float, limit: int) -> int:
    """Drop the days that nothing was added to since an instant, with their hours and buckets; how many rows went.

    A day goes as a whole, so that it never differs from its parts. It ends once `limit` rows have gone.
    """
    key = (profiles.c.model_id, profiles.c.version, profiles.c.series, profiles.c.bucket)
    old = select(*key).where(profiles.c.seconds == DAY, profiles.c.updated < updated_before).limit(limit)
    gone = 0
    for row in connection.execute(old).all():
        if gone >= limit:
            break
        of_day = (profiles.c.bucket >= row.bucket, profiles.c.bucket < row.bucket + DAY)
        where = and_(*series_is(profiles, row.model_id, row.version, row.series), *of_day)
        gone += connection.execute(delete(profiles).where(where)).rowcount
    if gone:
        # Of a series that was left and of which nothing is kept there is nothing to go on from, either.
        held = select(profiles.c.bucket).where(
            *(profiles.c[name] == cursors.c[name] for name in ("model_id", "version", "series"))
        )
        connection.execute(delete(cursors).where(~cursors.c.fed, ~held.exists()))
    return gone
