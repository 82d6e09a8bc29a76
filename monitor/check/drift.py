"""Is a feature still distributed as in its reference?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from monitor.check._context import Context
from monitor.check._statistics import FalseAlarms, Thresholds, keyed_by_statistics, named_statistics, statistic
from monitor.check._verdict import measured, verdict_of
from monitor.options import Options as _Options
from monitor.options import Ratio, not_yet
from monitor.profile import Profile, Reference, comparable
from monitor.records import Column, Finding, NoData, Statistic, Verdict

CHECK = "drift"


class ByKind(_Options):
    """The statistics for numeric and for categorical features."""

    numeric: Annotated[tuple[str, ...], named_statistics("drift", "numeric")] = ("psi",)
    categorical: Annotated[tuple[str, ...], named_statistics("drift", "categorical")] = ("psi",)


class Options(_Options):
    """Which statistics, and the fixed thresholds above which a feature has drifted (by statistic)."""

    statistics: ByKind = ByKind()
    thresholds: Annotated[Thresholds, keyed_by_statistics("drift")] = {}
    min_rows: Annotated[int, Field(ge=1)] = 100
    false_alarms: Annotated[FalseAlarms | None, AfterValidator(not_yet)] = None
    material: Annotated[Mapping[str, Annotated[float, Field(ge=0)] | Ratio] | None, AfterValidator(not_yet)] = None


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version, feature and statistic."""
    wanted = dict.fromkeys(options.statistics.numeric + options.statistics.categorical)
    if not context.profiles:
        for name in wanted:
            yield context.finding(CHECK, name, Verdict.NO_DATA, "no predictions in the window")
    for version, profile in context.profiles.items():
        reference = context.references(version)
        if reference is None:
            for name in wanted:
                yield context.without_reference(CHECK, name, version, profile.rows)
        else:
            for column in reference.columns:
                yield from _feature(context, options, version, reference, profile, column)


def _feature(
    context: Context, options: Options, version: str, reference: Reference, profile: Profile, column: Column
) -> Iterator[Finding]:
    for name in getattr(options.statistics, column.kind.value):
        about = {
            "version": version,
            "reference_version": reference.version,
            "feature": column.name,
            "rows": profile.rows,
            "reference_rows": reference.rows,
        }
        found = statistic(name)
        threshold = options.thresholds.get(name, found.default_threshold)
        try:
            value = _score(found, reference, profile, column.name, options.min_rows)
        except NoData as reason:
            yield context.finding(CHECK, name, Verdict.NO_DATA, str(reason), threshold=threshold, **about)
            continue
        verdict, reason_text = verdict_of(found, value, threshold)
        yield context.finding(CHECK, name, verdict, reason_text, value=value, threshold=threshold, **about)


def _score(found: Statistic, reference: Reference, profile: Profile, feature: str, min_rows: int) -> float:
    """The statistic of one feature.

    Raises:
        NoData: there are too few rows, or the reference has nothing to compare with.
    """
    if profile.rows < min_rows:
        raise NoData(f"expected at least {min_rows} rows, got {profile.rows}")
    if feature in reference.unusable:
        raise NoData(reference.unusable[feature])
    bins = reference.bins[feature]
    groups = comparable(reference.profiles[feature], bins), comparable(profile.columns[feature], bins)
    return measured(found, *groups)
