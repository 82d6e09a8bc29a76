"""A model's labelled rows as outcomes, and its metrics on them: value, interval, and what a reference says of each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.calibrate.losses import Baseline, baseline_of
from monitor.calibrate.special import normal_quantile
from monitor.check._verdict import measured
from monitor.config import Model
from monitor.profile.reference import Covered
from monitor.profile.stretches import ENOUGH, stretch_seconds
from monitor.records import Direction, FloatArray, IntArray, LabelledBatch, NoData, ObjectArray, Statistic
from monitor.source._outcomes import CLASS_SCORE
from monitor.stats import BinaryOutcomes, ClassOutcomes, NumericOutcomes, Outcomes, decided

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it is asked for.

    Attributes:
        name: as it stands in the configuration.
        statistic: what computes it.
        parameters: the keywords it is given.
    """

    name: str
    statistic: Statistic
    parameters: Mapping[str, Any]

    def value(self, outcomes: Outcomes) -> float:
        """Of these rows.

        Raises:
            NoData: it is not defined for them.
        """
        return measured(self.statistic, outcomes, **self.parameters)

    def influences(self, outcomes: Outcomes, value: float) -> FloatArray | None:
        """What each row does to the value, shape (n,); None where that is not known, or beyond what a float holds."""
        if self.statistic.influence is None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            found: FloatArray = self.statistic.influence(outcomes, value, **self.parameters)
            return found if np.isfinite(found @ found) else None

    def interval(self, outcomes: Outcomes, value: float, inflation: float) -> tuple[float, float] | None:
        """Where the value lies with 95 % confidence, if rows vary so many times more than independent ones.

        A proportion has Wilson's interval (JASA 22, 1927), with that many fewer trials; others the normal one of their
        influences. None where neither is known.
        """
        z = float(normal_quantile(0.5 + CONFIDENCE / 2))
        trials = self.statistic.trials(outcomes, **self.parameters) if self.statistic.trials else 0.0
        if trials > 0:
            independent = trials / inflation
            middle = (value + z**2 / (2 * independent)) / (1 + z**2 / independent)
            root = math.sqrt(value * (1 - value) / independent + z**2 / (4 * independent**2))
            half = z / (1 + z**2 / independent) * root
        else:
            influences = self.influences(outcomes, value)
            if influences is None:
                return None
            middle, half = value, z * math.sqrt(float(influences @ influences) * inflation) / len(outcomes)
        low, high = max(middle - half, self.statistic.low), min(middle + half, self.statistic.high)
        # In whatever order rows come, the same ends are told.
        ends = _rounded(min(low, value)), _rounded(max(high, value))
        return ends if all(map(math.isfinite, ends)) else None

    def loss(self, value: float, baseline: float) -> float:
        """How much worse a value is than that of the reference, in the metric's unit; negative where it is better."""
        if self.statistic.worse is Direction.AWAY_FROM_ZERO:
            return abs(value) - abs(baseline)
        return value - baseline if self.statistic.worse is Direction.HIGHER_IS_WORSE else baseline - value

    def beyond(self, baseline: float, loss: float) -> float:
        """The value that is worse than the reference's by so much."""
        if self.statistic.worse is Direction.AWAY_FROM_ZERO:
            return abs(baseline) + loss
        return baseline + loss if self.statistic.worse is Direction.HIGHER_IS_WORSE else baseline - loss

    def worsening(self, influences: FloatArray, value: float) -> FloatArray:
        """Influences in the direction that is worse."""
        if self.statistic.worse is Direction.AWAY_FROM_ZERO:
            return influences if value >= 0 else -influences
        return influences if self.statistic.worse is Direction.HIGHER_IS_WORSE else -influences


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")


@dataclass(frozen=True, slots=True)
class Told:
    """The rows that one metric is computed on, and their event times, shape (n,)."""

    outcomes: Outcomes
    times: FloatArray


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
    if model.task == "regression":
        label, predicted = batch.labels.astype(np.float64), batch.predictions.astype(np.float64)
        rows = np.isfinite(label) & np.isfinite(predicted)
        return Told(NumericOutcomes(label[rows], predicted[rows]), batch.times[rows])
    rows = _named(batch.labels) & _named(batch.predictions)
    if model.task == "binary" and (decision is not None or not statistic.symmetric):
        return _binary(model, batch, rows, decision, scored=statistic.needs == "scores")
    return _multiclass(batch, rows, scored=statistic.needs == "scores")


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
        if len(classes) > 1 or classes not in (["0"], ["1"]):
            raise NoData(f"expected the positive class {model.positive!r} (positive), got {', '.join(classes[:5])}")
    usable = None if held is None or not np.isfinite(held[rows]).all() else held[rows]
    predicted = said == model.positive if decision is None or usable is None else decided(usable, decision)
    return Told(BinaryOutcomes(label == model.positive, np.asarray(predicted, dtype=bool), usable), batch.times[rows])


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
    if scored and (unscored := set(classes) - set(scores)):
        raise NoData(
            f"expected a score for every class (columns.score), got none for {', '.join(sorted(unscored)[:5])}"
        )
    table = np.stack([scores[name][rows] for name in classes], axis=1) if scored and classes else None
    return Told(ClassOutcomes(_codes(label, classes), _codes(said, classes), classes, table), batch.times[rows])


def _codes(names: ObjectArray, classes: Sequence[str]) -> IntArray:
    index = {name: place for place, name in enumerate(classes)}
    return np.fromiter((index[name] for name in names.tolist()), np.int64, len(names))


def baselines(
    model: Model, metrics: Sequence[Metric], batch: LabelledBatch, decision: float | None, *, window_seconds: float
) -> Iterator[tuple[str, Baseline | str]]:
    """What a reference's labelled rows say of each metric: a baseline, or why there is none."""
    for metric in metrics:
        try:
            told = rows_for(model, batch, metric.statistic, decision)
            value = metric.value(told.outcomes)
        except NoData as reason:
            yield metric.name, f"of the reference: {reason}"
            continue
        influences = metric.influences(told.outcomes, value)
        if influences is None:
            yield metric.name, "nothing is known of how it varies; set a threshold"
            continue
        stretches, parts, dated = cut(told.times, window_seconds)
        worse = metric.worsening(influences, value)
        yield metric.name, baseline_of(value, worse, stretches, parts=parts, dated=dated)


def cut(times: FloatArray, window_seconds: float) -> tuple[IntArray, int, bool]:
    """The stretch of every row, how many of them make a window, and whether rows have times."""
    covered = Covered(window_seconds)
    covered.add(times)
    if covered.seconds <= 0:
        return np.arange(len(times)) * min(ENOUGH, max(len(times), 1)) // max(len(times), 1), ENOUGH // 10, False
    seconds = stretch_seconds(window_seconds, covered.seconds)
    _, places = np.unique(np.floor(times / seconds).astype(np.int64), return_inverse=True)
    return places, max(round(window_seconds / seconds), 1), True
