"""An exchange as the attempt of a delivery: delivered, worth another attempt, or final."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from monitor.records import Outcome, OutcomeKind
from monitor.transport.address import Unusable, where
from monitor.transport.exchange import NoAnswer, Request, Response, exchange


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """How long a `Retry-After` header asks us to wait (RFC 9110, 10.2.3): seconds, or an HTTP date seen from `now`.

    >>> retry_after_seconds("120", 0), retry_after_seconds("Thu, 01 Jan 1970 00:00:30 GMT", 10)
    (120.0, 20.0)
    >>> retry_after_seconds("soon", 0) is None
    True
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _answered(status: int) -> str:
    try:
        return f"answered {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"answered {status}"


def classify(place: str, response: Response, now: float) -> Outcome:
    """What an answer means for a delivery; `place` is what may be said of the peer."""
    status = response.status
    reason = f"{place}: {_answered(status)}"
    if 200 <= status < 300:
        return Outcome(OutcomeKind.DELIVERED, reason)
    if status == HTTPStatus.TOO_MANY_REQUESTS or 500 <= status < 600:
        return Outcome(OutcomeKind.RETRY, reason, retry_after_seconds(response.headers.get("retry-after"), now))
    if 300 <= status < 400:
        reason += ", redirects are not followed"
    return Outcome(OutcomeKind.FAILED, reason)


def send(request: Request, *, timeout_seconds: float) -> tuple[Outcome, Response | None]:
    """Attempt one delivery. It never raises for what the peer does; the response is None where none came."""
    try:
        response = exchange(request, timeout_seconds=timeout_seconds)
    except Unusable as error:
        return Outcome(OutcomeKind.FAILED, str(error)), None
    except NoAnswer as error:
        return Outcome(OutcomeKind.RETRY, str(error)), None
    return classify(where(request.url), response, time.time()), response


def deliver(build: Callable[[], Request], *, timeout_seconds: float) -> tuple[Outcome, Response | None]:
    """Build a request and attempt its delivery; a secret's file that cannot be read (yet) is worth another attempt."""
    try:
        request = build()
    except Unusable as error:
        return Outcome(OutcomeKind.FAILED, str(error)), None
    except OSError as error:
        return Outcome(OutcomeKind.RETRY, f"cannot read {error.filename}: {error.strerror}"), None
    except ValueError:
        return Outcome(OutcomeKind.RETRY, "cannot read a secret: its file is empty or not text"), None
    return send(request, timeout_seconds=timeout_seconds)
