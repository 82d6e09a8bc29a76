"""One spelling for a value, whatever it came in as: files, JSON and labels must agree on what `1` is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from monitor.records import Coded, ColumnKind, FloatArray, IntArray, ObjectArray


def category(value: Any) -> str | None:
    """The name of a category, None where it is missing.

    >>> category(1), category(1.0), category(True), category("1"), category(float("nan"))
    ('1', '1', 'true', '1', None)
    """
    if value is None:
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(float(value))
    return str(value)


def class_name(value: Any) -> str | None:
    """The name of a class: as `category`, except that true and false are the 1 and 0 that labels write them as.

    >>> class_name(True), class_name(1), class_name("up")
    ('1', '1', 'up')
    """
    return category(int(value)) if isinstance(value, bool | np.bool_) else category(value)


def coded(values: ObjectArray | Coded | FloatArray) -> tuple[IntArray, list[str]]:
    """The place of every value among the names that occur, shape (n,), -1 where it is missing; and these names.

    >>> coded(np.array(["b", None, "a", "b"], dtype=object))
    (array([ 0, -1,  1,  0]), ['b', 'a'])
    """
    if isinstance(values, Coded):
        return values.codes.astype(np.int64), list(values.names)
    held = values.tolist()
    names = [name for name in dict.fromkeys(held) if name is not None]
    index: dict[Any, int] = {name: place for place, name in enumerate(names)}
    index[None] = -1
    return np.fromiter((index[value] for value in held), np.int64, len(held)), names


def number(value: Any) -> float | None:
    """A float, NaN where the value is missing, None where it is no number (a truth value counts as 1 or 0).

    >>> number(2), number(None), number("warm")
    (2.0, nan, None)
    """
    if value is None:
        return math.nan
    if isinstance(value, int | float | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:  # JSON knows whole numbers beyond any float; one of them must not stop a judgement
            return math.inf if value > 0 else -math.inf
    return None


def column(values: Sequence[Any], kind: ColumnKind) -> tuple[FloatArray | ObjectArray, int]:
    """The values as an array of the kind, and how many were of no use: no number, or no vector of the usual length."""
    if kind is ColumnKind.CATEGORICAL or kind is ColumnKind.TEXT:
        return objects([category(value) for value in values]), 0
    if kind is ColumnKind.VECTOR:
        return vectors(*ragged(values))
    numbers = [number(value) for value in values]
    invalid = sum(found is None for found in numbers)
    return np.array([math.nan if found is None else found for found in numbers], dtype=np.float64), invalid


def ragged(values: Sequence[Any]) -> tuple[IntArray, FloatArray]:
    """The lengths of lists of numbers, and these one after the other; -1 where there is no list, 0 where it is something else."""
    lengths: list[int] = []
    flat: list[float] = []
    for value in values:
        held = value if isinstance(value, list | tuple | np.ndarray) else ()
        lengths.append(-1 if value is None else len(held))
        flat.extend(math.nan if (found := number(item)) is None else found for item in held)
    return np.array(lengths, dtype=np.int64), np.array(flat, dtype=np.float64)


def vectors(lengths: IntArray, flat: FloatArray) -> tuple[FloatArray, int]:
    """Lists as rows of a matrix, and how many of them were of no use.

    A row is as long as most lists are (the shorter length where two are as frequent). A list of another length, or with
    something in it that is no finite number, is of no use: its row is NaN, as that of a missing one.

    Args:
        lengths: of each list, -1 where it is missing, shape (n,).
        flat: the numbers of all lists, one after the other.

    >>> vectors(np.array([2, -1, 2, 1]), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))[0].tolist()
    [[1.0, 2.0], [nan, nan], [3.0, 4.0], [nan, nan]]
    """
    there = lengths >= 0
    sizes, rows = np.unique(lengths[lengths > 0], return_counts=True)
    size = int(sizes[rows.argmax()]) if len(sizes) else 0
    made = np.full((len(lengths), size), math.nan)
    fitting = lengths == size if size else np.zeros(len(lengths), dtype=bool)
    starts = np.cumsum(np.maximum(lengths, 0)) - np.maximum(lengths, 0)
    made[fitting] = flat[starts[fitting][:, None] + np.arange(size)]
    usable = fitting & np.isfinite(made).all(axis=1)
    made[~usable] = math.nan
    return made, int((there & ~usable).sum())


def outcomes(values: Sequence[Any], *, numeric: bool) -> FloatArray | ObjectArray:
    """Predictions or labels: floats for a regression (NaN for what is no number), class names otherwise."""
    if numeric:
        return column(values, ColumnKind.NUMERIC)[0]
    return objects([class_name(value) for value in values])


def objects(values: Sequence[str | None]) -> ObjectArray:
    """A one-dimensional object array, also of nothing."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
