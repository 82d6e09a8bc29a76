"""One metric, estimated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monitor.estimate.reliability import ERRORS, Checked
from monitor.records import NoData, Statistic
from monitor.stats._outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Metric:
    """A statistic and what it is asked with."""

    statistic: Statistic
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def of(self, outcomes: Any) -> float:
        """Its value.

        Raises:
            NoData: it has none.
        """
        return float(self.statistic.compute(outcomes, **self.parameters))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric of a window without labels.

    Attributes:
        value: of the metric, in its unit.
        standard_error: by how much the metric of so many rows varies by chance; None where that is not known.
        low: three standard errors below the value, within the metric's range; None likewise.
        high: three above.
        rows: of the window.
    """

    value: float
    standard_error: float | None
    low: float | None
    high: float | None
    rows: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a metric varies between samples of rows like the reference's.

    Attributes:
        metric: which.
        deviation: the standard deviation of its influence function over the reference's rows; None where it has none.
        rows: of the reference.
    """

    metric: Metric
    deviation: float | None
    rows: int

    def estimate(self, value: float, rows: int) -> Estimate:
        """The estimate with its bounds: `value ± 3 deviation / √rows`, as NannyML's.

        They hold the chance in the window. That the reference is a draw as well is not in them; `check` counts it.
        """
        if self.deviation is None:
            return Estimate(value, None, None, None, rows)
        error = self.deviation / math.sqrt(rows)
        statistic = self.metric.statistic
        low, high = max(value - ERRORS * error, statistic.low), min(value + ERRORS * error, statistic.high)
        return Estimate(value, error, low, high, rows)

    def check(self, estimated: float, outcomes: Outcomes) -> Checked:
        """The estimate of labelled rows beside what came true of them.

        Raises:
            NoData: the metric of these rows has no value, or no standard error.
        """
        actual = self.metric.of(outcomes)
        if self.deviation is None:
            raise NoData(f"expected a metric with a standard error, got {self.metric.statistic.name}")
        return Checked(
            estimated, actual, self.deviation / math.sqrt(len(outcomes)), self.deviation / math.sqrt(self.rows)
        )


def sampling(metric: Metric, reference: Outcomes) -> Sampling:
    """Read off the reference how the metric varies.

    The variance of a metric of n independent rows is about the mean square of its influence function over n: of a mean that is
    the variance of its rows, of a ratio the delta method, of the area under the ROC curve DeLong's. NannyML has the same for
    means and proportions; of the ROC curve it takes the variance of the scarcer class's placements alone, which is too little,
    and of F1 a standard error that is too large by the factor 2 / (2 − F1).

    Args:
        metric: which.
        reference: labelled rows.
    """
    statistic = metric.statistic
    try:
        if statistic.influence is None:
            return Sampling(metric, None, len(reference))
        influence = statistic.influence(reference, metric.of(reference), **metric.parameters)
    except NoData:
        return Sampling(metric, None, len(reference))
    with np.errstate(over="ignore"):
        scale = float(np.abs(influence).max())
        deviation = scale * float(np.sqrt(np.mean((influence / scale) ** 2))) if scale > 0 else 0.0
    return Sampling(metric, deviation, len(reference))
