"""Logs of serving systems as Parquet: each file is converted once, and kept beside the store for as long as it is there."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import msgspec

from monitor.records import fingerprint
from monitor.serving_logs import Outcome, Unreadable, mlflow, sagemaker, tf_serving
from monitor.serving_logs import Reason as Refusal
from monitor.serving_logs.tfrecord import HEAD, frames, masked_crc
from monitor.source import SourceError
from monitor.source._access import Access, Log
from monitor.source._bytes import AHEAD_BYTES, LONGEST_LINE, bytes_of, lines_of, whole_lines
from monitor.source._chosen import is_settled
from monitor.source._index import KEPT_SECONDS, folder
from monitor.source._left_out import CannotRead, Changed, Reason
from monitor.source._paths import File, Listing, on_disk, reader_of
from monitor.source._shapes import REFUSED
from monitor.source._storage import NotThere
from monitor.source._values import category

ROWS = 10_000  # written at a time
YOUNG_SECONDS = 600.0  # what is younger may be another process's, which knows of newer files
MOST_EXACT = 2**53

Records = Iterator[list[dict[str, Any]] | Unreadable]


@cache
def _temporary() -> Path:
    found = Path(tempfile.mkdtemp(prefix="anchorwatch-logs-"))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


class Converter:
    """The files of a log as Parquet files.

    Args:
        found: what was listed.
        files: the log's files; of all others that were converted before nothing is kept.
        access: how they are read.

    Raises:
        SourceError: such records hold no labels, and labels are asked for.
    """

    def __init__(self, found: Listing, files: Sequence[File], access: Access) -> None:
        assert access.log is not None  # the form is one of a log
        if access.log.labels and access.form != "sagemaker":
            raise SourceError(f"{found.shown}: expected labels, but format: {access.form} holds none")
        self._form, self._log = access.form, access.log
        logs = folder("logs") or _temporary()
        self._here = logs / fingerprint(found.shown, access.form, str(access.log))
        self._tidy(logs, {self._name(file) for file in files})

    def _name(self, file: File) -> str:
        return f"{fingerprint(file.path, file.stamp)}.parquet"

    def _tidy(self, logs: Path, wanted: set[str]) -> None:
        now = time.time()
        with suppress(OSError):
            os.utime(self._here)
            for path in self._here.iterdir():
                if path.name not in wanted and now - path.stat().st_mtime > YOUNG_SECONDS:
                    path.unlink()
        with suppress(OSError):
            for other in logs.iterdir():
                if now - other.stat().st_mtime > KEPT_SECONDS:
                    shutil.rmtree(other, ignore_errors=True)

    def parquet(self, file: File) -> File:
        """The Parquet file that a file of the log is kept as; converted where that has not been done.

        Raises:
            CannotRead: it is gone, or it or all its records cannot be read.
            SourceError: it was changed meanwhile, or its rows have no place.
        """
        path = self._here / self._name(file)
        if not path.is_file():
            try:
                self._here.mkdir(parents=True, exist_ok=True)
                self._convert(file, path)
            except NotThere as error:
                raise CannotRead(str(error), Reason.VANISHED) from error
            except (CannotRead, Changed):
                raise
            except SourceError as error:
                raise CannotRead(str(error), Reason.UNREADABLE) from error
            except OSError as error:
                raise SourceError(f"{file.name}: its rows cannot be kept in {self._here}: {error.strerror}") from error
        kept = on_disk(path, file.below)
        return File(kept.path, kept.size, kept.stamp, file.modified, file.below, called=file.name)

    def _convert(self, file: File, path: Path) -> None:
        refused: Counter[str] = Counter()
        with tempfile.TemporaryFile() as lines:
            rows, kinds = 0, dict[str, set[type]]()
            for found in self._records(file):
                if isinstance(found, Unreadable):
                    refused[found.reason.value] += 1
                    continue
                for record in found:
                    row = row_of(record, self._log, file.modified)
                    if row is not None:
                        rows += 1
                        _note(kinds, row)
                        lines.write(msgspec.json.encode(row) + b"\n")
            said = ", ".join(f"{number} {reason}" for reason, number in sorted(refused.items()))
            problem = f"{file.name}: refused {refused.total()} records ({said})" if refused else ""
            if problem and not rows:
                raise CannotRead(problem, Reason.UNREADABLE, lasting=True)
            lines.seek(0)
            _write(path, lines, kinds, problem)

    def _records(self, file: File) -> Records:
        outcome = Outcome(self._log.classes, self._log.prediction, self._log.probability)
        names = self._log.names
        if self._form == "mlflow":
            for row in _rows(file):
                yield _tried(mlflow.records, row, names, outcome=outcome)
            return
        if self._form == "tf_serving" and _is_tfrecord(file):
            for place, record in enumerate(_framed(file)):
                if isinstance(record, Unreadable):
                    yield record
                else:
                    at = f"{file.below}:{place}"
                    more = {"id_from": self._log.id_from, "place": at, "outcome": outcome}
                    yield _tried(tf_serving.binary_records, record, names, **more)
            return
        yield from self._lines(file, outcome)

    def _lines(self, file: File, outcome: Outcome) -> Records:
        names, size = self._log.names, file.size if is_settled(file) else whole_lines(file)
        for place, line in enumerate(lines_of(file, size)):
            if line is None:
                yield Unreadable(Refusal.TOO_LARGE, f"expected lines of at most {LONGEST_LINE} bytes")
            elif not line.strip():
                continue
            elif self._form == "tf_serving":
                more = {"id_from": self._log.id_from, "place": f"{file.below}:{place}", "outcome": outcome}
                yield _tried(tf_serving.records, line, names, **more)
            elif self._log.labels:
                yield _tried(sagemaker.labels, line, outcome=outcome)
            else:
                yield _tried(sagemaker.records, line, names, outcome=outcome)


def _tried(read: Any, *arguments: Any, **more: Any) -> list[dict[str, Any]] | Unreadable:
    try:
        found: list[dict[str, Any]] = read(*arguments, **more)
    except Unreadable as problem:
        return problem
    return found


def _is_tfrecord(file: File) -> bool:
    head = bytes_of(file, 0, min(HEAD, file.size))
    return len(head) == HEAD and masked_crc(head[:8]) == int.from_bytes(head[8:], "little")


def _framed(file: File) -> Iterator[bytes | Unreadable]:
    """The records of a TFRecord file; a half-written one at its end waits."""
    rest, place = b"", 0
    while place < file.size:
        piece = bytes_of(file, place, min(place + max(AHEAD_BYTES, len(rest)), file.size))
        if not piece:
            return
        place += len(piece)
        rest += piece
        found = frames(rest)
        yield from found.records
        rest = rest[found.consumed :]
        if found.broken is not None:
            yield found.broken
            return


def _rows(file: File) -> Iterator[Mapping[str, Any]]:
    """The rows of an inference table's file."""
    import duckdb

    from monitor.source._shapes import text_size
    from monitor.source._sql import Files, connected, problem_of

    reader = reader_of([file], file.name)
    if reader == "read_parquet":
        from monitor.source._parquet import ParquetTable

        table = ParquetTable([file], None)
        names = list(table.types)
        for piece in table.read(names, chunk_rows=ROWS):
            columns = [column.to_pylist() for column in piece.columns]
            yield from (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))
        return
    with closing(connected(1)) as connection:
        try:
            scan = Files(connection).scan([file], {file.path: text_size(file, is_settled(file))}, reader)
            with closing(connection.sql(f"SELECT * FROM {scan}").to_arrow_reader(ROWS)) as batches:
                for batch in batches:
                    yield from batch.to_pylist()
        except duckdb.Error as error:
            raise problem_of(file, error) from error


