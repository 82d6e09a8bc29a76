"""An alert as a Slack message: Block Kit within its limits, through an incoming webhook, whose URL is a secret."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from monitor import options as configured
from monitor import transport
from monitor.records import Alert, AlertState, ChangeReason, Notification, Outcome, OutcomeKind, Severity, iso

# Block Kit allows 50 blocks, 3000 characters a section, 150 a header; all blocks together fail near 13,200 characters
# (undocumented). Seven alerts of at most 1000 characters leave room for everything else.
SHOWN = 7
_ALERT_LIMIT = 1000
_FIELD_LIMIT = 200
_HEADER_LIMIT = 150
_TEXT_LIMIT = 500
_LINK_LIMIT = 1000

_EMOJI = {
    Severity.CRITICAL: ":rotating_light:",
    Severity.WARNING: ":warning:",
    Severity.INFO: ":information_source:",
}
_COLOURS = {Severity.CRITICAL: "#c62828", Severity.WARNING: "#ef8f00", Severity.INFO: "#1e6fd9"}
_RESOLVED_EMOJI, _RESOLVED_COLOUR = ":white_check_mark:", "#2e7d32"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_OWN_LABELS = ("app", "model", "version")
_ERROR_CODE = re.compile(rb"[a-z_]{1,60}")


class Options(configured.Options):
    """The incoming webhook to post to."""

    url: transport.SecretUrl
    timeout: transport.Timeout = 15.0


def escaped(text: str, limit: int) -> str:
    """Text for Slack with `&`, `<` and `>` escaped, cut with an ellipsis so that the *escaped* text keeps the limit.

    >>> escaped("a<b>c", 9)
    'a&lt;b…'
    """
    pieces = [_ESCAPES.get(character, character) for character in text]
    if sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    kept, room = [], limit - 1
    for piece in pieces:
        if len(piece) > room:
            break
        kept.append(piece)
        room -= len(piece)
    return "".join(kept) + "…"


def _number(value: float | None) -> str:
    return "n/a" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _headline(notification: Notification) -> str:
    if notification.status == "resolved":
        return f"Resolved: {notification.name}"
    return f"{'Still firing' if notification.reason is ChangeReason.REPEAT_DUE else 'Firing'}: {notification.name}"


def _subject(notification: Notification) -> str:
    return " / ".join(part for part in (notification.app, notification.model) if part)


def _versions(alerts: Iterable[Alert]) -> str:
    return ", ".join(sorted({alert.labels["version"] for alert in alerts if alert.labels.get("version")}))


def _started(alert: Alert) -> float:
    return alert.pending_since if alert.started_at is None else alert.started_at


def _since(notification: Notification) -> str:
    starts = [_started(alert) for alert in notification.alerts]
    if not starts:
        return ""
    ends = [alert.resolved_at for alert in notification.alerts if alert.resolved_at is not None]
    over = notification.status == "resolved" and ends
    return f"{iso(min(starts))} to {iso(max(ends))}" if over else iso(min(starts))


def _line(alert: Alert) -> str:
    """One alert: what it is about, value against threshold, since when, in words."""
    about = ", ".join(f"{key} {value}" for key, value in sorted(alert.labels.items()) if key not in _OWN_LABELS)
    title = escaped(about or alert.name, 350)
    parts = [f"value {_number(alert.value)}, threshold {_number(alert.threshold)}"] if alert.value is not None else []
    parts.append(f"since {iso(_started(alert))}")
    if alert.state is AlertState.RESOLVED and alert.resolved_at is not None:
        parts.append(f"resolved {iso(alert.resolved_at)}")
    summary = f"\n{escaped(alert.summary, 400)}" if alert.summary else ""
    return f"*{title}*\n{' · '.join(parts)}{summary}"[:_ALERT_LIMIT]


def _link(url: str, label: str) -> str:
    """A link, or the text itself where it isn't one that Slack would follow."""
    if not re.fullmatch(r"https?://\S+", url):
        return f"{label}: {escaped(url, _FIELD_LIMIT)}"
    target = escaped(url.replace("|", "%7C"), _LINK_LIMIT)
    return f"{label}: too long to link" if target.endswith("…") else f"<{target}|{label}>"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _fields(notification: Notification) -> dict[str, Any]:
    named = {
        "App": notification.app,
        "Model": notification.model or "",
        "Version": _versions(notification.alerts),
        "Severity": notification.severity.value,
        "Since": _since(notification),
        "Owner": notification.owner,
    }
    fields = [f"*{name}*\n{escaped(value, _FIELD_LIMIT)}" for name, value in named.items() if value]
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in fields]}


def _blocks(notification: Notification) -> list[dict[str, Any]]:
    blocks = [_fields(notification), *(_section(_line(alert)) for alert in notification.alerts[:SHOWN])]
    hidden = len(notification.alerts) - SHOWN
    if hidden > 0:
        blocks.append(_section(f"and {hidden} more"))
    links = [
        _link(url, label) for url, label in ((notification.runbook, "runbook"), (notification.url, "watch")) if url
    ]
    if links:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": " · ".join(links)}]})
    return blocks


def payload(notification: Notification) -> dict[str, Any]:
    """The message: `text` for the notification on a phone, a header, the details under the severity's colour."""
    resolved = notification.status == "resolved"
    emoji = _RESOLVED_EMOJI if resolved else _EMOJI[notification.severity]
    colour = _RESOLVED_COLOUR if resolved else _COLOURS[notification.severity]
    count, headline, subject = len(notification.alerts), _headline(notification), _subject(notification)
    many = f" ({count} alerts)" if count > 1 else ""
    header = f"{emoji} {headline}"
    return {
        "text": f"{escaped(headline, _TEXT_LIMIT)}{many} [{notification.severity.value}] {escaped(subject, _TEXT_LIMIT)}",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": _cut(header, _HEADER_LIMIT), "emoji": True}}
        ],
        "attachments": [{"color": colour, "blocks": _blocks(notification)}],
    }


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def send(notification: Notification, options: Options) -> Outcome:
    """One attempt; Slack's own word for an error (`invalid_payload`, `no_service`) is kept in the reason."""

    def build() -> transport.Request:
        body = transport.json_body(payload(notification))
        return transport.Request("POST", options.url.reveal(), {"Content-Type": "application/json"}, body)

    outcome, response = transport.deliver(build, timeout_seconds=options.timeout)
    # Only a bare code: an error page may quote the URL, which is the secret.
    if outcome.kind is OutcomeKind.DELIVERED or response is None or not _ERROR_CODE.fullmatch(response.body):
        return outcome
    return Outcome(outcome.kind, f"{outcome.reason} {response.body.decode()}", outcome.retry_after_seconds)
