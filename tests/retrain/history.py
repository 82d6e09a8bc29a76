"""Retrainings that were, and what a guard is asked about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor import registry
from monitor.retrain import GuardContext
from monitor.store.watch import KeptRetraining

NOW = 1_325_376_000.0
DAY = 86400.0
DEFAULTS = {name: registry.load("guard", name).DEFAULT for name in registry.known("guard")}


def retraining(requested: float = NOW - 30 * DAY, state: str = "recovered", **changes: Any) -> KeptRetraining:
    made = KeptRetraining(
        key="k1",
        app="shop",
        model="demand",
        version="1",
        state=state,
        reason="",
        cause="performance",
        requested=requested,
        deadline=requested + 3600,
        new_version="2",
        finished=None,
        body={},
    )
    return replace(made, **changes)


def context(
    *history: KeptRetraining, options: dict[str, Any] | None = None, labels: int = 500, **changes: Any
) -> GuardContext:
    """A context in which every guard with its default agrees, but for these changes."""
    made = GuardContext(
        now=NOW,
        history=history,
        labels=lambda at_most: min(labels, at_most),
        store_created=NOW - 365 * DAY,
        ephemeral=False,
        options={**DEFAULTS, **(options or {})},
    )
    return replace(made, **changes)
