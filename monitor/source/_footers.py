"""The footers of Parquet files: each is fetched once, however often the file is looked at."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.records import fingerprint
from monitor.source._arrow import DAY, PER_SECOND
from monitor.source._bytes import Reading, bytes_of
from monitor.source._index import folder, tidied, written_whole
from monitor.source._left_out import CannotRead, Reason
from monitor.source._paths import File

MAGIC = (b"PAR1", b"PARE")
HELD = 512  # in memory
UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}

_FOOTERS: OrderedDict[tuple[str, str], Any] = OrderedDict()


def footer(file: File) -> Any:
    """The metadata of a Parquet file: from memory, from what was kept of a remote one, or from the file.

    Raises:
        CannotRead: it is gone, half-written or none.
        SourceError: it cannot be reached.
    """
    key = file.path, file.stamp
    if key in _FOOTERS:
        _FOOTERS.move_to_end(key)
        return _FOOTERS[key]
    found = _FOOTERS[key] = _kept(file) or _read(file)
    while len(_FOOTERS) > HELD:
        _FOOTERS.popitem(last=False)
    return found


def _kept(file: File) -> Any:
    footers = folder("footers")
    if footers is None or file.store is None:
        return None
    with suppress(OSError, pa.ArrowException):
        return pq.read_metadata(pa.BufferReader((footers / _name(file)).read_bytes()))
    return None


def _name(file: File) -> str:
    return f"{fingerprint(file.path, file.stamp)}.footer"


def _read(file: File) -> Any:
    try:
        found = pq.read_metadata(file.path if file.store is None else pa.PythonFile(Reading(file, ahead=0), mode="r"))
    except FileNotFoundError:
        raise CannotRead(f"{file.name}: it was there a moment ago", Reason.VANISHED, file=file) from None
    except (pa.ArrowException, OSError) as error:
        raise _problem(file, error) from error
    footers = folder("footers")
    if footers is not None and file.store is not None:
        sink = pa.BufferOutputStream()
        found.write_metadata_file(sink)
        if written_whole(footers / _name(file), sink.getvalue().to_pybytes()):
            tidied(footers)
    return found


def _problem(file: File, error: Exception) -> CannotRead:
    said = getattr(error, "strerror", None) or str(error).splitlines()[0]
    if is_content(error) and (file.size < 12 or bytes_of(file, file.size - 4, file.size) not in MAGIC):
        said = f"expected a Parquet footer, found none: {said}"
        return CannotRead(f"{file.name}: {said}", Reason.HALF_WRITTEN, file=file)
    return CannotRead(f"{file.name}: {said}", Reason.UNREADABLE, lasting=is_content(error), file=file)


def is_content(error: Exception) -> bool:
    """Whether it is what stands in a file that cannot be read: to Arrow that is an OSError too, but none of the machine's."""
    return getattr(error, "errno", None) is None and not isinstance(error, MemoryError)


def ends_of(group: Any, time: str) -> tuple[float, float] | None:
    """The first and the last time that a row group says it has, infinite where no row has one; None where it does not say."""
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema == time:
            ends = column.statistics if column.is_stats_set else None
            if ends is None:
                return None
            if not ends.has_min_max:
                nothing = ends.has_null_count and ends.null_count == group.num_rows
                return (math.inf, -math.inf) if nothing else None
            per_second = _per_second(ends)
            if per_second is None or ends.min_raw != ends.min_raw or ends.max_raw != ends.max_raw:
                return None
            return ends.min_raw / per_second, ends.max_raw / per_second
    return None


def _per_second(ends: Any) -> float | None:
    """How many of what is counted make a second; None where it is no time."""
    kind = json.loads(ends.logical_type.to_json())
    if kind["Type"] == "Timestamp":
        return PER_SECOND[UNITS[kind["timeUnit"]]]
    if kind["Type"] == "Date":
        return 1 / DAY
    plain = kind["Type"] in ("None", "Undefined", "Int") and ends.physical_type in ("INT32", "INT64", "FLOAT", "DOUBLE")
    return 1.0 if plain else None
