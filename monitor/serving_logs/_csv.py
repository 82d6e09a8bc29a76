"""Rows of comma-separated values, as endpoints take and give them: most often without a header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from monitor.serving_logs._table import Column, Table, table
from monitor.serving_logs._values import Limits, scalar
from monitor.serving_logs.unreadable import Reason, Unreadable

_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def csv_table(text: str, names: Sequence[str], limits: Limits) -> Table:
    r"""The rows of a CSV text. A first row that holds the names of all declared features is a header.

    Raises:
        Unreadable: it is no CSV, its rows differ in length, or there are too many.

    >>> csv_table("0.5,red\n1,", [], Limits()).columns[0].values
    [[0.5, 'red'], [1, None]]
    """
    if text.count(",") + text.count("\n") > limits.values:
        raise Unreadable(Reason.TOO_LARGE, f"expected at most {limits.values} values in a body")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise Unreadable(Reason.NOT_CSV, f"expected CSV: {error}") from None
    parts = rows.pop(0) if rows and names and set(names) <= set(rows[0]) else []
    if len({len(row) for row in [*rows, *([parts] if parts else [])]}) > 1:
        raise Unreadable(Reason.SHAPE_MISMATCH, "expected CSV rows of one length")
    return table([Column("", [[_cell(cell) for cell in row] for row in rows], parts)], limits)


def _cell(text: str) -> Any:
    """A number where it is written as one, None where there is nothing."""
    plain = text.strip()
    if _WHOLE.fullmatch(plain):
        return scalar(int(plain))
    if _NUMBER.fullmatch(plain):
        return scalar(float(plain))
    return None if plain == "" or plain.lower() == "nan" else plain
