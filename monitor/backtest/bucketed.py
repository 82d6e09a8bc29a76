"""Predictions that lie outside of the store, read once: what a daemon reads anew at every look is held in buckets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from monitor.backtest.buckets import Buckets
from monitor.backtest.labels import LabelledRows
from monitor.backtest.progress import Progress, Tell
from monitor.config import Model
from monitor.profile import Cutter, Profile, Reference, same_bins
from monitor.profile.seasons import cells_of
from monitor.records import Column, EventBatch, LabelledBatch, Window
from monitor.source import EventSource, ReferenceFor, SourceError

HOUR = 3600
ALWAYS = Window(-1e15, 1e15)
NOTHING = Reference("", None, 0, (), {}, {}, {})


class BucketedSource:
    """One model's predictions as profiles by bucket, and its labelled rows: nothing of them is read a second time.

    A version is read when it is first judged against a reference, as some references are only there after a while. What a
    bucket cannot answer, such as raw rows, is left to the source itself.

    Args:
        source: where the predictions are.
        labelled: the model's labelled rows, or why they cannot be had.
        bucket_seconds: every window is a whole number of so long buckets.
        about: the model's name, for who watches.
        tell: is told how many rows have been read.

    Raises:
        SourceError: the source cannot be read.
    """

    def __init__(
        self, source: EventSource, labelled: LabelledRows | SourceError, *, bucket_seconds: int, about: str, tell: Tell
    ) -> None:
        self.source, self._labelled = source, labelled
        self._bucket_seconds, self._about, self._tell = bucket_seconds, about, tell
        self.spans = source.profiles(ALWAYS, lambda _: None)
        self._held: dict[tuple[str, str], Buckets] = {}

    def _buckets(self, version: str, reference: Reference | None) -> Buckets:
        """The buckets of a version on the bins of its reference; where it has none, its rows are counted all the same."""
        standard = reference or NOTHING
        key = version, standard.fingerprint
        if key not in self._held:
            self._held[key] = self._read(version, standard)
        return self._held[key]

    def _read(self, version: str, standard: Reference) -> Buckets:
        def only(each: str) -> Reference | None:
            return standard if each == version else None

        seconds = math.gcd(self._bucket_seconds, HOUR) if "hour_of_day" in standard.match else self._bucket_seconds
        told = _Counted(self._about, self.spans[version].rows, self._tell)
        collector = _Collector(Buckets(standard.bins, seconds=seconds, match=standard.match), told)
        self.source.cut(ALWAYS, only, collector)
        for place in collector.doubtful:
            bucket = Window(place * float(seconds), (place + 1) * float(seconds))
            collector.buckets.replace(place, self.source.profiles(bucket, only)[version])
        return collector.buckets

    # --- what checks ask ------------------------------------------------------------------------------------------

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant."""
        last = max((span.last for span in self.spans.values()), default=math.inf)
        return last if last < before else self.source.newest_event(before)

    def oldest_event(self) -> float | None:
        """The oldest event time that is there."""
        return min((span.first for span in self.spans.values()), default=None)

    def columns(self, window: Window, model: Model) -> tuple[Column, ...]:
        """The columns of the predictions."""
        return self.source.columns(window, model)

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        """The profile of a window by version, as the sum of its buckets."""
        if window.start % self._bucket_seconds or window.end % self._bucket_seconds:
            return self.source.profiles(window, references)
        found = {}
        for version, span in self.spans.items():
            if window.start <= span.last and window.end > span.first:
                profile = self._buckets(version, references(version)).total(window.start, window.end)
                if profile is not None:
                    found[version] = profile
        return found

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        """Give a cutter all rows of a span, of every version that shares the cutter's bins."""
        known = {version: references(version) for version in self.spans}
        sharing = [
            self._buckets(version, reference)
            for version, reference in known.items()
            if reference is not None and same_bins(reference.bins, cutter.bins)
        ]
        if not all(_can_be_cut(buckets, span, cutter) for buckets in sharing):
            self.source.cut(span, references, cutter)
            return
        for buckets in sharing:
            for start, profile in buckets.within(span.start, span.end):
                cell = int(cells_of(np.array([start]), cutter.match)[0])
                cutter.add_profile(math.floor(start / cutter.seconds), cell, profile)

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        """Raw rows of a window, from the source itself."""
        return self.source.rows(window, columns, limit=limit)

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        """The window's predictions whose label has come by an instant."""
        if isinstance(self._labelled, SourceError):
            raise self._labelled
        if self._labelled.has(column.name for column in columns):
            return self._labelled.within(window, known_by)
        return self.source.labelled(window, numeric=numeric, known_by=known_by, columns=columns)


class _Collector(Cutter):
    """Takes what a cutter takes, and puts it into buckets; `doubtful` are those whose profile has to be asked for."""

    def __init__(self, buckets: Buckets, told: _Counted) -> None:
        super().__init__(buckets.bins, seconds=float(buckets.seconds))
        self.buckets, self._told = buckets, told
        self.doubtful: set[int] = set()

    def add(self, batch: EventBatch) -> None:
        self.doubtful |= self.buckets.add(batch)
        self._told(len(batch))


class _Counted:
    """Tells how many rows have been read."""

    def __init__(self, about: str, total: int, tell: Tell) -> None:
        self.about, self.total, self._tell, self._done = about, total, tell, 0

    def __call__(self, rows: int) -> None:
        self._done += rows
        self._tell(Progress("reading", self.about, self._done, self.total))


def _can_be_cut(buckets: Buckets, span: Window, cutter: Cutter) -> bool:
    """Whether a span and the cutter's stretches are whole numbers of buckets, so that a bucket is of one stretch and season."""
    if cutter.seconds <= 0 or not set(cutter.match) <= set(buckets.match):
        return False
    return not any(seconds % buckets.seconds for seconds in (span.start, span.end, cutter.seconds))


def read_labels(source: Any, *, numeric: bool, columns: Sequence[Column] = ()) -> LabelledRows:
    """The labelled rows of a model whose predictions and labels are files; of each id the first label stands.

    Args:
        source: a `FilesSource`.
        numeric: whether they are numbers.
        columns: features and scores that will be wanted beside them.

    Raises:
        SourceError: the files cannot be read.
    """
    found = LabelledRows(numeric=numeric)
    for batch in source.labelled(ALWAYS, numeric=numeric, columns=columns):
        found.add(batch)
    return found
