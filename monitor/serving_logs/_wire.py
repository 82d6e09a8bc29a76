"""Protocol buffers off the wire, of the few messages that a TensorFlow Serving log is made of.

A reader of its own rather than `protobuf`: the messages are fixed, the format is small, and nothing has to be installed.
What comes out is what the JSON mapping holds, in snake_case, with bytes as bytes. Fields that are not in `MESSAGES` are skipped.

Sources: protobuf.dev/programming-guides/encoding; tensorflow_serving/apis/*.proto; tensorflow/core/{example,framework}/*.proto.
"""

from __future__ import annotations

import struct
from typing import Any

from monitor.serving_logs._values import DEPTH, scalar, shortest, text
from monitor.serving_logs.unreadable import Reason, Unreadable

# By message and field number: the field's name, its type (a message, or how it stands on the wire), and whether it is repeated.
_FIELDS = """
PredictionLog          1 log_metadata LogMetadata, 2 classify_log ClassifyLog, 3 regress_log RegressLog,
                       4 multi_inference_log skipped, 5 session_run_log skipped, 6 predict_log PredictLog,
                       7 predict_streamed_log skipped
LogMetadata            1 model_spec ModelSpec, 4 timestamp_secs int
ModelSpec              1 name string, 2 version Int64Value
Int64Value             1 value int
ClassifyLog            1 request InputRequest, 2 response ClassificationResponse
RegressLog             1 request InputRequest, 2 response RegressionResponse
PredictLog             1 request PredictRequest, 2 response PredictResponse
InputRequest           1 model_spec ModelSpec, 2 input Input
ClassificationResponse 1 result ClassificationResult, 2 model_spec ModelSpec
RegressionResponse     1 result RegressionResult, 2 model_spec ModelSpec
PredictRequest         1 model_spec ModelSpec, 2 inputs map:TensorProto
PredictResponse        1 outputs map:TensorProto, 2 model_spec ModelSpec
ClassificationResult   1 classifications Classifications*
Classifications        1 classes Class*
Class                  1 label string, 2 score float
RegressionResult       1 regressions Regression*
Regression             1 value float
Input                  1 example_list ExampleList, 2 example_list_with_context ExampleListWithContext
ExampleList            1 examples Example*
ExampleListWithContext 1 examples Example*, 2 context Example
Example                1 features Features
Features               1 feature map:Feature
Feature                1 bytes_list BytesList, 2 float_list FloatList, 3 int64_list Int64List
BytesList              1 value bytes*
FloatList              1 value float*
Int64List              1 value int*
TensorProto            1 dtype int, 2 tensor_shape TensorShapeProto, 4 tensor_content bytes, 5 float_val float*,
                       6 double_val double*, 7 int_val int*, 8 string_val bytes*, 10 int64_val int*, 11 bool_val int*,
                       13 half_val int*, 16 uint32_val uint*, 17 uint64_val uint*
TensorShapeProto       2 dim Dim*
Dim                    1 size int
"""
Field = tuple[str, str, bool]
MESSAGES: dict[str, dict[int, Field]] = {}
for _line in _FIELDS.replace(",\n", ",").strip().splitlines():
    _message, _rest = _line.split(maxsplit=1)
    _parts = [part.split() for part in _rest.split(",")]
    MESSAGES[_message] = {int(number): (name, kind.rstrip("*"), "*" in kind) for number, name, kind in _parts}

VARINT, FIXED64, LENGTHED, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}


def message(raw: bytes, kind: str, *, depth: int = DEPTH) -> dict[str, Any]:
    """A message by the names of its fields.

    Args:
        raw: the message as it is on the wire.
        kind: its name in `MESSAGES`.
        depth: how deep messages within it may nest.

    Raises:
        Unreadable: the bytes are no such message.

    >>> message(bytes([10, 1, 97, 21, 0, 0, 0, 63]), "Class")
    {'label': 'a', 'score': 0.5}
    """
    if depth == 0:
        raise _broken("messages nested too deep")
    found: dict[str, Any] = {}
    place = 0
    while place < len(raw):
        tag, place = _varint(raw, place)
        payload, place = _payload(raw, place, tag & 7)
        field = MESSAGES[kind].get(tag >> 3)
        if field is not None:
            _add(found, field, payload, depth)
    return found


def _add(found: dict[str, Any], field: Field, payload: int | bytes, depth: int) -> None:
    name, kind, repeated = field
    if kind == "skipped":
        found[name] = {}
    elif kind.startswith("map:"):
        key, value = _entry(_bytes(payload), kind[4:], depth)
        found.setdefault(name, {})[key] = value
    elif kind in MESSAGES:
        inner = message(_bytes(payload), kind, depth=depth - 1)
        if repeated:
            found.setdefault(name, []).append(inner)
        else:
            found[name] = {**found.get(name, {}), **inner}
    elif repeated:
        found.setdefault(name, []).extend(_values(payload, kind))
    else:
        values = _values(payload, kind)
        found[name] = values[-1] if values else None


def _entry(raw: bytes, kind: str, depth: int) -> tuple[str, Any]:
    """A map's entry is a message with the key as its first field and the value as its second."""
    key, value, place = "", {}, 0
    while place < len(raw):
        tag, place = _varint(raw, place)
        payload, place = _payload(raw, place, tag & 7)
        if tag >> 3 == 1:
            key = text(_bytes(payload)) or ""
        elif tag >> 3 == 2:
            value = message(_bytes(payload), kind, depth=depth - 1)
    return key, value


def _values(payload: int | bytes, kind: str) -> list[Any]:
    """Scalars: one, or several that are packed."""
    if kind in ("bytes", "string"):
        raw = _bytes(payload)
        return [raw if kind == "bytes" else text(raw) or ""]
    if kind in ("float", "double"):
        return _reals(_bytes(payload), kind)
    if isinstance(payload, int):
        numbers = [payload]
    else:
        numbers, place = [], 0
        while place < len(payload):
            number, place = _varint(payload, place)
            numbers.append(number)
    return [number - 2**64 if kind == "int" and number >= 2**63 else number for number in numbers]


def _reals(raw: bytes, kind: str) -> list[Any]:
    letter, size = ("f", 4) if kind == "float" else ("d", 8)
    if len(raw) % size:
        raise _broken(f"{len(raw)} bytes as a {kind}")
    numbers = struct.unpack(f"<{len(raw) // size}{letter}", raw)
    found = shortest(numbers, "f") if kind == "float" else map(scalar, numbers)
    return ["NaN" if number is None else number for number in found]  # as JSON has it: nothing at all would be a zero


def _payload(raw: bytes, place: int, wire: int) -> tuple[int | bytes, int]:
    """What follows a tag, and where it ends."""
    if wire == VARINT:
        return _varint(raw, place)
    if wire == LENGTHED:
        size, place = _varint(raw, place)
    elif wire in SIZES:
        size = SIZES[wire]
    else:
        raise _broken(f"the wire type {wire}")
    if place + size > len(raw):
        raise _broken("a field that ends behind its message")
    return raw[place : place + size], place + size


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(raw):
            break
        byte = raw[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, place
    raise _broken("a number that does not end")


def _bytes(payload: int | bytes) -> bytes:
    if isinstance(payload, int):
        raise _broken("a number where a text, a message or a float stands")
    return payload


def _broken(got: str) -> Unreadable:
    return Unreadable(Reason.NOT_PROTOBUF, f"expected a message of protocol buffers, got {got}")
