"""The body of a request, in any of the forms that predictions and labels may have on the wire."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from monitor.wire.records import Batch, Expected, Kind, Only, convert, decode
from monitor.wire.typed import TypedDecoder

BODY_BYTES = 8 * 1024 * 1024
UNPACKED_BYTES = 32 * 1024 * 1024  # a compressed body may be so long when it is not
RECORDS = 50_000
VALUES = 1_500_000  # a body of nothing but commas would take a hundred times its size in memory

JSON, LINES, ARROW = "json", "lines", "arrow"
CONTENT_TYPES = {
    "application/json": JSON,
    "application/x-ndjson": LINES,
    "application/ndjson": LINES,
    "application/vnd.apache.arrow.stream": ARROW,
}
PER_RECORD = ("event_id", "timestamp", "prediction", "model_version", "latency_seconds", "label", "label_timestamp")
FEATURE = "features."
PROBABILITY = "probability."

_RAW = msgspec.json.Decoder(list[msgspec.Raw])


class BadBody(Exception):
    """The body as a whole is of no use; `reason` is a short name for the metric."""

    def __init__(self, message: str, reason: str = "not_json") -> None:
        super().__init__(message)
        self.reason = reason


class TooLarge(BadBody):
    """The body is longer than it may be, packed or unpacked."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"expected a body of at most {limit} bytes, unpacked", "too_large")


def unpacked(body: bytes, encoding: str, limit: int = UNPACKED_BYTES) -> bytes:
    """A body without its content encoding (gzip, zstd or none).

    Raises:
        BadBody: it is not encoded that way.
        TooLarge: it is longer than the limit.
    """
    if encoding in ("", "identity"):
        return body
    if encoding == "gzip":
        return _gunzipped(body, limit)
    if encoding == "zstd":
        return _unzstd(body, limit)
    raise BadBody(f"expected the content encoding gzip, zstd or none, got {encoding[:40]!r}", "content_encoding")


def _gunzipped(body: bytes, limit: int) -> bytes:
    parts, size = [], 0
    while body:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            part = unpacker.decompress(body, limit - size + 1)
        except zlib.error:
            raise BadBody("expected a body packed with gzip", "content_encoding") from None
        size += len(part)
        if size > limit:
            raise TooLarge(limit)
        if not unpacker.eof:
            raise BadBody("expected a body packed with gzip, got only its beginning", "content_encoding")
        parts.append(part)
        body = unpacker.unused_data
    return b"".join(parts)


def _unzstd(body: bytes, limit: int) -> bytes:
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 23)  # what RFC 8878 asks a reader to hold at least
    try:
        with unpacker.stream_reader(body, read_across_frames=True) as reader:
            found: bytes = reader.read(limit + 1)
    except zstandard.ZstdError:
        raise BadBody("expected a body packed with zstd", "content_encoding") from None
    if len(found) > limit:
        raise TooLarge(limit)
    return found


def read_body(
    body: bytes, form: str, kind: Kind, owners: Expected | Only, typed: TypedDecoder | None = None, model: str = ""
) -> Batch:
    """The records of a body.

    Args:
        body: without its content encoding.
        form: one of `CONTENT_TYPES`.
        kind: what it holds.
        owners: whose records may come.
        typed: a decoder for the predictions of the body's (first) model, where its columns are known.
        model: what the request says itself, for records that name no model.

    Raises:
        BadBody: it is not of that form, or holds too much.
    """
    if form == ARROW:
        return convert(_limited(_arrow_records(body, model)), kind, owners)
    if max(body.count(b","), body.count(b"\n")) > VALUES:
        raise BadBody(f"expected at most {VALUES} values in a request", "too_large")
    if typed is not None:
        rows = typed.decode(body, lines=form == LINES)
        if rows is not None and len(rows.rows) <= RECORDS:
            return Batch(kind, {typed.subject: [rows]} if rows.rows else {}, records=len(rows.rows))
    if form == JSON and (columns := _columnar(body)) is not None:
        return convert(_limited(_column_records(columns)), kind, owners)
    return decode(_split(body, form), kind, owners)


