"""The rules for Prometheus, built from the one rule set; a user's overrides are applied on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from monitor.alert.rules import RULES
from monitor.config import Config, RuleOverride
from monitor.provision import feature_bins, promql
from monitor.provision.durations import duration
from monitor.provision.files import put
from monitor.provision.watch import RECORDED, WATCH
from monitor.records import Rule

FILE = "anchorwatch.rules.yml"
INTERVAL = "30s"
_HEAD = """\
# Built from the one rule set (monitor/alert/rules.py) by alerts/build.py. Edit that, or give overrides under
# alerting.rules and write this file with `anchorwatch provision prometheus --output FOLDER`.
#
# The alerts are static: what is a breach was decided by the daemon. One that is firing stays so through no-data, which
# is why its expression reads ALERTS: evaluate at least every 4 minutes.
"""

# Where the number behind a breach is, by the series that says it is one.
_VALUES = {
    "anchorwatch_feature_drift_breached": "anchorwatch_feature_drift_score",
    "anchorwatch_model_drift_share_breached": "anchorwatch_model_drift_share",
    "anchorwatch_model_multivariate_drift_breached": "anchorwatch_model_multivariate_drift_score",
    "anchorwatch_model_label_drift_breached": "anchorwatch_model_label_drift_score",
    "anchorwatch_model_prediction_drift_breached": "anchorwatch_model_prediction_drift_score",
    "anchorwatch_model_performance_breached": "anchorwatch_model_performance",
    "anchorwatch_model_estimated_performance_breached": "anchorwatch_model_estimated_performance",
    "anchorwatch_model_label_coverage_breached": "anchorwatch_model_label_coverage",
    "anchorwatch_model_label_lag_seconds_breached": "anchorwatch_model_label_lag_seconds",
    "anchorwatch_model_label_selection_breached": "anchorwatch_model_label_selection",
    "anchorwatch_model_concept_loss_breached": "anchorwatch_model_concept_loss",
    "anchorwatch_model_fairness_breached": "anchorwatch_model_fairness",
    "anchorwatch_feature_skew_breached": "anchorwatch_feature_skew_score",
}


class _Block(str):
    """Text that YAML writes line by line."""

    __slots__ = ()


def _represent_block(dumper: yaml.SafeDumper, text: _Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Block, _represent_block)


def adjusted(overrides: Mapping[str, RuleOverride]) -> tuple[Rule, ...]:
    """The rule set as a configuration's `alerting.rules` has it.

    >>> from monitor.records import Severity
    >>> rules = adjusted({"ModelFeatureDrift": RuleOverride(severity=Severity.INFO)})
    >>> next(rule.severity.value for rule in rules if rule.name == "ModelFeatureDrift")
    'info'
    """
    return tuple(_adjust(rule, overrides.get(rule.name)) for rule in RULES)


def _adjust(rule: Rule, override: RuleOverride | None) -> Rule:
    if override is None:
        return rule
    for_seconds = rule.for_seconds if override.for_ is None else override.for_
    return replace(rule, severity=override.severity or rule.severity, for_seconds=for_seconds)


def templated(text: str, optional: frozenset[str] = frozenset()) -> str:
    """A rule's text with its `{app}` placeholders as Prometheus and Grafana templates; what is optional may leave no trace.

    >>> templated("{app} fails {part}", frozenset({"part"}))
    '{{ $labels.app }} fails{{ with $labels.part }} {{ . }}{{ end }}'
    """
    for name in optional:
        text = text.replace(f" {{{name}}}", f"{{{{ with $labels.{name} }}}} {{{{ . }}}}{{{{ end }}}}")
    return re.sub(r"(?<!\{)\{(\w+)\}", r"{{ $labels.\1 }}", text)


def build(rules: tuple[Rule, ...] = RULES) -> str:
    """The whole rules file."""
    app = [_alert(rule) for rule in rules if rule.name.startswith("App")]
    model = [_alert(rule) for rule in rules if not rule.name.startswith("App")]
    groups = [
        {"name": "anchorwatch-recorded", "interval": INTERVAL, "rules": [_blocked(dict(rule)) for rule in RECORDED]},
        *({**group, "rules": [_blocked(rule) for rule in group["rules"]]} for group in feature_bins.groups()),
        {"name": "anchorwatch-app", "interval": INTERVAL, "rules": app},
        {"name": "anchorwatch-model", "interval": INTERVAL, "rules": model},
        {"name": "anchorwatch-watch", "interval": "1m", "rules": [_blocked(dict(rule)) for rule in WATCH]},
    ]
    return _HEAD + yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=1000, default_flow_style=False)


def _blocked(rule: dict[str, Any]) -> dict[str, Any]:
    text = rule["expr"]
    return {**rule, "expr": _Block(text) if "\n" in text else text}


def _alert(rule: Rule) -> dict[str, Any]:
    built: dict[str, Any] = {
        "alert": rule.name,
        "expr": promql.breach(rule) if rule.on == "breached" else promql.in_state(rule),
        "for": duration(rule.for_seconds),
        "keep_firing_for": duration(promql.KEEP_SECONDS),
        "labels": {"severity": rule.severity.value},
        "annotations": _annotations(rule),
    }
    return _blocked(built)


def _annotations(rule: Rule) -> dict[str, str]:
    found = {name: templated(getattr(rule, name), rule.optional) for name in ("summary", "description")}
    if rule.metric in _VALUES:
        found["value"] = _number(_VALUES[rule.metric], promql.subject(rule))
        found["threshold"] = _number(promql.threshold(rule), promql.subject(rule))
    found["owner"] = _of_app("owner")
    found["runbook_url"] = _of_app("runbook")
    return found


def _of_app(label: str) -> str:
    """A label of the app's info series, joined in as the alert is written so that it is no label of the alert."""
    query = 'printf "anchorwatch_app_info{app=%q}" $labels.app | query'
    return f'{{{{ with {query} }}}}{{{{ . | first | label "{label}" }}}}{{{{ end }}}}'


def _number(name: str, labels: tuple[str, ...]) -> str:
    matchers = ",".join(f"{label}=%q" for label in labels)
    values = " ".join(f"$labels.{label}" for label in labels)
    query = f'printf "{name}{{{matchers}}}" {values} | query'
    return f'{{{{ with {query} }}}}{{{{ . | first | value | printf "%.4g" }}}}{{{{ end }}}}'


def provision(config: Config, *, output: Path | None, dry_run: bool) -> tuple[list[str], bool]:
    """Write the rules file, with the configuration's overrides, into a folder.

    Args:
        config: the configuration.
        output: the folder; None gives the file's text as the lines.
        dry_run: only show what would change.

    Returns:
        Lines to print, and whether anything changed or would change.

    Raises:
        ProvisionError: the folder cannot be read or written.
    """
    text = build(adjusted(config.alerting.rules))
    if output is None:
        return text.splitlines(), False
    return put(output, {FILE: text}, dry_run=dry_run)
