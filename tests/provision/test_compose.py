"""compose.yml, Dockerfile and the files they mount, as far as that goes without a container engine."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from monitor.config import load
from monitor.provision.alertmanager import DAEMON
from tests.provision.test_rules import ROOT, checked, program

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

COMPOSE = yaml.safe_load((ROOT / "compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = json.loads((Path(__file__).parent / "compose.schema.json").read_text(encoding="utf-8"))

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What a service sees at which path."""
    pairs = [volume.removesuffix(":ro").split(":") for volume in service.get("volumes", [])]
    return {inside: outside for outside, inside in pairs}


def test_compose_keeps_to_the_parts_of_the_specification_it_uses() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)


@each_service
def test_everything_mounted_exists(service: dict[str, Any]) -> None:
    for outside in mounts(service).values():
        assert (ROOT / outside).exists() if outside.startswith("./") else outside in COMPOSE["volumes"]


@each_service
def test_what_is_waited_for_tells_when_it_is_well(service: dict[str, Any]) -> None:
    for name, how in service.get("depends_on", {}).items():
        assert name in SERVICES
        assert how["condition"] != "service_healthy" or "test" in SERVICES[name]["healthcheck"]


@each_service
def test_shared_namespaces_are_those_of_services(service: dict[str, Any]) -> None:
    for key in ("network_mode", "pid"):
        if key in service:
            assert service[key].removeprefix("service:") in SERVICES


def test_our_own_containers_have_no_rights_and_a_read_only_root() -> None:
    for name in ("bikes", "anchorwatch", "riders"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in SERVICES[name]["security_opt"]


def test_a_dollar_that_the_shell_is_to_see_is_doubled() -> None:
    for name in ("bikes", "anchorwatch", "riders"):
        for text in SERVICES[name]["command"]:
            assert re.findall(r"(?<!\$)\$(?!\$)", text.replace("$$", "")) == []


@pytest.mark.parametrize(
    ("name", "module"), [("bikes", "bikes.app"), ("riders", "bikes.traffic"), ("anchorwatch", "anchorwatch")]
)
def test_commands_use_options_that_exist(name: str, module: str) -> None:
    words = SERVICES[name]["command"][0].replace("$$", "$").split()
    assert module in words
    program_ = [sys.executable, "-m", *(["monitor.cli", "run"] if module == "anchorwatch" else [module])]
    cwd = ROOT if module == "anchorwatch" else ROOT / "examples"
    said = checked(*program_, "--help", cwd=cwd)
    for option in [word for word in words if word.startswith("--")]:
        assert option in said or option == "--demo", f"{module} has no {option}"


def test_the_daemon_s_configuration_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES["anchorwatch"]["environment"].items():
        monkeypatch.setenv(name, value)
    config = load(ROOT / "deploy/anchorwatch.yml", secrets=False).config
    assert config.listen == "0.0.0.0:9877"
    assert config.auth.none


def test_prometheus_finds_the_daemon_the_rules_and_alertmanager() -> None:
    checked(program("promtool"), "check", "config", "--syntax-only", ROOT / "deploy/prometheus.yml")
    config = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text(encoding="utf-8"))
    names = {*SERVICES, *(alias for one in SERVICES["bikes"]["networks"].values() for alias in one["aliases"])}
    jobs = [job["static_configs"][0]["targets"][0] for job in config["scrape_configs"]]
    told = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert {address.split(":")[0] for address in (*jobs, *told)} <= names
    folder = config["rule_files"][0].removesuffix("/*.yml")
    assert any(inside.startswith(f"{folder}/") for inside in mounts(SERVICES["prometheus"]))
    assert DAEMON.removeprefix("http://") in jobs


def test_grafana_finds_its_provisioning_and_the_dashboards() -> None:
    seen = mounts(SERVICES["grafana"])
    provider = yaml.safe_load((ROOT / "deploy/grafana/dashboards/anchorwatch.yml").read_text(encoding="utf-8"))
    boards = provider["providers"][0]["options"]["path"]
    assert seen[boards] == "./dashboards"
    assert seen["/etc/grafana/provisioning"] == "./deploy/grafana"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == boards
    assert (ROOT / "dashboards" / home.name).is_file()
    source = yaml.safe_load((ROOT / "deploy/grafana/datasources/anchorwatch.yml").read_text(encoding="utf-8"))
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    checked(linter, "--no-color", "Dockerfile", cwd=ROOT)


def test_the_image_runs_as_nobody_in_particular_and_stops_on_sigterm() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = [line.split()[-1] for line in text.splitlines() if line.startswith("FROM")]
    assert stages[-2:] == ["slim", "default"], "the default target is the last one"
    assert "USER 10001:10001" in text
    assert "STOPSIGNAL SIGTERM" in text


def test_everything_the_image_copies_exists_and_is_not_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept
