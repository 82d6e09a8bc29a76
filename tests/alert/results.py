"""Rules, results and alerts to decide on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.records import Alert, AlertState, CheckResult, Finding, Rule, Severity, Verdict, Window

NOW = 1_325_376_000.0
WINDOW = Window(NOW - 86400, NOW)
DRIFT = Rule(
    name="Drift",
    check="drift",
    on="breached",
    severity=Severity.WARNING,
    for_seconds=0.0,
    by=("model", "version", "feature", "statistic"),
    summary="{model}: {feature} has drifted",
    description="In {app}, {feature} of {model} {version} has drifted ({statistic}).",
)


def rule(**changes: Any) -> Rule:
    return replace(DRIFT, **changes)


def finding(verdict: Verdict, feature: str | None = "temp", version: str | None = "1", **changes: Any) -> Finding:
    made = Finding(
        app="shop",
        check="drift",
        statistic="psi",
        verdict=verdict,
        reason=verdict.value,
        window=WINDOW,
        model="demand",
        version=version,
        feature=feature,
        value={Verdict.BREACHED: 0.5, Verdict.OK: 0.1}.get(verdict),
        threshold=0.2,
    )
    return replace(made, **changes)


def result(*findings: Finding, verdict: Verdict | None = None, versions: tuple[str, ...] = ("1",)) -> CheckResult:
    whole = verdict or (findings[0].verdict if findings else Verdict.NO_DATA)
    return CheckResult("shop", "demand", "drift", whole, whole.value, WINDOW, 100, findings, versions)


def alert(state: AlertState, *, since: float = NOW - 3600, feature: str = "temp", version: str = "1") -> Alert:
    """An alert as a breach of `DRIFT` has made it."""
    labels = {"app": "shop", "model": "demand", "version": version, "feature": feature, "statistic": "psi"}
    return Alert(
        "Drift",
        labels,
        state,
        Severity.WARNING,
        pending_since=since,
        started_at=since if state is AlertState.FIRING else None,
        summary=f"demand: {feature} has drifted",
        description=f"In shop, {feature} of demand {version} has drifted (psi).",
        value=0.5,
        threshold=0.2,
    )


def live(*alerts: Alert) -> dict[str, Alert]:
    return {each.fingerprint: each for each in alerts}
