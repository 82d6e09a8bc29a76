"""The profiles of one model, kept up with its predictions as they come in."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from monitor.app._bins import BinCounters
from monitor.app.jobs import Results
from monitor.check import References
from monitor.child import ChildFailed
from monitor.config import Loaded, Model
from monitor.profile import Reference
from monitor.records import NoData
from monitor.source import SourceError
from monitor.source._reference import reference_key
from monitor.source.ingest import IngestSource
from monitor.store import StoreError, events
from monitor.store.cursors import end_counting, last_given
from monitor.store.references import load_reference
from monitor.windows import bucket_seconds

log = logging.getLogger(__name__)

EVERY_SECONDS = 3.0  # real time
READ_SECONDS = 5.0  # real time
AT_ONCE_SECONDS = (
    0.25  # real time: of a rush, what comes in comes first; what is left is for the next run, or for a look,
)
AT_MOST_SECONDS = 1.0  # and as long as something is left, each run may take longer than the last, up to a third of one
LONGER = 1.05


class ProfileUpdates:
    """Feeds a model's profiles between the looks at it, and counts its rows by bin.

    What feeds never reads a reference: those that a look has found are at hand, and those that the store keeps. A version
    whose reference is neither waits until it has been read beside.
    """

    def __init__(self, app: str, model: Model, loaded: Loaded, results: Results, bins: BinCounters) -> None:
        self.app, self.model, self.results = app, model, results
        self.directory = loaded.directory
        self.source = IngestSource(
            results.store, app, model.name, bucket_seconds=bucket_seconds(model.windows)
        )  # fmt: skip
        self._bins = bins
        self._counts = bins if loaded.config.metrics.bins else None
        self._configured = False
        self._limit = loaded.config.metrics.features
        self._known: dict[str, Reference] = {}
        self._unknown: set[str] = set()  # versions whose reference is not at hand,
        self._tried: set[str] = set()  # and of these those that could not be read since the last look
        self._arrived = -1
        self._waited: frozenset[str] = frozenset()
        self._said = ""
        self._seconds = AT_ONCE_SECONDS
        self._lock = threading.Lock()  # one at a time: the job, or the judgement of the same model
        self._closed = False

    def run(self) -> None:
        """Feed what has come in since the last run; where a judgement is under way, that does it."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._closed:
                self._run()
            self._said = ""
        except (StoreError, SourceError) as error:
            if str(error) != self._said:
                log.warning("profiles not fed", extra={"app": self.app, "model": self.model.name, "error": str(error)})
            self._said = str(error)
        finally:
            self._lock.release()

    def _run(self) -> None:
        with self.results.store.read() as connection:
            arrived = last_given(connection, self.app, self.model.name)
        if arrived == self._arrived and self._bins.waiting == self._waited:
            return
        self._configure()
        until = time.monotonic() + self._seconds
        for _ in self.source.steps(
            self.results.store, self._at_hand, now=self.results.now(), counts=self._counts
        ):  # fmt: skip
            if time.monotonic() >= until:
                self._seconds = min(self._seconds * LONGER, AT_MOST_SECONDS)
                return
        self._seconds = AT_ONCE_SECONDS
        self._arrived, self._waited = arrived, self._bins.waiting

    def catch_up(self, references: References, *, now: float) -> None:
        """Feed everything there is, for a look at it; what references the look knows is remembered."""
        with self._lock:
            if self._closed:
                return
            self._configure()
            self.source.catch_up(self.results.store, references, now=now, counts=self._counts)
            # One that cannot be read just now stays what it was.
            kept = {version: self._known[version] for version in references.failures if version in self._known}
            self._known, self._unknown, self._tried = {**kept, **references.found}, set(), set()
            self._arrived = -1

    def read_references(self, read: Callable[[str], Reference | None]) -> None:
        """Read the references that are waited for, each once between two looks: so that a new version need not wait for one.

        `read` reads the reference of a version, and may take long.
        """
        for version in sorted(self._unknown - self._tried):
            self._tried.add(version)
            try:
                found = read(version)
            except (SourceError, NoData, ChildFailed, StoreError, OSError):
                continue  # the next look will say so
            with self._lock:
                if found is not None:
                    self._known[version] = found
                    self._unknown.discard(version)
                    self._arrived = -1

    @property
    def features(self) -> Iterable[str]:
        """The features whose rows are counted, or left out because there are too many."""
        return self._bins.features

    def _configure(self) -> None:
        """Before the first rows: another configuration may have counted otherwise."""
        if self._configured:
            return
        if self._counts is not None:
            self._counts.configure(self.model, self._limit)
        else:
            self._bins.clear()
            with self.results.store.read() as connection:
                number = events.find_model(connection, self.app, self.model.name)
            if number is not None:
                self.results.store.write(lambda connection: end_counting(connection, number))
        self._configured = True

    def _at_hand(self, version: str) -> Reference | None:
        """The reference of a version, from memory or from the store."""
        if version not in self._known and version not in self._unknown:
            found = self._kept(version)
            if found is None:
                self._unknown.add(version)
            else:
                self._known[version] = found
        return self._known.get(version)

    def _kept(self, version: str) -> Reference | None:
        try:
            key = reference_key(self.model, version, self.directory)
        except SourceError:
            return None
        if key is None:
            return None
        for reference in self._known.values():
            if reference.fingerprint == key[0]:
                return reference
        with self.results.store.read() as connection:
            number = events.find_model(connection, self.app, self.model.name)
            return None if number is None else load_reference(connection, number, key[0])

    def close(self) -> None:
        """Feed nothing any more; what was under way has ended."""
        with self._lock:
            self._closed = True
