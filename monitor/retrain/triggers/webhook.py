"""A retraining asked for by a webhook after Standard Webhooks 1.0, with the lineage of what asks for it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from monitor import options as configured
from monitor import transport
from monitor.records import Outcome, RetrainingRequest, iso


class Options(configured.Options):
    """Where to, signed with what; extra headers carry what the other side asks for."""

    url: transport.SecretUrl
    secret: configured.Secret | None = None
    headers: transport.Headers = Field(default_factory=dict)
    timeout: transport.Timeout = 15.0


def payload(order: RetrainingRequest) -> dict[str, Any]:
    """The body: a type, a time and the order with its lineage and its evidence."""
    window = order.window
    return {
        "type": "anchorwatch.retraining.requested",
        "timestamp": iso(order.at),
        "data": {
            "key": order.key,
            "app": order.app,
            "model": order.model,
            "version": order.version,
            "cause": order.cause,
            "cause_started_at": iso(order.cause_started_at),
            "window": None if window is None else {"start": iso(window.start), "end": iso(window.end)},
            "window_fingerprint": order.window_fingerprint,
            "config_hash": order.config_hash,
            "git_commit": order.git_commit,
            "evidence": [finding.as_json() for finding in order.evidence],
        },
    }


def request(order: RetrainingRequest, options: Options, now: float) -> transport.Request:
    """The request; `webhook-id` is the order's key, so that a second attempt starts no second retraining.

    Raises:
        OSError: a secret's file cannot be read.
        ValueError: a secret's file is empty, or the secret cannot be used.
    """
    return transport.standard_webhook(
        options.url.reveal(),
        order.key,
        payload(order),
        now=now,
        secret=None if options.secret is None else options.secret.reveal(),
        headers=transport.reveal_headers(options.headers),
    )


def send(order: RetrainingRequest, options: Options, now: float) -> Outcome:
    """One attempt."""
    return transport.deliver(lambda: request(order, options, now), timeout_seconds=options.timeout)[0]
