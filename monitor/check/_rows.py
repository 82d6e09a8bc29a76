"""A version's labelled rows in the form that each metric takes: whole, and by segment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.check._segments import Segments
from monitor.config import Model
from monitor.records import FloatArray, IntArray, LabelledBatch, NoData, Statistic
from monitor.source._outcomes import CLASS_SCORE, GROUP
from monitor.source._values import coded
from monitor.stats import BinaryOutcomes, ClassOutcomes, NumericOutcomes, Outcomes, RankedOutcomes, decided
from monitor.stats._outcomes import BoolArray

STRAYS = 0.05  # of the rows; a class that has no score and is more frequent than that is one that was forgotten


@dataclass(frozen=True, slots=True)
class Told:
    """The rows that one metric is computed on.

    Attributes:
        outcomes: n of them.
        times: their event times, shape (n,).
        rows: which of the batch's they are, a mask.
        caution: which rows had to be left out, and why; None where that are none to speak of.
    """

    outcomes: Outcomes
    times: FloatArray
    rows: Any
    caution: str | None = None


class Rows:
    """One version's labelled rows. Each form is made once, for all metrics that take it, and so is each cut into segments.

    Args:
        model: whose they are.
        batch: its labelled rows.
        decision: the score from which on a row is taken to be positive; None where the prediction itself says.
    """

    def __init__(self, model: Model, batch: LabelledBatch, decision: float | None) -> None:
        self.model, self.batch, self.decision = model, batch, decision
        self._named = None if model.is_numeric else Named.of(batch)
        self._whole: dict[str, Told | NoData] = {}
        self._parts: dict[tuple[str, tuple[str, ...]], dict[str, Told]] = {}

    def whole(self, statistic: Statistic) -> Told:
        """The rows that a metric can be computed on.

        Raises:
            NoData: labels are of neither of a binary model's classes, or what the metric needs is not there.
        """
        form = _form(self.model, statistic, self.decision)
        if form not in self._whole:
            try:
                self._whole[form] = rows_for(self.model, self.batch, statistic, self.decision, self._named)
            except NoData as reason:
                self._whole[form] = reason
        found = self._whole[form]
        if isinstance(found, NoData):
            raise found
        return found

    def parts(self, statistic: Statistic, segments: Segments) -> dict[str, Told]:
        """The same by segment, of those that are asked for.

        Raises:
            NoData: as `whole`.
        """
        key = _form(self.model, statistic, self.decision), segments.columns
        if key not in self._parts:
            told = self.whole(statistic)
            codes = segments.codes[told.rows]
            outcomes = told.outcomes.parts(codes, len(segments.names))
            order = np.argsort(codes, kind="stable")
            ends = np.searchsorted(codes[order], np.arange(len(segments.names) + 1))
            times = [told.times[order[start:end]] for start, end in pairwise(ends)]
            parts = zip(segments.names, outcomes, times, strict=True)
            self._parts[key] = {name: Told(part, when, None, told.caution) for name, part, when in parts}
        return self._parts[key]


@dataclass(frozen=True, slots=True)
class Named:
    """Labels and predictions as places among the names that occur, shape (n,); -1 where one is missing."""

    label: NDArray[np.int32]
    said: NDArray[np.int32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, batch: LabelledBatch) -> Named:
        """Of a batch whose labels and predictions are names of classes."""
        (label, of_label), (said, of_said) = coded(batch.labels), coded(batch.predictions)
        names = sorted({*of_label, *of_said})
        index = {name: place for place, name in enumerate(names)}
        # The last place of each table is that of what is missing: -1 finds it.
        tables = (np.array([*(index[name] for name in own), -1], dtype=np.int32) for own in (of_label, of_said))
        first, second = (table[codes] for table, codes in zip(tables, (label, said), strict=True))
        return cls(first, second, tuple(names))

    def among(self, rows: BoolArray) -> list[str]:
        """The names that occur in some of the rows, rising."""
        held = np.zeros(len(self.names) + 1, dtype=bool)
        held[self.label[rows]] = True
        held[self.said[rows]] = True
        return [name for name, there in zip(self.names, held, strict=False) if there]

    def places(self, classes: Sequence[str]) -> IntArray:
        """The place of each name in a list of classes, and -1 for those that are not in it; shape (names + 1,)."""
        index = {name: place for place, name in enumerate(classes)}
        return np.array([*(index.get(name, -1) for name in self.names), -1])


def rows_for(
    model: Model, batch: LabelledBatch, statistic: Statistic, decision: float | None, named: Named | None = None
) -> Told:
    """The labelled rows that a metric can be computed on.

    A row without prediction or label is left out, and one without a score where scores are asked for.

    Args:
        model: whose they are.
        batch: its labelled rows.
        statistic: the metric.
        decision: the score from which on a row is taken to be positive; None where the prediction itself says.
        named: the batch's classes, where they are known already.

    Raises:
        NoData: labels are of neither of a binary model's classes.
    """
    form = _form(model, statistic, decision)
    if model.is_numeric:
        return _numeric(model, batch)
    named = named or Named.of(batch)
    if form.startswith("binary"):
        return _binary(model, batch, named, decision, scored=statistic.needs == "scores")
    return _multiclass(batch, named, scored=statistic.needs == "scores")


def _form(model: Model, statistic: Statistic, decision: float | None) -> str:
    """In which form a metric takes rows: those of one form are made once."""
    if model.is_numeric:
        return model.task
    two = model.task == "binary" and (decision is not None or not statistic.symmetric)
    return f"{'binary' if two else 'classes'} {statistic.needs == 'scores'}"


def _numeric(model: Model, batch: LabelledBatch) -> Told:
    label, predicted = batch.labels.astype(np.float64), batch.predictions.astype(np.float64)
    rows = np.isfinite(label) & np.isfinite(predicted)
    if model.task == "regression":
        return Told(NumericOutcomes(label[rows], predicted[rows]), batch.times[rows], rows)
    lists = batch.columns.get(f"{GROUP}{model.columns.query}")
    codes = np.full(len(batch), -1) if lists is None else coded(lists)[0]
    rows &= (codes >= 0) & (label >= 0)
    if len(batch) and not rows.any():
        raise NoData(f"expected a list ({model.columns.query}) and a relevance of at least 0, got none")
    return Told(RankedOutcomes(label[rows], predicted[rows], codes[rows]), batch.times[rows], rows)


def _binary(model: Model, batch: LabelledBatch, named: Named, decision: float | None, *, scored: bool) -> Told:
    rows = (named.label >= 0) & (named.said >= 0)
    score = batch.columns.get(f"{CLASS_SCORE}{model.positive}")
    held = None if score is None else np.asarray(score, dtype=np.float64)
    if scored or decision is not None:
        if held is None or not np.isfinite(held[rows]).any():
            raise NoData(f"no scores ({model.columns.score}) beside the predictions")
        rows &= np.isfinite(held)
    classes = named.among(rows)
    # Of a positive class that was named, the only other one there is must be the negative one.
    unclear = len(classes) > 1 or (model.positive == "1" and classes != ["0"])
    if classes and model.positive not in classes and unclear:
        raise NoData(f"expected the positive class {model.positive!r} (positive), got {', '.join(classes[:5])}")
    positive = named.names.index(model.positive) if model.positive in named.names else len(named.names)
    usable = None if held is None or not np.isfinite(held[rows]).all() else held[rows]
    said = named.said[rows] == positive if decision is None or usable is None else decided(usable, decision)
    outcomes = BinaryOutcomes(named.label[rows] == positive, np.asarray(said, dtype=bool), usable)
    return Told(outcomes, batch.times[rows], rows)


def _multiclass(batch: LabelledBatch, named: Named, *, scored: bool) -> Told:
    rows = (named.label >= 0) & (named.said >= 0)
    if not scored:
        classes, table, caution = named.among(rows), None, None
    else:
        scores = _scores(batch)
        rows &= np.isfinite(np.stack(list(scores.values()))).all(axis=0)
        rows, caution = _without_strays(named, rows, scores)
        classes = sorted(scores)
        table = np.stack([scores[name][rows] for name in classes], axis=1)
    places = named.places(classes)
    outcomes = ClassOutcomes(places[named.label[rows]], places[named.said[rows]], classes, table)
    return Told(outcomes, batch.times[rows], rows, caution)


def _scores(batch: LabelledBatch) -> dict[str, FloatArray]:
    """By class.

    Raises:
        NoData: there are none.
    """
    found = {
        name.removeprefix(CLASS_SCORE): np.asarray(values, dtype=np.float64)
        for name, values in batch.columns.items()
        if name.startswith(CLASS_SCORE)
    }
    if not found:
        raise NoData("no scores by class (columns.score) beside the predictions")
    return found


def _without_strays(named: Named, rows: BoolArray, scores: Collection[str]) -> tuple[BoolArray, str | None]:
    """The rows of classes that have a score; few others are left out, and told.

    Raises:
        NoData: these are not few.
    """
    places = named.places(list(scores))
    strays = rows & ((places[named.label] < 0) | (places[named.said] < 0))
    if not strays.any():
        return rows, None
    names = ", ".join([name for name in named.among(strays) if name not in scores][:5])
    if strays.sum() > STRAYS * rows.sum():
        raise NoData(f"expected a score for every class (columns.score), got none for {names}")
    return (
        rows & ~strays,
        f"without the {int(strays.sum())} rows of {names}, for which there is no score (columns.score)",
    )
