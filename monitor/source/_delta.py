"""Delta tables: which files are the table at one version, and what its log says of each of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote

from monitor.source import SourceError
from monitor.source._access import Access
from monitor.source._feed import optional
from monitor.source._index import Entry
from monitor.source._paths import File, Listing
from monitor.source._storage import delta_options, reaching

log = logging.getLogger(__name__)

_SAID: set[tuple[str, int]] = set()


@dataclass(frozen=True, slots=True)
class DeltaFiles:
    """A table at one version: its files, what is known of each by its path, its columns, and which of them stand in no file."""

    version: int
    files: list[File]
    known: dict[str, Entry]
    types: Mapping[str, Any]
    partitions: Mapping[str, Any]


def delta_files(found: Listing, access: Access, time: str) -> DeltaFiles:
    """The files of a table's version, and that version.

    Raises:
        SourceError: the package is missing, there is no such table or version, or it needs what is not read here: deletion
            vectors and column mapping.
    """
    import pyarrow as pa

    table = _opened(found, access)
    _fit_to_read(table, found.shown)
    actions = pa.table(table.get_add_actions(flatten=True))
    types = {field.name: field.type for field in pa.schema(table.schema().to_arrow())}
    names = list(table.metadata().partition_columns)
    rows = sorted(actions.to_pylist(), key=lambda row: row["path"])
    files = [_file(row, found, names) for row in rows]
    known = {file.path: _entry(file, row, time) for file, row in zip(files, rows, strict=True)}
    version = table.version()
    if (found.shown, version) not in _SAID:
        _SAID.add((found.shown, version))
        log.info("read version %d of %s", version, found.shown, extra={"source": found.shown, "version": version})
    return DeltaFiles(version, files, known, types, {name: types[name] for name in names})


def _opened(found: Listing, access: Access) -> Any:
    open_table = optional("deltalake", "deltalake", "delta", "format: delta").DeltaTable
    assert found.delta is not None  # it was listed as one
    options, guard = None, nullcontext()
    if found.store is not None:
        options = delta_options(found.delta, access.storage, found.store.secrets)
        guard = reaching(found.delta, found.store.secrets)  # type: ignore[assignment]
    with guard:
        try:
            return open_table(found.delta, version=access.delta_version, storage_options=options)
        except Exception as error:
            if found.store is not None:
                raise
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SourceError(f"{found.shown}: expected a Delta table that can be read: {said}") from None


def _fit_to_read(table: Any, shown: str) -> None:
    """Whether the files hold what the table says: deleted rows and renamed columns are told in its log alone."""
    mapping = table.metadata().configuration.get("delta.columnMapping.mode", "none")
    if mapping != "none":
        raise SourceError(f"{shown}: expected a Delta table without column mapping, got the mode {mapping!r}")
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return
    try:
        import pyarrow as pa

        masked = sum(batch.num_rows for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()))
        said = f"{masked} files with some"
    except Exception as error:  # noqa: BLE001 - whatever it is, they are there and cannot be read
        masked, said = 1, str(error).splitlines()[0]
    if masked:
        raise SourceError(
            f"{shown}: expected a Delta table without deletion vectors, got {said}: REORG TABLE ... APPLY (PURGE) removes them"
        )


def _file(row: Mapping[str, Any], found: Listing, names: list[str]) -> File:
    path, root = unquote(row["path"]), str(found.delta)
    if "://" in path and found.store is None:
        raise SourceError(f"{found.shown}: expected files of this machine, got one elsewhere")
    whole = path if "://" in path or path.startswith("/") else f"{root.rstrip('/')}/{path}"
    if found.store is not None:
        whole = str(found.store.system._strip_protocol(whole))  # noqa: SLF001 - fsspec has no other name for it
    modified = row["modification_time"]
    moment = modified.timestamp() if isinstance(modified, datetime) else modified / 1000
    partition = tuple((name, row.get(f"partition.{name}")) for name in names)
    return File(whole, row["size_bytes"], f"{row['size_bytes']} {moment}", moment, path, found.store, partition)


def _entry(file: File, row: Mapping[str, Any], time: str) -> Entry:
    first, last = _seconds(row.get(f"min.{time}")), _seconds(row.get(f"max.{time}"))
    for name, value in file.partition:
        if name == time:  # a whole day, or whatever stands there
            first = last = _seconds(value)
    rows = row.get("num_records")
    if rows is not None and rows == row.get(f"null_count.{time}"):
        first, last = math.inf, -math.inf
    return Entry(file.stamp, rows or 0, first, last)


def _seconds(value: Any) -> float | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
