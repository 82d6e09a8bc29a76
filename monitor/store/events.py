"""Events and labels: taking them in, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from monitor.store import ids
from monitor.store.dialect import alone, insert_rows, kept
from monitor.store.layout import (
    MOST_NAMES,
    PREDICTION,
    PROBABILITY,
    Field,
    Key,
    Kind,
    Layout,
    Of,
    TooManyNames,
    create_tables,
    grow,
    kind_of,
    layout_of,
    stored,
)
from monitor.store.schema import models
from monitor.store.versions import note_rows, note_versions

ASKED = 500  # ids in one statement
# PostgreSQL's row has to fit a page, its header, our own columns and pointers to long texts included.
ROW_BYTES, POINTER_BYTES = 7_800, 18
NARROW = ROW_BYTES // POINTER_BYTES  # so few values always fit


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One prediction, its values as they came; `place` is its place among the records it came with."""

    event_id: str
    time: float
    version: str
    features: Mapping[str, Any]
    prediction: Any
    probability: float | Mapping[str, float] | None = None
    latency: float | None = None
    place: int = 0


@dataclass(frozen=True, slots=True)
class NewRows:
    """Predictions as rows of columns that are there: each is (event_id, time, version, latency, marks, *values by field).

    `place` is that of the first among the records they came with.
    """

    fields: Sequence[Field]
    rows: Sequence[tuple[Any, ...]]
    place: int = 0


@dataclass(frozen=True, slots=True)
class NewLabel:
    """One label, its value as it came."""

    event_id: str
    time: float | None
    value: Any


@dataclass(slots=True)
class Taken:
    """What became of a batch: how many were new, which versions were seen for the first time, and what they counted.

    `predictions` and `latencies` (seconds) are of the new ones, by version.
    """

    new: int = 0
    duplicates: int = 0
    new_versions: tuple[str, ...] = ()
    predictions: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    refused: list[tuple[NewEvent, str, str]] = field(default_factory=list)  # and why, by a short name and in words


def model_id(connection: Connection, app: str, name: str) -> int:
    """The number of a model, given to it at its first appearance."""
    found = find_model(connection, app, name)
    if found is not None:
        return found
    inserted = connection.execute(insert(models).values(app=app, name=name))
    assert inserted.inserted_primary_key is not None  # the table has one
    number = int(inserted.inserted_primary_key[0])
    create_tables(connection, number)
    return number


def find_model(connection: Connection, app: str, name: str) -> int | None:
    """The number of a model, None where the store has never seen it."""
    numbers = kept(connection, "models")
    if (app, name) not in numbers:
        row = connection.execute(select(models.c.id).where(models.c.app == app, models.c.name == name)).first()
        if row is None:
            return None
        numbers[app, name] = int(row.id)  # it never changes
    return int(numbers[app, name])


# --- predictions ------------------------------------------------------------------------------------------------------


def add_events(
    connection: Connection, app: str, model: str, given: Iterable[NewEvent | NewRows], *, received: float
) -> Taken:
    """Store predictions; one whose id is known already is left as it was, one that would bring too many names is refused."""
    number = model_id(connection, app, model)
    layout = layout_of(connection, number)
    taken, loose = Taken(), []
    blocks: dict[tuple[Field, ...], list[tuple[Any, ...]]] = {}
    for each in given:
        if isinstance(each, NewRows):
            blocks.setdefault(tuple(each.fields), []).extend(each.rows)
        else:
            loose.append(each)
    if loose:
        layout, rows = _fitted(connection, layout, loose, taken)
        if rows:
            blocks.setdefault(layout.fields, []).extend(rows)
    for fields, rows in blocks.items():
        _add_rows(connection, layout, NewRows(fields, rows), taken, received)
    names = list(taken.predictions)
    taken.new_versions = note_versions(connection, number, names, received)
    note_rows(connection, number, names, received)
    return taken


