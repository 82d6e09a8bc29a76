"""What a request is addressed with, as options take it: URLs, headers, timeouts, and what may be said of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from monitor.options import Duration, Secret


class Unusable(ValueError):
    """The request cannot be sent as it is configured; another attempt would change nothing."""


def split_url(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a usable URL.

    Raises:
        Unusable: it is no http or https URL; the text does not quote it.

    >>> split_url("https://[::1]/path")
    ('https', '::1', 443)
    """
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("http", "https") or not host:
        raise Unusable("expected a url such as https://host/path, got something else")
    return scheme, host, port or (443 if scheme == "https" else 80)


def where(url: str) -> str:
    """What may be said of a URL: its scheme, host and, unless it is the scheme's own, port.

    Raises:
        Unusable: it is no http or https URL.

    >>> where("https://user:password@hooks.slack.com/services/T0/B0/secret?token=x")
    'https://hooks.slack.com'
    """
    scheme, host, port = split_url(url)
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port == {"http": 80, "https": 443}[scheme] else f":{port}")


def _checked_url(url: str) -> str:
    split_url(url)
    return url.strip()


def _checked_secret_url(url: Secret) -> Secret:
    if url.path is None:
        split_url(url.reveal())
    return url


def _header_value(value: object) -> object:
    if isinstance(value, str | Secret) and value:
        return value
    raise ValueError("expected a header's value as text")


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ValueError(f"expected a header's name such as X-Token, got {name!r}")
    return name


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("expected a duration above 0s")
    return seconds


Url = Annotated[str, AfterValidator(_checked_url)]
SecretUrl = Annotated[Secret, AfterValidator(_checked_secret_url)]
Headers = dict[Annotated[str, AfterValidator(_header_name)], Annotated[Secret, BeforeValidator(_header_value)]]
Timeout = Annotated[Duration, AfterValidator(_above_zero)]


def reveal_headers(headers: Mapping[str, Secret]) -> dict[str, str]:
    """Headers as they are sent."""
    return {name: value.reveal() for name, value in headers.items()}
