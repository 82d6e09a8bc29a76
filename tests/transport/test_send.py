"""What becomes of one request against a peer that behaves, and against peers that don't."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path

import pytest

from monitor import transport
from monitor.records import OutcomeKind
from monitor.transport import Request
from tests import servers
from tests.servers import Behaviour, answer, closed_port, redirect, serving

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

SECRET_PATH = "/services/T000/B000/hushhush"
PATIENCE = 0.6


def request_to(url: str) -> Request:
    return Request("POST", f"{url}{SECRET_PATH}?token=hushhush", {"Authorization": "Bearer hushhush"}, b'{"a":1}')


@pytest.mark.parametrize(
    ("behaviour", "kind", "said"),
    [
        (answer(200), OutcomeKind.DELIVERED, "answered 200 OK"),
        (answer(204, b""), OutcomeKind.DELIVERED, "answered 204 No Content"),
        (answer(400), OutcomeKind.FAILED, "answered 400 Bad Request"),
        (answer(404), OutcomeKind.FAILED, "answered 404 Not Found"),
        (answer(410), OutcomeKind.FAILED, "answered 410 Gone"),
        (answer(429), OutcomeKind.RETRY, "answered 429 Too Many Requests"),
        (answer(500), OutcomeKind.RETRY, "answered 500 Internal Server Error"),
        (answer(599), OutcomeKind.RETRY, "answered 599"),
        (answer(600), OutcomeKind.FAILED, "answered 600"),
        (servers.hang, OutcomeKind.RETRY, "timed out after 0.6 s"),
        (servers.drip_headers, OutcomeKind.RETRY, "timed out after 0.6 s"),
        (servers.garbage, OutcomeKind.RETRY, "the answer is not HTTP"),
        (servers.cut, OutcomeKind.RETRY, "connection cut"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_an_answer_decides_between_done_again_and_never(behaviour: Behaviour, kind: OutcomeKind, said: str) -> None:
    """2xx is done; 429, 5xx and silence are worth another attempt; everything else is final. The reason names the peer."""
    with serving(behaviour) as server:
        outcome, _ = transport.send(request_to(server.url), timeout_seconds=PATIENCE)
        assert outcome.kind is kind
        assert outcome.reason == f"{server.url}: {said}"
        assert len(server.seen) == 1, "one attempt is one request"


def test_the_request_arrives_as_it_was_meant() -> None:
    with serving(answer(200)) as server:
        transport.send(request_to(server.url), timeout_seconds=5)
        seen = server.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", f"{SECRET_PATH}?token=hushhush", b'{"a":1}')
    assert seen.headers["authorization"] == "Bearer hushhush"
    assert seen.headers["user-agent"] == "anchorwatch"


def test_a_redirect_is_final_and_is_not_followed() -> None:
    with serving(answer(200)) as elsewhere, serving(redirect(f"{elsewhere.url}/hushhush")) as server:
        outcome, _ = transport.send(request_to(server.url), timeout_seconds=5)
        assert outcome.kind is OutcomeKind.FAILED
        assert outcome.reason == f"{server.url}: answered 302 Found, redirects are not followed"
        assert not elsewhere.seen


def test_a_redirect_to_nonsense_with_an_endless_body_is_only_a_redirect() -> None:
    def behave(handler: servers.Handler) -> None:
        handler.write(b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n")
        servers.huge(handler)

    with serving(behave) as server:
        outcome, response = transport.send(request_to(server.url), timeout_seconds=5)
    assert outcome.kind is OutcomeKind.FAILED
    assert response is not None
    assert len(response.body) == transport.BODY_LIMIT


def test_nobody_listening_is_worth_another_attempt() -> None:
    port = closed_port()
    outcome, response = transport.send(request_to(f"http://127.0.0.1:{port}"), timeout_seconds=5)
    assert (outcome.kind, response) == (OutcomeKind.RETRY, None)
    assert outcome.reason == f"http://127.0.0.1:{port}: connection refused"


def test_a_host_that_does_not_exist_is_worth_another_attempt() -> None:
    outcome, _ = transport.send(request_to("http://no-such-host.invalid"), timeout_seconds=5)
    assert outcome.kind is OutcomeKind.RETRY
    assert outcome.reason in {
        "http://no-such-host.invalid: host name not found",
        "http://no-such-host.invalid: timed out after 5 s",  # where the resolver itself is out of reach
    }


@pytest.mark.parametrize("behaviour", [servers.hang, servers.drip_headers, servers.drip_body])
def test_the_deadline_bounds_the_whole_request(behaviour: Behaviour) -> None:
    """A peer that sends a byte now and then never holds us longer than the time we gave it."""
    with serving(behaviour) as server:
        start = time.monotonic()
        transport.send(request_to(server.url), timeout_seconds=PATIENCE)
        assert PATIENCE * 0.9 < time.monotonic() - start < PATIENCE + 2


def test_a_deadline_runs_from_its_start_and_not_from_its_last_use() -> None:
    with transport.Deadline(0.05) as deadline:
        assert 0.001 <= deadline.remaining_seconds() <= 0.05
        while not deadline.expired:
            pass
        assert deadline.remaining_seconds() == 0.001, "never 0, which a socket would take for: don't wait at all"


@pytest.mark.parametrize(
    ("behaviour", "incomplete"),
    [
        (servers.drip_body, "timed out after 0.6 s"),
        (servers.short, "connection cut"),
        (servers.huge, "longer than 64 KiB"),
        (answer(200, b"no gzip", content_encoding="gzip"), "the body is not encoded as its headers say"),
    ],
    ids=["drip", "short", "huge", "encoding"],
)
def test_a_status_that_came_counts_whatever_the_body_does(behaviour: Behaviour, incomplete: str) -> None:
    """A peer that said 200 has it; sending again would only double it. The response says its body is not whole."""
    with serving(behaviour) as server:
        outcome, response = transport.send(request_to(server.url), timeout_seconds=PATIENCE)
    assert outcome.kind is OutcomeKind.DELIVERED
    assert response is not None
    assert response.incomplete == incomplete
    assert len(response.body) <= transport.BODY_LIMIT


@pytest.mark.parametrize("status", [429, 503])
def test_how_long_the_peer_asks_us_to_wait_is_kept(status: int) -> None:
    with serving(answer(status, retry_after="17")) as server:
        outcome, _ = transport.send(request_to(server.url), timeout_seconds=5)
    assert outcome.retry_after_seconds == 17


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("-3", None),
        ("1.5", None),
        ("9" * 400, None),
        ("Thu, 99 Foo 1970", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nonsense_is_ignored(value: str | None, seconds: float | None) -> None:
    assert transport.retry_after_seconds(value, now=100.0) == seconds


def test_only_a_retry_carries_a_waiting_time() -> None:
    with serving(answer(404, retry_after="17")) as server:
        outcome, _ = transport.send(request_to(server.url), timeout_seconds=5)
    assert outcome.retry_after_seconds is None


# --- secrets ----------------------------------------------------------------------------------------------------------


BAD_PEERS = [servers.garbage, servers.cut, servers.hang, servers.drip_headers, answer(404, f"no {SECRET_PATH}")]


@pytest.mark.parametrize("behaviour", BAD_PEERS, ids=["garbage", "cut", "hang", "drip", "echo"])
def test_no_reason_no_repr_and_no_log_holds_a_secret(behaviour: Behaviour, caplog: pytest.LogCaptureFixture) -> None:
    """Path, query, credentials and headers stay out of everything that could be printed."""
    caplog.set_level(logging.DEBUG, logger="monitor")
    with serving(behaviour) as server:
        request = request_to(server.url.replace("http://", "http://user:hushhush@"))
        outcome, response = transport.send(request, timeout_seconds=PATIENCE)
    shown = f"{outcome!r} {response!r} {request!r} {caplog.text}"
    assert "hushhush" not in shown
    assert outcome.reason.startswith(server.url)


def test_a_failure_drags_no_error_with_the_url_along() -> None:
    """The whole traceback, contexts included, is free of the URL: it is what a crash report would print."""
    with serving(servers.cut) as server, pytest.raises(transport.NoAnswer) as caught:
        transport.exchange(request_to(server.url), timeout_seconds=5)
    assert caught.value.__context__ is None
    # Source lines don't matter here, values do.
    assert "hushhush" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize(("name", "value"), [("X-Token", "hush\r\nhush: 1"), ("X-Token", "hush€")])
def test_a_header_that_http_does_not_allow_is_final_and_not_quoted(name: str, value: str) -> None:
    outcome, _ = transport.send(Request("GET", "http://127.0.0.1:9/", {name: value}), timeout_seconds=5)
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == "http://127.0.0.1:9: a header or the url holds what HTTP does not allow"


@pytest.mark.parametrize(
    "url", ["hushhush", "ftp://hushhush/", "http://", "http://[::1/hushhush", "http://a:hushhush/"]
)
def test_a_url_that_is_none_is_final_and_not_quoted(url: str) -> None:
    outcome, _ = transport.send(Request("GET", url), timeout_seconds=5)
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == "expected a url such as https://host/path, got something else"


# --- proxies and TLS --------------------------------------------------------------------------------------------------


def test_loopback_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(500)) as proxy, serving(answer(200)) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            outcome, _ = transport.send(request_to(url), timeout_seconds=5)
            assert outcome.kind is OutcomeKind.DELIVERED
        assert not proxy.seen


def test_elsewhere_the_environment_says_which_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that only the proxy can resolve is reached through it."""
    with serving(answer(200)) as proxy:
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("http_proxy", proxy.url)
        outcome, _ = transport.send(request_to("http://hooks.example.invalid"), timeout_seconds=5)
        assert outcome.kind is OutcomeKind.DELIVERED
        assert proxy.seen[0].path == f"http://hooks.example.invalid{SECRET_PATH}?token=hushhush"


