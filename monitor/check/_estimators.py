"""Estimators of a model's metrics, fitted on its reference, and the rows that they are asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from monitor.check._metrics import Metric
from monitor.check._rows import rows_for
from monitor.check._statistics import statistic
from monitor.config import Model
from monitor.estimate import (
    CalibrationCounts,
    Checked,
    ConfidenceEstimator,
    Estimate,
    LossEstimator,
    fit_confidence,
    fit_loss,
)
from monitor.estimate import Metric as Estimated
from monitor.profile import Reference
from monitor.records import (
    Coded,
    Column,
    ColumnKind,
    EventBatch,
    FloatArray,
    LabelledBatch,
    NoData,
    ObjectArray,
    Role,
)
from monitor.source._outcomes import outcome_columns, outcome_kind
from monitor.stats import BinaryOutcomes, ClassOutcomes, NumericOutcomes

FITTED_ROWS = 100_000  # of a reference: more teach a calibration or a boosting little, and take their time
SEED = 0


@dataclass(frozen=True, slots=True)
class Encoding:
    """Features as one table of numbers.

    Attributes:
        columns: the features, in order.
        names: of each categorical one, the code of every name that the reference has.
    """

    columns: tuple[Column, ...]
    names: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, columns: Sequence[Column], held: Mapping[str, Any]) -> Self:
        """Read off the reference's own rows."""
        kept = tuple(column for column in columns if column.kind in (ColumnKind.NUMERIC, ColumnKind.CATEGORICAL))
        named = [column.name for column in kept if column.kind is ColumnKind.CATEGORICAL]
        return cls(kept, {name: {each: code for code, each in enumerate(_names(held[name]))} for name in named})

    @property
    def categorical(self) -> Any:
        """Which of them are categorical, shape (d,)."""
        return np.array([column.kind is ColumnKind.CATEGORICAL for column in self.columns], dtype=bool)

    def table(self, held: Mapping[str, Any], rows: int) -> FloatArray:
        """The rows' features, shape (n, d); NaN where one is missing, infinite or a name that the reference has not."""
        table = np.full((rows, len(self.columns)), np.nan)
        for place, column in enumerate(self.columns):
            values = held[column.name]
            table[:, place] = _coded(values, self.names[column.name]) if column.name in self.names else values
        table[~np.isfinite(table)] = np.nan
        return table


def _names(values: ObjectArray | Coded) -> list[str]:
    held = values.names if isinstance(values, Coded) else dict.fromkeys(values.tolist())
    return sorted(name for name in held if name is not None)


