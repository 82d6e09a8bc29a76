"""The page in each of prometheus_client's formats, from text that is mostly there already.

What is the format's own affair (HELP, TYPE, the end) is asked of prometheus_client, once for each family; the samples are
written here, and only where a sample written by prometheus_client turned out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import add
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from monitor.metrics._numbers import written
from monitor.metrics._series import Series, Taken

Encoder = Callable[[Any], bytes]

_LARGE = 1234567.5  # is written in another way than small numbers
_MOST = 16  # formats held: a scraper may ask for any version there might be


class _Collected:
    """Metrics as a registry gives them."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class Format:
    """One way to set out a page."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._end = encoder(_Collected())
        self._heads: dict[str, bytes | None] = {}

    def page(self, families: list[Taken], others: Any) -> bytes:
        """The families, then the metrics of the registry `others`."""
        numbers = [each.numbers for each in families]
        texts = written([number for each in numbers for number in each])
        parts: list[bytes] = []
        done = 0
        for each, own in zip(families, numbers, strict=True):
            parts += self._family(each, texts[done : done + len(own)])
            done += len(own)
        return b"".join([*parts, self._encoder(others)])

    def _family(self, taken: Taken, numbers: list[bytes]) -> tuple[bytes, ...]:
        name = taken.series.family.name
        if name not in self._heads:
            self._heads[name] = self._head(taken.series)
        head = self._heads[name]
        if head is None:
            return (self._encoder(_Collected(taken.metric())).removesuffix(self._end),)
        return head, _samples(taken, numbers)

    def _head(self, series: Series) -> bytes | None:
        """What stands before the samples of a family; None if prometheus_client writes these otherwise than we do.

        Some formats write every name anew, such as `escaping=dots`. They are rare, and are left to prometheus_client.
        """
        probe = Series(series.family)
        key = probe.family.labels
        if probe.family.kind == "histogram":
            probe.count(key, probe.start(key), [(0, 1)], _LARGE)
        else:
            probe.put(key, probe.start(key), _LARGE)
        taken = probe.taken()
        ours = _samples(taken, written(taken.numbers)) + self._end
        theirs = self._encoder(_Collected(taken.metric()))
        return theirs.removesuffix(ours) if theirs.endswith(b"\n" + ours) else None


def _samples(taken: Taken, numbers: list[bytes]) -> bytes:
    name, starts = taken.series.name.encode(), taken.starts
    if taken.series.family.kind == "histogram":
        starts = b"\n".join(starts).split(b"\n")
    # The name joins the lines, so that no series has to hold it.
    return b"%b%b\n" % (name, (b"\n" + name).join(map(add, starts, numbers)))


class Formats:
    """The formats by what a scraper asks for."""

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], Format] = {}

    def chosen(self, accept: str | None) -> tuple[Format, str]:
        """The format for an Accept header, and its content type."""
        try:
            encoder, content_type = choose_encoder(accept or "")
        except TypeError:  # it compares a version that is no number with one
            encoder, content_type = choose_encoder("")
        key = getattr(encoder, "func", encoder), *getattr(encoder, "keywords", {}).items()
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= _MOST:
                self._made.clear()
            found = self._made[key] = Format(encoder)
        return found, content_type
