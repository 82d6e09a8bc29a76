"""Up to which event the rows of a version are in a series of profiles, or counted by bin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from monitor.store.schema import cursors, models

COUNTED = "counted"  # no series of profiles: its cursor says up to which event a version's rows are counted by bin


def series_is(table: Any, number: int, version: str, series: str) -> tuple[Any, ...]:
    """The conditions that a row of a table is of one series of a version."""
    return table.c.model_id == number, table.c.version == version, table.c.series == series


def cursor(connection: Connection, number: int, version: str, series: str) -> int:
    """The sequence number up to which the events of a version are in a series of profiles; 0 before the first.

    Also of one that was left for another: what it holds ends there.
    """
    query = select(cursors.c.seq).where(*series_is(cursors, number, version, series))
    return int(connection.execute(query).scalar() or 0)


def last_given(connection: Connection, app: str, name: str) -> int:
    """The number given to a model's last event: another one where anything has come in; 0 where nothing ever has."""
    query = select(models.c.last_seq).where(models.c.app == app, models.c.name == name)
    return int(connection.execute(query).scalar() or 0)


def positions(connection: Connection, number: int, versions: Iterable[str]) -> dict[tuple[str, str], int]:
    """Every cursor of these versions, by version and series."""
    query = select(cursors).where(cursors.c.model_id == number, cursors.c.version.in_(list(versions)))
    return {(row.version, row.series): row.seq for row in connection.execute(query)}


def counted_from(held: Mapping[tuple[str, str], int], version: str) -> int:
    """Up to which event a version's rows are counted, by the cursors there are.

    Where that was never said, what is in a profile was there before anybody counted.
    """
    said = held.get((version, COUNTED))
    return max((seq for (of, _), seq in held.items() if of == version), default=0) if said is None else said


def begin_counting(connection: Connection, number: int, versions: Iterable[str]) -> None:
    """Say where the counting of these versions begins, where that was not said yet."""
    held = positions(connection, number, versions)
    for version in versions:
        if (version, COUNTED) not in held:
            seq = counted_from(held, version)
            connection.execute(insert(cursors).values(model_id=number, version=version, series=COUNTED, seq=seq))


def end_counting(connection: Connection, number: int) -> None:
    """Forget up to which event rows are counted: should they be counted again, that begins with those to come."""
    connection.execute(delete(cursors).where(cursors.c.model_id == number, cursors.c.series == COUNTED))
