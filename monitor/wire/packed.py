"""A body without its content encoding. What is packed can be a thousand times its size: no more than may be is ever unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from monitor.wire.limits import UNPACKED_BYTES, BadBody, too_long

PIECE = 512  # bytes unpacked at once: of zstd, four can stand for 128 KiB


def unpacked(
    body: bytes, encoding: str, limit: int = UNPACKED_BYTES, take: Callable[[int], None] = lambda _: None
) -> bytes:
    """A body without its content encoding (gzip, zstd or none); `take` hears of each part's bytes, and may raise.

    Raises:
        BadBody: it is not encoded that way, or not whole.
        TooLarge: it is longer than the limit.
    """
    if encoding in ("", "identity"):
        return body
    if encoding == "gzip":
        return _members(body, "gzip", lambda: zlib.decompressobj(wbits=31), zlib.error, limit, take)
    if encoding == "zstd":
        import zstandard

        opener = zstandard.ZstdDecompressor(max_window_size=1 << 23)  # what RFC 8878 asks a reader to hold at least
        return _members(body, "zstd", opener.decompressobj, zstandard.ZstdError, limit, take)
    raise BadBody(f"expected the content encoding gzip, zstd or none, got {encoding[:40]!r}", "content_encoding")


def _members(
    body: bytes, name: str, opened: Callable[[], Any], fault: type[Exception], limit: int, take: Callable[[int], None]
) -> bytes:
    """What one or several packed members hold, one after the other."""
    view, parts, size, at = memoryview(body), [], 0, 0
    unpacker: Any = None
    while at < len(view):
        unpacker = unpacker or opened()
        piece = view[at : at + PIECE]
        try:
            part = unpacker.decompress(piece)
        except fault:
            raise BadBody(f"expected a body packed with {name}", "content_encoding") from None
        if part:
            take(len(part))
            parts.append(part)
            size += len(part)
        if size > limit:
            raise too_long(limit)
        at += len(piece) - len(unpacker.unused_data)
        if unpacker.eof:
            unpacker = None
    if unpacker is not None:
        raise BadBody(f"expected a body packed with {name}, got only its beginning", "content_encoding")
    return b"".join(parts)
