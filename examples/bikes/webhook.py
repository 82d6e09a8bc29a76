"""Incoming webhooks, verified as Standard Webhooks 1.0 asks (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

TOLERANCE_SECONDS = 300.0


class NotVerified(Exception):
    """The request was not signed by someone who knows the secret, or not lately."""


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The webhook's id, once its signature holds. `secret` is `whsec_` and base64; `now` is real Unix seconds.

    Raises:
        NotVerified: a header is missing or malformed, the time is more than five minutes off, or no signature fits.
    """
    try:
        webhook_id, stamp, signatures = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        sent_at = int(stamp)
    except KeyError as error:
        raise NotVerified(f"expected a header {error.args[0]}, got none") from None
    except ValueError:
        raise NotVerified("expected a webhook-timestamp in Unix seconds, got something else") from None
    if abs(now - sent_at) > TOLERANCE_SECONDS:
        raise NotVerified(f"expected a webhook-timestamp of the last five minutes, got one {now - sent_at:.0f} s old")
    expected = sign(secret, webhook_id, sent_at, body).encode()
    if not any(hmac.compare_digest(expected, given.encode()) for given in signatures.split()):
        raise NotVerified("expected a signature made with the shared secret, got another")
    return webhook_id


def sign(secret: str, webhook_id: str, sent_at: int, body: bytes) -> str:
    """The signature as it stands in the header: `v1,` and the base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`.

    Raises:
        ValueError: the secret is not `whsec_` and base64.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("expected a secret of whsec_ and base64, got something else") from None
    digest = hmac.new(key, f"{webhook_id}.{sent_at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def shared_secret(path: Path) -> str:
    """The secret in this file; the first one to ask makes it, readable by its owner only."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secret)
    return secret
