"""An alert as JSON to any URL, after Standard Webhooks 1.0: signed if a secret is set, one id over all attempts."""

from __future__ import annotations

import time
from typing import Any

from pydantic import Field

from monitor import options as configured
from monitor import transport
from monitor.records import Alert, Notification, Outcome, iso


class Options(configured.Options):
    """Where to, signed with what; extra headers carry what the other side asks for."""

    url: transport.SecretUrl
    secret: configured.Secret | None = None
    headers: transport.Headers = Field(default_factory=dict)
    timeout: transport.Timeout = 15.0


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)


def _alert(alert: Alert, notification: Notification) -> dict[str, Any]:
    return {
        "name": alert.name,
        "labels": dict(sorted(alert.labels.items())),
        "state": alert.state.value,
        "severity": alert.severity.value,
        "value": alert.value,
        "threshold": alert.threshold,
        "pending_since": _time(alert.pending_since),
        "started_at": _time(alert.started_at),
        "resolved_at": _time(alert.resolved_at),
        "summary": alert.summary,
        "description": alert.description,
        "fingerprint": alert.fingerprint,
        "owner": notification.owner,
        "runbook": notification.runbook,
    }


def payload(notification: Notification) -> dict[str, Any]:
    """The body: a type, a time and the alerts; `timestamp` is the watch's clock, not the attempt's."""
    return {
        "type": f"anchorwatch.alert.{notification.status}",
        "timestamp": iso(notification.at),
        "data": {
            "key": notification.key,
            "status": notification.status,
            "reason": notification.reason.value,
            "name": notification.name,
            "severity": notification.severity.value,
            "app": notification.app,
            "model": notification.model,
            "owner": notification.owner,
            "runbook": notification.runbook,
            "url": notification.url,
            "alerts": [_alert(alert, notification) for alert in notification.alerts],
        },
    }


def send(notification: Notification, options: Options) -> Outcome:
    """One attempt; `webhook-id` is the notification's key, so that the other side can drop what it has seen."""

    def build() -> transport.Request:
        return transport.standard_webhook(
            options.url.reveal(),
            notification.key,
            payload(notification),
            now=time.time(),
            secret=None if options.secret is None else options.secret.reveal(),
            headers=transport.reveal_headers(options.headers),
        )

    return transport.deliver(build, timeout_seconds=options.timeout)[0]
