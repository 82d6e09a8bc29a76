"""Single values: off JSON, off bytes, off a clock's text."""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterable
from typing import Any

import msgspec

from monitor.records import instant
from monitor.serving_logs.unreadable import Reason, Unreadable

DEPTH = 16  # nothing that is served nests deeper; the readers recurse
ID_CHARACTERS = 248  # an event's id is this and the row's number
LATEST = 4102444800.0  # 2100: beyond it, it is milliseconds taken for seconds
FLOAT_DIGITS = {"e": (3, 4, 5), "f": (6, 7, 8, 9)}  # significant digits that may tell a short float, by struct's letter

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Limits(msgspec.Struct, frozen=True):
    """How much one record may hold.

    Attributes:
        rows: predictions of one request.
        values: numbers, texts, lists and objects of one body.
    """

    rows: int = 50_000
    values: int = 1_500_000


def parse(body: bytes | str, limits: Limits) -> Any:
    """The value of a JSON text, tidied: what is no finite number is None. Also reads NaN and Infinity, as Python writes them.

    Raises:
        Unreadable: it is no JSON, or holds too much.

    >>> parse(b'[1, NaN, "a"]', Limits())
    [1, None, 'a']
    """
    try:
        raw = body.encode() if isinstance(body, str) else bytes(body)
    except UnicodeEncodeError:
        raise Unreadable(Reason.NOT_JSON, "expected JSON, got text that is no UTF-8") from None
    if raw.count(b",") > limits.values:  # commas alone would take a hundred times their size in memory
        raise Unreadable(Reason.TOO_LARGE, f"expected at most {limits.values} values in a body")
    try:
        value = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        value = _lenient(raw, str(error))
    return tidy(value, limits)


def _lenient(raw: bytes, problem: str) -> Any:
    if b"NaN" in raw or b"Infinity" in raw:
        try:
            return _decode(_encode(json.loads(raw.decode())))  # encoding makes null of what is no finite number
        except (ValueError, RecursionError, OverflowError):
            pass
    raise Unreadable(Reason.NOT_JSON, f"expected JSON: {problem[:1].lower() + problem[1:]}")


def tidy(value: Any, limits: Limits) -> Any:
    """A decoded value with plain scalars only.

    Raises:
        Unreadable: it nests too deep or holds too many values.
    """
    return _tidy(value, [limits.values], DEPTH)


def _tidy(value: Any, left: list[int], depth: int) -> Any:
    if not isinstance(value, list | dict):
        return scalar(value)
    if depth == 0:
        raise Unreadable(Reason.TOO_DEEP, f"expected lists and objects at most {DEPTH} deep")
    left[0] -= len(value) + 1
    if left[0] < 0:
        raise Unreadable(Reason.TOO_LARGE, "expected fewer values in a body")
    if isinstance(value, dict):
        return {str(key): _tidy(item, left, depth - 1) for key, item in value.items()}
    return [_tidy(item, left, depth - 1) for item in value]


def scalar(value: Any) -> Any:
    """A text, a truth value, a finite number or None. Whole numbers of more than 64 bits become floats.

    >>> scalar(2**70), scalar(float("inf")), scalar(b"red")
    (1.1805916207174113e+21, None, 'red')
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, bytes):
        return text(value)
    return value if isinstance(value, str | int) else None


def text(raw: bytes) -> str | None:
    """The text that bytes are in UTF-8; None if they are none, such as an image."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def is_number(value: Any) -> bool:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def base64_bytes(value: Any) -> bytes:
    """The bytes of a base64 text.

    Raises:
        Unreadable: it is no text, or no base64.
    """
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Unreadable(Reason.NOT_BASE64, "expected base64") from None


def shortest(values: Iterable[float], letter: str) -> list[float | None]:
    """Floats of 16 or 32 bits as the shortest decimals that they are; None for what is not finite.

    0.24 sent as a float of 32 bits is 0.23999999463558197: in another bin than the reference's 0.24.

    Args:
        values: the floats.
        letter: how `struct` calls their type, `e` or `f`.

    >>> shortest(struct.unpack("<2f", struct.pack("<2f", 0.24, 16777217)), "f")
    [0.24, 16777216.0]
    """
    return [_shortest(value, FLOAT_DIGITS[letter], struct.Struct(f"<{letter}").pack) for value in values]


def _shortest(value: float, digits: tuple[int, ...], pack: Any) -> float | None:
    if not math.isfinite(value):
        return None
    if value.is_integer():
        return value
    bits = pack(value)
    for count in digits[:-1]:
        short = float(f"{value:.{count}g}")
        try:
            if pack(short) == bits:
                return short
        except OverflowError:  # rounded up beyond the largest float
            continue
    return float(f"{value:.{digits[-1]}g}")


def seconds(value: Any) -> float:
    """Unix seconds of an ISO 8601 text or of a number of seconds.

    Raises:
        Unreadable: it is neither, or lies before 1970 or after 2100.

    >>> seconds("2026-11-20T08:00:00.5Z") == seconds(1795161600.5)
    True
    """
    try:
        found = instant(value) if isinstance(value, str) else float(value)
    except (ValueError, TypeError, OverflowError):
        found = math.nan
    if not 0 <= found < LATEST:
        raise Unreadable(Reason.BAD_TIME, "expected an ISO 8601 time between 1970 and 2100")
    return found


def identifier(value: Any, what: str) -> str:
    """An id that can be kept, as text.

    Raises:
        Unreadable: there is none, or it is too long.
    """
    found = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not found:
        raise Unreadable(Reason.MISSING_ID, f"expected {what}, got none")
    if len(found) > ID_CHARACTERS:
        raise Unreadable(Reason.BAD_ID, f"{what}: expected at most {ID_CHARACTERS} characters, got {len(found)}")
    return found


def named(value: Any) -> str:
    """A name as text, empty where there is none."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
