"""Several results as one: of one check on several windows, and of several checks on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from monitor.check._verdict import whole
from monitor.records import CheckResult, Finding, Verdict, Window

DATA_CHECKS = frozenset({"quality", "skew"})  # what they find broken explains what others find
Subject = tuple[str | None, str | None, str, str | None]
Said = Mapping[tuple[str, Window, Subject], Verdict]
_SAYS_SOMETHING = (Verdict.BREACHED, Verdict.OK)


def together(results: Sequence[CheckResult], said: Said) -> CheckResult:
    """The results of one check on several windows as one; the newest window's comes first.

    Of each subject the newest finding that says something is told. But a breach that is **news** comes before it: labels that
    came late have shown in an older window what the look before at that window did not. A breach that was told already is not
    told again because its window is looked at once more. Older windows are heard of the versions in use now. All that was
    found is in `history`.

    Args:
        results: the newest window's, then those of older ones, the newer first.
        said: the verdict at the look before, by check, window and subject.
    """
    newest = results[0]
    found: dict[Subject, list[Finding]] = {}
    for result in results:
        for finding in result.findings:
            if result is newest or not newest.versions or finding.version in (None, *newest.versions):
                found.setdefault(subject_of(finding), []).append(finding)
    findings = tuple(_telling(of_one, said) for of_one in found.values())
    verdict, reason = whole(findings)
    judged = [finding.window for finding in findings if finding.verdict in _SAYS_SOMETHING]
    window = max(judged, key=lambda window: window.end, default=newest.window)
    rows = next(result.rows for result in results if result.window == window)
    versions = newest.versions or next((result.versions for result in results if result.versions), ())
    held = [
        result for result in results if result is newest or result.versions
    ]  # an older window without a row says nothing
    history = tuple(finding for result in held for finding in result.findings)
    return replace(
        newest, verdict=verdict, reason=reason, window=window, rows=rows, findings=findings, versions=versions,
        history=history,
    )  # fmt: skip


def subject_of(finding: Finding) -> Subject:
    """What a finding is about, within its check."""
    return finding.version, finding.feature, finding.statistic, finding.segment


def _telling(findings: Sequence[Finding], said: Said) -> Finding:
    heard = [finding for finding in findings if finding is findings[0] or not finding.superseded]
    for finding in heard:
        before = said.get((finding.check, finding.window, subject_of(finding)))
        if finding.verdict is Verdict.BREACHED and (finding is findings[0] or before in (Verdict.OK, Verdict.NO_DATA)):
            return finding
    return next((finding for finding in heard if finding.verdict in _SAYS_SOMETHING), findings[0])


def explained(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The results, where the drift of a feature whose data are broken says so: it is looked into under that name."""
    broken: dict[tuple[str | None, str], str] = {}
    for result in results:
        if result.check in DATA_CHECKS:
            for finding in result.findings:
                breached = finding.verdict is Verdict.BREACHED and finding.statistic != "distribution"
                if breached and finding.feature is not None:
                    broken.setdefault((finding.version, finding.feature), f"{result.check}: {finding.statistic}")
    return [_cautious(result, broken) if result.check == "drift" and broken else result for result in results]


def _cautious(result: CheckResult, broken: dict[tuple[str | None, str], str]) -> CheckResult:
    findings = []
    for finding in result.findings:
        why = broken.get((finding.version, finding.feature or ""))
        explains = why is not None and finding.verdict is Verdict.BREACHED
        findings.append(replace(finding, caution=f"explained by {why}") if explains else finding)
    return replace(result, findings=tuple(findings))
