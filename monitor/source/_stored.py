"""Rows of the store as the columns that checks read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from monitor.records import Column, ColumnKind, EventBatch, FloatArray, ObjectArray, Role
from monitor.source._outcomes import CLASS_SCORE, GROUP
from monitor.source._values import class_name, column, objects
from monitor.store.layout import PREDICTION, PROBABILITY, Key, Kind, Of
from monitor.store.reading import Fetched

PLAIN = {ColumnKind.NUMERIC: Kind.NUMBER, ColumnKind.CATEGORICAL: Kind.TEXT, ColumnKind.TEXT: Kind.TEXT}


def keys_of(columns: Iterable[Column]) -> list[Key]:
    """The names that columns are read from."""
    return [key for each in columns for key in _keys(each)]


def _keys(each: Column) -> tuple[Key, ...]:
    if each.role is Role.FEATURE:
        return ((Of.FEATURE, each.name),)
    if each.role is Role.GROUP:
        return ((Of.FEATURE, each.name.removeprefix(GROUP)),)
    if each.role is Role.SCORE:
        return PROBABILITY, (Of.CLASS_PROBABILITY, each.name.removeprefix(CLASS_SCORE))
    return () if each.role is Role.ID else (PREDICTION,)


def array_of(fetched: Fetched, each: Column) -> tuple[FloatArray | ObjectArray, int]:
    """One column of the rows, and how many of its values were of no use for its kind."""
    if each.role is Role.ID:
        return objects(list(fetched.column("event_id"))), 0
    key = next((key for key in _keys(each) if fetched.kinds(key)), _keys(each)[0])
    if (plain := fetched.plain(key, PLAIN.get(each.kind, Kind.OTHER))) is not None:
        return plain, 0
    return column(spelled(fetched.values(key), each), each.kind)


def spelled(values: Iterable[Any], each: Column) -> list[Any]:
    """Values as a column's kind and role have them: classes go by their names, a score that is no number is none."""
    if each.role is Role.GROUP or (each.role is Role.PREDICTION and each.kind is ColumnKind.CATEGORICAL):
        return [class_name(value) for value in values]
    if each.role is Role.SCORE:
        return [value if isinstance(value, int | float) else None for value in values]
    return list(values)


def batch_of(parts: Sequence[Fetched], version: str, columns: Sequence[Column]) -> EventBatch:
    """Rows of one version as a batch."""
    features: dict[str, Any] = {}
    absent: dict[str, int] = {}
    invalid: dict[str, int] = {}
    for each in columns:
        if each.kind is ColumnKind.VECTOR:
            # Which length of a vector is the usual one, only all rows together tell.
            values = [value for part in parts for value in part.values(_keys(each)[0])]
            features[each.name], invalid[each.name] = column(values, each.kind)
        else:
            found = [array_of(part, each) for part in parts]
            features[each.name] = np.concatenate([array for array, _ in found]) if len(found) != 1 else found[0][0]
            invalid[each.name] = sum(wrong for _, wrong in found)
        if each.role in (Role.FEATURE, Role.GROUP):
            absent[each.name] = sum(part.absent(_keys(each)[0]) for part in parts)
    times = np.concatenate([part.times for part in parts])
    return EventBatch(version, times, features, absent, invalid)
