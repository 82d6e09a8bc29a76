"""How well does the model do, on the predictions whose label has come, beside how well it did on its reference?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from monitor.calibrate import significance_level
from monitor.calibrate.losses import Baseline
from monitor.check._context import Context
from monitor.check._metrics import Metric, baselines, rows_for
from monitor.check._statistics import FalseAlarms, Thresholds, keyed_by_statistics, named_statistics, statistic
from monitor.check._verdict import verdict_of
from monitor.config import Model
from monitor.options import Options as _Options
from monitor.records import Finding, LabelledBatch, NoData, Statistic, Verdict
from monitor.source import SourceError
from monitor.stats import threshold_of_costs
from monitor.windows import every_seconds, window_seconds

CHECK = "performance"
WAITS_FOR_LABELS = True
DEFAULT_METRICS = {"regression": ("mae", "rmse"), "binary": ("accuracy",), "multiclass": ("accuracy",)}


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


class Options(_Options):
    """Which metrics, the budget of false alarms, the losses too small to matter, or fixed thresholds (all by metric)."""

    metrics: Annotated[tuple[str, ...], named_statistics("performance")] = ()
    false_alarms: FalseAlarms = FalseAlarms()
    material: Annotated[Mapping[str, Annotated[Floor, BeforeValidator(_floor)]], keyed_by_statistics("performance")] = (
        Field(default={}, json_schema_extra={"additionalProperties": {"type": ["number", "string"]}})
    )
    thresholds: Annotated[Thresholds, keyed_by_statistics("performance")] = {}
    min_labels: Annotated[int, Field(ge=1)] = 200
    average: Literal["macro", "micro", "weighted"] = "macro"
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5
    decision: Decision | None = None


def complaints(options: Options, model: Model) -> Iterator[str]:
    """What in the options does not fit the model's task."""
    for name in options.metrics:
        if model.task not in statistic(name).applies_to:
            fitting = ", ".join(sorted(statistic(name).applies_to))
            yield f"metrics: expected metrics of a {model.task} model, got {name!r}, which is for {fitting}"
    for key in ("thresholds", "material"):
        for name in getattr(options, key):
            if name not in _names(options, model):
                yield f"{key}: expected one of the metrics {', '.join(_names(options, model))}, got {name!r}"
    if options.decision is not None and model.task != "binary":
        yield f"decision: expected a binary model, got a {model.task} one"


def _names(options: Options, model: Model) -> tuple[str, ...]:
    return options.metrics or DEFAULT_METRICS[model.task]


def _metrics(options: Options, model: Model) -> list[Metric]:
    return [
        Metric(name, found := statistic(name), _parameters(options, model, found)) for name in _names(options, model)
    ]


def _parameters(options: Options, model: Model, found: Statistic) -> dict[str, Any]:
    given = {"quantile": options.quantile}
    if model.task == "multiclass":
        given["average"] = options.average  # type: ignore[assignment]
    return {name: value for name, value in given.items() if name in found.parameters}


def prepare(context: Context, options: Options, version: str) -> dict[str, Baseline | str]:
    """What the reference of a version says of each metric; the reason where it says nothing.

    Raises:
        SourceError: its rows cannot be read.
    """
    model = context.model
    metrics = _metrics(options, model)
    try:
        batch = context.reference_outcomes(version)
    except NoData as reason:
        return {metric.name: str(reason) for metric in metrics}
    decision = options.decision.score() if options.decision else None
    return dict(baselines(model, metrics, batch, decision, window_seconds=window_seconds(model.windows)))


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version and metric. It is provisional until the window's labels have matured."""
    model = context.model
    labelled = context.labelled
    provisional = model.labels is not None and context.now < context.window.end + model.labels.mature
    versions = dict.fromkeys([*context.profiles, *labelled])
    metrics = _metrics(options, model)
    for metric in metrics:
        if not versions:
            threshold = options.thresholds.get(metric.name)
            reason = "no predictions in the window"
            about = {"threshold": threshold, "provisional": provisional}
            yield context.finding(CHECK, metric.name, Verdict.NO_DATA, reason, **about)
    active = max(len(set(versions) - context.superseded), 1)
    calibrated = [metric for metric in metrics if metric.name not in options.thresholds]
    level = significance_level(
        at_most=options.false_alarms.at_most,
        per_seconds=options.false_alarms.per,
        every_seconds=every_seconds(model.windows),
        size_seconds=window_seconds(model.windows),
        tests=max(len(calibrated), 1) * active,
    )
    for version in versions:
        known = _known(context, version)
        for metric in metrics:
            batch = labelled.get(version)
            yield _finding(
                context, options, metric, version, batch, known.get(metric.name, ""), level, provisional=provisional
            )


