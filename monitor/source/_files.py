"""Predictions and labels in files, looked at window by window."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from monitor.config import Model
from monitor.profile import Cutter, Profile
from monitor.records import Column, EventBatch, LabelledBatch, Role, Window
from monitor.source import ReferenceFor, SourceError
from monitor.source._access import Access, access_of

if TYPE_CHECKING:
    from monitor.source._catalog import Catalog
    from monitor.source._chosen import Chosen
    from monitor.source._left_out import LeftOut
    from monitor.source._table import Table

TRIES = 3  # of a look in which files change under our hands
HELD_BYTES = 16 << 20  # of rows that are handed on once all of them have been read; beyond it, they wait on the disk

T = TypeVar("T")


class FilesSource:
    """One model's predictions and labels, read from files anew at each look, so that what was added is seen.

    Args:
        predictions: the options of `type: files`.
        labels: those of the labels, where they are files too.
        model: whose they are.
        directory: where relative paths start.

    Attributes:
        left_out: by what was listed and their paths below it, the files of the looks so far of which not all could be read, and
            why.
        delta_version: the version of the Delta table that was read last.
    """

    def __init__(self, predictions: Any, labels: Any, model: Model, directory: Path) -> None:
        self.predictions, self.labels, self.model, self.directory = predictions, labels, model, directory
        self._access: Access = access_of(predictions, model)
        self.left_out: dict[tuple[str, str], LeftOut] = {}
        self.delta_version: int | None = None
        self._seen: list[Chosen] = []  # what a look has chosen so far

    def _catalog(self) -> Catalog:
        from monitor.source._catalog import Catalog

        time = self.model.columns.timestamp
        return Catalog(self.predictions.path, self.directory, self._access, time=time)

    def _open(self, window: Window | None = None) -> Table:
        span = None if window is None else (window.start, window.end)
        return self._table(self._catalog().chosen(span))

    def _table(self, chosen: Chosen) -> Table:
        from monitor.source._table import require, table_of

        self._note(chosen)
        self.delta_version = chosen.version
        table = table_of(chosen, self.predictions.where, self.directory)
        try:
            require(table, self.model.columns.id, "columns.id")
            require(table, self.model.columns.timestamp, "columns.timestamp")
        except SourceError:
            table.close()
            raise
        return table

    def _note(self, chosen: Chosen) -> None:
        self._seen.append(chosen)
        for file in chosen.files:
            self.left_out.pop((chosen.shown, file.below), None)
        self.left_out.update(((chosen.shown, each.name), each) for each in chosen.left_out)

    def _looked(self, window: Window, look: Callable[[Table], T]) -> T:
        """What comes of the files that may hold rows of a window."""

        def attempt() -> T:
            with closing(self._open(window)) as table:
                return look(table)

        return self._again(attempt)

    def _again(self, attempt: Callable[[], T]) -> T:
        """What an attempt comes to; anew where files changed meanwhile, and without those that turned out to be unreadable."""
        from monitor.source._left_out import forget_spoiled, has_changed, has_spoiled

        changes = 0
        try:
            while True:
                self._seen.clear()
                try:
                    return attempt()
                except SourceError as error:
                    if has_changed(error, self._seen):
                        changes += 1
                        if changes == TRIES:
                            raise
                    elif not has_spoiled(error, self._seen):
                        raise
        finally:
            forget_spoiled()

    def newest_event(self, before: float) -> float | None:
        """The newest event time before an instant.

        Raises:
            SourceError: the files cannot be read.
        """
        return self._again(partial(self._farthest, before, newest=True))

    def oldest_event(self) -> float | None:
        """The oldest event time that is there.

        Raises:
            SourceError: the files cannot be read.
        """
        return self._again(partial(self._farthest, math.inf, newest=False))

    def _farthest(self, before: float, *, newest: bool) -> float | None:
        """The newest or the oldest time before an instant. Files are read in that order, until no other can have a better one."""
        from monitor.source._left_out import CannotRead, Reason

        catalog = self._catalog()
        best: float | None = None
        for (first, last), file in catalog.by_end(newest=newest):
            if best is not None and (last < best if newest else first > best):
                break
            if first >= before:
                continue
            try:
                found = self._end_of(catalog.chosen(only=[file]), before, newest=newest)
            except CannotRead as error:  # it vanished, it is the only one, or it turned out to be unreadable
                if catalog.total == 1 or (error.file is not None and error.reason is not Reason.VANISHED):
                    raise
                continue
            if found is not None:
                best = found if best is None else max(best, found) if newest else min(best, found)
        return best

    def _end_of(self, chosen: Chosen, before: float, *, newest: bool) -> float | None:
        found = -math.inf if newest else math.inf
        with closing(self._table(chosen)) as table:
            for piece in table.read([], time=self.model.columns.timestamp):
                assert piece.times is not None  # they were asked for
                times = piece.times[piece.times < before]
                found = (
                    max(found, float(times.max(initial=-math.inf)))
                    if newest
                    else min(found, float(times.min(initial=math.inf)))
                )
        return None if math.isinf(found) else found

    def columns(self, window: Window, model: Model) -> tuple[Column, ...]:
        """The columns that the files have, but for the label.

        Raises:
            SourceError: the files cannot be read, or lack a declared feature.
        """
        from monitor.source._columns import reference_columns

        types = self._looked(window, lambda table: table.types)
        found = reference_columns(types, model, self.predictions.where or "")
        return tuple(column for column in found if column.role is not Role.LABEL)

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        """The profile of a window by version.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._window import profiles

        return self._looked(window, lambda table: profiles(table, self.model, window, references))

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        """Give a cutter all rows of a span, of every version that shares the cutter's bins.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._window import cut

        def read(table: Table) -> _Held[EventBatch]:
            collector = _Collector(cutter)
            cut(table, self.model, span, references, collector)
            return collector.held

        with closing(self._looked(span, read)) as held:
            for batch in held:
                cutter.add(batch)

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        """Raw rows of a window by version, in order of event time: at most `limit` of each, evenly spread over the window.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._window import rows

        return self._looked(window, lambda table: rows(table, self.model, window, columns, limit=limit))

    def labelled(
        self, window: Window, *, numeric: bool, known_by: float = math.inf, columns: Sequence[Column] = ()
    ) -> Iterator[LabelledBatch]:
        """The window's predictions whose label is in the label files by an instant; the first label of an id stands.

        Where labels have no time of their own, they have always been there. Files whose labels are all older than the window, by
        more than a week, hold none of its predictions.

        Raises:
            SourceError: the files cannot be read.
        """
        from monitor.source._joined import labelled_rows

        if self.labels is None:
            return

        def read() -> _Held[LabelledBatch]:
            return _Held(
                labelled_rows(
                    self.predictions,
                    self.model,
                    self.directory,
                    numeric=numeric,
                    columns=columns,
                    window=window,
                    known_by=known_by,
                    note=self._note,
                )
            )

        with closing(self._again(read)) as held:
            yield from held


