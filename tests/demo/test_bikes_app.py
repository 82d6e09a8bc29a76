"""The example application on a real socket: it serves, reports, verifies and retrains."""

import json
import time
from datetime import UTC, datetime

import pytest
import requests
from bikes.app import build
from bikes.simulator import City
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook

from tests.servers import answer_json, serving

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

FEATURES = {"area": "centre", "hour": 8, "weekday": "tue", "workingday": "yes", "weather": "clear", "temp": 9.5}
ASKED = {"event_id": "centre-2011-03-01T08", "timestamp": "2011-03-01T08:00:00Z", "features": FEATURES}


@pytest.fixture(scope="module")
def watch():
    with serving(answer_json({"accepted": 1, "rejected": []}, status=202)) as server:
        yield server


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("bikes")


@pytest.fixture(scope="module")
def app(serve, data, watch):
    with serve(build(data, City(), watch.url)) as url:
        yield url


def until(condition, seconds=20.0):
    """Wait for a condition and give what it found."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def reported(watch):
    return [record for seen in list(watch.seen) if seen.path == "/v1/predictions" for record in seen.json()]


def signed(data, request_id, *, secret=None, sent_at=None):
    body = json.dumps({"type": "anchorwatch.retraining.requested", "data": {"model": "bike-demand"}})
    when = sent_at or datetime.now(UTC)
    signature = Webhook(secret or (data / "webhook-secret").read_text()).sign(request_id, when, body)
    headers = {
        "webhook-id": request_id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": signature,
    }
    return {"data": body, "headers": headers | {"Content-Type": "application/json"}, "timeout": 10}


def test_a_prediction_is_answered_and_reaches_the_watch_in_wire_form(app, watch):
    answer = requests.post(f"{app}/predict", json={"instances": [ASKED]}, timeout=10)
    assert answer.status_code == 200
    found = until(lambda: [row for row in reported(watch) if row["event_id"] == ASKED["event_id"]])
    version = answer.json()["model_version"]
    assert found == [
        {"model": "bike-demand", "model_version": version, **ASKED, "prediction": answer.json()["predictions"][0]}
    ]


def test_someone_who_only_tries_the_service_is_not_reported(app, watch):
    answer = requests.post(f"{app}/predict", json={"instances": [{"features": FEATURES}]}, timeout=10)
    assert len(answer.json()["predictions"]) == 1
    marker = {**ASKED, "event_id": "after-the-trial"}
    requests.post(f"{app}/predict", json={"instances": [marker]}, timeout=10)
    until(lambda: any(row["event_id"] == "after-the-trial" for row in reported(watch)))
    assert all("event_id" in row for row in reported(watch))


@pytest.mark.parametrize(
    "body",
    [
        "no json", "[]", "{}", '{"instances": 1}', '{"instances": [1]}', '{"instances": [{"features": 1}]}',
        '{"instances": [{"features": {"temp": "warm"}}]}', '{"instances": [{"features": {}, "event_id": "x"}]}',
        '{"instances": [{"features": {}, "event_id": "x", "timestamp": "soon"}]}',
        json.dumps({"instances": [{"features": {}}] * 1001}),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_predicted_is_refused_with_what_was_expected(app, body):
    answer = requests.post(f"{app}/predict", data=body, timeout=10)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("expected")


def test_the_app_shows_its_own_requests_errors_and_latency(app):
    def sample(name, **labels):
        page = requests.get(f"{app}/metrics", timeout=10)
        families = text_string_to_metric_families(page.text)
        return sum(
            s.value for f in families for s in f.samples if s.name == name and labels.items() <= s.labels.items()
        )

    refused, answered = sample("http_requests_total", status="422"), sample("http_request_duration_seconds_count")
    requests.post(f"{app}/predict", data="nonsense", timeout=10)
    assert sample("http_requests_total", status="422") == refused + 1
    assert sample("http_request_duration_seconds_count") > answered


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"secret": "whsec_" + "QUJD" * 8}, "signature"),
        ({"sent_at": datetime(2026, 1, 1, tzinfo=UTC)}, "five minutes"),
    ],
)
def test_a_retraining_asked_for_by_someone_else_or_long_ago_is_refused(app, data, change, reason):
    answer = requests.post(f"{app}/retrain", **signed(data, "forged", **change))
    assert answer.status_code == 401
    assert reason in answer.json()["error"]


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_webhook_without_one_of_its_headers_is_refused(app, data, header):
    request = signed(data, "bare")
    del request["headers"][header]
    answer = requests.post(f"{app}/retrain", **request)
    assert (answer.status_code, header in answer.json()["error"]) == (401, True)


def test_the_secret_is_readable_by_its_owner_only(app, data):
    assert (data / "webhook-secret").stat().st_mode & 0o077 == 0


def test_a_signed_webhook_retrains_once_however_often_it_comes(app, data):
    before = requests.get(f"{app}/healthz", timeout=10).json()["model_version"]
    answers = [requests.post(f"{app}/retrain", **signed(data, "msg-1")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert [answer.json()["status"] for answer in answers] == ["accepted", "already accepted", "already accepted"]
    after = f"v{int(before[1:]) + 1}"
    until(lambda: requests.get(f"{app}/healthz", timeout=10).json()["model_version"] == after)
    assert (data / "references" / f"{after}.parquet").is_file()
    second = f"v{int(before[1:]) + 2}"
    requests.post(f"{app}/retrain", **signed(data, "msg-2"))
    until(lambda: requests.get(f"{app}/healthz", timeout=10).json()["model_version"] == second)


def test_rides_are_matched_to_what_was_asked(app):
    requests.post(f"{app}/predict", json={"instances": [{**ASKED, "event_id": "booked"}]}, timeout=10)
    rides = [{"event_id": "booked", "label": 7}, {"event_id": "never asked", "label": 1}]
    assert requests.post(f"{app}/rides", json=rides, timeout=10).json() == {"known": 1}
    assert requests.post(f"{app}/rides", json={"label": 1}, timeout=10).status_code == 422
