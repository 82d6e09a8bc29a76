"""Which event ids are known, at a cost that does not grow with how many there are.

A unique index over random ids dirties another page for every row, so that the ten-millionth event costs five times what
the first one did. Here the newest ids are held in memory, as hashes of 64 bits, and are read again from the events where that
is lost. So many of them become a segment: pages of sorted hashes, written once, which are only asked where the segment's
filter says that it may hold an id (a Bloom filter: B. H. Bloom, 1970, with the double hashing of Kirsch and Mitzenmacher, 2006).
Neither a hash nor a filter decides anything: what they find is compared with the event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select

from monitor.records import IntArray
from monitor.store.dialect import alone, insert_rows, is_writing, kept
from monitor.store.filters import Filters, hashes_of, packed_filter
from monitor.store.layout import Layout
from monitor.store.schema import models, pages, segments

FULL = 1 << 16  # ids in a segment
ID_BYTES = 16  # in a page
PAGE_BITS = 8  # the first bits of a hash say its page: of a full segment, each has about 256 ids
HELD = 4 * FULL  # ids in memory, of all models: 100 bytes each
ASKED = 500  # ids in one statement
MOST = 2**63 - 1
THINNED = 0  # in the place of a number: the event was taken in, and is no longer there


@dataclass(slots=True)
class _Newest:
    """The newest ids of a model: by hash (or the next one that was free) the number of the event, up to one number."""

    upto: int
    held: dict[int, int] = field(default_factory=dict)


class _Known:
    """Where the ids of one model are looked for, in one transaction."""

    def __init__(self, connection: Connection, layout: Layout, last: int) -> None:
        self.connection, self.layout = connection, layout
        self.filters = self._filters()
        self.newest = self._newest(last)
        self._thinned_seq: int | None = None

    def _filters(self) -> Filters:
        mine = segments.c.model_id == self.layout.number
        remembered = kept(self.connection, "filters")
        held: Filters | None = remembered.get(self.layout.number)
        if held is not None and is_writing(self.connection) and alone(self.connection):
            return held
        held = held or Filters()
        query = select(segments.c.number, segments.c.last_seq).where(mine).order_by(segments.c.number)
        there = [(row.number, row.last_seq) for row in self.connection.execute(query)]
        if held.segments != there[: len(held.segments)]:
            held = Filters()  # the oldest has gone, or the last was merged
        for number, last in there[len(held.segments) :]:
            packed = select(segments.c.filter).where(mine, segments.c.number == number)
            held.add(number, last, self.connection.execute(packed).scalar_one())
        remembered[self.layout.number] = held
        return held

    def _newest(self, last: int) -> _Newest:
        """What is in memory, with what another daemon has taken in meanwhile."""
        number, events = self.layout.number, self.layout.events
        remembered = kept(self.connection, "newest")
        found: _Newest | None = remembered.get(number)
        if found is None:
            found = remembered[number] = _Newest(last_in_segments(self.connection, number))
        if found.upto < last:
            if (sealed := last_in_segments(self.connection, number)) > found.upto:
                # Others have taken in so much that it is in segments by now, and what is held here with it.
                found = remembered[number] = _Newest(sealed)
            query = select(events.c.seq, events.c.event_id).where(events.c.seq > found.upto)
            rows = self.connection.execute(query.order_by(events.c.seq)).all()
            if rows:
                for at, row in zip(hashes_of([row.event_id for row in rows]).tolist(), rows, strict=True):
                    found.held[_free(found.held, at)] = row.seq
            found.upto = last
        return found

    def _was_thinned(self, seq: int) -> bool:
        """Whether the event that had this number may have gone because it was in no sample."""
        if self._thinned_seq is None:
            mine = select(models.c.thinned_seq).where(models.c.id == self.layout.number)
            self._thinned_seq = int(self.connection.execute(mine).scalar_one())
        return seq <= self._thinned_seq

    def find(self, ids: Sequence[str], hashes: Sequence[int]) -> dict[str, int]:
        """The numbers of those ids whose events are there, or `THINNED`."""
        found: dict[str, int] = {}
        candidates = self.filters.candidates(ids, np.array(hashes, np.int64))
        held = self.newest.held
        if not candidates and held.keys().isdisjoint(hashes):
            return found
        hashed = dict(zip(ids, hashes, strict=True))
        for number, asked in candidates.items():
            _merge(found, self._compared({each: hashed[each] for each in asked}, partial(self._in_segment, number)))
        asked_for = {each: at for each, at in hashed.items() if at in held}
        if asked_for:
            _merge(found, self._compared(asked_for, lambda places: {at: held[at] for at in places if at in held}))
        return found

    def _in_segment(self, number: int, places: Sequence[int]) -> dict[int, int]:
        asked = np.unique(np.array(places, np.int64))
        mine = pages.c.model_id == self.layout.number, pages.c.number == number
        wanted = np.unique(_pages_of(asked)).tolist()
        query = select(pages.c.held).where(*mine, pages.c.page.in_(wanted))
        found: dict[int, int] = {}
        for packed in self.connection.execute(query).scalars():
            hashes, seqs = np.frombuffer(packed, "<i8").reshape(2, -1)
            at = np.minimum(np.searchsorted(hashes, asked), len(hashes) - 1)
            there = hashes[at] == asked
            found |= zip(asked[there].tolist(), seqs[at[there]].tolist(), strict=True)
        return found

    def _compared(self, asked: dict[str, int], look: Callable[[list[int]], dict[int, int]]) -> dict[str, int]:
        """Those of some ids whose place, or one that follows it, holds their event, or held it before it was thinned out."""
        events, found = self.layout.events, dict[str, int]()
        while asked:
            held = look(list(asked.values()))
            query = select(events.c.seq, events.c.event_id)
            there = {row[0]: row[1] for row in _some(self.connection, query, events.c.seq, list(held.values()))}
            others = {}
            for each, at in asked.items():
                if at not in held:
                    continue
                if there.get(held[at]) == each:
                    found[each] = held[at]
                    continue
                if held[at] not in there and self._was_thinned(held[at]):
                    # All that is left of it is its hash: that another id has it is 1 in 2⁶⁴ for each id that is kept.
                    found[each] = THINNED
                # Another id of the same hash, or an event that has gone, by sampling or else: where the id came again
                # since, it went to the next place.
                others[each] = _following(at)
            asked = others
        return found


def _merge(found: dict[str, int], more: Mapping[str, int]) -> None:
    """Add what was found elsewhere: an event that is there counts more than one of its id that was thinned out before it."""
    for each, seq in more.items():
        if seq != THINNED or each not in found:
            found[each] = seq


def find(connection: Connection, layout: Layout, ids: Sequence[str]) -> dict[str, int]:
    """The sequence numbers of those ids whose events are there."""
    if not ids:
        return {}
    found = _Known(connection, layout, last_seq(connection, layout.number)).find(ids, hashes_of(ids).tolist())
    return {each: seq for each, seq in found.items() if seq != THINNED}


def last_seq(connection: Connection, model: int) -> int:
    """The number that a model's last event was given."""
    return int(connection.execute(select(models.c.last_seq).where(models.c.id == model)).scalar_one())


