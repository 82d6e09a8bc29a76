"""Profiles as bytes, and sums of many of them without unpacking each.

All columns of a profile lie one after the other in one vector of whole numbers (by column its bins, then the rows missing,
absent, unseen, of minus and plus infinity, below and above the reference's range) and, where they are numeric, in vectors of
floats. Only what is not zero is kept, so that a bucket of few rows is small, and adding a bucket to a sum is one addition of
vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import msgspec
import numpy as np

from monitor.profile import Bins, ColumnProfile, NumericBins, Profile
from monitor.records import FloatArray, IntArray

FORMAT = 3
BESIDES = 7  # missing, absent, unseen, minus and plus infinity, below and above the range
ENDS = 7  # low, high, finite, shift, squares, clipped sums of the outer bins
_decode = msgspec.msgpack.Decoder().decode
_encode = msgspec.msgpack.Encoder().encode


class Layout:
    """Where the parts of a profile on these bins lie."""

    def __init__(self, bins: Mapping[str, Bins]) -> None:
        self.names = sorted(bins)
        self.widths = [len(bins[name]) for name in self.names]
        self.numeric = np.array([isinstance(bins[name], NumericBins) for name in self.names], dtype=bool)
        self.starts = np.cumsum([0, *(width + BESIDES for width in self.widths)])
        self.length = int(self.starts[-1])
        # Of each place among the whole numbers its place among the sums, -1 where it is no bin of a numeric column.
        self.sum_of = np.full(self.length, -1, dtype=np.int64)
        taken = 0
        for place, width in enumerate(self.widths):
            if self.numeric[place]:
                start = self.starts[place]
                self.sum_of[start : start + width] = np.arange(taken, taken + width)
                taken += width
        self.sums = taken
        # By column its name, where its whole numbers begin and end, and where its sums begin, -1 if it has none.
        bounds = list(pairwise(self.starts.tolist()))
        first = [int(self.sum_of[start]) for start, _ in bounds]
        self.columns = list(zip(self.names, bounds, first, strict=True))


class Sum:
    """A sum of profiles on the same bins."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.rows, self.first, self.last = 0, math.inf, -math.inf
        self.seasons: dict[int, int] = {}
        columns = len(layout.names)
        self.held = np.zeros(columns, dtype=bool)
        self.counts: IntArray = np.zeros(layout.length, dtype=np.int64)
        self.sums: FloatArray = np.zeros(layout.sums)
        self.lows, self.highs = np.full(columns, math.inf), np.full(columns, -math.inf)
        self.finite: IntArray = np.zeros(columns, dtype=np.int64)
        self.shifts, self.squares = np.zeros(columns), np.zeros(columns)
        self.clipped = np.zeros((2, columns))

    def _add(self, rows: int, first: float, last: float, seasons: Mapping[int, int]) -> None:
        self.rows += rows
        self.first, self.last = min(self.first, first), max(self.last, last)
        for cell, held in seasons.items():
            self.seasons[cell] = self.seasons.get(cell, 0) + held

    def add(self, profile: Profile) -> None:
        """Add a profile."""
        self._add(profile.rows, profile.first, profile.last, profile.seasons)
        numeric, ends = [], []
        for place, (name, (start, end), first) in enumerate(self.layout.columns):
            column = profile.columns.get(name)
            if column is None:
                continue
            self.held[place] = True
            bins = end - BESIDES
            self.counts[start:bins] += column.counts
            self.counts[bins:end] += (
                column.missing, column.absent, column.unseen, *column.infinities, *column.outside,
            )  # fmt: skip
            if first >= 0:
                self.sums[first : first + bins - start] += column.sums
                numeric.append(place)
                ends.append((column.low, column.high, column.finite, column.shift, column.squares, *column.clipped))
        self._add_ends(np.array(numeric, dtype=np.int64), np.array(ends, dtype=np.float64).reshape(-1, ENDS).T)

    def add_encoded(self, body: bytes) -> None:
        """Add a profile that is bytes."""
        _, rows, first, last, seasons, held, small, places, counts, sums, ends = _decode(body)
        self._add(rows, first, last, seasons)
        here = np.unpackbits(np.frombuffer(held, dtype=np.uint8), count=len(self.held)).astype(bool)
        self.held |= here
        at = np.frombuffer(places, dtype=np.uint16 if self.layout.length < 2**16 else np.uint32)
        self.counts[at] += np.frombuffer(counts, dtype=np.uint32 if small else np.int64)
        summed = self.layout.sum_of[at]
        self.sums[summed[summed >= 0]] += np.frombuffer(sums, dtype=np.float64)
        numeric = np.flatnonzero(here & self.layout.numeric)
        self._add_ends(numeric, np.frombuffer(ends, dtype=np.float64).reshape(ENDS, -1))

    def _ends(self, places: IntArray) -> FloatArray:
        found: FloatArray = np.vstack([self.lows, self.highs, self.finite, self.shifts, self.squares, self.clipped])[
            :, places
        ]
        return found

    def _add_ends(self, places: IntArray, ends: FloatArray) -> None:
        """Add the ends and moments of some columns; moments as `monitor.profile.column.added_moments` does."""
        lows, highs, finite, shifts, squares = ends[:5]
        self.lows[places] = np.minimum(self.lows[places], lows)
        self.highs[places] = np.maximum(self.highs[places], highs)
        before = self.finite[places]
        with np.errstate(over="ignore", invalid="ignore"):
            apart = self.shifts[places] / np.maximum(before, 1) - shifts / np.maximum(finite, 1)
            between = apart * apart * (before / np.maximum(before + finite, 1) * finite)
            self.squares[places] += squares + np.where((before > 0) & (finite > 0), between, 0.0)
        self.shifts[places] += shifts
        self.finite[places] += finite.astype(np.int64)
        self.clipped[:, places] += ends[5:]

    def encoded(self) -> bytes:
        """The sum as bytes."""
        at = np.flatnonzero(self.counts)
        counts, summed = self.counts[at], self.layout.sum_of[at]
        numeric = np.flatnonzero(self.held & self.layout.numeric)
        small = bool((counts < 2**32).all())
        return _encode(
            [
                FORMAT,
                self.rows,
                self.first,
                self.last,
                self.seasons,
                np.packbits(self.held).tobytes(),
                small,
                at.astype(np.uint16 if self.layout.length < 2**16 else np.uint32).tobytes(),
                counts.astype(np.uint32 if small else np.int64).tobytes(),
                self.sums[summed[summed >= 0]].tobytes(),
                self._ends(numeric).tobytes(),
            ]
        )

    def profile(self) -> Profile | None:
        """The sum as a profile; None where nothing was added."""
        if not self.rows:
            return None
        columns = {}
        for place, (name, (start, end), first) in enumerate(self.layout.columns):
            if not self.held[place]:
                continue
            bins = end - BESIDES
            missing, absent, unseen, minus, plus, below, above = self.counts[bins:end].tolist()
            counts, sums = self.counts[start:bins].copy(), np.zeros(bins - start)
            if first >= 0:
                sums = self.sums[first : first + bins - start].copy()
            shift, squares = float(self.shifts[place]), float(self.squares[place])
            low, high = float(self.lows[place]), float(self.highs[place])
            ends = float(self.clipped[0, place]), float(self.clipped[1, place])
            columns[name] = ColumnProfile(
                counts, sums, missing, absent, unseen, low, high, shift, squares, (minus, plus), (below, above), ends
            )
        return Profile(self.rows, self.first, self.last, columns, dict(self.seasons))


def encode_profile(profile: Profile, bins: Mapping[str, Bins]) -> bytes:
    """A profile as bytes; bins without rows take no room."""
    whole = Sum(Layout(bins))
    whole.add(profile)
    return whole.encoded()


def decode_profile(body: bytes, bins: Mapping[str, Bins]) -> Profile:
    """The inverse of `encode_profile`, on the bins it was made with."""
    whole = Sum(Layout(bins))
    whole.add_encoded(body)
    profile = whole.profile()
    assert profile is not None  # there are no empty ones
    return profile
