"""The values behind every metric, and their exposition.

Values live in plain dictionaries, so that a result that is no longer true can be withdrawn at once: a gauge never freezes green.
"""

from __future__ import annotations

import gzip
import platform
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from monitor.metrics._families import families
from monitor.records import Family, Sample

OPTIONAL = frozenset({"segment"})  # labels that are left out where they are empty


class _Series:
    """The values of one family, by their label values in the family's order."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.values: dict[tuple[str, ...], float] = {}
        self.counts: dict[tuple[str, ...], list[int]] = {}

    def key(self, labels: Mapping[str, str | None]) -> tuple[str, ...]:
        if unknown := set(labels) - set(self.family.labels):
            raise KeyError(f"{self.family.name}: expected the labels {self.family.labels}, got {sorted(unknown)}")
        return tuple(labels.get(name) or "" for name in self.family.labels)

    def matching(self, labels: Mapping[str, str]) -> list[tuple[str, ...]]:
        wanted = [
            (self.family.labels.index(name), value) for name, value in labels.items() if name in self.family.labels
        ]
        if len(wanted) < len(labels):
            return []
        return [key for key in self.values if all(key[place] == value for place, value in wanted)]

    def metric(self) -> Metric:
        family = self.family
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for key, counts in self.counts.items():
                total, buckets = 0, []
                for bound, count in zip([*map(str, family.buckets), "+Inf"], counts, strict=True):
                    total += count
                    buckets.append((bound, total))
                histogram.add_metric(list(key), buckets, self.values[key])
            return histogram
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=family.labels)
        name = f"{family.name.removesuffix('_total')}_total" if family.kind == "counter" else family.name
        for key, value in self.values.items():
            pairs = zip(family.labels, key, strict=True)
            labels = {label: text for label, text in pairs if text or label not in OPTIONAL}
            metric.add_sample(name, labels, value)
        return metric


class Metrics:
    """The values that `/metrics` shows. Safe to use from several threads."""

    def __init__(self, version: str) -> None:
        self._lock = threading.Lock()
        self._series = {name: _Series(family) for name, family in families().items()}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self.set("anchorwatch_build_info", 1, version=version, pythonversion=platform.python_version())

    def set(self, name: str, value: float, /, **labels: str | None) -> None:
        """Set a gauge. A label given as None is exposed as empty, which Prometheus reads as absent."""
        series = self._series[name]
        key = series.key(labels)
        with self._lock:
            series.values[key] = float(value)

    def add(self, name: str, amount: float = 1.0, /, **labels: str | None) -> None:
        """Add to a counter; adding 0 creates its series, so that a first increase is seen."""
        series = self._series[name]
        key = series.key(labels)
        with self._lock:
            series.values[key] = series.values.get(key, 0.0) + amount

    def observe(self, name: str, value: float, /, **labels: str | None) -> None:
        """Count one observation of a histogram."""
        series = self._series[name]
        key = series.key(labels)
        with self._lock:
            counts = series.counts.setdefault(key, [0] * (len(series.family.buckets) + 1))
            counts[bisect_left(series.family.buckets, value)] += 1
            series.values[key] = series.values.get(key, 0.0) + value

    def withdraw(self, names: Iterable[str], /, **labels: str) -> None:
        """Take away every series of these families that carries these labels: the result is no longer true."""
        with self._lock:
            for name in names:
                series = self._series[name]
                for key in series.matching(labels):
                    del series.values[key]
                    series.counts.pop(key, None)

    def swap(self, names: Iterable[str], samples: Iterable[Sample], /, **labels: str) -> None:
        """Replace, in one step, the series of these gauges that carry these labels by the samples."""
        fresh = [
            (self._series[sample.name], self._series[sample.name].key(sample.labels), sample.value)
            for sample in samples
        ]
        with self._lock:
            for name in names:
                series = self._series[name]
                for key in series.matching(labels):
                    del series.values[key]
            for series, key, value in fresh:
                series.values[key] = float(value)

    def forget(self, **labels: str) -> None:
        """Take away everything known of an app or model, counters included: it is no longer configured."""
        self.withdraw(list(self._series), **labels)

    def kind(self, name: str) -> str:
        """Whether a family is a gauge, a counter or a histogram."""
        return self._series[name].family.kind

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks for at a scrape."""
        with self._lock:
            found = [series.metric() for series in self._series.values() if series.values]
        yield from found

    def describe(self) -> list[Metric]:
        """Nothing: so that registering costs no collection."""
        return []

    def render(self, accept: str | None, *, compressed: bool = False) -> tuple[bytes, str]:
        """The page for a scrape and its content type, in the format the scraper asks for."""
        encoder, content_type = choose_encoder(accept or "")
        page: bytes = encoder(self._registry)
        # Level 1: at the default of 9 most of a scrape's cost is compression.
        return (gzip.compress(page, 1) if compressed else page), content_type