def add(connection: Connection, layout: Layout, given: Mapping[str, int], last: int) -> set[str]:
    """Take ids in with the numbers their events are to have; those whose events are there already come back instead.

    Called before the events are stored, and before the model's last number is moved from where it is.
    """
    known = _Known(connection, layout, last)
    ids = list(given)
    hashes = hashes_of(ids).tolist()
    there = set(known.find(ids, hashes))
    held = known.newest.held
    if not there and len(set(hashes)) == len(hashes) and held.keys().isdisjoint(hashes):
        held.update(zip(hashes, given.values(), strict=True))
        return there
    for each, at in zip(ids, hashes, strict=True):
        if each not in there:
            held[_free(held, at)] = given[each]
    return there


def settle(connection: Connection, layout: Layout, last: int) -> None:
    """The events up to a number are stored: what is held reaches so far; where it is much, it becomes a segment."""
    newest: dict[int, _Newest] = kept(connection, "newest")
    newest[layout.number].upto = last
    if len(newest[layout.number].held) >= FULL:
        _to_segment(connection, layout.number, newest[layout.number])
    elif sum(len(each.held) for each in newest.values()) >= HELD:
        largest = max(newest, key=lambda model: len(newest[model].held))
        _to_segment(connection, largest, newest[largest])


def _to_segment(connection: Connection, model: int, newest: _Newest) -> None:
    """What is held becomes a segment, together with the last one where both find room in one."""
    mine = segments.c.model_id == model
    sealed = last_in_segments(connection, model)
    if sealed >= newest.upto:
        # Another daemon has done it: written again, it would take the segment's last_seq back behind what is in it.
        newest.held, newest.upto = {}, sealed
        return
    held = _packed(newest.held)
    last = connection.execute(select(func.max(segments.c.number)).where(mine)).scalar() or 0
    there = (pages.c.model_id == model, pages.c.number == last)
    size = connection.execute(select(func.sum(func.length(pages.c.held))).where(*there)).scalar() or 0
    if 0 < size // ID_BYTES <= FULL - len(newest.held):
        packed = connection.execute(select(pages.c.held).where(*there)).scalars()
        older = np.concatenate([np.frombuffer(page, "<i8").reshape(2, -1) for page in packed], axis=1)
        held = _together(older, newest.held)
        connection.execute(delete(pages).where(*there))
        connection.execute(delete(segments).where(mine, segments.c.number == last))
    else:
        last += 1
    held = held[:, np.argsort(held[0])]
    values = {"model_id": model, "number": last, "last_seq": newest.upto, "filter": packed_filter(held[0])}
    connection.execute(insert(segments).values(values))
    filled, starts = np.unique(_pages_of(held[0]), return_index=True)
    rows = [
        (model, last, page, part.tobytes())
        for page, part in zip(filled.tolist(), np.split(held, starts[1:], axis=1), strict=True)
    ]
    insert_rows(connection, pages.name, ("model_id", "number", "page", "held"), rows)
    newest.held = {}
    kept(connection, "filters").pop(model, None)


