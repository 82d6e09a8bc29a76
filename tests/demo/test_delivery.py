"""Records reach the watch through its bad moments, and a rider never waits for that."""

import threading
import time

import pytest
import requests
from bikes.delivery import Reporter, deliver

from tests.servers import answer, answer_json, hang, serving

TAKEN = answer_json({"accepted": 1, "rejected": []}, status=202)
RECORDS = [{"event_id": "one"}]


def attempt(*behaviours):
    with serving(*behaviours) as server, requests.Session() as session:
        begun = time.monotonic()
        taken = deliver(session, f"{server.url}/v1/labels", RECORDS, threading.Event())
        return taken, [seen.json() for seen in server.seen], time.monotonic() - begun


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_tried_again_with_the_same_records(status):
    assert attempt(answer_json({}, status=status), TAKEN)[:2] == (True, [RECORDS, RECORDS])


def test_retry_after_is_kept():
    taken, _, seconds = attempt(answer(503, b"{}", retry_after="1"), TAKEN)
    assert taken
    assert seconds >= 1


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refusal_for_good_ends_the_tries(status):
    assert attempt(answer_json({}, status=status), TAKEN)[:2] == (False, [RECORDS])


def test_submitting_never_waits_and_what_does_not_fit_is_counted():
    lost = []
    with serving(hang) as server:
        reporter = Reporter(f"{server.url}/v1/predictions", dropped=lost.append, capacity=10)
        begun = time.monotonic()
        for number in range(1000):
            reporter.submit([{"event_id": str(number)}])
        assert time.monotonic() - begun < 1
        assert sum(lost) >= 900
        reporter.close(timeout_seconds=0.1)


def test_closing_delivers_what_is_queued():
    with serving(TAKEN) as server:
        reporter = Reporter(f"{server.url}/v1/predictions", dropped=lambda _count: None)
        reporter.submit([{"event_id": str(number)} for number in range(1234)])
        reporter.close()
        arrived = [record["event_id"] for seen in server.seen for record in seen.json()]
        assert arrived == [str(number) for number in range(1234)]
        assert max(len(seen.json()) for seen in server.seen) <= 500
