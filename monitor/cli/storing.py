"""Looking after a store: is it sound, and does it take no more room than it must."""

from __future__ import annotations

from collections.abc import Callable

from monitor.config import Loaded
from monitor.store import open_for_reading
from monitor.store.checking import complaints
from monitor.store.engine import compact


def check_store(loaded: Loaded, *, quick: bool, tell: Callable[[str], None]) -> bool:
    """Say everything that is wrong with the store; whether nothing is.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    store = open_for_reading(loaded.store)
    sound = True
    try:
        with store.read() as connection:
            for complaint in complaints(connection, quick=quick):
                sound = False
                tell(complaint)
    finally:
        store.close()
    return sound


def compact_store(loaded: Loaded) -> tuple[int, int]:
    """Give the room of what has gone back to the disk; the bytes before and after.

    Raises:
        StoreError: there is none, or a daemon uses it.
    """
    store = open_for_reading(loaded.store)
    try:
        before = store.size_bytes()
        compact(loaded.store)
        return before, store.size_bytes()
    finally:
        store.close()
