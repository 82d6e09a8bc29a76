"""Records on their way: a bounded queue between the app's threads and the one that sends, and what became of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from threading import Condition, RLock
from typing import NamedTuple

from monitor.client._limits import Limits

MOST_REASONS = 20
OTHER = "other"
Entry = tuple[str, bytes]  # kind (predictions or labels) and JSON


class Dropped(StrEnum):
    """Why a record never reached the daemon."""

    QUEUE_FULL = "queue_full"
    NOT_SERIALISABLE = "not_serialisable"
    TOO_LARGE = "too_large"
    REFUSED = "refused"  # by an answer that would be the same again
    GAVE_UP = "gave_up"  # the daemon failed on it too often
    CLOSED = "closed"


class Stats(NamedTuple):
    """Counts of one client in this process since it began.

    `queued` = `accepted` + rejected + `waiting` + those dropped for `refused`, `gave_up` or `closed` while they waited.
    """

    queued: int
    waiting: int
    waiting_bytes: int
    sent: int
    accepted: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    retries: int


class Backlog:
    """The queue. Every method may be called from any thread, and none but `take`, `pause` and `flush` waits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Reentrant, for a signal's handler or a finaliser may log a record while its own thread holds this.
        self._changed = Condition(RLock())
        self._entries: deque[Entry] = deque()
        self._inbox: deque[tuple[str, bytes | None]] = deque()
        self._inside = False
        self._queued = self._settled = self._bytes = 0
        self._accepted = self._retries = 0
        self._rejected: dict[str, int] = {}
        self._dropped: dict[str, int] = {}
        self._flushes = self._heard_flushes = self._flush_target = 0
        self._closing = self.stopped = False
        self.detail = ""  # what was wrong with the last record that could not be queued

    # --- the app's side -----------------------------------------------------------------------------------------------

    def put(self, kind: str, line: bytes) -> None:
        """Queue a record, or drop it where there is no room."""
        self._take_in(kind, line)

    def drop(self, reason: Dropped, detail: str = "") -> None:
        """Count a record that was never queued."""
        self._take_in(reason, None)
        self.detail = detail or self.detail

    @property
    def is_full(self) -> bool:
        """Whether one more record would be dropped, so that it need not be written."""
        return self._queued - self._settled >= self._limits.queue_records and not self._closing

    def _take_in(self, kind: str, line: bytes | None) -> None:
        """Queue or count it now, or, in a handler that has interrupted this thread right here, leave it to the one below."""
        with self._changed:
            self._inbox.append((kind, line))
            while self._inbox and not self._inside:
                self._inside = True
                try:
                    while self._inbox:
                        self._place(*self._inbox.popleft())
                finally:
                    self._inside = False

    def _place(self, kind: str, line: bytes | None) -> None:
        limits, before = self._limits, self._bytes
        if line is None:
            self._drop(Dropped(kind), 1)
        elif self._closing:
            self._drop(Dropped.CLOSED, 1)
        elif self._queued - self._settled >= limits.queue_records or before + len(line) > limits.queue_bytes:
            self._drop(Dropped.QUEUE_FULL, 1)
        else:
            self._entries.append((kind, line))
            self._queued += 1
            self._bytes = after = before + len(line)
            full = len(self._entries) == limits.batch_records or before < limits.batch_bytes <= after
            if full or not before:
                self._changed.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        """Have everything that is queued by now sent at once; whether it was settled in time."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            target = self._flush_target = self._queued
            self._flushes += 1
            self._changed.notify_all()
            while self._settled < target:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def close(self) -> None:
        """Take no more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def stop(self) -> int:
        """Give up on what still waits, and say how much that is."""
        with self._changed:
            self._closing = self.stopped = True
            self._inside, left = True, len(self._entries)
            size = sum(len(line) for _, line in self._entries)
            self._entries.clear()
            self._settle(left, size)
            self._drop(Dropped.CLOSED, left)
            self._inside = False
        return left

    def stats(self) -> Stats:
        with self._changed:
            rejected = sum(self._rejected.values())
            return Stats(
                queued=self._queued,
                waiting=self._queued - self._settled,
                waiting_bytes=self._bytes,
                sent=self._accepted + rejected,
                accepted=self._accepted,
                rejected=dict(self._rejected),
                dropped=dict(self._dropped),
                retries=self._retries,
            )

    # --- the sender's side --------------------------------------------------------------------------------------------

    def take(self, idle_seconds: float) -> list[Entry]:
        """The next batch, once it is large or old enough, or somebody flushes; empty after so long without any."""
        limits = self._limits
        with self._changed:
            if not self._entries and not self._closing:
                self._changed.wait(idle_seconds)
            until = time.monotonic() + limits.delay_seconds
            while self._entries and not self._is_due():
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._next()

    def _next(self) -> list[Entry]:
        taken: list[Entry] = []
        size = 0
        while self._entries and len(taken) < self._limits.batch_records:
            size += len(self._entries[0][1])
            if taken and size > self._limits.batch_bytes:
                break
            taken.append(self._entries.popleft())
        return taken

    def _is_due(self) -> bool:
        full = len(self._entries) >= self._limits.batch_records or self._bytes >= self._limits.batch_bytes
        return full or self._closing or self._settled < self._flush_target

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._closing and not self._entries

    def pause(self, seconds: float, *, kept: bool) -> bool:
        """Wait before the next attempt; a flush cuts it short unless it is to be kept. Whether it was cut short."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._retries += 1
            while not self.stopped and (left := deadline - time.monotonic()) > 0:
                if not kept and self._flushes != self._heard_flushes:
                    self._heard_flushes = self._flushes
                    return True
                self._changed.wait(left)
        return False

    def answered(self, lines: Sequence[bytes], rejected: Iterable[str]) -> None:
        """The daemon has taken these, but for some that it has rejected for these reasons."""
        with self._changed:
            accepted = len(lines)
            for reason in rejected:
                known = reason if reason in self._rejected or len(self._rejected) < MOST_REASONS else OTHER
                self._rejected[known] = self._rejected.get(known, 0) + 1
                accepted -= 1
            self._accepted += accepted
            self._settle(len(lines), sum(map(len, lines)))

    def lost(self, lines: Sequence[bytes], reason: Dropped) -> None:
        """These will not be sent again."""
        with self._changed:
            self._drop(reason, len(lines))
            self._settle(len(lines), sum(map(len, lines)))

    def _settle(self, count: int, size: int) -> None:
        self._settled += count
        self._bytes -= size
        self._changed.notify_all()

    def _drop(self, reason: Dropped, count: int) -> None:
        if count:
            self._dropped[reason.value] = self._dropped.get(reason.value, 0) + count
