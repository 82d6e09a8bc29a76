"""A model's rows on their way into its profiles, and into counts of rows by bin, in order of arrival."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sqlalchemy import Connection

from monitor.profile import Profile, Reference, profile_batch
from monitor.profile.seasons import HOUR
from monitor.records import Column, IntArray, Role, fingerprint
from monitor.source import ReferenceFor
from monitor.source._stored import batch_of, keys_of
from monitor.store import Store, events, reading
from monitor.store.cursors import COUNTED, begin_counting, counted_from, positions
from monitor.store.encoding import Layout
from monitor.store.profiles import CursorMoved, Move, advance, rolled_up, whole_of
from monitor.store.reading import Fetched
from monitor.store.versions import FED, newest_versions

VERSIONS = FED
PART_ROWS = 5000  # rows that become columns at once, and as long as they lie in few buckets, profiles
PART_BUCKETS = 250  # of all versions: each is written thrice, and those who send wait for the writer
PART_NUMBERS = 1 << 19  # in the profiles of all these buckets, of 16 bytes or so each

Track = tuple[str, str]  # a version, and a series of its profiles or `COUNTED`


class RowCounts(Protocol):
    """Who counts rows as they arrive, each of them once and for ever."""

    def know(self, versions: Sequence[str], found: Mapping[str, Reference]) -> None:
        """Which versions there are, the newest first, and the references of those that have one."""

    def waits(self, version: str) -> bool:
        """Whether a version's rows are to be left for later."""

    def ready(self, version: str, reference: Reference) -> bool:
        """Whether rows that have come of a version can be counted now; it may wait from then on."""

    def add(self, version: str, reference: Reference, profiles: Collection[Profile]) -> None:
        """Count the rows of these profiles; that they are counted is on the disk already."""


def bucket_of(reference: Reference, bucket_seconds: int) -> int:
    """The length of the buckets on a reference: where the hour of the day counts, none is of two hours."""
    return math.gcd(bucket_seconds, HOUR) if "hour_of_day" in reference.match else bucket_seconds


def series_of(reference: Reference, bucket_seconds: int) -> str:
    """The name of the series of profiles on these bins and buckets: other bins or buckets begin another."""
    return fingerprint(reference.fingerprint, str(bucket_seconds))


def usable(reference: Reference) -> tuple[Column, ...]:
    """The columns that an event can hold and that have bins: its label comes later."""
    return tuple(c for c in reference.columns if c.name in reference.bins and c.role is not Role.LABEL)


