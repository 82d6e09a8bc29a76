"""Does the model treat groups of people alike, by each protected attribute and by their combinations?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from monitor.check._context import Context
from monitor.check._fairness import judge_groups, material_of
from monitor.check._groups import (
    Attribute,
    Countable,
    Grouped,
    grouped,
    labelled_rows,
    predicted_rows,
    uneven_coverage,
)
from monitor.check._keys import level_of
from monitor.check._legend import Legend
from monitor.check._statistics import FalseAlarms, keyed_by_statistics, named_statistics, statistic
from monitor.config import Model
from monitor.options import Options as _Options
from monitor.options import Ratio
from monitor.records import Column, EventBatch, Finding, LabelledBatch, NoData, Role, Statistic, Verdict
from monitor.source import SourceError
from monitor.source._outcomes import group_columns, outcome_kind

CHECK = "fairness"
HEAVY = True
WAITS_FOR_LABELS = True
DEFAULT_METRICS = {
    "binary": ("demographic_parity_difference", "equalized_odds_difference"),
    "regression": ("group_error_difference",),
}
WITHOUT_LABELS = frozenset({"demographic_parity_difference", "demographic_parity_ratio"})
SCORED = frozenset({"group_calibration_difference"})
MOST_ROWS = 200_000

ColumnName = Annotated[str, Field(min_length=1)]
Limits = Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)] | Ratio]


def _once(value: tuple[str | Attribute, ...]) -> tuple[str | Attribute, ...]:
    found: set[frozenset[str]] = set()
    for names in map(_attribute, value):
        if len(set(names)) < len(names) or frozenset(names) in found:
            raise ValueError(f"expected every attribute once, got {', '.join(names)} twice")
        found.add(frozenset(names))
    return value


def _attribute(each: str | Attribute) -> Attribute:
    return (each,) if isinstance(each, str) else each


class Options(_Options):
    """The protected attributes, which metrics, the budget of false alarms, the gaps too small to matter, or fixed thresholds."""

    protected: Annotated[
        tuple[ColumnName | Annotated[tuple[ColumnName, ...], Field(min_length=2)], ...],
        Field(min_length=1),
        AfterValidator(_once),
    ]
    metrics: Annotated[tuple[str, ...], named_statistics("fairness")] = ()
    min_group: Annotated[int, Field(ge=2)] = 100
    false_alarms: FalseAlarms = FalseAlarms()
    material: Annotated[Limits, keyed_by_statistics("fairness")] = {}
    thresholds: Annotated[Limits, keyed_by_statistics("fairness")] = {}
    anonymous: bool = False


def complaints(options: Options, model: Model) -> Iterator[str]:
    """What in the options does not fit the model's task."""
    if model.task not in DEFAULT_METRICS:
        yield f"expected a {' or '.join(DEFAULT_METRICS)} model, got a {model.task} one"
        return
    known = _names(options, model)
    for key in ("thresholds", "material"):
        for name, limit in getattr(options, key).items():
            if name not in known:
                yield f"{key}: expected one of the metrics {', '.join(known)}, got {name!r}"
            elif limit > _highest(statistic(name), model):
                yield f"{key}.{name}: expected at most 1, which the metric never exceeds, got {limit:g}"


def _highest(found: Statistic, model: Model) -> float:
    is_share = model.task == "binary" and found.name not in SCORED
    return 1.0 if is_share else found.high


def columns(options: Options, model: Model) -> tuple[Column, ...]:
    """What rows are told apart by."""
    del model
    return group_columns(name for each in options.protected for name in _attribute(each))


def _names(options: Options, model: Model) -> tuple[str, ...]:
    """The metrics that fit the model's task."""
    names = dict.fromkeys(options.metrics or DEFAULT_METRICS[model.task])
    return tuple(name for name in names if model.task in statistic(name).applies_to)


Failure = NoData | SourceError
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a window: which metrics, what groups are called, and what was read."""

    context: Context
    options: Options
    legend: Legend
    names: tuple[str, ...]
    predicted: Mapping[str, EventBatch] | SourceError
    labelled: Mapping[str, LabelledBatch] | SourceError

    @property
    def attributes(self) -> list[Attribute]:
        return [_attribute(each) for each in self.options.protected]

    @property
    def versions(self) -> list[str]:
        labelled = () if isinstance(self.labelled, SourceError) else self.labelled
        return list(dict.fromkeys([*self.context.profiles, *labelled]))

    def level(self) -> float:
        """The budget spent over attributes, all metrics of the check, and the versions in use."""
        names = set(_names(self.options, self.context.model)) - set(self.options.thresholds)
        active = max(len(set(self.versions) - self.context.superseded), 1)
        tests = len(self.attributes) * max(len(names), 1) * active
        return level_of(self.context, self.options.false_alarms, tests=tests)


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version, attribute (or combination) and metric; provisional until labels have matured.

    What needs no labels is told of the newest window only: labels change nothing about an earlier one.
    """
    # The newest window is judged first, and leaves the legend to the earlier ones that are judged again.
    inherited = context.left(CHECK)
    legend = Legend(context.state(CHECK) if inherited is None else inherited, anonymous=options.anonymous)
    for earlier in context.revisited:
        earlier.leave(CHECK, legend.text())
    names = _names(options, context.model)
    for name in options.metrics:
        if name not in names:
            fitting = " and ".join(sorted(statistic(name).applies_to))
            reason = f"it is for {fitting} models, not for {context.model.task} ones"
            yield context.finding(CHECK, name, Verdict.NO_DATA, reason)
    labelled = tuple(name for name in names if name not in WITHOUT_LABELS)
    yield from _judged(_look(context, options, legend, names if inherited is None else labelled))
    if options.anonymous:
        for earlier in context.revisited:
            # Only what the newest window's judgement leaves is kept: it has to number all groups.
            _number(_look(earlier, options, legend, labelled))
        for each in (context, *context.revisited):
            each.leave(CHECK, legend.text())


