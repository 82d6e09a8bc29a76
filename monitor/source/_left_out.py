"""Files that are not read among many that are: why, how many, and that it is said."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.source import SourceError
from monitor.source._paths import File, on_disk, suffix
from monitor.source._storage import reaching

if TYPE_CHECKING:
    from monitor.source._chosen import Chosen

log = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why a file is left out."""

    HALF_WRITTEN = "half_written"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    REFUSED = "refused_records"


class CannotRead(SourceError):
    """One file that cannot be read; `lasting` says that it will not be otherwise before the file changes.

    `file` is told where the file was chosen already when that was found: `spoil` lets the next try do without it.
    """

    def __init__(self, problem: str, reason: Reason, *, lasting: bool = False, file: File | None = None) -> None:
        super().__init__(problem)
        self.reason, self.lasting, self.file = reason, lasting, file


_SPOILED: dict[tuple[str, str], CannotRead] = {}


def spoil(error: CannotRead) -> bool:
    """Leave a file out until `forget_spoiled`, as it is now; False where that is nothing new."""
    if error.file is None or spoiled(error.file) is not None:
        return False
    _SPOILED[error.file.path, error.file.stamp] = error
    return True


def spoiled(file: File) -> CannotRead | None:
    """Why a file that was listed and known could not be read after all."""
    return _SPOILED.get((file.path, file.stamp))


def forget_spoiled() -> None:
    """Try them again from now on: what lasts stands in the index."""
    _SPOILED.clear()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was left out, or some of it; `name` is its path below the folder.

    One that is half-written is no fault as long as it is young.
    """

    name: str
    stamp: str
    reason: Reason
    problem: str
    is_fault: bool


_SAID: set[tuple[str, str, str]] = set()


def say(where: str, files: int, left_out: Iterable[LeftOut]) -> None:
    """Warn of files that were left out, once in the life of this process for each state of each file."""
    told = [each for each in left_out if each.is_fault]
    fresh = [each for each in told if (where, each.name, each.stamp) not in _SAID]
    if not fresh:
        return
    _SAID.update((where, each.name, each.stamp) for each in fresh)
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(Counter(e.reason for e in told).items()))
    log.warning(
        "did not read all of %d of %d files of %s (%s): %s",
        len(told), files, where, reasons, fresh[0].problem,
        extra={"source": where, "files": files, "left_out": len(told), "first": fresh[0].name},
    )  # fmt: skip


class Changed(SourceError):
    """A file that became another while it was read: what was read of it is of no use, and reading anew may help."""


# How DuckDB begins what it says of a condition that is wrong, or asks too much.
ASKED = tuple(
    f"{what} Error" for what in ("Binder", "Catalog", "Parser", "Conversion", "Out of Range", "Out of Memory")
)
LOOKED_AT = 20  # remote files that are asked for again


def changed(files: Sequence[File]) -> Changed | None:
    """Which of some files is gone, or is another than the one that was listed; None where all are as they were."""
    for place, file in enumerate(files):
        if file.store is None:
            try:
                now = on_disk(Path(file.path))
            except OSError:
                return Changed(f"{file.name}: it vanished while it was read")
            grew = now.size > file.size and suffix(file.path) not in (".parquet", ".pq")  # its old lines stand
            if now.stamp != file.stamp and not grew:
                return Changed(f"{file.name}: it was changed while it was read")
        elif place < LOOKED_AT and not _is_there(file):
            return Changed(f"{file.name}: it was changed while it was read")
    return None


def _is_there(file: File) -> bool:
    assert file.store is not None  # it is a remote one
    try:
        with reaching(file.path, file.store.secrets):
            return int(file.store.system.info(file.path)["size"]) == file.size
    except SourceError:
        return False


def has_changed(error: SourceError, seen: Iterable[Chosen]) -> bool:
    """Whether a look failed because a file that it reads is gone, or became another."""
    if isinstance(error, CannotRead):
        return error.reason is Reason.VANISHED
    return isinstance(error, Changed) or (_is_duckdbs(error) and any(changed(chosen.files) for chosen in seen))


def has_spoiled(error: SourceError, seen: Iterable[Chosen]) -> bool:
    """Whether a look failed because of files that cannot be read, which are left out from now on."""
    if isinstance(error, CannotRead):
        return spoil(error)
    # DuckDB does not always say which file it was: each is read through, once in its life where the damage is its own.
    files = [(file, chosen.reader) for chosen in seen for file in chosen.files] if _is_duckdbs(error) else []
    found = [problem for file, reader in files if (problem := _problem_of(file, reader))]
    return bool([problem for problem in found if spoil(problem)])


def _is_duckdbs(error: SourceError) -> bool:
    """Whether DuckDB failed, and not because of what it was asked. Its words tell: handing on rows, it fails in Arrow's name."""
    import duckdb

    cause = error.__cause__
    return isinstance(cause, duckdb.Error | OSError) and not str(cause).startswith(ASKED)


def _problem_of(file: File, reader: str) -> CannotRead | None:
    from monitor.source._bytes import AHEAD_BYTES, bytes_of
    from monitor.source._parquet import read_through

    try:
        if reader == "read_parquet":
            read_through(file)
        else:
            for start in range(0, file.size, AHEAD_BYTES):
                bytes_of(file, start, min(start + AHEAD_BYTES, file.size))
    except CannotRead as problem:
        return problem
    except SourceError as error:
        return None if isinstance(error, Changed) else CannotRead(str(error), Reason.UNREADABLE, file=file)
    return None
