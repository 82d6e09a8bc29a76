"""A reading of the metrics the app exposes itself: request rate, error ratio and latency between two scrapes.

The rates are over the real time between two answered scrapes. A counter that fell has started again from zero, and a
series that was not there before has grown from zero. Without traffic the rate is 0 and there is no error ratio and no
latency: no requests are no evidence.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from monitor import options as configured
from monitor import transport
from monitor.collect._exposition import Page, Selector, Series, increases, parse_page, quantile
from monitor.records import Family, Reading, Sample, Verdict

SECTION = "scrape"
BODY_LIMIT = 16 * 1024 * 1024
PERCENTILES = (50, 95, 99)

REQUESTS = Family(
    "anchorwatch_app_requests_per_second", "gauge", "Requests a second between the last two scrapes.", ("app",)
)
ERRORS = Family(
    "anchorwatch_app_error_ratio", "gauge", "Share of the requests that failed between the last two scrapes.", ("app",)
)
LATENCY = Family(
    "anchorwatch_app_latency_seconds",
    "gauge",
    "Percentiles of the latency between the last two scrapes, interpolated within the app's own buckets.",
    ("app", "percentile"),
)
LATENCY_MEAN = Family(
    "anchorwatch_app_latency_mean_seconds", "gauge", "Mean latency between the last two scrapes.", ("app",)
)
FAMILIES = (REQUESTS, ERRORS, LATENCY, LATENCY_MEAN)


def _selector(text: str) -> str:
    Selector.parse(text)
    return text


def _histogram(text: str) -> str:
    name = Selector.parse(text).name
    if name.endswith(("_bucket", "_sum", "_count")):
        raise ValueError(f"expected the histogram's name without _bucket, _sum or _count, got {name!r}")
    if name.endswith(("_milliseconds", "_millis", "_ms")):
        raise ValueError(f"expected a histogram in seconds, got {name!r}")
    return text


class Options(configured.Options):
    """Where the app's metrics are and which of them say what. What isn't named isn't computed."""

    url: transport.Url = Field(repr=False)
    requests: Annotated[str, AfterValidator(_selector)] | None = None
    errors: Annotated[str, AfterValidator(_selector)] | None = None
    latency: Annotated[str, AfterValidator(_histogram)] | None = None
    timeout: transport.Timeout = 5.0

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.requests is None and self.latency is None:
            raise ValueError("expected at least one of requests and latency, got neither")
        if self.errors is not None and self.requests is None:
            raise ValueError("errors: expected requests beside it, got none (the ratio is errors to requests)")
        return self


@dataclass(frozen=True, slots=True)
class Question:
    """What to compute; a selector that is None is not asked for."""

    requests: Selector | None
    errors: Selector | None
    latency: Selector | None

    @property
    def names(self) -> set[str]:
        """Every metric name that is needed."""
        names = {selector.name for selector in (self.requests, self.errors) if selector is not None}
        if self.latency is not None:
            names |= {self.latency.name + suffix for suffix in ("_bucket", "_sum", "_count")}
        return names

    def missing(self, page: Page) -> list[str]:
        """What the page does not have of it."""
        asked = [(self.requests, ""), (self.errors, ""), (self.latency, "_bucket")]
        return [text for selector, suffix in asked if selector and (text := page.missing(selector, suffix))]

    def answer(self, before: Page, after: Page) -> Iterator[Sample]:
        """The samples two pages give; what cannot be said is left out."""
        elapsed_seconds = after.at - before.at

        def grown(selector: Selector | None, suffix: str = "") -> float | None:
            if selector is None or after.missing(selector, suffix):
                return None
            return sum(increases(before.select(selector, suffix), after.select(selector, suffix)).values())

        requests, errors = grown(self.requests), grown(self.errors)
        if requests is not None:
            yield Sample(REQUESTS.name, {}, requests / elapsed_seconds)
        if requests and errors is not None:
            yield Sample(ERRORS.name, {}, min(errors / requests, 1.0))
        total, observed = grown(self.latency, "_sum"), grown(self.latency, "_count")
        if observed and total is not None:
            yield Sample(LATENCY_MEAN.name, {}, total / observed)
        if self.latency is not None:
            yield from _percentiles(before.select(self.latency, "_bucket"), after.select(self.latency, "_bucket"))


def _percentiles(before: Series, after: Series) -> Iterator[Sample]:
    buckets: dict[float, float] = {}
    for labels, grown in increases(before, after).items():
        bound = _bound(dict(labels).get("le", ""))
        if bound is not None:
            buckets[bound] = buckets.get(bound, 0.0) + grown
    for percentile in PERCENTILES:
        value = quantile(percentile / 100, buckets)
        if value is not None:
            yield Sample(LATENCY.name, {"percentile": str(percentile)}, value)


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class Collector:
    """Remembers the page of the last scrape that was answered."""

    def __init__(self, options: Options) -> None:
        self._options = options
        asked = (options.requests, options.errors, options.latency)
        self._question = Question(*(None if text is None else Selector.parse(text) for text in asked))
        self._before: Page | None = None

    def collect(self) -> Reading:
        """Scrape now; what cannot be read or has no rate yet is no data, with the reason."""
        try:
            page = self._scrape()
        except (transport.NoAnswer, ValueError) as error:
            return Reading(Verdict.NO_DATA, str(error))
        before, self._before = self._before, page
        place = transport.where(self._options.url)
        if missing := self._question.missing(page):
            reason = f"{place}: {'; '.join(missing)}"
        elif before is None or page.at <= before.at:
            reason = f"{place}: first scrape, rates need a second one"
        else:
            reason = ""
        samples = tuple(self._question.answer(before, page)) if before is not None and page.at > before.at else ()
        return Reading(Verdict.NO_DATA if reason else Verdict.OK, reason, samples)

    def close(self) -> None:
        """Nothing is held open between looks."""

    def _scrape(self) -> Page:
        place = transport.where(self._options.url)
        request = transport.Request("GET", self._options.url, {"Accept": "text/plain;version=0.0.4"})
        answer = transport.exchange(request, timeout_seconds=self._options.timeout, body_limit=BODY_LIMIT)
        at = time.monotonic()
        if answer.status != 200:
            raise transport.NoAnswer(f"{place}: expected status 200, got {answer.status}")
        if answer.incomplete:
            raise transport.NoAnswer(f"{place}: expected a whole page of metrics, got a part: {answer.incomplete}")
        text = answer.body.decode("utf-8", "replace")
        try:
            return parse_page(text, self._question.names, at, answer.headers.get("content-type", ""))
        except ValueError as error:
            raise transport.NoAnswer(f"{place}: {error}") from error
