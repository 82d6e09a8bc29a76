"""Progress as one line on a terminal, redrawn in place; nothing where nobody watches."""

from __future__ import annotations

import time
from typing import TextIO

from monitor.backtest import Progress

BETWEEN_SECONDS = 0.1


class ProgressLine:
    """Tells how far a backtest has come: how many rows are read, or windows judged, and how long the rest will take."""

    def __init__(self, stream: TextIO, *, quiet: bool) -> None:
        self._stream = stream
        self._shown = stream.isatty() and not quiet
        self._drawn = False
        self._stage, self._began, self._last = ("", ""), 0.0, 0.0

    def __call__(self, progress: Progress) -> None:
        if not self._shown:
            return
        now = time.monotonic()
        stage = progress.stage, progress.about if progress.stage == "reading" else ""
        if stage != self._stage:
            self._stage, self._began, self._last = stage, now, 0.0
        if now - self._last < BETWEEN_SECONDS and progress.done < progress.total:
            return
        self._last, self._drawn = now, True
        self._stream.write(f"\r{line_of(progress, now - self._began)}\x1b[K")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False


def line_of(progress: Progress, seconds: float) -> str:
    """The line, `seconds` after its stage began.

    >>> line_of(Progress("judging", "shop/demand", 365, 730, 12), 3.0)
    'judging windows: 365 of 730, 12 alerts, 0:03 left'
    """
    left = round(seconds / max(progress.done, 1) * max(progress.total - progress.done, 0))
    rest = f"{left // 60}:{left % 60:02} left"
    if progress.stage == "reading":
        return f"reading {progress.about}: {progress.done:,} of {progress.total:,} rows, {rest}"
    return f"judging windows: {progress.done:,} of {progress.total:,}, {progress.alerts} alerts, {rest}"
