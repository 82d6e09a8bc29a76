"""A stand-in for the daemon on a real socket: takes what it is sent, once each, and tells what it has."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from monitor.client import Client, Limits
from tests.e2e.daemon import eventually
from tests.servers import Behaviour, Handler, Seen, Server, answer

QUICK = Limits(delay_seconds=0.01, longest_pause_seconds=0.05, timeout_seconds=0.5)


def records(seen: Seen) -> list[dict[str, Any]]:
    """The records of one request, whether it was compressed or not."""
    body = gzip.decompress(seen.body) if seen.headers.get("content-encoding") == "gzip" else seen.body
    found: list[dict[str, Any]] = json.loads(body)
    return found


def taking(*, rejecting: str | None = None, reason: str = "features: expected no such thing, got 7") -> Behaviour:
    """Answers as the daemon does; records with this event id are rejected."""

    def behave(handler: Handler) -> None:
        with handler.server._lock:
            seen = handler.server.seen[-1]
        sent = records(seen)
        rejected = [
            {"index": place, "reason": reason} for place, row in enumerate(sent) if row["event_id"] == rejecting
        ]
        body = json.dumps({"accepted": len(sent) - len(rejected), "rejected": rejected})
        answer(422 if len(rejected) == len(sent) else 202, body, content_type="application/json")(handler)

    return behave


def arrived(server: Server, kind: str = "predictions", requests: slice = slice(None)) -> list[str]:
    """The event ids of all requests, in the order they came in."""
    return [row["event_id"] for seen in server.seen[requests] if seen.path == f"/v1/{kind}" for row in records(seen)]


def log(client: Client, ids: Iterable[object]) -> list[str]:
    """Log a small prediction for each id."""
    return [client.log_prediction("demand", event_id, {"temp": 0.5}, 1.0) for event_id in ids]


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"e{number}" for number in range(first, first + count)]


def await_stats(client: Client, **expected: Any) -> None:
    eventually(
        lambda: {name: getattr(client.stats(), name) for name in expected} == expected,
        f"{expected} in {client.stats()}",
        15,
        0.01,
    )


@contextmanager
def serving_on(port: int, *behaviours: Behaviour) -> Iterator[Server]:
    """A server that comes up, only now, where somebody has been asking for it."""
    server = Server(behaviours)
    server.server_close()
    server.socket = socket.create_server(("127.0.0.1", port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def threads() -> list[threading.Thread]:
    """The sending threads of this process."""
    return [thread for thread in threading.enumerate() if thread.name == "anchorwatch-client"]
