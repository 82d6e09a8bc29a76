"""One request to the daemon, and what its answer means for the records in it."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from enum import Enum
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from monitor.client._limits import Limits

CONNECT_SECONDS = 2.0
LATER = (408, 429, 502, 503, 504)  # it was no fault of the request's
ANSWER_BYTES = 4 * 1024 * 1024
REASON_CHARACTERS = 120
LONGEST_RETRY_AFTER_SECONDS = 300.0
GZIP_ABOVE_BYTES = 16 * 1024


class Verdict(Enum):
    """What is to be done with the records of a request."""

    TAKEN = "taken"
    LATER = "later"  # as often as it takes
    FAILED = "failed"  # the daemon failed on them: some more times
    REFUSED = "refused"


class Answer(NamedTuple):
    verdict: Verdict
    detail: str = ""
    rejected: Sequence[str] = ()
    retry_after_seconds: float = 0.0


class Target(NamedTuple):
    """Where the daemon listens, and how one shows who one is."""

    url: str
    token: str | None
    token_file: Path | None

    @classmethod
    def checked(cls, url: str, token: str | None, token_file: str | Path | None) -> Target:
        """The target.

        Raises:
            ValueError: it is no URL of a daemon, or there are two tokens.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("url: expected the daemon's, such as http://127.0.0.1:9877")
        if parts.username is not None:
            raise ValueError("url: expected no user in it; the daemon knows tokens")
        if token and token_file:
            raise ValueError("token: expected either token or token_file, got both")
        return cls(url.rstrip("/"), token, Path(token_file) if token_file else None)

    @property
    def place(self) -> str:
        """Host and port, for logs."""
        return urlsplit(self.url).netloc

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.url).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")

    def headers(self) -> dict[str, str]:
        """Who we are; a token's file is read each time, so it can be rotated."""
        token = self.token_file.read_text(encoding="utf-8").strip() if self.token_file else self.token
        return {"Authorization": f"Bearer {token}"} if token else {}


class Post:
    """Sends the bodies of one process over one connection: straight to the daemon, past any proxy. For one thread.

    It speaks through `http.client`: other libraries cost an app ten times the memory, and must not be imported by a
    thread while the process forks or ends.
    """

    def __init__(self, target: Target, limits: Limits) -> None:
        self._target, parts = target, urlsplit(target.url)
        self._secure, self._path = parts.scheme == "https", parts.path
        self._host, self._port = parts.hostname or "", parts.port
        self._timeout_seconds = limits.timeout_seconds
        usual = None if target.is_near else GZIP_ABOVE_BYTES
        self._gzip_above = usual if limits.gzip_above_bytes is None else limits.gzip_above_bytes
        self._connection: HTTPConnection | None = None
        self._tls: SSLContext | None = None

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def body(self, lines: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
        """The records as one JSON list, compressed where that is worth it, and the headers that say so."""
        whole, headers = b"[" + b",".join(lines) + b"]", {"Content-Type": "application/json"}
        if self._gzip_above is None or len(whole) <= self._gzip_above:
            return whole, headers
        return gzip.compress(whole, compresslevel=1, mtime=0), headers | {"Content-Encoding": "gzip"}

    def send(self, kind: str, body: bytes, headers: dict[str, str]) -> Answer:
        """One attempt."""
        try:
            try:
                return self._exchange(kind, body, headers)
            except ConnectionError:  # a connection that has rested for a while may be closed by the other end
                if self._connection is None:
                    raise
                self.close()
                return self._exchange(kind, body, headers)
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a token that is no header
            self.close()
            return Answer(Verdict.LATER, type(error).__name__)

    def _exchange(self, kind: str, body: bytes, headers: dict[str, str]) -> Answer:
        headers = {"User-Agent": "anchorwatch-client", **headers, **self._target.headers()}
        fresh = self._connection or self._connected()
        fresh.request("POST", f"{self._path}/v1/{kind}", body, headers)
        sent = fresh.getresponse()
        content = sent.read(ANSWER_BYTES)
        if sent.length and len(content) < ANSWER_BYTES:
            raise IncompleteRead(content, sent.length)
        if sent.will_close or not sent.isclosed():
            fresh.close()
        # Kept only now: a fresh one that fails is no reason to try another at once.
        self._connection = None if sent.will_close or not sent.isclosed() else fresh
        return _judged(sent.status, sent.headers.get("Retry-After", ""), content)

    def _connected(self) -> HTTPConnection:
        seconds = min(CONNECT_SECONDS, self._timeout_seconds)
        if self._secure:
            self._tls = self._tls or create_default_context()
            fresh: HTTPConnection = HTTPSConnection(self._host, self._port, timeout=seconds, context=self._tls)
        else:
            fresh = HTTPConnection(self._host, self._port, timeout=seconds)
        fresh.connect()
        fresh.sock.settimeout(self._timeout_seconds)
        return fresh


def _judged(status: int, retry_after: str, content: bytes) -> Answer:
    detail = f"status {status}"
    if status in LATER or status >= 500:
        verdict = Verdict.LATER if status in LATER else Verdict.FAILED
        return Answer(verdict, detail, retry_after_seconds=_retry_after(retry_after))
    if status in (200, 202, 422) and (told := _told(content)) is not None:
        return Answer(Verdict.TAKEN, detail, rejected=told)
    return Answer(Verdict.REFUSED, detail if status >= 300 else f"{detail}, which is no answer of Anchorwatch's")


def _told(content: bytes) -> list[str] | None:
    """Why records were rejected, one reason for each; None where this is no daemon's answer."""
    try:
        answer: Any = json.loads(content)
        rejected = {row["index"]: str(row.get("reason", "")) for row in answer["rejected"]}
        return [_reason(reason) for reason in rejected.values()] if "accepted" in answer else None
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        return None


def _reason(text: str) -> str:
    """A reason without the value in it, so that many values are one reason."""
    return text.partition(", got ")[0][:REASON_CHARACTERS]


def _retry_after(text: str) -> float:
    """Seconds from now, of a number of them or of an HTTP date.

    >>> _retry_after("3"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), _retry_after("soon")
    (3.0, 0.0, 0.0)
    """
    try:
        seconds = float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)
