"""Columns as they come: missing values, infinities, ties, constants, zeros in plenty."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as some

from monitor.records import Coded, ColumnKind, EventBatch

TIDY = some.floats(-1e9, 1e9, allow_nan=False) | some.integers(-5, 5).map(float) | some.just(0.0)
NUMBERS = TIDY | some.sampled_from([math.nan, math.inf, -math.inf])
CATEGORIES = some.sampled_from(["a", "b", "c", "A", "", "1", "1.0", "true", "None", "nan", "ü"]) | some.none()


def numeric(*, min_size: int = 0) -> some.SearchStrategy[Any]:
    return some.lists(NUMBERS, min_size=min_size, max_size=80).map(lambda values: np.array(values, dtype=np.float64))


def many_valued() -> some.SearchStrategy[Any]:
    """More than fifty different finite values, and whatever else."""
    different = some.lists(some.floats(-1e9, 1e9, allow_nan=False), min_size=51, max_size=90, unique=True)
    rest = some.lists(NUMBERS, max_size=60)
    return some.tuples(different, rest).map(lambda parts: np.array([*parts[0], *parts[1]], dtype=np.float64))


def categorical(*, min_size: int = 0) -> some.SearchStrategy[Any]:
    return some.lists(CATEGORIES, min_size=min_size, max_size=80).map(objects)


def objects(values: list[str | None]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def as_coded(values: Any) -> Coded:
    names = list(dict.fromkeys(value for value in values.tolist() if value is not None))
    codes = [-1 if value is None else names.index(value) for value in values.tolist()]
    return Coded(np.array(codes, dtype=np.int32), tuple(names))


def batch(values: Any, name: str = "x", **counts: Any) -> EventBatch:
    return EventBatch("1", np.arange(float(len(values))), {name: values}, **counts)


KINDS = {"numeric": (ColumnKind.NUMERIC, numeric), "categorical": (ColumnKind.CATEGORICAL, categorical)}
