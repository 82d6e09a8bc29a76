"""Where a value becomes a verdict: here, for every check alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from monitor.records import Finding, NoData, Statistic, Verdict


def measured(statistic: Statistic, *arrays: Any, **counts: int) -> float:
    """The value of a statistic.

    Raises:
        NoData: there is too little evidence, or the data hold numbers so large that nothing finite comes of them.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(statistic.compute(*arrays, **counts))
    if not math.isfinite(value):
        raise NoData(f"expected a finite value, got {value}")
    return value


def verdict_of(statistic: Statistic, value: float, threshold: float | None) -> tuple[Verdict, str]:
    """The verdict on a value and its reason, in words a person reads in a log."""
    if threshold is None:
        return Verdict.OK, "no_threshold"
    if statistic.is_breach(value, threshold):
        return Verdict.BREACHED, "beyond_threshold"
    return Verdict.OK, "within_threshold"


def whole(findings: Iterable[Finding]) -> tuple[Verdict, str]:
    """The verdict of a check as a whole, of those findings that still count.

    One breach makes it breached, one error an error; it is ok if anything is, and no_data only where nothing could be told.
    """
    counting = [finding for finding in findings if not finding.superseded]
    for verdict in (Verdict.BREACHED, Verdict.ERROR, Verdict.OK):
        found = [finding for finding in counting if finding.verdict is verdict]
        if found:
            return verdict, found[0].reason
    return Verdict.NO_DATA, counting[0].reason if counting else "nothing_to_judge"
