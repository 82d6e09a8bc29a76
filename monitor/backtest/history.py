"""Where a model's history is read: files once into memory, pushed events from the store, and nothing before its time."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from monitor import registry
from monitor.backtest.labels import LabelledRows
from monitor.backtest.progress import Tell
from monitor.check import Calibrations, References, labelled_columns
from monitor.config import Loaded, Model
from monitor.profile import Cutter, Profile, Reference
from monitor.records import Column, EventBatch, LabelledBatch, NoData, Window, iso
from monitor.source import EventSource, ReferenceFor, SourceError
from monitor.source._open import open_events
from monitor.source._reference import read_reference, reference_key
from monitor.source.ingest import IngestSource
from monitor.store import StoreError, events
from monitor.store.references import load_reference
from monitor.windows import bucket_seconds

log = logging.getLogger(__name__)

LookUp = Callable[[str, float], Reference | None]


class AsOf:
    """A source as it was at an instant: no event or label is there before its time."""

    def __init__(self, source: EventSource, now: float) -> None:
        self.source, self.now = source, now

    def newest_event(self, before: float) -> float | None:
        return self.source.newest_event(min(before, self.now))

    def oldest_event(self) -> float | None:
        oldest = self.source.oldest_event()
        return None if oldest is None or oldest >= self.now else oldest

    def columns(self, window: Window, model: Model) -> tuple[Column, ...]:
        return self.source.columns(self._until_now(window), model)

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        return self.source.profiles(self._until_now(window), references)

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        self.source.cut(self._until_now(span), references, cutter)

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        return self.source.rows(self._until_now(window), columns, limit=limit)

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        within = self._until_now(window)
        return self.source.labelled(within, numeric=numeric, known_by=min(known_by, self.now), columns=columns)

    def _until_now(self, window: Window) -> Window:
        return window if window.end <= self.now else Window(window.start, self.now)


class Broken:
    """A source that cannot be read: every check on it ends in the error that says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise SourceError(self.reason)

    newest_event = oldest_event = columns = profiles = cut = rows = labelled = _fail


class Standards:
    """The references of a model's versions: each is looked up until it is there, and kept from then on."""

    def __init__(self, look_up: LookUp, directory: Path) -> None:
        self._look_up, self._directory, self._calibrations = look_up, directory, Calibrations()
        self._found: dict[str, Reference | None] = {}
        self._prepared: dict[tuple[str, str, float], Any] = {}

    def at(self, now: float) -> References:
        """The references as they are known at an instant (Unix seconds)."""
        return References(partial(self._one, now=now), self._calibrations, self._directory, prepared=self._prepared)

    def _one(self, version: str, *, now: float) -> Reference | None:
        if version not in self._found:
            self._found[version] = self._look_up(version, now)
        return self._found[version]


@dataclass(slots=True)
class History:
    """One model, its source, and the event times at the ends of its predictions (None: there is none, or it is broken)."""

    app: str
    model: Model
    source: EventSource
    standards: Standards
    first: float | None = None
    last: float | None = None
    close: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        """The app and the model."""
        return f"{self.app}/{self.model.name}"

    @property
    def is_broken(self) -> bool:
        return isinstance(self.source, Broken)


def open_history(loaded: Loaded, app: str, model: Model, tell: Tell) -> History:
    """Read what there is of a model; what goes wrong stays in it."""
    try:
        source = open_events(app, model, loaded.directory, loaded.store)
        if isinstance(source, IngestSource):
            return _ingested(loaded, app, model, source)
        return _read(loaded, app, model, source, tell)
    except (SourceError, StoreError, OSError) as error:
        reason = str(error)
    except Exception as error:
        # The edge of one model: it fails alone, and says so.
        log.exception("history not read", extra={"app": app, "model": model.name})
        reason = f"{type(error).__name__}: {error}"
    return History(app, model, Broken(reason), Standards(lambda _, __: None, loaded.directory))


def _read(loaded: Loaded, app: str, model: Model, files: EventSource, tell: Tell) -> History:
    from monitor.backtest.bucketed import BucketedSource, read_labels

    labelled: LabelledRows | SourceError
    try:
        labelled = read_labels(files, numeric=model.is_numeric, columns=labelled_columns(model))
    except SourceError as error:
        labelled = error  # what needs no labels goes on
    bucket, about = bucket_seconds(model.windows), f"{app}/{model.name}"
    source = BucketedSource(files, labelled, bucket_seconds=bucket, about=about, tell=tell)

    def look_up(version: str, now: float) -> Reference | None:
        return read_reference(model, version, loaded.directory, AsOf(source, now), now=now)

    last = max((span.last for span in source.spans.values()), default=None)
    return History(app, model, source, Standards(look_up, loaded.directory), source.oldest_event(), last)


def _ingested(loaded: Loaded, app: str, model: Model, source: IngestSource) -> History:
    def look_up(version: str, now: float) -> Reference | None:
        kept = _kept(loaded, app, model, version, source, now)
        return kept or read_reference(model, version, loaded.directory, AsOf(source, now), now=now)

    first, last = source.oldest_event(), source.newest_event(math.inf)
    return History(app, model, source, Standards(look_up, loaded.directory), first, last, source.store.close)


def _kept(loaded: Loaded, app: str, model: Model, version: str, source: IngestSource, now: float) -> Reference | None:
    """The reference that the daemon has kept, on whose bins it has kept the profiles; None where there is none.

    Raises:
        NoData: it is of a time that is still to come.
    """
    found = reference_key(model, version, loaded.directory)
    if found is None:
        return None
    period = getattr(registry.load("source", model.reference.type), "period", None)
    mature = model.labels.mature if model.labels else 0.0
    if period is not None and now < (ends := period(model.reference.options).end + mature):
        raise NoData(f"the period of the reference is not over, or its labels have not matured, before {iso(ends)}")
    with source.store.read() as connection:
        number = events.find_model(connection, app, model.name)
        return None if number is None else load_reference(connection, number, found[0], stretches=True)
