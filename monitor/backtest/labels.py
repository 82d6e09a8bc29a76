"""A model's labelled rows in memory, in order of event time: numbers as they are, names as codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from monitor.records import Coded, FloatArray, LabelledBatch, ObjectArray, Window


class Names:
    """A code for each name, in the order they are met."""

    def __init__(self) -> None:
        self._codes: dict[str | None, int] = {}

    def codes(self, names: FloatArray | ObjectArray | Coded) -> Any:
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
    """Predictions with their labels, kept in little memory and found by their time.

    Args:
        numeric: whether predictions and labels are numbers, or names of classes.
    """

    def __init__(self, *, numeric: bool) -> None:
        self.numeric = numeric
        self._versions, self._classes = Names(), Names()
        self._names: dict[str, Names] = {}
        self._held: dict[str, list[Any]] = {}
        self._in_order = True

    def add(self, batch: LabelledBatch) -> None:
        """Take rows in."""
        fresh = {
            "times": batch.times,
            "came": batch.came,
            "versions": self._versions.codes(batch.versions),
            "predictions": self._outcomes(batch.predictions),
            "labels": self._outcomes(batch.labels),
        }
        for name, values in batch.columns.items():
            named = isinstance(values, Coded) or values.dtype == object
            fresh[f"column {name}"] = self._names.setdefault(name, Names()).codes(values) if named else values
        for name, values in fresh.items():
            self._held.setdefault(name, []).append(values)
        self._in_order = False

    def _outcomes(self, values: Any) -> Any:
        return values if self.numeric else self._classes.codes(values)

    def _sort(self) -> None:
        """The columns in order of time, each in one piece; one after the other, so that none is held twice for long."""
        if not self._in_order:
            order = np.argsort(np.concatenate(self._held["times"]), kind="stable")
            for parts in self._held.values():
                whole = np.concatenate(parts)
                parts[:] = [whole[order]]
        self._in_order = True

    def has(self, columns: Iterable[str]) -> bool:
        """Whether all of these columns are beside the labels that have been taken in."""
        return not self._held or all(f"column {name}" in self._held for name in columns)

    def within(self, window: Window, known_by: float) -> Iterator[LabelledBatch]:
        """The rows of a window whose label is known by an instant, as one batch; nothing where there is none."""
        if not self._held:
            return
        self._sort()
        held = {name: parts[0] for name, parts in self._held.items()}
        low, high = np.searchsorted(held["times"], [window.start, window.end], side="left")
        rows = low + np.flatnonzero(held["came"][low:high] <= known_by)
        if not len(rows):
            return
        picked = {name: values[rows] for name, values in held.items()}
        said, true = (
            values if self.numeric else self._classes.spelled(values)
            for values in (picked["predictions"], picked["labels"])
        )
        columns = {}
        for key, values in picked.items():
            kind, _, name = key.partition(" ")
            if kind == "column":
                columns[name] = self._names[name].spelled(values) if name in self._names else values
        yield LabelledBatch(
            picked["times"], self._versions.spelled(picked["versions"]), said, true, picked["came"], columns
        )
