"""The bytes of listed files, as Arrow and DuckDB take them: from far away, and no further than they were whole."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from typing import Any

from monitor.source import SourceError
from monitor.source._feed import optional
from monitor.source._paths import File
from monitor.source._storage import NotThere, reaching

AHEAD_BYTES = (
    1 << 20
)  # of texts, and of what DuckDB asks for: fetched at least at a time, as most reads follow each other
TAIL_BYTES = 1 << 16
LONGEST_LINE = 64 << 20  # as of the records of a TFRecord file


def bytes_of(file: File, start: int, end: int) -> bytes:
    """Some bytes of a file.

    Raises:
        NotThere: it is gone.
        SourceError: they cannot be read.
    """
    try:
        if file.store is None:
            with open(file.path, "rb", buffering=0) as handle:  # noqa: PTH123 - a descriptor, nothing more
                return os.pread(handle.fileno(), end - start, start)
        with reaching(file.path, file.store.secrets):
            found: bytes = file.store.system.cat_file(file.path, start=start, end=end)
            return found
    except FileNotFoundError:
        raise NotThere(f"{file.name}: it was there a moment ago") from None
    except OSError as error:
        raise SourceError(f"{file.name}: {error.strerror or error}") from None


def lines_of(file: File, end: int) -> Iterator[bytes | None]:
    """The lines of the first bytes of a file, without their ends; None is one that is too long to be held.

    Raises:
        NotThere: it is gone.
        SourceError: they cannot be read.
    """
    place, size, parts = 0, 0, list[bytes]()
    while place < end:
        piece = bytes_of(file, place, min(place + AHEAD_BYTES, end))
        if not piece:
            raise SourceError(f"{file.name}: expected {end} bytes, got {place}")
        place += len(piece)
        *ended, rest = piece.split(b"\n")
        for part in ended:
            size += len(part)
            yield None if size > LONGEST_LINE else b"".join([*parts, part])
            size, parts = 0, []
        size += len(rest)
        parts = [] if size > LONGEST_LINE else [*parts, rest]
    if size:
        yield None if size > LONGEST_LINE else b"".join(parts)


def whole_lines(file: File) -> int:
    """How many bytes of a text are whole lines: the last one may still be being written.

    Raises:
        SourceError: it cannot be read.
    """
    end = file.size
    while end > 0:
        start = max(end - TAIL_BYTES, 0)
        place = bytes_of(file, start, end).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


class Reading:
    """A file that is open for reading, up to a size.

    DuckDB's threads share one: some go to a place and read there, each for itself, others read on, one after the other. So a
    place that a thread went to is its own until it has read there, or until another one has read on.
    """

    _descriptor = -1

    def __init__(self, file: File, size: int | None = None, *, ahead: int = AHEAD_BYTES) -> None:
        self.file, self.size, self._ahead = file, file.size if size is None else size, ahead
        self.closed, self.mode = False, "rb"
        self._place, self._read_on, self._own = 0, 0, threading.local()
        self._alone = file.path.endswith(".gz")  # what is unpacked is read on and on
        self._block: tuple[int, bytes] = (0, b"")
        if file.store is None:
            self._descriptor = os.open(file.path, os.O_RDONLY)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def tell(self) -> int:
        place, read_on = getattr(self._own, "place", (0, -1))
        return int(place if read_on == self._read_on else self._place)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """To a place from the start, from here, or from the end."""
        self._place = place + {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size}[whence]
        if not self._alone:
            self._own.place = self._place, self._read_on
        return self._place

    def read(self, number: int = -1) -> bytes:
        """The next bytes, at most so many.

        Raises:
            OSError: they cannot be read; it says why without secrets.
        """
        start = self.tell()
        if self._own.__dict__.pop("place", (0, -1))[1] != self._read_on:
            self._read_on += 1
        end = self.size if number < 0 else min(start + number, self.size)
        found = self._between(start, end) if end > start else b""
        self._place = start + len(found)
        return found

    def _between(self, start: int, end: int) -> bytes:
        if self._descriptor >= 0:
            parts = []
            while start < end and (part := os.pread(self._descriptor, end - start, start)):
                parts.append(part)
                start += len(part)
            return b"".join(parts)
        first, block = self._block
        if not first <= start <= end <= first + len(block):
            try:
                first, block = start, bytes_of(self.file, start, min(max(end, start + self._ahead), self.size))
            except NotThere as error:
                raise FileNotFoundError(errno.ENOENT, str(error)) from None
            except SourceError as error:
                raise OSError(errno.EIO, str(error)) from None
            self._block = (first, block)
        return block[start - first : end - first]

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        if self._descriptor >= 0 and not self.closed:
            os.close(self._descriptor)
        self.closed = True
        self._block = (0, b"")

    def __del__(self) -> None:
        if self._descriptor >= 0:
            self.close()


def file_system_for_duckdb(files: dict[str, tuple[File, int]]) -> Any:
    """What DuckDB reads `anchorwatch://<key>/...` by: files by key, and how many bytes of each.

    Raises:
        SourceError: fsspec is missing.
    """
    base: Any = optional("fsspec", "fsspec", "s3", "files that are far away or still being written").AbstractFileSystem

    class Listed(base):  # type: ignore[misc]
        """The files of one connection."""

        protocol = "anchorwatch"
        cachable = False

        def _of(self, path: str) -> tuple[File, int]:
            return files[path.partition("://")[2].partition("/")[0]]

        def open(self, path: str, mode: str = "rb", **_: Any) -> Any:  # noqa: ARG002 - there is one way
            return Reading(*self._of(path))

        def glob(self, path: str, **_: Any) -> list[str]:
            return [path]

        def exists(self, path: str, **_: Any) -> bool:
            return bool(self._of(path))

        def isdir(self, path: str) -> bool:  # noqa: ARG002 - none is
            return False

        def size(self, path: str) -> int:
            return self._of(path)[1]

        def modified(self, path: str) -> Any:
            from datetime import UTC, datetime

            return datetime.fromtimestamp(self._of(path)[0].modified, tz=UTC)

    return Listed()
