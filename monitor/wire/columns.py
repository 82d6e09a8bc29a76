"""The columnar form of a JSON body: `event_id` and whatever differs from record to record are lists, of one length."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from monitor.wire.limits import UNPACKED_BYTES, BadBody, check_records, check_values, too_long

PLAIN = (
    "model",
    "app",
    "event_id",
    "timestamp",
    "prediction",
    "model_version",
    "latency_seconds",
    "label",
    "label_timestamp",
)
NESTED = ("features", "probability")

Place = tuple[str, str]  # what a column is in (nothing, or one of `NESTED`), and its name
Record = dict[str, Any]


def column_records(body: bytes) -> Iterator[Record] | None:
    """The records of a body whose event ids are a list; None where it is another one.

    Raises:
        BadBody: its lists are not of one length.
        TooLarge: its records would be too many, or hold too much.
    """
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        outer = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if not _begins(outer.get("event_id", b""), b"["):
            return None
        found, nested = _columns(outer)
        columns = {place: msgspec.json.decode(raw) for place, raw in found.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # reading it as records says what is wrong
    rows = len(columns["", "event_id"])
    check_records(rows)
    check_values(rows * len(columns))
    # What is said once is said of every record.
    if rows * sum(len(raw) for raw in found.values() if not _begins(raw, b"[")) > UNPACKED_BYTES:
        raise too_long(UNPACKED_BYTES)
    return records_of(rows, {place: _column(place, held, rows) for place, held in columns.items()}, nested)


def _columns(outer: Mapping[str, msgspec.Raw]) -> tuple[dict[Place, msgspec.Raw], list[str]]:
    """The columns, each still encoded, and which of `NESTED` are objects."""
    nested = [name for name in NESTED if _begins(outer.get(name, b""), b"{")]
    found: dict[Place, msgspec.Raw] = {("", name): outer[name] for name in (*PLAIN, *NESTED) if name in outer}
    for of in nested:
        inner = msgspec.json.decode(found.pop(("", of)), type=dict[str, msgspec.Raw])
        found.update({(of, name): raw for name, raw in inner.items()})
    return found, nested


def _begins(raw: msgspec.Raw | bytes, with_: bytes) -> bool:
    return bytes(raw).lstrip().startswith(with_)


def _column(place: Place, held: Any, rows: int) -> list[Any]:
    if not isinstance(held, list):
        return [held] * rows
    if len(held) != rows:
        name = ".".join(filter(None, place))[:60]
        raise BadBody(f"{name}: expected {rows} values, one for each event_id, got {len(held)}", "not_columns")
    return held


def records_of(rows: int, columns: Mapping[Place, list[Any]], nested: Collection[str]) -> Iterator[Record]:
    """Records out of columns of one length; `nested` is what every record has, also where nothing is in it."""
    for at in range(rows):
        record: Record = {name: {} for name in nested}
        for (of, name), held in columns.items():
            if of:
                record[of][name] = held[at]
            else:
                record[name] = held[at]
        yield record
