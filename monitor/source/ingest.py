"""Predictions and labels that were pushed to the daemon, as the store keeps them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from monitor.config import Model
from monitor.options import Options as _Options
from monitor.profile import Cutter, Profile, Reference, merge, profile_batch, same_bins
from monitor.profile.seasons import DAY, HOUR, cells_of
from monitor.records import Column, ColumnKind, EventBatch, LabelledBatch, Role, Window
from monitor.serving_logs import Outcome
from monitor.source import ReferenceFor
from monitor.source._outcomes import event_columns
from monitor.source._profiled import PART_ROWS, VERSIONS, ProfileFeed, RowCounts, bucket_of, series_of, usable
from monitor.source._stored import array_of, batch_of, keys_of
from monitor.source._values import objects, outcomes
from monitor.store import ReadStore, Store, events, reading
from monitor.store.cursors import cursor
from monitor.store.layout import PREDICTION, PROBABILITY, Of, layout_of
from monitor.store.profiles import read_buckets, read_parts
from monitor.store.versions import count_versions, newest_versions

ROLES = frozenset({"predictions", "labels"})
HEAVY = False

BATCH_ROWS = 1000  # rows that tell which columns there are


class Outputs(_Options):
    """How what a serving system logs of its answers is read, where it does not say so itself."""

    classes: tuple[str, ...] = ()
    prediction: str = ""
    probability: str = ""


class Options(_Options):
    """Pushed to `/v1/predictions` and `/v1/labels`, or logged to `/v1/cloudevents` by an inference service.

    `service` is the name of that service where it is not the model's, `outputs` says how its answers are read.
    """

    service: str = ""
    outputs: Outputs = Outputs()

    def outcome(self) -> Outcome:
        """How answers are read."""
        return Outcome(self.outputs.classes, self.outputs.prediction, self.outputs.probability)


class IngestSource:
    """One model's pushed predictions and labels.

    Profiles are kept in buckets of event time, and are fed in order of arrival: a cursor says up to which row they
    reach. A window is the sum of its buckets and of the rows behind the cursor, so it is exact at every moment, whatever
    came late.
    """

    def __init__(self, store: ReadStore, app: str, model: str, *, bucket_seconds: int) -> None:
        self.store, self.app, self.model, self.bucket_seconds = store, app, model, bucket_seconds

    def _number(self, connection: Connection) -> int | None:
        return events.find_model(connection, self.app, self.model)

    def _bucket(self, reference: Reference) -> int:
        return bucket_of(reference, self.bucket_seconds)

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant."""
        with self.store.read() as connection:
            number = self._number(connection)
            return None if number is None else reading.newest_event(connection, number, before)

    def oldest_event(self) -> float | None:
        """The oldest event time that is kept."""
        with self.store.read() as connection:
            number = self._number(connection)
            return None if number is None else reading.oldest_event(connection, number)

    def columns(self, window: Window, model: Model) -> tuple[Column, ...]:
        """The declared features, or those that some rows of the window hold, and the model's outcomes.

        Raises:
            SourceError: a feature is named as an outcome is.
        """
        found: dict[str, list[Any]] = {}
        scored = False
        with self.store.read() as connection:
            number = self._number(connection)
            if number is None:
                return event_columns(found, model, scored=scored)
            names = [name for of, name in layout_of(connection, number).by_key if of is Of.FEATURE]
            for version in newest_versions(connection, number, limit=VERSIONS):
                for part in reading.spread_out(connection, number, version, keys=None, limit=BATCH_ROWS, window=window):
                    scored = scored or bool(part.kinds(PROBABILITY))
                    for name in names:
                        if part.absent((Of.FEATURE, name)) < part.rows:
                            found.setdefault(name, []).extend(part.values((Of.FEATURE, name)))
        return event_columns(found, model, scored=scored)

    def omitted_versions(self) -> int:
        """How many versions are not judged, because there are newer ones enough."""
        with self.store.read() as connection:
            number = self._number(connection)
            return 0 if number is None else max(0, count_versions(connection, number) - VERSIONS)

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        """The profile of a window by version: its buckets, and the rows that are not in them yet."""
        found = {}
        with self.store.read() as connection:
            number = self._number(connection)
            if number is None:
                return {}
            spans: dict[str, Profile] | None = None
            for version in newest_versions(connection, number, limit=VERSIONS):
                reference = references(version)
                if reference is not None:
                    whole = self._whole(connection, number, version, reference, window)
                else:
                    # Counting the rows takes the longer the more there are: only where no profile knows them.
                    spans = _spans(connection, number, window) if spans is None else spans
                    whole = spans.get(version)
                if whole is not None:
                    found[version] = whole
        return found

    def _whole(
        self, connection: Connection, number: int, version: str, reference: Reference, window: Window
    ) -> Profile | None:
        series = series_of(reference, self._bucket(reference))
        bounds = {"seconds": self._bucket(reference), "start": int(window.start), "end": int(window.end)}
        seq = cursor(connection, number, version, series)
        # Without a cursor nobody knows how far the buckets go: they are of an older program, or of profiles that were dropped.
        kept = read_buckets(connection, number, version, series, bins=reference.bins, **bounds) if seq else None
        parts = [] if kept is None else [kept]
        for batch in self._behind(connection, number, version, reference, seq, window):
            parts.append(profile_batch(batch, reference.bins, reference.match))
        return merge(parts)

    def _behind(
        self, connection: Connection, number: int, version: str, reference: Reference, seq: int, window: Window
    ) -> Iterator[EventBatch]:
        """The rows of a window behind the cursor."""
        columns = usable(reference)
        keys = keys_of(columns)
        while True:
            rows = reading.rows_after(
                connection, number, seq, keys=keys, versions=[version], limit=PART_ROWS, within=window
            )
            if not rows.rows:
                return
            yield batch_of([rows], version, columns)
            seq = rows.column("seq")[-1]

    def catch_up(self, store: Store, references: ReferenceFor, *, now: float, counts: RowCounts | None = None) -> int:
        """Add every row that is not in a profile yet to the profile of its bucket; how many rows that were."""
        return sum(self.steps(store, references, now=now, counts=counts))

    def steps(
        self, store: Store, references: ReferenceFor, *, now: float, counts: RowCounts | None = None
    ) -> Iterator[int]:
        """As `catch_up`, some rows at a time.

        Args:
            store: that is written to.
            references: of the versions; the rows of one without wait.
            now: Unix seconds.
            counts: who counts the rows, each once, whatever becomes of the profiles.
        """
        yield from ProfileFeed(store, self.app, self.model, self.bucket_seconds, references, counts, now).steps()

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        """Give a cutter all rows of a span, of every version that shares the cutter's bins."""
        with self.store.read() as connection:
            number = self._number(connection)
            versions = [] if number is None else newest_versions(connection, number, limit=VERSIONS)
            for version in versions:
                reference = references(version)
                if reference is not None and number is not None and same_bins(reference.bins, cutter.bins):
                    self._cut(connection, number, version, reference, span, cutter)

    def _cut(
        self, connection: Connection, number: int, version: str, reference: Reference, span: Window, cutter: Cutter
    ) -> None:
        bucket_seconds = self._bucket(reference)
        series = series_of(reference, bucket_seconds)
        seq = cursor(connection, number, version, series)
        whole = bool(cutter.seconds) and cutter.seconds % bucket_seconds == 0
        if seq and whole:
            # A part is of one stretch and of one cell of the season.
            longest = math.gcd(int(cutter.seconds), HOUR if "hour_of_day" in cutter.match else DAY)
            parts = read_parts(
                connection, number, version, series, bins=reference.bins,
                seconds=bucket_seconds, start=int(span.start), end=int(span.end), longest=longest,
            )  # fmt: skip
            for start, profile in parts:
                cell = int(cells_of(np.array([start], dtype=np.float64), cutter.match)[0])
                cutter.add_profile(int(start // cutter.seconds), cell, profile)
        for batch in self._behind(connection, number, version, reference, seq if whole else 0, span):
            cutter.add(batch)

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        """Raw rows of a window by version, in order of event time: at most `limit` of each, evenly spread over the window."""
        found = {}
        with self.store.read() as connection:
            number = self._number(connection)
            versions = [] if number is None else newest_versions(connection, number, limit=VERSIONS)
            for version in versions:
                assert number is not None  # it has versions
                keys = keys_of(columns)
                parts = list(reading.spread_out(connection, number, version, keys=keys, limit=limit, window=window))
                if parts:
                    found[version] = batch_of(parts, version, columns)
        return found

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        """The window's predictions whose label has come by an instant: at its own time, or when it was received."""
        with self.store.read() as connection:
            number = self._number(connection)
            if number is None:
                return
            prediction = Column(Role.PREDICTION.value, ColumnKind.NUMERIC, role=Role.PREDICTION)
            keys = keys_of([prediction, *columns])
            for part in reading.labelled_events(
                connection, number, window.start, window.end, keys=keys, known_by=known_by
            ):
                yield LabelledBatch(
                    part.times,
                    objects(list(part.column("version"))),
                    outcomes(part.values(PREDICTION), numeric=numeric),
                    outcomes(reading.labels_of(part), numeric=numeric),
                    np.array(part.column("came"), dtype=np.float64),
                    {each.name: array_of(part, each)[0] for each in columns},
                )


def _spans(connection: Connection, number: int, window: Window) -> dict[str, Profile]:
    spans = reading.version_spans(connection, number, window.start, window.end)
    return {version: Profile(rows, first, last, {}) for version, rows, first, last in spans}
