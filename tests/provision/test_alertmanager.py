"""Alertmanager's configuration: accepted by amtool, and every alert goes where it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from monitor.config import Config, load
from monitor.provision import alertmanager
from tests.provision.test_rules import ALERTS, ROOT, checked, program

AMTOOL = program("amtool")
DRIFT = ("alertname=ModelFeatureDrift", "severity=warning", "app=bikes", "model=demand")
ERROR = ("alertname=ModelPerformanceDegraded", "severity=critical", "app=bikes", "model=demand")
NO_DATA = ("alertname=ModelFeatureDriftNoData", "severity=warning", "app=bikes", "model=demand")
DOWN = ("alertname=AppDown", "severity=critical", "app=bikes")


@pytest.mark.parametrize("path", ["alerts/alertmanager.yml", "deploy/alertmanager.yml"])
def test_amtool_accepts_the_configuration(path: str) -> None:
    assert "SUCCESS" in checked(AMTOOL, "check-config", ROOT / path)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [(DRIFT, "anchorwatch,team"), (ERROR, "anchorwatch,team"), (NO_DATA, "team"), (DOWN, "team")],
    ids=["drift", "performance", "no data", "app down"],
)
def test_people_hear_of_everything_and_the_daemon_of_breaches_of_models(
    labels: tuple[str, ...], receivers: str
) -> None:
    file = f"--config.file={ALERTS / alertmanager.FILE}"
    checked(AMTOOL, "config", "routes", "test", file, f"--verify.receivers={receivers}", *labels)


def configured(tmp_path: Path, text: str) -> Config:
    for name in ("ingest", "operate", "slack"):
        (tmp_path / name).write_text("https://hooks.slack.com/services/secret", encoding="utf-8")
    path = tmp_path / "anchorwatch.yml"
    path.write_text("apps: [{name: bikes}]\n" + text, encoding="utf-8")
    return load(path).config


def test_address_token_and_slack_are_taken_from_the_configuration(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """
listen: 10.0.0.7:9999
auth: {tokens: [{name: a, role: ingest, token_file: ingest}, {name: b, role: operate, token_file: operate}]}
alerting: {receivers: [{name: team, type: slack, url_file: slack}]}
""",
    )
    out = tmp_path / "out"
    lines, changed = alertmanager.provision(config, output=out, dry_run=False)
    assert changed
    assert lines == [f"{out}/alertmanager.yml: created", f"{out}/templates/slack.tmpl: created"]
    text = (out / "alertmanager.yml").read_text(encoding="utf-8")
    receivers = {one["name"]: one for one in yaml.safe_load(text)["receivers"]}
    webhook = receivers["anchorwatch"]["webhook_configs"][0]
    assert webhook["url"] == "http://10.0.0.7:9999/v1/alerts"
    assert webhook["http_config"]["authorization"]["credentials_file"] == str(tmp_path / "operate")
    assert receivers["team"]["slack_configs"][0]["api_url_file"] == str(tmp_path / "slack")
    assert "hooks.slack.com" not in text
    checked(AMTOOL, "check-config", out / "alertmanager.yml")
    assert alertmanager.provision(config, output=out, dry_run=False)[1] is False


def test_without_tokens_and_slack_neither_is_asked_for(tmp_path: Path) -> None:
    lines, _ = alertmanager.provision(configured(tmp_path, "listen: 127.0.0.1:9877\n"), output=None, dry_run=False)
    config = yaml.safe_load("\n".join(lines))
    assert config["receivers"][0] == {"name": "nobody"}
    assert config["receivers"][1]["webhook_configs"] == [
        {"url": "http://127.0.0.1:9877/v1/alerts", "send_resolved": True, "max_alerts": 0}
    ]


def test_a_daemon_that_listens_everywhere_is_called_by_its_name(tmp_path: Path) -> None:
    lines, _ = alertmanager.provision(
        configured(tmp_path, "listen: 0.0.0.0:9900\nauth: none\n"), output=None, dry_run=False
    )
    assert any("http://anchorwatch:9900/v1/alerts" in line for line in lines)


def rendered(tmp_path: Path, part: str, status: str, severity: str = "warning") -> str:
    common = {"alertname": "ModelFeatureDrift", "app": "bikes", "model": "demand", "severity": severity}
    told = {"summary": "demand: temp has drifted (psi)", "value": "0.31", "threshold": "0.2"}
    data = {
        "status": status,
        "receiver": "team",
        "groupLabels": {},
        "commonLabels": common,
        "commonAnnotations": {"owner": "mobility", "runbook_url": "https://wiki/x", "description": "It has drifted."},
        "alerts": [
            {"status": status, "labels": {}, "annotations": told},
            {"status": "resolved", "labels": {}, "annotations": {"summary": "demand: hum has drifted (psi)"}},
        ],
    }
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    text = f'{{{{ template "anchorwatch.slack.{part}" . }}}}'
    glob = f"--template.glob={ALERTS / 'templates'}/*.tmpl"
    return checked(AMTOOL, "template", "render", glob, f"--template.text={text}", f"--template.data={path}")


def test_slack_is_told_what_fires_how_far_beyond_and_what_is_over(tmp_path: Path) -> None:
    assert rendered(tmp_path, "title", "firing") == "[FIRING] ModelFeatureDrift · bikes / demand"
    assert rendered(tmp_path, "text", "firing").splitlines() == [
        "• demand: temp has drifted (psi): 0.31 (threshold 0.2)",
        "Resolved:",
        "• demand: hum has drifted (psi)",
        "It has drifted.",
        "Owner: mobility",
        "<https://wiki/x|Runbook>",
    ]


@pytest.mark.parametrize(
    ("status", "severity", "color"),
    [("firing", "critical", "danger"), ("firing", "warning", "warning"), ("resolved", "critical", "good")],
)
def test_slack_s_colour_says_how_bad_it_is(tmp_path: Path, status: str, severity: str, color: str) -> None:
    assert rendered(tmp_path, "color", status, severity) == color
