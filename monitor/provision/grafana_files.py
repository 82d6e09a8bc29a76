"""The same Grafana artefacts as files, for Grafana's own provisioning from a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml

from monitor.bundled import folder
from monitor.config import Config
from monitor.provision import ProvisionError
from monitor.provision.durations import duration
from monitor.provision.grafana_rules import DATASOURCE_UID, INTERVAL_SECONDS, groups
from monitor.records import Rule

DATASOURCE_NAME = "Anchorwatch Prometheus"
# Where Grafana finds the dashboards: beside the provisioning files, as the official image mounts them.
DASHBOARDS_PATH = "/etc/grafana/provisioning/dashboards"
_HEAD = "# For Grafana's provisioning from files; built from the one rule set.\n"


def datasource(prometheus_url: str) -> dict[str, Any]:
    """The data source that dashboards and rules read."""
    return {
        "name": DATASOURCE_NAME,
        "uid": DATASOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus_url,
        "jsonData": {"httpMethod": "POST"},
    }


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards that were shipped, by file name.

    Raises:
        ProvisionError: they cannot be read.
    """
    try:
        paths = sorted(folder("dashboards").glob("*.json"))
        return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    except (OSError, ValueError) as error:
        raise ProvisionError(f"cannot read the dashboards that were shipped: {error}") from None


def build(
    rules: Iterable[Rule],
    *,
    prometheus_url: str,
    title: str = "Anchorwatch",
    config: Config | None = None,
    boards: str = DASHBOARDS_PATH,
) -> dict[str, str]:
    """The provisioning files by their path under Grafana's provisioning folder, without the dashboards themselves.

    Args:
        rules: the rule set, overrides applied.
        prometheus_url: Prometheus, as Grafana reaches it.
        title: the folder in Grafana.
        config: whose owners and runbooks the annotations name.
        boards: the folder of the dashboards, as Grafana sees it.
    """
    provider = {
        "name": "anchorwatch",
        "orgId": 1,
        "type": "file",
        "folder": title,
        "updateIntervalSeconds": 30,
        "allowUiUpdates": False,
        "options": {"path": boards},
    }
    alerting = [
        {"orgId": 1, "name": name, "folder": title, "interval": duration(INTERVAL_SECONDS), "rules": group}
        for name, group in groups(rules, config).items()
    ]
    source = {**datasource(prometheus_url), "orgId": 1, "editable": False}
    return {
        "datasources/anchorwatch.yml": _yaml({"apiVersion": 1, "datasources": [source]}),
        "dashboards/anchorwatch.yml": _yaml({"apiVersion": 1, "providers": [provider]}),
        "alerting/anchorwatch.yml": _yaml({"apiVersion": 1, "groups": alerting}),
    }


def with_dashboards(files: dict[str, str]) -> dict[str, str]:
    """The same, and the dashboards beside them."""
    found = {f"dashboards/{name}": json.dumps(board, indent=2) + "\n" for name, board in dashboards().items()}
    return {**files, **found}


def _yaml(content: dict[str, Any]) -> str:
    return _HEAD + yaml.safe_dump(content, sort_keys=False, width=1000, default_flow_style=False)
