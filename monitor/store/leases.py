"""Who does what, where several daemons share one database: leases that end by themselves when their holder dies."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, or_, select, update

from monitor.store.dialect import insert_new
from monitor.store.schema import daemons, leases


def database_now(connection: Connection) -> float:
    """The database's own clock, in Unix seconds: the one that all daemons share."""
    return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())


def beat(connection: Connection, me: str, *, now: float, gone_before: float) -> list[str]:
    """Say that this daemon is alive; all that are."""
    adding = insert_new(connection, daemons).values(id=me, seen=now)
    connection.execute(adding.on_conflict_do_update(index_elements=[daemons.c.id], set_={"seen": now}))
    connection.execute(delete(daemons).where(daemons.c.seen < gone_before))
    return list(connection.execute(select(daemons.c.id).order_by(daemons.c.id)).scalars())


def claim(connection: Connection, unit: str, me: str, *, now: float, until: float) -> bool:
    """Take a lease that is free or over, or make one's own last longer; whether it is held."""
    connection.execute(insert_new(connection, leases).values(unit=unit, holder="", until=0.0).on_conflict_do_nothing())
    mine = or_(leases.c.holder == me, leases.c.until < now)
    taken = update(leases).where(leases.c.unit == unit, mine).values(holder=me, until=until)
    return connection.execute(taken).rowcount == 1


def release(connection: Connection, units: Collection[str], me: str) -> None:
    """Give leases back before they are over."""
    connection.execute(
        update(leases).where(leases.c.unit.in_(list(units)), leases.c.holder == me).values(holder="", until=0.0)
    )


def leave(connection: Connection, me: str) -> None:
    """Give everything back: this daemon stops."""
    connection.execute(update(leases).where(leases.c.holder == me).values(holder="", until=0.0))
    connection.execute(delete(daemons).where(daemons.c.id == me))


def holder(connection: Connection, unit: str) -> str | None:
    """Who holds a lease, also where it is over and nobody else has taken it."""
    return connection.execute(select(leases.c.holder).where(leases.c.unit == unit)).scalar()
