"""The V2 (Open Inference) protocol: named tensors with a datatype and a shape, as JSON or as raw bytes behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from monitor.serving_logs._binary import DATATYPES, SPACE, tensor
from monitor.serving_logs._shapes import flat, rows, shape_of
from monitor.serving_logs._table import Column, Table, table
from monitor.serving_logs._values import Limits, is_number, scalar
from monitor.serving_logs.unreadable import Reason, Unreadable, cut


def is_tensors(value: Any) -> bool:
    """Whether `inputs` or `outputs` are those of the V2 protocol, and not some other protocol's of that name."""
    objects = [each.keys() for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    return any("datatype" in keys or {"name", "shape"} <= keys for keys in objects)


def tensors(listed: Sequence[Any], tail: bytes, limits: Limits) -> Table:
    """The tensors of a request or a response.

    Args:
        listed: the tensors' JSON.
        tail: the bytes behind the JSON, of those tensors that are sent as bytes, one after the other.
        limits: on rows and values, of all tensors together.

    Raises:
        Unreadable: a datatype is unknown, or data and shape disagree.
    """
    columns, place, left = [], 0, limits.values
    for each in listed:
        if not isinstance(each, dict):
            raise Unreadable(Reason.UNKNOWN_BODY, "expected each tensor to be an object")
        name, datatype = _named(each)
        shape = shape_of(each.get("shape"), name, limits)
        left -= math.prod(shape)
        if left < 0:
            raise Unreadable(Reason.TOO_LARGE, f"expected at most {limits.values} values in all tensors")
        size = _binary_size(each, name, datatype)
        if size is None:
            values = _checked(flat(each.get("data"), shape, name), datatype, name)
        else:
            values = tensor(tail[place : place + size], datatype, math.prod(shape), name)
            place += size
        columns.append(Column(name, rows(list(map(scalar, values)), shape)))
    if place != len(tail) and (place or tail.strip(SPACE)):
        raise Unreadable(Reason.BINARY_LENGTH, f"expected {place} bytes behind the JSON, got {len(tail)}")
    return table(columns, limits, tensors=True)


def _named(each: dict[str, Any]) -> tuple[str, str]:
    name, datatype = each.get("name"), each.get("datatype")
    if not isinstance(name, str) or not name:
        raise Unreadable(Reason.UNKNOWN_BODY, "expected each tensor to have a name")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        known = ", ".join(sorted(DATATYPES))
        raise Unreadable(Reason.UNKNOWN_DATATYPE, f"{cut(name)}: expected a datatype of {known}, got {cut(datatype)}")
    return name, datatype


def _binary_size(each: dict[str, Any], name: str, datatype: str) -> int | None:
    parameters = each.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None and "data" not in each:
        raise Unreadable(Reason.SHAPE_MISMATCH, f"{cut(name)}: expected data of {datatype}, got none")
    if size is not None and (type(size) is not int or size < 0):
        raise Unreadable(Reason.BINARY_LENGTH, f"{cut(name)}: expected binary_data_size to be a whole number")
    return size


def _checked(values: list[Any], datatype: str, name: str) -> list[Any]:
    """The values, each of which fits the datatype or is missing."""
    for value in values:
        fits = isinstance(value, str) if datatype == "BYTES" else is_number(value) or isinstance(value, bool)
        if value is not None and not fits:
            raise Unreadable(
                Reason.BAD_VALUE, f"{cut(name)}: expected values of {datatype}, got {type(value).__name__}"
            )
    return values
