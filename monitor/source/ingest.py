"""Predictions and labels that were pushed to the daemon, as the store keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import Connection

from monitor.options import Options as _Options
from monitor.profile import Profile, Reference, merge, profile_batch
from monitor.records import Column, EventBatch, LabelledBatch, Window, fingerprint
from monitor.source import ReferenceFor
from monitor.source._values import column, objects, outcomes
from monitor.store import ReadStore, Store, events
from monitor.store.profiles import CursorMoved, advance, cursor, read_buckets

ROLES = frozenset({"predictions", "labels"})
HEAVY = False

VERSIONS = 20  # a model has so many versions judged, the newest ones: a version is a stranger's text
BATCH_ROWS = 1000  # a batch is decoded at once, so it is what a check costs in memory
_decode = msgspec.json.Decoder().decode


class Options(_Options):
    """Pushed to `/v1/predictions` and `/v1/labels`; there is nothing to set."""


def series_of(reference: Reference, bucket_seconds: int) -> str:
    """The name of the series of profiles on these bins and buckets: other bins or buckets begin another."""
    return fingerprint(reference.fingerprint, str(bucket_seconds))


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

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant."""
        with self.store.read() as connection:
            number = self._number(connection)
            return None if number is None else events.newest_event(connection, number, before)

    def omitted_versions(self) -> int:
        """How many versions are not judged, because there are newer ones enough."""
        with self.store.read() as connection:
            number = self._number(connection)
            return 0 if number is None else max(0, events.count_versions(connection, number) - VERSIONS)

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        """The profile of a window by version: its buckets, and the rows that are not in them yet."""
        found = {}
        with self.store.read() as connection:
            number = self._number(connection)
            if number is None:
                return {}
            spans = {span[0]: span for span in events.version_spans(connection, number, window.start, window.end)}
            for version in events.newest_versions(connection, number, limit=VERSIONS):
                reference = references(version)
                if reference is None:
                    if version in spans:
                        _, rows, first, last = spans[version]
                        found[version] = Profile(rows, first, last, {})
                elif (whole := self._whole(connection, number, version, reference, window)) is not None:
                    found[version] = whole
        return found

    def _whole(
        self, connection: Connection, number: int, version: str, reference: Reference, window: Window
    ) -> Profile | None:
        series = series_of(reference, self.bucket_seconds)
        bounds = {"start": int(window.start), "end": int(window.end)}
        seq = cursor(connection, number, version, series)
        # Without a cursor the buckets are those of a series that was left: its rows are read anew.
        parts = read_buckets(connection, number, version, series, bins=reference.bins, **bounds) if seq else []
        while True:
            rows = events.events_after(
                connection, number, version, seq, limit=BATCH_ROWS, start=window.start, end=window.end
            )
            if not rows:
                return merge(parts)
            parts.append(profile_batch(decode_events(rows, version, _usable(reference)), reference.bins))
            seq = rows[-1].seq

    def catch_up(self, store: Store, references: ReferenceFor, *, now: float) -> int:
        """Add every row that is not in a profile yet to the profile of its bucket; how many rows that were."""
        with store.read() as connection:
            number = self._number(connection)
            versions = [] if number is None else events.newest_versions(connection, number, limit=VERSIONS)
        added = 0
        for version in versions:
            reference = references(version)
            while reference is not None and number is not None:
                step = self._step(store, number, version, reference, now)
                added += step
                if step == 0:
                    break
        return added

    def _step(self, store: Store, number: int, version: str, reference: Reference, now: float) -> int:
        series = series_of(reference, self.bucket_seconds)
        with store.read() as connection:
            before = cursor(connection, number, version, series)
            rows = events.events_after(connection, number, version, before, limit=BATCH_ROWS, start=-np.inf, end=np.inf)
        if not rows:
            return 0
        fresh = self._by_bucket(rows, version, reference)

        def change(connection: Connection) -> None:
            advance(
                connection, number, version, series,
                bins=reference.bins, before=before, after=rows[-1].seq, fresh=fresh, now=now,
            )  # fmt: skip

        try:
            store.write(change)
        except CursorMoved:
            return 0
        return len(rows)

    def _by_bucket(self, rows: Any, version: str, reference: Reference) -> dict[int, Profile]:
        buckets: dict[int, list[Any]] = {}
        for row in rows:
            buckets.setdefault(int(row.time // self.bucket_seconds) * self.bucket_seconds, []).append(row)
        columns = _usable(reference)
        return {
            bucket: profile_batch(decode_events(held, version, columns), reference.bins)
            for bucket, held in buckets.items()
        }

    def labelled(self, window: Window, *, numeric: bool) -> Iterator[LabelledBatch]:
        """The window's predictions whose label has come."""
        with self.store.read() as connection:
            number = self._number(connection)
            if number is None:
                return
            for rows in events.labelled_events(connection, number, window.start, window.end):
                yield LabelledBatch(
                    np.array([row[0] for row in rows], dtype=np.float64),
                    objects([row[1] for row in rows]),
                    outcomes([_decode(row[2])["prediction"] for row in rows], numeric=numeric),
                    outcomes([_decode(row[3]) for row in rows], numeric=numeric),
                )


def _usable(reference: Reference) -> tuple[Column, ...]:
    return tuple(column for column in reference.columns if column.name in reference.bins)


def decode_events(rows: Any, version: str, columns: tuple[Column, ...]) -> EventBatch:
    """Stored rows of one version as columns."""
    bodies = [_decode(row.body)["features"] for row in rows]
    features, absent, invalid = {}, {}, {}
    for feature in columns:
        name = feature.name
        features[name], invalid[name] = column([body.get(name) for body in bodies], feature.kind)
        absent[name] = sum(name not in body for body in bodies)
    return EventBatch(version, np.array([row.time for row in rows]), features, absent, invalid)
