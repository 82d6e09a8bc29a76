"""Hashes of event ids, and filters that say which segment may hold one: numbers alone, without a database."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.records import IntArray

BITS = 1 << 20  # of a filter: 16 for each id
PROBES = 8  # with them, a stranger passes a filter once in 1,700 times
TOGETHER = 4096  # ids that are hashed at once

Words = NDArray[np.uint64]


def hashes_of(ids: Sequence[str]) -> IntArray:
    """A hash of each id, shape (n,): the same on every machine and in every process.

    Ids are taken as their UTF-8 bytes, eight at a time; after each the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    if len(ids) > TOGETHER:
        # One that is long makes all of an array as wide.
        parts = [hashes_of(ids[at : at + TOGETHER]) for at in range(0, len(ids), TOGETHER)]
        return np.concatenate(parts)
    encoded = np.array([each.encode() for each in ids])
    width = -(-encoded.dtype.itemsize // 8) * 8
    words = encoded.astype(f"S{width}").view("<u8").reshape(len(ids), -1)
    mixed = np.full(len(ids), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for place in range(words.shape[1]):
        # An id has the same hash among longer ones: where it is over, nothing is mixed in.
        going = words[:, place:].any(axis=1)
        mixed = np.where(going, _mixed(mixed ^ words[:, place]), mixed)
    return mixed.view(np.int64)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed


def in_sample(hashes: IntArray, share: float) -> NDArray[np.bool_]:
    """Which ids are among so large a share of all, shape (n,): the same whenever and wherever it is asked."""
    # Not the hash itself, by which ids are kept.
    mixed = _mixed(hashes.view(np.uint64)).astype(np.float64) / 2.0**64
    found: NDArray[np.bool_] = mixed < share
    return found


def probes_of(hashes: IntArray) -> IntArray:
    """The bits that each hash sets in a filter, shape (PROBES, n)."""
    mixed = hashes.view(np.uint64)
    first, step = mixed & np.uint64(0xFFFFFFFF), (mixed >> np.uint64(32)) | np.uint64(1)
    turns = np.arange(PROBES, dtype=np.uint64)[:, None]
    found: IntArray = ((first + turns * step) % np.uint64(BITS)).astype(np.int64)
    return found


class Filters:
    """The filters of a model's segments: of each bit a word, in which every segment has a bit of its own.

    `segments` says whose they are, as (number, last_seq). A number alone does not say what is in a segment: one that is
    merged keeps its number, and where all have gone they are numbered from 1 again. The last_seq of what is written is
    larger than that of every segment that is there (`_to_segment`), and so a pair only ever comes again where all events
    up to its last_seq have gone: a filter of the first one then misses nothing that is there.
    """

    def __init__(self) -> None:
        self.segments: list[tuple[int, int]] = []
        self._words: list[Words] = []  # each of 64 segments

    def add(self, number: int, last_seq: int, packed: bytes) -> None:
        """Add a segment's filter."""
        place = len(self.segments)
        if place % 64 == 0:
            self._words.append(np.zeros(BITS, dtype=np.uint8))
        words = self._words[-1]
        if place % 64 >= words.dtype.itemsize * 8:
            words = self._words[-1] = words.astype(f"u{words.dtype.itemsize * 2}")
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8)).astype(words.dtype)
        words |= bits << words.dtype.type(place % 64)
        self.segments.append((number, last_seq))

    def candidates(self, ids: Sequence[str], hashes: IntArray) -> dict[int, list[str]]:
        """By segment, the ids that it may hold."""
        found: dict[int, list[str]] = {}
        if not self.segments or not ids:
            return found
        probes = probes_of(hashes)
        for block, words in enumerate(self._words):
            hits = np.bitwise_and.reduce(words[probes], axis=0)
            for place in np.flatnonzero(hits).tolist():
                held = int(hits[place])
                while held:
                    bit = held & -held
                    number, _ = self.segments[block * 64 + bit.bit_length() - 1]
                    found.setdefault(number, []).append(ids[place])
                    held ^= bit
        return found


def packed_filter(hashes: IntArray) -> bytes:
    """The filter of a segment that holds these hashes."""
    bits = np.zeros(BITS, dtype=bool)
    bits[probes_of(hashes).ravel()] = True
    return np.packbits(bits).tobytes()
