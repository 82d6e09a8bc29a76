"""A page shows one instant, as prometheus_client would print it, and holds nobody up."""

from __future__ import annotations

import gzip
import sys
import threading

import pytest
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from monitor.metrics import Metrics
from monitor.records import Sample
from tests.metrics.pages import ACCEPT, LATENCY, PERFORMANCE, PREDICTIONS, SUBJECT, UP, filled, shown


@pytest.mark.parametrize("accept", [None, *ACCEPT])
def test_the_daemons_families_are_printed_as_prometheus_client_prints_them(accept: str | None) -> None:
    metrics = filled()
    encoder, content_type = choose_encoder(accept or "")
    page, told = metrics.render(accept)
    ours, separator, _ = page.partition(b"# HELP process")
    assert separator
    assert encoder(metrics).startswith(ours)
    assert told == content_type


def test_a_compressed_page_is_the_page() -> None:
    metrics = filled()
    metrics._others = metrics  # nothing on it changes between two scrapes
    page, compressed = metrics.render(None)[0], metrics.render(None, compressed=True)[0]
    assert gzip.decompress(compressed) == page
    assert len(compressed) < len(page)


class Waiting:
    """A collector that stands still in the middle of a scrape."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def collect(self) -> list[Metric]:
        self.reached.set()
        assert self.go_on.wait(30)
        return []


def test_writers_are_not_held_up_by_a_page_and_it_shows_one_instant() -> None:
    metrics, waiting = filled(), Waiting()
    metrics.render(None)
    before, pages = metrics.render(None)[0].partition(b"# HELP process")[0], []
    metrics._others.register(waiting)
    reader = threading.Thread(target=lambda: pages.append(metrics.render(None)[0]))
    reader.start()
    assert waiting.reached.wait(30)
    metrics.set(PERFORMANCE, 0.75, metric="mae", **SUBJECT)
    metrics.add(PREDICTIONS, **SUBJECT)
    metrics.observe(LATENCY, 1.0, **SUBJECT)
    metrics.forget(app="shop")
    waiting.go_on.set()
    reader.join(30)
    assert pages[0].startswith(before)
    assert not shown(metrics, PERFORMANCE)


def test_what_was_taken_for_a_page_stays_as_it_was() -> None:
    metrics = filled()
    taken = {each.series.family.name: each for each in metrics._taken()}
    before = {name: (each.numbers, list(each.starts)) for name, each in taken.items()}
    metrics.observe(LATENCY, 1.0, **SUBJECT)
    metrics.add(PREDICTIONS, **SUBJECT)
    metrics.set(PERFORMANCE, 0.75, metric="mae", **SUBJECT)
    metrics.withdraw([UP])
    assert {name: (each.numbers, list(each.starts)) for name, each in taken.items()} == before


def test_what_is_changed_in_one_step_is_never_seen_in_half() -> None:
    """Also across families, and while series come and go."""
    metrics, stop = Metrics("0"), threading.Event()
    names = [PERFORMANCE, f"{PERFORMANCE}_lower"]

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            samples = [Sample(name, {"metric": f"m{number % 7}", **SUBJECT}, number) for name in names]
            metrics.swap(names, samples, app="shop")
            metrics.add_many(PREDICTIONS, {("shop", "demand", version): 1 for version in ("v1", "v2")})

    writer = threading.Thread(target=write)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        writer.start()
        for _ in range(300):
            page = metrics.render(None)[0].decode()
            families = {family.name: family.samples for family in text_string_to_metric_families(page)}
            first, second = ([(s.labels, s.value) for s in families.get(name, [])] for name in names)
            assert first == second
            assert len(first) <= 1
            assert len({sample.value for sample in families.get(PREDICTIONS.removesuffix("_total"), [])}) <= 1
    finally:
        stop.set()
        writer.join(30)
        sys.setswitchinterval(interval)
