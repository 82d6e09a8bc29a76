"""What is handed in, and what of it a page shows: finite, and gone when it is taken away."""

from __future__ import annotations

import logging
import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from monitor.metrics import Metrics
from monitor.records import Sample
from tests.metrics.pages import ACCEPT, LATENCY, PERFORMANCE, PREDICTIONS, SUBJECT, UP, filled, shown

# --- what is handed in ------------------------------------------------------------------------------------------------

NUMBERS = (
    st.floats() | st.integers(-(10**400), 10**400) | st.sampled_from([math.nan, math.inf, -math.inf, 1.7e308, -1.7e308])
)
STEP = st.tuples(
    st.sampled_from(["set", "swap", "add", "add_many", "observe", "observe_many"]),
    NUMBERS,
    st.sampled_from(["v1", "v2"]),
)


def _do(metrics: Metrics, what: str, number: Any, version: str) -> None:
    subject = {**SUBJECT, "version": version}
    if what == "set":
        metrics.set(PERFORMANCE, number, metric="mae", **subject)
    elif what == "swap":
        metrics.swap([PERFORMANCE], [Sample(PERFORMANCE, {"metric": "mae", **subject}, number)], version=version)
    elif what == "add":
        metrics.add(PREDICTIONS, number, **subject)
    elif what == "add_many":
        metrics.add_many(PREDICTIONS, {tuple(subject.values()): number, ("shop", "demand", "v3"): 1.0})
    elif what == "observe":
        metrics.observe(LATENCY, number, **subject)
    elif isinstance(number, float):
        metrics.observe_many(LATENCY, [0.5, number], **subject)


@given(st.lists(STEP, max_size=12))
@example(
    [
        ("set", 0.5, "v1"),
        ("set", math.nan, "v1"),
        ("add", math.inf, "v1"),
        ("add", 1.7e308, "v1"),
        ("add", 1.7e308, "v1"),
    ]
)
@example(
    [
        ("observe", 1.7e308, "v1"),
        ("observe", 1.7e308, "v1"),
        ("observe", math.nan, "v1"),
        ("observe_many", math.nan, "v1"),
    ]
)
def test_whatever_is_handed_in_every_series_is_finite_and_the_page_stands(steps: list[tuple[str, Any, str]]) -> None:
    metrics = Metrics("0")
    for step in steps:
        _do(metrics, *step)
    page = metrics.render(None)[0]
    samples = [s for family in text_string_to_metric_families(page.decode()) for s in family.samples]
    assert all(math.isfinite(sample.value) for sample in samples if sample.name.startswith("anchorwatch_"))
    assert all(math.isfinite(sample.value) for family in metrics.collect() for sample in family.samples)
    gauges = {version: number for what, number, version in steps if what in {"set", "swap"}}
    known = {version for version, number in gauges.items() if abs(number) <= sys.float_info.max}
    assert {s.labels["version"] for s in samples if s.name == PERFORMANCE} == known


@pytest.mark.parametrize("number", [math.nan, math.inf, 10**400])
def test_a_gauge_handed_no_number_is_withdrawn_and_a_counter_goes_on(number: float, caplog: Any) -> None:
    metrics = filled()
    before = shown(metrics, PREDICTIONS) | shown(metrics, LATENCY)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            metrics.set(PERFORMANCE, number, metric="mae", **SUBJECT)
            metrics.add(PREDICTIONS, number, **SUBJECT)
            metrics.observe(LATENCY, number, **SUBJECT)
    assert list(shown(metrics, PERFORMANCE).values()) == [1234567.0]
    assert shown(metrics, PREDICTIONS) | shown(metrics, LATENCY) == before
    assert [record.metric for record in caplog.records] == [PERFORMANCE, PREDICTIONS, LATENCY]


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False, width=32) | st.sampled_from([0.005, 0.1, 10.0]), max_size=40
    )
)
def test_many_observations_count_as_each_alone(values: list[float]) -> None:
    alone, together, array = Metrics("0"), Metrics("0"), Metrics("0")
    for value in values:
        alone.observe(LATENCY, value, **SUBJECT)
    together.observe_many(LATENCY, values, **SUBJECT)
    array.observe_many(LATENCY, np.array(values), **SUBJECT)
    expected = shown(alone, LATENCY)
    scale = sum(map(abs, values)) or 1.0
    assert shown(together, LATENCY) == shown(array, LATENCY) == pytest.approx(expected, rel=1e-12, abs=1e-12 * scale)
    assert list(shown(together, LATENCY)) == list(expected)


