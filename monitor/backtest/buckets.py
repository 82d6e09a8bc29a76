"""Profiles by bucket of event time in memory, and the profile of any whole number of buckets as a sum of few."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from monitor.profile import Bins, Profile, profile_batch
from monitor.records import EventBatch, IntArray
from monitor.store.encoding import Layout, Sum

SUMS = 10_000  # so many sums of neighbouring buckets are kept, those used last


class Buckets:
    """The profiles of one version on the bins of its reference.

    A bucket is kept as the store keeps it, sparse, so that the memory is bounded by the buckets and not by the rows. Sums of
    2, 4, 8, … neighbours are kept for a while: a window that slides by a bucket costs a few additions, however long it is.

    Args:
        bins: by column; none where the version has no reference.
        seconds: length of a bucket.
        match: the seasons that the reference is matched by.
    """

    def __init__(self, bins: Mapping[str, Bins], *, seconds: int, match: Sequence[str] = ()) -> None:
        self.bins, self.seconds, self.match = bins, seconds, tuple(match)
        self._layout = Layout(bins)
        self._kept: dict[int, bytes] = {}
        self._sums: OrderedDict[tuple[int, int], bytes | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, batch: EventBatch) -> set[int]:
        """Take rows in, before any total is asked for; the places of the buckets whose profile is not told by them.

        A batch says only in sum how many of its rows held no number, or lacked a column. Where that is some of them, the
        profiles of its buckets have to be set anew. A bucket's place is its start divided by its length.
        """
        places = np.floor(batch.times / self.seconds).astype(np.int64)
        order = np.argsort(places, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(places[order])) + 1):
            profile = profile_batch(_picked(batch, rows), self.bins, self.match)
            self._set(int(places[rows[0]]), profile, add=True)
        unknown = any(batch.invalid.values()) or any(0 < count < len(batch) for count in batch.absent.values())
        return set(np.unique(places).tolist()) if unknown else set()

    def replace(self, place: int, profile: Profile) -> None:
        """Set the profile of a bucket."""
        self._set(place, profile, add=False)

    def _set(self, place: int, profile: Profile, *, add: bool) -> None:
        whole, old = Sum(self._layout), self._kept.get(place)
        whole.add(profile)
        if add and old is not None:
            whole.add_encoded(old)
        self._kept[place] = whole.encoded()

    def total(self, start: float, end: float) -> Profile | None:
        """The profile of the buckets from `start` to `end`, two multiples of their length; None where they hold no row."""
        low, high = round(start / self.seconds), round(end / self.seconds)
        whole = Sum(self._layout)
        while low < high:
            # The largest block of 2 ** level buckets that begins here and ends within.
            level = (high - low).bit_length() - 1
            if low:
                level = min(level, (low & -low).bit_length() - 1)
            block = self._block(level, low)
            if block is not None:
                whole.add_encoded(block)
            low += 1 << level
        profile = whole.profile()
        if profile is None:
            return None
        # In the order of the reference, as a window read from its rows has them.
        return replace(profile, columns={name: profile.columns[name] for name in self.bins if name in profile.columns})

    def within(self, start: float, end: float) -> Iterator[tuple[float, Profile]]:
        """Every bucket with rows that begins in `[start, end)`: when it begins, and its profile."""
        for place in range(math.ceil(start / self.seconds), math.ceil(end / self.seconds)):
            if place in self._kept:
                begins = place * float(self.seconds)
                profile = self.total(begins, begins + self.seconds)
                assert profile is not None  # it is kept
                yield begins, profile

    def _block(self, level: int, low: int) -> bytes | None:
        if level == 0:
            return self._kept.get(low)
        key = level, low
        if key in self._sums:
            self._sums.move_to_end(key)
            return self._sums[key]
        half = 1 << (level - 1)
        parts = [self._block(level - 1, low), self._block(level - 1, low + half)]
        found = self._sums[key] = self._summed([part for part in parts if part is not None])
        if len(self._sums) > SUMS:
            self._sums.popitem(last=False)
        return found

    def _summed(self, parts: Sequence[bytes]) -> bytes | None:
        if len(parts) < 2:
            return parts[0] if parts else None
        whole = Sum(self._layout)
        for part in parts:
            whole.add_encoded(part)
        return whole.encoded()


def _picked(batch: EventBatch, rows: IntArray) -> EventBatch:
    absent = {name: len(rows) for name, count in batch.absent.items() if count}
    features = {name: values[rows] for name, values in batch.features.items()}
    return EventBatch(batch.version, batch.times[rows], features, absent)
