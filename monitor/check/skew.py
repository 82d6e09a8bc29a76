"""Is what the model is served what it was trained on: the same columns, the same distributions, the same values?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from monitor.check._both_sides import BINNED, Rows, features, with_stretches
from monitor.check._context import Context
from monitor.check._keys import level_of
from monitor.check._moments import moments_of_both
from monitor.check._renames import renamed
from monitor.check._replay import Replay, replayed
from monitor.check._schema import Fault, Sides, Wrong, fault_of, is_there, plain_values
from monitor.check._scores import Keys, Score, score_columns
from monitor.check._statistics import FalseAlarms, statistic
from monitor.check._verdict import verdict_of
from monitor.options import Options as _Options
from monitor.options import Ratio
from monitor.profile import Profile, Reference, baseline
from monitor.records import Column, ColumnKind, EventBatch, Finding, NoData, Role, Statistic, Verdict
from monitor.source import SourceError
from monitor.windows import window_seconds

CHECK = "skew"
HEAVY = True
SCHEMA, DISTRIBUTION = "schema", "distribution"


class Options(_Options):
    """The budget of false alarms, the share of rows too small to matter, how many rows are looked at, and what is replayed."""

    false_alarms: FalseAlarms = FalseAlarms()
    material: Ratio = 0.1
    rows: Annotated[int, Field(ge=200)] = 50_000
    min_rows: Annotated[int, Field(ge=2)] = 100
    replay: Replay | None = None


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """Findings on the schema and the distribution of every feature, and on its records where these are replayed."""
    if not context.profiles:
        for name in (SCHEMA, DISTRIBUTION):
            yield context.finding(
                CHECK, name, Verdict.NO_DATA, "no predictions in the window", threshold=_floor(name, options)
            )
    held, rows = _held(context), Rows(context, limit=options.rows)
    for version, profile in context.profiles.items():
        reference = context.references(version)
        if reference is None:
            for name in (SCHEMA, DISTRIBUTION):
                yield context.without_reference(CHECK, name, version, profile.rows)
            continue
        about = {"version": version, "reference_version": reference.version, "rows": profile.rows}
        try:
            if profile.rows < options.min_rows:
                raise NoData(f"expected at least {options.min_rows} rows, got {profile.rows}")
            side = _sides(context, options, version, profile, held, rows)
        except (NoData, SourceError) as reason:
            yield from _without_value(context, options, reference, reason, about)
            continue
        yield from _version(context, options, version, side, held, rows, about)
    if options.replay is not None:
        yield from replayed(context, CHECK, options.replay, limit=options.rows)


def _floor(name: str, options: Options) -> float:
    return 0.0 if name == SCHEMA else options.material


def _held(context: Context) -> tuple[Column, ...]:
    """Whatever numbers and names the window's rows hold, declared or not."""
    try:
        found = context.source.columns(context.window, context.model.replace(features=None))
    except SourceError:  # a column that no model may have; what is declared can be judged all the same
        return ()
    return tuple(column for column in found if column.role is Role.FEATURE and column.kind in BINNED)


def _without_value(
    context: Context, options: Options, reference: Reference, reason: Exception, about: Mapping[str, Any]
) -> Iterator[Finding]:
    verdict = Verdict.NO_DATA if isinstance(reason, NoData) else Verdict.ERROR
    for feature in features(reference):
        for name in (SCHEMA, DISTRIBUTION):
            more = {"feature": feature.name, "threshold": _floor(name, options), "reference_rows": reference.rows}
            yield context.finding(CHECK, name, verdict, str(reason), **about, **more)


def _strange(reference: Reference, held: Sequence[Column]) -> list[Column]:
    known = {column.name for column in features(reference)}
    return [column for column in held if column.name not in known]


def _sides(
    context: Context, options: Options, version: str, profile: Profile, held: Sequence[Column], rows: Rows
) -> Sides:
    """Both sides of a version.

    Raises:
        NoData: either has no rows.
        SourceError: they cannot be read.
    """
    reference = context.standard(version)
    columns = features(reference)
    after = rows.of_window(version, [*columns, *_strange(reference, held)])
    before = rows.of_reference(version, [column for column in columns if column.name not in reference.unusable])
    reference = with_stretches(context, reference, before)
    active = max(len(context.profiles) - len(context.superseded), 1)
    level = level_of(context, options.false_alarms, tests=2 * len(columns) * active)
    calibration = context.references.calibrations(reference, _wanted(reference), window_seconds(context.model.windows))
    shown = {name: column for name, column in profile.columns.items() if name in _wanted(reference)}
    return Sides(reference, baseline(reference, profile), shown, calibration, level, before, after)


def _wanted(reference: Reference) -> dict[str, list[Statistic]]:
    found = statistic(DISTRIBUTION)
    return {column.name: [found] for column in features(reference) if column.name in reference.bins}


