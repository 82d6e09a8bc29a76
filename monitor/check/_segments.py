"""Labelled rows told apart by the values of one column, or of several together."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.config import Model
from monitor.records import IntArray, LabelledBatch
from monitor.source._outcomes import GROUP
from monitor.source._values import coded

MOST = 50  # so many segments of each kind are judged: those with the most rows


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of one kind.

    Attributes:
        columns: what they are told apart by.
        names: such as `season=1,holiday=0`.
        codes: the place in `names` of each row's segment, shape (n,); -1 where a value is missing, or the segment left out.
        omitted: how many segments were left out.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    codes: IntArray
    omitted: int


def segments_of(model: Model, batch: LabelledBatch, known: Collection[str] = ()) -> Iterator[Segments]:
    """Every kind of segment that the model names, as it cuts a batch; those that are known come before those that are not."""
    for columns in model.segment_columns():
        names, codes = combined(batch.columns, columns, len(batch))
        rows = np.bincount(codes[codes >= 0], minlength=len(names))
        wanted = sorted(range(len(names)), key=lambda place: (names[place] not in known, -rows[place], names[place]))
        kept = wanted[:MOST]
        places = np.full(len(names) + 1, -1)
        places[kept] = np.arange(len(kept))
        yield Segments(columns, tuple(names[place] for place in kept), places[codes], len(names) - len(kept))


def combined(held: Mapping[str, Any], columns: tuple[str, ...], rows: int) -> tuple[list[str], IntArray]:
    """The names of all segments that occur, and the place of each row's among them; -1 where a value is missing.

    Args:
        held: the rows' columns by name, each of shape (rows,).
        columns: what segments are told apart by.
        rows: how many there are.

    >>> names = {f"{GROUP}{name}": np.array(values, dtype=object) for name, values in (("a", ["1", "0"]), ("b", ["x", None]))}
    >>> combined(names, ("a", "b"), 2)
    (['a=1,b=x'], array([ 0, -1]))
    """
    names, codes = [""], np.zeros(rows, dtype=np.int64)
    for column in columns:
        values = held.get(f"{GROUP}{column}")
        found, own = ([], np.full(rows, -1)) if values is None else coded(values)[::-1]
        pairs = np.where((codes < 0) | (own < 0), -1, codes * max(len(found), 1) + own)
        there, places = np.unique(pairs, return_inverse=True)
        without = int(there[0] < 0) if len(there) else 0
        both = [divmod(int(pair), max(len(found), 1)) for pair in there[without:]]
        shown = [_quoted(name) for name in found]
        names = [",".join(filter(None, (names[first], f"{column}={shown[second]}"))) for first, second in both]
        codes = places.astype(np.int64) - without
    return names, codes


def _quoted(value: str) -> str:
    """A value as it stands in a segment's name: where it holds what parts names, in quotes, so that no two share a name.

    >>> _quoted("north"), _quoted("1,b=2")
    ('north', '"1,b=2"')
    """
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',="\n') else value
