"""Predictions and labels off the wire: decoded one record at a time, so that one bad record spoils no other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from monitor.config import Config
from monitor.records import UNVERSIONED, instant
from monitor.store.events import NewEvent, NewLabel, Rejection

BODY_BYTES = 8 * 1024 * 1024
RECORDS = 50_000
VALUES = 1_500_000  # a body of nothing but commas would take a hundred times its size in memory
ID_CHARACTERS = 256
LATEST = 4102444800.0  # 2100: beyond it, it is milliseconds taken for seconds

Scalar = float | int | str | bool | list[float] | None  # a list is a vector, such as an embedding
Kind = Literal["predictions", "labels"]


class Prediction(msgspec.Struct):
    """One prediction on the wire. Keys it does not know are ignored."""

    model: str
    event_id: str | int
    timestamp: str | float | int
    features: dict[str, Scalar]
    prediction: str | float | int | bool
    model_version: str | int | float | None = None
    probability: float | dict[str, float] | None = None
    latency_seconds: float | None = None
    app: str | None = None


class Label(msgspec.Struct):
    """One label on the wire."""

    model: str
    event_id: str | int
    label: str | float | int | bool
    label_timestamp: str | float | int | None = None
    app: str | None = None


class Body(msgspec.Struct):
    """What of a prediction is stored as it came."""

    features: dict[str, Scalar]
    prediction: str | float | int | bool
    probability: float | dict[str, float] | None = None
    latency_seconds: float | None = None


class BadBody(Exception):
    """The body as a whole is of no use."""


class _Rejected(Exception):
    """One record is not taken in; `reason` is a short name for the metric."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Batch:
    """One request's records by app and model, those rejected with their place and reason, and the latencies by id."""

    kind: Kind
    events: dict[tuple[str, str], list[NewEvent]] = field(default_factory=dict)
    labels: dict[tuple[str, str], list[NewLabel]] = field(default_factory=dict)
    latencies: dict[tuple[str, str], dict[str, tuple[str, float]]] = field(default_factory=dict)
    versions: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    records: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many records of a batch are known now."""

    accepted: int


_TYPES: dict[str, Any] = {"predictions": Prediction, "labels": Label}
_DECODERS = {kind: msgspec.json.Decoder(record) for kind, record in _TYPES.items()}
_RAW = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def records_of(body: bytes, *, lines: bool) -> list[bytes]:
    """The records of a JSON body (one, or a list) or of an NDJSON one, each still encoded.

    Raises:
        BadBody: it is no JSON, or holds too many records.
    """
    if max(body.count(b","), body.count(b"\n")) > VALUES:
        raise BadBody(f"expected at most {VALUES} values in a request")
    if lines:
        found = [line for line in body.split(b"\n") if line.strip()]
    else:
        text = body.strip()
        try:
            found = [bytes(raw) for raw in _RAW.decode(text)] if text.startswith(b"[") else [text]
            if not text.startswith(b"["):
                msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadBody(f"expected JSON, one record or a list of records: {_lower(str(error))}") from None
    if len(found) > RECORDS:
        raise BadBody(f"expected at most {RECORDS} records in a request, got {len(found)}")
    return found


def decode(records: list[bytes], kind: Kind, config: Config) -> Batch:
    """Every record checked against the configured models; nothing is raised for a bad one."""
    batch = Batch(kind, records=len(records))
    apps: dict[str, list[str]] = {}
    for app, model in config.models():
        spec = model.predictions if kind == "predictions" else model.labels
        if spec is not None and spec.type == "ingest":
            apps.setdefault(model.name, []).append(app.name)
    add = _add_prediction if kind == "predictions" else _add_label
    for index, raw in enumerate(records):
        try:
            record = _decoded(raw, kind)
            add(batch, (_app(record, apps), record.model), record)
        except _Rejected as rejection:
            batch.rejected.append({"index": index, "reason": str(rejection)})
            batch.rejections.append(Rejection(kind, rejection.reason, raw.decode("utf-8", "replace")))
    return batch


def _decoded(raw: bytes, kind: Kind) -> Any:
    try:
        return _DECODERS[kind].decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        broken = not isinstance(error, msgspec.ValidationError)
        raise _Rejected("not_json" if broken else "wrong_type", _lower(str(error))) from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace("`", "'")


def _app(record: Any, apps: dict[str, list[str]]) -> str:
    found = apps.get(record.model)
    if not found:
        known = ", ".join(apps) or "none"
        raise _Rejected(
            "unknown_model", f"model: expected one that is pushed here ({known}), got {_cut(record.model)!r}"
        )
    if record.app is None:
        if len(found) > 1:
            raise _Rejected("app_needed", f"app: expected one of {', '.join(found)}, got nothing")
        return found[0]
    if record.app not in found:
        raise _Rejected("unknown_app", f"app: expected one of {', '.join(found)}, got {_cut(record.app)!r}")
    return str(record.app)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _event_id(record: Any) -> str:
    text = str(record.event_id)
    if not 0 < len(text) <= ID_CHARACTERS:
        raise _Rejected("bad_id", f"event_id: expected 1 to {ID_CHARACTERS} characters, got {len(text)}")
    return text


def _time(value: str | float, key: str) -> float:
    try:
        seconds = instant(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < LATEST:
        raise _Rejected("bad_time", f"{key}: expected an ISO 8601 time or Unix seconds, got {_cut(str(value))!r}")
    return seconds


def _add_prediction(batch: Batch, subject: tuple[str, str], record: Prediction) -> None:
    version = UNVERSIONED if record.model_version is None else str(record.model_version)
    if not 0 < len(version) <= ID_CHARACTERS:
        raise _Rejected("bad_version", f"model_version: expected 1 to {ID_CHARACTERS} characters, got {len(version)}")
    event_id, time = _event_id(record), _time(record.timestamp, "timestamp")
    body = _encode(Body(record.features, record.prediction, record.probability, record.latency_seconds))
    batch.events.setdefault(subject, []).append(NewEvent(event_id, time, version, body))
    batch.versions.setdefault(subject, {}).setdefault(event_id, version)
    if record.latency_seconds is not None and record.latency_seconds >= 0:
        batch.latencies.setdefault(subject, {}).setdefault(event_id, (version, record.latency_seconds))


def _add_label(batch: Batch, subject: tuple[str, str], record: Label) -> None:
    time = None if record.label_timestamp is None else _time(record.label_timestamp, "label_timestamp")
    batch.labels.setdefault(subject, []).append(NewLabel(_event_id(record), time, _encode(record.label)))
