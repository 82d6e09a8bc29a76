"""Columns that stand in the names of folders, as Hive writes them: `version=3/part.parquet`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

from monitor.source._paths import File


def with_folders(files: list[File]) -> tuple[dict[str, Any], list[File]]:
    """The columns that the folders' names tell, and the files with their values."""
    told = [file.folders for file in files]
    names = list(dict.fromkeys(name for each in told for name in each))
    if not names:
        return {}, files
    import pyarrow as pa

    values: dict[str, list[Any]] = {}
    types: dict[str, Any] = {}
    for name in names:
        written = [None if each.get(name) == "__HIVE_DEFAULT_PARTITION__" else each.get(name) for each in told]
        values[name], types[name] = _typed(written, pa)
    rows = [tuple((name, values[name][place]) for name in names) for place in range(len(files))]
    return types, [replace(file, partition=row) for file, row in zip(files, rows, strict=True)]


def _typed(written: list[str | None], pa: Any) -> tuple[list[Any], Any]:
    """Whole numbers and dates where all are; what begins with a zero is a name."""
    told = [text for text in written if text is not None]
    if told and all(re.fullmatch(r"0|-?[1-9]\d{0,17}", text) for text in told):
        return [None if text is None else int(text) for text in written], pa.int64()
    try:
        if told and all(len(text) == 10 for text in told):
            return [None if text is None else date.fromisoformat(text) for text in written], pa.date32()
    except ValueError:
        pass
    return list(written), pa.string()
