"""Direct loss estimation: how large a regression's errors are, by a model of the errors, before any label has come.

A gradient boosting learns on a labelled reference how the error depends on the features and on the prediction; its mean over
other rows is their metric. As with probabilities, this holds while the relation of features and errors stays what it was.
Source: NannyML 0.13 (DLE), with LightGBM; ours is scikit-learn's boosting on histograms, at LightGBM's defaults.

Fitting needs scikit-learn and some seconds: it belongs in a process of its own. A fitted estimator can be pickled. That process
should be started with `OMP_NUM_THREADS=1`: on a busy machine threads that wait for each other are several times slower.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.estimate._estimate import Estimate, Metric, Sampling, sampling
from monitor.estimate.reliability import Checked
from monitor.records import FloatArray, NoData, Statistic
from monitor.stats._outcomes import BoolArray, NumericOutcomes

LARGEST_ERROR = 1e150  # a larger one is learned as this: its square is still a number
CATEGORIES = 254  # so many of the most frequent ones are told apart: more do not fit into a histogram
LEAST_ROWS = 40  # of a reference: the boosting makes no leaf of fewer than twenty


@dataclass(frozen=True, slots=True)
class _Loss:
    """What is learned of each row, from errors and labels, and what metric the mean of that comes to."""

    of_rows: Callable[[FloatArray, FloatArray], FloatArray]
    metric: Callable[[float], float] = lambda mean: max(mean, 0.0)


def _ratios(errors: FloatArray, label: FloatArray) -> FloatArray:
    """As `mape`: a row whose label is 0 has none."""
    with np.errstate(over="ignore"):
        ratios = np.divide(np.abs(errors), np.abs(label), out=np.full(len(label), np.nan), where=label != 0)
    capped: FloatArray = np.minimum(ratios, LARGEST_ERROR)
    return capped


_LOSSES: Mapping[str, _Loss] = {
    "mae": _Loss(lambda errors, _: np.abs(errors)),
    "rmse": _Loss(lambda errors, _: errors**2, lambda mean: math.sqrt(max(mean, 0.0))),
    "bias": _Loss(lambda errors, _: errors, lambda mean: mean),
    "mape": _Loss(_ratios),
}


def can_estimate(statistic: Statistic) -> bool:
    """Whether a metric can be estimated from a model of the errors: where it comes from a mean over the rows."""
    return statistic.name in _LOSSES


@dataclass(frozen=True, slots=True)
class _Categories:
    """The codes of one categorical feature that are told apart, rising; all others count as missing."""

    codes: FloatArray

    def __call__(self, column: FloatArray) -> FloatArray:
        place = np.clip(np.searchsorted(self.codes, column), 0, max(len(self.codes) - 1, 0))
        known = np.isin(column, self.codes)
        return np.where(known, place, np.nan)


@dataclass(frozen=True, eq=False)
class LossEstimator:
    """Fitted on a reference; made by `fit_loss`.

    Attributes:
        samplings: of each metric that was asked for, in that order.
        models: of the losses, by the metric's name, each beside the unit in which it was learned.
        categories: by the place of a categorical feature.
        features: how many there are.
    """

    samplings: tuple[Sampling, ...]
    models: Mapping[str, tuple[Any, float]]
    categories: Mapping[int, _Categories]
    features: int

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What can be estimated."""
        return tuple(each.metric for each in self.samplings)

    def estimate(self, place: int, features: FloatArray, predicted: FloatArray) -> Estimate:
        """A metric of rows without labels, with bounds.

        Args:
            place: of the metric in `metrics`.
            features: as in `fit_loss`, shape (n, d).
            predicted: what the model said, shape (n,).

        Raises:
            NoData: there is no row.
        """
        return self.samplings[place].estimate(self._value(place, features, predicted), len(predicted))

    def check(self, place: int, features: FloatArray, outcomes: NumericOutcomes) -> Checked:
        """What would have been estimated of labelled rows, beside what came true.

        Raises:
            NoData: there is no row, or nothing that came true.
        """
        return self.samplings[place].check(self._value(place, features, outcomes.predicted), outcomes)

    def _value(self, place: int, features: FloatArray, predicted: FloatArray) -> float:
        if not len(predicted):
            raise NoData("no predictions")
        if features.shape[1] != self.features:
            raise ValueError(f"expected {self.features} features, got {features.shape[1]}")
        name = self.metrics[place].statistic.name
        model, unit = self.models[name]
        mean = float(np.mean(model.predict(_design(features, predicted, self.categories))))
        return _LOSSES[name].metric(mean * unit)


def fit_loss(
    features: FloatArray, reference: NumericOutcomes, metrics: Sequence[Metric], *, categorical: BoolArray, seed: int
) -> LossEstimator:
    """Learn, on a labelled reference, how large the errors are where.

    Args:
        features: the model's own, shape (n, d): numbers, and categories as whole numbers from 0; NaN where one is missing.
        reference: predictions and labels of the same rows.
        metrics: to be estimated, each by a model of its own.
        categorical: which features are categories, shape (d,).
        seed: the same one gives the same estimator.

    Raises:
        NoData: the reference has fewer than 40 rows that a metric could be learned from.
        ValueError: a metric can't be estimated in this way.
        ImportError: scikit-learn is not installed.
    """
    for metric in metrics:
        if not can_estimate(metric.statistic):
            raise ValueError(f"expected one of {', '.join(sorted(_LOSSES))}, got {metric.statistic.name!r}")
    categories = {int(place): _frequent(features[:, place]) for place in np.flatnonzero(categorical)}
    design = _design(features, reference.predicted, categories)
    with np.errstate(over="ignore"):
        errors = np.clip(reference.errors, -LARGEST_ERROR, LARGEST_ERROR)
    models = {
        name: _learned(design, _LOSSES[name].of_rows(errors, reference.label), np.append(categorical, False), seed)
        for name in {metric.statistic.name for metric in metrics}
    }
    samplings = tuple(sampling(metric, reference) for metric in metrics)
    return LossEstimator(samplings, models, categories, features.shape[1])


def _learned(design: FloatArray, loss: FloatArray, categorical: BoolArray, seed: int) -> tuple[Any, float]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    known = np.isfinite(loss)
    if np.count_nonzero(known) < LEAST_ROWS:
        raise NoData(f"expected at least {LEAST_ROWS} reference rows with an error, got {np.count_nonzero(known)}")
    unit = float(np.abs(loss[known]).max()) or 1.0
    model = HistGradientBoostingRegressor(early_stopping=False, categorical_features=categorical, random_state=seed)
    return model.fit(design[known], loss[known] / unit), unit


def _design(features: FloatArray, predicted: FloatArray, categories: Mapping[int, _Categories]) -> FloatArray:
    """Features with categories numbered anew, and the prediction as one more; shape (n, d + 1)."""
    design = np.column_stack([features, predicted])
    for place, renumber in categories.items():
        design[:, place] = renumber(design[:, place])
    return design


def _frequent(column: FloatArray) -> _Categories:
    codes, rows = np.unique(column[~np.isnan(column)], return_counts=True)
    return _Categories(np.sort(codes[np.argsort(-rows, kind="stable")[:CATEGORIES]]))