def _fitted(
    connection: Connection, layout: Layout, given: Sequence[NewEvent], taken: Taken
) -> tuple[Layout, list[tuple[Any, ...]]]:
    """Predictions as rows of a layout that has a column for each of their values."""
    values = [dict(values_of(event)) for event in given]
    if not alone(connection) and any(len(found) > NARROW for found in values):
        given, values = _narrow(given, values, taken)
    wanted: dict[tuple[Key, Kind], None] = {}
    for found in values:
        _want(wanted, found, layout)
    try:
        layout = grow(connection, layout, wanted)
    except TooManyNames:
        given, values, wanted = _with_room(layout, given, values, taken)
        layout = grow(connection, layout, wanted)
    return layout, [_row(event, found, layout) for event, found in zip(given, values, strict=True)]


def _narrow(
    given: Sequence[NewEvent], values: Sequence[dict[Key, Any]], taken: Taken
) -> tuple[list[NewEvent], list[dict[Key, Any]]]:
    """Those predictions that PostgreSQL has a page for: it would refuse the whole statement."""
    events, kept_values = [], []
    for event, found in zip(given, values, strict=True):
        least = sum(map(_least_bytes, found.values()))
        if least > ROW_BYTES:
            reason = f"features: expected values that PostgreSQL can put into a row, {ROW_BYTES} bytes, got {least}"
            taken.refused.append((event, "too_wide", reason))
        else:
            events.append(event)
            kept_values.append(found)
    return events, kept_values


def _least_bytes(value: Any) -> int:
    """What a value takes in PostgreSQL's row at least; a longer text is kept elsewhere, and pointed to."""
    if value is None or isinstance(value, bool):
        return int(value is not None)
    return 8 if isinstance(value, int | float) else min(len(str(value)) + 1, POINTER_BYTES)


def _want(wanted: dict[tuple[Key, Kind], None], values: Mapping[Key, Any], layout: Layout) -> None:
    for key, value in values.items():
        if value is not None:
            wanted[key, kind_of(value)] = None
        elif key not in layout.by_key and not any((key, kind) in wanted for kind in Kind):
            wanted[key, Kind.NUMBER] = None  # a name that has only been null needs a bit, and may turn out otherwise


def _with_room(
    layout: Layout, given: Sequence[NewEvent], values: Sequence[dict[Key, Any]], taken: Taken
) -> tuple[list[NewEvent], list[dict[Key, Any]], dict[tuple[Key, Kind], None]]:
    """Those predictions, in their order, for whose names there is room."""
    wanted: dict[tuple[Key, Kind], None] = {}
    events, kept_values = [], []
    for event, found in zip(given, values, strict=True):
        more: dict[tuple[Key, Kind], None] = {}
        _want(more, found, layout)
        new = [each for each in more if each not in layout.places and each not in wanted]
        new = [
            each for each in new if found[each[0]] is not None or not any((each[0], kind) in wanted for kind in Kind)
        ]
        room = MOST_NAMES - len(layout.fields) - len(wanted)
        if len(new) > room:
            name = new[room][0][1]
            reason = f"features: expected at most {MOST_NAMES} names of one model, got another: {name[:60]!r}"
            taken.refused.append((event, "too_many_names", reason))
            continue
        wanted |= dict.fromkeys(new)
        events.append(event)
        kept_values.append(found)
    return events, kept_values, wanted


def values_of(event: NewEvent) -> Iterable[tuple[Key, Any]]:
    """What an event carries, by name."""
    for name, value in event.features.items():
        yield (Of.FEATURE, name), value
    yield PREDICTION, event.prediction
    if isinstance(event.probability, Mapping):
        for name, value in event.probability.items():
            yield (Of.CLASS_PROBABILITY, name), value
    elif event.probability is not None:
        yield PROBABILITY, event.probability


def _row(event: NewEvent, values: Mapping[Key, Any], layout: Layout) -> tuple[Any, ...]:
    row: list[Any] = [None] * len(layout.fields)
    for key, value in values.items():
        if value is not None:
            kind = kind_of(value)
            row[layout.places[key, kind]] = stored(value, kind)
    return (event.event_id, event.time, event.version, event.latency, layout.marks(values), *row)


