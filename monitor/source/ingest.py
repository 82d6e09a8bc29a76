"""Predictions and labels that were pushed to the daemon, as the store keeps them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import Connection

from monitor.config import Model
from monitor.options import Options as _Options
from monitor.profile import Cutter, Profile, Reference, merge, profile_batch, same_bins
from monitor.profile.seasons import DAY, HOUR, cells_of
from monitor.records import Column, ColumnKind, EventBatch, LabelledBatch, Role, Window, fingerprint
from monitor.source import ReferenceFor
from monitor.source._outcomes import CLASS_SCORE, GROUP, event_columns
from monitor.source._values import class_name, column, objects, outcomes
from monitor.store import ReadStore, Store, events
from monitor.store.profiles import CursorMoved, advance, cursor, read_buckets, read_parts

ROLES = frozenset({"predictions", "labels"})
HEAVY = False

VERSIONS = 20  # a model has so many versions judged, the newest ones: a version is a stranger's text
PART_ROWS = 10_000  # of rows that become columns at once
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

    def _bucket(self, reference: Reference) -> int:
        """The length of the buckets: where the hour of the day counts, none is of two hours."""
        return math.gcd(self.bucket_seconds, HOUR) if "hour_of_day" in reference.match else self.bucket_seconds

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant."""
        with self.store.read() as connection:
            number = self._number(connection)
            return None if number is None else events.newest_event(connection, number, before)

    def oldest_event(self) -> float | None:
        """The oldest event time that is kept."""
        with self.store.read() as connection:
            number = self._number(connection)
            return None if number is None else events.oldest_event(connection, number)

    def columns(self, window: Window, model: Model) -> tuple[Column, ...]:
        """The declared features, or those that some rows of the window hold, and the model's outcomes.

        Raises:
            SourceError: a feature is named as an outcome is.
        """
        found: dict[str, list[Any]] = {}
        scored = False
        with self.store.read() as connection:
            number = self._number(connection)
            versions = [] if number is None else events.newest_versions(connection, number, limit=VERSIONS)
            for version in versions:
                assert number is not None  # it has versions
                for row in events.spread_out_events(
                    connection, number, version, limit=BATCH_ROWS, start=window.start, end=window.end
                ):
                    body = _decode(row.body)
                    scored = scored or isinstance(body.get("probability"), int | float)
                    for name, value in body["features"].items():
                        found.setdefault(name, []).append(value)
        return event_columns(found, model, scored=scored)

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
            spans: dict[str, Profile] | None = None
            for version in events.newest_versions(connection, number, limit=VERSIONS):
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
        # Without a cursor the buckets are those of a series that was left: its rows are read anew.
        kept = read_buckets(connection, number, version, series, bins=reference.bins, **bounds) if seq else None
        parts = [] if kept is None else [kept]
        for batch in self._behind(connection, number, version, reference, seq, window):
            parts.append(profile_batch(batch, reference.bins, reference.match))
        return merge(parts)

    def _behind(
        self, connection: Connection, number: int, version: str, reference: Reference, seq: int, window: Window
    ) -> Iterator[EventBatch]:
        """The rows of a window behind the cursor."""
        while True:
            rows = events.events_after(
                connection, number, version, seq, limit=BATCH_ROWS, start=window.start, end=window.end
            )
            if not rows:
                return
            yield decode_events(rows, version, _usable(reference))
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
        bucket_seconds = self._bucket(reference)
        series = series_of(reference, bucket_seconds)
        with store.read() as connection:
            before = cursor(connection, number, version, series)
            rows = events.events_after(connection, number, version, before, limit=BATCH_ROWS, start=-np.inf, end=np.inf)
        if not rows:
            return 0
        fresh = _by_bucket(rows, version, reference, bucket_seconds)

        def change(connection: Connection) -> None:
            advance(
                connection, number, version, series,
                bins=reference.bins, seconds=bucket_seconds, before=before, after=rows[-1].seq, fresh=fresh, now=now,
            )  # fmt: skip

        try:
            store.write(change)
        except CursorMoved:
            return 0
        return len(rows)

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        """Give a cutter all rows of a span, of every version that shares the cutter's bins."""
        with self.store.read() as connection:
            number = self._number(connection)
            versions = [] if number is None else events.newest_versions(connection, number, limit=VERSIONS)
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
            versions = [] if number is None else events.newest_versions(connection, number, limit=VERSIONS)
            for version in versions:
                assert number is not None  # it has versions
                rows = events.spread_out_events(
                    connection, number, version, limit=limit, start=window.start, end=window.end
                )
                if rows:
                    found[version] = _decoded_in_parts(rows, version, columns)
        return found

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        """The window's predictions whose label has come by an instant: at its own time, or when it was received."""
        with self.store.read() as connection:
            number = self._number(connection)
            if number is None:
                return
            for rows in events.labelled_events(connection, number, window.start, window.end, known_by):
                bodies = [_decode(row.body) for row in rows]
                yield LabelledBatch(
                    np.array([row.time for row in rows], dtype=np.float64),
                    objects([row.version for row in rows]),
                    outcomes([body["prediction"] for body in bodies], numeric=numeric),
                    outcomes([_decode(row.label) for row in rows], numeric=numeric),
                    np.array([row.came for row in rows], dtype=np.float64),
                    {each.name: column([_value(body, each) for body in bodies], each.kind)[0] for each in columns},
                )


