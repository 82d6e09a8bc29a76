"""The values behind every metric, and their exposition.

Values live in plain dictionaries, so that a result that is no longer true can be withdrawn at once: a gauge never freezes green.

Every value is finite. Being handed another is the caller's defect, which is logged and costs no page: a gauge is withdrawn, since
what it said is no longer known; a counter or histogram stays as it is, since once NaN it would be so forever.
"""

from __future__ import annotations

import gzip
import logging
import math
import platform
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric

from monitor.metrics._families import families
from monitor.metrics._formats import Formats
from monitor.metrics._series import Key, Series, Taken
from monitor.records import Sample

log = logging.getLogger(__name__)


class Metrics:
    """The values that `/metrics` shows. Safe to use from several threads."""

    def __init__(self, version: str) -> None:
        self._lock = threading.Lock()
        self._series = {name: Series(family) for name, family in families().items()}
        self._formats = Formats()
        self._others = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._others)
        self._told: set[str] = set()
        self.set("anchorwatch_build_info", 1, version=version, pythonversion=platform.python_version())

    def set(self, name: str, value: float, /, **labels: str | None) -> None:
        """Set a gauge. A label given as None is exposed as empty, which Prometheus reads as absent."""
        series, number = self._plain(name), _float(value)
        key = series.key(labels)
        start = series.start(key)
        with self._lock:
            if math.isfinite(number):
                series.put(key, start, number)
            else:
                series.drop(key)
        self._tell(name, number)

    def add(self, name: str, amount: float = 1.0, /, **labels: str | None) -> None:
        """Add to a counter; adding 0 creates its series, so that a first increase is seen."""
        self.add_many(name, {self._series[name].key(labels): amount})

    def add_many(self, name: str, amounts: Mapping[Key, float], /) -> None:
        """Add to many series of a counter in one step: a page shows all of it or nothing.

        Args:
            name: the counter.
            amounts: by the label values of each series, in the order of the family's labels and with none left out.
        """
        series, added = self._plain(name), 0.0
        fresh = [(key, series.start(key), _float(amount)) for key, amount in amounts.items()]
        with self._lock:
            for key, start, amount in fresh:
                total = series.values.get(key, 0.0) + amount
                if math.isfinite(total):
                    series.put(key, start, total)
                else:
                    added = math.nan
        self._tell(name, added)

    def observe(self, name: str, value: float, /, **labels: str | None) -> None:
        """Count one observation of a histogram."""
        series, number = self._series[name], _float(value)
        self._count(series, series.key(labels), [(bisect_left(series.family.buckets, number), 1)], number)

    def observe_many(self, name: str, values: NDArray[np.float64] | Sequence[float], /, **labels: str | None) -> None:
        """Count many observations of a histogram in one step; no values create no series.

        Args:
            name: the histogram.
            values: the observations, in its unit. Those that are not finite are left out.
            labels: as of `set`.
        """
        series, numbers = self._series[name], np.asarray(values, dtype=np.float64)
        key = series.key(labels)
        finite = numbers[np.isfinite(numbers)]
        if finite.size < numbers.size:
            self._tell(name, math.nan)
        if finite.size:
            hits = np.bincount(np.searchsorted(np.array(series.family.buckets), finite, side="left"))
            with np.errstate(over="ignore"):
                total = float(finite.sum())
            self._count(series, key, enumerate(hits.tolist()), total)

    def _count(self, series: Series, key: Key, hits: Iterable[tuple[int, int]], amount: float) -> None:
        if series.family.kind != "histogram":
            raise KeyError(f"{series.family.name}: expected a histogram, got a {series.family.kind}")
        start = series.start(key)
        with self._lock:
            total = series.values.get(key, 0.0) + amount
            if math.isfinite(total):
                series.count(key, start, hits, total)
        self._tell(series.family.name, total)

    def _plain(self, name: str) -> Series:
        series = self._series[name]
        if series.family.kind == "histogram":
            raise KeyError(f"{name}: expected a gauge or a counter, got a histogram")
        return series

    def _tell(self, name: str, number: float) -> None:
        """Log that a number is not finite, once for each family. Not while the lock is held: it may take long."""
        if not math.isfinite(number) and name not in self._told:
            self._told.add(name)
            log.error("metric was not finite", extra={"metric": name})

    def withdraw(self, names: Iterable[str], /, **labels: str) -> None:
        """Take away every series of these families that carries these labels: the result is no longer true."""
        with self._lock:
            self._withdraw(names, labels)

    def _withdraw(self, names: Iterable[str], labels: Mapping[str, str]) -> None:
        for name in names:
            series = self._series[name]
            for key in series.matching(labels):
                series.drop(key)

    def swap(self, names: Iterable[str], samples: Iterable[Sample], /, **labels: str) -> None:
        """Replace, in one step, the series of these gauges that carry these labels by the samples."""
        fresh = []
        for sample in samples:
            series, number = self._plain(sample.name), _float(sample.value)
            key = series.key(sample.labels)
            fresh.append((series, key, series.start(key), number))
        with self._lock:
            self._withdraw(names, labels)
            for series, key, start, number in fresh:
                if math.isfinite(number):
                    series.put(key, start, number)
                else:
                    series.drop(key)
        for series, _, _, number in fresh:
            self._tell(series.family.name, number)

    def forget(self, **labels: str) -> None:
        """Take away everything known of an app or model, counters included: it is no longer configured."""
        self.withdraw(list(self._series), **labels)

    def kind(self, name: str) -> str:
        """Whether a family is a gauge, a counter or a histogram."""
        return self._series[name].family.kind

    def collect(self) -> Iterator[Metric]:
        """The same as objects of prometheus_client, for whom the text is not enough."""
        yield from (taken.metric() for taken in self._taken())

    def _taken(self) -> list[Taken]:
        """All series at one instant. Only the copying holds the lock: writers wait for well below a millisecond."""
        with self._lock:
            return [series.taken() for series in self._series.values() if series.values]

    def render(self, accept: str | None, *, compressed: bool = False) -> tuple[bytes, str]:
        """The page for a scrape and its content type, in the format the scraper asks for."""
        form, content_type = self._formats.chosen(accept)
        page = form.page(self._taken(), self._others)
        # Level 1: at the default of 9 most of a scrape's cost is compression.
        return (gzip.compress(page, 1) if compressed else page), content_type


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all that a float can hold
        return math.inf
