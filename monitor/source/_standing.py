"""What a reference in files is known by, told without reading them: by the daemon itself where that is light, else by a child."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.child import ChildFailed, in_child
from monitor.records import fingerprint
from monitor.source import SourceError
from monitor.source._paths import listing
from monitor.source._storage import is_remote

HELD_SECONDS = 60.0  # a child is started no more often to ask the same
DISTANT_SECONDS = 120.0  # it may take so long

_HELD: dict[tuple[str, str, Path], tuple[float, Any]] = {}


def key(options: Any, directory: Path) -> str:
    """What a reference in files is known by: it changes when the files do.

    Args:
        options: of `type: files`.
        directory: where relative paths start.

    Raises:
        SourceError: there are no such files, or they cannot be reached.
    """
    if not is_remote(options.path):
        found = listing(options.path, directory, form=options.format)
        if found.delta is None:
            return _fingerprint(options, [(file.path, file.stamp) for file in found.files])
    told: str = _apart(_key, options, directory)
    return told


def is_there(options: Any, directory: Path) -> bool:
    """Whether there is anything at a path.

    Raises:
        SourceError: it cannot be reached.
    """
    if not is_remote(options.path):
        return Path(directory, options.path).exists()
    told: bool = _apart(_exists, options, directory)
    return told


def _fingerprint(options: Any, files: list[tuple[str, str]]) -> str:
    said = [f"{path} {stamp}" for path, stamp in files]
    if options.format != "auto":
        said.append(f"{options.format} {options.log!r}")
    return fingerprint(options.where or "", *said, *options.match)


def _key(options: Any, directory: Path) -> str:
    from monitor.source._access import Access
    from monitor.source._delta import delta_files

    access = Access(options.storage, options.format, delta_version=options.delta_version)
    found = listing(options.path, directory, options.storage, options.format)
    files = found.files if found.delta is None else delta_files(found, access, "").files
    return _fingerprint(options, [(file.path, file.stamp) for file in files])


def _exists(options: Any, directory: Path) -> bool:
    from monitor.source._storage import NotThere

    try:
        listing(options.path, directory, options.storage, options.format)
    except NotThere:
        return False
    return True


def _apart(work: Callable[[Any, Path], Any], options: Any, directory: Path) -> Any:
    """What a child says, asked now and then; a process that reads files anyway asks itself."""
    if multiprocessing.parent_process() is not None or "pyarrow" in sys.modules:
        return work(options, directory)
    about = work.__name__, repr(options), directory
    asked, told = _HELD.get(about, (-HELD_SECONDS, None))
    if time.monotonic() - asked >= HELD_SECONDS:
        try:
            told = in_child(work, options, directory, timeout_seconds=DISTANT_SECONDS)
        except ChildFailed as error:
            raise SourceError(f"{options.path}: {error}") from error
        _HELD[about] = time.monotonic(), told
    return told
