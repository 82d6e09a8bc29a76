"""Predictions and labels in a database's tables: a query, followed by a column that only ever rises."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from sqlalchemy import Select, Subquery

from monitor.config.model import Columns
from monitor.options import Duration, Secret, parse_duration
from monitor.options import Options as _Options
from monitor.source import SourceError
from monitor.source._database import CHUNK, Database, Reading, once
from monitor.source._feed import POLL_BYTES, Kind, Pulled, held
from monitor.source._marks import Mark, Overlap, alike, at_most, before, mark_of, read, written
from monitor.source._pulled import UnreadableRow
from monitor.source._wire import encoded, features_of, needed, outcomes

ROLES = frozenset({"predictions", "labels"})
HEAVY = False

DAY = 86400.0
HELD_SECONDS = 600.0  # a reading is begun anew after that, so that the database can clean up behind it
KNOWN = 50_000  # so many of the rows that were passed on last are recognised when they are read again


def _overlap(value: object) -> Overlap:
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    try:
        return timedelta(seconds=parse_duration(value))
    except ValueError:
        raise ValueError(f"expected a duration such as 5m, or a number where the mark is one, got {value!r}") from None


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("expected a duration above 0s")
    return seconds


class Options(_Options):
    """A query on any database that SQLAlchemy knows, read again and again from its high-water mark on."""

    url: Annotated[Secret, Field(description="the database, as `postgresql://user:password@host:5432/database`")]
    query: Annotated[
        str, Field(min_length=1, description="what gives the rows; it is the owner's own SQL, and only read")
    ]
    mark: Annotated[
        str,
        Field(
            min_length=1, description="the column that rises with every new row: a number or a time, best with an index"
        ),
    ]
    overlap: Annotated[
        Overlap | None,
        BeforeValidator(_overlap),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]}),
        Field(
            description="so far before the highest mark it reads again, as transactions commit late; a duration, or a"
            " number where the mark is one; left out: 5m or 1000"
        ),
    ] = None
    every: Annotated[Duration, AfterValidator(_positive)] = 60.0
    timeout: Annotated[Duration, AfterValidator(_positive)] = 30.0


@dataclass(frozen=True, slots=True)
class _Place:
    """The highest mark so far; in the middle of a pass over the rows, the mark it has come to; the rows passed on.

    By their number two positions differ even where rows came under a mark that was there before.
    """

    high: Mark | None = None
    at: Mark | None = None
    rows: int = 0


class SqlFeed:
    """The rows of a query, pass after pass: each from a little before the highest mark to the end, by rising mark.

    A pass is one statement whose cursor stays open between polls, so that rows of one mark need no order of their own.
    """

    def __init__(self, options: Options, *, kind: Kind, columns: Columns, directory: Path) -> None:
        self.every_seconds = options.every
        self._options, self._kind, self._columns = options, kind, columns
        self._database = Database(options, directory, timeout_seconds=options.timeout)
        self._reading: Reading | None = None
        self._began, self._from = 0.0, _Place()  # of the reading: when (Unix seconds), and where it took over
        self._returned: str | None = None  # the position behind what was passed on last
        self._known: dict[bytes, Mark] = {}  # rows that were passed on, oldest first
        self._failure: SourceError | None = None  # what stopped it behind what was passed on last
        self._counted = -DAY
        self._checked = False  # whether the query has the columns that are needed

    def poll(self, position: str | None, *, limit: int, timeout_seconds: float) -> Pulled:
        """The next rows behind a position; those of the overlap that were passed on before are left out.

        Raises:
            SourceError: the database does not answer, or the query has not what it needs; rows that came before are
                passed on first, and then this.
            UnreadableRow: it has come to a row whose mark is none, or that the driver cannot read.
        """
        if position != self._returned:  # what was passed on was not kept
            self._forget()
        place = self._place(position)
        deadline = time.monotonic() + timeout_seconds
        try:
            if self._failure is not None:
                raise self._failure
            reading = self._reading or self._begin(place)
            pulled = self._take(reading, place, limit, deadline)
        except UnreadableRow:  # nothing was read that is not in the store
            self._failure = None
            self._end()
            raise
        except BaseException:  # whatever it is, the cursor has moved on from what was not passed on
            self._forget()
            raise
        self._returned = pulled.position
        return pulled

    def _place(self, position: str | None) -> _Place:
        found = held(position, mark=self._options.mark) or {}
        return _Place(read(found.get("high")), read(found.get("at")), found.get("rows", 0))

    def _position(self, place: _Place) -> str:
        marks = {"high": written(place.high), "at": written(place.at)}
        return json.dumps({"mark": self._options.mark, **marks, "rows": place.rows})

    def _forget(self) -> None:
        self._end()
        self._known.clear()
        self._returned = self._failure = None

    def _end(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading = None

    def _begin(self, place: _Place) -> Reading:
        """Start a pass, or go on with one: then, too, what was not committed when the rows were last looked at may be now."""
        low = self._low(place.high if place.at is None else place.at)

        def narrowed(statement: Select[Any], table: Subquery) -> Select[Any]:
            mark = table.c[self._options.mark]
            return statement.where(mark.is_not(None) if low is None else mark >= low).order_by(mark)

        if not self._checked:
            self._check(self._database.columns())
            self._checked = True
        self._reading = self._database.rows(narrowed, mark=self._options.mark)
        self._began, self._from = time.time(), place
        self._check(self._reading.names)
        if self._database.blocks:
            # Who writes to it is the application that is watched: it does not wait until all this is in the store.
            place_of = self._reading.names.index(self._options.mark)
            self._reading.hold(lambda row: self._has_come_further(self._next(None, row[place_of])))
        return self._reading

    def _low(self, high: Mark | None) -> Mark | None:
        return None if high is None else before(high, self._options.overlap)

    def _check(self, names: Sequence[str]) -> None:
        """The columns that are needed are there, and each is there once."""
        once(names)
        for name, key in {self._options.mark: "mark", **needed(self._kind, self._columns)}.items():
            if name not in names:
                raise SourceError(f"query: expected the column {name!r} ({key}), got the columns {', '.join(names)}")

    def _counted_marks(self) -> str:
        """Once a day: how many rows have no mark, and so are never read."""
        if time.monotonic() - self._counted < DAY:
            return ""
        self._counted = time.monotonic()
        mark = self._options.mark
        try:
            rows = self._database.count(mark, lambda column: column.is_(None))
        except SourceError:  # it took too long: to know it is not worth more
            return ""
        return f"{rows} rows have no {mark}, and are not read before they have" if rows else ""

    def _take(self, reading: Reading, place: _Place, limit: int, deadline: float) -> Pulled:
        records: list[bytes] = []
        mark: Mark | None = None
        rows = size = skipped = 0
        done = False
        try:
            while not done and rows < limit and size < POLL_BYTES and (not rows or time.monotonic() < deadline):
                chunk = reading.fetch(min(CHUNK, limit - rows))
                done = not chunk
                rows += len(chunk)
                for row in chunk:
                    values = dict(zip(reading.names, row, strict=True))
                    mark = self._next(mark, values[self._options.mark])
                    whole, record = self._record(values)
                    if not self._is_known(record, mark):
                        records += [record] if whole else []
                        skipped += not whole
                        size += len(record)
        except SourceError as error:
            if not records and not skipped:
                raise
            self._failure = error
        ended = done and reading.exhausted
        behind = self._behind(mark, place, passed=len(records) + skipped, ended=ended)
        if ended:
            self._close_pass(behind.high)
        elif done or self._failure or self._is_long_ago(mark):
            self._end()
        caution = self._counted_marks() if ended else ""
        return Pulled(records, self._position(behind), more=not ended, skipped=skipped, caution=caution)

    def _behind(self, mark: Mark | None, place: _Place, *, passed: int, ended: bool) -> _Place:
        """Where the feed is behind a row with this mark."""
        high, at = place.high, place.at
        if mark is not None:
            here = at_most(mark, self._began)
            at, high = _higher(at, here), _higher(high, here)
        return _Place(high, None if ended else at, place.rows + passed)

    def _is_long_ago(self, mark: Mark | None) -> bool:
        """Whether the reading is to end here, as it began long ago and another can go on behind this mark."""
        return time.time() - self._began > HELD_SECONDS and mark is not None and self._has_come_further(mark)

    def _has_come_further(self, mark: Mark) -> bool:
        """Whether a reading that ends here has come further than those before it, and so will the next one."""
        high = self._from.high
        return (high is None or mark > high) and at_most(mark, self._began) == mark  # type: ignore[operator]

    def _next(self, last: Mark | None, value: Any) -> Mark:
        name = self._options.mark
        try:
            mark = mark_of(value, name)
        except SourceError as error:
            raise UnreadableRow(str(error)) from None
        for other in (last, self._from.at, self._from.high):
            if other is not None and not alike(mark, other):
                raise UnreadableRow(f"mark: expected values of one kind in {name}, got {other!r} and {mark!r}")
        return mark

    def _close_pass(self, high: Mark | None) -> None:
        self._end()
        low = self._low(high)
        if low is not None:
            self._known = {row: mark for row, mark in self._known.items() if mark >= low}  # type: ignore[operator]

    def _is_known(self, record: bytes, mark: Mark) -> bool:
        row = blake2b(record, digest_size=16).digest()
        known = self._known.pop(row, None) is not None
        self._known[row] = mark
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        return known

    def _record(self, values: dict[str, Any]) -> tuple[bool, bytes]:
        """A row in wire form, and whether it is a record: one whose label is still to come is none."""
        found = outcomes(values, self._kind, self._columns)
        if self._kind == "labels":
            return "label" in found, encoded(found)
        apart = self._columns.names() | {self._options.mark}
        features = features_of([name for name in values if name not in apart], values)
        return True, encoded(found | {"features": features})

    def confirm(self, position: str) -> None:
        """A table keeps no account of who has read it."""

    def close(self) -> None:
        """Let go of the database."""
        self._end()
        self._database.close()


def _higher(mark: Mark | None, other: Mark) -> Mark:
    return other if mark is None or other > mark else mark  # type: ignore[operator]


def open_feed(options: Options, *, kind: Kind, columns: Columns, directory: Path) -> SqlFeed:
    """Follow the rows of a query.

    Args:
        options: the query, and where it runs.
        kind: what its rows are.
        columns: what the columns with a part to play are called; all others of a prediction are features.
        directory: where relative paths start (of SQLite).

    Raises:
        SourceError: the URL is none, or its driver is not installed.
    """
    return SqlFeed(options, kind=kind, columns=columns, directory=directory)
