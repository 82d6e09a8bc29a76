"""A daemon as far as a feed sees it: what a poll brought is written together with its position, or is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from monitor.source._feed import Feed, Pulled
from tests.servers import eventually

# What becomes of a poll, and of the daemon: a crash may come before the records are written, or before it is confirmed.
Ending = Literal["confirmed", "unconfirmed", "not written", "crashed", "crashed unconfirmed", "crashed unwritten"]
ENDINGS: tuple[Ending, ...] = (
    "confirmed", "unconfirmed", "not written", "crashed", "crashed unconfirmed", "crashed unwritten",
)  # fmt: skip


@dataclass
class Daemon:
    """A store, and the feed that fills it."""

    opened: Callable[[], Feed]
    records: list[bytes] = field(default_factory=list)
    position: str | None = None
    skipped: int = 0
    lost: int = 0
    cautions: list[str] = field(default_factory=list)
    feed: Feed | None = None

    def poll(self, *, limit: int = 1000, seconds: float = 0.1, ending: Ending = "confirmed") -> Pulled:
        if self.feed is None:
            self.feed = self.opened()
        pulled = self.feed.poll(self.position, limit=limit, timeout_seconds=seconds)
        json.loads(pulled.position)
        if ending not in ("not written", "crashed unwritten"):
            self.records += pulled.records
            self.position = pulled.position
            self.skipped += pulled.skipped
            self.lost += pulled.lost
            self.cautions += [pulled.caution] if pulled.caution else []
        if ending in ("confirmed", "crashed"):
            assert self.position is not None
            self.feed.confirm(self.position)
        if ending.startswith("crashed"):
            self.close()
        return pulled

    def close(self) -> None:
        if self.feed is not None:
            self.feed.close()
        self.feed = None

    def polled(self, enough: int, *, limit: int = 1000) -> list[Any]:
        """What is in the store once it holds so many records."""

        def there() -> bool:
            self.poll(limit=limit)
            return len(self.records) >= enough

        eventually(there)
        return self.found()

    def all(self, *, limit: int = 1000) -> list[Any]:
        """What is in the store once nothing more is waiting."""
        while self.poll(limit=limit).more:
            pass
        return self.found()

    def found(self) -> list[Any]:
        return [json.loads(record) for record in self.records]

    def ids(self) -> list[str]:
        return [each["event_id"] for each in self.found()]