def test_a_certificate_nobody_vouches_for_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = servers.certificate(tmp_path)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with serving(answer(200), tls=certificate) as server:
        outcome, _ = transport.send(request_to(server.url), timeout_seconds=5)
        assert outcome.kind is OutcomeKind.RETRY
        assert outcome.reason == f"{server.url}: TLS certificate not accepted: self-signed certificate"
        assert not server.seen
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
        outcome, _ = transport.send(request_to(server.url), timeout_seconds=5)
        assert outcome.kind is OutcomeKind.DELIVERED


@pytest.mark.parametrize("behaviour", [servers.hang, servers.drip_headers])
def test_the_deadline_holds_under_tls_as_well(
    behaviour: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = servers.certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    with serving(behaviour, tls=certificate) as server:
        start = time.monotonic()
        outcome, _ = transport.send(request_to(server.url), timeout_seconds=PATIENCE)
        assert time.monotonic() - start < PATIENCE + 2
        assert outcome.reason == f"{server.url}: timed out after 0.6 s"


# --- secrets that are read at use -------------------------------------------------------------------------------------


def test_a_secret_that_cannot_be_read_yet_is_worth_another_attempt() -> None:
    def gone() -> Request:
        raise FileNotFoundError(2, "No such file or directory", "/run/secrets/hook")

    def empty() -> Request:
        raise ValueError("hushhush")

    outcome, _ = transport.deliver(gone, timeout_seconds=5)
    assert (outcome.kind, outcome.reason) == (
        OutcomeKind.RETRY,
        "cannot read /run/secrets/hook: No such file or directory",
    )
    outcome, _ = transport.deliver(empty, timeout_seconds=5)
    assert (outcome.kind, outcome.reason) == (
        OutcomeKind.RETRY,
        "cannot read a secret: its file is empty or not text",
    )
