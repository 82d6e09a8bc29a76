"""The tables that hold one model's rows: typed columns, one for each kind of value that a name has held.

A name gets its column when it first comes, and another one where it later holds values of another kind, so that nothing is
turned into text or lost. Columns are called by their place: a name is a stranger's text and never part of a statement. What a
record did not carry at all is told from what it carried as null by a bit in the row's marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
)

from monitor.store.dialect import alone, is_writing, kept
from monitor.store.schema import SEQ, fields

GROW_SECONDS = 2
MOST_NAMES = 1000  # of one model: SQLite and PostgreSQL both know tables of 1,600 columns and no more


class Kind(StrEnum):
    """What a column holds."""

    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"
    OTHER = "other"  # as JSON: vectors, whole numbers beyond a float, text that PostgreSQL does not take


class Of(StrEnum):
    """What a name is to its event."""

    FEATURE = "feature"
    PREDICTION = "prediction"
    PROBABILITY = "probability"  # of the positive class; its name is empty, as the prediction's is
    CLASS_PROBABILITY = "class_probability"


Key = tuple[Of, str]
PREDICTION: Key = (Of.PREDICTION, "")
PROBABILITY: Key = (Of.PROBABILITY, "")
TYPES: dict[Kind, Any] = {Kind.NUMBER: Double(), Kind.TEXT: Text(), Kind.FLAG: Boolean(), Kind.OTHER: LargeBinary()}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class TooManyNames(Exception):
    """A record would give its model more names than a table can have columns for."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a model's events."""

    place: int
    slot: int
    key: Key
    kind: Kind

    @property
    def column(self) -> str:
        return f"c{self.place}"


def kind_of(value: Any) -> Kind:
    """The kind of column that a value goes to; None goes to any.

    >>> kind_of(1), kind_of(True), kind_of("a"), kind_of([1.0]), kind_of(2**53 + 1)
    (<Kind.NUMBER: 'number'>, <Kind.FLAG: 'flag'>, <Kind.TEXT: 'text'>, <Kind.OTHER: 'other'>, <Kind.OTHER: 'other'>)
    """
    if isinstance(value, bool):
        return Kind.FLAG
    if isinstance(value, float) or (isinstance(value, int) and -(2**53) <= value <= 2**53):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) and "\0" not in value else Kind.OTHER


def stored(value: Any, kind: Kind) -> Any:
    """A value as its column takes it."""
    if value is None or kind is Kind.TEXT or kind is Kind.FLAG:
        return value
    return float(value) if kind is Kind.NUMBER else _encode(value)


def loaded(values: Iterable[Any], kind: Kind) -> list[Any]:
    """The values of a column as they came."""
    if kind is Kind.FLAG:
        return [None if value is None else bool(value) for value in values]
    return [None if value is None else _decode(value) for value in values] if kind is Kind.OTHER else list(values)


