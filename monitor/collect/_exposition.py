"""A page of Prometheus metrics: which series a selector means, what two pages say together, quantiles of histograms."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from prometheus_client import parser
from prometheus_client.metrics_core import Metric

# --- selectors --------------------------------------------------------------------------------------------------------

_SELECTOR = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?\s*", re.DOTALL)
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(?:,|$)""", re.DOTALL
)
_TESTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda wanted, found: found == wanted,
    "!=": lambda wanted, found: found != wanted,
    "=~": lambda wanted, found: re.fullmatch(wanted, found) is not None,
    "!~": lambda wanted, found: re.fullmatch(wanted, found) is None,
}


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric's name and what its labels must be like: `http_requests_total{status=~"5.."}`."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector as Prometheus writes it; regular expressions are anchored, an absent label is empty.

        Raises:
            ValueError: it isn't one, or its regular expression isn't.

        >>> Selector.parse('http_requests_total{status=~"5.."}').matches({"status": "503"})
        True
        """
        whole = _SELECTOR.fullmatch(text)
        if whole is None:
            raise ValueError(f'expected a metric such as http_requests_total{{status=~"5.."}}, got {text!r}')
        inside, at, matchers = whole[2] or "", 0, []
        while inside[at:].strip():
            found = _MATCHER.match(inside, at)
            if found is None:
                raise ValueError(f'expected label matchers such as status=~"5..", got {inside[at:].strip()!r}')
            matchers.append((found[1], found[2], _unquoted(found[3])))
            at = found.end()
        for _, operator, value in matchers:
            if operator.endswith("~"):
                _compiled(value)
        return cls(whole[1], tuple(matchers))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of this name with these labels is meant."""
        return all(_TESTS[operator](value, labels.get(label, "")) for label, operator, value in self.matchers)


def _unquoted(quoted: str) -> str:
    named = {"n": "\n", "t": "\t"}
    return re.sub(r"\\(.)", lambda found: named.get(found[1], found[1]), quoted[1:-1], flags=re.DOTALL)


def _compiled(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression, got {pattern!r}: {error}") from error


# --- one page ---------------------------------------------------------------------------------------------------------

Series = Mapping[tuple[tuple[str, str], ...], float]


@dataclass(frozen=True, slots=True)
class Page:
    """What one scrape said about the metrics we look at, and when, on the monotonic clock."""

    at: float
    series: Mapping[str, Series] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()

    def select(self, selector: Selector, suffix: str = "") -> Series:
        """The series a selector means."""
        found = self.series.get(selector.name + suffix, {})
        return {labels: value for labels, value in found.items() if selector.matches(dict(labels))}

    def missing(self, selector: Selector, suffix: str = "") -> str:
        """Why this page cannot say anything about a selector, or nothing.

        A series that has not happened yet is fine (no error so far); a name or a label that nobody knows is a mistake
        that must not look like "no errors".
        """
        found = self.series.get(selector.name + suffix, {})
        if not found and selector.name not in self.declared:
            return f"no metric named {selector.name}{suffix}"
        known = {label for labels in found for label, _ in labels}
        unknown = sorted({label for label, _, _ in selector.matchers} - known) if found else []
        return f"no series of {selector.name}{suffix} has the label {unknown[0]}" if unknown else ""


class _Numbered:
    """Lines that remember how far the parser has read."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number += 1
            yield line

    @property
    def line(self) -> str:
        """The line that was read last."""
        return self._lines[self.number - 1].strip() if self.number else ""


def _families(lines: _Numbered, content_type: str) -> Iterator[Metric]:
    parse: Callable[[Iterable[str]], Iterable[Metric]] = cast(Any, parser.text_fd_to_metric_families)
    if content_type.startswith("application/openmetrics-text"):
        from prometheus_client.openmetrics import parser as openmetrics

        parse = cast(Any, openmetrics.text_fd_to_metric_families)
    return iter(parse(lines))


def parse_page(text: str, names: Iterable[str], at: float, content_type: str = "text/plain") -> Page:
    """The series with these names on a page of metrics.

    Raises:
        ValueError: it isn't a page of metrics; the text names the line.
    """
    wanted, lines = set(names), _Numbered(text)
    series: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    declared: set[str] = set()
    families = _families(lines, content_type)
    while True:
        try:
            family = next(families)
        except StopIteration:
            return Page(at, series, frozenset(declared))
        except Exception as error:  # the parser raises whatever its string handling does on odd lines
            shown = lines.line if len(lines.line) <= 60 else lines.line[:59] + "…"
            raise ValueError(f"line {lines.number} is not a metric: {shown!r}") from error
        counter = family.type == "counter"
        declared |= {family.name, f"{family.name}_total"} if counter else {family.name}
        for sample in family.samples:
            # The parser gives every counter the suffix, also one whose app does without.
            bare = sample.name.removesuffix("_total") if counter else sample.name
            for name in {sample.name, bare} & wanted:
                if (value := _number(sample.value)) is not None:
                    series.setdefault(name, {})[tuple(sorted(sample.labels.items()))] = value


def _number(value: float) -> float | None:
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


# --- what two pages say together --------------------------------------------------------------------------------------


def increases(before: Series, after: Series) -> dict[tuple[tuple[str, str], ...], float]:
    """How much each series has grown; one that fell, or is new, has grown from zero."""
    return {
        labels: value - before.get(labels, 0.0) if value >= before.get(labels, 0.0) else value
        for labels, value in after.items()
    }


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """The q-quantile of a histogram of cumulative counts by upper bound, as Prometheus' `histogram_quantile`.

    Linear within a bucket; the first bucket begins at 0 if its bound is above 0; a rank in the `+Inf` bucket gives the
    highest finite bound. None without observations or without a `+Inf` bucket.

    >>> quantile(0.5, {0.1: 4.0, 0.5: 8.0, float("inf"): 10.0})  # rank 5: a quarter of the way from 0.1 to 0.5
    0.2
    """
    bounds = sorted(buckets)
    if len(bounds) < 2 or bounds[-1] != math.inf:
        return None
    counts, highest = [], 0.0
    for bound in bounds:  # buckets are read one after the other, so a later one can lag behind
        highest = max(highest, buckets[bound])
        counts.append(highest)
    if counts[-1] <= 0:
        return None
    rank = q * counts[-1]
    here = next(index for index, count in enumerate(counts) if count >= rank)
    if here == len(bounds) - 1:
        return bounds[-2]
    if here == 0 and bounds[0] <= 0:
        return bounds[0]
    start, below = (bounds[here - 1], counts[here - 1]) if here else (0.0, 0.0)
    inside = counts[here] - below
    return start + (bounds[here] - start) * ((rank - below) / inside) if inside else bounds[here]
