"""Findings as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.records import Finding, iso

_HEAD = ("app", "model", "version", "check", "feature", "statistic", "value", "threshold", "verdict", "rows", "reason")
_RIGHT = {"value", "threshold", "rows"}


def findings_table(findings: Sequence[Finding]) -> str:
    """One line a finding, under the window it is about."""
    windows = dict.fromkeys(finding.window for finding in findings)
    return "\n".join(_block(f"{iso(w.start)} to {iso(w.end)}", [f for f in findings if f.window == w]) for w in windows)


def _block(title: str, findings: Sequence[Finding]) -> str:
    rows = [tuple(name.upper() for name in _HEAD), *(_row(finding) for finding in findings)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    lines = [
        "  ".join(_cell(name, text, width) for name, text, width in zip(_HEAD, row, widths, strict=True))
        for row in rows
    ]
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
        finding.statistic,
        "" if finding.value is None else f"{finding.value:.6g}",
        "" if finding.threshold is None else f"{finding.threshold:.6g}",
        verdict,
        str(finding.rows),
        finding.reason + (" (superseded)" if finding.superseded else ""),
    )