def _known(context: Context, version: str) -> Mapping[str, Baseline | str]:
    if context.model.reference is None:
        return dict.fromkeys(_names(context.model.checks[CHECK].options, context.model), "no reference is configured")
    try:
        found: Mapping[str, Baseline | str] = context.references.prepared(context, CHECK, version)
    except (SourceError, NoData) as reason:
        # A metric with a threshold of its own needs no reference.
        return {name: str(reason) for name in _names(context.model.checks[CHECK].options, context.model)}
    return found


def _finding(
    context: Context,
    options: Options,
    metric: Metric,
    version: str,
    batch: LabelledBatch | None,
    known: Baseline | str,
    level: float,
    *,
    provisional: bool,
) -> Finding:
    baseline = known if isinstance(known, Baseline) else None
    fixed = options.thresholds.get(metric.name)
    about: dict[str, Any] = {"version": version, "threshold": fixed, "provisional": provisional, "rows": 0}
    if baseline is not None:
        about |= {"baseline": baseline.value, "reference_rows": baseline.rows}
    try:
        if batch is None:
            raise NoData(f"expected at least {options.min_labels} labelled rows, got 0")
        decision = options.decision.score() if options.decision else None
        told = rows_for(context.model, batch, metric.statistic, decision)
        rows = about["rows"] = len(told.outcomes)
        if rows < options.min_labels:
            raise NoData(f"expected at least {options.min_labels} labelled rows, got {rows}")
        value = metric.value(told.outcomes)
    except NoData as reason:
        return context.finding(CHECK, metric.name, Verdict.NO_DATA, str(reason), **about)
    inflation = baseline.inflation_of(rows) if baseline is not None else 1.0
    about |= {"value": value, "interval": metric.interval(told.outcomes, value, inflation)}
    if fixed is not None:
        verdict, reason_text = verdict_of(metric.statistic, value, fixed)
        return context.finding(CHECK, metric.name, verdict, reason_text, calibration="fixed", **about)
    if baseline is None:
        reason_text = f"nothing to compare with: {known}"
        return context.finding(CHECK, metric.name, Verdict.NO_DATA, reason_text, **about)
    return _judged(context, options, metric, baseline, level, about)


def _judged(
    context: Context, options: Options, metric: Metric, baseline: Baseline, level: float, about: dict[str, Any]
) -> Finding:
    """By two keys: worse than the reference by more than chance, and by enough to matter."""
    statistic_, rows, value = metric.statistic, about["rows"], about["value"]
    default = Floor(statistic_.default_material or 0.0, statistic_.relative)
    material = options.material.get(metric.name, default).loss(baseline.value)
    critical = baseline.critical(level, rows)
    loss = metric.loss(value, baseline.value)
    threshold = metric.beyond(baseline.value, max(material, critical))
    verdict, reason = verdict_of(statistic_, value, threshold)
    if verdict is Verdict.OK and critical < loss:
        reason = "significant_but_immaterial"
    p_value = baseline.p_value(loss, rows)
    about |= {"threshold": threshold, "material": material, "p_value": p_value}
    return context.finding(CHECK, metric.name, verdict, reason, calibration=f"influence_{baseline.how}", **about)
