"""The series of one family: their values, and the text that each of their lines begins with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from monitor.records import Family

OPTIONAL = frozenset({"segment"})  # labels that are left out where they are empty
METRICS: dict[str, type[Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}

Key = tuple[str, ...]


class Taken(NamedTuple):
    """What the series of a family were at one instant, each list in their order."""

    series: Series
    keys: list[Key]
    starts: list[bytes]
    values: list[float]
    counts: list[tuple[int, ...]]

    @property
    def numbers(self) -> list[float]:
        """The number on each line."""
        if self.series.family.kind != "histogram":
            return self.values
        found: list[float] = []
        for counts, total in zip(self.counts, self.values, strict=True):
            found += map(float, accumulate(counts))
            if self.series.has_sum:
                found += (found[-1], total)
        return found

    def metric(self) -> Metric:
        """The same as prometheus_client has it."""
        family = self.series.family
        metric = METRICS[family.kind](family.name, family.help, labels=family.labels)  # type: ignore[call-arg]
        numbers = iter(self.numbers)
        for key in self.keys:
            for suffix, labels in self.series.lines(key):
                metric.add_sample(self.series.name + suffix, labels, next(numbers))
        return metric


class Series:
    """The values of one family, by their label values in the family's order."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.name = f"{family.name.removesuffix('_total')}_total" if family.kind == "counter" else family.name
        # As in prometheus_client: below 0 the sum is no counter.
        self.has_sum = not family.buckets or family.buckets[0] >= 0
        self.values: dict[Key, float] = {}  # of a histogram: the sum
        self.counts: dict[Key, list[int]] = {}  # of a histogram, by bucket
        self._starts: dict[Key, bytes] = {}  # in the order of the values
        self._known = frozenset(family.labels)
        self._bounds = (*map(str, family.buckets), "+Inf")

    def key(self, labels: Mapping[str, str | None]) -> Key:
        """The label values in the family's order; what isn't given is empty."""
        if not labels.keys() <= self._known:
            unknown = sorted(labels.keys() - self._known)
            raise KeyError(f"{self.family.name}: expected the labels {self.family.labels}, got {unknown}")
        return tuple([labels.get(name) or "" for name in self.family.labels])

    def start(self, key: Key) -> bytes:
        """What the lines of a series begin with after the family's name; made once in the life of a series.

        It depends on nothing but the key, so it may be asked for without the lock.
        """
        return self._starts.get(key) or self._start(key)

    def put(self, key: Key, start: bytes, value: float) -> None:
        """Give a series its value; `start` is what the method of this name returns."""
        self.values[key] = value
        self._starts[key] = start

    def count(self, key: Key, start: bytes, hits: Iterable[tuple[int, int]], total: float) -> None:
        """Give a histogram a new sum, and so many more observations in the buckets at these places."""
        counts = self.counts.setdefault(key, [0] * len(self._bounds))
        for place, number in hits:
            counts[place] += number
        self.put(key, start, total)

    def drop(self, key: Key) -> None:
        """Take a series away, with its text; nothing happens where it isn't there."""
        self.values.pop(key, None)
        self._starts.pop(key, None)
        self.counts.pop(key, None)

    def matching(self, labels: Mapping[str, str]) -> list[Key]:
        """The series that carry these labels; none where the family lacks one of them."""
        if not labels.keys() <= self._known:
            return []
        if not labels:
            return list(self.values)
        places = [self.family.labels.index(name) for name in labels]
        values = list(labels.values())
        # The first one twice: of a single place itemgetter makes no tuple.
        chosen, wanted = itemgetter(places[0], *places), (values[0], *values)
        return [key for key in self.values if chosen(key) == wanted]

    def taken(self) -> Taken:
        """The series as they are now; only copies, so that a lock is held briefly."""
        values, starts = list(self.values.values()), list(self._starts.values())
        return Taken(self, list(self.values), starts, values, [*map(tuple, self.counts.values())])

    def lines(self, key: Key) -> Iterator[tuple[str, dict[str, str]]]:
        """Of each line of a series what follows the family's name there, and its labels."""
        pairs = zip(self.family.labels, key, strict=True)
        labels = {name: _encodable(value) for name, value in pairs if value or name not in OPTIONAL}
        if self.family.kind != "histogram":
            yield "", labels
            return
        for bound in self._bounds:
            yield "_bucket", {**labels, "le": bound}
        if self.has_sum:
            yield "_count", labels
            yield "_sum", labels

    def _start(self, key: Key) -> bytes:
        if len(key) != len(self.family.labels) or not all(isinstance(value, str) for value in key):
            raise KeyError(f"{self.family.name}: expected a text for each of {self.family.labels}, got {key}")
        return "\n".join(f"{suffix}{_braced(labels)} " for suffix, labels in self.lines(key)).encode()


def _braced(labels: Mapping[str, str]) -> str:
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items()))
    return f"{{{text}}}" if text else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _encodable(value: str) -> str:
    """Half of a surrogate pair, as JSON and names of files may hold, has no UTF-8 and would cost the whole page."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