def _version(
    context: Context,
    options: Options,
    version: str,
    sides: Sides,
    held: Sequence[Column],
    rows: Rows,
    about: Mapping[str, Any],
) -> Iterator[Finding]:
    reference, columns = sides.reference, features(sides.reference)
    about = {**about, "reference_rows": reference.rows}
    wrong = {column.name: fault_of(sides, column) for column in columns}
    new = _new(context, version, sides, _strange(reference, held), wrong, rows)
    yield from _schema(context, columns, wrong, new, about)
    keys = Keys(sides.level, {DISTRIBUTION: options.material}, {})
    for score in score_columns(
        reference, sides.base, sides.profiles, sides.calibration, _wanted(reference), keys, min_rows=options.min_rows
    ):
        yield _distribution(context, score, sides, wrong.get(score.column.name), about)


@dataclass(frozen=True, slots=True)
class _New:
    """Columns of the window that its reference does not have, and the new name of columns that have one."""

    columns: tuple[Column, ...]
    names: Mapping[str, str]


def _new(
    context: Context,
    version: str,
    sides: Sides,
    strange: Sequence[Column],
    wrong: Mapping[str, Wrong | None],
    rows: Rows,
) -> _New:
    """The columns that the window holds and the reference does not, and which of them are old ones."""
    columns = features(sides.reference)
    gone = [each for each in columns if (found := wrong[each.name]) and found.fault in (Fault.MISSING, Fault.ALL_NULL)]
    filled = [column for column in strange if _is_filled(sides.after, column.name)]
    if not filled or (context.model.features is not None and not gone):
        return _New((), {})
    there = rows.of_reference(version, filled)
    if there is None:
        return _New((), {})
    added = [column for column in filled if not _is_filled(there, column.name)]
    before, after = _columns_of(sides.before or there), _columns_of(sides.after)
    names = renamed(gone, added, before, after, columns)
    # Where the features are declared, nothing else that rows carry is any of the model's.
    shown = [column for column in added if context.model.features is None or column.name in names.values()]
    return _New(tuple(shown), names)


def _columns_of(batch: EventBatch) -> dict[str, Any]:
    return {name: plain_values(batch, name) for name in batch.features}


def _is_filled(batch: EventBatch, name: str) -> bool:
    values = plain_values(batch, name)
    return values is not None and bool(is_there(values).any())


def _schema(
    context: Context,
    columns: Sequence[Column],
    wrong: Mapping[str, Wrong | None],
    new: _New,
    about: Mapping[str, Any],
) -> Iterator[Finding]:
    for column in columns:
        found = wrong[column.name]
        if column.name in new.names:
            found = Wrong(Fault.RENAMED, f"to {new.names[column.name]}")
        yield _schema_finding(context, column.name, found, about)
    old = {now: before for before, now in new.names.items()}
    for column in new.columns:
        if column.name in old:  # one fault is told once
            caution = {"caution": f"the new name of {old[column.name]}"}
            yield _schema_finding(context, column.name, None, {**about, **caution})
        else:
            yield _schema_finding(context, column.name, Wrong(Fault.ADDED), about)


def _schema_finding(context: Context, name: str, wrong: Wrong | None, about: Mapping[str, Any]) -> Finding:
    value = 0.0 if wrong is None else 1.0
    verdict, reason = verdict_of(statistic(SCHEMA), value, 0.0)
    if wrong is not None:
        reason, about = wrong.fault.value, {**about, "caution": wrong.about}
    return context.finding(CHECK, SCHEMA, verdict, reason, feature=name, value=value, threshold=0.0, **about)


def _distribution(
    context: Context, score: Score, sides: Sides, wrong: Wrong | None, about: Mapping[str, Any]
) -> Finding:
    found, name = score.statistic, score.column.name
    details = {
        **about,
        "feature": name,
        "threshold": score.threshold,
        "material": score.material,
        "p_value": score.p_value,
        "calibration": score.calibration,
        "parts": _moments(sides, score.column),
        "caution": None if wrong is None else f"its schema says why: {wrong.fault}",
    }
    if score.value is None:
        return context.finding(CHECK, found.name, Verdict.NO_DATA, score.reason, **details)
    verdict, reason = verdict_of(found, score.value, score.threshold)
    if verdict is Verdict.OK and score.held_back:
        reason = "significant_but_immaterial"
    return context.finding(CHECK, found.name, verdict, reason, value=score.value, **details)


def _moments(sides: Sides, column: Column) -> dict[str, float]:
    if column.kind is not ColumnKind.NUMERIC:
        return {}
    before, after = (np.empty(0) if values is None else values for values in sides.values(column.name))
    return moments_of_both(before, after)
