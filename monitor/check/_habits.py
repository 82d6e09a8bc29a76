"""What a reference does of its own accord: copies of rows and of times, and runs of one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.check._context import Context
from monitor.check._duplicates import KINDS, Usual, row_keys, time_keys, usual_copies
from monitor.check._runs import Runs, runs_of
from monitor.profile import Reference
from monitor.records import NoData, Role
from monitor.source._reference import read_rows

MOST_ROWS = 100_000  # so many are read at most
MOST_VALUES = 4_000_000  # and so many values of them


@dataclass(frozen=True, slots=True)
class Habits:
    """What a reference does of its own accord: copies of rows and of times (None: it has none), and runs by feature.

    `read` rows of it were looked at, and `whole` says that these are all.
    """

    rows: Usual
    times: Usual | None
    runs: Mapping[str, Runs]
    read: int
    whole: bool

    def every(self, reference: Reference) -> float:
        """One row in so many was looked at."""
        return 1.0 if self.whole else max(reference.rows / self.read, 1.0)


def habits_of(context: Context, version: str) -> Habits | str:
    """The habits of the reference of a version; the reason where its rows tell nothing.

    Raises:
        SourceError: its rows cannot be read.
    """
    columns = [
        column
        for column in context.source.columns(context.window, context.model)
        if column.role is Role.FEATURE and column.kind in KINDS
    ]
    if not columns:
        return "no features that rows could be told apart by"
    limit = min(MOST_ROWS, MOST_VALUES // len(columns))
    directory = context.references.directory
    try:
        batch = read_rows(context.model, version, directory, context.source, context.window, columns, limit=limit)
    except NoData as reason:
        return str(reason)
    keys, there = row_keys(batch, [column.name for column in columns])
    if not there.any():
        return "no row of the reference holds a value"
    seconds = float(np.ptp(batch.times)) if np.isfinite(batch.times).all() else 0.0
    found = {each.name: runs_of(batch.features[each.name], batch.times, dated=seconds > 0) for each in columns}
    return Habits(
        usual_copies(keys[there]),
        usual_copies(time_keys(batch.times), density=len(batch) / seconds) if seconds > 0 else None,
        {name: runs for name, runs in found.items() if runs is not None},
        len(batch),
        len(batch) < limit,
    )
