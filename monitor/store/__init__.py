"""Everything that must survive: events, labels, profiles, alert state, outbox, ledger."""

from monitor.store.engine import ReadStore, Store, open_for_reading
from monitor.store.reaching import StoreError, StoreFull

__all__ = ["ReadStore", "Store", "StoreError", "StoreFull", "open_for_reading"]
