"""Row-major values and the shape that they are to have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from monitor.serving_logs._values import DEPTH, Limits
from monitor.serving_logs.unreadable import Reason, Unreadable, cut


def shape_of(value: Any, name: str, limits: Limits) -> tuple[int, ...]:
    """A shape as a body tells it: lengths, each a whole number.

    Raises:
        Unreadable: it is something else, or of too many rows or values.
    """
    whole = isinstance(value, list) and len(value) <= DEPTH and all(type(size) is int and size >= 0 for size in value)
    if not whole:
        raise Unreadable(Reason.SHAPE_MISMATCH, f"{cut(name)}: expected a shape of at most {DEPTH} whole numbers")
    if value and value[0] > limits.rows:
        raise Unreadable(Reason.TOO_MANY_ROWS, f"{cut(name)}: expected at most {limits.rows} rows, got {value[0]}")
    if (
        math.prod(max(size, 1) for size in value) > limits.values
    ):  # of (1000000000, 0) each list is empty, and they are many
        raise Unreadable(Reason.TOO_LARGE, f"{cut(name)}: expected at most {limits.values} values")
    return tuple(value)


def flat(data: Any, shape: Sequence[int], name: str) -> list[Any]:
    """The scalars of a flat or nested list, in row-major order.

    Raises:
        Unreadable: they are not as many as the shape says, or the lists are nested otherwise.

    >>> flat([[1, 2], [3, 4]], (2, 2), "x")
    [1, 2, 3, 4]
    """
    found: list[Any] = data if isinstance(data, list) else [data]
    nested: list[int] = []
    while any(isinstance(item, list) for item in found):
        lengths = {len(item) if isinstance(item, list) else -1 for item in found}
        if len(lengths) > 1:
            raise Unreadable(Reason.SHAPE_MISMATCH, f"{cut(name)}: expected lists of one length")
        nested.append(len(found) // math.prod(nested))
        found = [value for item in found for value in item]
    if len(found) != math.prod(shape):
        got = f"expected {math.prod(shape)} values as the shape says, got {len(found)}"
        raise Unreadable(Reason.SHAPE_MISMATCH, f"{cut(name)}: {got}")
    if nested and found and not _nests(nested, shape):
        raise Unreadable(Reason.SHAPE_MISMATCH, f"{cut(name)}: expected lists nested as the shape says")
    return found


def _nests(nested: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether lists of these lengths, what is within them being flat, are the first axes of a shape."""
    return list(nested) == list(shape[: len(nested)])


def rows(values: list[Any], shape: Sequence[int]) -> list[Any]:
    """Row-major values by row: scalars of a shape (n,) or (n, 1), lists otherwise. No axis at all is one row.

    >>> rows([1, 2, 3, 4], (2, 2)), rows([1, 2], (2, 1)), rows([1, 2, 3, 4, 5, 6, 7, 8], (2, 2, 2))
    ([[1, 2], [3, 4]], [1, 2], [[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    """
    if math.prod(shape[1:]) == 1:
        return values
    found = values
    for axis in range(len(shape) - 1, 0, -1):
        size, count = shape[axis], math.prod(shape[:axis])
        found = [found[place * size : (place + 1) * size] for place in range(count)]
    return found
