"""What comes in, from its bytes to the store, and into the counters once it is there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from monitor.config import Config
from monitor.consequences.recording import Effects, Recorder
from monitor.metrics import Metrics
from monitor.store import Store, StoreError, StoreFull, events
from monitor.store.dialect import forget, is_of_the_rows
from monitor.store.events import NewEvent, NewRows, Taken
from monitor.store.layout import PREDICTION, PROBABILITY, Layout, Of, layout_of
from monitor.store.quarantine import records_aside, set_aside, take_out
from monitor.wire import Batch, Expected, Kind, Subject, decode, read_body, read_typed
from monitor.wire.calls import Services, read_calls
from monitor.wire.typed import TypedDecoder, Unfit, first_model

WAITING_RECORDS = 100_000  # beyond them, whoever brings more is asked to come again
PATIENCE_SECONDS = 0.002
AGAIN = 1000  # records set aside that are sent again at once
HALVINGS = 64  # so often a batch is halved to find records that the database refuses; then what is left goes with them
TOGETHER = 20_000  # records that are stored in one go


@dataclass(slots=True)
class _Waiting:
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


_Settled = list[tuple[_Waiting, BaseException | None]]


@dataclass(slots=True)
class _Go:
    """Some batches that are stored in one go, and what became of them."""

    some: list[_Waiting] = field(default_factory=list)
    refused: dict[int, Exception] = field(default_factory=dict)  # by place among them
    taken: list[tuple[Kind, Subject, Taken]] = field(default_factory=list)
    layouts: dict[Subject, Layout] = field(default_factory=dict)
    effects: Effects = field(default_factory=Effects)

    def forget(self) -> None:
        """It was undone."""
        self.taken, self.layouts, self.effects = [], {}, Effects()

    def refusals(self) -> list[tuple[Subject, NewEvent, str]]:
        """The records that the store has no room for, and why."""
        return [(subject, *each) for _, subject, taken in self.taken for each in taken.refused]

    def add(self, other: _Go) -> None:
        """What became of another one is part of this."""
        self.taken += other.taken
        self.layouts |= other.layouts
        self.effects.add(other.effects)


class Intake:
    """Takes batches in: what waits when the store has time for it is stored together, which costs little more than one batch."""

    def __init__(
        self, store: Store, metrics: Metrics, *, now: Callable[[], float], told: Callable[[Effects], None]
    ) -> None:
        self._store, self._metrics, self._now, self._told = store, metrics, now, told
        self._versions = VersionLabels()
        # Entered again by whoever asks the store and is answered at once.
        self._door = threading.RLock()
        self._waiting: list[_Waiting] = []
        self._records = 0
        self._asked = False
        self._crowded = False
        self._recorder: Recorder
        self._owners: dict[Kind, Expected]
        self._services: Services
        self._decoders: dict[str, TypedDecoder] = {}

    def configure(self, config: Config, recorder: Recorder) -> None:
        """Take in what a configuration expects."""
        self._recorder = recorder
        self._services = Services(config)
        self._owners = {"predictions": Expected(config, "predictions"), "labels": Expected(config, "labels")}
        self._decoders = {}
        # Without the store, decoders are made as records come.
        with suppress(StoreError), self._store.read() as connection:
            for name, apps in self._owners["predictions"].apps.items():
                number = events.find_model(connection, apps[0], name) if len(apps) == 1 else None
                if number is not None:
                    self._learn((apps[0], name), layout_of(connection, number))

    def _learn(self, subject: Subject, layout: Layout) -> None:
        """Have a decoder for a model's columns as they are now."""
        app, name = subject
        known = self._decoders.get(name)
        if self._owners["predictions"].apps.get(name) != [app] or (known and known.layout.fields == layout.fields):
            return
        try:
            self._decoders[name] = TypedDecoder(subject, layout)
        except Unfit:
            self._decoders.pop(name, None)

    def read(self, body: bytes, form: str, kind: Kind, model: str = "") -> Batch:
        """The records of a request's body.

        Raises:
            BadBody: it is of no use as a whole.
        """
        batch = self.read_typed(body, form, kind)
        return read_body(body, form, kind, self._owners[kind], model) if batch is None else batch

    def read_typed(self, body: bytes, form: str, kind: Kind) -> Batch | None:
        """As `read`, where all records are of a model whose columns are known, and have no others; None otherwise.

        Raises:
            BadBody: there are too many values in it.
        """
        name = first_model(body) if kind == "predictions" else None
        typed = self._decoders.get(name) if name else None
        return None if typed is None else read_typed(body, form, typed)

    def read_calls(self, headers: Mapping[str, str], body: bytes) -> Batch:
        """The calls of inference services that a request's CloudEvents tell of.

        Raises:
            Unreadable: it holds no events.
        """
        return read_calls(headers, body, self._services)

    def aside(self, kind: Kind, seqs: Collection[int] | None) -> Batch:
        """Records that were set aside, read once more; storing them takes them out of where they were."""
        with self._store.read() as connection:
            rows = records_aside(connection, kind, seqs, AGAIN)
        batch = decode([record for _, record in rows], kind, self._owners[kind])
        taken = [seq for seq, _ in rows]
        batch.also.append(lambda connection, _batch, _now: take_out(connection, taken))
        return batch

    def take(self, batch: Batch) -> Future[Batch]:
        """Store a batch; the future is done once it is on the disk.

        Raises:
            StoreFull: too much waits already.
            StoreError: the store is closed.
        """
        future = Future[Batch]()
        # Whoever asked may go; what they brought is stored all the same, and their going disturbs nobody.
        future.set_running_or_notify_cancel()
        self._wait(_Waiting(batch, future))
        return future

    async def take_soon(self, batch: Batch) -> Batch:
        """As `take`, for somebody in a loop: all who wait there are told at once, which costs what telling one does.

        Raises:
            StoreFull: too much waits already.
            StoreError: the store is closed, or could not do it.
        """
        future: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self._wait(_Waiting(batch, future))
        return await future

    def _wait(self, waiting: _Waiting) -> None:
        batch = waiting.batch
        with self._door:
            if self._records + batch.records > max(WAITING_RECORDS, batch.records):
                raise StoreFull(f"{self._records} records wait for the store")
            self._waiting.append(waiting)
            self._records += batch.records
            if not self._asked:
                try:
                    self._ask()
                except StoreError:
                    self._waiting.remove(waiting)
                    self._records -= batch.records
                    raise

    @property
    def records_waiting(self) -> int:
        return self._records

    def _ask(self) -> None:
        go = _Go()
        self._asked = True
        try:
            future = self._store.submit(partial(self._store_some, go))
        except StoreError:
            self._asked = False
            raise
        future.add_done_callback(partial(self._answer, go))

    def _next(self) -> list[_Waiting]:
        """What is stored in the next go."""
        with self._door:
            some, records = 0, 0
            for waiting in self._waiting:
                records += waiting.batch.records
                some += 1
                if records >= TOGETHER:
                    break
            taken, self._waiting = self._waiting[:some], self._waiting[some:]
            self._records -= records
            self._asked = False
            return taken

    def _store_some(self, go: _Go, connection: Connection) -> None:
        """In the writer: store what waits, all of it together, or, where something of it is refused, one by one."""
        if self._crowded:
            # Others are on their way: a moment's patience stores twice as much at once.
            time.sleep(PATIENCE_SECONDS)
        go.some = self._next()
        self._crowded = len(go.some) > 1
        now = self._now()
        try:
            with connection.begin_nested():
                _store(connection, go.some, go, self._recorder, now)
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and not is_of_the_rows(error):
                raise  # the disk's fault is everybody's
            # Whose fault it is, is found by storing them one by one.
            go.forget()
            self._store_each(connection, go, now)

    def _store_each(self, connection: Connection, go: _Go, now: float) -> None:
        for place, waiting in enumerate(go.some):
            forget(connection)
            alone = _Go()
            try:
                with connection.begin_nested():
                    _store(connection, [waiting], alone, self._recorder, now)
            except Exception as error:
                forget(connection)
                if not isinstance(error, SQLAlchemyError):
                    go.refused[place] = error
                elif is_of_the_rows(error):
                    self._store_good(connection, place, go, now)
                else:
                    raise
            else:
                go.add(alone)
        forget(connection)

    def _store_good(self, connection: Connection, place: int, go: _Go, now: float) -> None:
        """Store of one batch what the database does not refuse."""
        try:
            with connection.begin_nested():
                go.add(_store_good(connection, go.some[place], self._recorder, now))
        except SQLAlchemyError as error:
            if not is_of_the_rows(error):
                raise
            forget(connection)
            go.refused[place] = StoreError(str(error.__cause__ or error).partition("\n")[0])

    def _answer(self, go: _Go, stored: Future[None]) -> None:
        """It is on the disk, or it is not: count it, and tell everybody who waits."""
        error = stored.exception()
        if error is not None and not go.some:
            go.some = self._next()  # the store did not even come to it
        try:
            if error is None:
                self._count(go)
        finally:
            _tell([(waiting, error or go.refused.get(place)) for place, waiting in enumerate(go.some)])
            self._ask_again(error)

    def _ask_again(self, error: BaseException | None) -> None:
        """Have what waits still stored next; where the store takes no more, tell whoever waits."""
        with self._door:
            left = self._waiting if self._waiting and not self._asked else []
            if left:
                try:
                    self._ask()
                    left = []
                except StoreError as full:
                    error, self._waiting, self._records = full, [], 0
        _tell([(waiting, error or StoreError("the store is closed")) for waiting in left])

    def _count(self, go: _Go) -> None:
        for kind, (app, model), taken in go.taken:
            count_taken(self._metrics, kind, app, model, taken, self._versions)
        for place, waiting in enumerate(go.some):
            if place not in go.refused:
                for rejection in waiting.batch.rejections:
                    self._metrics.add("anchorwatch_ingest_rejected_total", kind=rejection.kind, reason=rejection.reason)
        for subject, layout in go.layouts.items():
            self._learn(subject, layout)
        self._told(go.effects)