def _split(body: bytes, form: str) -> list[bytes]:
    """The records of a JSON body (one, or a list) or of an NDJSON one, each still encoded."""
    if form == LINES:
        found = [line for line in body.split(b"\n") if line.strip()]
    else:
        text = body.strip()
        try:
            found = [bytes(raw) for raw in _RAW.decode(text)] if text.startswith(b"[") else [text]
            if not text.startswith(b"["):
                msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            message = str(error)
            raise BadBody(
                f"expected JSON, one record or a list of records: {message[:1].lower()}{message[1:]}".replace("`", "'")
            ) from None
    if len(found) > RECORDS:
        raise _too_many(len(found))
    return found


def _too_many(records: int) -> BadBody:
    return BadBody(f"expected at most {RECORDS} records in a request, got {records}", "too_large")


# --- columns ----------------------------------------------------------------------------------------------------------


def _columnar(body: bytes) -> Mapping[str, Any] | None:
    """A body whose event ids are a list; None where it is another one."""
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if not bytes(found.get("event_id", b"")).lstrip().startswith(b"["):
            return None
        return {name: msgspec.json.decode(raw) for name, raw in found.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # reading it as records says what is wrong


def _column_records(columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a columnar body: `event_id` and what differs from row to row are lists, of one length."""
    rows = len(columns["event_id"])
    if rows > RECORDS:
        raise _too_many(rows)
    lists: dict[str, list[Any]] = {}
    common = {name: value for name, value in columns.items() if name in ("model", "app")}
    for name in PER_RECORD:
        if name in columns:
            lists[name] = _column(name, columns[name], rows)
    nested = {name: columns[name] for name in ("features", "probability") if isinstance(columns.get(name), dict)}
    if "probability" in columns and "probability" not in nested:
        lists["probability"] = _column("probability", columns["probability"], rows)
    inner = {
        of: {name: _column(f"{of}.{name}", held, rows) for name, held in found.items()} for of, found in nested.items()
    }
    for place in range(rows):
        record = {**common, **{name: held[place] for name, held in lists.items()}}
        for of, found in inner.items():
            record[of] = {name: held[place] for name, held in found.items()}
        yield record


def _column(name: str, held: Any, rows: int) -> list[Any]:
    if not isinstance(held, list):
        return [held] * rows
    if len(held) != rows:
        raise BadBody(f"{name[:60]}: expected {rows} values, one for each event_id, got {len(held)}", "not_columns")
    return held


def _arrow_records(body: bytes, model: str) -> Iterator[dict[str, Any]]:
    """The records of an Arrow IPC stream.

    Features are the fields of a column `features`, or columns called `features.<name>`; class probabilities alike.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(body) as reader:
            told = reader.schema.metadata or {}
            said = {key: told[key.encode()].decode() for key in ("model", "app") if key.encode() in told}
            size = 0
            for batch in reader:
                size += batch.nbytes
                if size > UNPACKED_BYTES:
                    raise TooLarge(UNPACKED_BYTES)
                yield from (_arrow_record({"model": model, **said}, row) for row in batch.to_pylist())
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
        if isinstance(error, BadBody):
            raise
        raise BadBody(f"expected an Arrow IPC stream: {str(error).splitlines()[0][:200]}", "not_arrow") from None


def _arrow_record(said: Mapping[str, str], row: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = dict(said)
    for name, value in row.items():
        if name.startswith(FEATURE):
            record.setdefault("features", {})[name.removeprefix(FEATURE)] = _plain(value)
        elif name.startswith(PROBABILITY):
            record.setdefault("probability", {})[name.removeprefix(PROBABILITY)] = _plain(value)
        elif value is not None:
            record[name] = (
                {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else _plain(value)
            )
    return record


def _plain(value: Any) -> Any:
    """A value as JSON would have it: no NaN, times in seconds."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _limited(records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for place, record in enumerate(records):
        if place == RECORDS:
            raise _too_many(place + 1)
        yield record
