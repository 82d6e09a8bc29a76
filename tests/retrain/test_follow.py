"""How a retraining comes to its end: what the checks say of the version it has brought."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.retrain import Step, breached_until, judge_outcome
from tests.retrain.history import NOW, retraining

OK, BREACHED, NO_DATA, ERROR = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA, Verdict.ERROR
WINDOW = Window(NOW - 86400, NOW)
RECOVERED = Step("recovered", "performance is ok again with version 2")
STILL = Step("not_recovered", "performance is still breached by version 2")
GONE = Step("not_recovered", "version 2 is no longer in use")


def said(*verdicts: tuple[str, Verdict], check: str = "performance", versions: str = "") -> CheckResult:
    """A result that says this of these versions; `versions` are those in use where they are others."""
    findings = tuple(
        Finding("shop", check, "mae", verdict, "", WINDOW, model="demand", version=version)
        for version, verdict in verdicts
    )
    whole = next((v for v in (BREACHED, ERROR, OK) if v in {verdict for _, verdict in verdicts}), NO_DATA)
    active = tuple(versions.split()) or tuple(dict.fromkeys(version for version, _ in verdicts))
    return CheckResult("shop", "demand", check, whole, "", WINDOW, 1, findings, active)


@pytest.mark.parametrize(
    ("result", "breaches", "step"),
    [
        # ok with the new version
        (said(("2", OK)), 0, RECOVERED),
        (said(("2", OK), ("2", OK)), 0, RECOVERED),
        (said(("1", BREACHED), ("2", OK), versions="2"), 0, RECOVERED),
        (said(("1", BREACHED), ("2", OK)), 0, RECOVERED),
        # a breach does not last for ever
        (said(("2", OK)), 1, RECOVERED),
        # some of its metrics are ok, and of others nobody knows
        (said(("2", OK), ("2", NO_DATA)), 0, None),
        # nothing known yet
        (said(("2", NO_DATA)), 0, None),
        (said(("2", ERROR)), 0, None),
        (said(), 0, None),
        # breached, in as many windows as count as evidence or not yet
        (said(("2", BREACHED)), 1, None),
        (said(("2", BREACHED)), 2, STILL),
        (said(("2", BREACHED), ("2", OK)), 3, STILL),
        (said(("1", BREACHED), ("2", BREACHED)), 1, None),
        (said(("1", BREACHED), ("2", BREACHED)), 2, STILL),
        # another version has taken its place
        (said(("3", OK)), 0, GONE),
        (said(("1", BREACHED)), 9, GONE),
        (said(("3", NO_DATA)), 0, None),
        # another check has nothing to say about it
        (said(("2", OK), check="drift"), 0, None),
        (said(("2", BREACHED), check="drift"), 9, None),
        (said(("3", OK), check="drift"), 0, None),
    ],
)
def test_what_a_result_says_about_the_new_version(result: CheckResult, breaches: int, step: Step | None) -> None:
    row = retraining(state="deployed", new_version="2", breaches=breaches)
    assert judge_outcome(row, result, windows=2) == step


def test_a_window_from_before_the_new_version_does_not_say_that_it_is_gone() -> None:
    row = retraining(state="deployed", new_version="2", deployed=WINDOW.start + 1)
    assert judge_outcome(row, said(("1", BREACHED)), windows=2) is None
    rolled_back = said(("1", BREACHED), ("2", OK), versions="1")
    superseded = replace(rolled_back.findings[1], superseded=True)
    assert judge_outcome(row, replace(rolled_back, findings=(rolled_back.findings[0], superseded)), windows=2) == GONE


def test_before_a_new_version_is_known_nothing_is_said() -> None:
    row = retraining(state="accepted", new_version=None)
    assert judge_outcome(row, said(("2", OK)), windows=2) is None


@pytest.mark.parametrize(
    ("result", "breached"),
    [
        (said(("2", BREACHED)), True),
        (said(("2", OK), ("2", BREACHED)), True),
        (said(("1", BREACHED), ("2", OK)), False),
        (said(("2", NO_DATA)), False),
        (said(("2", BREACHED), check="drift"), False),
    ],
)
def test_only_a_breach_of_the_new_version_by_the_check_that_was_the_cause_counts(
    result: CheckResult, breached: bool
) -> None:
    until = breached_until(retraining(state="deployed", new_version="2"), result)
    assert (until == result.window.end) is breached
    assert (until == -math.inf) is not breached
