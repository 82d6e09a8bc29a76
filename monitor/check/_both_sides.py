"""Raw rows of a window and of its reference, for a check that looks at columns by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from monitor.check._context import Context
from monitor.profile import Reference, cutter_for
from monitor.profile.reference import Covered
from monitor.records import Column, ColumnKind, EventBatch, NoData, Role
from monitor.source import SourceError
from monitor.source._reference import read_rows
from monitor.windows import window_seconds

BINNED = frozenset({ColumnKind.NUMERIC, ColumnKind.CATEGORICAL})
LONG_ROWS = 200  # of vectors and texts, which are only looked for


def features(reference: Reference) -> tuple[Column, ...]:
    """The features of a reference."""
    return tuple(column for column in reference.columns if column.role is Role.FEATURE)


class Rows:
    """Reads raw rows; those of a window are read once for all versions that have the same columns.

    Args:
        context: of the window.
        limit: so many rows of each version, and of a reference.
    """

    def __init__(self, context: Context, *, limit: int) -> None:
        self._context, self._limit = context, limit
        self._read: dict[tuple[Column, ...], Mapping[str, EventBatch]] = {}

    def of_window(self, version: str, columns: Sequence[Column]) -> EventBatch:
        """The window's rows in order of time. Of vectors and texts there are only some, to see whether there are any.

        Raises:
            NoData: there are none.
            SourceError: they cannot be read.
        """
        short = tuple(column for column in columns if column.kind in BINNED)
        long = tuple(column for column in columns if column.kind not in BINNED)
        found = self._window(short, self._limit).get(version)
        if found is None or not len(found):
            raise NoData("no rows of the window are kept")
        if not long:
            return found
        some = self._window(long, LONG_ROWS)[version]
        absent = {name: len(found) for name, rows in some.absent.items() if rows == len(some)}
        return replace(found, features={**found.features, **some.features}, absent={**found.absent, **absent})

    def _window(self, columns: tuple[Column, ...], limit: int) -> Mapping[str, EventBatch]:
        if columns not in self._read:
            self._read[columns] = self._context.source.rows(self._context.window, columns, limit=limit)
        return self._read[columns]

    def of_reference(self, version: str, columns: Sequence[Column]) -> EventBatch | None:
        """The reference's rows in order of time, without vectors and texts; None where they are not to be had."""
        context, short = self._context, [column for column in columns if column.kind in BINNED]
        directory = context.references.directory
        try:
            found = read_rows(
                context.model, version, directory, context.source, context.window, short, limit=self._limit
            )
        except (NoData, SourceError):  # they are not kept for ever; what needs none of them goes on
            return None
        return found if len(found) else None


def with_stretches(context: Context, reference: Reference, rows: EventBatch | None) -> Reference:
    """A reference with its stretches; where it came without, they are cut from its raw rows.

    Raises:
        NoData: there are no raw rows either.
    """
    if reference.stretches is not None:
        return reference
    if rows is None:
        raise NoData("no rows of the reference are kept")
    seconds = window_seconds(context.model.windows)
    covered = Covered(seconds)
    covered.add(rows.times)
    bins = {name: held for name, held in reference.bins.items() if name in rows.features}
    cutter = cutter_for(bins, covered=covered.seconds, rows=len(rows), window_seconds=seconds, match=reference.match)
    cutter.add(rows)
    columns = tuple(each for each in reference.columns if each.name in bins or each.name not in reference.bins)
    return replace(reference, columns=columns, bins=bins, stretches=cutter.stretches())
