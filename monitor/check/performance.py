"""How well does the model do, on the predictions whose label has come, beside how well it did on its reference?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from monitor.calibrate.losses import Baseline
from monitor.check._confusion import by_class
from monitor.check._context import Context
from monitor.check._keys import Decision, LossFloor, by_two_keys, default_floor, level_of
from monitor.check._metrics import Metric, baseline
from monitor.check._rows import Rows, Told
from monitor.check._segments import segments_of
from monitor.check._statistics import (
    FalseAlarms,
    Thresholds,
    keyed_by_statistics,
    named_statistics,
    statistic,
    with_depth,
)
from monitor.check._verdict import verdict_of
from monitor.config import Model
from monitor.options import Options as _Options
from monitor.records import Column, Finding, NoData, Statistic, Verdict
from monitor.source import SourceError
from monitor.source._outcomes import group_columns
from monitor.stats import RankedOutcomes
from monitor.windows import look_ages, window_seconds

CHECK = "performance"
WAITS_FOR_LABELS = True
DEFAULT_METRICS = {
    "regression": ("mae", "rmse"),
    "binary": ("accuracy",),
    "multiclass": ("accuracy",),
    "ranking": ("ndcg@10",),
}
FEWEST_OF_SEGMENT = 100  # with fewer rows of a segment, a reference says too little of how it varies


class Options(_Options):
    """Which metrics, the budget of false alarms, the losses too small to matter, or fixed thresholds (all by metric)."""

    metrics: Annotated[tuple[str, ...], named_statistics("performance")] = ()
    false_alarms: FalseAlarms = FalseAlarms()
    material: Annotated[Mapping[str, LossFloor], keyed_by_statistics("performance")] = Field(
        default={}, json_schema_extra={"additionalProperties": {"type": ["number", "string"]}}
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


def columns(_options: Options, model: Model) -> tuple[Column, ...]:
    """What is needed beside predictions and labels: the list of each item of a ranking."""
    return group_columns([model.columns.query] if model.task == "ranking" else [])


def _names(options: Options, model: Model) -> tuple[str, ...]:
    return options.metrics or DEFAULT_METRICS[model.task]


def metrics_of(options: Any, model: Model, names: Sequence[str]) -> list[Metric]:
    """Metrics by name, with what the options (`quantile`, `average`) say of how they are computed."""
    return [Metric(name, found := statistic(name), _parameters(options, model, name, found)) for name in names]


def _parameters(options: Any, model: Model, name: str, found: Statistic) -> dict[str, Any]:
    given: dict[str, Any] = {"quantile": options.quantile, "k": with_depth(name)[1]}
    if model.task == "multiclass":
        given["average"] = options.average
    return {key: value for key, value in given.items() if key in found.parameters}


Known = Mapping[str | None, Mapping[str, Baseline | str]]


def prepare(context: Context, options: Options, version: str) -> Known:
    """What the reference of a version says of each metric, by segment (None: of the whole); the reason where it says nothing.

    Raises:
        SourceError: its rows cannot be read.
    """
    model, size = context.model, window_seconds(context.model.windows)
    metrics = metrics_of(options, model, _names(options, model))
    try:
        batch = context.reference_outcomes(version)
    except NoData as reason:
        return {None: {metric.name: str(reason) for metric in metrics}}
    rows = Rows(model, batch, options.decision.score() if options.decision else None)
    known: dict[str | None, dict[str, Baseline | str]] = {
        None: {metric.name: baseline(metric, partial(rows.whole, metric.statistic), size) for metric in metrics}
    }
    for segments in segments_of(model, batch):
        for segment in segments.names:
            known[segment] = {
                metric.name: baseline(metric, lambda m=metric, s=segments, n=segment: _of_segment(rows, m, s, n), size)  # type: ignore[misc]
                for metric in metrics
            }
    return known


def _of_segment(rows: Rows, metric: Metric, segments: Any, name: str) -> Told:
    told: Told = rows.parts(metric.statistic, segments)[name]
    if len(told.outcomes) < FEWEST_OF_SEGMENT:
        raise NoData(f"expected at least {FEWEST_OF_SEGMENT} labelled rows, got {len(told.outcomes)}")
    return told


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version, metric and segment. It is provisional until the window's labels have matured."""
    model = context.model
    versions = dict.fromkeys([*context.profiles, *context.labelled])
    metrics = metrics_of(options, model, _names(options, model))
    for metric in metrics:
        if not versions:
            threshold = options.thresholds.get(metric.name)
            about = {"threshold": threshold, "provisional": context.is_provisional}
            yield context.finding(CHECK, metric.name, Verdict.NO_DATA, "no predictions in the window", **about)
    active = max(len(set(versions) - context.superseded), 1)
    for version in versions:
        yield from _Judgement(context, options, metrics, version, active).findings()


