"""Are the features there, and do they hold what the reference knows?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from monitor.check._context import Context
from monitor.check._statistics import of_family
from monitor.check._verdict import measured, verdict_of
from monitor.options import Options as _Options
from monitor.options import Ratio, not_yet
from monitor.profile import Profile, Reference
from monitor.records import Finding, NoData, Role, Statistic, Verdict

CHECK = "quality"


class Options(_Options):
    """The shares of rows above which a feature's quality is a breach."""

    missing: Ratio = 0.05
    unseen: Ratio = 0.01
    out_of_range: Annotated[Ratio | None, AfterValidator(not_yet)] = None
    min_rows: Annotated[int, Field(ge=1)] = 100


def _threshold(options: Options, found: Statistic) -> float | None:
    configured = {"missing_ratio": options.missing, "unseen_ratio": options.unseen}
    return configured.get(found.name, found.default_threshold)


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version, feature and statistic of quality."""
    statistics = of_family("quality")
    if not context.profiles:
        for found in statistics:
            yield context.finding(CHECK, found.name, Verdict.NO_DATA, "no predictions in the window")
    for version, profile in context.profiles.items():
        reference = context.references(version)
        if reference is None:
            for found in statistics:
                yield context.without_reference(CHECK, found.name, version, profile.rows)
            continue
        features = [column.name for column in reference.columns if column.role is Role.FEATURE]
        for found in statistics:
            for feature in features:
                if feature in profile.columns:
                    yield _feature(context, options, version, reference, profile, feature, found)


def _feature(
    context: Context,
    options: Options,
    version: str,
    reference: Reference,
    profile: Profile,
    feature: str,
    found: Statistic,
) -> Finding:
    column, threshold = profile.columns[feature], _threshold(options, found)
    about = {
        "version": version,
        "reference_version": reference.version,
        "feature": feature,
        "rows": profile.rows,
        "reference_rows": reference.rows,
        "threshold": threshold,
    }
    try:
        if profile.rows < options.min_rows:
            raise NoData(f"expected at least {options.min_rows} rows, got {profile.rows}")
        value = measured(found, rows=column.rows, missing=column.missing, absent=column.absent, unseen=column.unseen)
    except NoData as reason:
        return context.finding(CHECK, found.name, Verdict.NO_DATA, str(reason), **about)
    verdict, reason_text = verdict_of(found, value, threshold)
    return context.finding(CHECK, found.name, verdict, reason_text, value=value, **about)
