"""The reference of a model version: its columns, their bins and its own profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.profile.bins import Bins, draw_bins
from monitor.profile.column import ColumnProfile, profile_column
from monitor.profile.stretches import ENOUGH, FEWEST_ROWS, MOST, Cutter, Stretches, stretch_seconds
from monitor.records import Column, EventBatch, NoData


@dataclass(frozen=True, slots=True)
class Reference:
    """What normal is. `unusable` says, by column, why a column of the reference cannot be compared with.

    `stretches` is the reference cut into pieces in order of time, None where only the bins are asked for; `match` names the
    seasons that windows are matched with it by.
    """

    fingerprint: str
    version: str | None
    rows: int
    columns: tuple[Column, ...]
    bins: Mapping[str, Bins]
    profiles: Mapping[str, ColumnProfile]
    unusable: Mapping[str, str]
    stretches: Stretches | None = None
    match: tuple[str, ...] = ()


def build_reference(
    batch: EventBatch,
    columns: tuple[Column, ...],
    *,
    fingerprint: str,
    version: str | None,
    window_seconds: float,
    match: tuple[str, ...] = (),
) -> Reference:
    """Draw the bins of every column, profile the reference on them, and cut it into stretches.

    A column without a single value does not stop the others: it is listed as unusable.

    Args:
        batch: the rows of the reference; their times are 0 where it has none.
        columns: what is profiled of it.
        fingerprint: what it is known by.
        version: whose it is.
        window_seconds: length of the windows that are judged against it.
        match: the seasons that windows are matched by.

    Raises:
        NoData: the reference has no rows.
    """
    if not len(batch):
        raise NoData("the reference has no rows")
    bins: dict[str, Bins] = {}
    profiles: dict[str, ColumnProfile] = {}
    unusable: dict[str, str] = {}
    for column in columns:
        values = batch.features[column.name]
        try:
            bins[column.name] = draw_bins(values, column.kind)
        except NoData as reason:
            unusable[column.name] = str(reason)
            continue
        invalid = batch.invalid.get(column.name, 0)
        profiles[column.name] = profile_column(values, bins[column.name], invalid=invalid)
    cutter = cutter_for(
        bins, first=float(batch.times.min()), last=float(batch.times.max()), rows=len(batch),
        window_seconds=window_seconds, match=match,
    )  # fmt: skip
    cutter.add(batch)
    return Reference(fingerprint, version, len(batch), columns, bins, profiles, unusable, cutter.stretches(), match)


def cutter_for(
    bins: Mapping[str, Bins],
    *,
    first: float,
    last: float,
    rows: int,
    window_seconds: float,
    match: tuple[str, ...],
) -> Cutter:
    """What cuts a reference of that many rows between two event times, for windows of that length."""
    if last <= first:
        return Cutter(bins, seconds=0.0, stretch_rows=max(FEWEST_ROWS, -(-rows // ENOUGH)))
    seconds = stretch_seconds(window_seconds, last - first)
    every = max(1, math.ceil((last - first) / seconds / MOST))
    return Cutter(bins, seconds=seconds, match=match, every=every)
