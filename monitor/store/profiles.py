"""Profiles and references as the store keeps them: sparse, one row per model version and stretch of event time.

Stretches are buckets, and the hours and days they add up to; a window is the sum of the longest ones it is made of, so that a
month of minutes is thirty days. All are written in one transaction: a late row is in its bucket, its hour and its day at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from monitor.profile import Bins, Profile, Reference
from monitor.store.dialect import insert_new
from monitor.store.encoding import Layout, Sum
from monitor.store.packing import decode_reference, decode_stretches, encode_reference, encode_stretches
from monitor.store.schema import cursors, models, profiles, references

ROLLED_UP = (86400, 3600)
DAY = ROLLED_UP[0]
COUNTED = "counted"  # no series of profiles: its cursor says up to which event a version's rows are counted by bin


class CursorMoved(Exception):
    """Somebody else has profiled these rows already."""


def lengths(bucket_seconds: int) -> list[int]:
    """The lengths, in seconds, of what is kept of buckets that long: the longest first.

    >>> lengths(60), lengths(5400), lengths(86400)
    ([86400, 3600, 60], [86400, 5400], [86400])
    """
    return [*(whole for whole in ROLLED_UP if whole > bucket_seconds and whole % bucket_seconds == 0), bucket_seconds]


def cursor(connection: Connection, number: int, version: str, series: str) -> int:
    """The sequence number up to which the events of a version are in their profiles; 0 before the first."""
    query = select(cursors.c.seq).where(*_of(cursors, number, version, series))
    return int(connection.execute(query).scalar() or 0)


def last_given(connection: Connection, app: str, name: str) -> int:
    """The number given to a model's last event: another one where anything has come in; 0 where nothing ever has."""
    query = select(models.c.last_seq).where(models.c.app == app, models.c.name == name)
    return int(connection.execute(query).scalar() or 0)


def positions(connection: Connection, number: int, versions: Iterable[str]) -> dict[tuple[str, str], int]:
    """Every cursor of these versions, by version and series."""
    query = select(cursors).where(cursors.c.model_id == number, cursors.c.version.in_(list(versions)))
    return {(row.version, row.series): row.seq for row in connection.execute(query)}


def counted_from(held: Mapping[tuple[str, str], int], version: str) -> int:
    """Up to which event a version's rows are counted, by the cursors there are.

    Where that was never said, what is in a profile was there before anybody counted.
    """
    said = held.get((version, COUNTED))
    return max((seq for (of, _), seq in held.items() if of == version), default=0) if said is None else said


def begin_counting(connection: Connection, number: int, versions: Iterable[str]) -> None:
    """Say where the counting of these versions begins, where that was not said yet."""
    held = positions(connection, number, versions)
    for version in versions:
        if (version, COUNTED) not in held:
            seq = counted_from(held, version)
            connection.execute(insert(cursors).values(model_id=number, version=version, series=COUNTED, seq=seq))


def end_counting(connection: Connection, number: int) -> None:
    """Forget up to which event rows are counted: should they be counted again, that begins with those to come."""
    connection.execute(delete(cursors).where(cursors.c.model_id == number, cursors.c.series == COUNTED))


def _of(table: Any, number: int, version: str, series: str) -> tuple[Any, ...]:
    return table.c.model_id == number, table.c.version == version, table.c.series == series


@dataclass(frozen=True, slots=True)
class Move:
    """The profiles of a version's events in `(before, after]`, to be added to their buckets; of `COUNTED` there are none.

    Attributes:
        version: of the events.
        series: of the profiles.
        bins: that they are on.
        seconds: the length of a bucket.
        before: where the cursor is.
        after: where it goes.
        fresh: by the start of its bucket, what is added.
    """

    version: str
    series: str
    bins: Mapping[str, Bins]
    seconds: int
    before: int
    after: int
    fresh: Mapping[int, Profile]


