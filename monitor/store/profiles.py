"""Profiles and references as the store keeps them: sparse, one row per model version and bucket of event time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import Connection, and_, delete, insert, select, update

from monitor.profile import Bins, CategoricalBins, ColumnProfile, NumericBins, Profile, Reference
from monitor.records import Column, ColumnKind, IntArray
from monitor.store.schema import cursors, profiles, references

_FORMAT = 1


class CursorMoved(Exception):
    """Somebody else has profiled these rows already."""


def encode_profile(profile: Profile) -> bytes:
    """A profile as bytes; bins without rows take no room."""
    columns = {}
    for name, column in profile.columns.items():
        held = np.flatnonzero(column.counts)
        columns[name] = [
            held.tolist(),
            column.counts[held].tolist(),
            column.sums[held].tolist(),
            column.missing,
            column.absent,
            column.unseen,
        ]
    return msgspec.msgpack.encode([_FORMAT, profile.rows, profile.first, profile.last, columns])


def decode_profile(body: bytes, bins: Mapping[str, Bins]) -> Profile:
    """The inverse of `encode_profile`, on the bins it was made with."""
    _, rows, first, last, columns = msgspec.msgpack.decode(body)
    found = {}
    for name, (held, counts, sums, missing, absent, unseen) in columns.items():
        all_counts = np.zeros(len(bins[name]), dtype=np.int64)
        all_sums = np.zeros(len(bins[name]))
        all_counts[held], all_sums[held] = counts, sums
        found[name] = ColumnProfile(all_counts, all_sums, missing, absent, unseen)
    return Profile(rows, first, last, found)


def cursor(connection: Connection, number: int, version: str, series: str) -> int:
    """The sequence number up to which the events of a version are in their profiles; 0 before the first."""
    query = select(cursors.c.seq).where(*_of(cursors, number, version, series))
    return int(connection.execute(query).scalar() or 0)


def _of(table: Any, number: int, version: str, series: str) -> tuple[Any, ...]:
    return table.c.model_id == number, table.c.version == version, table.c.series == series


def advance(
    connection: Connection,
    number: int,
    version: str,
    series: str,
    *,
    bins: Mapping[str, Bins],
    before: int,
    after: int,
    fresh: Mapping[int, Profile],
    now: float,
) -> None:
    """Add the profiles of the events in `(before, after]` to their buckets and move the cursor, in one transaction.

    Raises:
        CursorMoved: the cursor is no longer at `before`; nothing was added.
    """
    if cursor(connection, number, version, series) != before:
        raise CursorMoved
    if before == 0:
        # A new series has begun: an older one of this version is fed no more, and must not hold up retention.
        connection.execute(delete(cursors).where(cursors.c.model_id == number, cursors.c.version == version))
        # One that begins anew is rebuilt from the rows: what it held before would count them twice.
        connection.execute(delete(profiles).where(*_of(profiles, number, version, series)))
        connection.execute(insert(cursors).values(model_id=number, version=version, series=series, seq=after))
    else:
        connection.execute(update(cursors).where(*_of(cursors, number, version, series)).values(seq=after))
    for bucket, profile in fresh.items():
        here = and_(*_of(profiles, number, version, series), profiles.c.bucket == bucket)
        old = connection.execute(select(profiles.c.body).where(here)).scalar()
        whole = profile if old is None else decode_profile(old, bins) + profile
        values = {"body": encode_profile(whole), "updated": now}
        if old is None:
            row = {"model_id": number, "version": version, "series": series, "bucket": bucket, **values}
            connection.execute(insert(profiles).values(row))
        else:
            connection.execute(update(profiles).where(here).values(values))


def read_buckets(
    connection: Connection, number: int, version: str, series: str, *, bins: Mapping[str, Bins], start: int, end: int
) -> list[Profile]:
    """The profiles of the buckets that begin in `[start, end)`."""
    query = select(profiles.c.body).where(
        *_of(profiles, number, version, series), profiles.c.bucket >= start, profiles.c.bucket < end
    )
    return [decode_profile(body, bins) for body in connection.execute(query).scalars()]


def expire_profiles(connection: Connection, *, updated_before: float, limit: int) -> int:
    """Drop the oldest profiles that nothing was added to since an instant; how many went."""
    key = (profiles.c.model_id, profiles.c.version, profiles.c.series, profiles.c.bucket)
    old = select(*key).where(profiles.c.updated < updated_before).limit(limit)
    gone = connection.execute(old).all()
    for row in gone:
        where = and_(*_of(profiles, row.model_id, row.version, row.series), profiles.c.bucket == row.bucket)
        connection.execute(delete(profiles).where(where))
    return len(gone)


def save_reference(connection: Connection, number: int, reference: Reference, now: float) -> None:
    """Keep a reference, so that its bins stay what they are."""
    if load_reference(connection, number, reference.fingerprint) is None:
        connection.execute(
            insert(references).values(
                model_id=number, fingerprint=reference.fingerprint, created=now, body=_encode_reference(reference)
            )
        )


def load_reference(connection: Connection, number: int, fingerprint: str) -> Reference | None:
    """A reference kept before, None where there is none."""
    query = select(references.c.body).where(references.c.model_id == number, references.c.fingerprint == fingerprint)
    body = connection.execute(query).scalar()
    return None if body is None else _decode_reference(body)


def _encode_reference(reference: Reference) -> bytes:
    columns = []
    for column in reference.columns:
        bins, profile = reference.bins.get(column.name), reference.profiles.get(column.name)
        drawn = None
        if bins is not None and profile is not None:
            edges = bins.edges.tolist() if isinstance(bins, NumericBins) else list(bins.categories)
            counted = [profile.counts.tolist(), profile.sums.tolist(), profile.missing, profile.unseen]
            drawn = [edges, bins.groups.tolist(), counted]
        columns.append([column.name, column.kind.value, column.importance, drawn, reference.unusable.get(column.name)])
    return msgspec.msgpack.encode([_FORMAT, reference.fingerprint, reference.version, reference.rows, columns])


def _decode_reference(body: bytes) -> Reference:
    _, fingerprint, version, rows, listed = msgspec.msgpack.decode(body)
    columns, bins, found, unusable = [], {}, {}, {}
    for name, kind, importance, drawn, reason in listed:
        columns.append(Column(name, ColumnKind(kind), importance))
        if drawn is None:
            unusable[name] = reason
            continue
        edges, groups, (counts, sums, missing, unseen) = drawn
        bins[name] = _bins(ColumnKind(kind), edges, np.array(groups, dtype=np.int64))
        found[name] = ColumnProfile(np.array(counts, dtype=np.int64), np.array(sums), missing, 0, unseen)
    return Reference(fingerprint, version, rows, tuple(columns), bins, found, unusable)


def _bins(kind: ColumnKind, edges: list[Any], groups: IntArray) -> Bins:
    if kind is ColumnKind.NUMERIC:
        return NumericBins(np.array(edges, dtype=np.float64), groups)
    return CategoricalBins(tuple(edges), groups)
