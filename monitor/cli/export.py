"""A model's raw events out of the store, in the form they came in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from monitor.config import Loaded
from monitor.records import UNVERSIONED, iso
from monitor.store import events, open_for_reading
from monitor.store.reading import wire_events


class ExportError(Exception):
    """What was asked for cannot be exported."""


def export_model(loaded: Loaded, model: str, *, app: str | None, form: str, output: Path | None) -> int:
    """Write every raw event of a model, with its label where it has come; returns how many.

    Raises:
        ExportError: there is no such model, or the output cannot be written.
        StoreError: there is no store.
    """
    owners = [found.name for found, each in loaded.config.models() if each.name == model and app in (None, found.name)]
    if not owners:
        known = ", ".join(each.name for _, each in loaded.config.models()) or "none"
        raise ExportError(f"--model: expected one of {known}, got {model!r}")
    if len(owners) > 1:
        raise ExportError(f"--app: expected one of {', '.join(owners)}, got nothing")
    open_for_reading(loaded.store).close()  # before an existing file is emptied for nothing
    try:
        if form == "parquet":
            return _parquet(loaded, owners[0], model, output)
        if output is None:
            return _ndjson(loaded, owners[0], model, sys.stdout)
        with output.open("w", encoding="utf-8") as file:
            return _ndjson(loaded, owners[0], model, file)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ExportError(f"--output: expected a file that can be written, {output}: {error.strerror}") from None


def _records(loaded: Loaded, app: str, model: str) -> Iterator[dict[str, Any]]:
    store = open_for_reading(loaded.store)
    try:
        with store.read() as connection:
            number = events.find_model(connection, app, model)
            if number is not None:
                yield from (_record(app, model, *each) for each in wire_events(connection, number))
    finally:
        store.close()


def _record(app: str, model: str, event: dict[str, Any], label: dict[str, Any] | None) -> dict[str, Any]:
    version = None if event["model_version"] == UNVERSIONED else event["model_version"]
    record = {"app": app, "model": model, **event, "timestamp": iso(event["timestamp"]), "model_version": version}
    if label is not None:
        when = label["label_timestamp"]
        record |= {"label": label["label"], "label_timestamp": None if when is None else iso(when)}
    return record


def _ndjson(loaded: Loaded, app: str, model: str, file: IO[str]) -> int:
    total = 0
    for record in _records(loaded, app, model):
        file.write(json.dumps(record) + "\n")
        total += 1
    return total


def _parquet(loaded: Loaded, app: str, model: str, output: Path | None) -> int:
    if output is None:
        raise ExportError("--output: expected a file for parquet, got nothing")
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Values may differ in kind from row to row, as they may on the wire: each is kept as JSON where they do.
    flat = [_flat(record) for record in _records(loaded, app, model)]
    names = list(dict.fromkeys(name for row in flat for name in row))
    columns = {name: _column([row.get(name) for row in flat]) for name in names}
    pq.write_table(pa.table(columns), output)
    return len(flat)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    features = record.pop("features")
    return {**record, **{f"features.{name}": value for name, value in features.items()}}


def _column(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return [float(value) if kinds == {int, float} and value is not None else value for value in values]
    return [None if value is None else json.dumps(value) for value in values]
