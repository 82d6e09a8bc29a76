"""What is stored in one go of the writer: some batches together, and none spoiled by what another holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from monitor.consequences.recording import Effects, Recorder
from monitor.store import events
from monitor.store.dialect import forget, is_of_the_rows
from monitor.store.events import NewEvent, NewRows, Taken
from monitor.store.layout import PREDICTION, PROBABILITY, Layout, Of, layout_of
from monitor.store.quarantine import set_aside
from monitor.wire import Batch, Kind, Subject

HALVINGS = 64  # so often a batch is halved to find records that the database refuses; then what is left goes with them


@dataclass(slots=True)
class Waiting:
    """A batch that is to be stored, and who waits for it."""

    batch: Batch
    future: Future[Batch] | asyncio.Future[Batch]

    def settle(self, fault: BaseException | None) -> None:
        """Tell who waits; one who waits in a loop is told there, and may have gone."""
        if self.future.done():
            return
        if fault is None:
            self.future.set_result(self.batch)
        else:
            # One of its own: each that raises it adds where it went through.
            self.future.set_exception(copy(fault))


Settled = list[tuple[Waiting, BaseException | None]]


@dataclass(slots=True)
class Go:
    """Some batches that are stored in one go, and what became of them."""

    some: list[Waiting] = field(default_factory=list)
    refused: dict[int, Exception] = field(default_factory=dict)  # by place among them
    taken: list[tuple[Kind, Subject, Taken]] = field(default_factory=list)
    layouts: dict[Subject, Layout] = field(default_factory=dict)
    effects: Effects = field(default_factory=Effects)

    def forget(self) -> None:
        """It was undone."""
        self.taken, self.layouts, self.effects = [], {}, Effects()

    def refusals(self) -> list[tuple[Subject, NewEvent, str, str]]:
        """The records that the store has no room for, and why."""
        return [(subject, *each) for _, subject, taken in self.taken for each in taken.refused]

    def add(self, other: Go) -> None:
        """What became of another one is part of this."""
        self.taken += other.taken
        self.layouts |= other.layouts
        self.effects.add(other.effects)


def tell(settled: Settled) -> None:
    """Tell all who wait what became of their batches."""
    loops: dict[asyncio.AbstractEventLoop, Settled] = {}
    for waiting, fault in settled:
        if isinstance(waiting.future, asyncio.Future):
            loops.setdefault(waiting.future.get_loop(), []).append((waiting, fault))
        else:
            waiting.settle(fault)
    for loop, some in loops.items():
        with suppress(RuntimeError):  # it is closed, and nobody waits there any more
            loop.call_soon_threadsafe(_settle, some)


def _settle(settled: Settled) -> None:
    for waiting, fault in settled:
        waiting.settle(fault)


def store(connection: Connection, some: Sequence[Waiting], go: Go, recorder: Recorder, now: float) -> None:
    """Store batches in the caller's savepoint; a version that is new may be what a retraining has brought."""
    # What a batch's own steps add to it must be gone if this comes to nothing.
    batches = [each.batch.copy() if each.batch.also else each.batch for each in some]
    together: dict[Subject, list[Any]] = {}
    labels: dict[Subject, list[Any]] = {}
    for batch in batches:
        for step in batch.also:
            step(connection, batch, now)
        for subject, rows in batch.events.items():
            together.setdefault(subject, []).extend(rows)
        for subject, found in batch.labels.items():
            labels.setdefault(subject, []).extend(found)
    for subject, rows in together.items():
        _store_events(connection, subject, rows, go, recorder, now)
    for (app, model), found in labels.items():
        go.taken.append(("labels", (app, model), events.add_labels(connection, app, model, found, received=now)))
    _refuse_some(go, some, batches)
    if rejections := [each for batch in batches for each in batch.rejections]:
        set_aside(connection, rejections, now=now)
    for waiting, batch in zip(some, batches, strict=True):
        waiting.batch = batch


def _refuse_some(go: Go, some: Sequence[Waiting], batches: list[Batch]) -> None:
    """Set aside those records of these batches that the store had no room for."""
    refusals = go.refusals()
    if not refusals:
        return
    owners = {
        id(event): place for place, batch in enumerate(batches) for rows in batch.events.values() for event in rows
    }
    for subject, event, reason, message in refusals:
        place = owners[id(event)]
        if batches[place] is some[place].batch:
            batches[place] = batches[place].copy()
        _refuse(batches[place], subject, event, reason, message)


