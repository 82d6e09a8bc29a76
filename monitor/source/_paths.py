"""Which files a configured path means, here or far away; nothing here reads them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any

from monitor.source import SourceError
from monitor.source._storage import NotThere, Secrets, Storage, file_system, is_remote, reaching, shown

READERS = {
    ".parquet": "read_parquet",
    ".pq": "read_parquet",
    ".csv": "read_csv",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
    ".json": "read_json",
}
FORMS = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}
UNFINISHED = (".tmp", ".crdownload", ".inprogress")  # names of what is still being written
DELTA_LOG = "_delta_log"
STAMPS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")


@dataclass(frozen=True, slots=True)
class Store:
    """Where remote files are."""

    system: Any
    secrets: Secrets


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was listed.

    Attributes:
        path: its own, as the machine or the store knows it.
        size: in bytes.
        stamp: changes when its content does.
        modified: when it was written, in Unix seconds.
        below: its path below the folder that was listed.
        store: where it is; None on this machine.
        partition: the columns that are the same in all of its rows and do not stand in it.
        called: its name in messages, where that is not its own.
    """

    path: str
    size: int
    stamp: str
    modified: float
    below: str
    store: Store | None = None
    partition: tuple[tuple[str, Any], ...] = ()
    called: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.called or PurePosixPath(self.path).name

    @property
    def folders(self) -> dict[str, str]:
        """The columns that the names of its folders tell: `version=3/` is Hive's way of writing them."""
        from urllib.parse import unquote

        parts = [part.partition("=") for part in self.below.split("/")[:-1]]
        return {unquote(name): unquote(value) for name, sign, value in parts if sign and name}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a path means: files, or the root of a Delta table."""

    shown: str
    files: list[File] = field(default_factory=list)
    delta: str | None = None
    store: Store | None = None


def on_disk(path: Path, below: str | None = None) -> File:
    """A file of this machine.

    Raises:
        OSError: it is gone.
    """
    return _of_stat(path, path.stat(), below or path.name)


def _of_stat(path: Path, found: os.stat_result, below: str) -> File:
    return File(str(path), found.st_size, f"{found.st_size} {found.st_mtime_ns}", found.st_mtime, below)


def listing(path: str, directory: Path, storage: Storage | None = None, form: str = "auto") -> Listing:
    """What a path means: a file, a glob's matches, everything readable in a folder, or a Delta table; files are sorted.

    What bears a temporary name is left alone: names that begin with `_` or `.`, unless the path itself says so, and
    `*.tmp`, `*.crdownload` and `*.inprogress`.

    Raises:
        SourceError: there is nothing, or it cannot be reached.
    """
    found = _remote(path, directory, storage, form) if is_remote(path) else _local(path, directory, form)
    if found.delta is None and not found.files:
        raise NotThere(f"expected a file, found nothing at {found.shown}")
    return found


def reader_of(files: Sequence[File], where: str, form: str = "auto") -> str:
    """The DuckDB function that reads all of these files.

    Raises:
        SourceError: nothing does, or not one for all.
    """
    if form in FORMS:
        return FORMS[form]
    if unknown := [file for file in files if suffix(file.path) not in READERS]:
        raise SourceError(f"expected one of {', '.join(READERS)}, got {unknown[0].name} at {where}")
    readers = {READERS[suffix(file.path)] for file in files}
    if len(readers) > 1:
        raise SourceError(f"expected files of one kind, got several at {where}")
    return readers.pop()


def suffix(path: str) -> str:
    """The end of a file's name that tells its kind.

    >>> suffix("log/part-1.JSONL"), suffix("log/part-1.csv.gz")
    ('.jsonl', '.csv')
    """
    return PurePosixPath(path.removesuffix(".gz")).suffix.lower()


def _local(path: str, directory: Path, form: str) -> Listing:
    whole = Path(path) if Path(path).is_absolute() else directory / path
    if has_magic(path):
        anchor = Path(whole.anchor)
        fixed = _fixed(str(whole))
        matches = anchor.glob(str(whole.relative_to(anchor)))
        return Listing(str(whole), list(_stated(matches, fixed, path, form)))
    if whole.is_dir():
        if form == "delta" or (form in ("auto", "mlflow") and (whole / DELTA_LOG).is_dir()):
            return Listing(str(whole), delta=str(whole))
        return Listing(str(whole), list(_stated(whole.rglob("*"), str(whole), "", form)))
    return Listing(str(whole), [on_disk(whole)] if whole.is_file() else [])


def _stated(paths: Iterable[Path], root: str, pattern: str, form: str) -> Iterator[File]:
    for path in sorted(paths):
        below = os.path.relpath(path, root)
        if not _counts(below, pattern, form):
            continue
        try:
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                yield _of_stat(path, found, below)
        except OSError:  # it was there a moment ago
            continue


def _fixed(path: str) -> str:
    """The folder above the first part of a path that stands for many."""
    parts = PurePosixPath(path).parts
    place = next((place for place, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    return str(PurePosixPath(*parts[:place])) if place else ""


def _counts(below: str, pattern: str, form: str) -> bool:
    """Whether a file that was found is one that is meant."""
    asked = {part[:1] for part in PurePosixPath(pattern).parts if part != ".."}
    parts = PurePosixPath(below).parts
    if any(part[:1] in ("_", ".") and part[:1] not in asked for part in parts):
        return False
    return not below.endswith(UNFINISHED) and (form not in ("auto", "mlflow") or suffix(below) in READERS)


def _remote(path: str, directory: Path, storage: Storage | None, form: str) -> Listing:
    system, secrets = file_system(path, storage, directory)
    store = Store(system, secrets)
    with reaching(path, secrets):
        root = str(system._strip_protocol(path)).rstrip("/")  # noqa: SLF001 - fsspec has no other name for it
        if has_magic(path):
            found = _details(system.glob(root, detail=True))
            return Listing(shown(path), list(_files(found, _fixed(root), root, store, form)), store=store)
        if form == "delta":
            return Listing(shown(path), delta=path, store=store)
        about = None if path.endswith("/") else _about(system, root)
        if about is not None and about["type"] == "file":
            return Listing(shown(path), [_file(about, PurePosixPath(root).name, store)], store=store)
        found = _details(system.find(root, detail=True))
        if form in ("auto", "mlflow") and any(each["name"].startswith(f"{root}/{DELTA_LOG}/") for each in found):
            return Listing(shown(path), delta=path, store=store)
        return Listing(shown(path), list(_files(found, root, "", store, form)), store=store)


def _about(system: Any, root: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = system.info(root)
    except FileNotFoundError:
        return None
    return found


def _details(found: Any) -> list[dict[str, Any]]:
    return [each for each in found.values() if each.get("type") == "file"]


def _files(found: list[dict[str, Any]], root: str, pattern: str, store: Store, form: str) -> Iterator[File]:
    for each in sorted(found, key=lambda one: str(one["name"])):
        below = str(each["name"]).removeprefix(root).lstrip("/")
        if _counts(below, pattern, form):
            yield _file(each, below, store)


def _file(about: dict[str, Any], below: str, store: Store) -> File:
    size = int(about.get("size") or 0)
    stamp = next((str(about[name]) for name in STAMPS if about.get(name)), "")
    moments = (about.get(name) for name in ("LastModified", "last_modified", "updated", "mtime"))
    modified = next((_seconds(moment) for moment in moments if moment), 0.0)
    return File(str(about["name"]), size, f"{size} {stamp}", modified, below, store)


def _seconds(moment: Any) -> float:
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return 0.0
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment) if isinstance(moment, int | float) else 0.0


_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DATES = re.compile(
    rf"(?:^|[/=_.-])(?:year=)?{_YEAR}[/_-]?(?:month=)?(?P<month>0[1-9]|1[0-2])"
    r"(?:[/_-]?(?:day=)?(?P<day>0[1-9]|[12]\d|3[01])(?:[/T_-](?:hour=|hh=)?(?P<hour>[01]\d|2[0-3]))?)?(?=$|[/_.T-])"
)


def dates_of(below: str) -> tuple[float, float] | None:
    """The stretch of time (UTC, Unix seconds) that a path names: an hour, a day or a month; None where it names none.

    >>> day = 86400.0
    >>> [(end - start) / day for start, end in map(dates_of, ("dt=2026-11-20/a.csv", "year=2026/month=11/a.csv"))]
    [1.0, 30.0]
    >>> dates_of("2026/11/20/08/a.jsonl")[0], dates_of("part-0001.csv")
    (1795161600.0, None)
    """
    found = _DATES.search(below)
    if found is None:
        return None
    year, month = int(found["year"]), int(found["month"])
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
    if found["day"] is None:
        return datetime(year, month, 1, tzinfo=UTC).timestamp(), after
    try:
        start = datetime(year, month, int(found["day"]), int(found["hour"] or 0), tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return start, start + (3600.0 if found["hour"] else 86400.0)
