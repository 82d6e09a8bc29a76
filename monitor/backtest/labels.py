"""A model's labelled rows in memory, in order of event time: numbers as they are, names as codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.records import FloatArray, LabelledBatch, ObjectArray, Window


class Names:
    """A code for each name, in the order they are met."""

    def __init__(self) -> None:
        self._codes: dict[str | None, int] = {}

    def codes(self, names: Any) -> Any:
        """The code of every name, shape (n,), int32."""
        held = self._codes
        return np.fromiter((held.setdefault(name, len(held)) for name in names.tolist()), np.int32, len(names))

    def spelled(self, codes: Any) -> ObjectArray:
        """The names of the codes, shape (n,)."""
        names = np.empty(len(self._codes), dtype=object)
        names[:] = list(self._codes)
        spelled: ObjectArray = names[codes]
        return spelled


@dataclass(slots=True)
class _Columns:
    times: list[FloatArray]
    known: list[FloatArray]
    versions: list[Any]
    predictions: list[Any]
    labels: list[Any]


class LabelledRows:
    """Predictions with their labels, each with the time from which the label is known.

    Args:
        numeric: whether predictions and labels are numbers, or names of classes.
    """

    def __init__(self, *, numeric: bool) -> None:
        self.numeric = numeric
        self._versions, self._classes = Names(), Names()
        self._parts = _Columns([], [], [], [], [])
        self._whole: tuple[Any, ...] | None = None

    def add(self, batch: LabelledBatch, known: FloatArray) -> None:
        """Take rows in, and the time, shape (n,), at which each one's label came: -inf where that is not said."""
        self._parts.times.append(batch.times)
        self._parts.known.append(known)
        self._parts.versions.append(self._versions.codes(batch.versions))
        self._parts.predictions.append(self._held(batch.predictions))
        self._parts.labels.append(self._held(batch.labels))
        self._whole = None

    def _held(self, values: Any) -> Any:
        return values if self.numeric else self._classes.codes(values)

    def _sorted(self) -> tuple[Any, ...]:
        if self._whole is None:
            parts = self._parts
            columns = [parts.times, parts.known, parts.versions, parts.predictions, parts.labels]
            whole = [np.concatenate(column) if column else np.empty(0) for column in columns]
            order = np.argsort(whole[0], kind="stable")
            self._whole = tuple(column[order] for column in whole)
            self._parts = _Columns(*([column] for column in self._whole)) if len(order) else self._parts
        return self._whole

    def within(self, window: Window, known_by: float) -> Iterator[LabelledBatch]:
        """The rows of a window whose label is known by an instant, as one batch; nothing where there is none."""
        times, known, versions, predictions, labels = self._sorted()
        low, high = np.searchsorted(times, [window.start, window.end], side="left")
        rows = low + np.flatnonzero(known[low:high] <= known_by)
        if not len(rows):
            return
        outcomes = [held[rows] if self.numeric else self._classes.spelled(held[rows]) for held in (predictions, labels)]
        yield LabelledBatch(times[rows], self._versions.spelled(versions[rows]), *outcomes)
