"""What is logged arrives, once or again, through whatever the daemon does; what does not is counted by its reason."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from monitor.client import Client, Limits
from tests.client.stand_in import QUICK, arrived, await_stats, log, numbered, records, serving_on, taking
from tests.e2e.daemon import eventually
from tests.servers import (
    answer,
    answer_json,
    closed_port,
    cut,
    drip_body,
    drip_headers,
    garbage,
    hang,
    huge,
    redirect,
    serving,
    short,
)

pytestmark = pytest.mark.slow

NOWHERE = f"http://127.0.0.1:{closed_port()}"


def test_a_prediction_and_its_label_arrive_in_wire_form() -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    with serving(taking()) as server:
        with Client(server.url, app="shop") as client:
            told = client.log_prediction(
                "demand", 17, {"temp": 0.5, "season": "winter"}, 212.0,
                probability={"high": 0.75}, model_version="v1", timestamp=noon, latency_seconds=0.01,
            )  # fmt: skip
            client.log_label("demand", 17, 208.0, label_timestamp="2026-11-21T00:00:00Z", app="other")
        sent = {seen.path: records(seen) for seen in server.seen}
    assert told == "17"
    assert sent == {
        "/v1/predictions": [
            {
                "model": "demand",
                "event_id": "17",
                "timestamp": "2026-11-20T12:00:00+00:00",
                "model_version": "v1",
                "features": {"temp": 0.5, "season": "winter"},
                "prediction": 212.0,
                "probability": {"high": 0.75},
                "latency_seconds": 0.01,
                "app": "shop",
            }
        ],
        "/v1/labels": [
            {
                "model": "demand",
                "event_id": "17",
                "label": 208.0,
                "label_timestamp": "2026-11-21T00:00:00Z",
                "app": "other",
            }
        ],
    }
    assert server.seen[0].headers["content-type"] == "application/json"


def test_what_is_not_said_is_left_out_but_for_the_time_which_is_now() -> None:
    begun = time.time()
    with serving(taking()) as server:
        with Client(server.url) as client:
            told = client.log_prediction("demand", None, {}, 1)
            other = client.log_prediction("demand", None, {}, 1)
            client.log_label("demand", told, 2)
        ((row, _),) = [records(seen) for seen in server.seen if seen.path == "/v1/predictions"]
        ((label,),) = [records(seen) for seen in server.seen if seen.path == "/v1/labels"]
    assert set(row) == {"model", "event_id", "timestamp", "features", "prediction"}
    assert set(label) == {"model", "event_id", "label", "label_timestamp"}
    assert begun <= row["timestamp"] <= time.time()
    assert begun <= label["label_timestamp"] <= time.time()
    assert row["event_id"] == told
    assert len(told) == 36
    assert told != other


def test_what_the_app_changes_afterwards_does_not_matter() -> None:
    with serving(taking()) as server:
        with Client(server.url) as client:
            features = {"temp": 0.5, "vector": [1.0, 2.0]}
            client.log_prediction("demand", "one", features, 1.0)
            features["temp"] = 99.0
            features["vector"].append(99.0)
            features["late"] = 99.0
        assert records(server.seen[0])[0]["features"] == {"temp": 0.5, "vector": [1.0, 2.0]}


def test_records_share_requests_and_keep_their_order() -> None:
    with serving(taking()) as server:
        with Client(server.url, limits=Limits(batch_records=500, delay_seconds=60)) as client:
            log(client, numbered(1234))
        assert arrived(server) == numbered(1234)
        assert [len(records(seen)) for seen in server.seen] == [500, 500, 234]
    assert client.stats()._replace(waiting_bytes=0) == (1234, 0, 0, 1234, 1234, {}, {}, 0)


def test_a_full_batch_goes_at_once_and_a_lonely_record_when_it_is_old_enough() -> None:
    with serving(taking()) as server, Client(server.url, limits=Limits(batch_records=10, delay_seconds=0.5)) as client:
        log(client, numbered(10))
        begun = time.monotonic()
        await_stats(client, accepted=10)
        assert time.monotonic() - begun < 0.45
        log(client, ["alone"])
        await_stats(client, accepted=11)
        assert time.monotonic() - begun > 0.5


def test_a_request_is_no_larger_than_it_may_be() -> None:
    with serving(taking()) as server:
        with Client(server.url, limits=Limits(batch_bytes=1000, delay_seconds=60)) as client:
            for number in range(50):
                client.log_prediction("demand", number, {"text": "x" * 100}, 1)
            client.log_prediction("demand", "longer than a batch", {"text": "x" * 2000}, 1)
        assert len(arrived(server)) == 51
        assert all(len(seen.body) <= 1100 or len(records(seen)) == 1 for seen in server.seen)


@pytest.mark.parametrize(("above", "compressed"), [(100, True), (10**6, False), (None, False)])
def test_large_bodies_are_compressed_where_that_is_asked_for(above: int | None, compressed: bool) -> None:
    with serving(taking()) as server:
        with Client(server.url, limits=QUICK._replace(gzip_above_bytes=above, delay_seconds=60)) as client:
            log(client, numbered(400))
        assert arrived(server) == numbered(400)
        assert [seen.headers.get("content-encoding") == "gzip" for seen in server.seen] == [compressed]


# --- bad moments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [answer_json({}, 408), answer_json({}, 429), answer_json({}, 500), answer_json({}, 502), answer_json({}, 503), answer_json({}, 504), cut, garbage, short, hang,
     answer(202, b'{"accepted": 3, "rej', content_length="1000")],
    ids=["408", "429", "500", "502", "503", "504", "cut", "garbage", "short", "hang", "cut answer"],
)  # fmt: skip
def test_after_a_bad_moment_the_same_records_are_sent_again(bad) -> None:
    with serving(bad, bad, taking()) as server:
        with Client(server.url, limits=QUICK) as client:
            log(client, numbered(3))
            assert client.flush(10)
        assert [arrived(server, requests=slice(place, place + 1)) for place in range(3)] == [numbered(3)] * 3
    stats = client.stats()
    assert (stats.accepted, stats.retries, stats.dropped, stats.waiting, stats.waiting_bytes) == (3, 2, {}, 0, 0)


@pytest.mark.parametrize("written", ["seconds", "date"])
def test_retry_after_is_kept_even_when_somebody_flushes(written: str) -> None:
    at = datetime.now(UTC) + timedelta(seconds=3)
    with serving(
        answer(429, b"", retry_after="1" if written == "seconds" else format_datetime(at, usegmt=True)), taking()
    ) as server:
        with Client(server.url, limits=QUICK) as client:
            begun = time.monotonic()
            log(client, ["one"])
            eventually(lambda: server.seen, "the first attempt", step=0.005)
            assert not client.flush(0.2)
            assert client.flush(10)
            assert time.monotonic() - begun >= 0.95
        assert arrived(server) == ["one", "one"]


def test_a_flush_does_not_wait_for_the_next_attempt() -> None:
    """After an hour without a daemon the pauses are long; the end of the process must not be the end of the records."""
    with serving(cut, cut, cut, cut, taking()) as server:
        with Client(server.url, limits=Limits(delay_seconds=0, longest_pause_seconds=3600)) as client:
            log(client, ["one"])
            eventually(lambda: len(server.seen) >= 3, "three attempts", step=0.01)
            begun = time.monotonic()
            while not client.flush(0.3):
                assert time.monotonic() - begun < 10
        assert arrived(server) == ["one"] * 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422])
def test_a_refusal_for_good_is_not_repeated_and_its_records_are_counted(status: int) -> None:
    with serving(answer_json({"error": "no"}, status), taking()) as server:
        with Client(server.url, limits=QUICK) as client:
            log(client, numbered(3))
            assert client.flush(10)
            log(client, ["later"])
        assert len(server.seen) == 2
    assert client.stats().dropped == {"refused": 3}
    assert client.stats().accepted == 1


@pytest.mark.parametrize(
    "somebody", [answer(200, "<html>welcome</html>"), answer_json([]), answer_json({"rejected": []}), redirect("/elsewhere", 307), answer(204, b""), huge],
    ids=["page", "list", "half", "redirect", "nothing", "endless"],
)  # fmt: skip
def test_an_answer_that_is_no_daemons_is_not_taken_for_one(somebody) -> None:
    with serving(somebody) as server:
        with Client(server.url, limits=QUICK) as client:
            log(client, numbered(2))
            assert client.flush(10)
        assert len(server.seen) == 1
    assert client.stats().dropped == {"refused": 2}


def test_a_batch_the_daemon_fails_on_does_not_hold_up_the_others_for_ever() -> None:
    limits = QUICK._replace(batch_records=1, longest_pause_seconds=0.001)
    with serving(*[answer_json({}, 500)] * 10, taking()) as server:
        with Client(server.url, limits=limits) as client:
            log(client, ["poison", "good"])
            assert client.flush(10)
        assert arrived(server) == ["poison"] * 10 + ["good"]
    assert client.stats().dropped == {"gave_up": 1}


def test_rejected_records_are_counted_by_reason_without_the_values_in_it() -> None:
    with serving(taking(rejecting="bad")) as server, Client(server.url, limits=QUICK) as client:
        log(client, ["good", "bad"])
        assert client.flush(10)
        log(client, ["bad"])
        assert client.flush(10)
        stats = client.stats()
    assert (stats.sent, stats.accepted, stats.rejected) == (3, 1, {"features: expected no such thing": 2})


def test_reasons_are_bounded_whatever_the_daemon_makes_up() -> None:
    def made_up(handler) -> None:
        rows = [{"index": place, "reason": f"reason {place}"} for place in range(100)]
        answer_json({"accepted": 0, "rejected": rows}, 422)(handler)

    with serving(made_up) as server, Client(server.url, limits=QUICK._replace(delay_seconds=60)) as client:
        log(client, numbered(100))
        assert client.flush(10)
        rejected = client.stats().rejected
    assert len(rejected) == 21
    assert rejected["other"] == 80


# --- a daemon that is not there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("daemon", ["dead", "hung", "dripping"])
def test_without_a_daemon_logging_never_waits_and_memory_is_bounded(daemon: str) -> None:
    behaviour = {"dead": cut, "hung": hang, "dripping": drip_headers}[daemon]
    limits = Limits(queue_records=1000, delay_seconds=0)
    with serving(behaviour) as server, Client(NOWHERE if daemon == "dead" else server.url, limits=limits) as client:
        log(client, ["first"])
        slowest = 0.0
        for number in range(3000):
            begun = time.perf_counter()
            log(client, [number])
            slowest = max(slowest, time.perf_counter() - begun)
        stats = client.stats()
        assert stats.waiting == 1000
        assert stats.dropped == {"queue_full": 2001}
        assert slowest < 0.5
        begun = time.monotonic()
        assert not client.close(0.2)
        assert time.monotonic() - begun < 2


def test_memory_is_bounded_in_bytes_too() -> None:
    with Client(NOWHERE, limits=Limits(queue_bytes=10_000)) as client:
        for number in range(100):
            client.log_prediction("demand", number, {"text": "x" * 900}, 1)
        stats = client.stats()
        assert 8_000 < stats.waiting_bytes <= 10_000
        assert stats.waiting + stats.dropped["queue_full"] == 100
        client.close(0)


def test_when_the_daemon_comes_back_what_waited_arrives_once_each() -> None:
    port = closed_port()
    with Client(f"http://127.0.0.1:{port}", limits=QUICK) as client:
        log(client, numbered(50))
        eventually(lambda: client.stats().retries >= 3, "some attempts", step=0.01)
        with serving_on(port, taking()) as server:
            await_stats(client, accepted=50, waiting=0)
            assert arrived(server) == numbered(50)


def test_a_daemon_that_drips_its_answer_is_no_reason_to_wait_at_the_end() -> None:
    with serving(drip_body) as server, Client(server.url, limits=QUICK) as client:
        log(client, ["one"])
        eventually(lambda: server.seen, "the request", step=0.01)
        begun = time.monotonic()
        assert not client.close(0.3)
        assert time.monotonic() - begun < 1.5


# --- what is said -----------------------------------------------------------------------------------------------------


def test_an_app_whose_logging_raises_keeps_its_client(caplog) -> None:
    """As a filter does that asks for a request where there is none."""

    class Strict(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("working outside of request context")

    strict = Strict()
    logging.getLogger("monitor.client").addFilter(strict)
    try:
        with serving(answer_json({"error": "no"}, 401), taking()) as server:
            with Client(server.url, limits=QUICK) as client:
                log(client, ["refused"])
                assert client.flush(10)
                log(client, ["taken"])
                assert client.flush(10)
            assert arrived(server, requests=slice(1, None)) == ["taken"]
            gone = Client(NOWHERE, limits=QUICK)
            log(gone, ["lost"])
            assert not gone.close(0.1)
    finally:
        logging.getLogger("monitor.client").removeFilter(strict)
    assert (client.stats().accepted, client.stats().dropped) == (1, {"refused": 1})


def test_losses_are_logged_now_and_then_with_neither_secrets_nor_values(caplog) -> None:
    caplog.set_level(logging.DEBUG, "monitor.client")
    with serving(answer_json({"error": "no"}, 403)) as server:
        with Client(server.url, token="s3cret", limits=QUICK._replace(batch_records=1)) as client:
            for number in range(50):
                log(client, [number])
                client.log_prediction("demand", number, {"x": {"hunter2"}}, 1)
            assert client.flush(10)
        assert len(server.seen) == 50
        assert {seen.headers["authorization"] for seen in server.seen} == {"Bearer s3cret"}
    said = [record.getMessage() for record in caplog.records if record.name == "monitor.client"]
    assert 1 <= len(said) <= 3
    assert any("refused by 127.0.0.1:" in line and "status 403" in line for line in said)
    assert any("'not_serialisable'" in line and "got set" in line for line in said)
    assert not any(secret in line for line in said for secret in ("hunter2", "s3cret"))


def test_what_is_left_at_the_end_is_said_and_counted(caplog) -> None:
    with Client(NOWHERE, limits=Limits(delay_seconds=60)) as client:
        log(client, numbered(7))
        client.close(0)
    assert client.stats().dropped.get("closed") == 7
    assert "gave up on 7 records that could not be delivered" in caplog.text
    log(client, ["after the end"])
    assert client.stats().dropped["closed"] == 8


# --- who we are -------------------------------------------------------------------------------------------------------


def test_a_tokens_file_is_read_at_each_request_and_its_absence_is_a_bad_moment(tmp_path) -> None:
    path = tmp_path / "token"
    with serving(taking()) as server, Client(server.url, token_file=path, limits=QUICK) as client:
        log(client, ["one"])
        eventually(lambda: client.stats().retries >= 2, "some attempts", step=0.01)
        assert server.seen == []
        path.write_text("first\n")
        await_stats(client, accepted=1)
        path.write_text("second\n")
        log(client, ["two"])
        await_stats(client, accepted=2)
        assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer first", "Bearer second"]


def test_neither_a_proxy_nor_netrc_comes_between_an_app_and_the_daemon_beside_it(tmp_path, monkeypatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", NOWHERE)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(taking()) as server:
        with Client(server.url, token="mine", limits=QUICK) as client:
            log(client, ["one"])
            assert client.flush(10)
        assert server.seen[0].headers["authorization"] == "Bearer mine"


def test_a_url_with_a_password_is_refused_without_it() -> None:
    with pytest.raises(ValueError, match="expected no user in it") as caught:
        Client("http://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:9877", "ftp://host", "http://", "http://host/?a=1", "watch"])
def test_a_url_that_is_none_is_said_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="url: expected the daemon's"):
        Client(url)


def test_a_limit_that_is_none_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="batch_records: expected a number above 0, got 0"):
        Client(NOWHERE, limits=Limits(batch_records=0))
    with pytest.raises(ValueError, match="token: expected either token or token_file, got both"):
        Client(NOWHERE, token="a", token_file="b")


@pytest.mark.parametrize("nobody", [None, ""])
def test_where_nobody_watches_nothing_is_kept(nobody: str | None) -> None:
    with Client(nobody) as client:
        assert log(client, ["one", 2]) == ["one", "2"]
        assert client.log_label("demand", "one", 1.0) == "one"
        assert client._thread is None
        assert client.flush(0)
    assert client.stats() == (0, 0, 0, 0, 0, {}, {}, 0)
