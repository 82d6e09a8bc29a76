"""Predictions and labels in a stream of Redis: one record in each entry, as JSON in one field or field by field."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from monitor.config.model import Columns
from monitor.options import Options as _Options
from monitor.options import Secret
from monitor.source import SourceError
from monitor.source._feed import POLL_BYTES, Kind, Pulled, Start, held, hidden, optional, start_seconds
from monitor.source._wire import flat_record

ROLES = frozenset({"predictions", "labels"})
HEAVY = False

ANSWER_SECONDS = 10.0
BLOCK_SECONDS = 5.0  # of one question for new entries; shorter than an answer may take
GUESS_BYTES = 1 << 20  # of an entry, at the first question of a poll
FIRST = "0-0"
QUESTION_ROWS = 100  # entries in one answer; how large they are is known when they are here


class Options(_Options):
    """A stream, read from the position in the store on; a group is only told how far it was read."""

    url: Annotated[
        Secret, Field(description="the server, as `redis://user:password@host:6379/0`, `rediss://` or `unix://`")
    ]
    stream: Annotated[str, Field(min_length=1, description="the key of the stream")]
    group: Annotated[
        str | None,
        Field(
            min_length=1,
            description="a group that nobody else reads by: it is moved along, so that its lag can be watched",
        ),
    ] = None
    field: Annotated[
        str,
        Field(
            min_length=1,
            description="the field that holds a record as JSON; an entry without it is a record field by field, its"
            " features called `features.<name>`",
        ),
    ] = "data"
    start: Annotated[
        Start, Field(description="where to begin the first time: with what there is, with what is new, or at a time")
    ] = "earliest"


@dataclass(frozen=True, slots=True)
class _Place:
    """The id of the last entry that was read, and how many entries were added to the stream up to it, if that is known."""

    last: str
    added: int | None


@dataclass(frozen=True, slots=True)
class _Stream:
    """What the server tells of the stream: `added` is None before Redis 7."""

    length: int
    added: int | None
    newest: str
    oldest: str | None


class RedisFeed:
    """The entries of a stream, read by id."""

    every_seconds = 0.0

    def __init__(self, options: Options, *, kind: Kind, columns: Columns) -> None:
        self._options, self._kind, self._columns = options, kind, columns
        self._redis = optional("redis", "redis", "redis", "type: redis")
        self._largest = GUESS_BYTES
        self._confirmed = ""
        try:
            url = options.url.reveal()
            self._client = self._redis.Redis.from_url(
                url,
                protocol=2,
                client_name="anchorwatch",
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 1),  # for a connection that grew old
            )
        except OSError as error:
            raise SourceError(f"url: cannot read {options.url.path}: {error.strerror}") from None
        except ValueError:  # its message may show a part of a password
            raise SourceError("url: expected one such as redis://user:password@host:6379/0") from None
        self._secrets = [url, self._client.get_connection_kwargs().get("password")]

    def poll(self, position: str | None, *, limit: int, timeout_seconds: float) -> Pulled:
        """The next entries behind a position.

        Raises:
            SourceError: the server does not answer, or there is no such stream.
        """
        deadline = time.monotonic() + timeout_seconds
        found = held(position, stream=self._options.stream)
        try:
            place = self._first() if found is None else _Place(found["id"], found["added"])
            if found is None:
                return Pulled([], self._position(place), more=True)
            if position != self._confirmed:
                self._group()
                self.confirm(str(position))
            pulled = self._take(place, limit)
            if not pulled.records and not pulled.more and self._waited(place, deadline):
                pulled = self._take(place, limit)
        except self._redis.RedisError as error:
            raise SourceError(f"redis: {hidden(str(error), *self._secrets)}") from None
        return pulled

    def _position(self, place: _Place) -> str:
        return json.dumps({"stream": self._options.stream, "id": place.last, "added": place.added})

    def _first(self) -> _Place:
        """Where to begin. A stream that is not there yet is read from its first entry on."""
        stream = self._stream()
        start = self._options.start
        if stream is None:
            return _Place(FIRST, 0)
        if start == "earliest":
            return _Place(FIRST, _gone(stream))
        if start == "latest":
            return _Place(stream.newest, stream.added)
        asked = f"{max(int(start_seconds(start) * 1000), 1) - 1}-{(1 << 64) - 1}"
        # Behind its newest entry a stream has no place yet: one would look as if the stream had been made anew.
        return _Place(stream.newest, stream.added) if _is_older(stream.newest, asked) else _Place(asked, None)

    def _stream(self) -> _Stream | None:
        try:
            return _told(self._client.xinfo_stream(self._options.stream))
        except self._redis.ResponseError as error:
            if "no such key" in str(error):
                return None
            raise

    def _take(self, place: _Place, limit: int) -> Pulled:
        records: list[bytes] = []
        size = lost = 0
        self._largest = max(self._largest, GUESS_BYTES)
        while size < POLL_BYTES and len(records) < limit:
            rows = min(limit - len(records), QUESTION_ROWS, max((POLL_BYTES - size) // self._largest, 1))
            entries, stream = self._entries(place, rows)
            if _is_older(stream.newest, place.last):
                # The server forgot what it had, or the stream was made anew. Ids make harmless what comes twice.
                place = _Place(FIRST, _gone(stream))
                continue
            place, gone = _advanced(place, entries, stream)
            lost += gone
            records += [self._record(fields) for _, fields in entries]
            sizes = [sum(len(name) + len(value) for name, value in fields.items()) for _, fields in entries]
            # Forgotten by halves, so that an answer has at most twice the entries of the one before.
            size, self._largest = size + sum(sizes), max(self._largest // 2, 1, *sizes)
            if place.last == stream.newest or not entries:
                return Pulled(records, self._position(place), lost=lost)
        return Pulled(records, self._position(place), more=True, lost=lost)

    def _entries(self, place: _Place, rows: int) -> tuple[list[tuple[bytes, dict[bytes, bytes]]], _Stream]:
        """Entries behind a place, and what the stream was like at that moment.

        Raises:
            SourceError: there is no such stream.
        """
        with self._client.pipeline(transaction=True) as pipe:
            pipe.xrange(self._options.stream, min=f"({place.last}", count=rows)
            pipe.xinfo_stream(self._options.stream)
            entries, stream = pipe.execute(raise_on_error=False)
        for found in (entries, stream):
            if isinstance(found, Exception):
                if "no such key" in str(found):
                    raise SourceError(f"redis: expected the stream {self._options.stream!r}, found none")
                raise found
        return entries, _told(stream)

    def _waited(self, place: _Place, deadline: float) -> bool:
        """Whether something came before the deadline."""
        while (seconds := min(deadline - time.monotonic(), BLOCK_SECONDS)) > 0.001:
            if self._client.xread({self._options.stream: place.last}, count=1, block=int(seconds * 1000)):
                return True
        return False

    def _record(self, fields: Mapping[bytes, bytes]) -> bytes:
        whole = fields.get(self._options.field.encode())
        if whole is not None:
            return whole
        return flat_record(fields, self._kind, self._columns)

    def _group(self) -> None:
        """See that nobody reads by the group, whose cursor would be taken from them.

        Raises:
            SourceError: somebody does.
        """
        name = self._options.group
        if name is None:
            return
        with suppress(self._redis.ResponseError):
            for group in self._client.xinfo_groups(self._options.stream):
                if group["name"] == name.encode() and group["consumers"]:
                    raise SourceError(
                        f"redis: expected a group of its own, got {name!r}, which {group['consumers']} consumers read by"
                    )

    def confirm(self, position: str) -> None:
        """Move the group along, so that its lag is right."""
        self._confirmed = position
        found, name = held(position, stream=self._options.stream), self._options.group
        if found is None or name is None:
            return
        stream, added = self._options.stream, found["added"]
        place = (found["id"], *(() if added is None else ("ENTRIESREAD", added)))
        with suppress(self._redis.RedisError):
            try:
                self._client.execute_command("XGROUP SETID", stream, name, *place)
            except self._redis.ResponseError as error:
                if "NOGROUP" in str(error):
                    self._client.execute_command("XGROUP CREATE", stream, name, *place)

    def close(self) -> None:
        """Leave the server."""
        with suppress(self._redis.RedisError):
            self._client.close()


def _advanced(place: _Place, entries: list[tuple[bytes, Any]], stream: _Stream) -> tuple[_Place, int]:
    """Behind these entries, and how many that were added before them are gone."""
    last = entries[-1][0].decode() if entries else place.last
    at_end = last == stream.newest or not entries
    if stream.added is None or place.added is None:
        return _Place(last, stream.added if at_end else None), 0
    # A stream with fewer entries than were counted is another one under the same name.
    seen = (place.added if place.added <= stream.added else 0) + len(entries)
    lost = 0
    if at_end:
        lost = stream.added - seen  # all that was ever added and is not here
    elif stream.oldest is not None and _is_older(place.last, stream.oldest):
        lost = stream.added - stream.length + len(entries) - seen  # all that is left lies behind the place
    return _Place(last, seen + max(lost, 0)), max(lost, 0)


def _gone(stream: _Stream) -> int | None:
    """How many entries were added to a stream and are not there any more."""
    return None if stream.added is None else stream.added - stream.length


def _is_older(entry: str, other: str) -> bool:
    return _parts(entry) < _parts(other)


def _parts(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number)


def _told(found: Mapping[str, Any]) -> _Stream:
    oldest = found["first-entry"]
    return _Stream(
        found["length"],
        found.get("entries-added"),
        _text(found["last-generated-id"]),
        _text(oldest[0]) if oldest else None,
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def open_feed(options: Options, *, kind: Kind, columns: Columns, directory: Path) -> RedisFeed:  # noqa: ARG001
    """Follow a stream.

    Args:
        options: which stream, and where.
        kind: what its entries are.
        columns: what the fields with a part to play are called, in entries that have no JSON.
        directory: not looked at.

    Raises:
        SourceError: redis is not installed, or the URL is none.
    """
    return RedisFeed(options, kind=kind, columns=columns)
