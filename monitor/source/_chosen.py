"""Files that were chosen to be read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from monitor.source._left_out import LeftOut
from monitor.source._paths import File

SETTLED_SECONDS = 600.0  # what was written longer ago is not being written any more
PARQUET = "read_parquet"

Span = tuple[float, float]  # of time, half open
Dialect = tuple[str, str, str]  # of a CSV: what divides values, quotes them, and escapes quotes


class TextShape(msgspec.Struct, array_like=True, frozen=True):
    """The types of a text's own columns, empty of those that hold nothing, and how it is written if it is a CSV."""

    types: dict[str, str]
    dialect: Dialect | None = None


@dataclass(slots=True)
class Chosen:
    """Files to read, in a fixed order.

    Attributes:
        shown: the path, as messages say it.
        reader: the DuckDB function that reads them.
        files: those that may hold what is asked for.
        sizes: by path, how many bytes of a text are whole.
        types: of the columns of all files: Arrow's of Parquet, DuckDB's of text; None where nobody has looked.
        shapes: by path, the columns of a text.
        partitions: the Arrow types of the columns that the files' paths, or a table's log, tell.
        named: those of them that the configuration speaks of.
        total: how many files there are.
        left_out: those of them that could not be read.
        version: of a Delta table.
    """

    shown: str
    reader: str
    files: list[File]
    sizes: dict[str, int] = field(default_factory=dict)
    types: Mapping[str, Any] | None = None
    shapes: dict[str, TextShape] = field(default_factory=dict)
    partitions: Mapping[str, Any] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    total: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    version: int | None = None

    @property
    def is_pruned(self) -> bool:
        """Whether there are more files than are read."""
        return len(self.files) < self.total

    @property
    def name(self) -> str:
        """What a message calls them: the first one."""
        return self.files[0].name if self.files else self.shown


def is_settled(file: File) -> bool:
    """Whether nobody is writing a file any more."""
    return time.time() - file.modified >= SETTLED_SECONDS
