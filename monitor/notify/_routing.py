"""Which change is told to whom: one notification for the alerts of one name and subject that changed together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from monitor.config import Alerting, Route
from monitor.records import Alert, AlertState, Change, ChangeReason, Notification, fingerprint

DEFAULT_REPEAT_SECONDS = 4 * 3600.0


def route_for(alert: Alert, alerting: Alerting) -> Route:
    """The first route that matches an alert; every receiver where none does."""
    labels = {**alert.labels, "alertname": alert.name, "severity": alert.severity.value}
    for route in alerting.routes:
        if all(labels.get(name) == value for name, value in route.match.items()):
            return route
    return Route(to=tuple(receiver.name for receiver in alerting.receivers))


def repeat_seconds(alert: Alert, alerting: Alerting) -> float:
    """How long after it was told of a firing alert is told of again."""
    repeat = route_for(alert, alerting).repeat
    return DEFAULT_REPEAT_SECONDS if repeat is None else repeat


def notifications(
    changes: Sequence[Change], alerting: Alerting, *, about: Mapping[str, str], now: float
) -> list[tuple[str, Notification]]:
    """What each receiver is told of these changes.

    Args:
        changes: of one check; those that lead to firing or resolved are told.
        alerting: receivers and routes.
        about: owner, runbook and url of the app.
        now: Unix seconds.
    """
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        if change.alert.state is not AlertState.PENDING:
            for receiver in route_for(change.alert, alerting).to:
                groups.setdefault(
                    (receiver, change.alert.name, change.alert.state.value, change.reason.value), []
                ).append(change)
    return [(key[0], _notification(key[0], group, about, now)) for key, group in groups.items()]


def _notification(receiver: str, group: Sequence[Change], about: Mapping[str, str], now: float) -> Notification:
    first = group[0]
    alerts = tuple(change.alert for change in group)
    repeated = repr(now) if first.reason is ChangeReason.REPEAT_DUE else ""
    parts = sorted(f"{alert.fingerprint} {alert.started_at!r}" for alert in alerts)
    return Notification(
        key=fingerprint(receiver, first.alert.state.value, repeated, *parts),
        at=now,
        status="resolved" if first.alert.state is AlertState.RESOLVED else "firing",
        name=first.alert.name,
        severity=first.alert.severity,
        app=first.alert.labels["app"],
        model=first.alert.labels.get("model"),
        reason=first.reason,
        alerts=alerts,
        **about,
    )


def told(alerts: Iterable[Alert], now: float) -> list[Alert]:
    """The alerts, noted as told of now."""
    return [replace(alert, notified_at=now) for alert in alerts]
