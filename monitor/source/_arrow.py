"""Arrow columns as the arrays that profiles are made of. PyArrow is imported where it is used: the daemon lives without it.

Numbers are read where Arrow has them: its own way to NumPy imports pandas first, and its casts a library of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monitor.records import Coded, ColumnKind, FloatArray, ObjectArray
from monitor.source._values import category, class_name, column, objects, ragged, vectors

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
DAY = 86400.0
PLAIN = {
    "double": np.float64, "float": np.float32, "halffloat": np.float16, "date32[day]": np.int32,
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip


def kind_of(arrow_type: Any) -> ColumnKind | None:
    """The kind that values of a type have where nobody says otherwise; None of what is neither numbers nor names."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    if types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type):
        return ColumnKind.NUMERIC
    named = types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type)
    return ColumnKind.CATEGORICAL if named or types.is_boolean(arrow_type) else None


def array_of(array: Any, kind: ColumnKind, *, classes: bool = False) -> tuple[FloatArray | ObjectArray | Coded, int]:
    """An Arrow array as a column of its kind, and how many of its values were of no use.

    Args:
        array: shape (n,).
        kind: what it is to be; a vector has shape (n, length).
        classes: whether its values are classes of a model, whose truth values are spelled 1 and 0.
    """
    if kind is ColumnKind.NUMERIC:
        return _numbers(array)
    if kind is ColumnKind.CATEGORICAL:
        return coded(array, class_name if classes else category), 0
    if kind is ColumnKind.VECTOR:
        return vectors(*_ragged(array))
    return objects([category(value) for value in array.to_pylist()]), 0


def missing(rows: int, kind: ColumnKind) -> Any:
    """So many rows of a column that is not there."""
    if kind is ColumnKind.NUMERIC:
        return np.full(rows, np.nan)
    return np.full((rows, 0), np.nan) if kind is ColumnKind.VECTOR else np.full(rows, None, dtype=object)


def _numbers(array: Any) -> tuple[FloatArray, int]:
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind_of(array.type) is not ColumnKind.NUMERIC and not pa.types.is_null(array.type):
        values, invalid = column(array.to_pylist(), ColumnKind.NUMERIC)
        return np.asarray(values, dtype=np.float64), invalid
    return floats(array), 0


def floats(array: Any) -> FloatArray:
    """An Arrow array of numbers as floats, NaN where they are missing."""
    import pyarrow as pa

    plain = PLAIN.get(str(array.type))
    if plain is None:
        array, plain = array.cast(pa.float64(), safe=False), np.float64
    values: FloatArray = _filled(array, plain, np.nan)
    return values


def truths(array: Any) -> Any:
    """An Arrow array of truth values, none of them missing, as a mask."""
    return _bits(array, 1)


def mask(rows: Any) -> Any:
    """A mask as an Arrow array of truth values, shape (n,)."""
    import pyarrow as pa

    bits = np.packbits(np.asarray(rows, dtype=bool), bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(rows), [None, pa.py_buffer(bits)], null_count=0)


def whole_numbers(numbers: Any) -> Any:
    """Whole numbers as an Arrow array, shape (n,)."""
    import pyarrow as pa

    found = np.ascontiguousarray(numbers, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(found)], null_count=0)


def _filled(array: Any, kind: Any, missing: float) -> Any:
    """The values of an Arrow array of fixed width, with something else where they are missing."""
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.full(len(array), missing, dtype=np.float64 if math.isnan(missing) else kind)
    values = np.frombuffer(data, dtype=kind, count=array.offset + len(array))[array.offset :]
    if math.isnan(missing) and values.dtype != np.float64:
        values = values.astype(np.float64)
    return np.where(_bits(array, 0), values, values.dtype.type(missing)) if array.null_count else values


def _bits(array: Any, buffer: int) -> Any:
    """A buffer of bits of an Arrow array: 0 says which values are there, 1 of truth values what they are."""
    data = array.buffers()[buffer]
    if data is None:
        return np.ones(len(array), dtype=bool) if buffer == 0 else np.zeros(len(array), dtype=bool)
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=array.offset + len(array), bitorder="little")
    return bits[array.offset :].astype(bool)


def joined(arrays: Sequence[Any], kind: ColumnKind, *, classes: bool = False) -> tuple[FloatArray | ObjectArray, int]:
    """As `array_of`, of several Arrow arrays one after the other; names are spelled out."""
    if kind is ColumnKind.VECTOR:
        parts = [_ragged(array) for array in arrays]
        empty: tuple[Any, FloatArray] = (np.zeros(0, dtype=np.int64), np.zeros(0))
        lengths, flat = (np.concatenate([part[side] for part in [empty, *parts]]) for side in (0, 1))
        return vectors(lengths, flat)
    found = [array_of(array, kind, classes=classes) for array in arrays]
    plain = [values.spelled() if isinstance(values, Coded) else values for values, _ in found]
    nothing = np.zeros(0, dtype=np.float64 if kind is ColumnKind.NUMERIC else object)
    return np.concatenate([nothing, *plain]), sum(invalid for _, invalid in found)


def coded(array: Any, spell: Callable[[Any], str | None]) -> Coded:
    """Few values repeat often: each is spelled once, and those that are spelled alike are one."""
    import pyarrow as pa

    if pa.types.is_null(array.type):
        return Coded(np.full(len(array), -1, dtype=np.int32), ())
    found = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    index: dict[str, int] = {}
    places = []
    for value in found.dictionary.to_pylist():
        name = spell(value)
        places.append(-1 if name is None else index.setdefault(name, len(index)))
    indices = found.indices if pa.types.is_int32(found.indices.type) else found.indices.cast(pa.int32())
    codes = _filled(indices, np.int32, len(places))
    return Coded(np.array([*places, -1], dtype=np.int32)[codes], tuple(index))


def _ragged(array: Any) -> tuple[Any, FloatArray]:
    """The lengths of lists, -1 where there is none, and their numbers one after the other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    lists = (types.is_list(array.type), types.is_large_list(array.type), types.is_fixed_size_list(array.type))
    if not any(lists):
        return ragged(array.to_pylist())
    lengths = _filled(pc.list_value_length(array).cast(pa.int64()), np.int64, -1)
    numbers, _ = _numbers(array.flatten())
    return lengths, numbers


def is_written_time(arrow_type: Any) -> bool:
    """Whether times of this type are text, which `seconds_of` cannot read."""
    return kind_of(arrow_type) is ColumnKind.CATEGORICAL


def seconds_of(array: Any) -> FloatArray:
    """Times as Unix seconds, NaN where there is none: naive ones are UTC, numbers are Unix seconds already."""
    import pyarrow as pa

    if pa.types.is_date32(array.type):
        return floats(array) * DAY
    if pa.types.is_date64(array.type):
        array = array.view(pa.timestamp("ms"))
    if pa.types.is_timestamp(array.type):
        return floats(array.view(pa.int64())) / PER_SECOND[array.type.unit]
    return _numbers(array)[0]
