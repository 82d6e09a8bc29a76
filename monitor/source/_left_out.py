"""Files that are not read among many that are: why, how many, and that it is said."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from monitor.source import SourceError
from monitor.source._paths import File, on_disk, suffix
from monitor.source._storage import reaching

log = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why a file is left out."""

    HALF_WRITTEN = "half_written"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    REFUSED = "refused_records"


class CannotRead(SourceError):
    """One file that cannot be read; `lasting` says that it will not be otherwise before the file changes."""

    def __init__(self, problem: str, reason: Reason, *, lasting: bool = False) -> None:
        super().__init__(problem)
        self.reason, self.lasting = reason, lasting


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
