"""Rows and flat fields as records in wire form, under the names that the model's `columns` give."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from monitor.config.model import Columns
from monitor.source._feed import Kind

_encode = msgspec.json.Encoder(enc_hook=str).encode
WHOLE = 1 << 63  # beyond it JSON's readers take whole numbers for floats
# What cannot be told stands as JSON that is no value of a record: such a record is set aside with its reason, and no other.
REFUSED = msgspec.Raw(b"[[]]")


def wire_value(value: Any) -> Any:
    r"""A database's value as JSON has it: exact where JSON can be, else as text.

    Times are ISO 8601 in UTC (one without an offset is), spans of time seconds, bytes base64, and what JSON has no number
    for (NaN, infinity) is missing. Lists of numbers stay lists; other lists and mappings become their JSON text. Nothing is
    raised: a number beyond all floats is JSON that a decoder refuses, and so is what nests too deeply.

    >>> wire_value(Decimal("2.50")), wire_value(Decimal("12")), wire_value(datetime(2026, 1, 2)), wire_value(b"\x00")
    (2.5, 12, '2026-01-02T00:00:00+00:00', 'AA==')
    """
    if type(value) is float:  # most values are
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | str | msgspec.Raw):
        return value
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int | Decimal):
        return _number(value)
    if isinstance(value, datetime):
        with suppress(OverflowError):  # at the ends of time there is no other offset
            value = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return _collected(value)


def _number(value: int | Decimal) -> Any:
    if -WHOLE <= value < WHOLE and value == int(value):
        return int(value)
    near = math.inf
    with suppress(OverflowError):
        near = float(value)
    return near if math.isfinite(near) else msgspec.Raw(f"{Decimal(value):E}".encode())


def _collected(value: Any) -> Any:
    if not isinstance(value, Mapping | list | tuple):
        return str(value)  # UUID, an address, an enum, a range: as the database writes them
    if isinstance(value, list | tuple) and not any(isinstance(item, Mapping | list | tuple) for item in value):
        items = [wire_value(item) for item in value]
        if all(isinstance(item, int | float) and not isinstance(item, bool) for item in items):
            return [float(item) for item in items]
    try:
        return encoded(value).decode()
    except (RecursionError, TypeError, ValueError):
        return REFUSED


def encoded(record: Any) -> bytes:
    r"""A record in wire form as JSON; a text that is none, as it has half a surrogate, stands escaped, which no decoder takes.

    >>> encoded({"event_id": "\ud800"})
    b'{"event_id": "\\ud800"}'
    """
    try:
        return _encode(record)
    except UnicodeEncodeError:
        return json.dumps(record, default=_refused).encode()


def _refused(value: Any) -> Any:
    return math.inf if isinstance(value, msgspec.Raw) else str(value)


_OUTCOMES: dict[Kind, dict[str, str]] = {
    "predictions": {
        "event_id": "id", "timestamp": "timestamp", "prediction": "prediction",
        "model_version": "version", "latency_seconds": "latency",
    },
    "labels": {"event_id": "id", "label": "label", "label_timestamp": "label_timestamp"},
}  # fmt: skip
_NEEDED: dict[Kind, tuple[str, ...]] = {"predictions": ("id", "timestamp", "prediction"), "labels": ("id", "label")}


def needed(kind: Kind, columns: Columns) -> dict[str, str]:
    """The columns that a table of records must have, and the key of the configuration that names each."""
    return {getattr(columns, key): f"columns.{key}" for key in _NEEDED[kind]}


def outcomes(values: Mapping[str, Any], kind: Kind, columns: Columns) -> dict[str, Any]:
    """What of some named values is part of a record beside its features, under the keys of the wire.

    >>> outcomes({"id": Decimal(7), "y": 1.0, "probability": None}, "predictions", Columns(id="id", prediction="y"))
    {'event_id': '7', 'prediction': 1.0}
    """
    found = {key: wire_value(values.get(getattr(columns, name))) for key, name in _OUTCOMES[kind].items()}
    found["event_id"] = _event_id(values.get(columns.id))
    if kind == "predictions":
        found["probability"] = _score(values, columns.score)
    return {key: value for key, value in found.items() if value is not None}


def _event_id(value: Any) -> Any:
    """Spelled as a label of the same prediction is, whatever types the two tables have."""
    try:
        if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
            return str(int(value))
        return None if value is None else str(wire_value(value) if isinstance(value, bytes | memoryview) else value)
    except (RecursionError, ValueError):  # of more digits than Python writes
        return wire_value(value)


def _score(values: Mapping[str, Any], score: str | Mapping[str, str]) -> Any:
    if isinstance(score, str):
        return wire_value(values.get(score))
    by_class = {name: wire_value(values.get(column)) for name, column in score.items()}
    return {name: value for name, value in by_class.items() if value is not None} or None


def features_of(names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """These columns as features. One that is called `features` and is a JSON object holds the features themselves.

    >>> features_of(["x", "features"], {"x": 1, "features": '{"y": 2}'})
    {'x': 1, 'y': 2}
    """
    found: dict[str, Any] = {}
    for name in names:
        inner = _object(values[name]) if name == "features" else None
        if inner is None:
            found[name] = wire_value(values[name])
        else:
            found |= {str(key): wire_value(held) for key, held in inner.items()}
    return found


def _object(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (RecursionError, ValueError):
            return None
    return value if isinstance(value, Mapping) else None


FEATURE, CLASS = "features.", "probability."
_TEXTS = frozenset({"event_id", "model_version", "model", "app"})


def flat_record(fields: Mapping[bytes, bytes], kind: Kind, columns: Columns) -> bytes:
    """A record that comes field by field, under the names that `columns` gives.

    Features are called `features.<name>`, and the probabilities of classes `probability.<class>`. A value that is written as
    JSON writes a number, a truth value, null or a list is that; everything else, and every id and version, is text.

    >>> flat_record({b"event_id": b"7", b"features.x": b"1.5", b"features.c": b"up"}, "predictions", Columns())
    b'{"event_id":"7","features":{"x":1.5,"c":"up"}}'
    """
    texts = {columns.id, columns.version, *_TEXTS}
    names = {name.decode("utf-8", "replace"): value for name, value in fields.items()}
    values = {name: _parsed(value, text=name in texts) for name, value in names.items()}
    record = outcomes(values, kind, columns)
    record |= {key: values[key] for key in ("model", "app") if key in values}
    if kind == "labels":
        return encoded(record)
    by_class = _under(CLASS, values)
    if by_class:
        record["probability"] = by_class
    return encoded(record | {"features": _under(FEATURE, values)})


def _under(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): wire_value(held) for name, held in values.items() if name.startswith(prefix)}


def _parsed(value: bytes, *, text: bool) -> Any:
    plain = value.decode("utf-8", "replace")
    if text:
        return plain
    try:
        found = msgspec.json.decode(value)
    except RecursionError:
        return REFUSED
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return plain
    if isinstance(found, list):  # passed on as it is, for the decoder to judge
        return msgspec.Raw(value)
    return plain if isinstance(found, str | dict) else found
