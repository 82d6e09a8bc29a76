"""The configuration files of these tests, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from monitor import registry
from monitor.alert.rules import RULES
from monitor.config import ConfigError, Loaded, load

HERE = Path(__file__).parent
RULE_NAMES = [rule.name for rule in RULES]
ENVIRONMENT = {"HUNTER2": "hunter2!", "OPERATE_TOKEN": "operate-hunter2"}


def read(path: Path, *, secrets: bool = False, environment: Mapping[str, str] = ENVIRONMENT) -> Loaded:
    return load(path, environment=environment, rules=RULE_NAMES, secrets=secrets)


class Yaml12(yaml.SafeLoader):
    """YAML as editors read it today, and as our own reader does: `on` is a key and not a truth value."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parsed(text: str) -> Any:
    return yaml.load(text, Loader=Yaml12)


def written(folder: Path, text: str) -> Path:
    path = folder / "anchorwatch.yml"
    path.write_text(text, encoding="utf-8")
    return path


def lines_of(path: Path, *, secrets: bool = False, environment: Mapping[str, str] = ENVIRONMENT) -> list[str]:
    """What is said of a file; nothing where it is fine."""
    try:
        read(path, secrets=secrets, environment=environment)
    except ConfigError as error:
        return error.lines
    return []


def known_names() -> dict[str, str]:
    """What expected texts may say in braces, so that a new plug-in changes none of them."""

    def names(kind: str, **wanted: str) -> str:
        return ", ".join(name for name in registry.known(kind) if _fits(kind, name, wanted))

    return {
        "probes": names("probe", section="probes"),
        "references": names("source", role="reference"),
        "predictions": names("source", role="predictions"),
        "labels": names("source", role="labels"),
        "checks": names("check"),
        "guards": names("guard"),
        "triggers": names("trigger"),
        "receivers": names("receiver"),
        "drift": names("statistic", family="drift"),
        "numeric": names("statistic", family="drift", applies_to="numeric"),
        "categorical": names("statistic", family="drift", applies_to="categorical"),
        "metrics": names("statistic", family="performance"),
        "rules": ", ".join(RULE_NAMES),
    }


def _fits(kind: str, name: str, wanted: Mapping[str, str]) -> bool:
    module = registry.load(kind, name)
    return (
        wanted.get("section") in (None, getattr(module, "SECTION", None))
        and ("role" not in wanted or wanted["role"] in module.ROLES)
        and ("family" not in wanted or wanted["family"] == module.STATISTIC.family)
        and ("applies_to" not in wanted or wanted["applies_to"] in module.STATISTIC.applies_to)
    )
