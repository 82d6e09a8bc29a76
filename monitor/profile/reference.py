"""The reference of a model version: its columns, their bins and its own profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.profile.bins import Bins, draw_bins
from monitor.profile.column import ColumnProfile, profile_column
from monitor.records import Column, EventBatch, NoData


@dataclass(frozen=True, slots=True)
class Reference:
    """What normal is. `unusable` says, by column, why a column of the reference cannot be compared with."""

    fingerprint: str
    version: str | None
    rows: int
    columns: tuple[Column, ...]
    bins: Mapping[str, Bins]
    profiles: Mapping[str, ColumnProfile]
    unusable: Mapping[str, str]


def build_reference(
    batch: EventBatch, columns: tuple[Column, ...], *, fingerprint: str, version: str | None
) -> Reference:
    """Draw the bins of every column and profile the reference on them.

    A column without a single value does not stop the others: it is listed as unusable.

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
    return Reference(fingerprint, version, len(batch), columns, bins, profiles, unusable)
