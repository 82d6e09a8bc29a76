"""The rules for Prometheus and everything else that is built from the one rule set."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from alerts.build import built
from monitor.alert.rules import RULES
from monitor.config import RuleOverride
from monitor.provision import ProvisionError, prometheus
from monitor.provision.grafana_rules import groups
from monitor.provision.watch import WATCH
from monitor.records import Severity
from tests.provision.expressions import known_names, labels_of, selectors

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "alerts"


def rules_in(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


RULES_FILE = rules_in(prometheus.build())


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"expected {name} to be installed"
    return found


def checked(*command: str | Path, cwd: Path = ALERTS) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", built(), ids=str)
def test_the_committed_file_is_the_built_one(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == built()[path], "run `python alerts/build.py`"


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in checked(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", prometheus.FILE)


UNIT_TESTS = ("rules.test.yml", "rules.weeks.test.yml", "rules.bins.test.yml")


@pytest.mark.slow
@pytest.mark.parametrize("name", UNIT_TESTS)
def test_promtool_s_unit_tests_of_the_rules_pass(name: str) -> None:
    assert "SUCCESS" in checked(program("promtool"), "test", "rules", name)


def unit_tests() -> list[dict[str, Any]]:
    held = [yaml.safe_load((ALERTS / name).read_text(encoding="utf-8"))["tests"] for name in UNIT_TESTS]
    return [test for tests in held for test in tests]


def test_every_alert_has_a_unit_test_in_which_it_fires() -> None:
    cases = [case for test in unit_tests() for case in test.get("alert_rule_test", [])]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert fired == {rule.name for rule in RULES} | {alert["alert"] for alert in WATCH}


def test_every_unit_test_names_its_interval() -> None:
    assert [test["name"] for test in unit_tests() if "interval" not in test] == []


@pytest.mark.parametrize("rule", RULES_FILE, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_reads_only_what_is_exposed(rule: dict[str, Any]) -> None:
    for name, labels in selectors(rule["expr"]):
        assert name in known_names()
        assert labels <= (labels_of(name) or labels)


def test_there_is_an_alert_for_every_rule_and_none_else() -> None:
    assert {rule["alert"] for rule in RULES_FILE if "alert" in rule} == {
        *(rule.name for rule in RULES),
        *(alert["alert"] for alert in WATCH),
    }


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.on == "breached"], ids=lambda rule: rule.name)
def test_every_breach_has_a_no_data_alert_beside_it(rule: Any) -> None:
    assert any(other.on == "no_data" and other.check == rule.check for other in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_templates_name_only_labels_the_alert_has(rule: Any) -> None:
    labels = {"app", *rule.by} if rule.on == "breached" else {"app", "model", "check"}
    assert set(re.findall(r"\{(\w+)\}", rule.summary + rule.description)) <= labels


def test_overrides_change_severity_and_for_and_nothing_else() -> None:
    override = RuleOverride(severity=Severity.CRITICAL, **{"for": "1h"})
    changed = rules_in(prometheus.build(prometheus.adjusted({"ModelFeatureDrift": override})))
    for before, after in zip(RULES_FILE, changed, strict=True):
        if before.get("alert") != "ModelFeatureDrift":
            assert after == before
            continue
        assert after == {**before, "for": "1h", "labels": {"severity": "critical"}}


def test_a_for_of_zero_is_an_override_too() -> None:
    changed = rules_in(prometheus.build(prometheus.adjusted({"AppDown": RuleOverride(**{"for": "0s"})})))
    assert next(rule for rule in changed if rule.get("alert") == "AppDown")["for"] == "0s"


def test_provision_writes_once_then_says_unchanged(tmp_path: Path) -> None:
    from monitor.config import load

    path = tmp_path / "anchorwatch.yml"
    path.write_text("apps: [{name: bikes}]\nalerting: {rules: {AppDown: {for: 2m}}}\n", encoding="utf-8")
    config, out = load(path).config, tmp_path / "rules"
    target = out / prometheus.FILE
    assert prometheus.provision(config, output=out, dry_run=True) == ([f"{target}: would create"], True)
    assert not out.exists()
    assert prometheus.provision(config, output=out, dry_run=False) == ([f"{target}: created"], True)
    assert prometheus.provision(config, output=out, dry_run=False) == ([f"{target}: unchanged"], False)
    target.write_text(target.read_text(encoding="utf-8").replace("for: 2m", "for: 3m"), encoding="utf-8")
    lines, changed = prometheus.provision(config, output=out, dry_run=True)
    assert changed
    assert "-    for: 3m" in lines
    assert "+    for: 2m" in lines
    assert prometheus.provision(config, output=out, dry_run=False) == ([f"{target}: updated"], True)
    assert [path.name for path in out.iterdir()] == [prometheus.FILE], "nothing is left beside it"
    assert prometheus.provision(config, output=None, dry_run=False) == (
        target.read_text(encoding="utf-8").splitlines(),
        False,
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    from monitor.provision.files import put

    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ProvisionError, match=r"file/x\.yml: cannot (read what is there|write): Not a directory"):
        put(tmp_path / "file", {"x.yml": "a"}, dry_run=False)


# --- Grafana-managed rules --------------------------------------------------------------------------------------------

GRAFANA = [rule for group in groups(RULES).values() for rule in group]


@pytest.mark.parametrize("rule", GRAFANA, ids=lambda rule: rule["title"])
def test_a_grafana_rule_reads_what_is_exposed_and_compares_outside_its_query(rule: dict[str, Any]) -> None:
    query = rule["data"][0]["model"]["expr"]
    for name, labels in selectors(query):
        assert name in known_names()
        assert labels <= (labels_of(name) or labels)
    first = promql_parser.parse(query)
    while isinstance(first, promql_parser.BinaryExpr) and str(first.op) == "or":
        first = first.lhs
    assert isinstance(first, promql_parser.AggregateExpr), "the value itself comes first, uncompared"


SUBJECT = 'app="bikes", model="demand", version="{}"'
DRIFT = f'anchorwatch_feature_drift_breached{{{{{SUBJECT}, feature="temp", statistic="psi"}}}}'
STATE = 'anchorwatch_check_state{app="bikes", model="demand", check="drift", state="no_data"}'
# What is exposed, minute by minute, and whether Grafana is to see a breach half an hour later: None is no value at all.
HELD = {
    "fine": ({DRIFT.format(1): "0x60", STATE: "0x60"}, {"1": 0}),
    "breached": ({DRIFT.format(1): "1x60", STATE: "0x60"}, {"1": 1}),
    "breached, then unknown": ({DRIFT.format(1): "1x5 stale", STATE: "0x5 1x60"}, {"1": 1}),
    "fine, then unknown": ({DRIFT.format(1): "1x5 0x1 stale", STATE: "0x7 1x60"}, {"1": 0}),
    "breached, then nobody there": (
        {DRIFT.format(1): "1x5 stale", STATE: "0x5 stale", "anchorwatch_build_info": "1x5 stale"},
        {"1": 1},
    ),
    "breached, then retired while the next is fine": (
        {DRIFT.format(1): "1x5 stale", DRIFT.format(2): "_x5 0x60", STATE: "0x60"},
        {"2": 0},
    ),
    "breached, then retired while the next is unknown": (
        {
            DRIFT.format(1): "1x5 stale",
            STATE: "0x5 1x60",
            f"anchorwatch_model_info{{{SUBJECT.format(1)}}}": "1x5 stale",
            f"anchorwatch_model_info{{{SUBJECT.format(2)}}}": "_x5 1x60",
        },
        {},
    ),
    "breached, then the daemon restarted and knows no version yet": (
        {
            DRIFT.format(1): "1x5 stale",
            STATE: "0x5 stale _x3 1x60",
            f"anchorwatch_model_info{{{SUBJECT.format(1)}}}": "1x5 stale",
        },
        {"1": 1},
    ),
    "breached, then this feature alone unknown": (
        {
            DRIFT.format(1): "1x5 stale",
            STATE: "0x60",
            DRIFT.format(1).replace("breached", "threshold"): "0.2x60",
        },
        {"1": 1},
    ),
}


@pytest.mark.parametrize("case", HELD)
def test_a_grafana_rule_holds_a_breach_through_no_data(case: str, tmp_path: Path) -> None:
    series, expected = HELD[case]
    series = {"anchorwatch_build_info": "1x60", **series}
    expr = next(rule for rule in GRAFANA if rule["title"] == "ModelFeatureDrift")["data"][0]["model"]["expr"]
    samples = [
        {"labels": f'{{{SUBJECT.format(version)}, feature="temp", statistic="psi"}}', "value": value}
        for version, value in expected.items()
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expr, "eval_time": "35m", "exp_samples": samples}],
    }
    path = tmp_path / "grafana.test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
    checked(program("promtool"), "test", "rules", path)


def test_grafana_rules_have_the_names_and_severities_of_the_rule_set() -> None:
    found = {rule["title"]: rule["labels"]["severity"] for rule in GRAFANA}
    assert found == {**{rule.name: rule.severity.value for rule in RULES}, "AnchorwatchDown": "critical"}
    assert len({rule["uid"] for rule in GRAFANA}) == len(GRAFANA)
    assert all(len(rule["uid"]) <= 40 for rule in GRAFANA)


def test_no_text_in_provisioning_files_holds_a_dollar_that_grafana_would_replace() -> None:
    """Grafana expands `$NAME` in strings of provisioning files, but never within a query's model."""

    def strings(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for key, item in value.items() if key != "model" for text in strings(item)]
        if isinstance(value, list):
            return [text for item in value for text in strings(item)]
        return [value] if isinstance(value, str) else []

    files = [path for path in built() if path.parts[:2] == ("deploy", "grafana")]
    assert len(files) == 3
    for path in files:
        assert [text for text in strings(yaml.safe_load(built()[path])) if "$" in text] == []


def test_the_programs_that_build_run_by_themselves(tmp_path: Path) -> None:
    for name in ("alerts", "dashboards", "examples", "monitor"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "alerts" / prometheus.FILE).unlink()
    (tmp_path / "dashboards" / "model.json").unlink()
    for name in ("alerts", "dashboards"):
        checked(sys.executable, f"{name}/build.py", cwd=tmp_path)
    for name in (f"alerts/{prometheus.FILE}", "dashboards/model.json"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
