"""Predictions of a model whose columns are known, decoded at once and checked while they are.

A decoder is made for a model's columns: whatever does not fit them is refused as a whole and read record by record
(`monitor.wire.records`), which finds what is wrong or brings the new column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import astuple

from monitor.records import UNVERSIONED
from monitor.store.events import NewRows
from monitor.store.layout import PREDICTION, PROBABILITY, Field, Key, Kind, Layout, Of
from monitor.wire.records import ID_CHARACTERS, LATEST, Subject

# A whole number beyond 2⁵³ is no float: read record by record, none of its digits is lost.
Number = Annotated[float, Meta(gt=-(2**53), lt=2**53)]
TYPES: dict[Kind, Any] = {Kind.NUMBER: Number, Kind.TEXT: str, Kind.FLAG: bool}
NAMED = re.compile(rb'"model"\s*:\s*"([^"\\]{1,100})"')
MARKS_KEPT = 1000
HEAD = 4096  # bytes in which the first record names its model

Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS)]
Time = Annotated[datetime, Meta(tz=True)] | Annotated[float, Meta(ge=0, lt=LATEST)]
Seconds = Annotated[float, Meta(gt=-LATEST, lt=LATEST)]


class Unfit(Exception):
    """The model's columns cannot be told to a decoder."""


class TypedDecoder:
    """A decoder for the predictions of one model."""

    def __init__(self, subject: Subject, layout: Layout) -> None:
        """A decoder for a model's columns.

        Raises:
            Unfit: some name holds values of several kinds, or of one that has to be looked at.
        """
        for key, found in layout.by_key.items():
            if len(found) > 1 or found[0].kind is Kind.OTHER:
                raise Unfit(key[1])
        self.subject, self.layout = subject, layout
        features = [field for field in layout.fields if field.key[0] is Of.FEATURE]
        classes = [field for field in layout.fields if field.key[0] is Of.CLASS_PROBABILITY]
        scored = _of(layout, PROBABILITY)
        if (classes and scored) or PREDICTION not in layout.by_key:
            raise Unfit("probability" if classes else "prediction")
        self._fields = (*features, *classes, *_of(layout, PREDICTION), *scored)
        self._classes, self._scored = (UNSET,) * len(classes), bool(scored)
        self._full = layout.marks(field.key for field in self._fields)
        self._marks: dict[tuple[bool, ...], bytes] = {}
        #: Records that carry every feature are read faster; one that does not is likely to be followed by others.
        self._whole: _Decoders | None = None if classes else _Decoders(self._record(features, classes, whole=True))
        self._any = _Decoders(self._record(features, classes, whole=False))

    def _record(self, features: list[Field], classes: list[Field], *, whole: bool) -> Any:
        app, model = self.subject
        (prediction,) = _of(self.layout, PREDICTION)
        score: Any = None
        if classes:
            score = _struct("ClassProbabilities", classes, null=False) | None
        elif self._scored:
            score = float | None
        name: Any = Literal[model]
        said: list[Any] = [
            ("event_id", Id),
            ("timestamp", Time),
            ("features", _struct("Features", features, whole=whole)),
            ("prediction", TYPES[prediction.kind]),
            ("model", name),
            ("model_version", Id | None, None),
            ("probability", score, None),
            ("latency_seconds", Seconds | None, None),
            ("app", Literal[app] | None, None),
        ]
        return msgspec.defstruct("Record", said, gc=False)

    def decode(self, body: bytes, *, lines: bool) -> NewRows | None:
        """The rows of a body, None where some record does not fit."""
        if b"\\" in body and b"\\u0000" in body:  # the first alone is found ten times as fast
            return None
        whole = self._whole  # another thread may have given up on it
        found = whole.read(body, lines=lines) if whole else None
        row = self._whole_row if found is not None else self._row
        if found is None:
            found = self._any.read(body, lines=lines)
            if found is None:
                return None
            self._whole = None
        try:
            rows = list(map(row, found))
        except ValueError:  # a time that is none
            return None
        return NewRows(self._fields, rows)

    def _whole_row(self, record: Any) -> tuple[Any, ...]:
        """As `_row`, of a record that carries every feature."""
        time, values = record.timestamp, astuple(record.features)
        if time.__class__ is not float:
            time = _seconds(time)
        version, latency, marks = record.model_version or UNVERSIONED, record.latency_seconds, self._full
        if not self._scored:
            return (record.event_id, time, version, latency, marks, *values, record.prediction)
        if record.probability is None:
            return self._row(record)
        return (record.event_id, time, version, latency, marks, *values, record.prediction, record.probability)

    def _row(self, record: Any) -> tuple[Any, ...]:
        time, score = record.timestamp, record.probability
        if time.__class__ is not float:
            time = _seconds(time)
        values = astuple(record.features)
        if self._classes:
            values += self._classes if score is None else astuple(score)
        values += (record.prediction, UNSET if score is None else score) if self._scored else (record.prediction,)
        marks = self._full
        if UNSET in values:
            marks = self._marks_of(values)
            values = tuple(None if value is UNSET else value for value in values)
        return (record.event_id, time, record.model_version or UNVERSIONED, record.latency_seconds, marks, *values)

    def _marks_of(self, values: tuple[Any, ...]) -> bytes:
        there = tuple(value is not UNSET for value in values)
        found = self._marks.get(there)
        if found is None:
            found = self.layout.marks(
                field.key for field, is_there in zip(self._fields, there, strict=True) if is_there
            )
            if len(self._marks) < MARKS_KEPT:
                self._marks[there] = found
        return found


class _Decoders:
    """What reads records of one form, one or many."""

    def __init__(self, record: Any) -> None:
        self._list = msgspec.json.Decoder(list[record])
        self._one = msgspec.json.Decoder(record)

    def read(self, body: bytes, *, lines: bool) -> list[Any] | None:
        """The records of a body, None where some does not fit."""
        try:
            if not lines:
                return self._list.decode(body) if body.lstrip()[:1] == b"[" else [self._one.decode(body)]
            found: list[Any] = self._one.decode_lines(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        # It would also take several records a line, and records of several lines.
        whole = body.strip().count(b"\n") == body.count(b"}\n{") == max(len(found), 1) - 1
        return found if whole else None


def _seconds(time: datetime) -> float:
    seconds = time.timestamp()
    if not 0 <= seconds < LATEST:
        raise ValueError
    return seconds


def _of(layout: Layout, key: Key) -> Sequence[Field]:
    return layout.by_key.get(key, ())


def _struct(name: str, fields: Iterable[Field], *, null: bool = True, whole: bool = False) -> Any:
    """A structure of values by name: each may be missing, where `null` says so, and left out, unless it is `whole`."""
    fields = list(fields)
    types = {each.column: TYPES[each.kind] if null else float for each in fields}
    types = {column: kind | None if null else kind for column, kind in types.items()}
    said: list[Any] = list(types.items())
    if not whole:
        said = [(column, kind | UnsetType, UNSET) for column, kind in types.items()]
    spelled = {field.column: field.key[1] for field in fields}
    try:
        return msgspec.defstruct(name, said, rename=spelled, forbid_unknown_fields=True, gc=False)
    except ValueError as error:  # it takes no names with quotes in them
        raise Unfit(str(error)) from None


def first_model(body: bytes) -> str | None:
    """The model that the first record seems to be of: a guess, which the decoder checks."""
    found = NAMED.search(body, 0, HEAD)
    return found[1].decode("utf-8", "replace") if found else None
