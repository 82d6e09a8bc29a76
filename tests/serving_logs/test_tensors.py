"""V2 tensors, flat, nested and as bytes, beside what NumPy makes of the same array."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from monitor.serving_logs import cloudevents
from tests.serving_logs.wire import refused

TYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


def rows(body: bytes, header_length: int | None = None) -> dict[str, list[Any]]:
    headers = {"ce-id": "a", "ce-type": "org.kubeflow.serving.inference.request"}
    if header_length is not None:
        headers["Inference-Header-Content-Length"] = str(header_length)
    (half,) = cloudevents.read(headers, body)
    return {column.name: column.values for column in half.payload.columns}


def tensor(name: str, datatype: str, shape: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), **more}


def request(*tensors: dict[str, Any]) -> bytes:
    return json.dumps({"inputs": list(tensors)}).encode()


def by_row(array: Any) -> list[Any]:
    """An independent statement of what a row is: an element along the first axis, a scalar where it holds one."""
    return [row.item() if row.size == 1 else row.tolist() for row in array]


@settings(max_examples=300, deadline=None)
@given(some.data(), some.sampled_from(sorted(TYPES)))
def test_every_type_and_shape_gives_numpys_rows_however_it_is_sent(data: Any, datatype: str) -> None:
    dtype = np.dtype(TYPES[datatype])
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    # JSON and the store hold whole numbers of 64 bits with a sign.
    within = {"min_value": 0, "max_value": 2**63 - 1} if datatype == "UINT64" else {}
    elements = arrays.from_dtype(dtype, allow_nan=False, allow_infinity=False, **within)
    array = data.draw(arrays.arrays(dtype, shape, elements=elements))
    sent = tensor("x", datatype, shape)
    raw = array.tobytes()
    head = request({**sent, "parameters": {"binary_data_size": len(raw)}})
    flat = rows(request({**sent, "data": array.ravel().tolist()}))["x"]
    nested = rows(request({**sent, "data": array.tolist()}))["x"]
    binary = rows(head + raw)["x"]
    assert flat == nested == by_row(array)
    assert rows(head + raw, len(head))["x"] == binary
    # A short float is told by its shortest decimal; it is the same float.
    back = np.array(binary, dtype=object).astype(dtype).ravel()
    assert (
        back.tobytes() == (array + dtype.type(0) if datatype.startswith("FP") else array).tobytes()
        or (back == array.ravel()).all()
    )


def test_a_short_float_is_the_decimal_it_was_made_of() -> None:
    """0.24 as a float of 32 bits is 0.23999999463558197 and must not fall into another bin than the reference's 0.24."""
    for datatype, dtype in (("FP32", "<f4"), ("FP16", "<f2")):
        raw = np.array([0.24, 0.1, 65504, 1 / 3, np.nan, np.inf], dtype=dtype).tobytes()
        head = request(tensor("x", datatype, [6], parameters={"binary_data_size": len(raw)}))
        found = rows(head + raw)["x"]
        assert found[:3] == [0.24, 0.1, 65504]
        assert found[4:] == [None, None]
        assert np.dtype(dtype).type(found[3]) == np.dtype(dtype).type(1 / 3)
        assert len(str(found[3])) <= 11


def test_bfloat16_is_the_upper_half_of_a_float() -> None:
    values = [0.5, -2.0, 3.140625]
    raw = b"".join(struct.pack("<f", value)[2:] for value in values)
    head = request(tensor("x", "BF16", [3], parameters={"binary_data_size": 6}))
    assert rows(head + raw)["x"] == values


def test_bytes_stand_behind_their_length_and_are_text_or_missing() -> None:
    held = [b"red", "grün".encode(), b"", b"\xff\xd8\xff\xe0"]
    raw = b"".join(struct.pack("<I", len(each)) + each for each in held)
    head = request(tensor("x", "BYTES", [4], parameters={"binary_data_size": len(raw)}))
    assert rows(head + raw)["x"] == ["red", "grün", "", None]
    assert rows(request(tensor("x", "BYTES", [2, 1], data=["red", None])))["x"] == ["red", None]


