"""The worlds in which nothing changes: rows resampled from real data, and autoregressive streams."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from monitor.records import Coded, Column, ColumnKind, EventBatch, FloatArray, IntArray

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ANCHORWATCH_SHARED_DATA", ROOT.parent / "shared" / "data"))
HOUR = 3600.0
AT_ONCE = 4_000_000  # so many values of an autoregressive stream are drawn at once

Values = FloatArray | Coded
Features = Mapping[str, Values]

# By data set: the file, what is numeric and what is categorical. Ordered whole numbers, such as the hour, are numeric: the
# few values they have are part of what is tested. Weights, ids and times are left out.
TABLES = {
    "bikes": (
        "bike_sharing/bike_hour.parquet",
        "temp atemp hum windspeed hr mnth cnt",
        "season holiday weekday workingday weathersit",
    ),
    "elec2": (
        "elec2/elec2.parquet",
        "period nswprice nswdemand vicprice vicdemand transfer",
        "day class",
    ),
    "ma_employment": (
        "ma_employment/reference.parquet",
        "AGEP SCHL predicted_probability",
        "MAR RELP DIS ESP CIT MIG MIL ANC NATIVITY DEAR DEYE DREM SEX RAC1P prediction",
    ),
    "adult": (
        "adult/adult.parquet",
        "age education_num capital_gain capital_loss hours_per_week",
        "workclass education marital_status occupation relationship race sex native_country income_gt_50k",
    ),
}


class World(Protocol):
    """Where rows come from."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[Column, ...]: ...

    def windows(self, rows: int, number: int, draw: np.random.Generator) -> Iterator[Features]:
        """So many windows of so many rows each."""


def coded(values: list[object]) -> Coded:
    """Values as a coded column; None is missing.

    >>> coded(["b", None, "a"]).spelled().tolist()
    ['b', None, 'a']
    """
    names = sorted({str(value) for value in values if value is not None})
    index = {name: place for place, name in enumerate(names)}
    codes = [-1 if value is None else index[str(value)] for value in values]
    return Coded(np.array(codes, dtype=np.int32), tuple(names))


def take(values: Values, rows: IntArray) -> Values:
    """Some rows of a column."""
    return values[rows]


@dataclass(frozen=True)
class Resampled:
    """Rows drawn, whole, with replacement from a table."""

    name: str
    table: Features

    def __len__(self) -> int:
        return len(next(iter(self.table.values())))

    @property
    def columns(self) -> tuple[Column, ...]:
        return columns_of(self.table)

    def windows(self, rows: int, number: int, draw: np.random.Generator) -> Iterator[Features]:
        for _ in range(number):
            places = draw.integers(0, len(self), rows)
            yield {name: take(values, places) for name, values in self.table.items()}


@dataclass(frozen=True)
class Autoregressive:
    """Independent Gaussian streams of the first order, stationary, with mean 0 and standard deviation 1.

    Windows follow each other so far apart that no row of one tells of another's.
    """

    features: int = 10
    correlation: float = 0.7
    name: str = "ar1"

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(f"stream_{place}", ColumnKind.NUMERIC) for place in range(self.features))

    def windows(self, rows: int, number: int, draw: np.random.Generator) -> Iterator[Features]:
        at_once = max(1, AT_ONCE // (rows * self.features))
        names = [column.name for column in self.columns]
        for start in range(0, number, at_once):
            drawn = autoregressive((min(at_once, number - start), self.features, rows), self.correlation, draw)
            for window in drawn:
                yield dict(zip(names, window.astype(np.float64), strict=True))


def autoregressive(shape: tuple[int, ...], correlation: float, draw: np.random.Generator) -> np.ndarray:
    """Stationary Gaussian streams along the last axis, float32."""
    from scipy.signal import lfilter

    noise = draw.standard_normal(shape, dtype=np.float32)
    before = draw.standard_normal((*shape[:-1], 1), dtype=np.float32)
    gain = np.float32(math.sqrt(1 - correlation**2))
    rho = np.float32(correlation)
    streams, _ = lfilter([gain], np.array([1, -rho], dtype=np.float32), noise, zi=rho * before)
    return streams.astype(np.float32, copy=False)


def columns_of(features: Features) -> tuple[Column, ...]:
    """Name and kind of every column."""
    kinds = {True: ColumnKind.CATEGORICAL, False: ColumnKind.NUMERIC}
    return tuple(Column(name, kinds[isinstance(values, Coded)]) for name, values in features.items())


@cache
def table(name: str, folder: Path = DATA) -> Resampled:
    """One of the real tables, as a world.

    Raises:
        FileNotFoundError: the data aren't there.
    """
    import pyarrow.parquet as pq

    path, numeric, categorical = TABLES[name]
    read = pq.read_table(folder / path, columns=[*numeric.split(), *categorical.split()])
    columns: dict[str, Values] = {}
    for column in numeric.split():
        columns[column] = np.array(read[column].to_pylist(), dtype=np.float64)
    for column in categorical.split():
        columns[column] = coded(read[column].to_pylist())
    return Resampled(name, columns)


def world(name: str) -> World:
    """A world by name: `ar1` or one of the tables."""
    return Autoregressive() if name == "ar1" else table(name)


def reference_rows(window_rows: int) -> int:
    """At least 10,000 rows and 30 windows."""
    return max(10_000, 30 * window_rows)


def timed(features: Features, window_rows: int, start: float = 0.0) -> EventBatch:
    """Rows as events, evenly spread so that a window of an hour holds `window_rows` of them."""
    rows = len(next(iter(features.values())))
    times = start + np.arange(rows) * (HOUR / window_rows)
    return EventBatch("1", times, features)
