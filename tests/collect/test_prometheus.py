"""The scrape of the app's own metrics: what two pages say together, and what is said when there is nothing to say."""

from __future__ import annotations

import itertools
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from pydantic import ValidationError

from monitor.collect import http, process
from monitor.collect._exposition import Page, Selector, increases, parse_page, quantile
from monitor.collect.prometheus import FAMILIES, Collector, Options, Question
from monitor.records import Reading, Verdict
from tests import servers
from tests.servers import Behaviour, answer, closed_port, serving

INF = math.inf
ERRORS_5XX = 'http_requests_total{status=~"5.."}'
EVERYTHING = {"requests": "http_requests_total", "errors": ERRORS_5XX, "latency": "http_request_duration_seconds"}


def page(text: str) -> Behaviour:
    return answer(200, text, content_type="text/plain; version=0.0.4; charset=utf-8")


def options(url: str = "http://127.0.0.1/metrics", **given: Any) -> Options:
    return Options.model_validate({"url": url, "timeout": "5s", **(given or EVERYTHING)})


def shown(reading: Reading) -> dict[str, float]:
    """Samples by short name, with the percentile where there is one."""
    prefix = "anchorwatch_app_"
    return {
        sample.name.removeprefix(prefix) + "".join(f":{value}" for value in sample.labels.values()): sample.value
        for sample in reading.samples
    }


def between(before: str, after: str, seconds: float = 10.0, **given: Any) -> dict[str, float]:
    """What two pages, so many seconds apart, say together."""
    asked = options(**given)
    parts = (asked.requests, asked.errors, asked.latency)
    question = Question(*(None if text is None else Selector.parse(text) for text in parts))
    first = parse_page(before, question.names, 100.0)
    second = parse_page(after, question.names, 100.0 + seconds)
    return shown(Reading(Verdict.OK, "", tuple(question.answer(first, second))))


# --- an app's life ----------------------------------------------------------------------------------------------------


