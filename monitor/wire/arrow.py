"""The records of an Arrow IPC stream.

Features are the fields of a column `features`, or columns called `features.<name>`; class probabilities alike. A stream is
a stranger's bytes: it is validated, only columns of plain types are read, and what is packed inside of it is not unpacked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from monitor.wire.columns import NESTED, PLAIN, Place, Record, records_of
from monitor.wire.limits import UNPACKED_BYTES, BadBody, check_records, check_values, too_long

SECONDS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DAY_SECONDS = 86_400


def arrow_records(body: bytes, model: str) -> Iterator[Record]:
    """The records of a stream; `model` is whose they are where the stream's own metadata do not say it.

    Raises:
        BadBody: it is no Arrow IPC stream of plain columns.
        TooLarge: it holds too much.
    """
    try:
        yield from _records(body, model)
    except BadBody:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the library makes of a stranger's bytes is about these
        said = next(iter(str(error).splitlines()), "")[:200]
        raise BadBody(f"expected an Arrow IPC stream: {said}", "not_arrow") from None


def _records(body: bytes, model: str) -> Iterator[Record]:
    import pyarrow as pa

    if any(_is_packed(message) for message in pa.ipc.MessageReader.open_stream(body)):
        raise BadBody("expected an Arrow IPC stream that is not compressed inside: pack the request", "not_arrow")
    records = values = 0
    with pa.ipc.open_stream(body) as reader:
        told = reader.schema.metadata or {}
        said = {
            "model": model,
            **{key: told[key.encode()].decode() for key in ("model", "app") if key.encode() in told},
        }
        for batch in reader:
            batch.validate(full=True)  # else its offsets may point anywhere
            records += batch.num_rows
            check_records(records)
            found, nested = _columns(batch)
            values += sum(map(_values, found.values()))
            check_values(values)
            columns = {place: _listed(array) for place, array in found.items()}
            yield from (_record(said, row) for row in records_of(batch.num_rows, columns, nested))


def _record(said: Mapping[str, str], row: Record) -> Record:
    """A record without what its columns leave out of it: of features a null is told, of everything else it is nothing."""
    if isinstance(row.get("probability"), dict):
        row["probability"] = {name: held for name, held in row["probability"].items() if held is not None} or None
    return {**said, **{name: held for name, held in row.items() if held is not None}}


def _is_packed(message: Any) -> bool:
    """Whether a batch's buffers are compressed: a few bytes may then stand for any number, and the library would take the memory.

    It is told in the message's FlatBuffers metadata: Message.header is a RecordBatch or a DictionaryBatch, whose data is one, and
    RecordBatch.compression is there or is not (Arrow's format/Message.fbs).
    """
    if message.type not in ("record batch", "dictionary"):
        return False
    held = message.metadata.to_pybytes()
    (root,) = struct.unpack_from("<I", held)
    batch = _table(held, root, 2)
    if message.type == "dictionary":
        batch = _table(held, batch, 1)
    return _slot(held, batch, 3) is not None


def _slot(held: bytes, table: int, number: int) -> int | None:
    """Where a table of FlatBuffers has one of its fields; None where it has not."""
    directory = table - struct.unpack_from("<i", held, table)[0]
    (size,) = struct.unpack_from("<H", held, directory)
    at = 4 + 2 * number
    offset = struct.unpack_from("<H", held, directory + at)[0] if at < size else 0
    return table + offset if offset else None


def _table(held: bytes, table: int, number: int) -> int:
    """Where the table is that a table's field points to."""
    at = _slot(held, table, number)
    if at is None:
        raise ValueError("a message without its header")
    return int(at + struct.unpack_from("<I", held, at)[0])


# --- columns ----------------------------------------------------------------------------------------------------------


def _columns(batch: Any) -> tuple[dict[Place, Any], list[str]]:
    """The arrays of what a record knows, and which of `NESTED` are objects."""
    import pyarrow.types as is_

    found: dict[Place, Any] = {}
    for field, array in zip(batch.schema, batch.columns, strict=True):
        of, dot, inner = field.name.partition(".")
        if of in NESTED and dot:
            found[of, inner] = array
        elif field.name in NESTED and is_.is_struct(field.type):
            fields = [field.type.field(place).name for place in range(field.type.num_fields)]
            found.update({(field.name, name): each for name, each in zip(fields, array.flatten(), strict=True)})
        elif field.name in (*PLAIN, *NESTED):
            found["", field.name] = array
    return found, [name for name in NESTED if any(of == name for of, _ in found)]


def _values(array: Any) -> int:
    """How many values an array stands for.

    Raises:
        BadBody: it is of a type that no record holds.
        TooLarge: its texts would be too long, written out.
    """
    import pyarrow.types as is_

    kind = array.type
    if is_.is_dictionary(kind) and (is_.is_string(kind.value_type) or is_.is_large_string(kind.value_type)):
        check_values(len(array.dictionary))
        longest = max((len(text or "") for text in array.dictionary.to_pylist()), default=0)
        if len(array) * longest > UNPACKED_BYTES:
            raise too_long(UNPACKED_BYTES)
        return len(array)
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        if is_.is_integer(kind.value_type) or is_.is_floating(kind.value_type):
            return len(array) + len(array.flatten())
    elif (
        is_.is_integer(kind) or is_.is_floating(kind) or is_.is_boolean(kind) or is_.is_null(kind) or is_.is_string(kind)
        or is_.is_large_string(kind) or is_.is_timestamp(kind) or is_.is_date(kind)
    ):  # fmt: skip
        return len(array)
    raise BadBody(
        f"expected columns of numbers, texts, flags, times and vectors, got one of {str(kind)[:60]}", "not_arrow"
    )


def _listed(array: Any) -> list[Any]:
    """The values of an array as JSON would have them: neither NaN nor infinity, and times in Unix seconds."""
    import pyarrow as pa
    import pyarrow.types as is_

    kind = array.type
    if is_.is_timestamp(kind):
        whole = array.view(pa.int64()).to_pylist()
        return [None if value is None else value / SECONDS[kind.unit] for value in whole]
    if is_.is_date32(kind):
        return [None if value is None else value * DAY_SECONDS for value in array.view(pa.int32()).to_pylist()]
    if is_.is_date64(kind):
        return [None if value is None else value / 1000 for value in array.view(pa.int64()).to_pylist()]
    listed: list[Any] = array.to_pylist()
    if is_.is_floating(kind):
        return _finite(listed)
    return [held and _finite(held) for held in listed] if is_.is_nested(kind) else listed


def _finite(values: list[Any]) -> list[Any]:
    return [value if value is None or math.isfinite(value) else None for value in values]
