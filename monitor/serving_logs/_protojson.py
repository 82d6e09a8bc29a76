"""Protocol buffers as JSON: snake_case or camelCase, whole numbers of 64 bits as text, bytes as base64, zeros left out."""

from __future__ import annotations

from typing import Any

from monitor.serving_logs._values import base64_bytes, is_number
from monitor.serving_logs.unreadable import Reason, Unreadable, cut


def field(message: Any, name: str) -> Any:
    """A field by its name in snake_case, whichever way the message spells it; None where it is not there.

    Raises:
        Unreadable: the message is no object.

    >>> field({"logMetadata": 1}, "log_metadata"), field({"log_metadata": 1}, "log_metadata"), field({}, "log_metadata")
    (1, 1, None)
    """
    if not isinstance(message, dict):
        raise Unreadable(Reason.BAD_VALUE, f"expected an object that may hold {name}, got {type(message).__name__}")
    first, *others = name.split("_")
    found = message.get(name)
    return message.get(first + "".join(each.title() for each in others)) if found is None else found


def inner(message: Any, *names: str) -> dict[str, Any]:
    """A message within a message within …; an empty one where one of them is not there."""
    for name in names:
        message = field(message, name) or {}
    if not isinstance(message, dict):
        raise Unreadable(Reason.BAD_VALUE, f"{names[-1]}: expected an object, got {type(message).__name__}")
    return message


def repeated(message: Any, name: str) -> list[Any]:
    """A repeated field; empty where it is not there."""
    found = field(message, name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Unreadable(Reason.BAD_VALUE, f"{name}: expected a list, got {type(found).__name__}")
    return found


def whole(value: Any, name: str) -> int:
    """A whole number, which may be written as text.

    >>> whole("9223372036854775807", "version"), whole(None, "version")
    (9223372036854775807, 0)
    """
    if value is None:
        return 0
    text = value if isinstance(value, str) else ""
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20:
        return int(text)
    if is_number(value) and (isinstance(value, int) or value.is_integer()):
        return int(value)
    raise Unreadable(Reason.BAD_VALUE, f"{name}: expected a whole number, got {cut(type(value).__name__)}")


def real(value: Any, name: str) -> float | None:
    """A number; None where it is not finite.

    >>> real(0.5, "score"), real("NaN", "score"), real(None, "score")
    (0.5, None, 0.0)
    """
    if value is None:
        return 0.0
    if value in ("NaN", "Infinity", "-Infinity"):
        return None
    if not is_number(value):
        raise Unreadable(Reason.BAD_VALUE, f"{name}: expected a number, got {cut(type(value).__name__)}")
    return float(value)


def octets(value: Any) -> bytes:
    """Bytes, as they are or as base64."""
    return value if isinstance(value, bytes) else base64_bytes(value or "")
