"""What a request or a response holds, row by row, whichever protocol it came in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from monitor.serving_logs._values import Limits
from monitor.serving_logs.unreadable import Reason, Unreadable, cut


class Column(msgspec.Struct, frozen=True):
    """One input or output.

    Attributes:
        name: as the body calls it, empty where it does not.
        values: one a row: a scalar, a list (of lists), or an object whose entries are named.
        parts: how the body calls the entries of a row, empty where it does not.
    """

    name: str
    values: list[Any]
    parts: list[str] = []


class Table(msgspec.Struct, frozen=True):
    """Columns of one length.

    Attributes:
        columns: at least one.
        tensors: whether the columns' names are those of tensors (such as `input-0`), which need not be the features'.
    """

    columns: list[Column]
    tensors: bool = False

    def __len__(self) -> int:
        return len(self.columns[0].values) if self.columns else 0


def table(columns: Sequence[Column], limits: Limits, *, tensors: bool = False) -> Table:
    """Columns that agree on how many rows there are.

    Raises:
        Unreadable: they don't, they are none, two have one name, or there are too many rows.
    """
    if not columns:
        raise Unreadable(Reason.UNKNOWN_BODY, "expected at least one input or output, got none")
    counts = {len(column.values) for column in columns}
    if len(counts) > 1:
        raise Unreadable(
            Reason.ROW_COUNTS, f"expected as many rows in all inputs or outputs, got {_few(sorted(counts))}"
        )
    if max(counts) > limits.rows:
        raise Unreadable(Reason.TOO_MANY_ROWS, f"expected at most {limits.rows} rows, got {max(counts)}")
    names = [column.name for column in columns]
    unique([name for name in names if name])
    return Table(list(columns), tensors)


def unique(names: Sequence[str]) -> None:
    """Nothing goes by the name of something else.

    Raises:
        Unreadable: two have one name.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Unreadable(Reason.DUPLICATE_NAME, f"expected each name once, got {cut(name)} twice")
        seen.add(name)


def by_row(value: Any, limits: Limits) -> Table:
    """A list as one row each, anything else as one row."""
    return table([Column("", value if isinstance(value, list) else [value])], limits)


def by_column(value: Any, limits: Limits) -> Table:
    """An object of lists of one length as columns; an object of something else is one row, a list is rows.

    >>> [column.name for column in by_column({"a": [1, 2], "b": [3, 4]}, Limits()).columns]
    ['a', 'b']
    """
    columns = value if isinstance(value, dict) and all(isinstance(held, list) for held in value.values()) else {}
    if len({len(held) for held in columns.values()}) == 1:
        return table([Column(name, held) for name, held in columns.items()], limits, tensors=True)
    return by_row(value, limits)


def _few(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5]))
