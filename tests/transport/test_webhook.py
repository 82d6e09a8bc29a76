"""Standard Webhooks, held against the reference library."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from monitor import transport

WHEN = 1_700_000_000


@given(key=st.binary(min_size=1, max_size=64), message_id=st.text("abc-_0123", min_size=1), body=st.text())
def test_a_signature_is_the_one_the_reference_library_makes(key: bytes, message_id: str, body: str) -> None:
    try:
        encoded = body.encode()
    except UnicodeEncodeError:
        return
    secret = f"whsec_{base64.b64encode(key).decode()}"
    expected = Webhook(secret).sign(message_id, datetime.fromtimestamp(WHEN, UTC), body)
    assert transport.sign(secret, message_id, WHEN, encoded) == expected
    assert transport.sign(secret.rstrip("="), message_id, WHEN, encoded) == expected, "padding may be left out"


def test_a_plain_text_secret_is_the_key_itself() -> None:
    expected = Webhook(b"a plain secret").sign("msg", datetime.fromtimestamp(WHEN, UTC), "{}")
    assert transport.sign("a plain secret", "msg", WHEN, b"{}") == expected


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_hush!hush", "whsec_a"])
def test_a_secret_that_cannot_sign_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(transport.Unusable) as caught:
        transport.sign(secret, "msg", WHEN, b"{}")
    assert str(caught.value) == "expected a signing secret as text or as whsec_ and base64, got something else"


def test_nobody_overrides_the_headers_that_identify_and_sign() -> None:
    request = transport.standard_webhook(
        "http://127.0.0.1/", "key-1", {}, now=WHEN, secret="s", headers={"Webhook-Id": "mine", "X-Team": "a"}
    )
    names = sorted(name.lower() for name in request.headers)
    assert names == ["content-type", "webhook-id", "webhook-signature", "webhook-timestamp", "x-team"]
    assert request.headers["webhook-id"] == "key-1"
    assert request.headers["webhook-timestamp"] == str(WHEN)


def test_without_a_secret_nothing_is_signed() -> None:
    request = transport.standard_webhook("http://127.0.0.1/", "key-1", {}, now=WHEN, secret=None, headers={})
    assert "webhook-signature" not in request.headers


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(value=json_values)
def test_a_body_is_json_that_every_parser_reads(value: object) -> None:
    """NaN and infinities, which JSON does not have, arrive as null; everything else as it was."""

    def refuse(token: str) -> None:
        raise AssertionError(token)

    def expected(part: object) -> object:
        if isinstance(part, dict):
            return {key: expected(inner) for key, inner in part.items()}
        if isinstance(part, list):
            return [expected(inner) for inner in part]
        return None if isinstance(part, float) and not math.isfinite(part) else part

    body = transport.json_body({"value": value})
    assert json.loads(body, parse_constant=refuse) == {"value": expected(value)}
