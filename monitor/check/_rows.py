"""A version's labelled rows in the form that each metric takes: whole, and by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from monitor.check._segments import Segments
from monitor.config import Model
from monitor.records import FloatArray, IntArray, LabelledBatch, NoData, ObjectArray, Statistic
from monitor.source._outcomes import CLASS_SCORE, GROUP
from monitor.source._values import coded
from monitor.stats import BinaryOutcomes, ClassOutcomes, NumericOutcomes, Outcomes, RankedOutcomes, decided

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
                self._whole[form] = rows_for(self.model, self.batch, statistic, self.decision)
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


def rows_for(model: Model, batch: LabelledBatch, statistic: Statistic, decision: float | None) -> Told:
    """The labelled rows that a metric can be computed on.

    A row without prediction or label is left out, and one without a score where scores are asked for.

    Args:
        model: whose they are.
        batch: its labelled rows.
        statistic: the metric.
        decision: the score from which on a row is taken to be positive; None where the prediction itself says.

    Raises:
        NoData: labels are of neither of a binary model's classes.
    """
    form = _form(model, statistic, decision)
    if model.is_numeric:
        return _numeric(model, batch)
    rows = _named(batch.labels) & _named(batch.predictions)
    if form.startswith("binary"):
        return _binary(model, batch, rows, decision, scored=statistic.needs == "scores")
    return _multiclass(batch, rows, scored=statistic.needs == "scores")


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


def _named(values: Any) -> Any:
    return np.fromiter((value is not None for value in values.tolist()), bool, len(values))


def _binary(model: Model, batch: LabelledBatch, rows: Any, decision: float | None, *, scored: bool) -> Told:
    score = batch.columns.get(f"{CLASS_SCORE}{model.positive}")
    held = None if score is None else np.asarray(score, dtype=np.float64)
    if scored or decision is not None:
        if held is None or not np.isfinite(held[rows]).any():
            raise NoData(f"no scores ({model.columns.score}) beside the predictions")
        rows = rows & np.isfinite(held)
    label, said = batch.labels[rows], batch.predictions[rows]
    if len(label) and model.positive not in {*label.tolist(), *said.tolist()}:
        classes = sorted({*map(str, label.tolist()), *map(str, said.tolist())})
        # Of a positive class that was named, the only other one there is must be the negative one.
        if len(classes) > 1 or (model.positive == "1" and classes != ["0"]):
            raise NoData(f"expected the positive class {model.positive!r} (positive), got {', '.join(classes[:5])}")
    usable = None if held is None or not np.isfinite(held[rows]).all() else held[rows]
    predicted = said == model.positive if decision is None or usable is None else decided(usable, decision)
    outcomes = BinaryOutcomes(label == model.positive, np.asarray(predicted, dtype=bool), usable)
    return Told(outcomes, batch.times[rows], rows)


def _multiclass(batch: LabelledBatch, rows: Any, *, scored: bool) -> Told:
    scores = {
        name.removeprefix(CLASS_SCORE): np.asarray(values, dtype=np.float64)
        for name, values in batch.columns.items()
        if name.startswith(CLASS_SCORE)
    }
    if scored:
        if not scores:
            raise NoData("no scores by class (columns.score) beside the predictions")
        rows = rows & np.isfinite(np.stack(list(scores.values()))).all(axis=0)
    label, said = batch.labels[rows], batch.predictions[rows]
    classes = sorted({*label.tolist(), *said.tolist()} | (set(scores) if scored else set()))
    caution = None
    if scored and (unscored := set(classes) - set(scores)):
        names = ", ".join(sorted(unscored)[:5])
        strays = np.fromiter((each in unscored for each in label.tolist()), bool, len(label))
        strays |= np.fromiter((each in unscored for each in said.tolist()), bool, len(said))
        if strays.mean() > STRAYS:
            raise NoData(f"expected a score for every class (columns.score), got none for {names}")
        caution = f"without the {int(strays.sum())} rows of {names}, for which there is no score (columns.score)"
        rows = np.flatnonzero(rows)[~strays] if rows.dtype == bool else rows[~strays]
        mask = np.zeros(len(batch), dtype=bool)
        mask[rows] = True
        rows, classes = mask, sorted(scores)
        label, said = batch.labels[rows], batch.predictions[rows]
    table = np.stack([scores[name][rows] for name in classes], axis=1) if scored and classes else None
    outcomes = ClassOutcomes(_codes(label, classes), _codes(said, classes), classes, table)
    return Told(outcomes, batch.times[rows], rows, caution)


def _codes(names: ObjectArray, classes: Sequence[str]) -> IntArray:
    index = {name: place for place, name in enumerate(classes)}
    return np.fromiter((index[name] for name in names.tolist()), np.int64, len(names))
