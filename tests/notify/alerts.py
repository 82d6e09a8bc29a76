"""Notifications to send: one alert, many, odd ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.records import Alert, AlertState, ChangeReason, Notification, Severity

AT = 1_325_376_000.0  # 2012-01-01T00:00:00Z


def alert(feature: str = "temp", **changes: Any) -> Alert:
    made = Alert(
        name="ModelFeatureDrift",
        labels={
            "app": "bike-api",
            "model": "bike-demand",
            "version": "3",
            "check": "drift",
            "feature": feature,
            "statistic": "psi",
        },
        state=AlertState.FIRING,
        severity=Severity.WARNING,
        pending_since=AT - 7200,
        started_at=AT - 3600,
        summary=f"{feature} has drifted",
        description="The distribution has moved away from the reference.",
        value=0.31234567,
        threshold=0.2,
    )
    return replace(made, **changes)


def notification(*alerts: Alert, **changes: Any) -> Notification:
    made = Notification(
        key="5f2c8a1d9e3b7046",
        at=AT,
        status="firing",
        name="ModelFeatureDrift",
        severity=Severity.WARNING,
        app="bike-api",
        model="bike-demand",
        reason=ChangeReason.BREACH_PERSISTED,
        alerts=alerts or (alert(),),
        owner="mobility-team",
        runbook="https://wiki.example.org/bike-api?a=1&b=2",
        url="http://127.0.0.1:9877/",
    )
    return replace(made, **changes)


def resolved() -> Notification:
    over = alert(state=AlertState.RESOLVED, resolved_at=AT, value=0.05)
    return notification(over, status="resolved", reason=ChangeReason.RECOVERED)


def critical() -> Notification:
    """An app's outage: no model, no value, nobody who owns it."""
    down = alert(
        name="AppDown",
        labels={"app": "bike-api", "check": "probe:health"},
        severity=Severity.CRITICAL,
        value=None,
        threshold=None,
        summary="bike-api does not answer",
    )
    return notification(
        down,
        name="AppDown",
        severity=Severity.CRITICAL,
        model=None,
        owner="",
        runbook="",
        reason=ChangeReason.REPEAT_DUE,
    )