def _tell(settled: _Settled) -> None:
    """Tell all who wait what became of their batches."""
    loops: dict[asyncio.AbstractEventLoop, _Settled] = {}
    for waiting, fault in settled:
        if isinstance(waiting.future, asyncio.Future):
            loops.setdefault(waiting.future.get_loop(), []).append((waiting, fault))
        else:
            waiting.settle(fault)
    for loop, some in loops.items():
        with suppress(RuntimeError):  # it is closed, and nobody waits there any more
            loop.call_soon_threadsafe(_settle, some)


def _settle(settled: _Settled) -> None:
    for waiting, fault in settled:
        waiting.settle(fault)


def _store(connection: Connection, some: Sequence[_Waiting], go: _Go, recorder: Recorder, now: float) -> None:
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


def _refuse_some(go: _Go, some: Sequence[_Waiting], batches: list[Batch]) -> None:
    """Set aside those records of these batches that the store had no room for."""
    refusals = go.refusals()
    if not refusals:
        return
    owners = {
        id(event): place for place, batch in enumerate(batches) for rows in batch.events.values() for event in rows
    }
    for subject, event, reason in refusals:
        place = owners[id(event)]
        if batches[place] is some[place].batch:
            batches[place] = batches[place].copy()
        _refuse(batches[place], subject, event, "too_many_names", reason)


