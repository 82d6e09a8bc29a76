"""Requests as strangers send them: whatever comes, no answer is a 5xx, and everything acknowledged is in the store once."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from benchmarks._asking import Answered, Asked, ask_all
from benchmarks._fuzzing import Run, _fault, fuzzed, opened, problems
from monitor.app.daemon import Daemon
from monitor.web import create_app

pytestmark = pytest.mark.slow

ENDPOINTS = ("/v1/predictions", "/v1/labels", "/v1/cloudevents", "/v1/alerts", "/v1/rejected")
TYPES = (
    "application/json", "application/x-ndjson", "application/vnd.apache.arrow.stream", "application/cloudevents+json",
    "application/cloudevents-batch+json",
)  # fmt: skip


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = opened(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize(("seed", "together"), [(1, 1), (2, 16), (3, 48)])
def test_whatever_strangers_send_is_answered_and_nothing_acknowledged_is_lost(
    daemon: Daemon, seed: int, together: int
) -> None:
    """`python benchmarks/fuzz.py` does it a million times."""
    run = fuzzed(daemon, 1000, seed=seed, together=together)
    assert problems(daemon, run) == []
    asked = {path for path, _ in run.statuses}
    assert asked == set(ENDPOINTS)
    for path in ("/v1/predictions", "/v1/labels", "/v1/cloudevents"):
        seen = {status for at, status in run.statuses if at == path}
        assert {202, 400, 422} <= seen, "a run in which nothing is wrong, or nothing right, shows nothing"
    assert sum(map(len, run.acknowledged.values())) > 200


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    made = opened(tmp_path_factory.mktemp("lasting"))
    yield made
    made.stop()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    some.sampled_from(ENDPOINTS), some.sampled_from(TYPES), some.sampled_from(["", "gzip", "zstd"]), some.binary(max_size=300), some.integers(1, 3)
)  # fmt: skip
def test_any_bytes_are_answered_everywhere_and_as_anything(
    lasting: Daemon, path: str, content: str, encoding: str, body: bytes, pieces: int
) -> None:
    asked = Asked("POST", path, body, [("Content-Type", content), ("Content-Encoding", encoding)], pieces=pieces)
    (answered,) = ask_all(create_app(lasting), [asked])
    assert _fault(answered) == ""


def test_what_must_not_be_is_seen(daemon: Daemon) -> None:
    """A run that saw nothing would be of no use."""
    assert _fault(Answered(200, body=b'{"accepted": 1}')) == ""
    for broken in (
        Answered(500, body=b"{}"),
        Answered(503, body=b"{}"),
        Answered(200, body=b"ok"),
        Answered(400, body=b"{}"),
        Answered(0),
    ):
        assert _fault(broken) != ""
    assert "KeyError" in _fault(Answered(fault=KeyError("a")))
    run = fuzzed(daemon, 300, seed=1)
    assert problems(daemon, run) == []
    lost = Run(acknowledged={("shop", "demand"): array("q", [hash("never sent")])})
    assert problems(daemon, lost) == ["demand: 1 acknowledged events are not there"]
    daemon.metrics.add("anchorwatch_ingest_records_total", 1, app="shop", model="demand", kind="labels")
    (miscounted,) = problems(daemon, Run())
    assert miscounted.startswith("demand: ")
    assert "labels are stored" in miscounted
