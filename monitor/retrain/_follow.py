"""How a retraining comes to its end, decided from what is seen of the new version. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.records import CheckResult, Verdict
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
    if is_breached(row, result):
        if row.breaches >= windows:
            return Step("not_recovered", f"{row.cause} is still breached by version {row.new_version}")
        return None
    about = [finding for finding in result.findings if finding.version == row.new_version]
    if about and all(finding.verdict is Verdict.OK for finding in about):
        return Step("recovered", f"{row.cause} is ok again with version {row.new_version}")
    return None


def is_replaced(row: KeptRetraining, result: CheckResult) -> bool:
    """Whether a result that does not count the new version tells of its end, and not of the time before it came."""
    if not result.versions or result.verdict is Verdict.NO_DATA:
        return False
    seen_before = any(finding.version == row.new_version and finding.superseded for finding in result.findings)
    return seen_before or result.window.start >= row.deployed


def is_breached(row: KeptRetraining, result: CheckResult) -> bool:
    """Whether a result of the check that was the cause finds the new version breached."""
    breached = [finding for finding in result.findings if finding.verdict is Verdict.BREACHED]
    return result.check == row.cause and any(finding.version == row.new_version for finding in breached)
