"""The frequent categories of a column, in bounded memory."""

from __future__ import annotations

from monitor.profile.bins import CATEGORIES, count_categories
from monitor.records import Coded, FloatArray, ObjectArray

MOST = 100_000


class Frequent:
    """Rows by category, exactly as long as there are at most `most` different ones.

    Beyond that the heavy ones stay (Misra and Gries, Science of Computer Programming 2, 1982, in the form that takes whole
    batches): each count falls short by at most rows / `most`, so that a category that more rows share is never lost. Unlike
    there, more categories than bins tell apart always stay, so that the others are known to exist.

    Args:
        most: how many are counted.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.counts: dict[str, int] = {}

    def add(self, values: FloatArray | ObjectArray | Coded) -> None:
        """Take rows in; those without a value count for nothing."""
        for name, rows in count_categories(values).items():
            self.counts[name] = self.counts.get(name, 0) + rows
        if len(self.counts) > self.most:
            ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
            least = ordered[self.most][1]  # what the first that finds no room has, all give up
            kept = {name: rows - least for name, rows in ordered if rows > least}
            for name, _ in ordered[: CATEGORIES + 1]:
                kept.setdefault(name, 1)
            self.counts = kept
