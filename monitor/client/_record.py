"""A record as JSON, whatever the app has handed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

MOST_DEPTH = 8
LONG_TEXT = 1024  # a longer one is weighed before it is encoded
MANY_VALUES = 4096  # more are weighed as well

_PLAIN = frozenset({int, bool, type(None)})
_NUMERIC = frozenset("biuf")  # of NumPy's kinds
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode


class TooLarge(Exception):
    """The record is longer than a record may be."""


class NotPlain(TypeError):
    """A value that JSON has no word for; the message has its type and never the value."""


def encoded(record: Mapping[str, Any], limit: int) -> bytes:
    """The JSON of a record, as it is at this moment.

    Numbers and texts of NumPy and pandas, arrays, `Decimal`, times and enumerations are written as what they stand for;
    NaN, infinities and their like are null. Half a surrogate pair is written as `?`.

    Raises:
        TooLarge: it has more than `limit` bytes; seen before most of the work is done.
        Exception: it cannot be written; whatever the values' own code raises passes through.

    >>> encoded({"model": "m", "features": {"temp": float("nan")}, "prediction": True}, 1000)
    b'{"model":"m","features":{"temp":null},"prediction":true}'
    """
    try:
        text = _encode(_usual(record))
    except (_Unusual, TypeError):  # TypeError: a name that is neither text nor number
        text = _encode(_Careful(limit).plain(record, 0))
    found = text.encode("utf-8", "replace")
    if len(found) > limit:
        raise TooLarge(f"expected a record of at most {limit} bytes, got {len(found)}")
    return found


class _Unusual(Exception):
    """There is more in a record than numbers and short texts."""


def _usual(record: Mapping[str, Any], levels: int = 2) -> dict[str, Any]:
    """A record of numbers and short texts, as most are, in JSON's own types.

    Raises:
        _Unusual: there is anything else in it.
    """
    found: dict[str, Any] = {}
    for name, value in record.items():
        kind = type(value)
        if kind is float:
            found[name] = value if isfinite(value) else None
        elif kind in _PLAIN or (kind is str and len(value) <= LONG_TEXT):
            found[name] = value
        elif kind is dict and levels > 1 and len(value) <= MANY_VALUES:
            found[name] = _usual(value.copy(), levels - 1)  # at one go, for another thread may be changing it
        elif getattr(getattr(value, "dtype", None), "kind", None) in _NUMERIC and value.shape == ():
            number = value.item()
            if type(number) not in _PLAIN and type(number) is not float:
                raise _Unusual
            found[name] = number if isfinite(number) else None
        else:
            raise _Unusual
    return found


class _Careful:
    """Makes plain values of others, and stops when they are deeper or longer than a record may be."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def plain(self, value: Any, depth: int) -> Any:
        """The value in JSON's own types."""
        self._weigh(1)
        if depth > MOST_DEPTH:
            raise NotPlain(f"expected values at most {MOST_DEPTH} levels deep")
        if value is None or isinstance(value, int):  # bool is one, and so are enumerations of numbers
            return value
        if isinstance(value, float):
            return value if isfinite(value) else None
        if isinstance(value, str):
            self._weigh(str.__len__(value))
            return value
        if isinstance(value, dict):
            return {self._key(key): self.plain(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(inner, depth + 1) for inner in value]
        return self._foreign(value, depth)

    def _weigh(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge("expected a smaller record")

    def _key(self, key: Any) -> str:
        found = key if isinstance(key, str | int | float) else self.plain(key, MOST_DEPTH - 1)
        self._weigh(str.__len__(found) if isinstance(found, str) else 1)
        if not isinstance(found, str | int | float):
            raise NotPlain(f"expected names that are text, got {type(key).__name__}")
        return str(found)

    def _foreign(self, value: Any, depth: int) -> Any:
        """What an object of another library stands for, by what it can do: none of them is imported for it."""
        kind = type(value)
        if kind.__name__ in ("NAType", "NaTType"):
            return None
        self._weigh_array(value)
        if hasattr(kind, "to_dict"):  # a row of a data frame
            return self.plain(value.to_dict(), depth + 1)
        if hasattr(kind, "tolist"):
            return self.plain(_listed(value), depth + 1)
        if hasattr(kind, "item"):
            return self.plain(value.item(), depth + 1)
        if isinstance(value, Mapping):
            return self.plain(dict(value), depth)
        if hasattr(kind, "__members__"):  # an enumeration
            return self.plain(value.value, depth + 1)
        return self.plain(_scalar(value), depth + 1)

    def _weigh_array(self, value: Any) -> None:
        size = len(value) if type(value) is bytes else getattr(value, "size", 0)
        self._weigh(size if isinstance(size, int) else int(value.numel()) if hasattr(type(value), "numel") else 0)


def _scalar(value: Any) -> float | str:
    kind = type(value)
    found: float | str
    if hasattr(kind, "total_seconds"):  # before isoformat: a Timedelta of pandas has both
        found = value.total_seconds()
    elif hasattr(kind, "isoformat"):
        found = value.isoformat()
    elif hasattr(kind, "__float__"):  # Decimal, Fraction
        found = float(value)
    elif kind is bytes:
        found = value.decode("utf-8", "replace")
    else:
        raise NotPlain(f"expected a number, a text, a list or a mapping, got {kind.__name__}")
    return found


def _listed(value: Any) -> Any:
    """An array or a scalar of NumPy and its like as plain values; times in nanoseconds would turn into bare numbers."""
    unit = {"M": "datetime64[us]", "m": "timedelta64[us]"}.get(getattr(getattr(value, "dtype", None), "kind", ""))
    found = (value.astype(unit) if unit else value).tolist()
    return float(found) if type(found) is type(value) else found  # longer than any number of Python's
