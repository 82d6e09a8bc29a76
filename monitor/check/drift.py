"""Are features, predictions and labels still distributed as in the reference?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from monitor.calibrate import significance_level
from monitor.check._context import Context
from monitor.check._scores import Keys, Score, kinds, score_columns
from monitor.check._statistics import FalseAlarms, Floors, Thresholds, keyed_by_statistics, named_statistics, statistic
from monitor.check._verdict import measured, verdict_of
from monitor.options import Options as _Options
from monitor.profile import Bins, Profile, Reference, baseline, profile_batch
from monitor.records import EventBatch, Finding, NoData, Role, Statistic, Verdict, Window
from monitor.windows import every_seconds, window_seconds

CHECK = "drift"
SHARE = "drift_share"
LABEL = Role.LABEL.value


class ByKind(_Options):
    """The statistics for numeric and for categorical columns."""

    numeric: Annotated[tuple[str, ...], named_statistics("drift", "numeric")] = ("psi", "wasserstein")
    categorical: Annotated[tuple[str, ...], named_statistics("drift", "categorical")] = ("psi",)


class Options(_Options):
    """Which statistics, the budget of false alarms, the effects too small to matter, or fixed thresholds (all by statistic)."""

    statistics: ByKind = ByKind()
    false_alarms: FalseAlarms = FalseAlarms()
    material: Annotated[Floors, keyed_by_statistics("drift")] = {}
    thresholds: Annotated[Thresholds, keyed_by_statistics("drift")] = {}
    min_rows: Annotated[int, Field(ge=1)] = 50


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version, column and statistic, and one for the share of features that have drifted."""
    names = dict.fromkeys(options.statistics.numeric + options.statistics.categorical)
    if not context.profiles:
        for name in names:
            yield context.finding(CHECK, name, Verdict.NO_DATA, "no predictions in the window")
    for version, profile in context.profiles.items():
        if context.references(version) is None:
            for name in names:
                yield context.without_reference(CHECK, name, version, profile.rows)
            continue
        try:
            reference = context.standard(version)
        except NoData as reason:
            for name in names:
                yield context.finding(CHECK, name, Verdict.NO_DATA, str(reason), version=version, rows=profile.rows)
            continue
        yield from _version(context, options, version, reference, profile)


def wanted_statistics(reference: Reference, options: ByKind) -> dict[str, list[Statistic]]:
    """The statistics of every column of a reference."""
    kind = kinds(reference)
    return {
        column.name: [statistic(name) for name in getattr(options, kind.get(column.name, column.kind.value), ())]
        for column in reference.columns
    }


def keys_of(
    options: Options, wanted: Mapping[str, Sequence[Statistic]], *, every: float, size: float, versions: int
) -> Keys:
    """What a breach takes: the budget spent over versions, columns and the tests that each of them gets.

    Statistics of the same counts share one test, the G-test on them.
    """
    tests = sum(
        len({s.null if s.null == "g_test" else s.name for s in found if s.name not in options.thresholds})
        for found in wanted.values()
    )
    level = significance_level(
        at_most=options.false_alarms.at_most,
        per_seconds=options.false_alarms.per,
        every_seconds=every,
        size_seconds=size,
        tests=tests * versions,
    )
    return Keys(level, options.material, options.thresholds)


def _version(
    context: Context, options: Options, version: str, reference: Reference, profile: Profile
) -> Iterator[Finding]:
    wanted = wanted_statistics(reference, options.statistics)
    windows = context.model.windows
    keys = keys_of(
        options,
        wanted,
        every=every_seconds(windows),
        size=window_seconds(windows),
        versions=max(len(context.profiles) - len(context.superseded), 1),
    )
    about: dict[str, object] = {"version": version, "reference_version": reference.version}
    features: list[Finding] = []
    for name, reason in reference.unusable.items():
        for found in wanted[name]:
            features.append(
                context.finding(
                    CHECK,
                    found.name,
                    Verdict.NO_DATA,
                    reason,
                    feature=name,
                    rows=profile.rows,
                    reference_rows=reference.rows,
                    **about,
                    threshold=_floor(options, found),
                )
            )
            yield features[-1]
    later = list(_labels(context, version, reference))
    parts = [(reference, profile, context.window, False), *later]
    for held_against, part, window, provisional in parts:
        for finding in _part(context, options, keys, about, held_against, part):
            if finding.subject == "feature":
                features.append(finding)
            yield replace(finding, window=window, provisional=provisional)
    if not later and context.model.labels is not None and _label_bins(reference) is not None:
        for found in wanted[LABEL]:
            yield context.finding(
                CHECK, found.name, Verdict.NO_DATA, "no label has come", feature=LABEL, threshold=_floor(options, found),
                **about,
            )  # fmt: skip
    yield _share(
        context, options, reference, features, {**about, "rows": profile.rows, "reference_rows": reference.rows}
    )


