"""A model's metrics on labelled rows: value, interval, and what a reference says of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.calibrate.losses import Baseline, baseline_of
from monitor.calibrate.special import normal_quantile
from monitor.check._rows import Rows, Told
from monitor.check._verdict import measured
from monitor.config import Model
from monitor.profile.reference import Covered
from monitor.profile.stretches import ENOUGH, stretch_seconds
from monitor.records import Direction, FloatArray, IntArray, LabelledBatch, NoData, Statistic
from monitor.stats import Outcomes

CONFIDENCE = 0.95
FEWEST_REFERENCE_ROWS = 30  # fewer say next to nothing of how a metric varies


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

    def failure(self, outcomes: Outcomes, value: float) -> float | None:
        """Of a plain proportion, what one row that fails does to it, in the direction that is worse; None for other metrics."""
        trials = self.statistic.trials(outcomes, **self.parameters) if self.statistic.trials else 0.0
        if trials <= 0:
            return None
        lost = value if self.statistic.worse is Direction.LOWER_IS_WORSE else 1 - value
        return lost * len(outcomes) / trials

    def worsening(self, influences: FloatArray, value: float) -> FloatArray:
        """Influences in the direction that is worse."""
        if self.statistic.worse is Direction.AWAY_FROM_ZERO:
            return influences if value >= 0 else -influences
        return influences if self.statistic.worse is Direction.HIGHER_IS_WORSE else -influences


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")


def baselines(
    model: Model, metrics: Sequence[Metric], batch: LabelledBatch, decision: float | None, *, window_seconds: float
) -> Iterator[tuple[str, Baseline | str]]:
    """What a reference's labelled rows say of each metric: a baseline, or why there is none."""
    rows = Rows(model, batch, decision)
    for metric in metrics:
        yield metric.name, baseline(metric, lambda metric=metric: rows.whole(metric.statistic), window_seconds)  # type: ignore[misc]


def baseline(metric: Metric, tell: Callable[[], Told], window_seconds: float) -> Baseline | str:
    """What rows of a reference say of a metric, or why they say nothing; `tell` gives these rows."""
    try:
        told = tell()
        if len(told.outcomes) < FEWEST_REFERENCE_ROWS:
            raise NoData(f"expected at least {FEWEST_REFERENCE_ROWS} labelled rows, got {len(told.outcomes)}")
        value = metric.value(told.outcomes)
    except NoData as reason:
        return f"of the reference: {reason}"
    influences = metric.influences(told.outcomes, value)
    if influences is None:
        return "nothing is known of how it varies; set a threshold"
    stretches, parts, dated = cut(told.times, window_seconds)
    worse, failure = metric.worsening(influences, value), metric.failure(told.outcomes, value)
    return baseline_of(value, worse, stretches, parts=parts, dated=dated, failure=failure)


def cut(times: FloatArray, window_seconds: float) -> tuple[IntArray, int, bool]:
    """The stretch of every row, how many of them make a window, and whether rows have times."""
    covered = Covered(window_seconds)
    covered.add(times)
    if covered.seconds <= 0:
        return np.arange(len(times)) * min(ENOUGH, max(len(times), 1)) // max(len(times), 1), ENOUGH // 10, False
    seconds = stretch_seconds(window_seconds, covered.seconds)
    _, places = np.unique(np.floor(times / seconds).astype(np.int64), return_inverse=True)
    return places, max(round(window_seconds / seconds), 1), True
