"""What stands behind the question mark."""

from __future__ import annotations

from starlette.requests import Request

from monitor.web._guard import Refused


def sequence_number(request: Request) -> int:
    """The number that `?after=` gives, 0 where it gives none.

    Raises:
        Refused: it is no number.
    """
    text = request.query_params.get("after", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Refused(400, f"after: expected a sequence number, got {text[:40]!r}", "after")
    return int(text)