def _refuse(batch: Batch, subject: Subject, event: NewEvent, reason: str, message: str) -> None:
    """Set a record aside that was read well, and that the store does not take."""
    app, model = subject
    record = {
        "app": app, "model": model, "event_id": event.event_id, "timestamp": event.time, "model_version": event.version,
        "features": event.features, "prediction": event.prediction, "probability": event.probability,
        "latency_seconds": event.latency,
    }  # fmt: skip
    batch.reject(event.place, reason, message, msgspec.json.encode(record))


def _store_good(connection: Connection, waiting: _Waiting, recorder: Recorder, now: float) -> _Go:
    """Store a batch without those records that the database refuses; they are found by halving."""
    events_go, others = _Go(), _Go()
    batch = waiting.batch.copy()
    for step in batch.also:
        step(connection, batch, now)
    given, batch.events, batch.also = batch.events, {}, []
    tries = [HALVINGS]
    for subject, rows in given.items():
        _store_halves(connection, batch, subject, _one_by_one(rows), events_go, recorder, now, tries)
    for subject, event, reason in events_go.refusals():
        _refuse(batch, subject, event, "too_many_names", reason)
    waiting.batch = batch
    _store(connection, [waiting], others, recorder, now)
    events_go.add(others)
    return events_go


def _one_by_one(rows: Sequence[NewEvent | NewRows]) -> list[NewEvent | NewRows]:
    found: list[NewEvent | NewRows] = []
    for each in rows:
        if isinstance(each, NewRows):
            found += [NewRows(each.fields, [row], each.place + at) for at, row in enumerate(each.rows)]
        else:
            found.append(each)
    return found