class Layout:
    """The columns of one model's rows, as they were at some moment: columns are only ever added."""

    def __init__(self, number: int, found: Iterable[Field] = ()) -> None:
        self.number, self.fields = number, tuple(found)
        self.by_key: dict[Key, list[Field]] = {}
        for field in self.fields:
            self.by_key.setdefault(field.key, []).append(field)

    @cached_property
    def slots(self) -> dict[Key, int]:
        """The bit of each name."""
        return {key: found[0].slot for key, found in self.by_key.items()}

    @cached_property
    def places(self) -> dict[tuple[Key, Kind], int]:
        """The place of each column among the fields."""
        return {(field.key, field.kind): place for place, field in enumerate(self.fields)}

    def marks(self, keys: Iterable[Key]) -> bytes:
        """Which names a row carries, a bit for each slot."""
        bits = 0
        for key in keys:
            bits |= 1 << self.slots[key]
        return bits.to_bytes((bits.bit_length() + 7) // 8, "little")

    def has(self, marks: bytes, key: Key) -> bool:
        """Whether a row with these marks carries a name."""
        slot = self.slots.get(key)
        return slot is not None and bool(int.from_bytes(marks, "little") >> slot & 1)

    @cached_property
    def events(self) -> Table:
        """The model's events, by their number in order of arrival."""
        return Table(
            f"events_{self.number}",
            MetaData(),
            Column("seq", SEQ, primary_key=True, autoincrement=False),
            Column("event_id", String, nullable=False),
            Column("time", Double, nullable=False),
            Column("received", Double, nullable=False),
            Column("version", String, nullable=False),
            Column("latency", Double),
            Column("marks", LargeBinary, nullable=False),
            *(Column(field.column, TYPES[field.kind]) for field in self.fields),
            # The version is in it so that counting a window need not look up its rows.
            Index(f"events_{self.number}_by_time", "time", "version"),
            # Not the order of arrival: clocks jump, and none may keep rows for ever.
            Index(f"events_{self.number}_by_receipt", "received"),
        )

    @cached_property
    def labels(self) -> Table:
        """The labels that have their event, by its number."""
        return Table(
            f"labels_{self.number}",
            MetaData(),
            Column("event_seq", SEQ, primary_key=True, autoincrement=False),
            Column("time", Double),
            Column("received", Double, nullable=False),
            *(Column(kind.value, kind_type) for kind, kind_type in TYPES.items()),
        )

    @cached_property
    def waiting(self) -> Table:
        """The labels whose event has not come (yet), by its id."""
        return Table(
            f"waiting_labels_{self.number}",
            MetaData(),
            Column("event_id", String, primary_key=True),
            Column("time", Double),
            Column("received", Double, nullable=False),
            *(Column(kind.value, kind_type) for kind, kind_type in TYPES.items()),
            Index(f"waiting_labels_{self.number}_by_receipt", "received"),
        )

    @property
    def tables(self) -> tuple[Table, Table, Table]:
        return self.events, self.labels, self.waiting


def layout_of(connection: Connection, number: int) -> Layout:
    """The columns of a model's rows."""
    layouts: dict[int, Layout] = kept(connection, "layouts")
    found = layouts.get(number)
    if found is not None and is_writing(connection) and alone(connection):
        return found
    mine = fields.c.model_id == number
    known = connection.execute(select(func.count()).select_from(fields).where(mine)).scalar_one()
    if found is None or len(found.fields) != known:
        rows = connection.execute(select(fields).where(mine).order_by(fields.c.place)).all()
        listed = (Field(row.place, row.slot, (Of(row.role), row.name), Kind(row.kind)) for row in rows)
        found = layouts[number] = _known(number, tuple(listed))
    return found


_NEWEST: dict[int, Layout] = {}  # by model


def _known(number: int, found: tuple[Field, ...]) -> Layout:
    """A layout as it was made last, if it still is that.

    After each rollback all are asked for anew, and every statement is kept with its tables: of wide models, made anew each
    time, these would be many megabytes.
    """
    known = _NEWEST.get(number)
    if known is None or known.fields != found:
        known = _NEWEST[number] = Layout(number, found)
    return known


def create_tables(connection: Connection, number: int) -> None:
    """The tables of a model that is new."""
    for table in Layout(number).tables:
        table.create(connection)


def grow(connection: Connection, layout: Layout, wanted: Mapping[tuple[Key, Kind], None]) -> Layout:
    """The layout with a column for each of these names and kinds.

    Raises:
        TooManyNames: there is no room for them.
    """
    missing = [each for each in wanted if each not in layout.places]
    if not missing:
        return layout
    slots = dict(layout.slots)
    added = []
    for place, (key, kind) in enumerate(missing, len(layout.fields)):
        if place >= MOST_NAMES:
            raise TooManyNames(f"expected at most {MOST_NAMES} names of one model, got another: {key[1][:60]!r}")
        added.append(Field(place, slots.setdefault(key, len(slots)), key, kind))
    rows = [
        {
            "place": each.place,
            "slot": each.slot,
            "role": each.key[0].value,
            "name": each.key[1],
            "kind": each.kind.value,
        }
        for each in added
    ]
    connection.execute(insert(fields), [{"model_id": layout.number, **row} for row in rows])
    if connection.dialect.name == "postgresql":
        # Somebody who reads the table for long, such as an export, holds this up, and with it all who write.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{GROW_SECONDS}s'")
    for each in added:
        kind = TYPES[each.kind].compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE events_{layout.number} ADD COLUMN {each.column} {kind}")
    grown = _known(layout.number, (*layout.fields, *added))
    kept(connection, "layouts")[layout.number] = grown
    return grown
