"""The work of one daemon among several on one database.

Work comes in units: an app, a model, and the watch itself (deliveries, housekeeping, what time alone does to alerts). Each
unit belongs to one of the daemons that are alive, by the highest random weight of the two names (Thaler and Ravishankar, 1998),
and is done under a lease, so that two who disagree on who is alive do nothing twice. Results are stored only by who still
holds the lease.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from monitor.records import fingerprint
from monitor.store import Store, StoreError
from monitor.store import leases as kept

log = logging.getLogger(__name__)

WATCH = "watch"
RENEW_SECONDS = 3.0  # real time, as are all here
LEASE_SECONDS = 15.0


def unit_of(app: str, model: str | None) -> str:
    """The unit of an app's or a model's work."""
    return f"app/{app}" if not model else f"model/{app}/{model}"


def owner_of(unit: str, alive: Collection[str]) -> str:
    """Which of the daemons a unit belongs to: the same for whoever asks, and few change when one comes or goes.

    >>> owner_of("app/a", ["one"])
    'one'
    """
    return max(alive, key=lambda each: (fingerprint(unit, each), each))


class Leases:
    """The leases of one daemon. Where the store is a file, everything is its own."""

    def __init__(self, store: Store, *, changed: Callable[[set[str], set[str]], None]) -> None:
        """`changed` is told which units have been gained and lost."""
        self.me = uuid.uuid4().hex
        self._store, self._changed = store, changed
        self._alone = store.url is None
        self._units: frozenset[str] = frozenset()
        self._held: dict[str, float] = {}  # until when, on the monotonic clock
        self._busy: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def configure(self, units: Collection[str]) -> None:
        """What there is to do."""
        self._units = frozenset(units)
        if not self._alone:
            self._renew()

    def start(self) -> None:
        if not self._alone:
            self._thread.start()

    def stop(self) -> None:
        """Give everything back, so that others take it up at once."""
        if self._alone:
            return
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(RENEW_SECONDS)
        try:
            self._store.write(lambda connection: kept.leave(connection, self.me))
        except StoreError as error:
            log.warning("leases not given back", extra={"error": str(error)})

    def holds(self, unit: str) -> bool:
        """Whether a unit is this daemon's to do, as far as it knows."""
        return self._alone or self._held.get(unit, 0.0) > time.monotonic()

    @contextmanager
    def working(self, unit: str) -> Iterator[bool]:
        """While something is under way, its lease is not given away; whether it may begin at all."""
        with self._lock:
            mine = self.holds(unit)
            self._busy[unit] = self._busy.get(unit, 0) + mine
        try:
            yield mine
        finally:
            with self._lock:
                self._busy[unit] -= mine

    def still(self, connection: Connection, unit: str) -> bool:
        """Whether a unit is still this daemon's, in the transaction that stores what came of it."""
        return self._alone or kept.holder(connection, unit) == self.me

    def _run(self) -> None:
        while not self._stopping.wait(RENEW_SECONDS):
            self._renew()

    def _renew(self) -> None:
        before = {unit for unit in self._units | set(self._held) if self.holds(unit)}
        asked = time.monotonic()
        try:
            mine = self._store.write(self._share)
        except StoreError as error:
            # What is held runs out by itself; until then nobody else has it.
            log.warning("leases not renewed", extra={"error": str(error)})
            mine = None
        if mine is not None:
            self._held = dict.fromkeys(mine, asked + LEASE_SECONDS)
        after = {unit for unit in self._units | set(self._held) if self.holds(unit)}
        if before != after:
            log.info("work shared anew", extra={"gained": sorted(after - before), "lost": sorted(before - after)})
            self._changed(after - before, before - after)

    def _share(self, connection: Connection) -> set[str]:
        now = kept.database_now(connection)
        alive = kept.beat(connection, self.me, now=now, gone_before=now - LEASE_SECONDS)
        with self._lock:
            wanted = {unit for unit in self._units if owner_of(unit, alive) == self.me or self._busy.get(unit)}
        others = set(self._held) - wanted
        if others:
            kept.release(connection, others, self.me)
        until = now + LEASE_SECONDS
        return {unit for unit in sorted(wanted) if kept.claim(connection, unit, self.me, now=now, until=until)}
