"""A notification as it waits in the outbox: so that every attempt, also after a restart, says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.records import ChangeReason, Notification, Severity, instant, iso
from monitor.store.watch import alert_as_json, alert_from_json


def as_json(notification: Notification) -> dict[str, Any]:
    """A notification as plain data."""
    row = {name: getattr(notification, name) for name in notification.__slots__}
    row["at"] = iso(notification.at)
    row["alerts"] = [alert_as_json(alert) for alert in notification.alerts]
    return row


def from_json(row: Mapping[str, Any]) -> Notification:
    """The inverse of `as_json`."""
    return Notification(
        **{
            **row,
            "at": instant(row["at"]),
            "severity": Severity(row["severity"]),
            "reason": ChangeReason(row["reason"]),
            "alerts": tuple(alert_from_json(alert) for alert in row["alerts"]),
        }
    )
