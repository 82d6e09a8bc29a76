"""Which event ids are known, at a cost that does not grow with how many there are.

A unique index over random ids dirties another page for every row, so that the ten-millionth event costs five times what
the first one did. Here an id goes, as a hash of 64 bits, to the newest of several tables, which is small. Once full, a table is
only read, and only where its filter (a Bloom filter: B. H. Bloom, 1970, with the double hashing of Kirsch and Mitzenmacher,
2006) says that it may hold the id. Neither a hash nor a filter decides anything: what they find is compared with the event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, MetaData, Table, delete, func, insert, select, update

from monitor.records import IntArray
from monitor.store.dialect import insert_rows, kept
from monitor.store.layout import SEQ, Layout
from monitor.store.schema import segments

FULL = 150_000  # ids in a table
BITS = 1 << 21  # of a filter: 14 for each id
PROBES = 8  # with them, a stranger passes a filter once in 800 times
ASKED = 500  # ids in one statement
MOST = 2**63 - 1

Words = NDArray[np.uint64]


def table_of(model: int, number: int) -> Table:
    """One of a model's tables of ids."""
    return Table(
        f"ids_{model}_{number}",
        MetaData(),
        Column("hash", SEQ, primary_key=True, autoincrement=False),  # or the next one that was free
        Column("seq", SEQ, nullable=False),
    )


def hashes_of(ids: Sequence[str]) -> IntArray:
    """A hash of each id, shape (n,): the same on every machine and in every process.

    Ids are taken as their UTF-8 bytes, eight at a time; after each the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    encoded = np.array([each.encode() for each in ids])
    width = -(-encoded.dtype.itemsize // 8) * 8
    words = encoded.astype(f"S{width}").view("<u8").reshape(len(ids), -1)
    mixed = np.full(len(ids), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for place in range(words.shape[1]):
        # An id has the same hash among longer ones: where it is over, nothing is mixed in.
        going = words[:, place:].any(axis=1)
        mixed = np.where(going, _mixed(mixed ^ words[:, place]), mixed)
    return mixed.view(np.int64)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed


def probes_of(hashes: IntArray) -> IntArray:
    """The bits that each hash sets in a filter, shape (PROBES, n)."""
    mixed = hashes.view(np.uint64)
    first, step = mixed & np.uint64(0xFFFFFFFF), (mixed >> np.uint64(32)) | np.uint64(1)
    turns = np.arange(PROBES, dtype=np.uint64)[:, None]
    found: IntArray = ((first + turns * step) % np.uint64(BITS)).astype(np.int64)
    return found


class Filters:
    """The filters of a model's full tables: of each bit a word, in which every table has a bit of its own."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._words: list[Words] = []  # each of 64 tables

    def add(self, number: int, packed: bytes) -> None:
        """Add a table's filter."""
        place = len(self.numbers)
        if place % 64 == 0:
            self._words.append(np.zeros(BITS, dtype=np.uint8))
        words = self._words[-1]
        if place % 64 >= words.dtype.itemsize * 8:
            words = self._words[-1] = words.astype(f"u{words.dtype.itemsize * 2}")
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8)).astype(words.dtype)
        words |= bits << words.dtype.type(place % 64)
        self.numbers.append(number)

    def candidates(self, ids: Sequence[str], hashes: IntArray) -> dict[int, list[str]]:
        """By table, the ids that it may hold."""
        found: dict[int, list[str]] = {}
        if not self.numbers or not ids:
            return found
        probes = probes_of(hashes)
        for block, words in enumerate(self._words):
            hits = np.bitwise_and.reduce(words[probes], axis=0)
            for place in np.flatnonzero(hits).tolist():
                held = int(hits[place])
                while held:
                    bit = held & -held
                    found.setdefault(self.numbers[block * 64 + bit.bit_length() - 1], []).append(ids[place])
                    held ^= bit
        return found


def packed_filter(hashes: IntArray) -> bytes:
    """The filter of a table that holds these hashes."""
    bits = np.zeros(BITS, dtype=bool)
    bits[probes_of(hashes).ravel()] = True
    return np.packbits(bits).tobytes()


def create_first(connection: Connection, model: int) -> None:
    """The first table of ids of a model that is new."""
    table_of(model, 1).create(connection)
    connection.execute(insert(segments).values(model_id=model, number=1))


def _filters(connection: Connection, model: int) -> tuple[int, Filters]:
    """The number of the table that is being filled, and the filters of the others."""
    mine = segments.c.model_id == model
    rows = connection.execute(select(segments.c.number).where(mine).order_by(segments.c.number)).scalars().all()
    *full, active = rows
    held: Filters = kept(connection, "filters").get(model) or Filters()
    if held.numbers != full:
        if held.numbers != full[: len(held.numbers)]:
            held = Filters()  # the oldest has gone
        for number in full[len(held.numbers) :]:
            query = select(segments.c.filter).where(mine, segments.c.number == number)
            held.add(number, connection.execute(query).scalar_one())
        kept(connection, "filters")[model] = held
    return active, held


