"""The versions of models: which there are, and which of them are live."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Integer, Select, and_, bindparam, case, delete, func, insert, select, update

from monitor.store.dialect import kept
from monitor.store.schema import versions

ASKED = 500  # names in one statement
VERSIONS_REMEMBERED = 1000
VERSIONS_KEPT = 10_000  # of a model
FED = 20  # versions of a model that are judged, and whose rows go into profiles: a version is a stranger's text
NOTED_SECONDS = 60.0  # so seldom it is written down that a version's rows still come
LIVE_SECONDS = 3600.0  # a version without a row for so long, by those of others, makes room for them


def note_versions(connection: Connection, number: int, names: Sequence[str], now: float) -> tuple[str, ...]:
    """Remember the versions of a model; those not known before come back."""
    seen: set[str] = kept(connection, "versions").setdefault(number, set())
    if seen.issuperset(names):
        return ()
    mine = versions.c.model_id == number
    known: set[str] = set()
    for at in range(0, len(names), ASKED):
        query = select(versions.c.version).where(mine, versions.c.version.in_(names[at : at + ASKED]))
        known.update(connection.execute(query).scalars())
    fresh = [name for name in dict.fromkeys(names) if name not in known]
    if fresh:
        rows = [{"model_id": number, "version": name, "first_seen": now, "last_received": now} for name in fresh]
        connection.execute(insert(versions), rows)
        # A version is a stranger's text: of very many, the last are forgotten.
        some = list(connection.execute(BEYOND, {"model": number, "offset": VERSIONS_KEPT}).scalars())
        for at in range(0, len(some), ASKED):
            connection.execute(delete(versions).where(mine, versions.c.version.in_(some[at : at + ASKED])))
    seen.update(names if len(seen) < VERSIONS_REMEMBERED else ())
    return tuple(fresh)


def note_rows(connection: Connection, number: int, names: Sequence[str], received: float) -> None:
    """Write down when rows of some versions came, each so seldom that it costs a batch nothing."""
    noted: dict[str, float] = kept(connection, "versions received").setdefault(number, {})
    due = [name for name in names if not 0 <= received - noted.get(name, -math.inf) < NOTED_SECONDS]
    if not due:
        return
    if len(noted) + len(due) > VERSIONS_REMEMBERED:
        noted.clear()
    noted.update(dict.fromkeys(due[:VERSIONS_REMEMBERED], received))
    for at in range(0, len(due), ASKED):
        here = versions.c.model_id == number, versions.c.version.in_(due[at : at + ASKED])
        connection.execute(update(versions).where(*here).values(last_received=received))


def _ranked() -> Select[Any]:
    """A model's versions, those that are live before the others.

    Live are those whose rows have come for some time and come still, the newest first; of the others, those with a row last.
    Many that come once, such as by a client that makes up a new one for each row, so never take the place of those.
    """
    model = bindparam("model", type_=Integer)
    first, last, others = versions.c.first_seen, versions.c.last_received, versions.alias()
    newest = select(func.max(others.c.last_received)).where(others.c.model_id == model).scalar_subquery()
    live = and_(last >= first + NOTED_SECONDS, last > newest - LIVE_SECONDS)
    order = case((live, 1), else_=0).desc(), case((live, first), else_=last).desc(), first.desc(), versions.c.version
    return select(versions.c.version).where(versions.c.model_id == model).order_by(*order)


# Put together once: that takes longer than the question itself, which is asked with each step of the profiles.
NEWEST = _ranked().limit(bindparam("limit", type_=Integer))
BEYOND = _ranked().offset(bindparam("offset", type_=Integer))


def newest_versions(connection: Connection, number: int, *, limit: int) -> list[str]:
    """The versions of a model that are live, those that were first seen last before the others; then those with a row last."""
    return list(connection.execute(NEWEST, {"model": number, "limit": limit}).scalars())


def count_versions(connection: Connection, number: int) -> int:
    """How many versions of a model have ever been seen."""
    query = select(func.count()).select_from(versions).where(versions.c.model_id == number)
    return int(connection.execute(query).scalar_one())
