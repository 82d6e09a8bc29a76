"""The losses of labelled rows, one by one and in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.check._rows import rows_for
from monitor.check._statistics import statistic
from monitor.config import Model
from monitor.records import FloatArray, LabelledBatch

LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of labelled rows in order of event time.

    Attributes:
        times: shape (n,), Unix seconds; all 0 where a reference has none.
        values: shape (n,), none of them NaN.
    """

    times: FloatArray
    values: FloatArray

    def __len__(self) -> int:
        return len(self.times)

    @property
    def rate(self) -> float:
        """Rows in a second; 0 where times do not tell."""
        covered = float(self.times[-1] - self.times[0]) if len(self) else 0.0
        return len(self) / covered if covered > 0 else 0.0


def losses_of(model: Model, batch: LabelledBatch, loss: str) -> Losses:
    """The loss of each labelled row, in order of event time.

    Raises:
        NoData: labels are of no class that is known, or there are no scores.
    """
    metric = statistic({"error": "accuracy", "log_loss": "log_loss", "absolute_error": "mae"}[loss])
    told = rows_for(model, batch, metric, None)
    outcomes: Any = told.outcomes
    with np.errstate(over="ignore"):
        if loss == "error":
            values = (outcomes.label != outcomes.predicted).astype(np.float64)
        elif loss == "absolute_error":
            values = np.minimum(np.abs(outcomes.errors), LARGEST)
        else:
            # Each row's own loss: its influence on a mean of 0.
            assert metric.influence is not None
            values = metric.influence(outcomes, 0.0) if len(outcomes) else np.zeros(0)
    order = np.lexsort((values, told.times))  # rows of one instant lie in the same order however they are read
    return Losses(told.times[order], values[order])
