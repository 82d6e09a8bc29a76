"""Records in every form that a body may have, and what a store holds of them afterwards."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import zstandard

from monitor.store import Store, events, reading
from monitor.store.layout import layout_of
from monitor.wire import Batch, Expected, Kind, Only, read_body
from monitor.wire.bodies import ARROW, JSON, LINES
from monitor.wire.typed import TypedDecoder, Unfit

NOW = 1_795_161_600.0
Records = Sequence[dict[str, Any]]
PACKED = {"identity": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    store = Store(folder, now=NOW)
    try:
        yield store
    finally:
        store.close()


def read(
    body: bytes, form: str = JSON, kind: Kind = "predictions", *, owners: Expected | Only | None = None, **more: Any
) -> Batch:
    """The records of a body, of the model `demand` unless others are told."""
    return read_body(body, form, kind, owners or Only(("shop", "demand")), **more)


def keep(store: Store, batch: Batch) -> None:
    """Store what was taken in."""

    def change(connection: Any) -> None:
        for (app, model), rows in batch.events.items():
            events.add_events(connection, app, model, rows, received=NOW)
        for (app, model), labels in batch.labels.items():
            events.add_labels(connection, app, model, labels, received=NOW)

    store.write(change)


def kept(store: Store, app: str = "shop", model: str = "demand") -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """What the store holds, in wire form, in order of arrival."""
    with store.read() as connection:
        number = events.find_model(connection, app, model)
        return [] if number is None else list(reading.wire_events(connection, number))


def exactly(found: Any) -> bytes:
    """Text that differs wherever values or their types do, and not with the order of keys."""
    return msgspec.json.encode(found, order="deterministic")


def decoder(store: Store, app: str = "shop", model: str = "demand") -> TypedDecoder | None:
    """What would be made for the columns that a model has now."""
    with store.read() as connection:
        number = events.find_model(connection, app, model)
        if number is None:
            return None
        try:
            return TypedDecoder((app, model), layout_of(connection, number))
        except Unfit:
            return None


# --- forms ------------------------------------------------------------------------------------------------------------


def as_json(records: Records) -> bytes:
    return json.dumps(records).encode()


def as_lines(records: Records) -> bytes:
    return b"\n".join(json.dumps(record).encode() for record in records) + b"\n"


def as_columns(records: Records) -> bytes:
    """Each list is as long as there are records: what one of them lacks cannot be told from what is missing."""
    return json.dumps(columns_of(records)).encode()


def columns_of(records: Records) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for record in records for name in record):
        held = [record.get(name) for record in records]
        if all(isinstance(each, dict) for each in held):
            inner = dict.fromkeys(key for each in held for key in each)
            found[name] = {key: [each.get(key) for each in held] for key in inner}
        else:
            found[name] = held
    return found


def as_arrow(records: Records, *, nested: bool = False) -> bytes:
    """An Arrow IPC stream; features and probabilities are structs, or columns with a dot in their names."""
    columns: dict[str, Any] = {}
    for name, held in columns_of(records).items():
        if not isinstance(held, dict):
            columns[name] = pa.array(held)
        elif nested:
            arrays = {key: pa.array(each) for key, each in held.items()}
            columns[name] = pa.StructArray.from_arrays(list(arrays.values()), names=list(arrays))
        else:
            columns |= {f"{name}.{key}": pa.array(each) for key, each in held.items()}
    return stream(pa.table(columns))


def stream(table: pa.Table, *, batch_rows: int | None = None, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return sink.getvalue().to_pybytes()


FORMS = {
    "json": (JSON, as_json),
    "lines": (LINES, as_lines),
    "columns": (JSON, as_columns),
    "arrow": (ARROW, as_arrow),
    "arrow with structs": (ARROW, lambda records: as_arrow(records, nested=True)),
}
