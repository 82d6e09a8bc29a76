"""One record of a prediction or a label, whatever it holds: decoded on its own, so that a bad one spoils no other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from monitor.config import Config
from monitor.records import UNVERSIONED, instant
from monitor.store.events import NewEvent, NewLabel, NewRows
from monitor.store.layout import MOST_NAMES
from monitor.store.quarantine import BYTES_KEPT, RECORD_BYTES, Rejection

ID_CHARACTERS = 256
NAME_CHARACTERS = 256
LATEST = 4102444800.0  # 2100: beyond it, it is milliseconds taken for seconds

Scalar = float | int | str | bool | list[float] | None  # a list is a vector, such as an embedding
Kind = Literal["predictions", "labels"]
Subject = tuple[str, str]  # an app's name and its model's


class Prediction(msgspec.Struct):
    """One prediction on the wire. Keys it does not know are ignored."""

    event_id: str | int
    timestamp: str | float | int
    features: dict[str, Scalar]
    prediction: str | float | int | bool
    model: str = ""
    model_version: str | int | float | None = None
    probability: float | dict[str, float] | None = None
    latency_seconds: float | None = None
    app: str | None = None


class Label(msgspec.Struct):
    """One label on the wire."""

    event_id: str | int
    label: str | float | int | bool
    model: str = ""
    label_timestamp: str | float | int | None = None
    app: str | None = None


class _Rejected(Exception):
    """One record is not taken in; `reason` is a short name for the metric."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Batch:
    """One request's records by app and model, and those rejected with their place and reason."""

    kind: Kind
    events: dict[Subject, list[NewEvent | NewRows]] = field(default_factory=dict)
    labels: dict[Subject, list[NewLabel]] = field(default_factory=dict)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    records: int = 0
    aside_bytes: int = (
        0  # of the rejected records: a body in columns may say a long thing once, and mean it of every record
    )
    also: list[Callable[[Connection, Batch, float], None]] = field(
        default_factory=list
    )  # first, in the same transaction

    @property
    def accepted(self) -> int:
        return self.records - len(self.rejected)

    def copy(self) -> Batch:
        """Another batch of the same records."""
        events = {subject: list(rows) for subject, rows in self.events.items()}
        labels = {subject: list(rows) for subject, rows in self.labels.items()}
        return replace(self, events=events, labels=labels, rejected=[*self.rejected], rejections=[*self.rejections])

    def reject(
        self, index: int, reason: str, message: str, record: bytes, *, whole: bool = True, of: Subject | None = None
    ) -> None:
        """Set one record aside; `whole` is whether it can be sent again as it is, `of` whose source it came from."""
        kept = record[: min(RECORD_BYTES, max(0, BYTES_KEPT - self.aside_bytes))]
        self.aside_bytes += len(record)
        self.rejected.append({"index": index, "reason": message})
        self.rejections.append(Rejection(self.kind, reason, message, kept, whole and len(kept) == len(record), of))


_TYPES: dict[str, Any] = {"predictions": Prediction, "labels": Label}
_DECODERS = {kind: msgspec.json.Decoder(record) for kind, record in _TYPES.items()}


class Expected:
    """The models whose predictions or labels may come this way, by name, with the apps they are of."""

    only: Subject | None = None  # whose source it is, where it is one's alone

    def __init__(self, config: Config, kind: Kind) -> None:
        self.apps: dict[str, list[str]] = {}
        for app, model in config.models():
            spec = model.predictions if kind == "predictions" else model.labels
            if spec is not None and spec.type == "ingest":
                self.apps.setdefault(model.name, []).append(app.name)
        self._known = _cut(", ".join(self.apps) or "none", 300)

    def subject(self, name: str, app: str | None) -> Subject:
        """The app and the model that a record is of."""
        found = self.apps.get(name)
        if not found:
            raise _Rejected(
                "unknown_model", f"model: expected one that is pushed here ({self._known}), got {_cut(name)!r}"
            )
        if app is None:
            if len(found) > 1:
                raise _Rejected("app_needed", f"app: expected one of {', '.join(found)}, got nothing")
            return found[0], name
        if app not in found:
            raise _Rejected("unknown_app", f"app: expected one of {', '.join(found)}, got {_cut(app)!r}")
        return app, name


