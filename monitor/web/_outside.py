"""Alerts from outside: the webhooks of Alertmanager and Grafana, read without trust in anything they don't promise."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from monitor.records import instant
from monitor.wire.records import LATEST


class OutsideAlert(msgspec.Struct):
    """One alert of such a webhook. Keys it does not know are ignored: newer versions add some."""

    status: str
    labels: dict[str, str]
    startsAt: str = ""  # noqa: N815 - the name on the wire

    @property
    def started_at(self) -> float:
        """Unix seconds; NaN where the time cannot be read, or is one that nobody's alert started at."""
        try:
            seconds = instant(self.startsAt)
        except (ValueError, OverflowError):
            return math.nan
        return seconds if 0 <= seconds < LATEST else math.nan


class _Webhook(msgspec.Struct):
    alerts: list[OutsideAlert]


class BadWebhook(Exception):
    """The body is no webhook of Alertmanager's or Grafana's."""


def read_webhook(body: bytes) -> list[OutsideAlert]:
    """The alerts of a webhook.

    Raises:
        BadWebhook: it is none.
    """
    try:
        return msgspec.json.decode(body, type=_Webhook).alerts
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadWebhook(f"expected a webhook of Alertmanager or Grafana: {error}") from None


def decision(told: list[Any]) -> dict[str, str]:
    """What was decided about one alert, as the answer says it."""
    if not told:
        return {"decision": "ignored", "reason": "no model's retraining waits for this alert"}
    last = told[-1]
    found = {"decision": last.state, "reason": last.reason}
    return found | ({"guard": last.guard} if last.guard else {"id": last.key})