class App:
    """An app with the metrics that prometheus_client writes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Requests.", ["status"], registry=self.registry)
        self.latency = Histogram(
            "http_request_duration_seconds", "Latency.", buckets=(0.1, 0.5, 1.0), registry=self.registry
        )

    def serve(self, status: str, seconds: float, times: int = 1) -> None:
        for _ in range(times):
            self.requests.labels(status).inc()
            self.latency.observe(seconds)

    def behave(self, handler: servers.Handler) -> None:
        page(generate_latest(self.registry).decode())(handler)

    def behave_openmetrics(self, handler: servers.Handler) -> None:
        answer(200, generate_openmetrics(self.registry), content_type=OPENMETRICS)(handler)


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
def test_a_real_client_librarys_page_gives_rate_errors_and_latency(openmetrics: bool) -> None:
    app = App()
    app.serve("200", 0.05, 7)
    with serving(app.behave_openmetrics if openmetrics else app.behave) as server:
        collector = Collector(options(server.url))
        earliest = time.monotonic()
        first = collector.collect()
        assert (first.verdict, first.samples) == (Verdict.NO_DATA, ())
        assert first.reason == f"{server.url}: first scrape, rates need a second one"
        after_first = time.monotonic()
        app.serve("200", 0.05, 6)
        app.serve("503", 0.75, 2)  # the first of its kind: a series that was not on the page before
        before_second = time.monotonic()
        second = collector.collect()
        latest = time.monotonic()
        quiet = collector.collect()
    assert shown(quiet) == {"requests_per_second": 0.0}, "each look is compared with the one before it"
    assert (second.verdict, second.reason) == (Verdict.OK, "")
    found = shown(second)
    assert 8 / (latest - earliest) <= found["requests_per_second"] <= 8 / (before_second - after_first)
    assert found["error_ratio"] == 0.25
    assert found["latency_mean_seconds"] == pytest.approx((6 * 0.05 + 2 * 0.75) / 8)
    # 6 of 8 lie in (0, 0.1], 2 in (0.5, 1]: rank 4 is two thirds into the first, rank 7.6 is 0.8 into the last.
    assert found["latency_seconds:50"] == pytest.approx(0.1 * 4 / 6)
    assert found["latency_seconds:95"] == pytest.approx(0.5 + 0.5 * (7.6 - 6) / 2)
    assert found["latency_seconds:99"] == pytest.approx(0.5 + 0.5 * (7.92 - 6) / 2)


def test_no_traffic_is_rate_zero_and_no_evidence_for_the_rest() -> None:
    """No requests give neither "no errors" nor a latency."""
    app = App()
    app.serve("200", 0.05, 3)
    text = generate_latest(app.registry).decode()
    assert between(text, text) == {"requests_per_second": 0.0}


def test_an_app_that_has_never_been_asked_is_not_an_unknown_metric() -> None:
    """The metric is declared and has no series yet: zero requests, not "no such metric"."""
    app = App()
    with serving(app.behave) as server:
        collector = Collector(options(server.url))
        collector.collect()
        reading = collector.collect()
    assert (reading.verdict, shown(reading)) == (Verdict.OK, {"requests_per_second": 0.0})


def test_a_counter_that_fell_has_started_again_from_zero() -> None:
    """After a restart the rate is what has been served since, never negative."""
    before = 'http_requests_total{status="200"} 1000\nhttp_requests_total{status="500"} 50\n'
    after = 'http_requests_total{status="200"} 30\nhttp_requests_total{status="500"} 10\n'
    found = between(before, after, requests="http_requests_total", errors=ERRORS_5XX)
    assert found == {"requests_per_second": 4.0, "error_ratio": 0.25}


def test_a_histogram_that_started_again_gives_the_latency_since() -> None:
    name = "http_request_duration_seconds"
    before = f'{name}_bucket{{le="1"}} 90\n{name}_bucket{{le="+Inf"}} 100\n{name}_sum 80\n{name}_count 100\n'
    after = f'{name}_bucket{{le="1"}} 4\n{name}_bucket{{le="+Inf"}} 4\n{name}_sum 2\n{name}_count 4\n'
    found = between(before, after, latency=name)
    assert found["latency_mean_seconds"] == 0.5
    assert found["latency_seconds:50"] == 0.5


def test_a_latency_selector_narrows_to_the_series_it_means() -> None:
    name = "http_request_duration_seconds"
    text = "".join(
        f'{name}_bucket{{handler="{handler}",le="1"}} {fast}\n{name}_bucket{{handler="{handler}",le="+Inf"}} 10\n'
        f'{name}_sum{{handler="{handler}"}} {total}\n{name}_count{{handler="{handler}"}} 10\n'
        for handler, fast, total in (("/a", 10, 5), ("/b", 0, 50))
    )
    empty = f"# TYPE {name} histogram\n"
    assert between(empty, text, latency=f'{name}{{handler="/a"}}')["latency_mean_seconds"] == 0.5
    assert between(empty, text, latency=name)["latency_mean_seconds"] == 2.75


@pytest.mark.parametrize("declared", ["", "# TYPE nginx_http_requests counter\n"])
def test_a_counter_without_total_is_found_by_the_name_it_has(declared: str) -> None:
    found = between(
        f"{declared}nginx_http_requests 5\n", f"{declared}nginx_http_requests 25\n", requests="nginx_http_requests"
    )
    assert found == {"requests_per_second": 2.0}


def test_values_that_are_no_amounts_are_left_out() -> None:
    after = f'http_requests_total{{a="1"}} NaN\nhttp_requests_total{{a="2"}} +Inf\nhttp_requests_total{{a="3"}} 20\nhttp_requests_total{{a="4"}} {"9" * 400}\n'
    found = between("http_requests_total 0\n", after, requests="http_requests_total")
    assert found == {"requests_per_second": 2.0}


# --- quantiles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "buckets", "expected"),
    [
        # Worked by hand after the documentation of histogram_quantile.
        (0.5, {0.1: 4, 0.5: 8, INF: 10}, 0.1 + 0.4 * (5 - 4) / (8 - 4)),
        (0.4, {0.1: 4, 0.5: 8, INF: 10}, 0.1),  # exactly on a bound
        (0.1, {0.1: 4, 0.5: 8, INF: 10}, 0.1 * 1 / 4),  # the first bucket begins at 0
        (0.95, {0.1: 4, 0.5: 8, INF: 10}, 0.5),  # beyond the last bound: the last bound
        (0.5, {-1.0: 6, 1.0: 10, INF: 10}, -1.0),  # a first bucket at or below 0 has no beginning
        (0.5, {0.1: 0, 0.5: 10, INF: 10}, 0.1 + 0.4 * 5 / 10),
        (0.5, {0.1: 6, 0.5: 5, INF: 10}, 0.1 * 5 / 6),  # a bucket that lags is lifted to the one before
        (0.875, {0.1: 6, 0.5: 4, 1.0: 8, INF: 8}, 0.5 + 0.5 * (7 - 6) / (8 - 6)),  # the same, seen from above
        (0.5, {0.1: 0, INF: 0}, None),
        (0.5, {INF: 10}, None),
        (0.5, {0.1: 4, 0.5: 8}, None),  # no +Inf bucket
        (0.5, {}, None),
    ],
)
def test_a_quantile_is_the_one_prometheus_gives(q: float, buckets: dict[float, float], expected: float | None) -> None:
    assert quantile(q, buckets) == (None if expected is None else pytest.approx(expected, abs=1e-12))


@given(
    counts=st.lists(st.integers(0, 50), min_size=2, max_size=8),
    q=st.floats(0.01, 0.99),
)
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(counts: list[int], q: float) -> None:
    cumulative = list(itertools.accumulate(counts))
    bounds = [0.1 * (index + 1) for index in range(len(counts) - 1)] + [INF]
    value = quantile(q, dict(zip(bounds, map(float, cumulative), strict=True)))
    if not cumulative[-1]:
        assert value is None
        return
    assert value is not None
    index = next(i for i, count in enumerate(cumulative) if count >= q * cumulative[-1])
    low = bounds[index - 1] if index else 0.0
    assert low - 1e-9 <= value <= min(bounds[index], bounds[-2]) + 1e-9


@pytest.mark.slow
def test_quantiles_equal_those_of_prometheus_itself(tmp_path: Path) -> None:
    """The real `histogram_quantile`, run by promtool over the same buckets."""
    buckets = {0.005: 3.0, 0.01: 3.0, 0.25: 40.0, 0.5: 91.0, 2.5: 97.0, INF: 99.0}
    written = [(f'"{bound:g}"' if bound != INF else '"+Inf"', count) for bound, count in buckets.items()]
    series = "".join(f"      - {{series: 'x_bucket{{le={bound}}}', values: '{count:g}'}}\n" for bound, count in written)
    asked = [0.01, 0.2, 0.5, 0.9, 0.95, 0.99]
    tests = "".join(
        f"      - {{expr: 'histogram_quantile({q}, x_bucket)', eval_time: 0, exp_samples: [{{labels: '{{}}', value: {quantile(q, buckets)!r}}}]}}\n"
        for q in asked
    )
    path = tmp_path / "test.yml"
    path.write_text(
        f"rule_files: []\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{series}    promql_expr_test:\n{tests}",
        encoding="utf-8",
    )
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@given(st.dictionaries(st.integers(0, 5), st.floats(0, 1e6)), st.dictionaries(st.integers(0, 5), st.floats(0, 1e6)))
def test_no_increase_is_negative_or_more_than_there_is(before: dict[int, float], after: dict[int, float]) -> None:
    old = {(("s", str(key)),): value for key, value in before.items()}
    new = {(("s", str(key)),): value for key, value in after.items()}
    grown = increases(old, new)
    assert set(grown) == set(new)
    assert all(0 <= grown[labels] <= value for labels, value in new.items())


# --- selectors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ("m", {}, True),
        ("m{}", {"a": "1"}, True),
        ('m{a="1"}', {"a": "1"}, True),
        ('m{a="1"}', {"a": "11"}, False),
        ('m{a!="1"}', {"a": "2"}, True),
        ('m{a!="1"}', {}, True),  # an absent label is an empty one
        ('m{a=""}', {}, True),
        ('m{a=~"5.."}', {"a": "503"}, True),
        ('m{a=~"5.."}', {"a": "5031"}, False),  # anchored at both ends
        ('m{a=~"5"}', {"a": "503"}, False),
        ('m{a=~"x|503"}', {"a": "503"}, True),
        ('m{a!~"5.."}', {"a": "200"}, True),
        ('m{a=~".+"}', {}, False),
        (' m { a = "1" , b =~ "x,}y" , } ', {"a": "1", "b": "x,}y"}, True),
        (r"m{a='it''s'}", {}, None),
        (r'm{a="say \"hi\"\\"}', {"a": 'say "hi"\\'}, True),
        ("m{a='\"'}", {"a": '"'}, True),
    ],
)
def test_a_selector_means_what_it_means_in_prometheus(
    selector: str, labels: dict[str, str], matches: bool | None
) -> None:
    if matches is None:
        with pytest.raises(ValueError, match="expected label matchers"):
            Selector.parse(selector)
        return
    assert Selector.parse(selector).matches(labels) is matches


@pytest.mark.parametrize(
    ("given_options", "message"),
    [
        ({}, "expected at least one of requests and latency, got neither"),
        (
            {"latency": "a_seconds", "errors": "b_total"},
            "errors: expected requests beside it, got none (the ratio is errors to requests)",
        ),
        ({"requests": "9x"}, "expected a metric such as http_requests_total{status=~\"5..\"}, got '9x'"),
        ({"requests": "sum(x)"}, "expected a metric such as http_requests_total{status=~\"5..\"}, got 'sum(x)'"),
        ({"requests": "x{status=5}"}, "expected label matchers such as status=~\"5..\", got 'status=5'"),
        ({"requests": 'x{a="1" b="2"}'}, 'expected label matchers such as status=~"5..", got \'a="1" b="2"\''),
        (
            {"requests": 'x{a=~"("}'},
            "expected a regular expression, got '(': missing ), unterminated subpattern at position 0",
        ),
        (
            {"latency": "x_seconds_bucket"},
            "expected the histogram's name without _bucket, _sum or _count, got 'x_seconds_bucket'",
        ),
        ({"latency": "x_milliseconds"}, "expected a histogram in seconds, got 'x_milliseconds'"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(given_options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"url": "http://127.0.0.1/", **given_options})
    (error,) = caught.value.errors()
    assert error["msg"] == f"Value error, {message}"


# --- nothing can be said ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (answer(503), "expected status 200, got 503"),
        (servers.redirect("http://127.0.0.1:9/"), "expected status 200, got 302"),
        (page("<!DOCTYPE html>\n<html>"), "line 1 is not a metric: '<!DOCTYPE html>'"),
        (page('{"status": "ok"}'), 'line 1 is not a metric: \'{"status": "ok"}\''),
        (
            page("# HELP a_total A.\n# TYPE a_total counter\na_total 1\na_total{b=\n"),
            "line 4 is not a metric: 'a_total{b='",
        ),
        (page("a_total one\n"), "line 1 is not a metric: 'a_total one'"),
        (page("x" * 500), "line 1 is not a metric: '" + "x" * 59 + "…'"),
        (answer(200, b"\x1f\x8b\x08\x00\xff\xff"), None),
        (page(""), "no metric named http_requests_total"),
        (page("go_goroutines 7\n"), "no metric named http_requests_total"),
        (servers.hang, "timed out after 0.6 s"),
        (servers.drip_headers, "timed out after 0.6 s"),
        (servers.drip_body, "expected a whole page of metrics, got a part: timed out after 0.6 s"),
        (servers.short, "expected a whole page of metrics, got a part: connection cut"),
        (servers.huge, "expected a whole page of metrics, got a part: longer than 16384 KiB"),
        (servers.garbage, "the answer is not HTTP"),
        (servers.cut, "connection cut"),
    ],
)
def test_a_page_that_cannot_be_read_is_no_data_with_its_reason(behaviour: Behaviour, said: str | None) -> None:
    with serving(behaviour) as server:
        reading = Collector(options(server.url, timeout="600ms", requests="http_requests_total")).collect()
        assert (reading.verdict, reading.samples) == (Verdict.NO_DATA, ())
        assert said is None or reading.reason == f"{server.url}: {said}"


def test_an_app_that_is_gone_is_no_data_and_nothing_is_repeated() -> None:
    """The probe says that an app is down; the scrape only says that it knows nothing, and drops what it knew."""
    app = App()
    app.serve("200", 0.05)
    with serving(app.behave, app.behave, servers.cut) as server:
        collector = Collector(options(server.url))
        collector.collect()
        assert collector.collect().samples
        gone = collector.collect()
    assert (gone.verdict, gone.samples) == (Verdict.NO_DATA, ())
    assert Collector(options(f"http://127.0.0.1:{closed_port()}")).collect().reason.endswith(": connection refused")


@pytest.mark.parametrize(
    ("asked", "said", "still"),
    [
        (
            {"errors": 'http_requests_total{code=~"5.."}'},
            "no series of http_requests_total has the label code",
            {"requests_per_second"},
        ),
        ({"errors": "http_errors_total"}, "no metric named http_errors_total", {"requests_per_second"}),
        ({"latency": "request_seconds"}, "no metric named request_seconds_bucket", {"requests_per_second"}),
    ],
)
def test_a_name_or_label_nobody_knows_is_not_taken_for_no_errors(
    asked: dict[str, str], said: str, still: set[str]
) -> None:
    """A mistake in the configuration shows as no data with its reason; what can be said is said."""
    text = 'http_requests_total{status="200"} 5\n'
    with serving(page(text)) as server:
        collector = Collector(options(server.url, requests="http_requests_total", **asked))
        collector.collect()
        reading = collector.collect()
        assert (reading.verdict, reading.reason) == (Verdict.NO_DATA, f"{server.url}: {said}")
    assert set(shown(reading)) == still


def test_errors_that_have_not_happened_are_none() -> None:
    """The label is known, no series of that value exists: that is what "no errors so far" looks like."""
    found = between(
        'http_requests_total{status="200"} 5\n',
        'http_requests_total{status="200"} 25\n',
        requests="http_requests_total",
        errors=ERRORS_5XX,
    )
    assert found == {"requests_per_second": 2.0, "error_ratio": 0.0}


@settings(max_examples=300)
@given(st.text(st.sampled_from('ab_1 #{}="\\,\n\t. -+TYPEHL'), max_size=40))
def test_no_text_makes_the_reading_of_a_page_fall_over(text: str) -> None:
    """It is a page, or a ValueError that names a line; nothing else ever comes out."""
    for content_type in ("text/plain", OPENMETRICS):
        try:
            assert isinstance(parse_page(text, {"a"}, 0.0, content_type), Page)
        except ValueError as error:
            assert str(error).startswith("line ")  # noqa: PT017


# --- the families of all collectors -----------------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say_about_any_family() -> None:
    lines = []
    for family in (*http.FAMILIES, *FAMILIES, *process.FAMILIES):
        labels = ",".join(f'{label}="x"' for label in family.labels)
        lines += [
            f"# HELP {family.name} {family.help}",
            f"# TYPE {family.name} {family.kind}",
            f"{family.name}{{{labels}}} 1",
        ]
    text = "\n".join([*lines, ""])
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_family_is_labelled_with_its_app_first() -> None:
    for family in (*http.FAMILIES, *FAMILIES, *process.FAMILIES):
        assert family.labels[0] == "app"
        assert family.name.startswith("anchorwatch_app_")
    assert all(family.labels[1] == "probe" for family in http.FAMILIES)
