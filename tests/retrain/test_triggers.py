"""Every trigger can be built and attempted alike; the webhook trigger carries the whole lineage."""

from __future__ import annotations

import base64
import inspect
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook

from monitor import registry
from monitor.options import Options
from monitor.records import Finding, OutcomeKind, RetrainingRequest, Verdict, Window
from monitor.retrain.triggers import webhook
from tests import servers
from tests.servers import answer, serving

AT = 1_325_376_000.0
WINDOW = Window(AT - 7 * 86400, AT)
SECRET = "whsec_" + base64.b64encode(b"hushhush" * 4).decode()
EVIDENCE = Finding(
    app="bike-api",
    check="performance",
    statistic="mae",
    verdict=Verdict.BREACHED,
    reason="",
    window=WINDOW,
    model="bike-demand",
    version="3",
    value=71.5,
    threshold=40.0,
    rows=1680,
)
ORDER = RetrainingRequest(
    key="0d41c6e2b85f7a93",
    at=AT,
    app="bike-api",
    model="bike-demand",
    version="3",
    cause="ModelPerformanceDegraded",
    cause_started_at=AT - 3600,
    window=WINDOW,
    window_fingerprint="a1b2c3d4e5f60718",
    config_hash="9f8e7d6c5b4a3928",
    git_commit="4be1f0c",
    evidence=(EVIDENCE,),
)


def options(url: str, **given: Any) -> webhook.Options:
    return webhook.Options.model_validate({"url": url, **given})


@pytest.mark.parametrize("name", registry.known("trigger"))
def test_every_trigger_declares_what_the_watch_calls(name: str) -> None:
    """Options, a pure `request(order, options, now)` and `send(order, options, now)`, found by the folder."""
    module = registry.load("trigger", name)
    assert issubclass(module.Options, Options)
    for function in (module.request, module.send):
        assert list(inspect.signature(function).parameters) == ["order", "options", "now"]


def test_the_body_is_the_reviewed_one(golden: Callable[[str, str], None]) -> None:
    request = webhook.request(ORDER, options("http://127.0.0.1/"), AT)
    golden("trigger_webhook.json", json.dumps(json.loads(request.body), indent=2) + "\n")


def test_building_a_request_is_pure() -> None:
    """The same order, options and time give the same request, signature included."""
    made = options("http://127.0.0.1/", secret=SECRET)
    assert webhook.request(ORDER, made, AT) == webhook.request(ORDER, made, AT)
    assert webhook.request(ORDER, made, AT).headers["webhook-timestamp"] == "1325376000"


def test_the_request_arrives_signed_and_with_its_lineage() -> None:
    with serving(answer(202)) as server:
        made = options(server.url + "/retrain", secret=SECRET, headers={"X-Team": "mobility"})
        outcome = webhook.send(ORDER, made, time.time())
        assert outcome.kind is OutcomeKind.DELIVERED
        seen = server.seen[0]
    body = Webhook(SECRET).verify(seen.body, seen.headers)
    assert (seen.method, seen.path, seen.headers["x-team"]) == ("POST", "/retrain", "mobility")
    assert seen.headers["webhook-id"] == ORDER.key
    assert body["type"] == "anchorwatch.retraining.requested"
    assert body["data"]["window"] == {"start": "2011-12-25T00:00:00Z", "end": "2012-01-01T00:00:00Z"}
    assert [Finding.from_json(row) for row in body["data"]["evidence"]] == [EVIDENCE]


def test_a_second_attempt_is_the_same_order() -> None:
    """One id and one body over all attempts, so that the other side starts one retraining."""
    with serving(servers.cut, answer(200)) as server:
        made = options(server.url, timeout="2s")
        kinds = [webhook.send(ORDER, made, time.time()).kind for _ in range(2)]
        first, second = server.seen
    assert kinds == [OutcomeKind.RETRY, OutcomeKind.DELIVERED]
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


def test_an_order_without_window_or_version_and_with_nan_is_valid_json() -> None:
    def refuse(token: str) -> None:
        raise AssertionError(token)

    order = replace(ORDER, window=None, version=None, evidence=(replace(EVIDENCE, value=math.nan),))
    body = json.loads(webhook.request(order, options("http://127.0.0.1/"), AT).body, parse_constant=refuse)
    assert body["data"]["window"] is None
    assert body["data"]["version"] is None
    assert body["data"]["evidence"][0]["value"] is None


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        (answer(404), OutcomeKind.FAILED, "answered 404 Not Found"),
        (answer(410), OutcomeKind.FAILED, "answered 410 Gone"),
        (answer(429, retry_after="60"), OutcomeKind.RETRY, "answered 429 Too Many Requests"),
        (answer(500), OutcomeKind.RETRY, "answered 500 Internal Server Error"),
        (servers.hang, OutcomeKind.RETRY, "timed out after 0.6 s"),
        (servers.drip_headers, OutcomeKind.RETRY, "timed out after 0.6 s"),
    ],
)
def test_a_refusal_is_final_an_overload_is_not_and_nothing_secret_is_said(
    behaviour: servers.Behaviour, kind: OutcomeKind, said: str
) -> None:
    with serving(behaviour) as server:
        made = options(f"{server.url}/hushhush", secret="hushhush", headers={"X-Key": "hushhush"}, timeout="600ms")
        outcome = webhook.send(ORDER, made, time.time())
        assert (outcome.kind, outcome.reason) == (kind, f"{server.url}: {said}")
    assert "hushhush" not in f"{outcome!r} {made!r} {webhook.request(ORDER, made, AT)!r}"