def test_binary_tensors_follow_each_other_and_stand_beside_json_ones() -> None:
    first, second = np.arange(4, dtype="<f4"), np.array([7, 8], dtype="<i8")
    body = request(
        tensor("a", "FP32", [2, 2], parameters={"binary_data_size": 16}),
        tensor("b", "FP64", [2], data=[0.25, 0.5]),
        tensor("c", "INT64", [2, 1], parameters={"binary_data_size": 16}),
    )
    found = rows(body + first.tobytes() + second.tobytes(), len(body))
    assert found == {"a": [[0, 1], [2, 3]], "b": [0.25, 0.5], "c": [7, 8]}


def test_any_byte_may_follow_the_json_and_white_space_may_follow_any_body() -> None:
    """A byte of 32 is a tensor where one is announced, and a space where none is."""
    for byte in range(256):
        head = request(tensor("x", "UINT8", [2], parameters={"binary_data_size": 2}))
        assert rows(head + bytes([byte, byte])) == {"x": [byte, byte]}
    for body in (request(tensor("x", "INT8", [1], data=[1])), b'{"inputs": {"x": [1]}}', b'{"instances": [1]}'):
        assert list(rows(body + b" \r\n\t").values()) == [[1]]
    refused(lambda: rows(head + b"\xff\xff\n"), "binary_length")


def test_braces_in_names_and_in_the_bytes_do_not_move_the_end_of_the_json() -> None:
    raw = b"}{]\x00"
    head = request(tensor('x"}é{', "UINT8", [4], parameters={"binary_data_size": 4}))
    assert rows(head + raw) == {'x"}é{': list(raw)}


X = tensor("x", "FP32", [2], parameters={"binary_data_size": 8})


@pytest.mark.parametrize(
    ("body", "tail", "length", "reason"),
    [
        (request(X), 7, None, "binary_length"),
        (request(X), 9, None, "binary_length"),
        (request(X), 0, None, "binary_length"),
        (request(tensor("x", "FP32", [3], parameters={"binary_data_size": 8})), 8, None, "binary_length"),
        (request(tensor("x", "FP32", [2], parameters={"binary_data_size": "8"})), 8, None, "binary_length"),
        (request(tensor("x", "BYTES", [2], parameters={"binary_data_size": 8})), 8, None, "binary_length"),
        (request(tensor("x", "FP32", [0], parameters={"binary_data_size": 8})), 0, None, "binary_length"),
        (request(X), 8, 0, "binary_length"),
        (request(X), 8, 10_000, "binary_length"),
        (request(X), 8, -1, "binary_length"),
        (request(X), 8, 10, "not_json"),
        (b"", 8, None, "not_json"),
        (b'{"instances": [[1]]}', 8, None, "not_json"),
        (request(tensor("x", "FP32", [-1], data=[1])), 0, None, "shape_mismatch"),
        (request(tensor("x", "FP32", [1.5], data=[1])), 0, None, "shape_mismatch"),
        (request(tensor("x", "FP32", [2, 2], data=[[1, 2, 3], [4]])), 0, None, "shape_mismatch"),
        (request(tensor("x", "FP32", [2, 2], data=[[1, 2, 3, 4]])), 0, None, "shape_mismatch"),
        (request(tensor("x", "FP32", [2, 3], data=[[1, 2], [3, 4], [5, 6]])), 0, None, "shape_mismatch"),
        (request(tensor("x", "FP32", [2], data=[1, 2]), tensor("y", "FP32", [3], data=[1, 2, 3])), 0, None, "row_counts"),
        (request(tensor("x", "FP32", [1], data=[1]), tensor("x", "FP32", [1], data=[1])), 0, None, "duplicate_name"),
        (request(tensor("", "FP32", [1], data=[1])), 0, None, "unknown_body"),
        (request({"name": "x", "shape": [1], "data": [1]}), 0, None, "unknown_datatype"),
        (request(tensor("x", "FP32", [1], parameters={"binary_data_size": -1})), 0, None, "binary_length"),
        (request(tensor("x", "FP32", [1], data=[1]), 5), 0, None, "unknown_body"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_tensors_that_contradict_themselves_are_refused(
    body: bytes, tail: int, length: int | None, reason: str
) -> None:
    refused(lambda: rows(body + b"\x00" * (tail - 1) + b"\x01" * (tail > 0), length), reason)
