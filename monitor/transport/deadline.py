"""One deadline in real time for everything that happens on a socket, name look-up included, and why it failed."""

from __future__ import annotations

import http.client
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import requests
import urllib3.exceptions


class Deadline:
    """A point in real time at which every guarded socket is cut, whatever it is doing.

    A socket timeout bounds one read, so a peer that drips a byte now and then holds it open for ever. This bounds the
    whole: the duplicate of the socket's descriptor is shut down from a timer, which ends a read in any layer above it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds
        self._guards: list[socket.socket] = []
        self._timer: threading.Timer | None = None

    def remaining_seconds(self) -> float:
        """Real seconds left, never less than a millisecond (a socket timeout of 0 would mean: don't block)."""
        return max(self._at - time.monotonic(), 0.001)

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._at

    def guard(self, connected: socket.socket) -> None:
        """Cut this plain (not yet TLS) socket when the time is up."""
        self._guards.append(connected.dup())
        if self._timer is None:
            self._timer = threading.Timer(self.remaining_seconds(), self._cut)
            self._timer.daemon = True
            self._timer.start()

    def _cut(self) -> None:
        for guard in self._guards:
            try:
                guard.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the peer was faster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # so that no descriptor is closed under the timer's hands
        for guard in self._guards:
            guard.close()


Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def resolve(host: str, port: int, deadline: Deadline) -> list[Address]:
    """The addresses of a host, IPv6 and IPv4, in the order to try them.

    The system's resolver cannot be interrupted, so it runs in a thread that is left behind when it takes too long.

    Raises:
        OSError: the name is not known, or not in time.
    """
    answer: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer.put(error if isinstance(error, OSError) else socket.gaierror("not a host name"))
        else:
            answer.put([(family, address) for family, _, _, _, address in found])

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        result = answer.get(timeout=deadline.remaining_seconds())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(result, OSError):
        raise result
    return result


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything it wraps, in whichever way."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [*found.args, getattr(found, "reason", None), found.__cause__, found.__context__]


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.ProxyError, "the proxy from the environment did not answer"),
    (socket.gaierror, "host name not found"),
    (ConnectionRefusedError, "connection refused"),
    (ssl.SSLEOFError, "connection cut"),
    (ssl.SSLError, "TLS handshake failed"),
    (ConnectionError, "connection cut"),
    (http.client.IncompleteRead, "connection cut"),
    (urllib3.exceptions.IncompleteRead, "connection cut"),
    (urllib3.exceptions.DecodeError, "the body is not encoded as its headers say"),
    (http.client.HTTPException, "the answer is not HTTP"),
    (urllib3.exceptions.ProtocolError, "the answer is not HTTP"),
    (urllib3.exceptions.InvalidHeader, "the answer is not HTTP"),
)


def explain(error: BaseException, deadline: Deadline) -> str:
    """Why an exchange failed, in words that hold nothing of the request: no URL, no header."""
    causes = list(_causes(error))
    if deadline.expired or any(isinstance(cause, TimeoutError | requests.Timeout) for cause in causes):
        return f"timed out after {deadline.seconds:g} s"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS certificate not accepted: {cause.verify_message}"
    for kind, text in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return text
    codes = [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno]
    return os.strerror(codes[0]).lower() if codes else "connection failed"