def row_of(record: Mapping[str, Any], log: Log, otherwise: float) -> dict[str, Any] | None:
    """A record as a row of a file, its columns called as the model's are; None where it is another model's.

    Args:
        record: as `POST /v1/predictions` or `/v1/labels` takes it.
        log: what the columns are called.
        otherwise: the time of one that tells none (Unix seconds).
    """
    if log.serving_model and record.get("model", log.serving_model) != log.serving_model:
        return None
    names = dict(log.columns)
    if log.labels:
        label = {names["id"]: record["event_id"], names["label"]: record["label"]}
        return label | {names["label_timestamp"]: record.get("label_timestamp", otherwise)}
    row = {name: _plain(value) for name, value in record["features"].items()}
    row[names["id"]], row[names["prediction"]] = record["event_id"], record["prediction"]
    row[names["timestamp"]] = float(record.get("timestamp", otherwise))
    if "model_version" in record:
        row[names["version"]] = record["model_version"]
    if "latency_seconds" in record:
        row[names["latency"]] = record["latency_seconds"]
    return row | _scores(record.get("probability"), log)


def _plain(value: Any) -> Any:
    """What a column can hold: objects, and lists of anything but numbers, are texts."""
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    if isinstance(value, list) and not all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    ):
        return msgspec.json.encode(value).decode()
    return value


def _scores(probability: Any, log: Log) -> dict[str, Any]:
    if isinstance(log.scores, str):
        told = probability.get(log.positive) if isinstance(probability, dict) else probability
        return {} if told is None else {log.scores: told}
    if not isinstance(probability, dict):
        return {}
    return {column: probability[name] for name, column in log.scores if name in probability}


def _note(kinds: dict[str, set[type]], row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        known = kinds.setdefault(name, set())
        if value is not None:
            known.add(float if isinstance(value, int) and abs(value) > MOST_EXACT else type(value))


def _arrow_type(kinds: set[type]) -> Any:
    import pyarrow as pa

    plain = {bool: pa.bool_(), int: pa.int64(), str: pa.string(), list: pa.list_(pa.float64())}
    if kinds <= {int, float} and float in kinds:
        return pa.float64()
    return plain[next(iter(kinds))] if len(kinds) == 1 else pa.string()


def _write(path: Path, lines: IO[bytes], kinds: Mapping[str, set[type]], problem: str) -> None:
    """Write rows as Parquet, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = {name: _arrow_type(known) for name, known in kinds.items() if known}
    schema = pa.schema(list(fields.items()), metadata={REFUSED: problem} if problem else None)
    part = path.with_name(f"{path.name}.{token_hex(4)}.tmp")
    try:
        with pq.ParquetWriter(part, schema) as writer:
            while some := [msgspec.json.decode(line) for line in islice(lines, ROWS)]:
                columns = [[_as(row.get(name), kind) for row in some] for name, kind in fields.items()]
                arrays = [pa.array(column, kind) for column, kind in zip(columns, fields.values(), strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()


def _as(value: Any, kind: Any) -> Any:
    """A value as its column holds it: numbers and names in one column are all names."""
    import pyarrow as pa

    if value is None or not pa.types.is_string(kind) or isinstance(value, str):
        return value
    return category(value)
