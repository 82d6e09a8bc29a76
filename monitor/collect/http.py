"""A look at the app from outside: one HTTP request, timed by phase, and what its answer must be.

The app is up when it answers in time and as expected; anything else is evidence against it, an unreachable port
included. Redirects are not followed and proxies not used: the probe looks at this address and no other.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator
from requests.utils import requote_uri

from monitor import options as configured
from monitor import transport
from monitor.collect._expectation import Expectation
from monitor.records import Family, Reading, Sample, Verdict

SECTION = "probes"
BODY_LIMIT = 1024 * 1024

UP = Family(
    "anchorwatch_app_up", "gauge", "Whether the app answered the probe in time and as expected.", ("app", "probe")
)
DURATION = Family(
    "anchorwatch_app_probe_duration_seconds",
    "gauge",
    "How long the phases of the last probe took: resolve, connect, tls, processing, transfer.",
    ("app", "probe", "phase"),
)
STATUS_CODE = Family(
    "anchorwatch_app_probe_status_code", "gauge", "The HTTP status code of the last probe's answer.", ("app", "probe")
)
CERTIFICATE_EXPIRY = Family(
    "anchorwatch_app_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate the app presented expires, in Unix seconds.",
    ("app", "probe"),
)
FAMILIES = (UP, DURATION, STATUS_CODE, CERTIFICATE_EXPIRY)


# --- options ----------------------------------------------------------------------------------------------------------


def _method(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]+", value):
        raise ValueError(f"expected a method such as GET or POST, got {value!r}")
    return value.upper()


class Options(configured.Options):
    """What to ask, how long to wait and what to expect."""

    url: transport.Url = Field(repr=False)
    method: Annotated[str, AfterValidator(_method)] = "GET"
    headers: transport.Headers = Field(default_factory=dict)
    body: str | None = None
    json_body: Any = Field(None, alias="json")
    timeout: transport.Timeout = 5.0
    expect: Expectation = Expectation()

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.has_json:
            raise ValueError("expected either body or json, got both")
        return self

    @property
    def has_json(self) -> bool:
        """Whether a JSON body is sent (null is one)."""
        return "json_body" in self.model_fields_set


# --- the look ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Look:
    """What one request has shown so far; it is filled while it runs, so that a failure keeps what came before."""

    phases: dict[str, float]
    certificate_expires_at: float | None = None
    status: int | None = None
    body: bytes = b""
    cut_off: str = ""
    too_long: bool = False

    @contextmanager
    def timing(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.phases[phase] = time.perf_counter() - start


def _connect(addresses: list[transport.Address], deadline: transport.Deadline) -> socket.socket:
    """A connection to the first address that takes one, each given its share of the time left."""
    failure: OSError = ConnectionRefusedError()
    for left, (family, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(deadline.remaining_seconds() / left)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            deadline.guard(connection)
            connection.settimeout(deadline.remaining_seconds())
            return connection
    raise failure


def _secured(plain: socket.socket, host: str, look: _Look) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=transport.ca_bundle())
    secured = context.wrap_socket(plain, server_hostname=host)
    certificate = secured.getpeercert() or {}
    look.certificate_expires_at = float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
    return secured


def _request_headers(options: Options, userinfo: str) -> dict[str, str]:
    headers = {"User-Agent": "anchorwatch", "Accept": "*/*", "Connection": "close"}
    if userinfo:
        user, _, password = userinfo.partition(":")
        headers["Authorization"] = f"Basic {b64encode(f'{unquote(user)}:{unquote(password)}'.encode()).decode()}"
    if options.has_json:
        headers["Content-Type"] = "application/json"
    given = transport.reveal_headers(options.headers)
    replaced = {name.lower() for name in given}
    return {name: value for name, value in headers.items() if name.lower() not in replaced} | given


def _send(connection: http.client.HTTPConnection, options: Options) -> None:
    parts = urlsplit(requote_uri(options.url))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    text = json.dumps(options.json_body) if options.has_json else options.body
    headers = _request_headers(options, parts.netloc.rpartition("@")[0])
    try:
        connection.request(options.method, target, text.encode() if text is not None else None, headers)
        return
    except ValueError:  # its text quotes what it refuses
        reason = f"{transport.where(options.url)}: a header holds what HTTP does not allow"
    raise transport.Unusable(reason)


def _ask(options: Options, look: _Look, deadline: transport.Deadline) -> None:
    scheme, host, port = transport.split_url(options.url)
    with look.timing("resolve"):
        addresses = transport.resolve(host, port, deadline)
    with look.timing("connect"):
        connected = _connect(addresses, deadline)
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port)
    connection.sock = connected
    try:
        if scheme == "https":
            with look.timing("tls"):
                connection.sock = _secured(connected, host, look)
        with look.timing("processing"):
            _send(connection, options)
            answer = connection.getresponse()
            if deadline.expired:
                raise TimeoutError  # headers that we cut off look like headers that ended
        look.status = answer.status
        with answer, look.timing("transfer"):
            _read(answer, look, deadline)
    finally:
        connection.close()
        connected.close()


def _read(answer: http.client.HTTPResponse, look: _Look, deadline: transport.Deadline) -> None:
    try:
        body = answer.read(BODY_LIMIT + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        look.cut_off = transport.explain(error, deadline)
        return
    look.body, look.too_long = body[:BODY_LIMIT], len(body) > BODY_LIMIT
    if look.too_long:
        return
    if deadline.expired:
        look.cut_off = f"timed out after {deadline.seconds:g} s"
    elif answer.length:  # what was promised and has not come
        look.cut_off = "connection cut"


class Collector:
    """Asks once per look, on a connection of its own."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def collect(self) -> Reading:
        """Ask now; what the peer does wrong, silence included, is a breach.

        Raises:
            Unusable: a header holds what HTTP does not allow.
        """
        options, look = self._options, _Look({})
        with transport.Deadline(options.timeout) as deadline:
            try:
                _ask(options, look, deadline)
            except (OSError, http.client.HTTPException) as error:
                reason = f"{transport.where(options.url)}: {transport.explain(error, deadline)}"
            else:
                assert look.status is not None
                complaint = options.expect.complaint
                reason = complaint(look.status, look.body, cut_off=look.cut_off, too_long=look.too_long)
        return Reading(Verdict.BREACHED if reason else Verdict.OK, reason, tuple(_samples(look, up=not reason)))

    def close(self) -> None:
        """Nothing is held between looks."""


def _samples(look: _Look, *, up: bool) -> Iterator[Sample]:
    yield Sample(UP.name, {}, float(up))
    for phase, seconds in look.phases.items():
        yield Sample(DURATION.name, {"phase": phase}, seconds)
    if look.status is not None:
        yield Sample(STATUS_CODE.name, {}, float(look.status))
    if look.certificate_expires_at is not None and math.isfinite(look.certificate_expires_at):
        yield Sample(CERTIFICATE_EXPIRY.name, {}, look.certificate_expires_at)
