"""Everything that must survive: events, labels, profiles, alert state, outbox, ledger."""

from monitor.store.engine import ReadStore, Store, StoreError, StoreFull, open_for_reading

__all__ = ["ReadStore", "Store", "StoreError", "StoreFull", "open_for_reading"]
