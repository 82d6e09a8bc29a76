"""Names for the features of a request's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.serving_logs._table import Table, unique
from monitor.serving_logs._values import is_number
from monitor.serving_logs.unreadable import Reason, Unreadable

Cells = list[tuple[str, Any]]  # a name, empty where none is told, and a scalar or a list


def features(request: Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """The features of each row, by name: scalars, and lists of numbers for features that are vectors.

    A name that the body tells stands, unless it is a tensor's and no tensor goes by a declared name: then the declared names are
    taken in order, if they are as many as the values. Values without a name take the declared names in order, or `f0`, `f1`, … if
    none are declared. A list goes as `<name>_<i>`, or whole if a declared feature has its name.

    Args:
        request: the rows.
        names: of the features that the model declares, in order; empty if it declares none.

    Raises:
        Unreadable: there are more or fewer values without a name than declared features, or two features have one name.

    >>> from monitor.serving_logs._table import Column
    >>> features(Table([Column("", [[1, 2], [3, 4]])]), ["temp", "hour"])
    [{'temp': 1, 'hour': 2}, {'temp': 3, 'hour': 4}]
    >>> features(Table([Column("x", [[1, 2]])], tensors=True), [])
    [{'x_0': 1, 'x_1': 2}]
    """
    declared = frozenset(names)
    return [_named(_cells(request, row), names, declared, tensors=request.tensors) for row in range(len(request))]


def _cells(request: Table, row: int) -> Cells:
    """One row's values, each with the name that the body tells."""
    if len(request.columns) > 1:
        return [(column.name, column.values[row]) for column in request.columns]
    column = request.columns[0]
    value = column.values[row]
    if isinstance(value, dict):
        inner = value.get("features") if len(value) == 1 else None
        return [("", inner)] if isinstance(inner, list) else _flattened(value, "")
    if isinstance(value, list) and len(value) == len(column.parts):
        return list(zip(column.parts, value, strict=True))
    if not isinstance(value, list) and len(column.parts) == 1:
        return [(column.parts[0], value)]
    return [(column.name, value)]


def _flattened(value: dict[str, Any], prefix: str) -> Cells:
    """An object's entries; those of an object within go by both names, with a dot between."""
    cells: Cells = []
    for key, held in value.items():
        cells += _flattened(held, f"{prefix}{key}.") if isinstance(held, dict) else [(f"{prefix}{key}", held)]
    return cells


def _named(cells: Cells, names: Sequence[str], declared: frozenset[str], *, tensors: bool) -> dict[str, Any]:
    unnamed = len(cells) == 1 and not cells[0][0]
    if names and (unnamed or (tensors and declared.isdisjoint(name for name, _ in cells))):
        fitting = _in_order([value for _, value in cells], names)
        if fitting is None and unnamed:
            width = len(cells[0][1]) if isinstance(cells[0][1], list) else 1
            expected = f"expected {len(names)} values in each row, as the model declares features, got {width}"
            raise Unreadable(Reason.WRONG_WIDTH, expected)
        cells = cells if fitting is None else fitting
    elif unnamed:
        values = cells[0][1] if isinstance(cells[0][1], list) else [cells[0][1]]
        cells = [(f"f{place}", value) for place, value in enumerate(values)]
    spread = [cell for name, value in cells for cell in _spread(name, value, whole=name in declared)]
    unique([name for name, _ in spread])
    return dict(spread)


def _in_order(values: list[Any], names: Sequence[str]) -> Cells | None:
    """The values under the declared names: one each, at the first depth where they are as many. Or one list, as a vector."""
    found = values
    while True:
        alone = len(found) == 1 and isinstance(found[0], list)
        if len(found) == len(names) and (not alone or _is_vector(found[0])):
            return list(zip(names, found, strict=True))
        if not any(isinstance(value, list) for value in found):
            return None
        found = [item for value in found for item in (value if isinstance(value, list) else [value])]


def _spread(name: str, value: Any, *, whole: bool) -> Cells:
    """A list as one feature if that is declared, and as one for each of its values otherwise."""
    if not isinstance(value, list):
        return [(name, _plain(value))]
    held = _leaves(value)
    if len(held) == 1:
        return [(name, held[0])]
    if whole and all(item is None or is_number(item) for item in held):
        return [(name, None if None in held else held)]  # a vector with a gap is of no use
    return [(f"{name}_{place}", item) for place, item in enumerate(held)]


def _leaves(value: Any) -> list[Any]:
    """The scalars of nested lists, in order."""
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [_plain(value)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        raise Unreadable(Reason.BAD_VALUE, "expected a number, a text or a list as a feature, got an object")
    return value


def _is_vector(value: list[Any]) -> bool:
    return len(value) > 1 and all(leaf is None or is_number(leaf) for leaf in _leaves(value))
