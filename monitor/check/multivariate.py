"""Do the features, taken together, still look as in the reference? And the vectors and texts among them?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from monitor.check._context import Context
from monitor.check._keys import level_of
from monitor.check._statistics import FalseAlarms, Floors, Thresholds, keyed_by_statistics, named_statistics, statistic
from monitor.check._verdict import verdict_of
from monitor.options import Options as _Options
from monitor.profile import Reference
from monitor.records import (
    Column,
    ColumnKind,
    EventBatch,
    Finding,
    FloatArray,
    IntArray,
    NoData,
    Role,
    Statistic,
    Verdict,
    fingerprint,
)
from monitor.stats._column import compare_column
from monitor.stats._comparison import Comparison
from monitor.stats._encoding import encode_table
from monitor.stats._sampling import number_stretches
from monitor.stats._text import DESCRIPTORS, describe_both
from monitor.windows import window_seconds

CHECK = "multivariate"
HEAVY = True
TABLE = frozenset({ColumnKind.NUMERIC, ColumnKind.CATEGORICAL})
DESCRIBED = "ks"


class BySubject(_Options):
    """The statistics for all numeric and categorical features together, for each vector, and for each text."""

    table: Annotated[tuple[str, ...], named_statistics("drift", "table")] = ("domain_classifier", "pca_reconstruction")
    vector: Annotated[tuple[str, ...], named_statistics("drift", "vector")] = ("domain_classifier", "mmd")
    text: Annotated[tuple[str, ...], named_statistics("drift", "text")] = ("text_domain_classifier",)


class Options(_Options):
    """Which statistics, the budget of false alarms, the effects too small to matter, or fixed thresholds (all by statistic).

    At most `sample` rows of the reference and of the window are looked at.
    """

    statistics: BySubject = BySubject()
    false_alarms: FalseAlarms = FalseAlarms()
    material: Annotated[Floors, keyed_by_statistics("drift")] = {}
    thresholds: Annotated[Thresholds, keyed_by_statistics("drift")] = {}
    sample: Annotated[int, Field(ge=200)] = 10_000
    min_rows: Annotated[int, Field(ge=40)] = 200


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to compare: a statistic of the table (feature None), of a vector, of a text or of a text's descriptor."""

    statistic: Statistic
    feature: str | None
    compare: Callable[[_Sides, np.random.Generator], Comparison]


@dataclass(slots=True)
class _Sides:
    """The rows of both sides in order of time, and the stretch of each row of the reference."""

    reference: EventBatch
    current: EventBatch
    stretch: IntArray
    _described: dict[str, tuple[dict[str, FloatArray], dict[str, FloatArray]]]

    def described(self, name: str) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """The descriptors of a text, on both sides."""
        if name not in self._described:
            before, after = self.reference.features[name], self.current.features[name]
            self._described[name] = describe_both(before, after, self.stretch)  # type: ignore[arg-type]
        return self._described[name]


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version, and statistic of the table, of a vector, of a text and of a text's descriptors."""
    if not context.profiles:
        for name in _names(options):
            yield context.finding(CHECK, name, Verdict.NO_DATA, "no predictions in the window")
    for version, profile in context.profiles.items():
        reference = context.references(version)
        if reference is None:
            for name in _names(options):
                yield context.without_reference(CHECK, name, version, profile.rows)
            continue
        columns = features(reference)
        tasks = list(tasks_of(columns, options.statistics))
        try:
            if profile.rows < options.min_rows:
                raise NoData(f"expected at least {options.min_rows} rows, got {profile.rows}")
            sides, how = _read(context, options, version, columns)
        except NoData as reason:
            for task in tasks:
                yield _without_value(context, options, version, reference, task, str(reason), profile.rows)
            continue
        for task in tasks:
            yield _finding(context, options, version, reference, task, sides, how=how, tests=len(tasks))


def _names(options: Options) -> list[str]:
    return list(dict.fromkeys(options.statistics.table + options.statistics.vector + options.statistics.text))


def features(reference: Reference) -> tuple[Column, ...]:
    """The features of a reference that hold anything."""
    return tuple(c for c in reference.columns if c.role is Role.FEATURE and c.name not in reference.unusable)


def tasks_of(columns: tuple[Column, ...], statistics: BySubject) -> Iterator[Task]:
    """What there is to compare, of these features."""
    table = tuple(column for column in columns if column.kind in TABLE)
    for name in statistics.table if len(table) > 1 else ():
        found = statistic(name)
        yield Task(found, None, _of_table(found, table))
    for column in columns:
        if column.kind is ColumnKind.VECTOR:
            for name in statistics.vector:
                yield Task(statistic(name), column.name, _of_column(statistic(name), column.name))
        if column.kind is ColumnKind.TEXT and statistics.text:
            for name in statistics.text:
                yield Task(statistic(name), column.name, _of_column(statistic(name), column.name))
            for name in DESCRIPTORS:
                yield Task(statistic(DESCRIBED), f"{column.name}.{name}", _of_descriptor(column.name, name))


