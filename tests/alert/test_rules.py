"""The shipped rules: every check that can breach has one, and one beside it for when nothing is known."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest

from monitor.alert.lifecycle import evaluate, labels_of
from monitor.alert.rules import RULES
from monitor.records import ChangeReason, CheckResult, Finding, Rule, Severity, Verdict, Window

LABELS = {
    "model",
    "version",
    "feature",
    "statistic",
    "metric",
    "probe",
    "output",
    "columns",
    "segment",
    "attribute",
    "detector",
}


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_beside_every_breach_stands_an_alert_about_no_data() -> None:
    breaches = {rule.check for rule in RULES if rule.on == "breached"}
    assert breaches
    assert breaches <= {rule.check for rule in RULES if rule.on == "no_data"}


def test_a_check_that_fails_is_told_whatever_it_is_called() -> None:
    failing = [rule for rule in RULES if rule.on == "error"]
    assert all(any(rule.covers(check) for rule in failing) for check in ("drift", "probe:health", "scrape", "x"))


def test_the_words_of_a_rule_use_only_labels_that_its_alerts_have() -> None:
    for rule in RULES:
        fields = {name for text in (rule.summary, rule.description) for _, name, _, _ in string.Formatter().parse(text)}
        allowed = {"app", "check", "model", *rule.by} | ({"version"} if "version" in rule.by else set())
        assert fields - {None} <= allowed, rule.name
        assert set(rule.by) <= LABELS


def test_what_a_breach_is_about_is_said_by_a_metric() -> None:
    for rule in RULES:
        assert bool(rule.metric) is (rule.on == "breached"), rule.name
        assert rule.for_seconds >= 0
        assert rule.severity in Severity


def test_reasons_are_words_a_person_reads() -> None:
    assert {reason.value for reason in ChangeReason} == {
        "first_breach", "breach_persisted", "recovered", "subject_retired", "repeat_due",
    }  # fmt: skip


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.on == "breached" and "model" in rule.by], ids=lambda rule: rule.name
)
def test_the_alert_about_a_finding_is_known_again_by_that_finding(rule: Rule) -> None:
    """So a retraining sees that the very subject that alerts has been breached for long enough, and not another one."""
    features = {"feature": "temp", "prediction": "prediction", "label": "label", "model": None}
    finding = Finding(
        "shop", rule.check, rule.statistic or "psi", Verdict.BREACHED, "", Window(0, 1),
        model="demand", version="1", feature=features[rule.subject or "feature"], segment="season", value=1.0, threshold=0.0,
    )  # fmt: skip
    result = CheckResult("shop", "demand", rule.check, Verdict.BREACHED, "", Window(0, 1), 10, (finding,), ("1",))
    [alert] = [each for each in evaluate([rule], {}, result, 0.0).kept if each.name == rule.name]
    assert labels_of(rule, finding) == alert.labels
    other = replace(finding, segment="region", feature=None if finding.feature is None else "hum", version="2")
    assert labels_of(rule, other) != alert.labels or set(rule.by) == {"model", "statistic"}
