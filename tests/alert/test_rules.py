"""The shipped rules: every check that can breach has one, and one beside it for when nothing is known."""

from __future__ import annotations

import string

from monitor.alert.rules import RULES
from monitor.records import ChangeReason, Severity

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