def _part(
    context: Context, options: Options, keys: Keys, about: Mapping[str, object], reference: Reference, part: Profile
) -> Iterator[Finding]:
    """The findings on the columns of one profile, held against one reference."""
    wanted = wanted_statistics(reference, options.statistics)
    about = {**about, "rows": part.rows, "reference_rows": reference.rows}
    try:
        base = baseline(reference, part)
    except NoData as reason:
        for name in part.columns:
            for found in wanted[name]:
                floor = _floor(options, found)
                yield context.finding(
                    CHECK, found.name, Verdict.NO_DATA, str(reason), feature=name, threshold=floor, **about
                )
        return
    calibration = context.references.calibrations(reference, wanted, window_seconds(context.model.windows))
    for score in score_columns(reference, base, part.columns, calibration, wanted, keys, min_rows=options.min_rows):
        yield _finding(context, score, about, reference)


def _floor(options: Options, found: Statistic) -> float | None:
    """What is known of a threshold where there is no value: its fixed one, or the floor."""
    return options.thresholds.get(found.name, options.material.get(found.name, found.default_material))


def _finding(context: Context, score: Score, about: Mapping[str, object], reference: Reference) -> Finding:
    found = score.statistic
    details = {
        **about,
        "feature": score.column.name,
        "threshold": score.threshold,
        "material": score.material,
        "p_value": score.p_value,
        "calibration": score.calibration,
    }
    if score.value is None:
        return context.finding(CHECK, found.name, Verdict.NO_DATA, score.reason, **details)
    verdict, reason = verdict_of(found, score.value, score.threshold)
    if verdict is Verdict.OK and score.held_back:
        reason = "significant_but_immaterial"
    impact = None
    if score.column.role is Role.FEATURE:
        unit = score.material or score.threshold or 1.0
        impact = importances(reference)[score.column.name] * score.value / unit
    return context.finding(CHECK, found.name, verdict, reason, value=score.value, impact=impact, **details)


def importances(reference: Reference) -> dict[str, float]:
    """The weight of every feature; they add up to 1.

    A feature whose importance is not said counts as the mean of those that are, and all alike where none is.
    """
    features = [column for column in reference.columns if column.role is Role.FEATURE]
    said = [column.importance for column in features if column.importance is not None]
    usual = float(np.mean(said)) if said else 1.0
    weights = {c.name: usual if c.importance is None else c.importance for c in features}
    total = sum(weights.values()) or 1.0
    return {name: weight / total for name, weight in weights.items()}


def _share(
    context: Context, options: Options, reference: Reference, findings: list[Finding], about: Mapping[str, object]
) -> Finding:
    """How much of the model's input has drifted, by importance: every feature that any of its statistics finds drifted."""
    found = statistic(SHARE)
    threshold = options.thresholds.get(SHARE, found.default_threshold)
    weights = importances(reference)
    known = dict.fromkeys(
        f.feature for f in findings if f.feature is not None and f.verdict in (Verdict.OK, Verdict.BREACHED)
    )
    drifted = {f.feature for f in findings if f.verdict is Verdict.BREACHED}
    try:
        value = measured(
            found,
            np.array([weights[name] for name in known]),
            np.array([name in drifted for name in known], dtype=bool),
        )
    except NoData as reason:
        said = findings[0].reason if findings else str(reason)
        return context.finding(CHECK, SHARE, Verdict.NO_DATA, said, threshold=threshold, **about)
    verdict, reason_text = verdict_of(found, value, threshold)
    return context.finding(CHECK, SHARE, verdict, reason_text, value=value, threshold=threshold, **about)


def _label_bins(reference: Reference) -> Bins | None:
    return (reference.labels or reference).bins.get(LABEL)


def _labels(context: Context, version: str, reference: Reference) -> Iterator[tuple[Reference, Profile, Window, bool]]:
    """The profile of the labels, of the newest window whose labels have matured; of this one, provisionally, before."""
    held_against, bins = reference.labels or reference, _label_bins(reference)
    if bins is None or context.model.labels is None:
        return
    settled = context.with_matured_labels()
    rows = (settled or context).labelled.get(version)
    if rows is None or not len(rows):
        return
    batch = EventBatch(version, rows.times, {LABEL: rows.labels})
    profile = profile_batch(batch, {LABEL: bins}, held_against.match)
    yield held_against, profile, (settled or context).window, settled is None