def _look(context: Context, options: Options, legend: Legend, names: tuple[str, ...]) -> _Look:
    said = Column(Role.PREDICTION.value, outcome_kind(context.model), role=Role.PREDICTION)
    wanted = (said, *columns(options, context.model))
    predicted: Mapping[str, EventBatch] | SourceError = {}
    labelled: Mapping[str, LabelledBatch] | SourceError = {}
    if any(name in WITHOUT_LABELS for name in names):
        predicted = _read(lambda: context.source.rows(context.window, wanted, limit=MOST_ROWS))
    if any(name not in WITHOUT_LABELS for name in names):
        labelled = _read(lambda: context.labelled)
    return _Look(context, options, legend, names, predicted, labelled)


def _read(read: Callable[[], Read]) -> Read | SourceError:
    """What is read, or why it cannot be: what needs labels and what needs none do not stop each other."""
    try:
        return read()
    except SourceError as error:
        return error


def _judged(look: _Look) -> Iterator[Finding]:
    versions, level = look.versions, look.level()
    for version in versions:
        rows = _rows_by_kind(look, version)
        for attribute in look.attributes:
            groups = {kind: _grouped(look, found, attribute) for kind, found in rows.items()}
            for name in look.names:
                yield _finding(look, version, attribute, name, groups, level)
    for attribute in look.attributes if not versions else ():
        for name in look.names:
            about = _about(look, name, attribute)
            yield look.context.finding(CHECK, name, Verdict.NO_DATA, "no predictions in the window", **about)


def _number(look: _Look) -> None:
    """Give the groups of a window their numbers."""
    for version in look.versions:
        for found in _rows_by_kind(look, version).values():
            for attribute in look.attributes:
                _grouped(look, found, attribute)


def _kind(name: str) -> str:
    """The rows that a metric is computed on."""
    if name in WITHOUT_LABELS:
        return "predicted"
    return "scored" if name in SCORED else "labelled"


def _rows_by_kind(look: _Look, version: str) -> dict[str, Countable | Failure]:
    found: dict[str, Countable | Failure] = {}
    for name in look.names:
        if _kind(name) not in found:
            try:
                found[_kind(name)] = _rows(look, version, name)
            except (NoData, SourceError) as failure:
                found[_kind(name)] = failure
    return found


def _rows(look: _Look, version: str, name: str) -> Countable:
    model, kind = look.context.model, _kind(name)
    if kind == "predicted":
        if isinstance(look.predicted, SourceError):
            raise look.predicted
        profile = look.context.profiles.get(version)
        return predicted_rows(model, look.predicted.get(version), statistic(name), profile.rows if profile else 0)
    if isinstance(look.labelled, SourceError):
        raise look.labelled
    return labelled_rows(model, look.labelled.get(version), statistic(name), scored=kind == "scored")


def _grouped(look: _Look, rows: Countable | Failure, attribute: Attribute) -> Grouped | Failure:
    if not isinstance(rows, Countable):
        return rows
    try:
        return grouped(rows, attribute, look.options.min_group, look.legend)
    except NoData as reason:
        return reason


def _about(look: _Look, name: str, attribute: Attribute, version: str | None = None) -> dict[str, Any]:
    """What is known of a finding before anything is computed."""
    provisional = name not in WITHOUT_LABELS and look.context.is_provisional
    about: dict[str, Any] = {"version": version, "segment": ",".join(attribute), "provisional": provisional}
    fixed = look.options.thresholds.get(name)
    if fixed is not None:
        return about | {"threshold": fixed}
    material = material_of(name, look.context.model.task, look.options.material, {})
    return about | {"threshold": material, "material": material}


def _finding(
    look: _Look,
    version: str,
    attribute: Attribute,
    name: str,
    by_kind: Mapping[str, Grouped | Failure],
    level: float,
) -> Finding:
    context, about = look.context, _about(look, name, attribute, version)
    found, predicted = by_kind[_kind(name)], by_kind.get("predicted")
    if not isinstance(found, Grouped):
        verdict = Verdict.ERROR if isinstance(found, SourceError) else Verdict.NO_DATA
        return context.finding(CHECK, name, verdict, str(found), **about)
    cautions = list(found.cautions)
    if _kind(name) == "labelled" and isinstance(predicted, Grouped):
        cautions += uneven_coverage(predicted, found)
    fixed = look.options.thresholds.get(name)
    material = material_of(name, context.model.task, look.options.material, found.groups)
    try:
        verdict, reason, more, others = judge_groups(name, found.groups, fixed=fixed, material=material, level=level)
        about, cautions = about | more, cautions + others
    except NoData as no_data:
        verdict, reason = Verdict.NO_DATA, str(no_data)
    return context.finding(CHECK, name, verdict, reason, rows=found.rows, caution="; ".join(cautions) or None, **about)
