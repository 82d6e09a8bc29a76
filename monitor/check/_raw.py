"""The raw rows of a window: read once, however many judgements are made on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from monitor import registry
from monitor.check._context import Context
from monitor.records import Column, EventBatch, FloatArray, NoData, Window

LOOKED_AT = 20_000  # so many rows of a version's window at most
AT_ONCE = 1000  # of pushed predictions so many are decoded at a time
PIECES = 4  # of files, which are opened anew for each

Batches = Mapping[str, Sequence[EventBatch]]


class RawRows:
    """The rows of one window by version.

    Of a window with more rows than are looked at, what is asked of rows that follow each other is answered from pieces of it,
    and what is asked of any rows from one row in so many.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: dict[tuple[str, ...], Batches] = {}
        self._sampled: dict[tuple[str, ...], Mapping[str, EventBatch]] = {}
        self._most = max((profile.rows for profile in context.profiles.values()), default=0)

    def consecutive(self, version: str, columns: Sequence[Column]) -> Sequence[EventBatch]:
        """Rows of a version in batches, in order of time.

        Raises:
            SourceError: they cannot be read.
            NoData: they are no longer kept.
        """
        names = tuple(column.name for column in columns)
        if names not in self._held:
            self._held[names] = self._read(columns)
        found: Sequence[EventBatch] = _kept(self._held[names].get(version))
        return found

    def values(self, version: str, feature: str, columns: Sequence[Column]) -> FloatArray:
        """A numeric feature of some or all of a version's rows; NaN where it is missing.

        Args:
            version: of the model.
            feature: which of the columns.
            columns: what else will be asked for of these rows.

        Raises:
            SourceError: they cannot be read.
            NoData: they are no longer kept.
        """
        for names, held in self._held.items():
            if feature in names and self._most <= LOOKED_AT:
                return np.concatenate([_numbers(batch, feature) for batch in _kept(held.get(version))])
        names = tuple(column.name for column in columns)
        if names not in self._sampled:
            self._sampled[names] = self._context.source.rows(self._context.window, columns, limit=LOOKED_AT)
        return _numbers(_kept(self._sampled[names].get(version)), feature)

    def _read(self, columns: Sequence[Column]) -> Batches:
        found: dict[str, list[EventBatch]] = {}
        for piece in self._pieces():
            taken = min((sum(map(len, batches)) for batches in found.values()), default=0)
            for version, batch in self._context.source.rows(piece, columns, limit=max(LOOKED_AT - taken, 1)).items():
                found.setdefault(version, []).append(batch)
        return found

    def _pieces(self) -> list[Window]:
        """All of the window, as far as that is not too much, or the beginnings of equal parts of it."""
        window = self._context.window
        if registry.load("source", self._context.model.predictions.type).HEAVY:
            number = 1 if self._most <= LOOKED_AT else PIECES
        else:
            number = -(-min(self._most, LOOKED_AT) // AT_ONCE) or 1
        edges = np.linspace(window.start, window.end, number + 1).tolist()
        share = LOOKED_AT / max(self._most, 1)
        return [Window(low, high if share >= 1 else low + (high - low) * share) for low, high in pairwise(edges)]


def _kept(found: Any) -> Any:
    if found is None:
        raise NoData("the rows of the window are no longer kept")
    return found


def _numbers(batch: EventBatch, feature: str) -> FloatArray:
    return np.asarray(batch.features[feature], dtype=np.float64)
