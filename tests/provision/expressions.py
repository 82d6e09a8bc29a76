"""What the tests of rules and dashboards share: taking expressions apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser

from monitor import metrics
from monitor.provision import feature_bins

# Not ours: Prometheus's own, and those every process exposes.
FOREIGN = {"up", "ALERTS", "process_resident_memory_bytes"}
# Recorded by our own rules, and read by others of them and by panels.
RECORDED = {rule["record"] for rule in feature_bins.RULES}


def known_names() -> set[str]:
    """Every sample name that a scrape of the daemon can hold, or that the rules make of it."""
    names = FOREIGN | RECORDED
    for name, family in metrics.families().items():
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if family.kind == "histogram" else {name}
    return names


def labels_of(name: str) -> set[str] | None:
    """The labels a sample may carry; None where it is not ours."""
    families = metrics.families()
    family = families.get(name) or families.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return None if family is None else {*family.labels, "job", "instance", "le"}


def selectors(expr: str) -> Iterator[tuple[str, set[str]]]:
    """Every series an expression selects: its name and the labels it matches on."""
    yield from _walk(promql_parser.parse(expr))


def _walk(node: Any) -> Iterator[tuple[str, set[str]]]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node.name, {matcher.name for matcher in node.matchers.matchers}
        return
    for name in ("expr", "lhs", "rhs", "vs", "vector_selector", "param"):
        child = getattr(node, name, None)
        if child is not None and not isinstance(child, str | int | float):
            yield from _walk(child)
    for child in getattr(node, "args", []) or []:
        yield from _walk(child)


def without_variables(expr: str) -> str:
    """A panel's expression as Grafana would send it, with one value for each variable."""
    fixed = {
        "$__rate_interval": "1m", "$__range": "6h", "$app": "bikes", "$model": "demand", "$version": ".+", "$feature": "temp",
    }  # fmt: skip
    for name, value in fixed.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, f"expected no other variable, got {expr}"
    return expr