def test_observations_that_are_not_finite_are_left_out_of_many() -> None:
    metrics = Metrics("0")
    metrics.observe_many(LATENCY, [0.5, math.nan, math.inf, 2.0], **SUBJECT)
    found = shown(metrics, LATENCY)
    assert [value for name, value in found.items() if "_count" in name or "_sum" in name] == [2.0, 2.5]


def test_observations_too_large_to_sum_up_are_not_counted() -> None:
    metrics = filled()
    before = shown(metrics, LATENCY)
    metrics.observe_many(LATENCY, [1.7e308, 1.7e308], **SUBJECT)
    assert shown(metrics, LATENCY) == before


def test_many_amounts_add_up_and_create_their_series() -> None:
    metrics = Metrics("0")
    metrics.add(PREDICTIONS, 2, **SUBJECT)
    metrics.add_many(PREDICTIONS, {("shop", "demand", "v1"): 3, ("shop", "demand", ""): 0})
    assert list(shown(metrics, PREDICTIONS).values()) == [5.0, 0.0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda metrics: metrics.set(UP, 1, app="shop", nonsense="x"),
        lambda metrics: metrics.set(UP, 1, app=5),
        lambda metrics: metrics.set(UP, None, app="a"),
        lambda metrics: metrics.set(LATENCY, 1, **SUBJECT),
        lambda metrics: metrics.swap([UP], [Sample(UP, {"app": "a"}, 1), Sample(UP, {"app": 5}, 1)]),
        lambda metrics: metrics.swap([UP], [Sample(LATENCY, SUBJECT, 1)]),
        lambda metrics: metrics.add(LATENCY, 1, **SUBJECT),
        lambda metrics: metrics.add_many(PREDICTIONS, {("shop", "demand", "v1"): 1, ("shop",): 1}),
        lambda metrics: metrics.observe(UP, 1, app="shop"),
        lambda metrics: metrics.observe_many(UP, [1], app="shop"),
        lambda metrics: metrics.observe_many(LATENCY, ["x"], **SUBJECT),
    ],
)
def test_a_wrong_call_is_an_error_there_and_then_and_changes_nothing(wrong: Any) -> None:
    metrics = filled()
    before = metrics.render(None)[0].partition(b"# HELP process")[0]
    with pytest.raises((KeyError, TypeError, ValueError)):
        wrong(metrics)
    assert metrics.render(None)[0].startswith(before)


@pytest.mark.parametrize("accept", ACCEPT)
def test_half_a_surrogate_pair_in_a_label_costs_no_page(accept: str) -> None:
    """JSON may hold one, and so may the name of a file."""
    metrics = Metrics("0")
    metrics.set(UP, 1, app="shop", probe="\ud800")
    assert rb'probe="\\ud800"' in metrics.render(accept)[0]


# --- what is taken away -----------------------------------------------------------------------------------------------


def test_the_text_of_a_series_goes_with_it() -> None:
    """Swapped thousands of times, withdrawn, forgotten, or refused: nothing is held of what is no longer shown."""
    metrics = Metrics("0")
    for turn in range(500):
        metrics.swap([UP], [Sample(UP, {"app": "shop", "probe": str(turn)}, 1)], app="shop")
    metrics.set(PERFORMANCE, 1.0, metric="mae", **SUBJECT)
    metrics.set(PERFORMANCE, math.nan, metric="mae", **SUBJECT)
    metrics.observe(LATENCY, 1.0, **SUBJECT)
    metrics.forget(model="demand")
    held = {
        name: (len(s.values), len(s._starts), len(s.counts))
        for name, s in metrics._series.items()
        if s._starts or s.counts
    }
    assert held == {UP: (1, 1, 0), "anchorwatch_build_info": (1, 1, 0)}


def test_only_series_that_carry_all_the_labels_are_taken_away() -> None:
    metrics = Metrics("0")
    for app, probe in (("a", "x"), ("a", "y"), ("b", "x")):
        metrics.set(UP, 1, app=app, probe=probe)
    metrics.withdraw([UP], app="a", probe="x")
    metrics.withdraw([UP], model="a")
    assert list(shown(metrics, UP)) == [f'{UP}{{app="a",probe="y"}}', f'{UP}{{app="b",probe="x"}}']
    metrics.withdraw([UP], probe="y")
    assert list(shown(metrics, UP)) == [f'{UP}{{app="b",probe="x"}}']
    metrics.withdraw([UP])
    assert not shown(metrics, UP)
