"""How well does the model do, as far as can be told before labels come, and may that be relied on?"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from monitor.calibrate.losses import Baseline
from monitor.check._context import Context
from monitor.check._estimators import (
    Asked,
    ByConfidence,
    ByLoss,
    Estimator,
    features_of,
    read_columns,
    unlabelled,
)
from monitor.check._keys import Decision, Floor, LossFloor, by_two_keys, default_floor, level_of
from monitor.check._metrics import Metric, baselines
from monitor.check._statistics import (
    FalseAlarms,
    Thresholds,
    keyed_by_statistics,
    named_statistics,
    of_family,
    statistic,
)
from monitor.check._track_record import track_record
from monitor.check._verdict import verdict_of
from monitor.config import Model
from monitor.estimate import Estimate, Trust, confidence, loss
from monitor.options import Options as _Options
from monitor.records import Finding, NoData, Statistic, Verdict, Window
from monitor.source import SourceError
from monitor.source._outcomes import outcome_columns
from monitor.windows import window_seconds

CHECK = "estimation"
HEAVY = True
DEFAULT_METRICS = {
    "regression": ("mae", "rmse"),
    "binary": ("roc_auc", "accuracy"),
    "multiclass": ("roc_auc", "accuracy"),
}
MOST_ROWS = 200_000  # of a window: more move no estimate that matters
WITHOUT_SKLEARN = "scikit-learn is not installed, which models the errors: pip install 'anchorwatch[reports]'"


class Options(_Options):
    """Which metrics, the budget of false alarms, the losses too small to matter, or fixed thresholds (all by metric).

    The estimator is checked on so many `windows` whose labels have matured.
    """

    metrics: Annotated[tuple[str, ...], named_statistics("performance")] = ()
    false_alarms: FalseAlarms = FalseAlarms()
    material: Annotated[Mapping[str, LossFloor], keyed_by_statistics("performance")] = Field(
        default={}, json_schema_extra={"additionalProperties": {"type": ["number", "string"]}}
    )
    thresholds: Annotated[Thresholds, keyed_by_statistics("performance")] = {}
    min_rows: Annotated[int, Field(ge=1)] = 200
    windows: Annotated[int, Field(ge=1, le=50)] = 3
    average: Literal["macro", "micro", "weighted"] = "macro"
    decision: Decision | None = None


def complaints(options: Options, model: Model) -> Iterator[str]:
    """What in the options does not fit the model's task, or cannot be estimated."""
    if model.task not in DEFAULT_METRICS:
        yield f"expected a binary, multiclass or regression model, got a {model.task} one"
        return
    for name in options.metrics:
        if not _can_estimate(model, statistic(name)):
            yield f"metrics: expected metrics that can be estimated of a {model.task} model ({_known(model)}), got {name!r}"
    for key in ("thresholds", "material"):
        for name in getattr(options, key):
            if name not in _names(options, model):
                yield f"{key}: expected one of the metrics {', '.join(_names(options, model))}, got {name!r}"
    if options.decision is not None and model.task != "binary":
        yield f"decision: expected a binary model, got a {model.task} one"
    if model.task == "multiclass" and not outcome_columns(model):
        yield "expected the score of every class (columns.score: {class: column}), got one column for all"


def _can_estimate(model: Model, found: Statistic) -> bool:
    how = loss if model.task == "regression" else confidence
    return model.task in found.applies_to and how.can_estimate(found)


def _known(model: Model) -> str:
    return ", ".join(found.name for found in of_family("performance") if _can_estimate(model, found))


def _names(options: Options, model: Model) -> tuple[str, ...]:
    return options.metrics or DEFAULT_METRICS[model.task]


def _metrics(options: Options, model: Model) -> list[Metric]:
    found = [(name, statistic(name)) for name in _names(options, model)]
    averaged = {"average": options.average} if model.task == "multiclass" else {}
    return [Metric(name, each, averaged if "average" in each.parameters else {}) for name, each in found]


# --- the reference ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a reference says.

    Attributes:
        estimator: fitted on it.
        baselines: of each metric, or why it has none.
        covered: from its first row to its last; None where rows have no times.
    """

    estimator: Estimator
    baselines: Mapping[str, Baseline | str]
    covered: Window | None


def prepare(context: Context, options: Options, version: str) -> Prepared | str:
    """The estimator of a version and what its reference says of each metric; the reason where there is none.

    Raises:
        SourceError: the reference's rows cannot be read.
        ImportError: scikit-learn is not installed, and the model is a regression.
    """
    model, metrics = context.model, _metrics(options, context.model)
    decision = options.decision.score() if options.decision else None
    reference = context.references(version)
    if reference is None:
        return "no reference is configured"
    columns = features_of(reference) if model.task == "regression" else ()
    try:
        batch = context.reference_outcomes(version, more=columns)
        estimator: Estimator
        if model.task == "regression":
            estimator = ByLoss.fitted(metrics, batch, columns)
        else:
            estimator = ByConfidence.fitted(model, metrics, batch, decision)
    except NoData as reason:
        return str(reason)
    size = window_seconds(model.windows)
    first, last = float(batch.times.min()), float(batch.times.max())
    covered = Window(first, last) if first < last else None
    return Prepared(estimator, dict(baselines(model, metrics, batch, decision, window_seconds=size)), covered)


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version and metric, on the newest window, whether its labels have come or not."""
    names, versions = _names(options, context.model), list(context.profiles)
    for name in names if not versions else ():
        yield context.finding(
            CHECK, name, Verdict.NO_DATA, "no predictions in the window", threshold=options.thresholds.get(name)
        )
    active = max(len(set(versions) - context.superseded), 1)
    level = level_of(context, options.false_alarms, tests=max(len(set(names) - set(options.thresholds)), 1) * active)
    for version in versions:
        if context.references(version) is None:
            for name in names:
                yield context.without_reference(CHECK, name, version, 0)
            continue
        try:
            judgement = _Judgement(context, options, version, level)
        except (NoData, SourceError) as error:
            verdict = Verdict.ERROR if isinstance(error, SourceError) else Verdict.NO_DATA
            for name in names:
                about = {"version": version, "threshold": options.thresholds.get(name)}
                yield context.finding(CHECK, name, verdict, str(error), **about)
            continue
        for metric in _metrics(options, context.model):
            yield judgement.finding(metric)


