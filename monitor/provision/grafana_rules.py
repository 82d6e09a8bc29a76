"""Grafana-managed alert rules, built from the one rule set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from monitor.config import Config
from monitor.provision import promql
from monitor.provision.durations import duration
from monitor.records import Rule, Severity

DATASOURCE_UID = "anchorwatch-prometheus"
INTERVAL_SECONDS = 60  # a multiple of the 10 s that Grafana's scheduler counts in
_LOOK_BACK_SECONDS = 600
_DOWN = Rule(
    name="AnchorwatchDown",
    check="*",
    on="error",
    severity=Severity.CRITICAL,
    for_seconds=300.0,
    summary="no Anchorwatch is seen",
    description="Prometheus scrapes no Anchorwatch: nothing is watched.",
)


def groups(rules: Iterable[Rule], config: Config | None = None) -> dict[str, list[dict[str, Any]]]:
    """The rules by the name of their group, without what only one way of provisioning needs.

    Args:
        rules: the rule set, overrides applied.
        config: whose owners and runbooks the annotations are to name; without it they name none.
    """
    named = _of_apps(config)
    built: dict[str, list[dict[str, Any]]] = {"anchorwatch-app": [], "anchorwatch-model": []}
    for rule in rules:
        group = "anchorwatch-app" if rule.name.startswith("App") else "anchorwatch-model"
        expr = promql.breach_value(rule) if rule.on == "breached" else promql.in_state_value(rule)
        built[group].append(_rule(rule, expr.rstrip(), "gt", 0, named))
    built["anchorwatch-watch"] = [_rule(_DOWN, f"count({promql.BUILD}) or vector(0)", "lt", 1, {})]
    return built


def _rule(rule: Rule, expr: str, evaluator: str, threshold: float, more: dict[str, str]) -> dict[str, Any]:
    return {
        "uid": f"anchorwatch-{rule.name}",
        "title": rule.name,
        "condition": "C",
        "data": _steps(expr, evaluator, threshold),
        # An app without models has no model series at all, and that is well; the daemon's own absence has its rule.
        "noDataState": "OK",
        "execErrState": "Error",
        "for": duration(rule.for_seconds),
        "annotations": {
            "summary": _templated(rule, rule.summary),
            "description": _templated(rule, rule.description),
            **more,
        },
        "labels": {"severity": rule.severity.value},
        "isPaused": False,
    }


def _templated(rule: Rule, text: str) -> str:
    """`{app}` as Grafana's template. Written without `$`, which Grafana would replace in provisioning files."""
    text = text.replace("{", "{{ .Labels.").replace("}", " }}")
    for name in rule.optional:
        text = text.replace(f" {{{{ .Labels.{name} }}}}", f"{{{{ with .Labels.{name} }}}} {{{{ . }}}}{{{{ end }}}}")
    return text


def _steps(expr: str, evaluator: str, threshold: float) -> list[dict[str, Any]]:
    """Query, reduce, compare: the three steps a Grafana-managed rule is made of."""
    query = {"refId": "A", "expr": expr, "instant": True, "range": False, "intervalMs": 1000, "maxDataPoints": 43200}
    reduce = {"refId": "B", "type": "reduce", "expression": "A", "reducer": "last", "settings": {"mode": "dropNN"}}
    compare = {
        "refId": "C",
        "type": "threshold",
        "expression": "B",
        "conditions": [{"evaluator": {"type": evaluator, "params": [threshold]}}],
    }
    return [
        {
            "refId": "A",
            "datasourceUid": DATASOURCE_UID,
            "queryType": "",
            "relativeTimeRange": {"from": _LOOK_BACK_SECONDS, "to": 0},
            "model": query,
        },
        _expression(reduce),
        _expression(compare),
    ]


def _expression(model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": model["refId"],
        "datasourceUid": "__expr__",
        "queryType": "",
        "relativeTimeRange": {"from": 0, "to": 0},
        "model": {**model, "datasource": {"type": "__expr__", "uid": "__expr__"}},
    }


def _of_apps(config: Config | None) -> dict[str, str]:
    """Owner and runbook, chosen by the alert's app: Grafana's templates cannot look them up in Prometheus."""
    if config is None:
        return {}
    owners = {app.name: app.owner for app in config.apps if app.owner}
    runbooks = {app.name: app.runbook for app in config.apps if app.runbook}
    found = {"owner": _choice(owners), "runbook_url": _choice(runbooks)}
    return {name: text for name, text in found.items() if text}


def _choice(values: dict[str, str]) -> str:
    chosen = (f"{{{{ if eq .Labels.app {_quoted(app)} }}}}{_literal(text)}" for app, text in values.items())
    return "".join(f"{one}{{{{ end }}}}" for one in chosen)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _literal(text: str) -> str:
    """Text that a template prints as it is, braces included."""
    return f"{{{{ {_quoted(text)} }}}}" if "{{" in text else text
