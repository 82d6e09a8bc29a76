"""Reading a model's rows back, only those of their columns that are asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, func, select

from monitor.records import FloatArray, IntArray, ObjectArray, Window
from monitor.store.layout import PREDICTION, PROBABILITY, Key, Kind, Layout, Of, layout_of, loaded

BATCH_ROWS = 1000
PRESENT = "marks"


class Fetched:
    """Some rows of a model in columns."""

    def __init__(self, layout: Layout, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ((),) * len(names)
        self._layout, self._columns = layout, dict(zip(names, columns, strict=True))
        self.rows = len(rows)
        self._marks: Counter[bytes] | None = None

    def take(self, rows: IntArray) -> Fetched:
        """Some of the rows, by their places."""
        places = rows.tolist()
        found = Fetched(self._layout, (), ())
        found._columns = {name: [held[place] for place in places] for name, held in self._columns.items()}
        found.rows = len(places)
        return found

    def column(self, name: str) -> Sequence[Any]:
        """A column that every row has, such as `time` or `event_id`, or one of a label."""
        return self._columns[name]

    @property
    def times(self) -> FloatArray:
        return np.array(self._columns["time"], dtype=np.float64)

    def kinds(self, key: Key) -> list[Kind]:
        """The kinds of values that a name holds in these rows."""
        fields = self._layout.by_key.get(key, ())
        return [each.kind for each in fields if any(value is not None for value in self._columns[each.column])]

    def values(self, key: Key) -> list[Any]:
        """The values of a name as they came, None where a row has none."""
        found: list[Any] = [None] * self.rows
        for place, each in enumerate(self._layout.by_key.get(key, ())):
            held = loaded(self._columns[each.column], each.kind)
            found = held if place == 0 else [old if new is None else new for old, new in zip(found, held, strict=True)]
        return found

    def plain(self, key: Key, kind: Kind) -> FloatArray | ObjectArray | None:
        """The values of a name in an array where all of them are of one kind, a number or text; None otherwise."""
        kinds = self.kinds(key)
        if kinds not in ([], [kind]) or kind not in (Kind.NUMBER, Kind.TEXT):
            return None
        field = next((each for each in self._layout.by_key.get(key, ()) if each.kind is kind), None)
        if field is None:
            return np.full(self.rows, np.nan) if kind is Kind.NUMBER else np.full(self.rows, None, dtype=object)
        # None becomes NaN.
        return np.array(self._columns[field.column], dtype=np.float64 if kind is Kind.NUMBER else object)

    def absent(self, key: Key) -> int:
        """The rows that did not even carry a name."""
        if self._marks is None:
            self._marks = Counter(self._columns[PRESENT])
        return sum(rows for marks, rows in self._marks.items() if not self._layout.has(marks, key))

    def carried(self, place: int) -> list[Key]:
        """The names that one row carries."""
        marks = self._columns[PRESENT][place]
        return [key for key in self._layout.slots if self._layout.has(marks, key)]


def _columns(layout: Layout, keys: Iterable[Key]) -> list[Any]:
    table = layout.events
    return [table.c[field.column] for key in dict.fromkeys(keys) for field in layout.by_key.get(key, ())]


def _fetch(connection: Connection, layout: Layout, query: Any) -> Fetched:
    result = connection.execute(query)
    assert result.cursor is not None  # it is the result of a query
    # The driver's own rows: SQLAlchemy's take as long again, and what our columns hold needs no more than `loaded`.
    return Fetched(layout, list(result.keys()), result.cursor.fetchall())


def newest_event(connection: Connection, number: int, before: float) -> float | None:
    """The newest event time of a model before an instant."""
    events = layout_of(connection, number).events
    found = connection.execute(select(func.max(events.c.time)).where(events.c.time < before)).scalar_one()
    return None if found is None else float(found)


def oldest_event(connection: Connection, number: int) -> float | None:
    """The oldest event time of a model that is kept."""
    found = connection.execute(select(func.min(layout_of(connection, number).events.c.time))).scalar_one()
    return None if found is None else float(found)


def oldest_receipt(connection: Connection, number: int) -> float | None:
    """When the oldest event that is kept was received."""
    found = connection.execute(select(func.min(layout_of(connection, number).events.c.received))).scalar_one()
    return None if found is None else float(found)


def newest_seq(connection: Connection, number: int) -> int:
    """The number of the last event that is kept, 0 where there is none."""
    return connection.execute(select(func.max(layout_of(connection, number).events.c.seq))).scalar_one() or 0


def rows_after(
    connection: Connection,
    number: int,
    seq: int,
    *,
    keys: Iterable[Key],
    versions: Sequence[str],
    limit: int,
    until: float = math.inf,
    within: Window | None = None,
) -> Fetched:
    """Rows of some versions in order of arrival, after one number up to another, with event time in a window."""
    layout = layout_of(connection, number)
    table = layout.events
    asked = [table.c.seq, table.c.time, table.c.version, table.c.marks, *_columns(layout, keys)]
    query = select(*asked).where(table.c.seq > seq, table.c.version.in_(versions)).order_by(table.c.seq).limit(limit)
    if until < math.inf:
        query = query.where(table.c.seq <= until)
    if within is not None:
        query = query.where(table.c.time >= within.start, table.c.time < within.end)
    return _fetch(connection, layout, query)


def version_spans(connection: Connection, number: int, start: float, end: float) -> Sequence[Any]:
    """Rows (version, rows, first, last) of the events with time in `[start, end)`."""
    events = layout_of(connection, number).events
    query = (
        select(events.c.version, func.count(), func.min(events.c.time), func.max(events.c.time))
        .where(events.c.time >= start, events.c.time < end)
        .group_by(events.c.version)
    )
    return connection.execute(query).all()


def spread_out(
    connection: Connection,
    number: int,
    version: str,
    *,
    keys: Iterable[Key] | None,
    limit: int,
    window: Window,
) -> Iterator[Fetched]:
    """At most `limit` events of a window, one in so many, in order of time, in batches; no keys are all of them."""
    layout = layout_of(connection, number)
    table = layout.events
    held = (table.c.version == version, table.c.time >= window.start, table.c.time < window.end)
    rows = connection.execute(select(func.count()).select_from(table).where(*held)).scalar_one()
    place = (func.row_number().over(order_by=(table.c.time, table.c.seq)) - 1).label("place")
    numbered = select(table.c.seq, place).where(*held).subquery()
    chosen = select(numbered.c.seq).where(numbered.c.place * min(limit, rows) % max(rows, 1) < min(limit, rows))
    asked = _columns(layout, layout.by_key if keys is None else keys)
    query = select(table.c.seq, table.c.time, table.c.event_id, table.c.marks, *asked).where(table.c.seq.in_(chosen))
    yield from _batches(connection, layout, query.order_by(table.c.time, table.c.seq))


def _batches(connection: Connection, layout: Layout, query: Any) -> Iterator[Fetched]:
    result = connection.execution_options(yield_per=BATCH_ROWS).execute(query)
    names = list(result.keys())
    for rows in result.partitions(BATCH_ROWS):
        yield Fetched(layout, names, rows)


LABEL = "label_"


def _label_columns(table: Table) -> list[Any]:
    return [table.c[kind.value].label(f"{LABEL}{kind.value}") for kind in Kind]


def labels_of(fetched: Fetched) -> list[Any]:
    """The values of labels as they came."""
    found: list[Any] = [None] * fetched.rows
    for kind in Kind:
        held = fetched.column(f"{LABEL}{kind.value}")
        if any(value is not None for value in held):
            found = [old if new is None else new for old, new in zip(found, loaded(held, kind), strict=True)]
    return found


def labelled_events(
    connection: Connection, number: int, start: float, end: float, *, keys: Iterable[Key], known_by: float = math.inf
) -> Iterator[Fetched]:
    """Batches of the events that have a label by an instant: `time`, `version`, `came`, the label, and these keys.

    A label has come at its own time, or, where it tells none, when it was received.
    """
    layout = layout_of(connection, number)
    events, labels = layout.events, layout.labels
    came = func.coalesce(labels.c.time, labels.c.received).label("came")
    asked = [events.c.time, events.c.version, came, *_label_columns(labels), *_columns(layout, keys)]
    query = (
        select(*asked)
        .select_from(events.join(labels, labels.c.event_seq == events.c.seq))
        .where(events.c.time >= start, events.c.time < end)
    )
    yield from _batches(connection, layout, query if known_by == math.inf else query.where(came <= known_by))


def count_labelled(connection: Connection, number: int, *, since: float, at_most: int) -> int:
    """Labelled predictions with event time from `since` on; counting ends at `at_most`."""
    layout = layout_of(connection, number)
    events, labels = layout.events, layout.labels
    joined = events.join(labels, labels.c.event_seq == events.c.seq)
    some = select(events.c.seq).select_from(joined).where(events.c.time >= since)
    return int(connection.execute(select(func.count()).select_from(some.limit(at_most).subquery())).scalar_one())


def wire_events(connection: Connection, number: int) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """A model's events in order of arrival as they came over the wire, each with its label or None; times are Unix seconds."""
    layout = layout_of(connection, number)
    events, labels = layout.events, layout.labels
    labelled = labels.c.event_seq.label("labelled")
    when = labels.c.time.label("label_time")
    query = (
        select(events, labelled, when, *_label_columns(labels))
        .select_from(events.outerjoin(labels, labels.c.event_seq == events.c.seq))
        .order_by(events.c.seq)
    )
    for fetched in _batches(connection, layout, query):
        yield from _as_wire(fetched, layout)


def _as_wire(fetched: Fetched, layout: Layout) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    values = {key: fetched.values(key) for key in layout.by_key}
    labels = labels_of(fetched)
    common = [fetched.column(name) for name in ("event_id", "time", "version", "latency", "labelled", "label_time")]
    for place, (event_id, time, version, latency, labelled, when) in enumerate(zip(*common, strict=True)):
        carried = {key: values[key][place] for key in fetched.carried(place)}
        event = {"event_id": event_id, "timestamp": time, "model_version": version, **_parts(carried)}
        if latency is not None:
            event["latency_seconds"] = latency
        label = {"event_id": event_id, "label": labels[place], "label_timestamp": when}
        yield event, None if labelled is None else label


def _parts(carried: Mapping[Key, Any]) -> dict[str, Any]:
    features = {name: value for (of, name), value in carried.items() if of is Of.FEATURE}
    by_class = {name: value for (of, name), value in carried.items() if of is Of.CLASS_PROBABILITY}
    parts = {"features": features, "prediction": carried.get(PREDICTION)}
    if PROBABILITY in carried:
        parts["probability"] = carried[PROBABILITY]
    elif by_class:
        parts["probability"] = by_class
    return parts
