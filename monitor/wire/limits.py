"""How much one request may hold, and what is said of one that holds more or is of no use."""

from __future__ import annotations

BODY_BYTES = 8 * 1024 * 1024
UNPACKED_BYTES = 32 * 1024 * 1024  # a compressed body may be so long when it is not
RECORDS = 50_000
VALUES = 1_500_000  # a body of nothing but commas would take a hundred times its size in memory


class BadBody(Exception):
    """The body as a whole is of no use; `reason` is a short name for the metric."""

    def __init__(self, message: str, reason: str = "not_json") -> None:
        super().__init__(message)
        self.reason = reason


class TooLarge(BadBody):
    """The body holds more than it may, packed or unpacked."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "too_large")


def too_long(limit: int) -> TooLarge:
    """The body has more bytes than it may."""
    return TooLarge(f"expected a body of at most {limit} bytes, unpacked")


def check_values(values: int) -> None:
    """Refuse a body of too many values.

    Raises:
        TooLarge: there are more than there may be.
    """
    if values > VALUES:
        raise TooLarge(f"expected at most {VALUES} values in a request")


def check_text(body: bytes) -> None:
    """Refuse a body of JSON that has too many values.

    Raises:
        TooLarge: there are more than there may be.
    """
    if len(body) > VALUES:  # a shorter one cannot hold so many
        check_values(max(body.count(b","), body.count(b"\n")))


def check_records(records: int) -> None:
    """Refuse a body of too many records.

    Raises:
        TooLarge: there are more than there may be.
    """
    if records > RECORDS:
        raise TooLarge(f"expected at most {RECORDS} records in a request, got {records}")
