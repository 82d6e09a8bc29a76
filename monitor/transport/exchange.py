"""One request and its answer, on a connection of its own and within one deadline."""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from monitor.transport.address import Unusable, split_url, where
from monitor.transport.deadline import Deadline, explain, resolve

BODY_LIMIT = 64 * 1024
_CHUNK = 16 * 1024


class NoAnswer(Exception):
    """No answer came (in time): the text says why and names only scheme, host and port."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to be sent. Only its method shows in a repr: URL, headers and body may hold secrets."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What the peer answered. Header names are lower case; `incomplete` says why the body is not whole ("": it is)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    incomplete: str = ""


def ca_bundle() -> str:
    """The file of certificates we trust: REQUESTS_CA_BUNDLE, else CURL_CA_BUNDLE, else Mozilla's."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _proxies(url: str, host: str) -> dict[str, str]:
    return {} if _is_loopback(host) else dict(requests.utils.get_environ_proxies(url))


class _Guarded:
    """Hands a new connection's socket to the deadline, before anything is said on it."""

    def __init__(self, *args: Any, deadline: Deadline, **kwargs: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **kwargs)

    def _new_conn(self) -> socket.socket:
        connected = cast(socket.socket, super()._new_conn())  # type: ignore[misc]
        self._deadline.guard(connected)
        return connected


class _GuardedHTTP(_Guarded, HTTPConnection):
    pass


class _GuardedHTTPS(_Guarded, HTTPSConnection):
    pass


class _Adapter(HTTPAdapter):
    """Below a session on purpose: that would follow redirects, read ~/.netrc and keep cookies."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        for plain, guarded in ((HTTPConnection, _GuardedHTTP), (HTTPSConnection, _GuardedHTTPS)):
            if pool.ConnectionCls is plain:  # a SOCKS proxy brings its own, which we leave alone
                pool.ConnectionCls = partial(guarded, deadline=self._deadline)
        return pool


def _prepared(request: Request) -> requests.PreparedRequest:
    headers = {"User-Agent": "anchorwatch", "Accept": "*/*", "Accept-Encoding": "identity", **request.headers}
    try:
        for value in headers.values():
            value.encode("latin-1")
        return requests.Request(request.method, request.url, headers=headers, data=request.body or None).prepare()
    except (requests.RequestException, ValueError):  # their texts quote what they refuse
        reason = f"{where(request.url)}: a header or the url holds what HTTP does not allow"
    raise Unusable(reason)


def _read(answer: requests.Response, deadline: Deadline, limit: int) -> tuple[bytes, str]:
    """The body, and why it is not whole. The status has been seen, so nothing here can undo it."""
    body = bytearray()
    try:
        for chunk in answer.iter_content(_CHUNK):
            body += chunk
            if len(body) > limit:
                return bytes(body[:limit]), f"longer than {limit // 1024} KiB"
    except (requests.RequestException, HTTPError, OSError, http.client.HTTPException) as error:
        return bytes(body), explain(error, deadline)
    # A body without a length ends when the connection does, also when it was we who cut it.
    return bytes(body), f"timed out after {deadline.seconds:g} s" if deadline.expired else ""


def _ask(request: Request, deadline: Deadline, limit: int) -> Response:
    _, host, port = split_url(request.url)
    prepared = _prepared(request)
    proxies = _proxies(request.url, host)
    addresses = 1 if proxies else len(resolve(host, port, deadline))
    timeout = (deadline.remaining_seconds() / addresses, deadline.remaining_seconds())  # connecting tries one by one
    adapter = _Adapter(deadline)
    try:
        answer = adapter.send(prepared, stream=True, timeout=timeout, verify=ca_bundle(), proxies=proxies)
        with answer:
            if deadline.expired:
                raise TimeoutError  # headers that we cut off look like headers that ended
            body, incomplete = _read(answer, deadline, limit)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, headers, body, incomplete)
    finally:
        adapter.close()


def exchange(request: Request, *, timeout_seconds: float, body_limit: int = BODY_LIMIT) -> Response:
    """Send one request on a connection of its own and read the answer, whatever its status.

    Redirects are not followed. Proxies from the environment apply, except to loopback. `timeout_seconds` is real time
    and bounds everything together; at most `body_limit` bytes of the body are kept.

    Raises:
        NoAnswer: no status came in time.
        Unusable: URL or headers cannot be sent.
    """
    place = where(request.url)
    with Deadline(timeout_seconds) as deadline:
        try:
            return _ask(request, deadline, body_limit)
        except (requests.RequestException, HTTPError, OSError, http.client.HTTPException) as error:
            reason = explain(error, deadline)
    raise NoAnswer(f"{place}: {reason}")  # out here, so that no error with the URL in it hangs on as its context
