"""What is known of files that were read before, so that they are not read again to find out. Any of it may be deleted."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from monitor.records import fingerprint
from monitor.source._paths import File

FORMAT = 2  # of what is written; another one is not read
MOST_FILES = 200_000  # in one index
KEPT_SECONDS = 30 * 86400.0  # what nobody asked for in so long goes
MOST_BYTES = {"indexes": 256 << 20, "footers": 64 << 20}  # beyond it, what was not used for longest goes
TIDIED_EVERY = 3600.0


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """What is known of a file.

    Attributes:
        stamp: of the file when it was read.
        rows: how many it has.
        first: the time of its first row, infinite where no row has one; None where that is not known.
        last: of its last row; minus infinity and None likewise.
        shape: the number of its columns' types in the index.
        size: how many of its bytes were whole.
        problem: why it cannot be read, or not to its end; empty where it can.
        refused: which of its rows do not count, and why; empty where all do.
    """

    stamp: str
    rows: int = 0
    first: float | None = None
    last: float | None = None
    shape: int = -1
    size: int = 0
    problem: str = ""
    refused: str = ""

    def may_hold(self, start: float, end: float) -> bool:
        """Whether it may have a row with its time in `[start, end)`."""
        # A second to spare: what is written may be finer than what says where it ends. Ends are cut off, never rounded up.
        return self.first is None or self.last is None or (self.last >= start - 1 and self.first < end)


class _Written(msgspec.Struct):
    format: int
    shapes: list[bytes]
    files: dict[str, Entry]


class Index:
    """The entries of the files of one path, in memory and, where there is a folder, in a file of their own."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._changed = path, False
        self.shapes: list[bytes] = []
        self._files: dict[str, Entry] = {}
        if path is not None:
            with suppress(OSError, msgspec.MsgspecError):
                found = msgspec.msgpack.decode(path.read_bytes(), type=_Written)
                if found.format == FORMAT and all(entry.shape < len(found.shapes) for entry in found.files.values()):
                    self.shapes, self._files = found.shapes, found.files
                os.utime(path)

    def get(self, file: File) -> Entry | None:
        """What is known of a file as it is now."""
        found = self._files.get(file.path)
        return found if found is not None and found.stamp == file.stamp else None

    def put(self, file: File, entry: Entry) -> None:
        """Note what was found out."""
        self._files[file.path], self._changed = entry, True

    def shape(self, written: bytes) -> int:
        """The number of a file's columns, noted where they are new."""
        if written not in self.shapes:
            self.shapes.append(written)
        return self.shapes.index(written)

    def keep(self, paths: Collection[str]) -> None:
        """Forget all other files."""
        gone = [path for path in self._files if path not in paths]
        for path in gone:
            del self._files[path]
        self._changed = self._changed or bool(gone)

    def save(self) -> None:
        """Write what is new, whole or not at all; where that cannot be, it is found out again."""
        if not self._changed or self._path is None:
            return
        files = dict(list(self._files.items())[-MOST_FILES:])
        used = sorted({entry.shape for entry in files.values()} - {-1})
        numbers = {old: new for new, old in enumerate(used)} | {-1: -1}
        files = {path: msgspec.structs.replace(each, shape=numbers[each.shape]) for path, each in files.items()}
        written = _Written(FORMAT, [self.shapes[number] for number in used], files)
        if written_whole(self._path, msgspec.msgpack.encode(written)):
            self._changed = False
            tidied(self._path.parent)


_FOLDER: list[Path] = []  # one process has one `data_dir`
_HELD: dict[tuple[Path | None, str], Index] = {}
_TIDIED: dict[Path, float] = {}


def remember_in(folder: Path) -> None:
    """Keep what is found out about files in this folder from now on; it is made when there is something to keep."""
    if [folder] != _FOLDER:
        _FOLDER[:] = [folder]


def folder(name: str) -> Path | None:
    """The folder for what is kept under a name; None where nothing is."""
    return _FOLDER[0] / name if _FOLDER else None


def index_of(*said: str) -> Index:
    """The index of what these texts say: the path, how it is read and by which time."""
    indexes, key = folder("indexes"), fingerprint(*said)
    if (indexes, key) not in _HELD:
        _HELD[indexes, key] = Index(indexes / f"{key}.msgpack" if indexes else None)
    return _HELD[indexes, key]


def forget() -> None:
    """Let go of what is held in memory; what is on the disk stays."""
    _HELD.clear()


def written_whole(path: Path, data: bytes) -> bool:
    """Write a file so that nobody ever sees half of it; False where that cannot be."""
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        return False
    return True


def tidied(here: Path) -> None:
    """Now and then: take away what nobody asks for any more, and the oldest of what is too much."""
    now = time.time()
    if now - _TIDIED.get(here, -math.inf) < TIDIED_EVERY:
        return
    _TIDIED[here] = now
    left = MOST_BYTES.get(here.name, MOST_BYTES["indexes"])
    for used, size, path in sorted(_stated(here), reverse=True):
        left -= size
        if left < 0 or now - used > KEPT_SECONDS or (path.suffix == ".tmp" and now - used > TIDIED_EVERY):
            with suppress(OSError):
                path.unlink()


def _stated(here: Path) -> Iterator[tuple[float, int, Path]]:
    with suppress(OSError):
        for path in here.iterdir():
            with suppress(OSError):
                found = path.stat()
                yield found.st_mtime, found.st_size, path
