"""The frequent categories of a column, in bounded memory."""

from __future__ import annotations

from monitor.profile.bins import CATEGORIES, count_categories
from monitor.records import Coded, FloatArray, ObjectArray

MOST = 100_000


class Frequent:
    """Rows by category, exactly as long as there are at most `most` different ones.

    Beyond that the heavy ones stay (Misra and Gries, Science of Computer Programming 2, 1982, in the form that takes whole
    batches): each count falls short by at most rows / `most`, so that a category that more rows share is never lost.

    Args:
        most: how many are counted.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._counts: dict[str, int] = {}
        self._others: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Rows by category. Where some were lost there are more categories than bins tell apart, if with a row each."""
        return {**dict.fromkeys(self._others, 1), **self._counts}

    def add(self, values: FloatArray | ObjectArray | Coded) -> None:
        """Take rows in; those without a value count for nothing."""
        for name, rows in count_categories(values).items():
            self._counts[name] = self._counts.get(name, 0) + rows
        if len(self._counts) > self.most:
            ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
            least = ordered[self.most][1]  # what the first that finds no room has, all give up
            self._counts = {name: rows - least for name, rows in ordered if rows > least}
            self._others = tuple(name for name, _ in ordered[: CATEGORIES + 1])
