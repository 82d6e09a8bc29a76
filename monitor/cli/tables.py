"""Findings as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.records import Finding, iso

_HEAD = (
    "app", "model", "version", "check", "feature", "segment", "statistic", "value", "threshold", "verdict", "rows", "reason"
)  # fmt: skip
_RIGHT = {"value", "threshold", "rows"}


def findings_table(findings: Sequence[Finding]) -> str:
    """One line a finding, under the window it is about."""
    windows = dict.fromkeys(finding.window for finding in findings)
    return "\n".join(_block(f"{iso(w.start)} to {iso(w.end)}", [f for f in findings if f.window == w]) for w in windows)


def _block(title: str, findings: Sequence[Finding]) -> str:
    found = [dict(zip(_HEAD, _row(finding), strict=True)) for finding in findings]
    # Most models have no segments.
    shown = [name for name in _HEAD if name != "segment" or any(row[name] for row in found)]
    rows = [{name: name.upper() for name in shown}, *found]
    widths = {name: max(len(row[name]) for row in rows) for name in shown}
    lines = ["  ".join(_cell(name, row[name], widths[name]) for name in shown) for row in rows]
    return "\n".join([f"window {title}", *(line.rstrip() for line in lines)]) + "\n"


def _cell(name: str, text: str, width: int) -> str:
    return text.rjust(width) if name in _RIGHT else text.ljust(width)


def _row(finding: Finding) -> tuple[str, ...]:
    verdict = finding.verdict.value + (" (provisional)" if finding.provisional else "")
    return (
        finding.app,
        finding.model or "",
        finding.version or "",
        finding.check,
        finding.feature or "",
        finding.segment or "",
        finding.statistic,
        "" if finding.value is None else f"{finding.value:.6g}",
        "" if finding.threshold is None else f"{finding.threshold:.6g}",
        verdict,
        str(finding.rows),
        finding.reason
        + (" (superseded)" if finding.superseded else "")
        + (f"; {finding.caution}" if finding.caution else ""),
    )
