"""How a retraining comes to its end, decided from what is seen of the new version. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from monitor.records import CheckResult, Finding, Verdict
from monitor.store.watch import KeptRetraining


@dataclass(frozen=True, slots=True)
class Step:
    """The next state of a retraining, and why."""

    state: str
    reason: str


def judge_outcome(row: KeptRetraining, result: CheckResult, *, windows: int) -> Step | None:
    """What a result says about the version a retraining has brought; None where it says nothing yet.

    Args:
        row: a retraining in the state `deployed`; `breaches` counts the windows, this one too, that its new version was
            breached in.
        result: the newest result of a check of its model.
        windows: how many of them count as evidence.
    """
    if result.check != row.cause or row.new_version is None:
        return None
    if row.new_version not in result.versions:
        if is_replaced(row, result):
            return Step("not_recovered", f"version {row.new_version} is no longer in use")
        return None
    if breached_until(row, result) > -math.inf:
        if row.breaches >= windows:
            return Step("not_recovered", f"{row.cause} is still breached by version {row.new_version}")
        return None
    about = [finding for finding in result.findings if finding.version == row.new_version]
    telling = [finding for finding in about if not _never_told(finding)]
    if telling and all(finding.verdict is Verdict.OK for finding in telling):
        return Step("recovered", f"{row.cause} is ok again with version {row.new_version}")
    return None


def _never_told(finding: Finding) -> bool:
    """A segment of few rows, or a value with nothing to compare it with, speaks neither for a version nor against it."""
    unknown = finding.segment is not None or finding.value is not None
    return finding.verdict is Verdict.NO_DATA and unknown


def is_replaced(row: KeptRetraining, result: CheckResult) -> bool:
    """Whether a result that does not count the new version tells of its end, and not of the time before it came."""
    if not result.versions or result.verdict is Verdict.NO_DATA:
        return False
    seen_before = any(finding.version == row.new_version and finding.superseded for finding in result.findings)
    return seen_before or result.window.start >= row.deployed


def breached_until(row: KeptRetraining, result: CheckResult) -> float:
    """The end of the newest window in which the check that was the cause finds the new version breached; -inf for none."""
    breached = [f for f in result.findings if f.verdict is Verdict.BREACHED and f.version == row.new_version]
    return (
        max((finding.window.end for finding in breached), default=-math.inf) if result.check == row.cause else -math.inf
    )
