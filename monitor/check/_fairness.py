"""One metric of fairness on groups that have been counted: its value, what it is made of, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from monitor import registry
from monitor.check._statistics import statistic
from monitor.check._verdict import measured, verdict_of
from monitor.records import Direction, NoData, Verdict
from monitor.stats._gaps import Means, Shares
from monitor.stats._groups import GroupCounts
from monitor.stats._pairs import chance_of_gap

GAP_THAT_MATTERS = 0.1  # of shares, where the statistic says none
ERROR_THAT_MATTERS = 0.2  # of numbers, as a share of the mean error of all groups
FEW = 30  # what a group's rate or mean is of, when it is fewer rows than that, is told
RATES = ("tpr", "fpr")  # of a metric that compares two rates by group

Tables = tuple[Shares | Means, ...]


def material_of(
    name: str, task: str, configured: Mapping[str, float], groups: Mapping[str, GroupCounts]
) -> float | None:
    """The value from which on a metric matters; None where that depends on groups, and there are none."""
    said = configured.get(name, statistic(name).default_threshold)
    if said is not None or task == "binary":
        return GAP_THAT_MATTERS if said is None else said
    rows = sum(counts.measured for counts in groups.values())
    return ERROR_THAT_MATTERS * sum(counts.absolute_errors for counts in groups.values()) / rows if rows else None


def judge_groups(
    name: str, groups: Mapping[str, GroupCounts], *, fixed: float | None, material: float | None, level: float
) -> tuple[Verdict, str, dict[str, Any], list[str]]:
    """By a fixed threshold, or by two keys: far enough apart to matter, and further than chance puts groups that are equal.

    Args:
        name: of the metric.
        groups: counts by name.
        fixed: the threshold, where there is one.
        material: from which value on it matters, where there is none.
        level: of significance.

    Returns:
        The verdict, its reason, what else the finding holds, and what is to be known before it is relied on.

    Raises:
        NoData: the metric is not defined for these groups.
    """
    found, module = statistic(name), registry.load("statistic", name)
    value, told = measured(found, groups), module.by_group(groups)
    tables: Tables = told if isinstance(told, tuple) else (told,)
    more: dict[str, Any] = {"value": value, "interval": _interval(module, groups, value), "parts": _parts(tables)}
    if fixed is not None:
        return *verdict_of(found, value, fixed), more | {"calibration": "fixed"}, _cautions(tables)
    assert material is not None  # there are groups

    def matters(low: float, high: float) -> bool:
        if found.worse is Direction.LOWER_IS_WORSE:
            return high > 0 and found.is_breach(low / high, material)
        return found.is_breach(high - low, material)

    chance = chance_of_gap(tables, matters)
    verdict, reason = verdict_of(found, value, material)
    if verdict is Verdict.BREACHED and chance >= level:
        verdict, reason = Verdict.OK, "material_but_within_chance"
    elif verdict is Verdict.OK and chance < level:
        reason = "significant_but_immaterial"
    keys = {"threshold": material, "material": material, "p_value": chance, "calibration": "independent_rows"}
    return verdict, reason, more | keys, _cautions(tables)


def _parts(tables: Tables) -> dict[str, float]:
    if len(tables) == 1:
        return tables[0].by_name
    return {
        f"{name} {rate}": value
        for rate, table in zip(RATES, tables, strict=True)
        for name, value in table.by_name.items()
    }


def _interval(module: Any, groups: Mapping[str, GroupCounts], value: float) -> tuple[float, float] | None:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = module.interval(groups)
    except NoData:
        return None
    # An end that lies on the value may miss it by the last digit.
    return (min(low, value), max(high, value)) if math.isfinite(low) and math.isfinite(high) else None


def _cautions(tables: Tables) -> list[str]:
    """The groups for which the metric is not defined, and those of which it is told by few rows."""
    undefined = dict.fromkeys(name for table in tables for name in table.left_out)
    fewest: dict[str, int] = {}
    for table in tables:
        counted = table.whole if isinstance(table, Shares) else table.rows
        for name, rows in zip(table.names, counted.tolist(), strict=True):
            fewest[name] = min(int(rows), fewest.get(name, FEW))
    few = [f"{name} ({rows})" for name, rows in fewest.items() if rows < FEW]
    said = [f"not defined for {_listed(list(undefined))}"] if undefined else []
    return [*said, f"few rows count in {_listed(few)}"] if few else said


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
