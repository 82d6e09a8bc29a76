"""How well does the model do, on the predictions whose label has come?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from monitor.check._context import Context
from monitor.check._statistics import FalseAlarms, Thresholds, keyed_by_statistics, named_statistics, statistic
from monitor.check._verdict import measured, verdict_of
from monitor.config import Model
from monitor.options import Options as _Options
from monitor.options import not_yet
from monitor.records import Finding, LabelledBatch, NoData, Verdict

CHECK = "performance"
WAITS_FOR_LABELS = True
DEFAULT_METRICS = {"regression": ("mae", "rmse"), "binary": ("accuracy",), "multiclass": ("accuracy",)}


class Options(_Options):
    """Which metrics, the fixed thresholds beyond which they are a breach, and the labels below which nothing is said."""

    metrics: Annotated[tuple[str, ...], named_statistics("performance")] = ()
    thresholds: Annotated[Thresholds, keyed_by_statistics("performance")] = {}
    min_labels: Annotated[int, Field(ge=1)] = 200
    false_alarms: Annotated[FalseAlarms | None, AfterValidator(not_yet)] = None
    material: Annotated[Mapping[str, Any] | None, AfterValidator(not_yet)] = None


def complaints(options: Options, model: Model) -> Iterator[str]:
    """What in the options does not fit the model's task."""
    for name in options.metrics:
        if model.task not in statistic(name).applies_to:
            fitting = ", ".join(sorted(statistic(name).applies_to))
            yield f"metrics: expected metrics of a {model.task} model, got {name!r}, which is for {fitting}"
    for name in options.thresholds:
        if name not in _metrics(options, model):
            yield f"thresholds: expected one of the metrics {', '.join(_metrics(options, model))}, got {name!r}"


def _metrics(options: Options, model: Model) -> tuple[str, ...]:
    return options.metrics or DEFAULT_METRICS[model.task]


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version and metric. It is provisional until the window's labels have matured."""
    model = context.model
    numeric = model.task == "regression"
    labelled = {version: _usable(batch, numeric=numeric) for version, batch in context.labelled.items()}
    provisional = model.labels is not None and context.now < context.window.end + model.labels.mature
    versions = dict.fromkeys([*context.profiles, *labelled])
    for name in _metrics(options, model):
        found = statistic(name)
        threshold = options.thresholds.get(name, found.default_threshold)
        if not versions:
            yield context.finding(
                CHECK,
                name,
                Verdict.NO_DATA,
                "no predictions in the window",
                threshold=threshold,
                provisional=provisional,
            )
        for version in versions:
            label, prediction = labelled.get(version, (np.empty(0), np.empty(0)))
            about = {"version": version, "rows": len(label), "threshold": threshold, "provisional": provisional}
            try:
                if len(label) < options.min_labels:
                    raise NoData(f"expected at least {options.min_labels} labelled rows, got {len(label)}")
                value = measured(found, label, prediction)
            except NoData as reason:
                yield context.finding(CHECK, name, Verdict.NO_DATA, str(reason), **about)
                continue
            verdict, reason_text = verdict_of(found, value, threshold)
            yield context.finding(CHECK, name, verdict, reason_text, value=value, **about)


def _usable(batch: LabelledBatch, *, numeric: bool) -> tuple[Any, Any]:
    """Label and prediction; rows in which either is missing are left out."""
    if numeric:
        rows = np.isfinite(batch.labels.astype(float)) & np.isfinite(batch.predictions.astype(float))
    else:
        rows = np.array([value is not None for value in batch.labels], dtype=bool)
        rows &= np.array([value is not None for value in batch.predictions], dtype=bool)
    return batch.labels[rows], batch.predictions[rows]