class _Judgement:
    """One version's metrics on a window, whole and by segment, beside those of its reference."""

    def __init__(
        self, context: Context, options: Options, metrics: Sequence[Metric], version: str, active: int
    ) -> None:
        self.context, self.options, self.metrics, self.version = context, options, metrics, version
        self.known = self._reference()
        model, batch = context.model, context.labelled.get(version)
        self.rows = (
            None if batch is None else Rows(model, batch, options.decision.score() if options.decision else None)
        )
        self.segments = [] if batch is None else list(segments_of(model, batch, {name for name in self.known if name}))
        self.levels = self._levels(active)

    def _levels(self, active: int) -> tuple[float, float]:
        """The significance level of the whole, and of a segment: where there are segments, they share half of the budget."""
        model = self.context.model
        # A window is looked at again as its labels come.
        looks = len(look_ages(model.windows, model.labels.mature if model.labels else 0.0))
        calibrated = [metric for metric in self.metrics if metric.name not in self.options.thresholds]
        tests, segments = len(calibrated) * active * looks, len(self.known) - 1
        whole = level_of(self.context, self.options.false_alarms, tests=2 * tests if segments else tests)
        return whole, level_of(self.context, self.options.false_alarms, tests=2 * tests * max(segments, 1))

    def _reference(self) -> Known:
        context = self.context
        if context.model.reference is None:
            return {None: dict.fromkeys([metric.name for metric in self.metrics], "no reference is configured")}
        try:
            found: Known = context.references.prepared(context, CHECK, self.version)
        except (SourceError, NoData) as reason:
            # A metric with a threshold of its own needs no reference.
            return {None: dict.fromkeys([metric.name for metric in self.metrics], str(reason))}
        return found

    def findings(self) -> Iterator[Finding]:
        """Of the whole first, then of every segment."""
        for metric in self.metrics:
            yield self._finding(metric, None, self._whole)
        heard: set[str | None] = {None}
        for segments in self.segments:
            heard.update(segments.names)
            self.context.omit(CHECK, segments.omitted)
            for segment in segments.names:
                for metric in self.metrics:
                    yield self._finding(
                        metric, segment, lambda m, s=segments, n=segment: self._rows().parts(m.statistic, s)[n]  # type: ignore[misc]
                    )  # fmt: skip

        # A segment of which no labelled row has come is not well because nobody speaks of it.
        for known in self.known:
            for metric in self.metrics if known not in heard else ():
                yield self._finding(metric, known, self._nothing)

    def _nothing(self, _: Metric) -> Told:
        raise NoData(f"expected at least {self.options.min_labels} labelled rows, got 0")

    def _rows(self) -> Rows:
        if self.rows is None:
            raise NoData(f"expected at least {self.options.min_labels} labelled rows, got 0")
        return self.rows

    def _whole(self, metric: Metric) -> Told:
        return self._rows().whole(metric.statistic)

    def _finding(self, metric: Metric, segment: str | None, tell: Callable[[Metric], Told]) -> Finding:
        context, options = self.context, self.options
        known = self.known.get(segment, {}).get(metric.name, "the reference has no such segment")
        fixed = options.thresholds.get(metric.name)
        about: dict[str, Any] = {
            "version": self.version, "segment": segment, "threshold": fixed, "rows": 0,
            "provisional": context.is_provisional, "caution": context.selection.get(self.version),
        }  # fmt: skip
        floor = options.material.get(metric.name) or default_floor(metric.statistic)
        if isinstance(known, Baseline):
            about |= {"baseline": known.value, "reference_rows": known.rows}
            if fixed is None:
                # So it is seen that there is something to judge, also where nothing can be told.
                material = floor.loss(known.value)
                about |= {"threshold": metric.beyond(known.value, material), "material": material}
        try:
            told = tell(metric)
            outcomes = told.outcomes
            rows = about["rows"] = len(outcomes)
            about["caution"] = "; ".join(filter(None, (about["caution"], told.caution))) or None
            units, what = rows, "labelled rows"
            if isinstance(outcomes, RankedOutcomes):
                units, what = len(np.unique(outcomes.lists)), "lists"
            if units < options.min_labels:
                raise NoData(f"expected at least {options.min_labels} {what}, got {units}")
            value = metric.value(outcomes)
        except NoData as reason:
            return context.finding(CHECK, metric.name, Verdict.NO_DATA, str(reason), **about)
        inflation = known.inflation_of(rows) if isinstance(known, Baseline) else 1.0
        about |= {"value": value, "interval": metric.interval(outcomes, value, inflation)}
        if segment is None:
            about["parts"] = by_class(metric, outcomes, context.model.positive)
        if fixed is not None:
            verdict, reason_text = verdict_of(metric.statistic, value, fixed)
            return context.finding(CHECK, metric.name, verdict, reason_text, calibration="fixed", **about)
        if not isinstance(known, Baseline):
            return context.finding(CHECK, metric.name, Verdict.NO_DATA, f"nothing to compare with: {known}", **about)
        level = self.levels[segment is not None]
        verdict, reason_text, keys = by_two_keys(metric, known, value, rows, level=level, floor=floor)
        how = f"influence_{known.how}"
        return context.finding(CHECK, metric.name, verdict, reason_text, calibration=how, **about | keys)
