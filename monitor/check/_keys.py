"""The two keys of an alert about a metric: how much worse than the reference it is, and what that is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from monitor.calibrate import significance_level
from monitor.calibrate.losses import Baseline
from monitor.check._context import Context
from monitor.check._metrics import Metric
from monitor.check._statistics import FalseAlarms
from monitor.check._verdict import verdict_of
from monitor.options import Options as _Options
from monitor.records import Statistic, Verdict
from monitor.stats import threshold_of_costs
from monitor.windows import every_seconds, window_seconds


@dataclass(frozen=True, slots=True)
class Floor:
    """The loss below which nobody is alerted: in the metric's unit, or as a share of the reference's value."""

    size: float
    relative: bool

    def loss(self, baseline: float) -> float:
        """In the metric's unit."""
        return self.size * abs(baseline) if self.relative else self.size


def _floor(value: Any) -> Any:
    if isinstance(value, Floor):
        return value
    relative = isinstance(value, str) and value.strip().endswith("%")
    try:
        size = float(value.strip()[:-1]) / 100 if relative else float(value)
    except (TypeError, ValueError):
        size = -1.0
    if not 0 <= size < float("inf"):
        raise ValueError(f"expected a loss of at least 0, such as 0.02 or 10%, got {value!r}")
    return Floor(size, relative)


LossFloor = Annotated[Floor, BeforeValidator(_floor)]


def default_floor(statistic: Statistic) -> Floor:
    """What is too small to matter in a metric, where nobody says otherwise."""
    return Floor(statistic.default_material or 0.0, statistic.relative)


class Decision(_Options):
    """From which score on a row is positive: said outright, or as what wrong and right decisions cost."""

    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    costs: tuple[tuple[float, float], tuple[float, float]] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Decision:
        if (self.threshold is None) == (self.costs is None):
            raise ValueError("expected either threshold or costs")
        self.score()
        return self

    def score(self) -> float:
        """The score from which on a row is taken to be positive."""
        return threshold_of_costs(self.costs) if self.costs is not None else float(self.threshold or 0.0)


def level_of(context: Context, budget: FalseAlarms, *, tests: int) -> float:
    """The significance level of one of so many tests at each look, within a budget."""
    windows = context.model.windows
    return significance_level(
        at_most=budget.at_most,
        per_seconds=budget.per,
        every_seconds=every_seconds(windows),
        size_seconds=window_seconds(windows),
        tests=max(tests, 1),
    )


def by_two_keys(
    metric: Metric, baseline: Baseline, value: float, rows: int, *, level: float, floor: Floor
) -> tuple[Verdict, str, dict[str, float]]:
    """Worse than the reference by more than chance, and by enough to matter?

    Args:
        metric: which.
        baseline: what the reference says of it.
        value: of the window.
        rows: it was computed on.
        level: the significance level.
        floor: the loss below which nobody is alerted.

    Returns:
        The verdict, its reason, and `threshold`, `material` and `p_value` as a finding has them.
    """
    material, critical = floor.loss(baseline.value), baseline.critical(level, rows)
    loss = metric.loss(value, baseline.value)
    threshold = metric.beyond(baseline.value, max(material, critical))
    verdict, reason = verdict_of(metric.statistic, value, threshold)
    if verdict is Verdict.OK and critical < loss:
        reason = "significant_but_immaterial"
    return verdict, reason, {"threshold": threshold, "material": material, "p_value": baseline.p_value(loss, rows)}