def _coded(values: ObjectArray | Coded, names: Mapping[str, int]) -> FloatArray:
    if isinstance(values, Coded):
        known = np.array([*(names.get(name, np.nan) for name in values.names), np.nan])
        return known[values.codes]
    return np.fromiter((names.get(name, np.nan) for name in values.tolist()), np.float64, len(values))


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows that an estimator is asked about; the labels count only where they are checked.

    Attributes:
        outcomes: of the rows.
        features: of the same rows, shape (n, d); None where scores tell all.
    """

    outcomes: BinaryOutcomes | ClassOutcomes | NumericOutcomes
    features: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.outcomes)


@dataclass(frozen=True, eq=False)
class ByConfidence:
    """Metrics of a classifier, from its scores.

    Attributes:
        estimator: of all metrics.
        places: of each in the estimator.
        decision: the score from which on a row is taken to be positive; None where the prediction says.
    """

    estimator: ConfidenceEstimator
    places: Mapping[str, int]
    decision: float | None

    @classmethod
    def fitted(cls, model: Model, metrics: Sequence[Metric], batch: LabelledBatch, decision: float | None) -> Self:
        """Fit on a reference.

        Raises:
            NoData: it has no scores.
        """
        outcomes: Any = rows_for(model, _thinned(batch), statistic("roc_auc"), decision).outcomes
        if not len(outcomes):
            raise NoData("expected reference rows with a label, got none")
        wanted = [Estimated(each.statistic, each.parameters) for each in metrics]
        estimator = fit_confidence(outcomes, wanted, np.random.default_rng(SEED))
        return cls(estimator, {each.name: place for place, each in enumerate(metrics)}, decision)

    def columns(self, model: Model) -> tuple[Column, ...]:
        """What it wants to know of a row beside the prediction."""
        return outcome_columns(model)

    def asked(self, model: Model, batch: LabelledBatch) -> Asked:
        """The rows of a batch that have a score.

        Raises:
            NoData: none has.
        """
        outcomes: Any = rows_for(model, batch, statistic("roc_auc"), self.decision).outcomes
        return Asked(outcomes)

    def estimate(self, name: str, asked: Asked) -> Estimate:
        """A metric of these rows.

        Raises:
            NoData: it has no value.
        """
        outcomes: Any = asked.outcomes
        scores: Any = outcomes.score if isinstance(outcomes, BinaryOutcomes) else outcomes.scores
        return self.estimator.estimate(self.places[name], self.estimator.rows(outcomes.predicted, scores))

    def check(self, name: str, asked: Asked) -> Checked:
        """What it would have said of labelled rows, beside what came true.

        Raises:
            NoData: there is no value to compare.
        """
        outcomes: Any = asked.outcomes
        return self.estimator.check(self.places[name], outcomes)

    def calibration(self, asked: Asked) -> CalibrationCounts | None:
        """How the probabilities of labelled rows fared."""
        outcomes: Any = asked.outcomes
        return self.estimator.calibration(outcomes)


@dataclass(frozen=True, eq=False)
class ByLoss:
    """Metrics of a regression, from its features.

    Attributes:
        encoding: of the features.
        estimators: of each metric, or why it has none.
    """

    encoding: Encoding
    estimators: Mapping[str, LossEstimator | str]

    @classmethod
    def fitted(cls, metrics: Sequence[Metric], batch: LabelledBatch, columns: Sequence[Column]) -> Self:
        """Fit on a reference: one estimator for each metric, so that one without a value stops no other.

        Raises:
            ImportError: scikit-learn is not installed.
        """
        batch = _thinned(_numbered(batch))
        encoding = Encoding.of(columns, batch.columns)
        found: dict[str, LossEstimator | str] = {}
        outcomes = NumericOutcomes(_floats(batch.labels), _floats(batch.predictions))
        table = encoding.table(batch.columns, len(batch))
        for metric in metrics:
            try:
                wanted = [Estimated(metric.statistic, metric.parameters)]
                found[metric.name] = fit_loss(table, outcomes, wanted, categorical=encoding.categorical, seed=SEED)
            except NoData as reason:
                found[metric.name] = str(reason)
        return cls(encoding, found)

    def columns(self, model: Model) -> tuple[Column, ...]:  # noqa: ARG002 - it is asked as the other one is
        """What it wants to know of a row beside the prediction."""
        return self.encoding.columns

    def asked(self, model: Model, batch: LabelledBatch) -> Asked:  # noqa: ARG002
        """The rows of a batch whose prediction and label are numbers, with their features."""
        batch = _numbered(batch)
        outcomes = NumericOutcomes(_floats(batch.labels), _floats(batch.predictions))
        return Asked(outcomes, self.encoding.table(batch.columns, len(batch)))

    def estimate(self, name: str, asked: Asked) -> Estimate:
        """A metric of these rows.

        Raises:
            NoData: it has no value.
        """
        assert asked.features is not None  # they were asked for
        predicted: Any = asked.outcomes.predicted
        return self._of(name).estimate(0, asked.features, predicted)

    def check(self, name: str, asked: Asked) -> Checked:
        """What it would have said of labelled rows, beside what came true.

        Raises:
            NoData: there is no value to compare.
        """
        assert asked.features is not None  # they were asked for
        outcomes: Any = asked.outcomes
        return self._of(name).check(0, asked.features, outcomes)

    def calibration(self, asked: Asked) -> None:  # noqa: ARG002
        """It states no probabilities."""
        return

    def _of(self, name: str) -> LossEstimator:
        found = self.estimators[name]
        if isinstance(found, str):
            raise NoData(found)
        return found


Estimator = ByConfidence | ByLoss


def features_of(reference: Reference) -> tuple[Column, ...]:
    """The features that errors are modelled by: those of a reference that hold numbers or names."""
    kinds = (ColumnKind.NUMERIC, ColumnKind.CATEGORICAL)
    return tuple(
        column
        for column in reference.columns
        if column.role is Role.FEATURE and column.kind in kinds and column.name not in reference.unusable
    )


def read_columns(model: Model, estimator: Estimator) -> tuple[Column, ...]:
    """What is read of rows without a label: the prediction, and what the estimator wants beside it."""
    prediction = Column(Role.PREDICTION.value, outcome_kind(model), role=Role.PREDICTION)
    return (prediction, *estimator.columns(model))


def unlabelled(model: Model, batch: EventBatch) -> LabelledBatch:
    """Rows without a label in the form of those that have one; what stands in its place is looked at by nobody."""
    said: Any = batch.features[Role.PREDICTION.value]
    said = said.spelled() if isinstance(said, Coded) else said
    # A window may well have no row that is predicted positive: then this says that the class is known all the same.
    labels = np.full(len(batch), model.positive, dtype=object) if model.task == "binary" else said
    versions = np.full(len(batch), batch.version, dtype=object)
    return LabelledBatch(batch.times, versions, said, labels, batch.times, batch.features)


def _thinned(batch: LabelledBatch) -> LabelledBatch:
    """At most so many rows as an estimator is fitted on, evenly spread."""
    if len(batch) <= FITTED_ROWS:
        return batch
    return batch.take(np.arange(FITTED_ROWS) * len(batch) // FITTED_ROWS)


def _numbered(batch: LabelledBatch) -> LabelledBatch:
    """The rows whose prediction and label are numbers."""
    return batch.take(np.isfinite(_floats(batch.labels)) & np.isfinite(_floats(batch.predictions)))


def _floats(values: FloatArray | ObjectArray) -> FloatArray:
    return values.astype(np.float64)
