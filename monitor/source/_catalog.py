"""Which files of a path can hold rows of a stretch of time, and what all of them together have for columns."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.source import SourceError
from monitor.source._access import LOGS, PLAIN, Access
from monitor.source._chosen import PARQUET, Chosen, Span, is_settled
from monitor.source._folders import with_folders
from monitor.source._index import Entry, Index, index_of
from monitor.source._left_out import CannotRead, LeftOut, Reason, say, spoiled
from monitor.source._paths import File, Listing, dates_of, listing, reader_of
from monitor.source._storage import NotThere
from monitor.source._torn import text_of

if TYPE_CHECKING:
    from monitor.source._shapes import TextSurvey

SAVED_EVERY = 5.0  # seconds, so that what was found out is not lost with a process that takes too long
AT_ONCE = 8  # footers that are fetched from far away
MOST_FAILURES = 4  # remote files one after the other that could not be reached
EVER: Span = (-math.inf, math.inf)


class Catalog:
    """The files of a path as they are now, and what is known of each.

    Args:
        path: a file, a glob, a folder or a Delta table, here or far away.
        directory: where relative paths start.
        access: how they are reached and read.
        time: the column of their times; empty where nobody asks for times.

    Raises:
        SourceError: there is nothing, or it cannot be reached.
    """

    def __init__(self, path: str, directory: Path, access: Access = PLAIN, *, time: str = "") -> None:
        self.access, self.time = access, time
        found = listing(path, directory, access.storage, access.form)
        self.shown, self.total = found.shown, 0
        self.partitions: Mapping[str, Any] = {}
        self.named: frozenset[str] = access.named
        self.version: int | None = None
        self.left_out: dict[str, LeftOut] = {}
        self._told: dict[str, Entry] = {}  # what a Delta table's log says
        self._types: Mapping[str, Any] | None = None
        self._converter: Any = None  # of the records of a serving system
        self.files = self._listed(found)
        self.total = len(self.files)
        endpoint = access.storage.endpoint_url if access.storage else None
        self._index: Index = index_of(found.shown, endpoint or "", access.form, self.reader, time, str(access.log))
        self._index.keep({file.path for file in self.files})

    def _listed(self, found: Listing) -> list[File]:
        files = found.files
        if found.delta is not None:
            from monitor.source._delta import delta_files

            table = delta_files(found, self.access, self.time)
            self.version, self._told, self._types, self.partitions = (
                table.version, table.known, table.types, table.partitions,
            )  # fmt: skip
            self.named |= set(table.partitions)
            files, self.reader = table.files, PARQUET
        if self.access.form in LOGS:
            from monitor.source._converted import Converter

            self._converter = Converter(found, files, self.access)
            self.reader, self._types, self._told, self.partitions = PARQUET, None, {}, {}
        elif found.delta is None:
            self.reader = reader_of(files, found.shown, self.access.form)
            self.partitions, files = with_folders(files)
        return files

    # --- what is known of a file ----------------------------------------------------------------------------------

    def ends(self, file: File) -> Span | None:
        """The first and the last time that a file may hold, as far as that is known without reading it."""
        entry = self._known(file)
        if entry is not None and entry.first is not None and entry.last is not None:
            return entry.first, entry.last
        dates = dates_of(file.below) if entry is None and self.access.path_dates is not None else None
        if dates is None:
            return None
        return dates[0] - self.access.path_dates, dates[1] + self.access.path_dates  # type: ignore[operator]

    def _known(self, file: File) -> Entry | None:
        found = self._index.get(file)
        told = self._told.get(file.path)
        return found or (told if told is not None and (told.first is not None or not self.time) else None)

    def _is_read(self, file: File, span: Span | None) -> bool:
        entry, ends = self._known(file), self.ends(file)
        if span is None or ends is None:
            return True
        return entry.may_hold(*span) if entry is not None else ends[0] < span[1] and ends[1] > span[0]

    def chosen(self, span: Span | None = None, *, only: Sequence[File] | None = None) -> Chosen:
        """The files that may hold rows of a span, or all of them.

        Args:
            span: of the time column.
            only: look at no others.

        Raises:
            SourceError: there are files, and none can be read.
        """
        wanted = [file for file in (self.files if only is None else only) if self._is_read(file, span)]
        if self.reader == PARQUET or self.total > 1 or self.time:
            self._look_at(wanted)
            wanted = [file for file in wanted if file.path not in self.left_out and self._is_read(file, span)]
        if not wanted:
            self._learn_columns()
        if self.left_out and all(file.path in self.left_out for file in self.files):
            raise self._nothing()
        return self._chosen(wanted)

    def _learn_columns(self) -> None:
        """Where no file is read, one tells what columns there are."""
        for file in reversed(self.files):
            entry = self._index.get(file)
            if file.path not in self.left_out and (entry is None or entry.shape < 0) and self._types is None:
                self._look_at([file])
                entry = self._index.get(file)
            if self._types is not None or (entry is not None and entry.shape >= 0):
                return

    def _nothing(self) -> SourceError:
        first = next(iter(self.left_out.values()))
        more = f" (and {len(self.left_out) - 1} others)" if len(self.left_out) > 1 else ""
        return CannotRead(first.problem + more, first.reason)

    def _chosen(self, files: list[File]) -> Chosen:
        from monitor.source._shapes import arrow_types, duck_types, text_shape, text_size

        read = files if self._converter is None else list(self._converted(files))
        found = Chosen(self.shown, self.reader, read, partitions=self.partitions, named=self.named, total=self.total)
        entries = [(file, entry) for file in self.files if (entry := self._index.get(file)) and entry.shape >= 0]
        shapes = [self._index.shapes[number] for number in dict.fromkeys(entry.shape for _, entry in entries)]
        if self.reader == PARQUET:
            found.types = self._types if self._types is not None else arrow_types(shapes)
        elif entries:
            decoded = dict(zip(shapes, map(text_shape, shapes), strict=True))
            found.types = duck_types(list(decoded.values()))
            found.shapes = {file.path: decoded[self._index.shapes[entry.shape]] for file, entry in entries}
            found.sizes = {file.path: entry.size for file, entry in entries}
        else:
            found.sizes = {file.path: text_size(file, is_settled(file)) for file in files}
        found.left_out, found.version = list(self.left_out.values()), self.version
        return found

    def _converted(self, files: list[File]) -> Iterator[File]:
        for file in files:
            try:
                yield self._converter.parquet(file)
            except CannotRead as problem:  # its conversion was deleted, and now it cannot be converted any more
                self._leave_out(file, problem)

    def by_end(self, *, newest: bool) -> list[tuple[Span, File]]:
        """The files with the first and the last time that each may hold, those with the newest or the oldest before all others.

        Raises:
            SourceError: there are files, and none can be read.
        """
        if self.access.path_dates is None:
            self.chosen()
        known = [(self.ends(file) or EVER, file) for file in self.files if file.path not in self.left_out]
        return sorted(known, key=lambda each: -each[0][1] if newest else each[0][0])

    # --- finding out ----------------------------------------------------------------------------------------------

    def _look_at(self, files: list[File]) -> None:
        """Find out what is not known of these files yet, and note those that cannot be read."""
        unknown = []
        for file in files:
            entry, problem = self._known(file), spoiled(file)
            if problem is not None:
                self._found(file, problem)
            elif entry is None:
                unknown.append(file)
            else:
                self._tell(file, entry)
        saved = clock.monotonic()
        for file, found in self._surveyed(unknown):
            self._found(file, found)
            if clock.monotonic() - saved > SAVED_EVERY:
                self._index.save()
                saved = clock.monotonic()
        self._index.save()
        say(self.shown, self.total, self.left_out.values())

    def _found(self, file: File, found: Entry | CannotRead) -> None:
        """Note what was found out about a file."""
        if isinstance(found, Entry):
            self._index.put(file, found)
            self._tell(file, found)
            return
        self._leave_out(file, found)
        if found.lasting:
            self._index.put(file, Entry(file.stamp, problem=str(found)))

    def _tell(self, file: File, entry: Entry) -> None:
        """Note that a file cannot be read, or what of it."""
        partly = entry.shape >= 0
        if entry.problem:
            reason = self._partly() if partly else Reason.UNREADABLE
            self._leave_out(file, CannotRead(entry.problem, reason), torn=partly)
        if entry.refused:
            self._leave_out(file, CannotRead(entry.refused, Reason.REFUSED), torn=True)

    def _surveyed(self, files: list[File]) -> Iterator[tuple[File, Entry | CannotRead]]:
        from monitor.source._shapes import TextSurvey

        texts = None if self.reader == PARQUET or not files else TextSurvey(self.reader, self.time)
        failed = 0
        with closing(texts) if texts else nullcontext():
            for start in range(0, len(files), AT_ONCE):
                some = files[start : start + AT_ONCE]
                self._fetch(some)
                for file in some:
                    found = self._survey(file, texts)
                    passing = isinstance(found, CannotRead) and found.reason is Reason.UNREADABLE and not found.lasting
                    failed = failed + 1 if passing and file.store is not None else 0
                    if failed == MOST_FAILURES:  # each may have waited for its timeout
                        raise SourceError(str(found))
                    yield file, found

    def _fetch(self, files: Sequence[File]) -> None:
        """Fetch remote footers at once: one after the other, each would wait for the way there and back."""
        plain = self.reader == PARQUET and self._converter is None
        if plain and len(files) > 1 and all(file.store is not None for file in files):
            from monitor.source._footers import footer

            with ThreadPoolExecutor(AT_ONCE) as threads:
                list(threads.map(partial(_tried, footer), files))

    def _survey(self, file: File, texts: TextSurvey | None) -> Entry | CannotRead:
        """What is found out about a file, or why nothing is."""
        from monitor.source._shapes import survey_parquet

        try:
            if texts is not None:
                entry, shape = text_of(texts, file, self.reader, self.time)
                read = file
            else:
                read = file if self._converter is None else self._converter.parquet(file)
                entry, shape = survey_parquet(read, self.time)
            if shape is None:
                return entry
            refused = self._refused(read, entry, shape)
        except CannotRead as problem:
            return problem
        except NotThere as error:
            return CannotRead(str(error), Reason.VANISHED)
        number = self._index.shape(shape)
        return msgspec.structs.replace(entry, stamp=file.stamp, shape=number, refused=refused)

    def _refused(self, file: File, entry: Entry, shape: bytes) -> str:
        """What is said of a file's rows whose time is none: only a text can be that."""
        from monitor.source._shapes import arrow_types, duck_types, text_shape
        from monitor.source._sql import WRITTEN, no_times

        alone = Chosen(file.name, self.reader, [file], sizes={file.path: entry.size}, total=1)
        if self.reader == PARQUET:
            from monitor.source._arrow import is_written_time

            kind = arrow_types([shape]).get(self.time)
            return no_times(alone, self.time) if kind is not None and is_written_time(kind) else ""
        alone.shapes = {file.path: text_shape(shape)}
        alone.types = duck_types(list(alone.shapes.values()))
        return no_times(alone, self.time) if alone.types.get(self.time) in WRITTEN else ""

    def _partly(self) -> Reason:
        """Why a file is not read to its end."""
        return Reason.HALF_WRITTEN if self._converter is None else Reason.REFUSED

    def _leave_out(self, file: File, problem: CannotRead, *, torn: bool = False) -> None:
        young = problem.reason is Reason.HALF_WRITTEN and not is_settled(file)
        fault = not young and problem.reason is not Reason.VANISHED
        key = f"{file.path}#" if torn else file.path
        self.left_out[key] = LeftOut(file.below, file.stamp, problem.reason, str(problem), fault)


def _tried(work: Callable[[File], Any], file: File) -> None:
    """What goes wrong is found again, and told then."""
    with suppress(SourceError):
        work(file)
