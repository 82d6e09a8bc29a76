"""Any family renders as prometheus_client would render it, whatever a scraper asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from monitor.metrics._formats import Formats
from monitor.metrics._series import Series
from monitor.records import Family

SCHEMES = ("allow-utf-8", "underscores", "dots", "values", "unheard-of")
PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
PROMETHEUS_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
ACCEPT = [
    None, "", "*/*", "text/plain", "text/html", "text/plain; version=0.0.4", "text/plain; version=1.0.0", PROMETHEUS_2, PROMETHEUS_3,
    "application/openmetrics-text", "application/openmetrics-text; version=0.0.1", "application/openmetrics-text; version=1.0.0",
    "application/openmetrics-text; version=2.0.0",
    *(f"{kind}; version=1.0.0; escaping={scheme}" for kind in ("text/plain", "application/openmetrics-text") for scheme in SCHEMES),
]  # fmt: skip
FAST = [accept for accept in ACCEPT if accept is None or not accept.endswith(("dots", "values"))]


@dataclass
class Made:
    """A family and its series: label values → the value, or the sum and the counts of a histogram."""

    family: Family
    values: dict[tuple[str, ...], float] = field(default_factory=dict)
    counts: dict[tuple[str, ...], list[int]] = field(default_factory=dict)

    def series(self) -> Series:
        found = Series(self.family)
        for key, value in self.values.items():
            if self.family.kind == "histogram":
                found.count(key, found.start(key), enumerate(self.counts[key]), value)
            else:
                found.put(key, found.start(key), value)
        return found

    def metric(self) -> Metric:
        """What the family is to prometheus_client; by its own means, not by ours."""
        family = self.family
        if family.kind == "histogram":
            metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for key, counts in self.counts.items():
                bounds = [*map(str, family.buckets), "+Inf"]
                totals = [sum(counts[: place + 1]) for place in range(len(counts))]
                metric.add_metric(key, list(zip(bounds, totals, strict=True)), self.values[key])
            return metric
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.help)
        for key, value in self.values.items():
            left_out = [name for name, text in zip(family.labels, key, strict=True) if name == "segment" and not text]
            metric._labelnames = tuple(name for name in family.labels if name not in left_out)
            metric.add_metric(
                [text for name, text in zip(family.labels, key, strict=True) if name not in left_out], value
            )
        return metric


class Registry:
    def __init__(self, *metrics: Metric) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


OTHER = GaugeMetricFamily("process_open_fds", "Of others.", 12.0)


def _ours(made: list[Made], accept: str | None) -> tuple[bytes, str]:
    form, content_type = Formats().chosen(accept)
    return form.page([each.series().taken() for each in made if each.values], Registry(OTHER)), content_type


def _theirs(made: list[Made], accept: str | None) -> tuple[bytes, str]:
    encoder, content_type = choose_encoder(accept or "")
    return encoder(Registry(*(each.metric() for each in made if each.values), OTHER)), content_type


# --- any family -------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "",
        "\\",
        '"',
        "\n",
        '\\"\\n',
        "a\\",
        "\r\n",
        "\u2028",
        "é",
        "漢",
        "😀",
        "{}",
        "a b",
        ",",
        'x="y"',
        "%b",
        "\x00",
        "# EOF",
    ]
)
NAME = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", fullmatch=True)
ODD_NAME = st.sampled_from(["a.b", "gauge with space", "9x", "größe", "a_b.c"])
LABEL = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "le")
ODD_LABEL = st.sampled_from(["a.b", "9", "größe", "a b"])
LABELS = st.lists(LABEL | st.just("segment") | ODD_LABEL, unique=True, max_size=4).map(tuple)
PLAIN_LABELS = st.lists(LABEL | st.just("segment"), unique=True, max_size=4).map(tuple)
FLOATS = (
    st.floats()
    | st.integers(-(10**30), 10**30).map(float)
    | st.sampled_from([0.0, -0.0, 1e16, 1e-7, 5e-324, 1234567.0])
)
BOUNDS = st.lists(st.floats(-10, 1e7) | st.integers(0, 100), unique=True, max_size=4).map(sorted).map(tuple)


@st.composite
def _made(draw: Any, names: Any = NAME | ODD_NAME, labels: Any = LABELS) -> Made:
    kind = draw(st.sampled_from(["gauge", "counter", "histogram"]))
    suffix = draw(st.sampled_from(["", "_total", "_created", "_seconds"]))
    named = draw(labels)
    if kind == "histogram":
        named = tuple(name for name in named if name != "segment")
    family = Family(draw(names) + suffix, kind, draw(TEXT), named, draw(BOUNDS) if kind == "histogram" else ())
    keys = draw(st.lists(st.tuples(*[TEXT for _ in family.labels]), unique=True, max_size=4))
    made = Made(family, {key: draw(FLOATS) for key in keys})
    if kind == "histogram":
        number = len(family.buckets) + 1
        made.counts = {key: draw(st.lists(st.integers(0, 10**9), min_size=number, max_size=number)) for key in keys}
    return made


FAMILIES = st.lists(_made(), max_size=4, unique_by=lambda made: made.family.name)
KNOWN = [
    Made(
        Family("a_total", "counter", 'with "quotes", \\ and\nmore', ("b", "a")), {("x\n", '"\\'): 1e16, ("", "é"): 0.0}
    ),
    Made(Family("performance", "gauge", "", ("app", "segment")), {("shop", ""): 0.5, ("shop", "a"): float("nan")}),
    Made(Family("only_segment", "gauge", "x", ("segment",)), {("",): 1.0, ("s",): -0.0}),
    Made(Family("plain", "gauge", "x", ()), {(): 3.0}),
    Made(Family("h_seconds", "histogram", "x", ("z", "a"), (0.1, 1.0)), {("1", "2"): 0.5}, {("1", "2"): [1, 0, 2]}),
    Made(Family("below", "histogram", "x", (), (-1.0, 1.0)), {(): -0.5}, {(): [1, 0, 10**7]}),
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(FAMILIES, st.sampled_from(ACCEPT))
def test_any_families_are_printed_as_prometheus_client_prints_them(made: list[Made], accept: str | None) -> None:
    assert _ours(made, accept) == _theirs(made, accept)


@pytest.mark.parametrize("accept", ACCEPT)
def test_the_known_corners_are_the_same_for_every_accept_header(accept: str | None) -> None:
    assert _ours(KNOWN, accept) == _theirs(KNOWN, accept)


@given(_made(LABEL, PLAIN_LABELS).filter(lambda made: made.values), st.sampled_from(FAST))
@example(KNOWN[0], PROMETHEUS_2)
@example(KNOWN[4], PROMETHEUS_3)
@example(KNOWN[5], None)
def test_samples_are_written_by_us_where_names_stand_as_they_are(made: Made, accept: str | None) -> None:
    """Otherwise the tests above could compare prometheus_client with itself."""
    form, _ = Formats().chosen(accept)
    form.page([made.series().taken()], Registry())
    assert form._heads[made.family.name]


# --- what is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["abc", "1.x", "", "²", "9" * 5000])
def test_a_version_that_is_no_number_is_answered_in_a_format_that_all_know(version: str) -> None:
    for kind in ("application/openmetrics-text", "text/plain"):
        form, content_type = Formats().chosen(f"{kind}; version={version}")
        assert form.page([], Registry(OTHER)).startswith(b"# HELP process_open_fds Of others.\n")
        assert content_type.partition(";")[0] in {"application/openmetrics-text", "text/plain"}


@given(st.text(st.characters(max_codepoint=255), max_size=60) | st.lists(st.sampled_from(
    ["text/plain", "application/openmetrics-text", ";", ",", "version=", "escaping=", "1.0.0", "2", "x", "dots", "=", " "]
), max_size=12).map("".join))  # fmt: skip
def test_no_accept_header_costs_the_page(accept: str) -> None:
    form, _ = Formats().chosen(accept)
    assert b" 12.0\n" in form.page([], Registry(OTHER))


def test_formats_are_made_once_and_endless_versions_hold_no_memory() -> None:
    formats = Formats()
    assert formats.chosen(PROMETHEUS_2)[0] is formats.chosen(PROMETHEUS_2)[0]
    assert formats.chosen(PROMETHEUS_2)[0] is not formats.chosen(None)[0]
    for version in range(1, 200):
        formats.chosen(f"application/openmetrics-text; version={version}.0")
    assert len(formats._made) <= 16
