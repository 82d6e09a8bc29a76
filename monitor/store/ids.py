"""Which event ids are known, at a cost that does not grow with how many there are.

A unique index over random ids dirties another page for every row, so that the ten-millionth event costs five times what
the first one did. Here an id goes to the newest of several tables, which is small. Once full, a table is only read, and
only where its filter (a Bloom filter: B. H. Bloom, 1970, with the double hashing of Kirsch and Mitzenmacher, 2006) says that
it may hold the id; nothing is ever decided by a filter alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, MetaData, String, Table, delete, func, insert, select, update

from monitor.records import IntArray
from monitor.store.dialect import insert_rows, kept
from monitor.store.layout import SEQ, Layout
from monitor.store.schema import segments

FULL = 150_000  # ids in a table
BITS = 1 << 21  # of a filter: 14 for each id
PROBES = 8  # with them, a stranger passes a filter once in 800 times
ASKED = 500  # ids in one statement

Words = NDArray[np.uint64]


def table_of(model: int, number: int) -> Table:
    """One of a model's tables of ids."""
    return Table(
        f"ids_{model}_{number}",
        MetaData(),
        Column("event_id", String, primary_key=True),
        Column("seq", SEQ, nullable=False),
        sqlite_with_rowid=False,
    )


def probes_of(ids: Sequence[str]) -> IntArray:
    """The bits that each id sets in a filter, shape (PROBES, len(ids)).

    The same on every machine and in every process. Ids are taken as their UTF-8 bytes, eight at a time.
    """
    encoded = np.array([each.encode() for each in ids])
    width = -(-encoded.dtype.itemsize // 8) * 8
    words = encoded.astype(f"S{width}").view(np.uint64).reshape(len(ids), -1)
    mixed = np.full(len(ids), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for place in range(words.shape[1]):
        # The finaliser of SplitMix64 (Steele, Lea and Flood, 2014) after each word.
        mixed ^= words[:, place]
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
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

    def candidates(self, ids: Sequence[str]) -> dict[int, list[str]]:
        """By table, the ids that it may hold."""
        found: dict[int, list[str]] = {}
        if not self.numbers or not ids:
            return found
        probes = probes_of(ids)
        for block, words in enumerate(self._words):
            hits = np.bitwise_and.reduce(words[probes], axis=0)
            for place in np.flatnonzero(hits).tolist():
                held = int(hits[place])
                while held:
                    bit = held & -held
                    found.setdefault(self.numbers[block * 64 + bit.bit_length() - 1], []).append(ids[place])
                    held ^= bit
        return found


def packed_filter(ids: Sequence[str]) -> bytes:
    """The filter of a table that holds these ids."""
    bits = np.zeros(BITS, dtype=bool)
    bits[probes_of(ids).ravel()] = True
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
    active, filters = _filters(connection, layout.number)
    found: dict[str, int] = {}
    for number, asked in [*filters.candidates(ids).items(), (active, ids)]:
        found |= _look_up(connection, table_of(layout.number, number), asked)
    return _there(connection, layout, found)


def _look_up(connection: Connection, table: Table, ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for at in range(0, len(ids), ASKED):
        query = select(table.c.event_id, table.c.seq).where(table.c.event_id.in_(ids[at : at + ASKED]))
        found |= {row.event_id: row.seq for row in connection.execute(query)}
    return found


def _there(connection: Connection, layout: Layout, found: Mapping[str, int]) -> dict[str, int]:
    """Without the ids of events that have gone: ids go later than events, a whole table at once."""
    here: set[int] = set()
    seqs = list(found.values())
    for at in range(0, len(seqs), ASKED):
        query = select(layout.events.c.seq).where(layout.events.c.seq.in_(seqs[at : at + ASKED]))
        here |= set(connection.execute(query).scalars())
    return {each: seq for each, seq in found.items() if seq in here}


def add(connection: Connection, layout: Layout, given: Mapping[str, int]) -> set[str]:
    """Take ids in with the numbers their events are to have; those whose events are there already come back instead."""
    active, filters = _filters(connection, layout.number)
    found: dict[str, int] = {}
    for number, asked in filters.candidates(list(given)).items():
        found |= _look_up(connection, table_of(layout.number, number), asked)
    known = set(_there(connection, layout, found)) if found else set()
    fresh = {each: seq for each, seq in given.items() if each not in known} if known else given
    table = table_of(layout.number, active)
    taken = insert_rows(connection, table.name, ("event_id", "seq"), list(fresh.items()), new_only=True)
    if taken < len(fresh):
        held = _look_up(connection, table, list(fresh))
        before = {each: seq for each, seq in held.items() if seq != fresh[each]}
        there = set(_there(connection, layout, before))
        known |= there
        for each in before.keys() - there:
            connection.execute(update(table).where(table.c.event_id == each).values(seq=fresh[each]))
    counted = kept(connection, "ids")
    if layout.number in counted:
        counted[layout.number] += taken
    _close_if_full(connection, layout.number, table)
    return known


def _close_if_full(connection: Connection, model: int, table: Table) -> None:
    """Begin another table where the newest is full."""
    counted = kept(connection, "ids")
    if model not in counted:
        counted[model] = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if counted[model] < FULL:
        return
    rows = connection.execute(select(table.c.event_id, table.c.seq)).all()
    mine = segments.c.model_id == model
    active = connection.execute(select(func.max(segments.c.number)).where(mine)).scalar_one()
    full = {"filter": packed_filter([row.event_id for row in rows]), "last_seq": max(row.seq for row in rows)}
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
