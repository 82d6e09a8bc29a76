"""The page is what Prometheus, and the daemon's own scrape, can read, and its labels are bounded."""

from __future__ import annotations

import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitor.client import Client, RequestMetrics
from monitor.client._metrics import BUCKETS, CONTENT_TYPE
from monitor.collect.prometheus import Collector, Options
from monitor.records import Verdict
from tests.client.stand_in import QUICK, log, taking
from tests.servers import Server, answer, closed_port, serving


def samples(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample that prometheus_client's parser finds, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def observe(
    metrics: RequestMetrics, method: str = "GET", handler: str | None = "/", status: str = "200", seconds: float = 0.0
) -> None:
    metrics.end(metrics.begin() - seconds, method, handler, status)


def test_the_page_says_what_prometheus_client_would_say() -> None:
    registry = CollectorRegistry()
    requests = Counter("http_requests", "Requests answered.", ["method", "handler", "status"], registry=registry)
    duration = Histogram(
        "http_request_duration_seconds", "Time.", ["method", "handler"], buckets=BUCKETS, registry=registry
    )
    Gauge("http_requests_in_flight", "Requests under way.", registry=registry).set(1)
    metrics = RequestMetrics()
    metrics.begin()
    for handler, status, seconds in [
        ("/a", "200", 0.004),
        ("/a", "200", 0.3),
        ("/a", "500", 20.0),
        ('/"\\\n', "404", 0.07),
    ]:
        observe(metrics, "POST", handler, status, seconds)
        requests.labels("POST", handler, status).inc()
        duration.labels("POST", handler).observe(seconds)
    ours, theirs = samples(metrics.page()), samples(generate_latest(registry).decode())
    theirs = {key: value for key, value in theirs.items() if not key[0].endswith("_created")}
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, abs=0.05)


@given(handler=st.text(), method=st.text(), status=st.text())
def test_any_label_survives_the_page(handler: str, method: str, status: str) -> None:
    metrics = RequestMetrics()
    observe(metrics, method, handler, status)
    found = [dict(labels) for name, labels in samples(metrics.page()) if name == "http_requests_total"]
    assert len(found) == 1
    if handler.isprintable():  # the parser takes some control characters for ends of lines
        assert found[0]["handler"] == handler
    assert found[0]["method"] in {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "other",
    }
    assert found[0]["status"] == "other" or len(found[0]["status"]) == 3


def test_labels_are_bounded_whatever_is_asked_for() -> None:
    metrics = RequestMetrics()
    for number in range(5000):
        observe(metrics, f"METHOD{number}", f"/item/{number}", f"{number}")
    page = metrics.page()
    assert page.count("http_requests_total{") < 101 * 1000
    handlers = {
        dict(labels)["handler"] for name, labels in samples(page) if name == "http_request_duration_seconds_count"
    }
    assert len(handlers) == 101
    assert "other" in handlers


def test_a_request_under_way_is_shown_until_it_ends() -> None:
    metrics = RequestMetrics()
    begun = metrics.begin()
    assert "http_requests_in_flight 1\n" in metrics.page()
    metrics.end(begun, "GET", "/", "200")
    assert "http_requests_in_flight 0\n" in metrics.page()


def test_counts_of_many_threads_add_up() -> None:
    metrics = RequestMetrics()
    workers = [threading.Thread(target=lambda: [observe(metrics) for _ in range(2000)]) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert 'http_requests_total{method="GET",handler="/",status="200"} 16000\n' in metrics.page()
    assert 'http_request_duration_seconds_count{method="GET",handler="/"} 16000\n' in metrics.page()


def test_buckets_that_are_none_are_said_at_once() -> None:
    for buckets in [(), (1.0, 0.5), (1.0, 1.0)]:
        with pytest.raises(ValueError, match="buckets: expected"):
            RequestMetrics(buckets)


def test_the_clients_own_counts_are_on_the_page() -> None:
    with serving(taking(rejecting="bad")) as server:
        with Client(server.url, limits=QUICK) as client:
            log(client, ["good", "better", "bad", {1}])
            client.log_prediction("demand", "odd", {"x": object()}, 1.0)
            assert client.flush(10)
        found = samples(RequestMetrics().page(client))
    shown = {(name, *dict(labels).values()): value for (name, labels), value in found.items()}
    assert shown[("anchorwatch_client_records_total", "accepted")] == 3
    assert shown[("anchorwatch_client_records_total", "rejected")] == 1
    assert shown[("anchorwatch_client_records_total", "dropped")] == 1
    assert shown[("anchorwatch_client_dropped_records_total", "not_serialisable")] == 1
    assert shown[("anchorwatch_client_retries_total",)] == 0
    assert shown[("anchorwatch_client_waiting_records",)] == 0
    assert shown[("anchorwatch_client_waiting_bytes",)] == 0


@pytest.mark.parametrize("busy", [False, True])
def test_promtool_has_nothing_to_say(busy: bool) -> None:
    metrics = RequestMetrics()
    with Client(f"http://127.0.0.1:{closed_port()}") as client:
        if busy:
            for status in ("200", "404", "500"):
                observe(metrics, "GET", "/a/{b}", status, 0.1)
            client.log_prediction("demand", "odd", {"x": object()}, 1.0)
        page = metrics.page(client)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_daemons_scrape_reads_it() -> None:
    """Requests a second, errors and latency, from an app that has served nothing on."""
    metrics = RequestMetrics()

    def page(handler) -> None:
        answer(200, metrics.page(), content_type=CONTENT_TYPE)(handler)

    with serving(page) as server:
        collector = Collector(_scrape(server))
        assert "first scrape" in collector.collect().reason
        for _ in range(30):
            observe(metrics, "GET", "/predict", "200", 0.02)
        for _ in range(10):
            observe(metrics, "GET", "/predict", "503", 0.3)
        reading = collector.collect()
    assert (reading.verdict, reading.reason) == (Verdict.OK, "")
    found = {sample.name + str(sample.labels.get("percentile", "")): sample.value for sample in reading.samples}
    assert found["anchorwatch_app_error_ratio"] == 0.25
    assert found["anchorwatch_app_requests_per_second"] > 0
    assert 0.01 < found["anchorwatch_app_latency_seconds50"] <= 0.025
    assert 0.25 < found["anchorwatch_app_latency_seconds95"] <= 0.5
    assert found["anchorwatch_app_latency_mean_seconds"] == pytest.approx(0.09, abs=0.03)


def _scrape(server: Server) -> Options:
    return Options.model_validate(
        {
            "url": f"{server.url}/metrics",
            "requests": "http_requests_total",
            "errors": 'http_requests_total{status=~"5.."}',
            "latency": "http_request_duration_seconds",
        }
    )
