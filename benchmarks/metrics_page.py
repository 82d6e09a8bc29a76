"""A scrape of `/metrics` with 10,000 series, beside prometheus_client's own rendering of the same.

Each line is the least processor time of some repetitions, all in one process; of the pages that are compared it is held that they
are the same to the byte. Memory is what `tracemalloc` counts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from prometheus_client import CollectorRegistry, Gauge  # noqa: E402 - found by the line before
from prometheus_client.exposition import choose_encoder  # noqa: E402 - found by the line before

from benchmarks import _results  # noqa: E402 - found by the line before
from benchmarks._speed_common import least  # noqa: E402 - found by the line before
from monitor.metrics import Metrics, families  # noqa: E402 - found by the line before
from monitor.records import Sample  # noqa: E402 - found by the line before

TEXT = "text/plain;version=0.0.4"
OPEN = "application/openmetrics-text;version=1.0.0"
DOTS = "text/plain;version=1.0.0;escaping=dots"
MODEL = {"app": "shop", "model": "demand", "version": "v1"}
DRIFT = [name for name in families() if name.startswith("anchorwatch_feature_drift_") and "calibration" not in name]
TIMES = [name for name in families() if name.startswith("anchorwatch_check_") and "timestamp_seconds" in name]
LATENCY = "anchorwatch_model_latency_seconds"
FLOOR = "prometheus_client, text"


def samples(number: int) -> list[Sample]:
    """Scores and verdicts of many features, and a tenth of them times."""
    draw = np.random.default_rng(1)
    times = number // 10
    found = [
        Sample(TIMES[at % len(TIMES)], {"app": "shop", "model": "demand", "check": f"check_{at // len(TIMES)}"}, value)
        for at, value in enumerate((1.7e9 + draw.random(times) * 1e6).tolist())
    ]
    for at, value in enumerate(draw.random(number - times).tolist()):
        labels = {**MODEL, "feature": f"feature_{at // len(DRIFT)}", "statistic": "psi"}
        name = DRIFT[at % len(DRIFT)]
        found.append(Sample(name, labels, round(value) if name.endswith("breached") else value))
    return found


def filled(given: list[Sample]) -> Metrics:
    """The daemon's metrics with these series."""
    metrics = Metrics("0")
    for sample in given:
        metrics.set(sample.name, sample.value, **sample.labels)
    return metrics


def gauges(given: list[Sample]) -> CollectorRegistry:
    """The same as gauges of prometheus_client."""
    registry, held = CollectorRegistry(), {}
    for sample in given:
        family = families()[sample.name]
        if sample.name not in held:
            held[sample.name] = Gauge(sample.name, family.help, family.labels, registry=registry)
        held[sample.name].labels(**sample.labels).set(sample.value)
    return registry


def histograms(series: int) -> Metrics:
    """Metrics of histograms alone."""
    metrics, draw = Metrics("0"), np.random.default_rng(2)
    for at in range(series):
        metrics.observe_many(LATENCY, draw.gamma(2, 0.05, 1000), **{**MODEL, "version": f"v{at}"})
    return metrics


def _lines(number: int) -> dict[str, Callable[[], Any]]:
    given = samples(number)
    metrics, registry, observed = filled(given), gauges(given), histograms(number // 14)
    theirs = {accept: choose_encoder(accept)[0] for accept in (TEXT, OPEN)}
    for accept, encoder in theirs.items():
        ours = metrics.render(accept)[0].partition(b"# HELP process")[0]
        assert encoder(metrics).removesuffix(b"# EOF\n") == ours
    page = metrics.render(TEXT)[0]
    return {
        FLOOR: lambda: theirs[TEXT](registry),
        "prometheus_client, OpenMetrics": lambda: theirs[OPEN](registry),
        "prometheus_client, text and its gzip": lambda: gzip.compress(theirs[TEXT](registry)),
        "the page, text": lambda: metrics.render(TEXT),
        "the page, OpenMetrics": lambda: metrics.render(OPEN),
        "the page, text and gzip": lambda: metrics.render(TEXT, compressed=True),
        "of it gzip at level 1": lambda: gzip.compress(page, 1),
        "of it what holds the lock": metrics._taken,  # noqa: SLF001 - a part that has no name outside
        "the page of as many lines of histograms": lambda: observed.render(TEXT),
        "the page where names are escaped (`dots`)": lambda: metrics.render(DOTS),
    }


def _held(make: Callable[[], Any]) -> float:
    """Bytes that are held by what is made."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = make()
        held = tracemalloc.get_traced_memory()[0] - before
        del kept
        return held
    finally:
        tracemalloc.stop()


def memory(number: int) -> dict[str, float]:
    """Bytes a series, of the daemon's and of prometheus_client's."""
    given = samples(number)
    filled(given[:1])  # what is imported and made once
    base = _held(lambda: filled(given[:1]))
    metrics = filled(given)
    texts = [series._starts for series in metrics._series.values()]  # noqa: SLF001 - a part that has no name outside
    return {
        "whole": (_held(lambda: filled(given)) - base) / number,
        "text": sum(sys.getsizeof(held) + sum(map(sys.getsizeof, held.values())) for held in texts) / number,
        "prometheus_client": _held(lambda: gauges(given)) / number,
    }


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=25)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    told = {name: least(work, given.times)[0] for name, work in _lines(given.series).items()}
    rows = [[name, f"{cpu * 1e3:.2f} ms", f"{told[FLOOR] / cpu:.1f}"] for name, cpu in told.items()]
    table = _results.markdown(["", "CPU", f"times as fast as {FLOOR}"], rows)
    held = memory(given.series)
    table += f"\n\nA series holds {held['whole']:.0f} bytes, of which {held['text']:.0f} are its text; "
    table += f"one of prometheus_client's gauges {held['prometheus_client']:.0f}.\n"
    print(json.dumps({"cpu_seconds": told, "bytes": held}) if given.json else table)
    if given.series >= 10_000 and not given.json:
        title = f"A scrape of {given.series:,} series, beside prometheus_client"
        _results.write("metrics_page", title, table, {"cpu_seconds": told, "bytes_a_series": held})


if __name__ == "__main__":
    main()
