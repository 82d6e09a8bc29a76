"""Where the store is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.options import Secret


@dataclass(frozen=True, slots=True)
class StorePlace:
    """An SQLite file in a data folder, or the PostgreSQL database of a URL, which may hold a password."""

    data_dir: Path
    url: Secret | None = None