def advance(connection: Connection, number: int, moves: Iterable[Move], *, now: float) -> None:
    """Add the profiles of events to their buckets and move the cursors, in one transaction.

    Args:
        connection: of that transaction.
        number: the model's.
        moves: one for each version.
        now: Unix seconds.

    Raises:
        CursorMoved: a cursor is no longer where it was; nothing was added.
    """
    moves = list(moves)
    for move in moves:
        if cursor(connection, number, move.version, move.series) != move.before:
            raise CursorMoved
    for move in moves:
        _advance(connection, number, move, now)


def _advance(connection: Connection, number: int, move: Move, now: float) -> None:
    version, series = move.version, move.series
    if series == COUNTED:
        connection.execute(update(cursors).where(*_of(cursors, number, version, series)).values(seq=move.after))
        return
    if move.before == 0:
        # A new series has begun: an older one of this version is fed no more, and must not hold up retention.
        others = (cursors.c.model_id == number, cursors.c.version == version, cursors.c.series != COUNTED)
        connection.execute(delete(cursors).where(*others))
        # One that begins anew is rebuilt from the rows: what it held before would count them twice.
        connection.execute(delete(profiles).where(*_of(profiles, number, version, series)))
        connection.execute(insert(cursors).values(model_id=number, version=version, series=series, seq=move.after))
    else:
        connection.execute(update(cursors).where(*_of(cursors, number, version, series)).values(seq=move.after))
    layout = Layout(move.bins)
    sums = {bucket: _sum_of(profile, layout) for bucket, profile in move.fresh.items()}
    for length in lengths(move.seconds) if sums else ():
        together: dict[int, list[Sum]] = {}
        for bucket, held in sums.items():
            together.setdefault(bucket // length * length, []).append(held)
        _add(connection, (number, version, series, length), together, now)


def _sum_of(profile: Profile, layout: Layout) -> Sum:
    found = Sum(layout)
    found.add(profile)
    return found


def _add(connection: Connection, key: tuple[int, str, str, int], together: Mapping[int, list[Sum]], now: float) -> None:
    """Add sums to what is kept of stretches of one length, by their starts."""
    number, version, series, length = key
    of = (*_of(profiles, number, version, series), profiles.c.seconds == length)
    query = select(profiles.c.bucket, profiles.c.body).where(*of, profiles.c.bucket.in_(together))
    kept = {row.bucket: row.body for row in connection.execute(query)}
    rows = []
    for start, parts in together.items():
        whole = Sum(parts[0].layout)
        for part in parts:
            whole.merge(part)
        if start in kept:
            whole.add_encoded(kept[start])
        about = {"model_id": number, "version": version, "series": series, "seconds": length, "bucket": start}
        rows.append({**about, "updated": now, "body": whole.encoded()})
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
        *_of(profiles, number, version, series),
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
        where = and_(*_of(profiles, row.model_id, row.version, row.series), *of_day)
        gone += connection.execute(delete(profiles).where(where)).rowcount
    return gone


def save_reference(connection: Connection, number: int, reference: Reference, now: float) -> None:
    """Keep a reference, so that its bins stay what they are."""
    here = (references.c.model_id == number, references.c.fingerprint == reference.fingerprint)
    if connection.execute(select(references.c.created).where(*here)).first() is None:
        connection.execute(
            insert(references).values(
                model_id=number,
                fingerprint=reference.fingerprint,
                created=now,
                body=encode_reference(reference),
                stretches=None if reference.stretches is None else encode_stretches(reference.stretches),
            )
        )


def load_reference(
    connection: Connection, number: int, fingerprint: str, *, stretches: bool = False
) -> Reference | None:
    """A reference kept before, None where there is none; its stretches only where they are asked for, as they are large."""
    here = (references.c.model_id == number, references.c.fingerprint == fingerprint)
    body = connection.execute(select(references.c.body).where(*here)).scalar()
    if body is None:
        return None
    reference = decode_reference(body)
    if stretches:
        cut = connection.execute(select(references.c.stretches).where(*here)).scalar()
        return replace(reference, stretches=None if cut is None else decode_stretches(cut))
    return reference