def _of_table(found: Statistic, columns: tuple[Column, ...]) -> Callable[[_Sides, np.random.Generator], Comparison]:
    def compare(sides: _Sides, rng: np.random.Generator) -> Comparison:
        before, after = encode_table(sides.reference.features, sides.current.features, columns, sides.stretch)
        return found.compute(before, after, rng, sides.stretch)  # type: ignore[no-any-return]

    return compare


def _of_column(found: Statistic, name: str) -> Callable[[_Sides, np.random.Generator], Comparison]:
    def compare(sides: _Sides, rng: np.random.Generator) -> Comparison:
        return found.compute(  # type: ignore[no-any-return]
            sides.reference.features[name], sides.current.features[name], rng, sides.stretch
        )

    return compare


def _of_descriptor(text: str, name: str) -> Callable[[_Sides, np.random.Generator], Comparison]:
    def compare(sides: _Sides, _: np.random.Generator) -> Comparison:
        before, after = sides.described(text)
        exact = statistic(DESCRIBED).exact
        assert exact is not None
        return compare_column(exact, before[name], after[name], sides.stretch)

    return compare


def _read(context: Context, options: Options, version: str, columns: tuple[Column, ...]) -> tuple[_Sides, str]:
    """The rows of both sides, and what the reference's stretches can tell.

    Raises:
        NoData: there are none.
    """
    before = context.reference_rows(version, limit=options.sample)
    after = context.source.rows(context.window, columns, limit=options.sample).get(version)
    if after is None or not len(after):
        raise NoData("no rows of the window are kept")
    if not len(before):
        raise NoData("no rows of the reference are kept")
    before, after = _in_order(before), _in_order(after)
    seconds = window_seconds(context.model.windows)
    stretch, how = number_stretches(before.times, seconds=seconds, current_rows=len(after))
    return _Sides(before, after, stretch, {}), how


def _in_order(batch: EventBatch) -> EventBatch:
    if not np.any(np.diff(batch.times) < 0):
        return batch
    order = np.argsort(batch.times, kind="stable")
    return EventBatch(batch.version, batch.times[order], {name: held[order] for name, held in batch.features.items()})


def _about(version: str, reference: Reference, task: Task) -> dict[str, Any]:
    return {"version": version, "reference_version": reference.version, "feature": task.feature}


def _material(options: Options, found: Statistic) -> float:
    return options.material.get(found.name, found.default_material or 0.0)


def _without_value(
    context: Context, options: Options, version: str, reference: Reference, task: Task, reason: str, rows: int
) -> Finding:
    found = task.statistic
    material = _material(options, found)
    return context.finding(
        CHECK, found.name, Verdict.NO_DATA, reason,
        threshold=options.thresholds.get(found.name, material), material=material,
        rows=rows, reference_rows=reference.rows, **_about(version, reference, task),
    )  # fmt: skip


def _finding(
    context: Context,
    options: Options,
    version: str,
    reference: Reference,
    task: Task,
    sides: _Sides,
    *,
    how: str,
    tests: int,
) -> Finding:
    found = task.statistic
    try:
        compared = task.compare(sides, _generator(context, reference, task))
        if not math.isfinite(compared.value):
            raise NoData(f"expected a finite value, got {compared.value}")
    except NoData as reason:
        return _without_value(context, options, version, reference, task, str(reason), len(sides.current))
    threshold, material = options.thresholds.get(found.name), None
    surprising = math.inf
    if threshold is None:
        material = _material(options, found)
        surprising = min(compared.value_at(_level(context, options, tests)), found.high)
        threshold = max(material, surprising)
    verdict, reason_text = verdict_of(found, compared.value, threshold)
    if verdict is Verdict.OK and compared.value > surprising:
        reason_text = "significant_but_immaterial"
    return context.finding(
        CHECK, found.name, verdict, reason_text,
        value=compared.value, threshold=threshold, material=material, p_value=compared.p_value,
        calibration="fixed" if material is None else f"held_out_{how}",
        rows=compared.rows, reference_rows=compared.reference_rows, **_about(version, reference, task),
    )  # fmt: skip


def _level(context: Context, options: Options, tests: int) -> float:
    """The significance level of one test: the budget spent over tests and versions that are in use."""
    active = max(len(context.profiles) - len(context.superseded), 1)
    return level_of(context, options.false_alarms, tests=tests * active)


def _generator(context: Context, reference: Reference, task: Task) -> np.random.Generator:
    """Chance that is the same whenever the same window is judged against the same reference."""
    parts = (str(context.window), reference.fingerprint, task.statistic.name, task.feature or "")
    return np.random.default_rng(int(fingerprint(*parts), 16))