class _Judgement:
    """One version's estimates, and whether they may be relied on.

    Raises:
        NoData: there is nothing to estimate by.
        SourceError: rows cannot be read, or scikit-learn is missing.
    """

    def __init__(self, context: Context, options: Options, version: str, level: float) -> None:
        self.context, self.options, self.version, self.level = context, options, version, level
        if context.model.task == "regression" and importlib.util.find_spec("sklearn") is None:
            raise SourceError(WITHOUT_SKLEARN)
        prepared: Prepared | str = context.references.prepared(context, CHECK, version)
        if isinstance(prepared, str):
            raise NoData(f"nothing to estimate by: {prepared}")
        self.estimator, self.baselines = prepared.estimator, prepared.baselines
        self.asked = self._asked()
        self.record = track_record(
            context, version, self.estimator, tuple(self.baselines), options.windows, fitted_on=prepared.covered
        )

    def _asked(self) -> Asked | str:
        """The window's rows, or why there are none."""
        model, context = self.context.model, self.context
        found = context.source.rows(context.window, read_columns(model, self.estimator), limit=MOST_ROWS)
        if self.version not in found:
            return "no rows of the window are kept"
        try:
            return self.estimator.asked(model, unlabelled(model, found[self.version]))
        except NoData as reason:
            return str(reason)

    def _estimate(self, name: str) -> Estimate:
        if isinstance(self.asked, str):
            raise NoData(self.asked)
        if len(self.asked) < self.options.min_rows:
            raise NoData(f"expected at least {self.options.min_rows} rows, got {len(self.asked)}")
        estimate = self.estimator.estimate(name, self.asked)
        if not math.isfinite(estimate.value):
            raise NoData(f"expected a finite value, got {estimate.value}")
        return estimate

    def finding(self, metric: Metric) -> Finding:
        """An estimate that may be relied on is judged as performance is; of one that may not, nothing is said."""
        name, known = metric.name, self.baselines[metric.name]
        fixed, floor = self.options.thresholds.get(name), self.options.material.get(name)
        rows = 0 if isinstance(self.asked, str) else len(self.asked)
        about: dict[str, Any] = {
            "version": self.version, "threshold": fixed, "rows": rows, "parts": self.record.parts(name),
        }  # fmt: skip
        if isinstance(known, Baseline):
            about |= {"baseline": known.value, "reference_rows": known.rows}
        try:
            estimate = self._estimate(name)
            if fixed is None and not isinstance(known, Baseline):
                raise NoData(f"nothing to compare with: {known}")
        except NoData as reason:
            return self.context.finding(CHECK, name, Verdict.NO_DATA, str(reason), **about)
        floor = floor or default_floor(metric.statistic)
        found = self.record.reliability(name, self._tolerance(known, estimate, floor))
        about["calibration"] = found.trust.value
        why = f"{found.trust}: {found.reason}"
        if found.trust is Trust.UNRELIABLE:
            return self.context.finding(CHECK, name, Verdict.NO_DATA, why, **about)
        about |= {"value": estimate.value, "caution": why if found.trust is Trust.UNPROVEN else None}
        if estimate.low is not None and estimate.high is not None:
            about["interval"] = (estimate.low, estimate.high)
        if fixed is not None or not isinstance(known, Baseline):
            verdict, reason_text = verdict_of(metric.statistic, estimate.value, fixed)
            return self.context.finding(CHECK, name, verdict, reason_text, **about)
        verdict, reason_text, keys = by_two_keys(metric, known, estimate.value, rows, level=self.level, floor=floor)
        return self.context.finding(CHECK, name, verdict, reason_text, **about | keys)

    def _tolerance(self, known: Baseline | str, estimate: Estimate, floor: Floor) -> float:
        """The error of an estimator that would matter: as large as a loss that would."""
        if not isinstance(known, Baseline):
            return floor.loss(estimate.value)
        # Of a metric whose every loss matters it is what chance leaves.
        return floor.loss(known.value) or known.critical(self.level, estimate.rows)
