"""Do the labels come: for how many predictions, how late, and for all kinds of them alike?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from monitor.check._context import Context
from monitor.check._coverage import LEVEL, Coverage
from monitor.check._statistics import statistic
from monitor.check._verdict import measured, verdict_of
from monitor.check._versions import by_version
from monitor.options import Duration, Ratio
from monitor.options import Options as _Options
from monitor.records import Finding, LabelledBatch, NoData, Verdict, Window

CHECK = "labels"
WAITS_FOR_LABELS = True


class Options(_Options):
    """Where labels are too few, too late, or too unlike the predictions without one."""

    coverage: Ratio = 0.5
    lag: Duration | None = None
    selection: Ratio = 0.2
    min_rows: Annotated[int, Field(ge=1)] = 100


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """Coverage and lag of each version once the window's labels have matured, and at any time which kinds of rows they cover."""
    if not context.profiles:
        yield context.finding(CHECK, "label_coverage", Verdict.NO_DATA, "no predictions in the window")
    late = {} if context.is_provisional else _earlier(context)
    for version in context.profiles:
        found = context.coverage[version]
        yield _coverage(context, options, version, found)
        yield _lag(context, options, version, late.get(version))
        for columns in context.model.segment_columns():
            yield _selection(context, options, version, columns, found)


def _too_early(context: Context, options: Options, rows: int) -> None:
    if context.is_provisional:
        raise NoData("the labels of the window have not matured")
    if rows < options.min_rows:
        raise NoData(f"expected at least {options.min_rows} rows, got {rows}")


def _coverage(context: Context, options: Options, version: str, found: Coverage) -> Finding:
    about: dict[str, Any] = {"version": version, "rows": found.rows, "threshold": options.coverage}
    about["provisional"] = context.is_provisional
    try:
        _too_early(context, options, found.rows)
    except NoData as reason:
        return context.finding(CHECK, "label_coverage", Verdict.NO_DATA, str(reason), **about)
    value = measured(statistic("label_coverage"), found.labelled, found.rows)
    verdict, reason_text = verdict_of(statistic("label_coverage"), value, options.coverage)
    return context.finding(CHECK, "label_coverage", verdict, reason_text, value=value, **about)


def _earlier(context: Context) -> dict[str, LabelledBatch]:
    """The labelled rows of the stretch that ended as much earlier as labels take to mature, by version.

    Of rows that have only just matured, the labels that take longer cannot have come yet.
    """
    mature = context.model.labels.mature if context.model.labels else 0.0
    window = Window(context.window.start - mature, context.window.end - mature)
    found = context.source.labelled(window, numeric=context.model.is_numeric, known_by=context.known_by)
    return by_version(found)


def _lag(context: Context, options: Options, version: str, labelled: LabelledBatch | None) -> Finding:
    mature = context.model.labels.mature if context.model.labels else 0.0
    threshold = options.lag if options.lag is not None else mature or None
    lags = np.zeros(0) if labelled is None else labelled.came - labelled.times
    lags = lags[np.isfinite(lags)]
    about: dict[str, Any] = {"version": version, "rows": len(lags), "threshold": threshold}
    about["provisional"] = context.is_provisional
    try:
        _too_early(context, options, len(lags))
    except NoData as reason:
        return context.finding(CHECK, "label_lag", Verdict.NO_DATA, str(reason), **about)
    lag, median = measured(statistic("label_lag"), lags), float(np.median(lags))
    verdict, reason_text = verdict_of(statistic("label_lag"), lag, threshold)
    about |= {"value": lag, "parts": {"median": median}}
    return context.finding(CHECK, "label_lag", verdict, reason_text, **about)


def _selection(context: Context, options: Options, version: str, columns: tuple[str, ...], found: Coverage) -> Finding:
    about: dict[str, Any] = {"version": version, "segment": ",".join(columns), "rows": found.rows}
    about |= {"threshold": options.selection, "provisional": context.is_provisional}
    gap = found.gap(columns)
    if gap is None or not found.labelled:
        reason = "no labels" if not found.labelled else "fewer than two segments have rows enough"
        return context.finding(CHECK, "label_selection", Verdict.NO_DATA, reason, **about)
    about |= {"value": gap.size, "p_value": gap.p_value, "parts": {gap.low: gap.lowest, gap.high: gap.highest}}
    verdict, reason = verdict_of(statistic("label_selection"), gap.size, options.selection)
    if verdict is Verdict.BREACHED and gap.p_value >= LEVEL:
        verdict, reason = Verdict.OK, "material_but_within_chance"
    return context.finding(CHECK, "label_selection", verdict, reason, **about)
