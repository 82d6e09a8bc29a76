"""The http probe against apps that answer well, wrongly, slowly and not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from monitor import transport
from monitor.collect.http import FAMILIES, Collector, Options
from monitor.records import Reading, Verdict
from tests import servers
from tests.servers import Behaviour, answer, answer_json, closed_port, redirect, serving

UP = "anchorwatch_app_up"
STATUS = "anchorwatch_app_probe_status_code"
DURATION = "anchorwatch_app_probe_duration_seconds"
EXPIRY = "anchorwatch_app_certificate_expiry_timestamp_seconds"


def look(url: str, **given: Any) -> Reading:
    options = Options.model_validate({"url": url, "timeout": "5s", **given})
    return Collector(options).collect()


def values(reading: Reading, name: str) -> list[float]:
    return [sample.value for sample in reading.samples if sample.name == name]


def phases(reading: Reading) -> Mapping[str, float]:
    return {sample.labels["phase"]: sample.value for sample in reading.samples if sample.name == DURATION}


def test_an_app_that_answers_as_expected_is_up() -> None:
    with serving(answer(200)) as server:
        reading = look(f"{server.url}/healthz?deep=1&q=a b", expect={"status": 200})
        assert (reading.verdict, reading.reason) == (Verdict.OK, "")
        assert (values(reading, UP), values(reading, STATUS)) == ([1.0], [200.0])
        assert server.seen[0].path == "/healthz?deep=1&q=a%20b"
        assert server.seen[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_the_phases_are_those_of_a_plain_connection() -> None:
    with serving(answer(200)) as server:
        reading = look(server.url)
    assert set(phases(reading)) == {"resolve", "connect", "processing", "transfer"}
    assert all(0 <= seconds < 5 for seconds in phases(reading).values())
    assert not values(reading, EXPIRY)


def test_waiting_is_counted_where_it_happened() -> None:
    """An app that thinks for a while before its first byte shows that under processing, not under transfer."""

    def slow(handler: servers.Handler) -> None:
        handler.server.stopping.wait(0.3)
        answer(200)(handler)

    with serving(slow) as server:
        seconds = phases(look(server.url))
    assert seconds["processing"] >= 0.3
    assert seconds["transfer"] < 0.3
    assert seconds["connect"] < 0.3


def test_samples_belong_to_the_families_and_lack_what_the_caller_adds() -> None:
    labels = {family.name: set(family.labels) - {"app", "probe"} for family in FAMILIES}
    with serving(answer(200)) as server:
        for sample in look(server.url).samples:
            assert set(sample.labels) == labels[sample.name]


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_golden_input_is_posted_as_json() -> None:
    body = {"hr": 8, "temp": 0.3, "workingday": 1}
    with serving(answer_json({"prediction": 101.5})) as server:
        reading = look(
            server.url, method="post", json=body, expect={"json": {"path": "prediction", "between": [50, 400]}}
        )
        assert reading.verdict is Verdict.OK
        seen = server.seen[0]
    assert (seen.method, seen.json(), seen.headers["content-type"]) == ("POST", body, "application/json")


def test_headers_body_and_credentials_are_sent_as_given() -> None:
    with serving(answer(200)) as server:
        url = server.url.replace("http://", "http://al:p%40ss@")
        look(url, method="PUT", body="grüße", headers={"User-Agent": "mine", "X-Token": "t"})
        seen = server.seen[0]
    assert seen.body.decode() == "grüße"
    assert (seen.headers["user-agent"], seen.headers["x-token"]) == ("mine", "t")
    assert seen.headers["authorization"] == "Basic YWw6cEBzcw=="


# --- an answer that is not as expected --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "expect", "complaint"),
    [
        (answer(503), {}, "expected a 2xx status, got 503"),
        (redirect("http://127.0.0.1:9/"), {}, "expected a 2xx status, got 302"),
        (answer(201), {"status": 200}, "expected status 200, got 201"),
        (answer(404), {"status": [200, 204]}, "expected status 200 or 204, got 404"),
        (answer(200, "degraded"), {"body": "^ok$"}, 'expected a body that matches "^ok$", got another'),
        (answer(200, "<html>"), {"json": {"path": "a", "equals": 1}}, "expected JSON, got something else"),
        (answer(200, "[" * 100_000), {"json": {"path": "a", "equals": 1}}, "expected JSON, got something else"),
        (answer(200, b"\xff\xfe\x00"), {"json": {"path": "a", "equals": 1}}, "expected JSON, got something else"),
        (answer_json({"b": 1}), {"json": {"path": "a.b", "equals": 1}}, "expected a value at a.b, got none"),
        (answer_json([1, 2]), {"json": {"path": "7", "equals": 1}}, "expected a value at 7, got none"),
        (answer_json({"a": "x"}), {"json": {"path": "a", "equals": "y"}}, 'expected a to be "y", got "x"'),
        (answer_json({"a": True}), {"json": {"path": "a", "equals": 1}}, "expected a to be 1, got true"),
        (
            answer_json({"a": 401}),
            {"json": {"path": "a", "between": [50, 400]}},
            "expected a between 50 and 400, got 401",
        ),
        (
            answer_json({"a": "60"}),
            {"json": {"path": "a", "between": [50, 400]}},
            'expected a between 50 and 400, got "60"',
        ),
        (answer_json({"a": True}), {"json": {"path": "a", "between": [0, 2]}}, "expected a between 0 and 2, got true"),
        (
            answer(200, '{"a": NaN}'),
            {"json": {"path": "a", "between": [0, 2]}},
            "expected a between 0 and 2, got NaN",
        ),
        (servers.short, {}, "expected a whole answer, got a part: connection cut"),
        (servers.drip_body, {}, "expected a whole answer, got a part: timed out after 0.6 s"),
        (servers.huge, {"body": "ok"}, "expected a body of at most 1 MiB, got a longer one"),
    ],
)
def test_a_wrong_answer_is_a_breach_that_says_what_was_wrong(
    behaviour: Behaviour, expect: dict[str, Any], complaint: str
) -> None:
    with serving(behaviour) as server:
        reading = look(server.url, timeout="600ms", expect=expect)
    assert (reading.verdict, reading.reason) == (Verdict.BREACHED, complaint)
    assert values(reading, UP) == [0.0]
    assert values(reading, STATUS), "the status came, so it is shown"


@pytest.mark.parametrize(
    ("behaviour", "expect"),
    [
        (redirect("http://127.0.0.1:9/"), {"status": 302}),
        (answer(404), {"status": [404]}),
        (answer(204, b""), {}),
        (answer(200, "all is ok here"), {"body": r"\bok\b"}),
        (answer_json({"a": [{"b.c": 0}, {"b": 1.0}]}), {"json": {"path": "a.1.b", "equals": 1}}),
        (answer_json({"a": None}), {"json": {"path": "a", "equals": None}}),
        (answer_json({"a": 50}), {"json": {"path": "a", "between": [50, 400]}}),
        (answer_json({"a": 400}), {"json": {"path": "a", "between": [50, 400]}}),
        (servers.huge, {}),  # a stream that never ends is fine where only the status matters
    ],
)
def test_an_answer_within_what_is_expected_is_ok(behaviour: Behaviour, expect: dict[str, Any]) -> None:
    with serving(behaviour) as server:
        reading = look(server.url, expect=expect)
    assert (reading.verdict, reading.reason) == (Verdict.OK, "")


# --- no answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (servers.hang, "timed out after 0.6 s"),
        (servers.drip_headers, "timed out after 0.6 s"),
        (servers.garbage, "the answer is not HTTP"),
        (servers.cut, "connection cut"),
    ],
)
def test_no_answer_is_a_breach_within_the_timeout(behaviour: Behaviour, said: str) -> None:
    with serving(behaviour) as server:
        start = time.monotonic()
        reading = look(server.url, timeout="600ms")
        assert time.monotonic() - start < 2.6
        assert (reading.verdict, reading.reason) == (Verdict.BREACHED, f"{server.url}: {said}")
    assert values(reading, UP) == [0.0]
    assert not values(reading, STATUS), "no status came, so none is shown"
    assert set(phases(reading)) == {"resolve", "connect"}, "how far it came is shown"


def test_a_dead_target_is_a_breach() -> None:
    port = closed_port()
    reading = look(f"http://127.0.0.1:{port}/healthz")
    assert (reading.verdict, reading.reason) == (Verdict.BREACHED, f"http://127.0.0.1:{port}: connection refused")


def test_a_name_that_resolves_twice_is_tried_at_every_address() -> None:
    """`localhost` is often ::1 first; an app that listens on 127.0.0.1 only is up all the same."""
    with serving(answer(200)) as server:
        assert look(f"http://localhost:{server.port}").verdict is Verdict.OK


def test_one_bad_look_does_not_spoil_the_next() -> None:
    with serving(servers.cut, answer(200)) as server:
        collector = Collector(Options.model_validate({"url": server.url}))
        assert [collector.collect().verdict for _ in range(2)] == [Verdict.BREACHED, Verdict.OK]
        collector.close()


def test_the_probe_asks_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(200)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert look(f"http://127.0.0.1:{closed_port()}").verdict is Verdict.BREACHED
        assert not proxy.seen


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_under_tls_the_handshake_is_a_phase_and_the_expiry_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = servers.certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    with serving(answer(200), tls=certificate) as server:
        reading = look(server.url)
    assert reading.verdict is Verdict.OK
    assert set(phases(reading)) == {"resolve", "connect", "tls", "processing", "transfer"}
    assert values(reading, EXPIRY) == [certificate.expires_at]


def test_an_expired_certificate_is_a_breach_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = servers.certificate(tmp_path, valid_days=-1)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    with serving(answer(200), tls=certificate) as server:
        reading = look(server.url)
        said = f"{server.url}: TLS certificate not accepted: certificate has expired"
    assert (reading.verdict, reading.reason) == (Verdict.BREACHED, said)


@pytest.mark.parametrize("behaviour", [servers.hang, servers.drip_headers])
def test_the_timeout_holds_under_tls_as_well(
    behaviour: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = servers.certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    with serving(behaviour, tls=certificate) as server:
        reading = look(server.url, timeout="600ms")
        assert reading.reason == f"{server.url}: timed out after 0.6 s"


def test_a_plain_server_behind_an_https_url_is_a_failed_handshake() -> None:
    with serving(answer(200)) as server:
        reading = look(server.url.replace("http://", "https://"), timeout="2s")
    assert reading.verdict is Verdict.BREACHED
    assert reading.reason.startswith(f"https://127.0.0.1:{server.port}: ")


# --- options and secrets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "localhost:8000"}, "expected a url such as https://host/path, got something else"),
        ({"method": "GET /"}, "expected a method such as GET or POST, got 'GET /'"),
        ({"body": "a", "json": 1}, "expected either body or json, got both"),
        ({"expect": {"status": "ok"}}, "expected a status such as 200 or a list of them, got 'ok'"),
        ({"expect": {"status": 42}}, "expected a status such as 200 or a list of them, got 42"),
        ({"expect": {"status": []}}, "expected a status such as 200 or a list of them, got []"),
        (
            {"expect": {"body": "("}},
            "expected a regular expression, got '(': missing ), unterminated subpattern at position 0",
        ),
        ({"expect": {"json": {"path": "a"}}}, "expected one of equals and between, got none"),
        (
            {"expect": {"json": {"path": "a", "equals": 1, "between": [0, 1]}}},
            "expected one of equals and between, got both",
        ),
        ({"expect": {"json": {"path": "a", "between": [4, 2]}}}, "between: expected [low, high], got [4.0, 2.0]"),
        ({"timeout": "0s"}, "expected a duration above 0s"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"url": "http://127.0.0.1/", **given})
    (error,) = caught.value.errors()
    assert error["msg"] == f"Value error, {message}"


def test_what_is_secret_in_a_probe_shows_nowhere() -> None:
    with serving(servers.cut) as server:
        url = server.url.replace("http://", "http://user:hushhush@") + "/hushhush?token=hushhush"
        options = Options.model_validate({"url": url, "headers": {"Authorization": "Bearer hushhush"}})
        reading = Collector(options).collect()
    assert "hushhush" not in f"{options!r} {reading!r}"


def test_a_header_that_http_does_not_allow_is_a_fault_of_ours_and_not_quoted() -> None:
    """It is no evidence about the app, so it is raised, to be recorded as an error of the check."""
    with serving(answer(200)) as server:
        options = Options.model_validate({"url": server.url, "headers": {"X-Token": "hush\r\nhush: 1"}})
        with pytest.raises(transport.Unusable) as caught:
            Collector(options).collect()
        assert str(caught.value) == f"{server.url}: a header holds what HTTP does not allow"
        assert caught.value.__context__ is None


def test_the_examples_probes_are_valid() -> None:
    """The two http probes of the example configuration, without the keys that the configuration takes itself."""
    Options.model_validate({"url": "http://127.0.0.1:8000/healthz", "timeout": "2s", "expect": {"status": 200}})
    body = json.loads('{"hr": 8, "temp": 0.3, "workingday": 1}')
    expect = {"status": 200, "json": {"path": "prediction", "between": [50, 400]}}
    golden = Options.model_validate(
        {"url": "http://127.0.0.1:8000/predict", "method": "POST", "json": body, "expect": expect}
    )
    assert set(golden.keys()) >= {"url", "method", "headers", "body", "json", "timeout", "expect"}
