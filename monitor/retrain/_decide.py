"""Whether a retraining may be asked for: every guard is heard in turn, and the first that refuses has its name told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor import registry
from monitor.config import PluginSpec
from monitor.records import CheckResult
from monitor.store.watch import KeptRetraining


@dataclass(frozen=True, slots=True)
class GuardContext:
    """What guards decide on. Times are Unix seconds of the daemon's clock.

    Attributes:
        history: the model's retrainings, the newest first.
        labels: counts the labelled predictions since the newest retraining was asked for (all of them where there was
            none), up to the number it is given: the count may be long, so the guard that needs it is heard last.
        store_created: when the store was made; before that, nothing is remembered.
        ephemeral: whether an empty store is meant to be.
        options: the value of every guard, by name.
        newest: the newest result of one of the model's checks; None before the first, and where it is not configured.
        version: the one that a retraining would replace; None where that is not said.
    """

    now: float
    history: Sequence[KeptRetraining]
    labels: Callable[[int], int]
    store_created: float
    ephemeral: bool
    options: Mapping[str, Any]
    newest: Callable[[str], CheckResult | None] = lambda _: None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which guard refused, and why in words."""

    guard: str
    reason: str


def guards_of(configured: Mapping[str, PluginSpec]) -> dict[str, Any]:
    """The value of every guard there is: as configured, or its default. No guard is ever off by being left out."""
    values = {}
    for name in registry.known("guard"):
        spec = configured.get(name)
        values[name] = spec.options.root if spec else registry.load("guard", name).DEFAULT  # type: ignore[attr-defined]
    return values


def first_refusal(context: GuardContext) -> Refusal | None:
    """The first guard that refuses, None where all agree."""
    costly = [name for name in context.options if getattr(registry.load("guard", name), "COSTLY", False)]
    for name in [*(name for name in context.options if name not in costly), *costly]:
        value = context.options[name]
        reason = registry.load("guard", name).refuse(value, context)
        if reason is not None:
            return Refusal(name, reason)
    return None
