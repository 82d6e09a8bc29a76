"""The reference of a model version: its columns, their bins and its own profile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from monitor.profile.bins import Bins, categorical_bins, numeric_bins
from monitor.profile.column import ColumnProfile, profile_column, profile_ordered
from monitor.profile.frequent import Frequent
from monitor.profile.stretches import (
    ENOUGH,
    FEWEST,
    FEWEST_ROWS,
    MOST,
    Cutter,
    Seasons,
    Stretches,
    stretch_seconds,
)
from monitor.profile.tallies import Places
from monitor.records import Coded, Column, ColumnKind, EventBatch, FloatArray, NoData, ObjectArray, Role

BINNED = frozenset({ColumnKind.NUMERIC, ColumnKind.CATEGORICAL})


@dataclass(frozen=True, slots=True)
class Reference:
    """What normal is. `unusable` says, by column, why a column of the reference cannot be compared with.

    Vectors and texts are columns without bins. The label's rows are those that have one. `stretches` is the reference cut
    into pieces in order of time, None where they are not at hand; `match` names the seasons that windows are matched with it
    by, and `seasons` is the reference by these. `labels` is the reference of the labels where they are no column of it, because
    they came later.
    """

    fingerprint: str
    version: str | None
    rows: int
    columns: tuple[Column, ...]
    bins: Mapping[str, Bins]
    profiles: Mapping[str, ColumnProfile]
    unusable: Mapping[str, str]
    stretches: Stretches | None = None
    match: tuple[str, ...] = ()
    seasons: Seasons | None = None
    labels: Reference | None = None


def build_reference(
    batch: EventBatch,
    columns: tuple[Column, ...],
    *,
    fingerprint: str,
    version: str | None,
    window_seconds: float,
    match: tuple[str, ...] = (),
) -> Reference:
    """Draw the bins of every column, profile the reference on them, and cut it into stretches.

    A column without a single value does not stop the others: it is listed as unusable.

    Args:
        batch: the rows of the reference; their times are 0 where it has none.
        columns: what is profiled of it.
        fingerprint: what it is known by.
        version: whose it is.
        window_seconds: length of the windows that are judged against it.
        match: the seasons that windows are matched by.

    Raises:
        NoData: the reference has no rows.
    """
    if not len(batch):
        raise NoData("the reference has no rows")
    covered = Covered(window_seconds)
    covered.add(batch.times)
    builder = ReferenceBuilder(
        columns, rows=len(batch), covered=covered.seconds, window_seconds=window_seconds, match=match
    )
    places = builder.place(batch.times)
    for column in columns:
        if column.kind in BINNED:
            chunk = Chunk(batch.features[column.name], places, batch.invalid.get(column.name, 0))
            builder.add(column, partial(iter, [chunk]))
    return builder.reference(fingerprint=fingerprint, version=version)


class Covered:
    """How much event time rows cover, in windows that hold any: one row with a bogus time adds no more than one of them."""

    def __init__(self, window_seconds: float) -> None:
        self._size = window_seconds
        self._windows: set[int] = set()
        self._first, self._last = np.inf, -np.inf

    def add(self, times: FloatArray) -> None:
        """Take times in; those that are NaN cover nothing."""
        timed = times[np.isfinite(times)]
        if len(timed):
            self._windows.update(np.unique(np.floor(timed / self._size).astype(np.int64)).tolist())
            self._first, self._last = min(self._first, float(timed.min())), max(self._last, float(timed.max()))

    @property
    def seconds(self) -> float:
        """How much it is; 0 where all rows have one time, or none."""
        return max(min(len(self._windows) * self._size, self._last - self._first), 0.0)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one column: their values, where they belong, and how many of them held a value of no use."""

    values: FloatArray | ObjectArray | Coded
    places: Places
    invalid: int = 0


Chunks = Callable[[], Iterable[Chunk]]