def _spans(connection: Connection, number: int, window: Window) -> dict[str, Profile]:
    spans = events.version_spans(connection, number, window.start, window.end)
    return {version: Profile(rows, first, last, {}) for version, rows, first, last in spans}


def _by_bucket(rows: Any, version: str, reference: Reference, bucket_seconds: int) -> dict[int, Profile]:
    buckets: dict[int, list[Any]] = {}
    for row in rows:
        buckets.setdefault(int(row.time // bucket_seconds) * bucket_seconds, []).append(row)
    columns = _usable(reference)
    return {
        bucket: profile_batch(decode_events(held, version, columns), reference.bins, reference.match)
        for bucket, held in buckets.items()
    }


def _usable(reference: Reference) -> tuple[Column, ...]:
    """The columns that an event can hold and that have bins: its label comes later."""
    return tuple(c for c in reference.columns if c.name in reference.bins and c.role is not Role.LABEL)


def decode_events(rows: Any, version: str, columns: Sequence[Column]) -> EventBatch:
    """Stored rows of one version as columns."""
    bodies = [_decode(row.body) for row in rows]
    held = [body["features"] for body in bodies]
    features, absent, invalid = {}, {}, {}
    for each in columns:
        name = each.name
        if each.role in (Role.FEATURE, Role.GROUP):
            features[name], invalid[name] = column([_value(body, each) for body in bodies], each.kind)
            written = name.removeprefix(GROUP) if each.role is Role.GROUP else name
            absent[name] = sum(written not in values for values in held)
        elif each.role is Role.ID:
            features[name] = objects([row.event_id for row in rows])
        else:
            features[name], invalid[name] = column([_outcome(body, each) for body in bodies], each.kind)
    return EventBatch(version, np.array([row.time for row in rows]), features, absent, invalid)


def _decoded_in_parts(rows: Sequence[Any], version: str, columns: Sequence[Column]) -> EventBatch:
    """As `decode_events`; decoded rows take many times what they take as columns, so few are held at once."""
    # Which length of a vector is the usual one, only all rows together tell.
    step = len(rows) if any(each.kind is ColumnKind.VECTOR for each in columns) else PART_ROWS
    parts = [decode_events(rows[at : at + step], version, columns) for at in range(0, len(rows), step)]
    if len(parts) == 1:
        return parts[0]
    features = {each.name: np.concatenate([part.features[each.name] for part in parts]) for each in columns}
    absent, invalid = (
        {name: sum(counts[name] for counts in of_parts) for name in of_parts[0]}
        for of_parts in ([part.absent for part in parts], [part.invalid for part in parts])
    )
    return EventBatch(version, np.concatenate([part.times for part in parts]), features, absent, invalid)


def _value(body: Mapping[str, Any], of: Column) -> Any:
    if of.role is Role.GROUP:
        return class_name(body["features"].get(of.name.removeprefix(GROUP)))
    return body["features"].get(of.name) if of.role is Role.FEATURE else _outcome(body, of)


def _outcome(body: Mapping[str, Any], of: Column) -> Any:
    if of.role is Role.SCORE:
        found = body.get("probability")
        if isinstance(found, dict):
            found = found.get(of.name.removeprefix(CLASS_SCORE))
        return found if isinstance(found, int | float) else None
    found = body["prediction"]
    return class_name(found) if of.kind is ColumnKind.CATEGORICAL else found
