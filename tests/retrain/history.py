"""Retrainings that were, and what a guard is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor import registry
from monitor.records import CheckResult, Finding, Verdict, Window
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


def result(check: str, *findings: tuple[str, str | None, Verdict], version: str | None = "1", **changes: Any) -> Any:
    """What a check has found, as (statistic, feature, verdict), by its name: the value is 0.9, the threshold 0.05."""
    window = Window(NOW - DAY, NOW)
    found = tuple(
        Finding(
            "shop", check, statistic, verdict, "", window, "demand", version,
            feature=feature, value=0.9, threshold=0.05, **changes,
        )
        for statistic, feature, verdict in findings
    )  # fmt: skip
    return {check: CheckResult("shop", "demand", check, Verdict.BREACHED, "", window, 100, found, ("1",))}


def context(
    *history: KeptRetraining,
    options: dict[str, Any] | None = None,
    labels: int = 500,
    results: Mapping[str, CheckResult] | None = None,
    **changes: Any,
) -> GuardContext:
    """A context in which every guard with its default agrees, but for these changes; `results` are the newest, by check."""
    made = GuardContext(
        now=NOW,
        history=history,
        labels=lambda at_most: min(labels, at_most),
        store_created=NOW - 365 * DAY,
        ephemeral=False,
        options={**DEFAULTS, **(options or {})},
        newest=(results or {}).get,
        version="1",
    )
    return replace(made, **changes)