def _add_rows(connection: Connection, layout: Layout, block: NewRows, taken: Taken, received: float) -> None:
    mine = models.c.id == layout.number
    last = ids.last_seq(connection, layout.number)
    names_of = [row[0] for row in block.rows]
    seqs = dict(zip(names_of, range(last + 1, last + 1 + len(names_of)), strict=True))
    if len(seqs) < len(names_of):
        # Of two of one id the first stands.
        seqs = dict(zip(reversed(names_of), range(last + len(names_of), last, -1), strict=True))
    known = ids.add(connection, layout, seqs, last)
    numbers: Sequence[int] = range(last + 1, last + 1 + len(block.rows))
    fresh = block.rows
    if known or len(seqs) < len(block.rows):
        numbers = [place for place, row in enumerate(fresh, last + 1) if seqs[row[0]] == place and row[0] not in known]
        fresh = [block.rows[place - last - 1] for place in numbers]
    if fresh:
        names = ["seq", "received", "event_id", "time", "version", "latency", "marks"]
        names += [column.column for column in block.fields]
        insert_rows(connection, layout.events.name, names, list(zip(numbers, repeat(received))), fresh)
        _claim_waiting(connection, layout, numbers, fresh)
    newest = last + len(block.rows)
    connection.execute(update(models).where(mine).values(last_seq=newest))
    ids.settle(connection, layout, newest)
    taken.new += len(fresh)
    taken.duplicates += len(block.rows) - len(fresh)
    _count(taken, fresh)


def _count(taken: Taken, fresh: Sequence[tuple[Any, ...]]) -> None:
    if len({row[2] for row in fresh}) == 1:
        taken.predictions[fresh[0][2]] += len(fresh)
        if told := [row[3] for row in fresh if row[3] is not None and row[3] >= 0]:
            taken.latencies.setdefault(fresh[0][2], []).extend(told)
        return
    taken.predictions.update(row[2] for row in fresh)
    for row in fresh:
        if row[3] is not None and row[3] >= 0:
            taken.latencies.setdefault(row[2], []).append(row[3])


# --- labels -----------------------------------------------------------------------------------------------------------


def add_labels(connection: Connection, app: str, model: str, given: Sequence[NewLabel], *, received: float) -> Taken:
    """Store labels, also those whose prediction is still unknown; the first label of an id stands."""
    number = model_id(connection, app, model)
    layout = layout_of(connection, number)
    first: dict[str, NewLabel] = {}
    for each in given:
        first.setdefault(each.event_id, each)
    seqs = ids.find(connection, layout, list(first))
    matched = [(seqs[each.event_id], *_label_row(each, received)) for each in first.values() if each.event_id in seqs]
    unknown = [(each.event_id, *_label_row(each, received)) for each in first.values() if each.event_id not in seqs]
    new = _insert_labels(connection, layout.labels, matched) + _insert_labels(connection, layout.waiting, unknown)
    if unknown:
        kept(connection, "waiting labels")[number] = True
    return Taken(new, len(given) - new)


def _label_row(label: NewLabel, received: float) -> tuple[Any, ...]:
    kind = kind_of(label.value)
    values = (stored(label.value, kind) if each is kind and label.value is not None else None for each in Kind)
    return label.time, received, *values


def _insert_labels(connection: Connection, table: Any, rows: Sequence[tuple[Any, ...]]) -> int:
    return insert_rows(connection, table.name, [column.name for column in table.columns], rows, new_only=True)


def _claim_waiting(
    connection: Connection, layout: Layout, numbers: Sequence[int], fresh: Sequence[tuple[Any, ...]]
) -> None:
    """Give the events that have just come the labels that have waited for them."""
    waiting = layout.waiting
    some: dict[int, bool] = kept(connection, "waiting labels")
    if not (alone(connection) and layout.number in some):
        some[layout.number] = connection.execute(select(waiting.c.event_id).limit(1)).first() is not None
    if not some[layout.number]:
        return
    seqs = {row[0]: number for number, row in zip(numbers, fresh, strict=True)}
    asked = list(seqs)
    for at in range(0, len(asked), ASKED):
        here = waiting.c.event_id.in_(asked[at : at + ASKED])
        rows = connection.execute(select(waiting).where(here)).all()
        if rows:
            _insert_labels(connection, layout.labels, [(seqs[row[0]], *row[1:]) for row in rows])
            connection.execute(delete(waiting).where(here))


def count_unmatched(connection: Connection, number: int) -> int:
    """Labels that no prediction has claimed."""
    query = select(func.count()).select_from(layout_of(connection, number).waiting)
    return int(connection.execute(query).scalar_one())
