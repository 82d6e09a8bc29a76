"""High-water marks of tables: numbers or times, kept as JSON, and how far before one is read again."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from monitor.source import SourceError

Mark = int | float | Decimal | datetime | date | str  # a text is a time as SQLite keeps it
Overlap = timedelta | float
OF_TIMES, OF_NUMBERS = timedelta(minutes=5), 1000.0
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:|$)")
_NAMES: dict[str, Callable[[str], Mark]] = {
    "decimal": Decimal,
    "time": datetime.fromisoformat,
    "date": date.fromisoformat,
}


def mark_of(value: Any, name: str) -> Mark:
    """A column's value as a mark.

    Raises:
        SourceError: it is neither a number nor a time.
    """
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value)
    if number or isinstance(value, date):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str):
        with suppress(ValueError):
            datetime.fromisoformat(value if _ISO.match(value) else "")
            return value
    got = f"the text {value[:40]!r}" if isinstance(value, str) else type(value).__name__
    raise SourceError(f"mark: expected a number or a time in every row's {name}, got {got}")


def written(mark: Mark | None) -> Any:
    """A mark as JSON; `read` gives it back.

    >>> written(Decimal("1.5")), read({"decimal": "1.5"}), read(written(None))
    ({'decimal': '1.5'}, Decimal('1.5'), None)
    """
    if isinstance(mark, Decimal):
        return {"decimal": str(mark)}
    if isinstance(mark, datetime):
        return {"time": mark.isoformat()}
    return {"date": mark.isoformat()} if isinstance(mark, date) else mark


def read(found: Any) -> Mark | None:
    """The mark of a piece of JSON."""
    if isinstance(found, dict):
        ((kind, text),) = found.items()
        return _NAMES[kind](text)
    return found  # type: ignore[no-any-return]


def alike(mark: Mark, other: Mark) -> bool:
    """Whether two marks can be compared."""
    try:
        return mark < other or mark >= other  # type: ignore[operator]
    except TypeError:
        return False


def before(mark: Mark, overlap: Overlap | None) -> Mark:
    """So far before a mark: rows from there on are read again. None: as much as is usual.

    Raises:
        SourceError: it is of times, and the mark a number, or the other way round.

    >>> before("2026-01-01T00:10:00.5Z", None), before(5000, None), before(date(2026, 1, 2), timedelta(minutes=5))
    ('2026-01-01T00:05:00', 4000, datetime.date(2026, 1, 1))
    """
    of_times = isinstance(mark, date | str)
    overlap = (OF_TIMES if of_times else OF_NUMBERS) if overlap is None else overlap
    if of_times != isinstance(overlap, timedelta):
        wanted = "a duration, as the mark is a time" if of_times else "a number, as the mark is one"
        raise SourceError(f"overlap: expected {wanted}")
    if isinstance(overlap, timedelta):
        return _earlier(mark, overlap)  # type: ignore[arg-type]
    exact = Decimal(overlap) if isinstance(mark, Decimal) else math.ceil(overlap) if isinstance(mark, int) else overlap
    return mark - exact  # type: ignore[operator]


def _earlier(mark: datetime | date | str, overlap: timedelta) -> Mark:
    try:
        if isinstance(mark, str):
            return _spelled(datetime.fromisoformat(mark) - overlap, mark)
        if isinstance(mark, datetime):
            return mark - overlap
        return (datetime(mark.year, mark.month, mark.day, tzinfo=UTC) - overlap).date()
    except OverflowError:  # before the year 1 there is nothing to repeat
        return mark


def _spelled(moment: datetime, like: str) -> str:
    """A time as text that sorts before all times of its second, spelled as another one is."""
    if len(like) <= len("2026-01-01"):
        return moment.date().isoformat()
    return moment.replace(tzinfo=None).isoformat(like[10], "seconds")


def at_most(mark: Mark, now: float) -> Mark:
    """The mark, or the present where it lies in the future: one row with a wrong clock must not hide all that come after.

    >>> at_most("9999-01-01 00:00:00", 0.0), at_most(7, 0.0), at_most(datetime(1970, 1, 1), 9.0)
    ('1970-01-01 00:00:00', 7, datetime.datetime(1970, 1, 1, 0, 0))
    """
    if not isinstance(mark, date | str):
        return mark
    moment = datetime.fromisoformat(mark) if isinstance(mark, str) else mark
    present = datetime.fromtimestamp(now, UTC)
    if not isinstance(moment, datetime):
        return min(moment, present.date())
    present = present.astimezone(moment.tzinfo) if moment.tzinfo else present.replace(tzinfo=None)
    if moment <= present:
        return mark
    return _spelled(present, mark) if isinstance(mark, str) else present
