"""A model's labelled rows in memory, in order of event time: numbers as they are, names as codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from monitor.records import Coded, FloatArray, LabelledBatch, ObjectArray, Window


class Names:
    """A code for each name, in the order they are met."""

    def __init__(self) -> None:
        self._codes: dict[str | None, int] = {}

    def codes(self, names: ObjectArray | Coded) -> Any:
        """The code of every name, shape (n,), int32; a name that is missing has one as well."""
        if not isinstance(names, Coded):
            return np.fromiter((self._code(name) for name in names.tolist()), np.int32, len(names))
        known = np.array([self._code(name) for name in (*names.names, None)], dtype=np.int32)
        return known[names.codes]

    def _code(self, name: str | None) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def spelled(self, codes: Any) -> ObjectArray:
        """The names of the codes, shape (n,)."""
        names = np.empty(len(self._codes), dtype=object)
        names[:] = list(self._codes)
        spelled: ObjectArray = names[codes]
        return spelled


class LabelledRows:
    """Predictions with their labels, each with the time from which the label is known.

    Args:
        numeric: whether predictions and labels are numbers, or names of classes.
    """

    def __init__(self, *, numeric: bool) -> None:
        self.numeric = numeric
        self._versions, self._classes = Names(), Names()
        self._columns: list[list[Any]] = [[], [], [], [], []]
        self._in_order = True

    def add(
        self,
        times: FloatArray,
        known: FloatArray,
        versions: ObjectArray | Coded,
        predictions: FloatArray | ObjectArray | Coded,
        labels: FloatArray | ObjectArray | Coded,
    ) -> None:
        """Take rows in, all of shape (n,): `known` is when each one's label came, -inf where that is not said."""
        coded = self._versions.codes(versions)
        fresh = (times, known, coded, self._held(predictions), self._held(labels))
        for column, values in zip(self._columns, fresh, strict=True):
            column.append(values)
        self._in_order = False

    def _held(self, values: Any) -> Any:
        return values if self.numeric else self._classes.codes(values)

    def _sorted(self) -> list[Any]:
        """The columns in order of time, each in one piece; one after the other, so that none is held twice for long."""
        if not self._in_order and self._columns[0]:
            order = np.argsort(np.concatenate(self._columns[0]), kind="stable")
            for column in self._columns:
                whole = np.concatenate(column)
                column[:] = [whole[order]]
        self._in_order = True
        return [column[0] if column else np.empty(0) for column in self._columns]

    def within(self, window: Window, known_by: float) -> Iterator[LabelledBatch]:
        """The rows of a window whose label is known by an instant, as one batch; nothing where there is none."""
        times, known, versions, predictions, labels = self._sorted()
        low, high = np.searchsorted(times, [window.start, window.end], side="left")
        rows = low + np.flatnonzero(known[low:high] <= known_by)
        if not len(rows):
            return
        outcomes = [held[rows] if self.numeric else self._classes.spelled(held[rows]) for held in (predictions, labels)]
        yield LabelledBatch(times[rows], self._versions.spelled(versions[rows]), *outcomes)