@dataclass(frozen=True, slots=True)
class _Own:
    """The rows of one version in a part: their places in it, and the bucket of each, shape (n,)."""

    layout: Layout
    seconds: int
    places: IntArray
    buckets: IntArray

    def upto(self, rows: int) -> _Own:
        """Those among the first rows of the part."""
        mine = int(np.searchsorted(self.places, rows))
        return _Own(self.layout, self.seconds, self.places[:mine], self.buckets[:mine])


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows in `(before, after]` of the tracks that are furthest behind.

    Attributes:
        number: the model's.
        behind: those tracks.
        before, after: numbers of events.
        rows: as they were read, which may be more.
        used: how many of them are in the part.
        own: by version its rows, where it has any.
    """

    number: int
    behind: Sequence[Track]
    before: int
    after: int
    rows: Fetched
    used: int
    own: Mapping[str, _Own]


@dataclass(frozen=True, slots=True)
class ProfileFeed:
    """What feeds the profiles of one model's rows.

    A version's rows are read for all that stands at the same place: its profiles and, where rows are counted, their count.
    Where one of them is behind, because its series begins anew or because the count had to wait, it is brought up first.

    Attributes:
        store: where the rows are, and the profiles.
        app, model: whose rows they are.
        bucket_seconds: the length of a bucket, where the reference asks for no shorter one.
        references: the reference of each version; one without is left out.
        counts: who counts the rows; None where nobody does.
        now: Unix seconds.
    """

    store: Store
    app: str
    model: str
    bucket_seconds: int
    references: ReferenceFor
    counts: RowCounts | None
    now: float

    def steps(self) -> Iterator[int]:
        """Feed some rows with each step, until none is left; how many of them came into profiles."""
        limit = PART_ROWS
        while (found := self._next(limit)) is not None:
            yield self._feed(*found)
            part = found[0]
            # Where rows lie far apart, few make a step: no more are read than it will take.
            limit = min(PART_ROWS, 2 * (part.used if part.used < part.rows.rows else limit))

    def _next(self, limit: int) -> tuple[_Part, dict[str, Reference]] | None:
        with self.store.read() as connection:
            number = events.find_model(connection, self.app, self.model)
            if number is None:
                return None
            versions = newest_versions(connection, number, limit=VERSIONS)
            newest = reading.newest_seq(connection, number)
        # Not while a connection is held: a reference may have to be read.
        known = {version: found for version in versions if (found := self.references(version)) is not None}
        if self.counts is not None:
            self.counts.know(versions, known)
        with self.store.read() as connection:
            part = self._behind(connection, number, newest, known, limit)
        return None if part is None else (part, known)

    def _behind(
        self, connection: Connection, number: int, newest: int, known: Mapping[str, Reference], limit: int
    ) -> _Part | None:
        held = positions(connection, number, known)
        tracks = {(version, name): held.get((version, name), 0) for version, name in self._series(known)}
        if self.counts is not None:
            tracks |= {(each, COUNTED): counted_from(held, each) for each in known if not self.counts.waits(each)}
        low = min(tracks.values(), default=newest)
        if low >= newest:
            return None
        behind = [track for track, seq in tracks.items() if seq == low]
        until = min(min((seq for seq in tracks.values() if seq > low), default=newest), newest)
        versions = list(dict.fromkeys(version for version, _ in behind))
        keys = keys_of(column for version in versions for column in usable(known[version]))
        rows = reading.rows_after(connection, number, low, keys=keys, versions=versions, limit=limit, until=until)
        own = {version: self._own(rows, version, known[version]) for version in set(rows.column("version"))}
        used = _fitting(own.values(), rows.rows)
        after = until if used == rows.rows < limit else rows.column("seq")[used - 1]
        own = {version: mine.upto(used) for version, mine in own.items() if mine.places[0] < used}
        return _Part(number, behind, low, after, rows, used, own)

    def _own(self, rows: Fetched, version: str, reference: Reference) -> _Own:
        seconds = bucket_of(reference, self.bucket_seconds)
        places = np.flatnonzero(np.array([each == version for each in rows.column("version")], dtype=bool))
        buckets = (rows.times[places] // seconds).astype(np.int64) * seconds
        return _Own(Layout(reference.bins), seconds, places, buckets)

    def _series(self, known: Mapping[str, Reference]) -> Iterable[Track]:
        for version, reference in known.items():
            yield version, series_of(reference, bucket_of(reference, self.bucket_seconds))

    def _feed(self, part: _Part, known: Mapping[str, Reference]) -> int:
        """Move the tracks over their rows, in one transaction; what is counted is told of behind it."""
        fresh = {
            version: rolled_up(_by_bucket(part.rows, version, known[version], own), own.layout, own.seconds)
            for version, own in part.own.items()
        }
        counted = [
            version for version, series in part.behind if series == COUNTED and self._ready(version, known, fresh)
        ]
        fed = [track for track in part.behind if track[1] != COUNTED]
        moves = [Move(version, COUNTED, part.before, part.after) for version in counted]
        for version, series in fed:
            added = (part.own[version].layout, fresh[version]) if version in fresh else ()
            moves.append(Move(version, series, part.before, part.after, *added))
        if not self._moved(part.number, known, moves):
            return 0
        for version in counted:
            whole = whole_of(fresh[version], part.own[version].layout) if version in fresh else None
            if self.counts is not None and whole is not None:
                self.counts.add(version, known[version], [whole])
        return sum(len(part.own[version].places) for version, _ in fed if version in part.own)

    def _ready(self, version: str, known: Mapping[str, Reference], fresh: Collection[str]) -> bool:
        """Whether the rows of a version can be counted; none can always."""
        return self.counts is not None and (version not in fresh or self.counts.ready(version, known[version]))

    def _moved(self, number: int, known: Iterable[str], moves: Sequence[Move]) -> bool:
        def change(connection: Connection) -> None:
            if self.counts is not None:
                begin_counting(connection, number, known)
            advance(connection, number, moves, now=self.now)

        try:
            self.store.write(change)
        except CursorMoved:
            return False
        return True


def _fitting(own: Iterable[_Own], rows: int) -> int:
    """How many of the first rows make a step: as many as lie in few enough buckets, and always all of the first bucket."""
    begun, numbers = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    for mine in own:
        first = mine.places[np.unique(mine.buckets, return_index=True)[1]]
        begun[first] = 1
        numbers[first] = mine.layout.length
    begun, numbers = np.cumsum(begun), np.cumsum(numbers)
    fits = (begun <= 1) | ((begun <= PART_BUCKETS) & (numbers <= PART_NUMBERS))
    return int(np.count_nonzero(fits))


def _by_bucket(rows: Fetched, version: str, reference: Reference, own: _Own) -> Iterator[tuple[int, Profile]]:
    columns = usable(reference)
    for bucket in np.unique(own.buckets).tolist():
        here = own.places[own.buckets == bucket]
        batch = batch_of([rows if len(here) == rows.rows else rows.take(here)], version, columns)
        yield bucket, profile_batch(batch, reference.bins, reference.match)
