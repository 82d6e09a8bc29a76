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
from monitor.records import Finding, FloatArray, LabelledBatch, NoData, ObjectArray, Verdict

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
    labelled = _by_version(context.source.labelled(context.window, numeric=numeric), numeric=numeric)
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


def _by_version(
    batches: Iterator[LabelledBatch], *, numeric: bool
) -> dict[str, tuple[FloatArray | ObjectArray, FloatArray | ObjectArray]]:
    """Label and prediction of every version; rows in which either is missing are left out."""
    parts: dict[str, list[tuple[Any, Any]]] = {}
    for batch in batches:
        if numeric:
            usable = np.isfinite(batch.labels.astype(float)) & np.isfinite(batch.predictions.astype(float))
        else:
            usable = np.array([value is not None for value in batch.labels], dtype=bool)
            usable &= np.array([value is not None for value in batch.predictions], dtype=bool)
        for version in dict.fromkeys(batch.versions.tolist()):
            rows = usable & (batch.versions == version)
            parts.setdefault(version, []).append((batch.labels[rows], batch.predictions[rows]))
    return {
        version: (np.concatenate([label for label, _ in found]), np.concatenate([said for _, said in found]))
        for version, found in parts.items()
    }
