"""Who may do what. A write from a web page, from a stranger's host name or without the right token goes no further."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request

from monitor.config import Config
from monitor.web._watch import Watch

ROLES = ("read", "ingest", "operate", "admin")
BODY_SECONDS = 30.0
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(eq=False)  # not frozen: an exception is given its traceback on its way
class Refused(Exception):
    """A request that goes no further: an HTTP status, and words for whoever sent it."""

    status: int
    message: str
    reason: str


def is_loopback(address: str) -> bool:
    """Whether a `host:port` is only reached from this machine.

    >>> is_loopback("127.0.0.1:9877"), is_loopback("0.0.0.0:9877")
    (True, False)
    """
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def asks_token(config: Config, role: str) -> bool:
    """Whether somebody needs a token to do what a role may."""
    if config.auth.none or not config.auth.tokens:
        return False
    return role != "read" or not is_loopback(config.listen)


def authorise(request: Request, watch: Watch, role: str) -> None:
    """Let a request pass, or say why not.

    Raises:
        Refused: it may not do this.
    """
    config = watch.loaded.config
    write = role != "read"
    if write:
        _refuse_web_pages(request, watch)
    if config.auth.none:
        return
    if config.auth.tokens:
        if asks_token(config, role):
            _check_token(request, watch, role)
        return
    if write and not _is_ours(request.headers.get("host", ""), config.listen):
        raise Refused(403, "expected a Host header that names this machine", "foreign_host")
    if role == "operate" and not watch.demo and any(model.retraining for _, model in config.models()):
        raise Refused(
            403, "expected a token: configure auth.tokens, for a retraining can be asked for here", "no_token"
        )


def authorise_names(request: Request, watch: Watch) -> None:
    """Let pass who may read what groups of people are called: nobody without a token, wherever the request comes from.

    Raises:
        Refused: it may not do this.
    """
    if not watch.loaded.config.auth.tokens:
        raise Refused(403, "expected a token: configure auth.tokens, for names are kept behind one", "no_token")
    _check_token(request, watch, "read")


def _refuse_web_pages(request: Request, watch: Watch) -> None:
    """A browser says where a page came from; our own pages write nothing."""
    origin = request.headers.get("origin")
    if origin is not None and not _is_ours(origin.partition("://")[2], watch.loaded.config.listen):
        raise Refused(403, "expected no request from another site's page", "cross_site")
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refused(403, "expected no request from another site's page", "cross_site")


def _is_ours(netloc: str, listen: str) -> bool:
    try:
        host = urlsplit(f"//{netloc}").hostname or ""
    except ValueError:  # brackets that do not close
        return False
    return host in (*LOCAL_NAMES, listen.rpartition(":")[0].strip("[]"))


def _check_token(request: Request, watch: Watch, role: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Refused(401, "expected the header Authorization: Bearer <token>", "no_token")
    for token in watch.loaded.config.auth.tokens:
        try:
            known = token.token.reveal()
        except (OSError, ValueError):
            continue
        if hmac.compare_digest(known.encode(), given.strip().encode()):
            if ROLES.index(token.role) < ROLES.index(role):
                raise Refused(403, f"expected a token of the role {role} or above, got {token.role}", "weak_token")
            return
    raise Refused(401, "expected a token that is configured", "unknown_token")


def content_type(request: Request, allowed: tuple[str, ...]) -> str:
    """The declared content type.

    Raises:
        Refused: none is declared, or none of those allowed. (A form or plain text is what a web page can send unasked.)
    """
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared not in allowed:
        raise Refused(
            415, f"expected the content type {' or '.join(allowed)}, got {declared or 'none'}", "content_type"
        )
    return declared


class Room:
    """What bodies may take of memory, all of them together, from their first byte until their request is answered."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._door = threading.Lock()  # large bodies are unpacked beside the loop

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """What is called with the bytes that are taken; they are given back at the end.

        Raises:
            Refused: there is no room for more (by what is called).
        """
        held = 0

        def take(size: int) -> None:
            nonlocal held
            with self._door:
                if size > self._left:
                    raise Refused(503, "expected less to come at once; send it again", "too_much_at_once")
                self._left -= size
                held += size

        try:
            yield take
        finally:
            with self._door:
                self._left += held


async def limited_body(request: Request, limit: int, take: Callable[[int], None]) -> bytes:
    """The body, at most `limit` bytes of it, for each part of which room is taken.

    Raises:
        Refused: it is longer, there is no room for it, or it does not come: who has gone without a word holds no room.
        ClientDisconnect: whoever sends it has gone.
    """
    # Most come whole with their head: those are spared the timer.
    body, more = await _part(request)
    _take(len(body), len(body), limit, take)
    if not more:
        return body
    parts, size = [body], len(body)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                part, more = await _part(request)
                size += len(part)
                _take(len(part), size, limit, take)
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"expected the whole body within {BODY_SECONDS:g} s", "too_slow") from None
    return b"".join(parts)


async def _part(request: Request) -> tuple[bytes, bool]:
    """The next of a body, and whether there is more."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _take(more: int, size: int, limit: int, take: Callable[[int], None]) -> None:
    if size > limit:
        raise Refused(413, f"expected a body of at most {limit} bytes", "too_large")
    take(more)
