"""Tensors as raw bytes: little-endian, row-major, without padding (the binary tensor data extension of the V2 protocol)."""

from __future__ import annotations

import json
import struct
from typing import Any

from monitor.serving_logs._values import Limits, parse, shortest, text
from monitor.serving_logs.unreadable import Reason, Unreadable, cut

# How `struct` calls each type; BYTES stand apart, as each has its own length, and BF16, which `struct` does not know.
LETTERS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
SPACE = b" \t\r\n"  # what JSON may be followed by
DATATYPES = frozenset({*LETTERS, "BF16", "BYTES"})


def split(body: bytes, header_length: str | None, limits: Limits) -> tuple[Any, bytes]:
    r"""The JSON value that a body begins with, and the bytes behind it.

    The loggers do not pass `Inference-Header-Content-Length` on. Where it is missing, the JSON object ends where it ends.

    Raises:
        Unreadable: there is no JSON at the beginning, or the header does not tell where it ends.

    >>> split(b'{"inputs": []}' + bytes([1, 2]), None, Limits())
    ({'inputs': []}, b'\x01\x02')
    """
    if header_length is not None:
        plain = header_length.isascii() and header_length.isdigit() and len(header_length) < 20
        end = int(header_length) if plain else 0
        if not 0 < end <= len(body):
            problem = "expected Inference-Header-Content-Length to be at most the length of the body"
            raise Unreadable(Reason.BINARY_LENGTH, problem)
        return parse(body[:end], limits), body[end:]
    try:
        # White space behind the JSON may be a tensor: a byte that is 32.
        return parse(body, limits), body[len(body.rstrip(SPACE)) :]
    except Unreadable as error:
        end = _end_of_object(body) if error.reason is Reason.NOT_JSON else 0
        if end == 0:
            raise
    return parse(body[:end], limits), body[end:]


def _end_of_object(body: bytes) -> int:
    """Where the JSON object ends that a body begins with; 0 if it begins with none."""
    if not body.startswith(b"{"):
        return 0
    try:
        # In Latin-1 each byte is one character, so places are those in the bytes.
        return json.JSONDecoder().raw_decode(body.decode("latin-1"))[1]
    except (ValueError, RecursionError):
        return 0


def tensor(raw: bytes, datatype: str, count: int, name: str) -> list[Any]:
    """The values of one tensor; None for what is no finite number or no text.

    Raises:
        Unreadable: the bytes are not as long as so many values of this type are.

    >>> tensor(struct.pack("<2e", 0.5, 2), "FP16", 2, "x"), tensor(struct.pack("<I3s", 3, b"red"), "BYTES", 1, "x")
    ([0.5, 2.0], ['red'])
    """
    if datatype == "BYTES":
        return [text(item) for item in _lengthed(raw, count, name)]
    letter = LETTERS.get(datatype, "f")
    if datatype == "BF16":  # the upper half of a float of 32 bits
        wide = bytearray(2 * len(raw))
        wide[2::4], wide[3::4] = raw[: len(raw) // 2 * 2 : 2], raw[1::2]
        raw = bytes(wide)
    if len(raw) != count * struct.calcsize(f"<{letter}"):
        raise Unreadable(Reason.BINARY_LENGTH, f"{cut(name)}: expected the bytes of {count} values of {datatype}")
    values = struct.unpack(f"<{count}{letter}", raw)
    if letter in "ef":
        return list(shortest(values, letter))
    return list(values)


def _lengthed(raw: bytes, count: int, name: str) -> list[bytes]:
    """Values that each stand behind their length, four bytes."""
    found: list[bytes] = []
    place = 0
    while place + 4 <= len(raw) and len(found) < count:
        size = int.from_bytes(raw[place : place + 4], "little")
        found.append(raw[place + 4 : place + 4 + size])
        place += 4 + size
    if place != len(raw) or len(found) != count:
        raise Unreadable(Reason.BINARY_LENGTH, f"{cut(name)}: expected {count} values, each behind its length")
    return found
