"""TensorFlow's TensorProto, as JSON or decoded from the wire: a datatype, a shape, and the values in a field of the datatype."""

from __future__ import annotations

import math
import struct
from typing import Any

from monitor.serving_logs._binary import tensor
from monitor.serving_logs._protojson import field, inner, octets, real, repeated, whole
from monitor.serving_logs._shapes import rows, shape_of
from monitor.serving_logs._values import Limits, scalar, text
from monitor.serving_logs.unreadable import Reason, Unreadable, cut

# By number and name (tensorflow/core/framework/types.proto): how the V2 protocol calls the type, and the field of its values.
DTYPES = {
    1: ("DT_FLOAT", "FP32", "float_val"), 2: ("DT_DOUBLE", "FP64", "double_val"), 3: ("DT_INT32", "INT32", "int_val"),
    4: ("DT_UINT8", "UINT8", "int_val"), 5: ("DT_INT16", "INT16", "int_val"), 6: ("DT_INT8", "INT8", "int_val"),
    7: ("DT_STRING", "BYTES", "string_val"), 9: ("DT_INT64", "INT64", "int64_val"), 10: ("DT_BOOL", "BOOL", "bool_val"),
    14: ("DT_BFLOAT16", "BF16", "half_val"), 17: ("DT_UINT16", "UINT16", "int_val"), 19: ("DT_HALF", "FP16", "half_val"),
    22: ("DT_UINT32", "UINT32", "uint32_val"), 23: ("DT_UINT64", "UINT64", "uint64_val"),
}  # fmt: skip
_BY_NAME = {name: number for number, (name, _, _) in DTYPES.items()}


def tensor_values(message: Any, name: str, limits: Limits) -> list[Any]:
    """The values of a TensorProto by row.

    Raises:
        Unreadable: its datatype is unknown, or values and shape disagree.

    >>> shape = {"dim": [{"size": "2"}, {"size": "2"}]}
    >>> tensor_values({"dtype": "DT_FLOAT", "tensorShape": shape, "floatVal": [1, 2, 3, 4]}, "x", Limits())
    [[1.0, 2.0], [3.0, 4.0]]
    """
    datatype, held = _datatype(field(message, "dtype"), name)
    sizes = [whole(field(dim, "size"), name) for dim in repeated(inner(message, "tensor_shape"), "dim")]
    shape = shape_of(sizes, name, limits)
    count = math.prod(shape)
    content = octets(field(message, "tensor_content"))
    if content:
        values = tensor(content, datatype, count, name)
    else:
        values = [_value(value, datatype, name) for value in repeated(message, held)]
        if len(values) > count:
            raise Unreadable(Reason.SHAPE_MISMATCH, f"{cut(name)}: expected {count} values, got {len(values)}")
        # The last value stands for all that follow it, and zeros are left out.
        rest = values[-1] if values else _value(None, datatype, name)
        values += [rest] * (count - len(values))
    return rows(list(map(scalar, values)), shape)


def _datatype(value: Any, name: str) -> tuple[str, str]:
    number = _BY_NAME.get(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or number not in DTYPES:
        raise Unreadable(Reason.UNKNOWN_DATATYPE, f"{cut(name)}: expected a known dtype, got {cut(value)}")
    return DTYPES[number][1:]


def _value(value: Any, datatype: str, name: str) -> Any:
    if datatype == "BYTES":
        return text(octets(value))
    if datatype == "BOOL":
        return bool(value)
    if datatype in ("FP16", "BF16"):  # sixteen bits in a whole number
        return tensor(struct.pack("<H", whole(value, name) & 0xFFFF), datatype, 1, name)[0]
    if datatype in ("FP32", "FP64"):
        return real(value, name)
    return whole(value, name)