class ReferenceBuilder:
    """Builds a reference one column at a time: no more than one is held at once, however large it is.

    All rows are placed first, by their times; then come the columns, each in chunks that may be asked for twice.

    Args:
        columns: what it has; those of them that have bins are added one after the other.
        rows: how many there are.
        covered: the seconds of event time that its rows cover; 0 where they have no times.
        window_seconds: length of the windows that are judged against it.
        match: the seasons that windows are matched by.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        rows: int,
        covered: float,
        window_seconds: float,
        match: tuple[str, ...] = (),
    ) -> None:
        self.columns, self.rows, self.match = tuple(columns), rows, match
        self.bins: dict[str, Bins] = {}
        self.profiles: dict[str, ColumnProfile] = {}
        self.unusable: dict[str, str] = {}
        self.cutter = cutter_for({}, covered=covered, rows=rows, window_seconds=window_seconds, match=match)

    @property
    def by_rows(self) -> bool:
        """Whether so many rows make a stretch: then all of them are placed at once, in order of time."""
        return not self.cutter.seconds

    def place(self, times: FloatArray) -> Places:
        """Where rows belong; each row is placed once."""
        if not self.by_rows or not (times[1:] < times[:-1]).any():
            return self.cutter.place(times)
        order = np.argsort(times, kind="stable")
        return self.cutter.place(times[order])[np.argsort(order)]

    def add(self, column: Column, chunks: Chunks) -> None:
        """Draw the bins of a numeric or categorical column, and profile it on them."""
        if column.role is Role.LABEL:
            # A prediction that has no label yet says nothing about the labels.
            chunks = _labelled(chunks)
        try:
            drawn = _numeric(chunks, self.rows) if column.kind is ColumnKind.NUMERIC else _categorical(chunks)
        except NoData as reason:
            self.unusable[column.name] = str(reason)
            return
        self.bins[column.name], self.profiles[column.name] = drawn
        for chunk in chunks():
            self.cutter.add_column(column.name, drawn[0], chunk.values, chunk.places)

    def reference(self, *, fingerprint: str, version: str | None) -> Reference:
        """What has been built."""
        return Reference(
            fingerprint,
            version,
            self.rows,
            self.columns,
            self.bins,
            self.profiles,
            self.unusable,
            self.cutter.stretches(),
            self.match,
            self.cutter.seasons() if self.match else None,
        )


def _labelled(chunks: Chunks) -> Chunks:
    def present() -> Iterable[Chunk]:
        for chunk in chunks():
            rows = _present(chunk.values)
            yield Chunk(chunk.values[rows], chunk.places[rows])

    return present


def _present(values: FloatArray | ObjectArray | Coded) -> Any:
    if isinstance(values, Coded):
        return values.codes >= 0
    if values.dtype == object:
        return np.array([value is not None for value in values.tolist()], dtype=bool)
    return ~np.isnan(values)


def _numeric(chunks: Chunks, rows: int) -> tuple[Bins, ColumnProfile]:
    values, taken, invalid = np.empty(rows), 0, 0
    for chunk in chunks():
        values[taken : taken + len(chunk.places)] = np.asarray(chunk.values, dtype=np.float64)
        taken += len(chunk.places)
        invalid += chunk.invalid
    values = values[:taken]
    values.sort()
    finite = values[values.searchsorted(-np.inf, side="right") : values.searchsorted(np.inf)]
    bins = numeric_bins(finite)
    return bins, profile_ordered(values, bins, invalid=invalid)


def _categorical(chunks: Chunks) -> tuple[Bins, ColumnProfile]:
    found = Frequent()
    for chunk in chunks():
        found.add(chunk.values)
    bins = categorical_bins(found.counts)
    profiles = (profile_column(chunk.values, bins, invalid=chunk.invalid) for chunk in chunks())
    whole = next(iter(profiles))
    for profile in profiles:
        whole += profile
    return bins, whole


def cutter_for(
    bins: Mapping[str, Bins],
    *,
    covered: float,
    rows: int,
    window_seconds: float,
    match: tuple[str, ...],
) -> Cutter:
    """What cuts a reference of that many rows, which cover so many seconds, for windows of that length."""
    by_rows = max(FEWEST_ROWS, -(-rows // ENOUGH))
    if covered <= 0:
        return Cutter(bins, seconds=0.0, stretch_rows=by_rows, dated=False)
    seconds = stretch_seconds(window_seconds, covered)
    if covered < FEWEST * seconds and not match:
        return Cutter(bins, seconds=0.0, stretch_rows=by_rows)
    every = max(1, math.ceil(covered / seconds / MOST))
    return Cutter(bins, seconds=seconds, match=match, every=every)


def recounted(reference: Reference, cutter: Cutter, fingerprint: str) -> Reference:
    """A reference on the same bins, with the counts of what a cutter has taken in.

    Raises:
        NoData: that is nothing.
    """
    whole = cutter.whole()
    if whole is None:
        raise NoData("the reference has no rows in its time")
    return replace(
        reference,
        fingerprint=fingerprint,
        rows=whole.rows,
        profiles=whole.columns,
        stretches=cutter.stretches(),
        seasons=cutter.seasons() if reference.match else None,
    )
