"""The webhook receiver: a body for programs, signed, and the same over all attempts."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from monitor.notify import webhook
from monitor.records import OutcomeKind
from tests import servers
from tests.notify.alerts import alert, critical, notification, resolved
from tests.servers import answer, serving

SECRET = "whsec_" + base64.b64encode(b"hushhush" * 4).decode()
BODIES = {"firing": notification(alert("temp"), alert("hum")), "resolved": resolved(), "critical": critical()}


def options(url: str, **given: Any) -> webhook.Options:
    return webhook.Options.model_validate({"url": url, **given})


@pytest.mark.parametrize("name", BODIES)
def test_the_body_is_the_reviewed_one(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"webhook_{name}.json", json.dumps(webhook.payload(BODIES[name]), indent=2) + "\n")


def test_the_reference_library_accepts_the_signature() -> None:
    with serving(answer(204, b"")) as server:
        outcome = webhook.send(notification(), options(server.url + "/hook", secret=SECRET))
        assert outcome.kind is OutcomeKind.DELIVERED
        seen = server.seen[0]
    assert Webhook(SECRET).verify(seen.body, seen.headers) == webhook.payload(notification())
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(seen.body + b" ", seen.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"another key").decode()).verify(seen.body, seen.headers)


def test_every_attempt_carries_the_same_id_and_body_and_its_own_time() -> None:
    with serving(answer(503), answer(200)) as server:
        kinds = [webhook.send(notification(), options(server.url, secret=SECRET)).kind for _ in range(2)]
        first, second = server.seen
    assert kinds == [OutcomeKind.RETRY, OutcomeKind.DELIVERED]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == notification().key
    assert first.body == second.body
    # The real time of the attempt, not the watch's clock, which stands in 2012 here: receivers allow five minutes.
    assert all(abs(int(seen.headers["webhook-timestamp"]) - time.time()) < 60 for seen in (first, second))


def test_without_a_secret_there_is_no_signature() -> None:
    with serving(answer(200)) as server:
        webhook.send(notification(), options(server.url, headers={"Authorization": "Bearer hushhush"}))
        seen = server.seen[0]
    assert "webhook-signature" not in seen.headers
    assert seen.headers["webhook-id"] == notification().key
    assert seen.headers["authorization"] == "Bearer hushhush"
    assert seen.headers["content-type"] == "application/json"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_arrives_as_null(value: float) -> None:
    def refuse(token: str) -> None:
        raise AssertionError(token)

    with serving(answer(200)) as server:
        webhook.send(notification(alert(value=value)), options(server.url))
        body = json.loads(server.seen[0].body, parse_constant=refuse)
    assert body["data"]["alerts"][0]["value"] is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [(410, OutcomeKind.FAILED), (404, OutcomeKind.FAILED), (429, OutcomeKind.RETRY), (502, OutcomeKind.RETRY)],
)
def test_a_refusal_is_final_and_an_overload_is_not(status: int, kind: OutcomeKind) -> None:
    with serving(answer(status)) as server:
        assert webhook.send(notification(), options(server.url)).kind is kind


@pytest.mark.parametrize(
    "behaviour", [servers.hang, servers.cut, servers.garbage, answer(404, "/hushhush is not here")]
)
def test_no_secret_is_in_any_reason_or_repr(behaviour: servers.Behaviour) -> None:
    with serving(behaviour) as server:
        made = options(
            f"{server.url}/hushhush?key=hushhush",
            secret="hushhush",
            headers={"X-Key": "hushhush"},
            timeout="600ms",
        )
        outcome = webhook.send(notification(), made)
    assert "hushhush" not in f"{outcome!r} {made!r}"
    assert outcome.reason.startswith(server.url)


def test_a_secret_that_cannot_sign_is_final_and_not_quoted() -> None:
    with serving(answer(200)) as server:
        outcome = webhook.send(notification(), options(server.url, secret="whsec_hush!hush"))
        assert not server.seen, "nothing unsigned is sent in its place"
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == "expected a signing secret as text or as whsec_ and base64, got something else"


def test_a_secret_that_is_not_there_yet_is_worth_another_attempt(tmp_path: Path) -> None:
    path = tmp_path / "hook-key"
    with serving(answer(200)) as server:
        made = options(server.url, secret_file=str(path))
        outcome = webhook.send(notification(), made)
        assert (outcome.kind, outcome.reason) == (OutcomeKind.RETRY, f"cannot read {path}: No such file or directory")
        path.write_text("", encoding="utf-8")
        outcome = webhook.send(notification(), made)
        assert outcome.reason == "cannot read a secret: its file is empty or not text"
        path.write_text(SECRET, encoding="utf-8")
        assert webhook.send(notification(), made).kind is OutcomeKind.DELIVERED
