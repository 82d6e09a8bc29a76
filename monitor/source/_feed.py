"""What is pulled into the daemon's own store: how streams and tables are followed, whatever kind they are.

A source that is pulled has `open_feed(options, *, kind, columns, directory)`, which gives a `Feed`. The position is the
one truth about where to go on: it is written to the store together with the records before it, and what the other side
believes (committed offsets, the cursor of a group) is only told to it, for its own displays.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, Protocol

from monitor.source import SourceError

POLL_BYTES = 8 << 20  # a poll takes no further record beyond so many bytes
Kind = Literal["predictions", "labels"]
Start = Literal["earliest", "latest"] | datetime | date


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one poll brought.

    Attributes:
        records: each one record in wire form, still encoded, and not looked into: what is no JSON is passed on as it came.
        position: where to go on behind them, as JSON that only the feed understands. It may have changed without a record.
        more: whether more is known to be waiting, so that the next poll should come at once.
        skipped: what was read and is no record: a tombstone, a row that has no label yet.
        lost: records that were gone on the other side before they were read, as far as it tells.
        caution: what a person should know of it that is no error; empty where there is nothing.
    """

    records: Sequence[bytes]
    position: str
    more: bool = False
    skipped: int = 0
    lost: int = 0
    caution: str = ""


class Feed(Protocol):
    """One model's predictions or labels, where they are pulled from. It is used by one thread at a time."""

    @property
    def every_seconds(self) -> float:
        """How long to wait after a poll that left nothing waiting; 0 where a poll itself waits for what comes."""

    def poll(self, position: str | None, *, limit: int, timeout_seconds: float) -> Pulled:
        """What comes behind a position; None: there is none yet, go on from the configured start.

        The position always wins over where the feed stood before. After an error the feed can be polled again.

        Args:
            position: the one that is in the store.
            limit: at most so many records; at about `POLL_BYTES` it stops before.
            timeout_seconds: how long to wait where there is nothing.

        Raises:
            SourceError: the other side does not answer, or not as expected.
        """

    def confirm(self, position: str) -> None:
        """The position is on the disk: tell the other side. It fails silently, and may be repeated."""

    def close(self) -> None: ...


def optional(module: str, package: str, extra: str, needed_by: str) -> Any:
    """A module of a package that not everybody has.

    Raises:
        SourceError: it is not installed; names the extra that brings it.

    >>> optional("no_such", "no-such", "such", "type: such")
    Traceback (most recent call last):
    monitor.source.SourceError: expected the package no-such for type: such: install anchorwatch[such]
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SourceError(f"expected the package {package} for {needed_by}: install anchorwatch[{extra}]") from error


def held(position: str | None, **wanted: object) -> dict[str, Any] | None:
    """What a position holds; None where it is one of something else, as after another topic was configured.

    >>> held('{"topic": "a", "offsets": {}}', topic="a"), held('{"topic": "a"}', topic="b"), held(None)
    ({'topic': 'a', 'offsets': {}}, None, None)
    """
    try:
        found = json.loads(position or "null")
    except ValueError:
        return None
    if not isinstance(found, dict) or any(found.get(key) != value for key, value in wanted.items()):
        return None
    return found


def start_seconds(start: datetime | date) -> float:
    """Unix seconds of a configured start; without an offset it is UTC.

    >>> start_seconds(date(1970, 1, 2)), start_seconds(datetime(1970, 1, 1, 0, 1))
    (86400.0, 60.0)
    """
    whole = start if isinstance(start, datetime) else datetime(start.year, start.month, start.day)  # noqa: DTZ001
    return (whole if whole.tzinfo else whole.replace(tzinfo=UTC)).timestamp()


def hidden(text: str, *secrets: str | None) -> str:
    """The first line of a text, without any of these secrets.

    >>> hidden("no entry for hunter2@db", "hunter2", None, "")
    'no entry for ***@db'
    """
    line = text.strip().partition("\n")[0]
    for secret in sorted((each for each in secrets if each), key=len, reverse=True):
        line = line.replace(secret, "***")
    return line