def _refuse(batch: Batch, subject: Subject, event: NewEvent, reason: str, message: str) -> None:
    """Set a record aside that was read well, and that the store does not take."""
    app, model = subject
    record = {
        "app": app, "model": model, "event_id": event.event_id, "timestamp": event.time, "model_version": event.version,
        "features": event.features, "prediction": event.prediction, "probability": event.probability,
        "latency_seconds": event.latency,
    }  # fmt: skip
    batch.reject(event.place, reason, message, msgspec.json.encode(record), of=subject)


def store_good(connection: Connection, waiting: Waiting, recorder: Recorder, now: float) -> Go:
    """Store a batch without those records that the database refuses; they are found by halving."""
    batch = waiting.batch.copy()
    for step in batch.also:
        step(connection, batch, now)
    given, batch.events, batch.also = batch.events, {}, []
    halving = _Halving(connection, batch, recorder, now)
    for subject, rows in given.items():
        halving.store(subject, _one_by_one(rows))
    for subject, event, reason, message in halving.go.refusals():
        _refuse(batch, subject, event, reason, message)
    waiting.batch = batch
    others = Go()
    store(connection, [waiting], others, recorder, now)
    halving.go.add(others)
    return halving.go


def _one_by_one(rows: Sequence[NewEvent | NewRows]) -> list[NewEvent | NewRows]:
    found: list[NewEvent | NewRows] = []
    for each in rows:
        if isinstance(each, NewRows):
            found += [NewRows(each.fields, [row], each.place + at) for at, row in enumerate(each.rows)]
        else:
            found.append(each)
    return found


@dataclass(slots=True)
class _Halving:
    """Finds the records of a batch that the database refuses, and stores the others."""

    connection: Connection
    batch: Batch
    recorder: Recorder
    now: float
    go: Go = field(default_factory=Go)
    left: int = HALVINGS

    def store(self, subject: Subject, rows: Sequence[NewEvent | NewRows]) -> None:
        """Store what can be stored of some rows of a model, and set the others aside."""
        alone = Go()
        try:
            with self.connection.begin_nested():
                _store_events(self.connection, subject, rows, alone, self.recorder, self.now)
        except SQLAlchemyError as error:
            if not is_of_the_rows(error):
                raise
            forget(self.connection)
            self._refused(subject, rows, error)
        else:
            self.go.add(alone)

    def _refused(self, subject: Subject, rows: Sequence[NewEvent | NewRows], error: SQLAlchemyError) -> None:
        self.left -= 1
        if len(rows) > 1 and self.left > 0:
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                self.store(subject, half)
            return
        said = str(error.__cause__ or error).partition("\n")[0]
        for each in rows:
            message = f"expected a record that the database takes, it says: {said}"
            _refuse(self.batch, subject, _event_of(each), "not_storable", message)


def _event_of(row: NewEvent | NewRows) -> NewEvent:
    """A row of one record as it came."""
    if isinstance(row, NewEvent):
        return row
    event_id, time, version, latency, _, *values = row.rows[0]
    held = {each.key: value for each, value in zip(row.fields, values, strict=True) if value is not None}
    features = {name: value for (of, name), value in held.items() if of is Of.FEATURE}
    classes = {name: value for (of, name), value in held.items() if of is Of.CLASS_PROBABILITY}
    score = held.get(PROBABILITY, classes or None)
    return NewEvent(event_id, time, version, features, held.get(PREDICTION), score, latency, row.place)


def _store_events(
    connection: Connection, subject: Subject, rows: Sequence[Any], go: Go, recorder: Recorder, now: float
) -> None:
    app, model = subject
    # One after the other where they differ in how they were read: of one id, the first stands.
    for _, run in groupby(rows, key=lambda row: isinstance(row, NewRows) and row.fields):
        taken = events.add_events(connection, app, model, run, received=now)
        go.taken.append(("predictions", subject, taken))
        for version in taken.new_versions:
            go.effects.retrainings += recorder.retrainings.version_seen(connection, app, model, version, now)
    go.layouts[subject] = layout_of(connection, events.model_id(connection, app, model))
