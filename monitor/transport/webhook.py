"""Webhooks after Standard Webhooks 1.0: an id that stays, a time stamp, a signature, JSON without NaN."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from typing import Any

from monitor.transport.address import Unusable
from monitor.transport.exchange import Request


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_body(payload: Mapping[str, Any]) -> bytes:
    """A payload as JSON; NaN and infinities, which JSON does not have, become null.

    >>> json_body({"value": float("nan"), "window": (1, 2)})
    b'{"value":null,"window":[1,2]}'
    """
    return json.dumps(_finite(payload), separators=(",", ":"), allow_nan=False).encode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of a message after Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`.

    A secret is `whsec_` and the base64 of its key, or plain text, whose UTF-8 bytes are then the key. `timestamp` is in
    Unix seconds.

    Raises:
        Unusable: the secret is empty or no base64 follows `whsec_`.

    >>> sign("whsec_c2VjcmV0", "msg_1", 1700000000, b"{}") == sign("secret", "msg_1", 1700000000, b"{}")
    True
    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        coded = secret.removeprefix("whsec_").rstrip("=")
        try:
            key = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
    if not key:
        raise Unusable("expected a signing secret as text or as whsec_ and base64, got something else")
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def standard_webhook(
    url: str, key: str, payload: Mapping[str, Any], *, now: float, secret: str | None, headers: Mapping[str, str]
) -> Request:
    """A POST after Standard Webhooks 1.0, signed if there is a secret.

    `key` stays the same over all attempts; `now` is the real time of this one in Unix seconds (receivers accept five
    minutes of difference).

    Raises:
        Unusable: the secret cannot be used.
    """
    body, timestamp = json_body(payload), int(now)
    ours = {"Content-Type": "application/json", "webhook-id": key, "webhook-timestamp": str(timestamp)}
    if secret is not None:
        ours["webhook-signature"] = sign(secret, key, timestamp, body)
    taken = {name.lower() for name in ours}
    kept = {name: value for name, value in headers.items() if name.lower() not in taken}
    return Request("POST", url, {**kept, **ours}, body)
