"""Application health, one file per collector.

A collector module has `FAMILIES` (what it exposes), `SECTION` (where the configuration may name it), `Options` and
`Collector(options)`. `collect()` blocks for a bounded time and never raises for what the watched side does: an app that
does not answer a probe is evidence (`breached`), a number that cannot be had is `no_data` with its reason.
"""

from __future__ import annotations

from typing import Protocol

from monitor.records import Reading


class Collector(Protocol):
    """One look at one app, repeated; what it remembers between two looks is its own."""

    def collect(self) -> Reading:
        """Look now."""

    def close(self) -> None:
        """Let go of whatever is held between looks."""