class Only:
    """The one model that records from a source of its own are of; they need not name it."""

    def __init__(self, subject: Subject) -> None:
        self.only = subject

    def subject(self, name: str, app: str | None) -> Subject:
        """The app and the model that a record is of."""
        if name not in ("", self.only[1]) or app not in (None, self.only[0]):
            raise _Rejected("unknown_model", f"model: expected {self.only[1]}, whose source it is, got {_cut(name)!r}")
        return self.only


def decode(records: Sequence[bytes], kind: Kind, owners: Expected | Only) -> Batch:
    """Every record checked against the configured models; nothing is raised for a bad one."""
    return decode_each([(raw, owners) for raw in records], kind)


def decode_each(records: Sequence[tuple[bytes, Expected | Only]], kind: Kind) -> Batch:
    """As `decode`, of records each of which has owners of its own."""
    batch = Batch(kind, records=len(records))
    for index, (raw, owners) in enumerate(records):
        try:
            add(batch, _decoded(raw, kind), owners, index)
        except _Rejected as rejection:
            batch.reject(index, rejection.reason, str(rejection), raw, of=owners.only)
    return batch


def convert(records: Iterable[Mapping[str, Any]], kind: Kind, owners: Expected | Only) -> Batch:
    """As `decode`, of records that are decoded already."""
    batch = Batch(kind)
    for index, record in enumerate(records):
        batch.records += 1
        try:
            add(batch, _converted(record, kind), owners, index)
        except _Rejected as rejection:
            # Writing out a few long names again and again would take minutes.
            room = batch.aside_bytes < BYTES_KEPT
            raw = msgspec.json.encode(record, enc_hook=str) if room else b""
            batch.reject(index, rejection.reason, str(rejection), raw, whole=room, of=owners.only)
    return batch


def add(batch: Batch, record: Any, owners: Expected | Only, place: int = 0) -> None:
    """Add one record, the one at this place, to its model's."""
    subject = owners.subject(record.model, record.app)
    if isinstance(record, Prediction):
        batch.events.setdefault(subject, []).append(_prediction(record, place))
    else:
        batch.labels.setdefault(subject, []).append(_label(record))


def _decoded(raw: bytes, kind: Kind) -> Any:
    try:
        return _DECODERS[kind].decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        broken = not isinstance(error, msgspec.ValidationError)
        raise _Rejected("not_json" if broken else "wrong_type", _lower(str(error))) from None


def _converted(record: Mapping[str, Any], kind: Kind) -> Any:
    try:
        return msgspec.convert(record, _TYPES[kind])
    except (msgspec.ValidationError, RecursionError) as error:
        raise _Rejected("wrong_type", _lower(str(error))) from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace("`", "'")


def _cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _event_id(record: Any) -> str:
    text = str(record.event_id)
    if not 0 < len(text) <= ID_CHARACTERS or "\0" in text:
        raise _Rejected("bad_id", f"event_id: expected 1 to {ID_CHARACTERS} characters, got {len(text)}")
    return text


def _time(value: str | float, key: str) -> float:
    try:
        seconds = _moment(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < LATEST:
        raise _Rejected("bad_time", f"{key}: expected an ISO 8601 time or Unix seconds, got {_cut(str(value))!r}")
    return seconds


def _moment(text: str) -> float:
    """Unix seconds of a time: as the decoder made for a model's columns reads it, or, of another form, as Python does."""
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return instant(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _prediction(record: Prediction, place: int) -> NewEvent:
    version = UNVERSIONED if record.model_version is None else str(record.model_version)
    if not 0 < len(version) <= ID_CHARACTERS or "\0" in version:
        raise _Rejected("bad_version", f"model_version: expected 1 to {ID_CHARACTERS} characters, got {len(version)}")
    event_id, time = _event_id(record), _time(record.timestamp, "timestamp")
    classes = record.probability if isinstance(record.probability, dict) else {}
    names = (*record.features, *classes)
    if len(names) >= MOST_NAMES or any(len(name) > NAME_CHARACTERS or "\0" in name for name in names):
        raise _Rejected(
            "bad_features",
            f"features: expected less than {MOST_NAMES} names, with those of classes, of at most {NAME_CHARACTERS} characters",
        )
    latency = record.latency_seconds
    if latency is not None and not -LATEST < latency < LATEST:
        raise _Rejected("bad_latency", f"latency_seconds: expected seconds, got {latency:g}")
    return NewEvent(event_id, time, version, record.features, record.prediction, record.probability, latency, place)


def _label(record: Label) -> NewLabel:
    time = None if record.label_timestamp is None else _time(record.label_timestamp, "label_timestamp")
    return NewLabel(_event_id(record), time, record.label)
