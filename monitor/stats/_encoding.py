"""Numbers for a table: numeric and categorical columns as one matrix of bounded width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from monitor.records import Coded, Column, ColumnKind, FloatArray, IntArray, ObjectArray

WIDTH = 112  # so many columns in all, as far as there are not more columns to begin with
WIDEST, NARROWEST = 32, 4  # so many for one categorical column
SHARED = 4  # categories too rare for a column of their own share so many

Values = FloatArray | ObjectArray | Coded


def encode_table(
    reference: Mapping[str, Values], current: Mapping[str, Values], columns: Sequence[Column], stretch: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Both sides as numbers, shapes (N, d) and (n, d), column for column alike.

    A numeric column stays as it is, with an indicator beside it where values are missing on either side (and NaN in its own
    place). A categorical one becomes an indicator for each of its most frequent categories; the others share four, by their
    rank; a missing value has its own indicator, and so has a category that is unseen. Unseen is what no other stretch of the
    reference holds. So a column in which new values are usual, such as a name, is no drift, and one in which they are not, is.

    Args:
        reference: values by column.
        current: likewise; a column that is not in it is missing in every row.
        columns: the numeric and categorical columns of the table.
        stretch: by row of the reference, the number of its stretch.
    """
    categorical = sum(column.kind is ColumnKind.CATEGORICAL for column in columns)
    allowed = (WIDTH - len(columns) + categorical) // max(categorical, 1)
    width = min(max(allowed, NARROWEST), WIDEST)
    rows = len(next(iter(current.values()))) if current else 0
    before: list[FloatArray] = []
    after: list[FloatArray] = []
    for column in columns:
        first, second = reference[column.name], current.get(column.name)
        if column.kind is ColumnKind.NUMERIC:
            pair = _numeric(first, np.full(rows, np.nan) if second is None else second)
        else:
            pair = _categorical(_spelled(first), [None] * rows if second is None else _spelled(second), stretch, width)
        before.append(pair[0])
        after.append(pair[1])
    if not columns:
        return np.zeros((len(stretch), 0)), np.zeros((rows, 0))
    return np.hstack(before), np.hstack(after)


def _numeric(reference: Any, current: Any) -> tuple[FloatArray, FloatArray]:
    sides = [np.asarray(side, dtype=np.float64)[:, None] for side in (reference, current)]
    if all(np.isfinite(side).all() for side in sides):
        return sides[0], sides[1]
    first, second = (np.hstack([side, ~np.isfinite(side)]) for side in sides)
    return first, second


def _spelled(values: Values) -> list[str | None]:
    found: list[str | None] = (values.spelled() if isinstance(values, Coded) else values).tolist()
    return found


def _categorical(
    reference: list[str | None], current: list[str | None], stretch: IntArray, width: int
) -> tuple[FloatArray, FloatArray]:
    counted = Counter(value for value in reference if value is not None)
    ordered = sorted(counted, key=lambda name: (-counted[name], name))
    own = min(len(ordered), width)
    codes: dict[str | None, int] = {name: place for place, name in enumerate(ordered[:own])}
    codes |= {name: own + place % SHARED for place, name in enumerate(ordered[own:])}
    codes[None] = own + SHARED
    before, after = unseen_elsewhere(reference, current, stretch, turns_of(len(current), stretch))
    sides = []
    for values, unseen in ((reference, before), (current, after)):
        place = np.array([codes.get(value, -1) for value in values], dtype=np.int64)
        place[unseen > 0] = -1
        one_hot = np.hstack([place[:, None] == np.arange(own + SHARED + 1), unseen[:, None]])
        sides.append(one_hot.astype(np.float64))
    used = np.flatnonzero(sides[0].any(axis=0) | sides[1].any(axis=0))
    return sides[0][:, used], sides[1][:, used]


SEVERAL = -2  # no stretch has this number


def unseen_elsewhere(
    reference: Sequence[Any], current: Sequence[Any], stretch: IntArray, turns: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Which values no other stretch of the reference holds: 1 for these, else 0; shapes (N,) and (n,). None is never unseen.

    Args:
        reference: values, shape (N,).
        current: values, shape (n,).
        stretch: by value of the reference, the number of its stretch.
        turns: by value of the window, the stretch it is not compared with; see `turns_of`.

    >>> before, after = unseen_elsewhere(["a", "a", "b", "a"], ["a", "c", "b"], np.array([0, 0, 1, 1]), np.array([0, 1, 1]))
    >>> before.tolist(), after.tolist()
    ([0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0])
    """
    homes: dict[Any, int] = {}
    for value, own in zip(reference, stretch.tolist(), strict=True):
        if homes.setdefault(value, own) != own:
            homes[value] = SEVERAL
    before = [value is not None and homes[value] == own for value, own in zip(reference, stretch.tolist(), strict=True)]
    after = [
        value is not None and homes.get(value, own) == own for value, own in zip(current, turns.tolist(), strict=True)
    ]
    return np.array(before, dtype=np.float64), np.array(after, dtype=np.float64)


def turns_of(rows: int, stretch: IntArray) -> IntArray:
    """By row of the window, one of the stretches in turns: its values are not looked for there.

    A row of the reference is not looked for in its own stretch; so both are as likely to be unseen where nothing has changed.

    >>> turns_of(5, np.array([3, 3, 4])).tolist()
    [3, 4, 3, 4, 3]
    """
    numbers = np.unique(stretch)
    return numbers[np.arange(rows) % len(numbers)]