def _store_halves(
    connection: Connection,
    batch: Batch,
    subject: Subject,
    rows: Sequence[NewEvent | NewRows],
    go: _Go,
    recorder: Recorder,
    now: float,
    tries: list[int],
) -> None:
    alone = _Go()
    try:
        with connection.begin_nested():
            _store_events(connection, subject, rows, alone, recorder, now)
    except SQLAlchemyError as error:
        if not is_of_the_rows(error):
            raise
        forget(connection)
        tries[0] -= 1
        if len(rows) > 1 and tries[0] > 0:
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                _store_halves(connection, batch, subject, half, go, recorder, now, tries)
            return
        message = f"expected a record that the database takes, it says: {str(error.__cause__ or error).splitlines()[0]}"
        for each in rows:
            _refuse(batch, subject, _event_of(each), "not_storable", message)
    else:
        go.add(alone)


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
    connection: Connection, subject: Subject, rows: Sequence[Any], go: _Go, recorder: Recorder, now: float
) -> None:
    app, model = subject
    # One after the other where they differ in how they were read: of one id, the first stands.
    for _, run in groupby(rows, key=lambda row: isinstance(row, NewRows) and row.fields):
        taken = events.add_events(connection, app, model, run, received=now)
        go.taken.append(("predictions", subject, taken))
        for version in taken.new_versions:
            go.effects.retrainings += recorder.retrainings.version_seen(connection, app, model, version, now)
    go.layouts[subject] = layout_of(connection, events.model_id(connection, app, model))


class VersionLabels:
    """The versions that have counters of their own: a version is a stranger's text, and every series costs memory."""

    def __init__(self, most: int = 50) -> None:
        self._most = most
        self._shown: dict[Subject, set[str]] = {}

    def of(self, subject: Subject, version: str) -> str:
        """The label of a version: itself, or `other` for those beyond the first so many of a model."""
        shown = self._shown.setdefault(subject, set())
        if len(shown) < self._most:
            shown.add(version)
        return version if version in shown else "other"


def count_taken(metrics: Metrics, kind: Kind, app: str, model: str, taken: Taken, shown: VersionLabels) -> None:
    """Count what was stored; called once it is on the disk."""
    subject = {"app": app, "model": model}
    metrics.add("anchorwatch_ingest_records_total", taken.new, kind=kind, **subject)
    metrics.add("anchorwatch_ingest_duplicates_total", taken.duplicates, kind=kind, **subject)
    if kind == "labels":
        metrics.add("anchorwatch_model_labels_total", taken.new, **subject)
    for version, rows in taken.predictions.items():
        label = shown.of((app, model), version)
        metrics.add("anchorwatch_model_predictions_total", rows, version=label, **subject)
        if version in taken.latencies:
            seconds = taken.latencies[version]
            metrics.observe_many("anchorwatch_model_latency_seconds", seconds, version=label, **subject)