def _packed(held: Mapping[int, int]) -> IntArray:
    """Hashes and numbers, shape (2, n)."""
    found: IntArray = np.stack([np.fromiter(each, "<i8", len(held)) for each in (held.keys(), held.values())])
    return found


def _together(older: IntArray, newer: Mapping[int, int]) -> IntArray:
    """The hashes and numbers of both; of one hash, the newer goes to the next place that is free."""
    both: IntArray = np.concatenate([older, _packed(newer)], axis=1)
    if len(np.unique(both[0])) == both.shape[1]:
        return both
    held = dict(zip(*older.tolist(), strict=True))
    for at, seq in newer.items():
        held[_free(held, at)] = seq
    return _packed(held)


def _pages_of(hashes: IntArray) -> IntArray:
    return hashes >> np.int64(64 - PAGE_BITS)


def _free(held: Mapping[int, int], at: int) -> int:
    """The place of a hash, or the next one that nobody has."""
    while at in held:
        at = _following(at)
    return at


def _following(place: int) -> int:
    return place + 1 if place < MOST else -MOST - 1


def _some(connection: Connection, query: Any, column: Any, values: Sequence[int]) -> Iterator[Any]:
    for at in range(0, len(values), ASKED):
        yield from connection.execute(query.where(column.in_(values[at : at + ASKED])))


def last_in_segments(connection: Connection, model: int) -> int:
    """The number of the last event whose id needs no event to be known: 0 where there is none."""
    query = select(func.max(segments.c.last_seq)).where(segments.c.model_id == model)
    return connection.execute(query).scalar() or 0


def drop_segments(connection: Connection, model: int, oldest: int) -> None:
    """Drop the segments of ids whose events have all gone; `oldest` is the first number that may still be there."""
    mine = segments.c.model_id == model
    gone = select(segments.c.number).where(mine, segments.c.last_seq < oldest)
    for number in connection.execute(gone).scalars().all():
        for table in (pages, segments):
            connection.execute(delete(table).where(table.c.model_id == model, table.c.number == number))
        kept(connection, "filters").pop(model, None)