class _Held(Generic[T]):
    """Batches that are handed on once all of them have been read: what was handed on could not be taken back.

    Raises:
        SourceError: the disk has no room for them.
    """

    def __init__(self, batches: Iterable[T] = ()) -> None:
        from monitor.source._index import folder

        self._folder = folder(
            "held"
        )  # the daemon's own, where it has one: a container may have no other that it can write to
        place = None if self._folder is None else str(self._folder)
        self._file = SpooledTemporaryFile[bytes](max_size=HELD_BYTES, prefix="anchorwatch-", dir=place)
        self._batches = 0
        for batch in batches:
            self.add(batch)

    def add(self, batch: T) -> None:
        try:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            pickle.dump(batch, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        except OSError as error:
            place = self._folder or "the folder for temporary files"
            raise SourceError(f"rows cannot be held in {place}: {error.strerror}") from error
        self._batches += 1

    def __iter__(self) -> Iterator[T]:
        self._file.seek(0)
        for _ in range(self._batches):
            yield pickle.load(self._file)  # noqa: S301 - it was written above

    def close(self) -> None:
        self._file.close()


class _Collector(Cutter):
    """Takes what a cutter takes, and holds it."""

    def __init__(self, cutter: Cutter) -> None:
        super().__init__(cutter.bins, seconds=cutter.seconds)
        self.held: _Held[EventBatch] = _Held()

    def add(self, batch: EventBatch) -> None:
        self.held.add(batch)