def find(connection: Connection, layout: Layout, ids: Sequence[str]) -> dict[str, int]:
    """The sequence numbers of those ids whose events are there."""
    if not ids:
        return {}
    active, filters = _filters(connection, layout.number)
    hashes = hashes_of(ids)
    known = dict(zip(ids, hashes.tolist(), strict=True))
    found: dict[str, int] = {}
    for number, asked in [*filters.candidates(ids, hashes).items(), (active, ids)]:
        found |= _look_up(connection, layout, number, {each: known[each] for each in asked})[0]
    return found


def _look_up(
    connection: Connection, layout: Layout, number: int, asked: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Of ids and their hashes, the numbers of those whose events are there, and of the others the hash that is free."""
    table, events = table_of(layout.number, number), layout.events
    found: dict[str, int] = {}
    free: dict[str, int] = {}
    while asked:
        held = {row[0]: row[1] for row in _some(connection, select(table), table.c.hash, list(asked.values()))}
        query = select(events.c.seq, events.c.event_id)
        there = {row[0]: row[1] for row in _some(connection, query, events.c.seq, list(held.values()))}
        others = {}
        for each, at in asked.items():
            said = there.get(held[at]) if at in held else None
            if said == each:
                found[each] = held[at]
            elif at not in held:
                free[each] = at
            else:
                # Another id of the same hash, or an event that has gone: it would have gone to the next place.
                others[each] = _following(at)
        asked = others
    return found, free


def _some(connection: Connection, query: Any, column: Any, values: Sequence[int]) -> Iterator[Any]:
    for at in range(0, len(values), ASKED):
        yield from connection.execute(query.where(column.in_(values[at : at + ASKED])))


def add(connection: Connection, layout: Layout, given: Mapping[str, int]) -> set[str]:
    """Take ids in with the numbers their events are to have; those whose events are there already come back instead."""
    active, filters = _filters(connection, layout.number)
    ids = list(given)
    hashes = hashes_of(ids)
    hashed = dict(zip(ids, hashes.tolist(), strict=True))
    known: set[str] = set()
    for number, asked in filters.candidates(ids, hashes).items():
        known |= _look_up(connection, layout, number, {each: hashed[each] for each in asked})[0].keys()
    table = table_of(layout.number, active)
    # In the order of the table, so that neighbours are written together.
    ordered = [ids[place] for place in np.argsort(hashes).tolist()]
    fresh = [each for each in ordered if each not in known] if known else ordered
    rows = [(hashed[each], given[each]) for each in fresh]
    taken = insert_rows(connection, table.name, ("hash", "seq"), rows, new_only=True)
    if taken < len(rows):
        known |= _add_others(connection, layout, active, {each: hashed[each] for each in fresh}, given)
    counted = kept(connection, "ids")
    if layout.number in counted:
        counted[layout.number] += taken
    _close_if_full(connection, layout.number, table)
    return known


def _add_others(
    connection: Connection, layout: Layout, active: int, hashed: Mapping[str, int], given: Mapping[str, int]
) -> set[str]:
    """Of ids that are not all in the table: those whose events are there; the others go to the next free places."""
    table = table_of(layout.number, active)
    held = {row[0]: row[1] for row in _some(connection, select(table), table.c.hash, list(hashed.values()))}
    left = {each: at for each, at in hashed.items() if held[at] != given[each]}
    there, free = _look_up(connection, layout, active, left)
    for each, place in free.items():
        at = place
        while not insert_rows(connection, table.name, ("hash", "seq"), [(at, given[each])], new_only=True):
            at = _following(at)
    return set(there)


def _following(place: int) -> int:
    return place + 1 if place < MOST else -MOST - 1


def _close_if_full(connection: Connection, model: int, table: Table) -> None:
    """Begin another table where the newest is full."""
    counted = kept(connection, "ids")
    if model not in counted:
        counted[model] = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if counted[model] < FULL:
        return
    rows = connection.execute(select(table.c.hash, table.c.seq)).all()
    mine = segments.c.model_id == model
    active = connection.execute(select(func.max(segments.c.number)).where(mine)).scalar_one()
    hashes = np.array([row.hash for row in rows], dtype=np.int64)
    full = {"filter": packed_filter(hashes), "last_seq": max(row.seq for row in rows)}
    connection.execute(update(segments).where(mine, segments.c.number == active).values(full))
    table_of(model, active + 1).create(connection)
    connection.execute(insert(segments).values(model_id=model, number=active + 1))
    counted[model] = 0


def forget(connection: Connection, model: int, oldest: int) -> None:
    """Drop the tables of ids whose events have all gone; `oldest` is the first number that may still be there."""
    mine = segments.c.model_id == model
    gone = select(segments.c.number).where(mine, segments.c.last_seq < oldest)
    for number in connection.execute(gone).scalars().all():
        table_of(model, number).drop(connection)
        connection.execute(delete(segments).where(mine, segments.c.number == number))


def tables(connection: Connection, model: int) -> list[Any]:
    """Every table of ids of a model, the oldest first."""
    query = select(segments.c.number).where(segments.c.model_id == model).order_by(segments.c.number)
    return [table_of(model, number) for number in connection.execute(query).scalars()]
