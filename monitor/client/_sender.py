"""The one thread that sends: takes batches from the backlog and sees each through, however the daemon does."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from monitor.client._backlog import Backlog, Dropped
from monitor.client._limits import Limits
from monitor.client._post import Answer, Post, Target, Verdict

log = logging.getLogger("monitor.client")

FIRST_PAUSE_SECONDS = 0.25
MOST_FAILURES = 10  # of the daemon on one batch
QUIET_SECONDS = 60.0  # at least, between two lines on one subject


def tell(level: int, text: str, *values: object) -> None:
    """Log; a filter of the app's that raises there costs neither the thread nor who closes the client."""
    with suppress(Exception):
        log.log(level, text, *values)


class Sender:
    """What the thread runs, for one backlog."""

    def __init__(self, backlog: Backlog, target: Target, limits: Limits) -> None:
        self._backlog, self._target, self._limits = backlog, target, limits
        self._spoken: dict[str, float] = {}
        self._reported = 0

    def run(self) -> None:
        """Send until the backlog is closed and empty, or stopped."""
        post = Post(self._target, self._limits)
        try:
            while not self._backlog.over:
                entries = self._backlog.take(QUIET_SECONDS)
                for kind in ("predictions", "labels"):
                    if lines := [line for each, line in entries if each == kind]:
                        self._see_through(post, kind, lines)
                self._report()
        finally:
            post.close()

    def _see_through(self, post: Post, kind: str, lines: Sequence[bytes]) -> None:
        try:
            self._deliver(lambda body, headers: post.send(kind, body, headers), lines, *post.body(lines))
        except Exception as error:  # noqa: BLE001 - the edge of one batch: the next one gets its own try
            self._say("failed", logging.ERROR, "sending failed, %d records lost: %r", len(lines), error)
            self._backlog.lost(lines, Dropped.GAVE_UP)

    def _deliver(
        self,
        send: Callable[[bytes, dict[str, str]], Answer],
        lines: Sequence[bytes],
        body: bytes,
        headers: dict[str, str],
    ) -> None:
        """Send until the records are settled."""
        attempts = failures = 0
        while True:
            answer = send(body, headers)
            if answer.verdict is Verdict.TAKEN:
                self._backlog.answered(lines, answer.rejected)
                return
            failures += answer.verdict is Verdict.FAILED
            if answer.verdict is Verdict.REFUSED:
                self._say("refused", logging.WARNING, "refused by %s: %s", self._target.place, answer.detail)
                self._backlog.lost(lines, Dropped.REFUSED)
                return
            self._say("later", logging.INFO, "not taken by %s, kept for later: %s", self._target.place, answer.detail)
            if failures >= MOST_FAILURES or self._backlog.stopped:
                self._backlog.lost(lines, Dropped.CLOSED if self._backlog.stopped else Dropped.GAVE_UP)
                return
            pause = self._pause_seconds(attempts)
            kept = answer.retry_after_seconds > pause
            hurried = self._backlog.pause(max(pause, answer.retry_after_seconds), kept=kept)
            attempts = 0 if hurried else attempts + 1

    def _pause_seconds(self, attempts: int) -> float:
        """Twice as long after each attempt, up to the longest, less up to half of it by chance: apps must not march in step."""
        full = min(FIRST_PAUSE_SECONDS * 2.0 ** min(attempts, 20), self._limits.longest_pause_seconds)
        return full * random.uniform(0.5, 1.0)

    def _report(self) -> None:
        """Say, now and then, what was lost since one last said so. The app's own threads never log."""
        stats = self._backlog.stats()
        reasons = {**stats.dropped, **stats.rejected}
        lost, detail = sum(reasons.values()), self._backlog.detail
        text = "lost %d records so far: %s" + ("; the last that could not be queued: %s" if detail else "%s")
        if lost > self._reported and self._say("lost", logging.WARNING, text, lost, reasons, detail):
            self._reported = lost

    def _say(self, subject: str, level: int, text: str, *values: object) -> bool:
        """Log unless the same subject was logged a moment ago; whether it was logged."""
        now = time.monotonic()
        if now - self._spoken.get(subject, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._spoken[subject] = now
        tell(level, text, *values)
        return True
