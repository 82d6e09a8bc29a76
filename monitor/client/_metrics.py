"""What the middleware has counted, as a page of Prometheus' text format 0.0.4."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from monitor.client import _fork
from monitor.client._client import Client

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
MOST_HANDLERS = 100
OTHER = "other"


class RequestMetrics:
    """Requests, their latency and those under way, in this process. Labels are bounded whatever is asked for.

    Args:
        buckets: upper bounds of the latency histogram in seconds, rising.

    >>> metrics = RequestMetrics()
    >>> metrics.end(metrics.begin(), "GET", "/items/{id}", "200")
    >>> 'http_requests_total{method="GET",handler="/items/{id}",status="200"} 1' in metrics.page()
    True
    """

    def __init__(self, buckets: Sequence[float] = BUCKETS) -> None:
        if not buckets or list(buckets) != sorted(set(buckets)):
            raise ValueError("buckets: expected bounds in seconds, each above the one before")
        self._buckets = tuple(map(float, buckets))
        self.begin_anew()
        _fork.remember(self)

    def begin_anew(self) -> None:
        """Count from zero; a forked child does."""
        # Reentrant: a finaliser may close a response, and so end a request, while its own thread holds this.
        self._lock = threading.RLock()
        self._requests: dict[tuple[str, str, str], int] = {}
        self._durations: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}
        self._handlers: set[str] = set()
        self._in_flight = 0

    def begin(self) -> float:
        """A request has come; returns when, for `end`."""
        with self._lock:
            self._in_flight += 1
        return time.perf_counter()

    def end(self, begun: float, method: str, handler: str | None, status: str) -> None:
        """A request is over.

        Args:
            begun: what `begin` returned.
            method: as asked; one that is not known is `other`.
            handler: the route's template; None, or one more than a hundred, is `other`.
            status: three digits; anything else is `other`.
        """
        seconds = time.perf_counter() - begun
        method = method if method in METHODS else OTHER
        status = status if len(status) == 3 and status.isdecimal() and status.isascii() else OTHER
        with self._lock:
            self._in_flight = max(0, self._in_flight - 1)  # a child may end what its parent began
            handler = self._known(handler)
            key = (method, handler)
            self._requests[*key, status] = self._requests.get((*key, status), 0) + 1
            counts = self._durations.setdefault(key, [0] * (len(self._buckets) + 1))
            counts[bisect_left(self._buckets, seconds)] += 1
            self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def page(self, client: Client | None = None) -> str:
        """The page, with the client's own counts if it is given."""
        return "\n".join([*self._lines(), *(() if client is None else _client_lines(client)), ""])

    def _known(self, handler: str | None) -> str:
        if handler is None or (handler not in self._handlers and len(self._handlers) >= MOST_HANDLERS):
            return OTHER
        self._handlers.add(handler)
        return handler

    def _lines(self) -> Iterator[str]:
        with self._lock:
            requests, seconds, in_flight = dict(self._requests), dict(self._seconds), self._in_flight
            durations = {key: list(counts) for key, counts in self._durations.items()}
        yield from _head("http_requests_total", "counter", "Requests answered.")
        for (method, handler, status), count in sorted(requests.items()):
            yield _sample("http_requests_total", {"method": method, "handler": handler, "status": status}, count)
        name = "http_request_duration_seconds"
        yield from _head(name, "histogram", "Time from the request to the end of its response.")
        for key, counts in sorted(durations.items()):
            labels, total = {"method": key[0], "handler": key[1]}, sum(counts)
            for bound, count in zip((*map(repr, self._buckets), "+Inf"), accumulate(counts), strict=True):
                yield _sample(f"{name}_bucket", {**labels, "le": bound}, count)
            yield _sample(f"{name}_count", labels, total)
            yield _sample(f"{name}_sum", labels, seconds[key])
        yield from _family("http_requests_in_flight", "gauge", "Requests under way.", [({}, in_flight)])


def _client_lines(client: Client) -> Iterator[str]:
    stats = client.stats()
    outcomes = {
        "accepted": stats.accepted,
        "rejected": sum(stats.rejected.values()),
        "dropped": sum(stats.dropped.values()),
    }
    yield from _family(
        "anchorwatch_client_records_total",
        "counter",
        "Predictions and labels by what became of them.",
        [({"outcome": outcome}, count) for outcome, count in outcomes.items()],
    )
    yield from _family(
        "anchorwatch_client_dropped_records_total",
        "counter",
        "Predictions and labels that never reached Anchorwatch, by reason.",
        [({"reason": reason}, count) for reason, count in sorted(stats.dropped.items())],
    )
    help_text = "Pauses before a request to Anchorwatch was tried again."
    yield from _family("anchorwatch_client_retries_total", "counter", help_text, [({}, stats.retries)])
    help_text = "Predictions and labels that are queued or under way."
    yield from _family("anchorwatch_client_waiting_records", "gauge", help_text, [({}, stats.waiting)])
    help_text = "Bytes of predictions and labels that are queued or under way."
    yield from _family("anchorwatch_client_waiting_bytes", "gauge", help_text, [({}, stats.waiting_bytes)])


def _family(name: str, kind: str, help_text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Iterator[str]:
    yield from _head(name, kind, help_text)
    for labels, value in samples:
        yield _sample(name, labels, value)


def _head(name: str, kind: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def _escaped(text: str) -> str:
    r"""A label's value as the format wants it.

    >>> print(_escaped('a "b"\n'))
    a \"b\"\n
    """
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
