"""TFRecord files: records one after the other, each with its length and checksums.

A record is its length (8 bytes, little-endian), the masked CRC-32C of these 8 bytes (4), the data, and the masked CRC-32C of
the data (4). Source: tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details. Compressed files are not read.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.serving_logs.unreadable import Reason, Unreadable

HEAD = 12  # the length and its checksum
POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected
LONGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frames:
    """What a stretch of a file holds.

    Attributes:
        records: the data of each whole record, or why it cannot be used.
        consumed: how many bytes these take; what is behind them is a record that is still being written.
        broken: why nothing behind `consumed` can be read: a length whose checksum is wrong leads nowhere.
    """

    records: tuple[bytes | Unreadable, ...]
    consumed: int
    broken: Unreadable | None = None


def frames(data: bytes, *, longest: int = LONGEST) -> Frames:
    """The records of a stretch that begins at a record. A half-written one at its end is left for later.

    Args:
        data: bytes of the file.
        longest: bytes that a record may have.

    >>> whole = framed(b"first") + framed(b"second")
    >>> frames(whole[:-3])
    Frames(records=(b'first',), consumed=21, broken=None)
    """
    found: list[bytes | Unreadable] = []
    place = 0
    while place + HEAD <= len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        if masked_crc(data[place : place + 8]) != int.from_bytes(data[place + 8 : place + HEAD], "little"):
            problem = f"expected the length of a record at byte {place}, got one with another checksum"
            return Frames(tuple(found), place, Unreadable(Reason.BAD_CHECKSUM, problem))
        if length > longest:
            problem = f"expected records of at most {longest} bytes, got one of {length} at byte {place}"
            return Frames(tuple(found), place, Unreadable(Reason.TOO_LARGE, problem))
        end = place + HEAD + length
        if end + 4 > len(data):
            break
        record = data[place + HEAD : end]
        if masked_crc(record) == int.from_bytes(data[end : end + 4], "little"):
            found.append(record)
        else:
            found.append(Unreadable(Reason.BAD_CHECKSUM, f"expected the record at byte {place} to fit its checksum"))
        place = end + 4
    return Frames(tuple(found), place)


def framed(record: bytes) -> bytes:
    """A record as it stands in a file; what `frames` reads."""
    length = len(record).to_bytes(8, "little")
    checks = [masked_crc(part).to_bytes(4, "little") for part in (length, record)]
    return length + checks[0] + record + checks[1]


def masked_crc(data: bytes) -> int:
    """The CRC-32C of some bytes, masked so that a checksum of what holds checksums is none of them.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of some bytes; RFC 3720, appendix B.4 has test values.

    >>> hex(crc32c(bytes(32)))
    '0x8a9136aa'
    """
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(map(_row, range(256)))
