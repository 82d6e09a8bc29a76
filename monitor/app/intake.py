"""What comes in, from its bytes to the store, and into the counters once it is there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from monitor.app._going import Go, Waiting, store, store_good, tell
from monitor.app._taken import VersionLabels, count_taken
from monitor.config import Config
from monitor.consequences.recording import Effects, Recorder
from monitor.metrics import Metrics
from monitor.store import Store, StoreError, StoreFull, events
from monitor.store.dialect import forget, is_of_the_rows
from monitor.store.layout import Layout, layout_of
from monitor.store.quarantine import records_aside, take_out
from monitor.wire import Batch, Expected, Kind, Only, Subject, decode_each, read_body, read_typed
from monitor.wire.calls import Services, read_calls
from monitor.wire.typed import TypedDecoder, Unfit, first_model

WAITING_RECORDS = 100_000  # beyond them, whoever brings more is asked to come again
PATIENCE_SECONDS = 0.002
AGAIN = 1000  # records set aside that are sent again at once
TOGETHER = 20_000  # records that are stored in one go


class Intake:
    """Takes batches in: what waits when the store has time for it is stored together, which costs little more than one batch."""

    def __init__(
        self, store: Store, metrics: Metrics, *, now: Callable[[], float], told: Callable[[Effects], None]
    ) -> None:
        self._store, self._metrics, self._now, self._told = store, metrics, now, told
        self._versions = VersionLabels()
        # Entered again by whoever asks the store and is answered at once.
        self._door = threading.RLock()
        self._waiting: list[Waiting] = []
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
        self._subjects = {(app.name, model.name) for app, model in config.models()}
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
            if self._store.url is not None and len(layout.fields) > events.NARROW:
                raise Unfit("rows that may not fit a page are looked at one by one")
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
        batch = decode_each([(record, self._owner(kind, subject)) for _, record, subject in rows], kind)
        batch.also.append(partial(_take_out, [seq for seq, *_ in rows]))
        return batch

    def _owner(self, kind: Kind, subject: Subject | None) -> Expected | Only:
        """Who a record is judged by that was set aside: by the model whose source it came from, if that is still there."""
        return Only(subject) if subject and subject in self._subjects else self._owners[kind]

    def take(self, batch: Batch) -> Future[Batch]:
        """Store a batch; the future is done once it is on the disk.

        Raises:
            StoreFull: too much waits already.
            StoreError: the store is closed.
        """
        future = Future[Batch]()
        # Whoever asked may go; what they brought is stored all the same, and their going disturbs nobody.
        future.set_running_or_notify_cancel()
        self._wait(Waiting(batch, future))
        return future

    async def take_soon(self, batch: Batch) -> Batch:
        """As `take`, for somebody in a loop: all who wait there are told at once, which costs what telling one does.

        Raises:
            StoreFull: too much waits already.
            StoreError: the store is closed, or could not do it.
        """
        future: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self._wait(Waiting(batch, future))
        return await future

    def _wait(self, waiting: Waiting) -> None:
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
        go = Go()
        self._asked = True
        try:
            future = self._store.submit(partial(self._store_some, go))
        except StoreError:
            self._asked = False
            raise
        future.add_done_callback(partial(self._answer, go))

    def _next(self) -> list[Waiting]:
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

    def _store_some(self, go: Go, connection: Connection) -> None:
        """In the writer: store what waits, all of it together, or, where something of it is refused, one by one."""
        if self._crowded:
            # Others are on their way: a moment's patience stores twice as much at once.
            time.sleep(PATIENCE_SECONDS)
        go.some = self._next()
        self._crowded = len(go.some) > 1
        now = self._now()
        try:
            with connection.begin_nested():
                store(connection, go.some, go, self._recorder, now)
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and not is_of_the_rows(error):
                raise  # the disk's fault is everybody's
            # Whose fault it is, is found by storing them one by one.
            go.forget()
            self._store_each(connection, go, now)

    def _store_each(self, connection: Connection, go: Go, now: float) -> None:
        forget(connection)
        for place, waiting in enumerate(go.some):
            alone = Go()
            try:
                with connection.begin_nested():
                    store(connection, [waiting], alone, self._recorder, now)
            except Exception as error:  # noqa: BLE001 - the edge of one batch: it spoils no other
                forget(connection)
                if isinstance(error, SQLAlchemyError) and is_of_the_rows(error):
                    self._store_good(connection, place, go, now)
                else:
                    go.refused[place] = _own(error)
            else:
                go.add(alone)

    def _store_good(self, connection: Connection, place: int, go: Go, now: float) -> None:
        """Store of one batch what the database does not refuse."""
        try:
            with connection.begin_nested():
                go.add(store_good(connection, go.some[place], self._recorder, now))
        except Exception as error:  # noqa: BLE001 - as above
            forget(connection)
            go.refused[place] = _own(error)

    def _answer(self, go: Go, stored: Future[None]) -> None:
        """It is on the disk, or it is not: count it, and tell everybody who waits."""
        error = stored.exception()
        if error is not None and not go.some:
            go.some = self._next()  # the store did not even come to it
        try:
            if error is None:
                self._count(go)
        finally:
            tell([(waiting, error or go.refused.get(place)) for place, waiting in enumerate(go.some)])
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
        tell([(waiting, error or StoreError("the store is closed")) for waiting in left])

    def _count(self, go: Go) -> None:
        for kind, (app, model), taken in go.taken:
            count_taken(self._metrics, kind, app, model, taken, self._versions)
        for place, waiting in enumerate(go.some):
            if place not in go.refused:
                for rejection in waiting.batch.rejections:
                    self._metrics.add("anchorwatch_ingest_rejected_total", kind=rejection.kind, reason=rejection.reason)
        for subject, layout in go.layouts.items():
            self._learn(subject, layout)
        self._told(go.effects)


def _own(error: Exception) -> Exception:
    """What the one is told whose batch could not be stored.

    Raises:
        SQLAlchemyError: it is the disk's fault, and so everybody's.
    """
    if not isinstance(error, SQLAlchemyError):
        return error
    if not is_of_the_rows(error):
        raise error
    return StoreError(str(error.__cause__ or error).partition("\n")[0])


def _take_out(seqs: Sequence[int], connection: Connection, batch: Batch, _now: float) -> None:
    """Records that were set aside go, and what somebody else has sent again meanwhile is not set aside twice."""
    there = take_out(connection, seqs)
    batch.rejections = [
        rejection
        for told, rejection in zip(batch.rejected, batch.rejections, strict=True)
        if seqs[told["index"]] in there
    ]
