"""Bodies of requests and responses, told apart by their keys: KServe V1, V2, Seldon v1, MLflow's data frames."""

from __future__ import annotations

from typing import Any

from monitor.serving_logs._binary import SPACE
from monitor.serving_logs._shapes import flat, rows, shape_of
from monitor.serving_logs._table import Column, Table, by_column, by_row, table
from monitor.serving_logs._tensor_proto import tensor_values
from monitor.serving_logs._tensors import is_tensors, tensors
from monitor.serving_logs._values import Limits, base64_bytes, text
from monitor.serving_logs.unreadable import Reason, Unreadable, cut

SELDON = ("data", "jsonData", "strData", "binData")


def request_body(value: Any, limits: Limits, *, tail: bytes = b"") -> Table:
    """What a request's JSON holds.

    Args:
        value: the decoded and tidied JSON.
        limits: on rows and values.
        tail: the bytes behind it, of a V2 body with binary tensors.

    Raises:
        Unreadable: the body is of no kind that is known, or contradicts itself.

    >>> request_body({"instances": [[1, 2], [3, 4]]}, Limits()).columns[0].values
    [[1, 2], [3, 4]]
    """
    if isinstance(value, dict):
        if "instances" in value:
            return _alone(by_row(_instances(value["instances"]), limits), tail)
        if "inputs" in value:
            return _tensors_or_columns(value["inputs"], tail, limits)
        if "dataframe_split" in value:
            return _alone(_split_frame(value["dataframe_split"], limits), tail)
        if "dataframe_records" in value:
            return _alone(by_row(value["dataframe_records"], limits), tail)
        if any(key in value for key in SELDON):
            return _alone(seldon_message(value, limits), tail)
    raise _unknown(value, "instances, inputs, dataframe_split, dataframe_records, data, jsonData or strData")


def response_body(value: Any, limits: Limits, *, tail: bytes = b"") -> Table:
    """What a response's JSON holds; see `request_body`.

    >>> response_body({"predictions": [0.25, 0.75]}, Limits()).columns[0].values
    [0.25, 0.75]
    """
    if isinstance(value, dict):
        if "predictions" in value:
            return _alone(by_column(_unwrapped(value["predictions"]), limits), tail)
        if "outputs" in value:
            return _tensors_or_columns(value["outputs"], tail, limits)
        if any(key in value for key in SELDON):
            return _alone(seldon_message(value, limits), tail)
        if "error" in value or "status" in value:
            raise Unreadable(Reason.ERROR_RESPONSE, "expected predictions, got the model server's error")
    raise _unknown(value, "predictions, outputs, data, jsonData or strData")


def seldon_message(value: Any, limits: Limits) -> Table:
    """What a Seldon v1 message holds: `data` (with `names` and a tensor, ndarray or tftensor), `jsonData` or `strData`.

    Raises:
        Unreadable: it holds something else.
    """
    if isinstance(value, dict) and "jsonData" in value:
        return by_row(value["jsonData"], limits)
    if isinstance(value, dict) and isinstance(value.get("strData"), str):
        return by_row(value["strData"], limits)
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, dict):
        raise _unknown(value, "data, jsonData or strData")
    names = data.get("names")
    parts = [str(name) for name in names] if isinstance(names, list) else []
    if "ndarray" in data:
        return table([Column("", _list(data["ndarray"], "ndarray"), parts)], limits)
    if isinstance(data.get("tensor"), dict):
        shape = shape_of(data["tensor"].get("shape"), "tensor", limits)
        return table([Column("", rows(flat(data["tensor"].get("values"), shape, "tensor"), shape), parts)], limits)
    if "tftensor" in data:
        return table([Column("", tensor_values(data["tftensor"], "tftensor", limits), parts)], limits)
    raise _unknown(data, "ndarray, tensor or tftensor")


def _instances(value: Any) -> list[Any]:
    """Each instance, with bytes (`{"b64": …}`) as the text they are, or None."""
    return [_unwrapped(each) for each in _list(value, "instances")]


def _unwrapped(value: Any) -> Any:
    if isinstance(value, list):
        return [_unwrapped(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"b64"}:
        return text(base64_bytes(value["b64"]))
    return {key: _unwrapped(each) for key, each in value.items()}


def _tensors_or_columns(value: Any, tail: bytes, limits: Limits) -> Table:
    """V2's tensors, or the columns that TensorFlow Serving and MLflow take under the same key."""
    if is_tensors(value) or tail.strip(SPACE):
        return tensors(_list(value, "tensors"), tail, limits)
    return by_column(_unwrapped(value), limits)


def _split_frame(value: Any, limits: Limits) -> Table:
    frame = value if isinstance(value, dict) else {}
    data, columns = _list(frame.get("data"), "dataframe_split.data"), frame.get("columns")
    parts = [str(name) for name in columns] if isinstance(columns, list) else []
    if parts and any(not isinstance(row, list) or len(row) != len(parts) for row in data):
        raise Unreadable(Reason.SHAPE_MISMATCH, f"dataframe_split: expected {len(parts)} values in each row")
    return table([Column("", data, parts)], limits)


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable(Reason.UNKNOWN_BODY, f"{what}: expected a list, got {type(value).__name__}")
    return value


def _alone(found: Table, tail: bytes) -> Table:
    if tail.strip(SPACE):
        raise Unreadable(Reason.NOT_JSON, f"expected nothing behind the JSON, got {len(tail)} bytes")
    return found


def _unknown(value: Any, expected: str) -> Unreadable:
    got = ", ".join(map(cut, list(value)[:5])) if isinstance(value, dict) else type(value).__name__
    return Unreadable(Reason.UNKNOWN_BODY, f"expected {expected}, got {got or 'an empty object'}")
