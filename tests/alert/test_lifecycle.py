"""The life of an alert as a table: the state, what the check says, how long it has lasted → the next state and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.alert.lifecycle import due_again, evaluate
from monitor.records import Alert, AlertState, ChangeReason, CheckResult, Finding, Severity, Verdict
from tests.alert.results import NOW, WINDOW, alert, finding, live, result, rule

PENDING, FIRING, RESOLVED = AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVED
OK, BREACHED, NO_DATA, ERROR = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA, Verdict.ERROR
HOUR = 3600.0
HELD, FORGOTTEN = "held", "forgotten"  # it stays as it was; it is dropped without a word


@pytest.mark.parametrize(
    ("before", "since", "verdict", "for_seconds", "after", "reason"),
    [
        # nothing yet
        (None, 0, BREACHED, 0, FIRING, ChangeReason.FIRST_BREACH),
        (None, 0, BREACHED, HOUR, PENDING, ChangeReason.FIRST_BREACH),
        (None, 0, OK, 0, HELD, None),
        (None, 0, NO_DATA, 0, HELD, None),
        (None, 0, ERROR, 0, HELD, None),
        # pending
        (PENDING, HOUR - 1, BREACHED, HOUR, HELD, None),
        (PENDING, HOUR, BREACHED, HOUR, FIRING, ChangeReason.BREACH_PERSISTED),
        (PENDING, 9 * HOUR, BREACHED, HOUR, FIRING, ChangeReason.BREACH_PERSISTED),
        (PENDING, 1, BREACHED, 0, FIRING, ChangeReason.BREACH_PERSISTED),
        (PENDING, HOUR, OK, HOUR, FORGOTTEN, None),
        (PENDING, 1, OK, HOUR, FORGOTTEN, None),
        (PENDING, HOUR, NO_DATA, HOUR, HELD, None),
        (PENDING, HOUR, ERROR, HOUR, HELD, None),
        # firing
        (FIRING, HOUR, BREACHED, 0, HELD, None),
        (FIRING, 1, BREACHED, HOUR, HELD, None),
        (FIRING, HOUR, OK, HOUR, RESOLVED, ChangeReason.RECOVERED),
        (FIRING, HOUR, OK, 0, RESOLVED, ChangeReason.RECOVERED),
        (FIRING, HOUR, NO_DATA, 0, HELD, None),
        (FIRING, HOUR, ERROR, 0, HELD, None),
    ],
)
def test_an_alert_goes_its_way(
    before: AlertState | None,
    since: float,
    verdict: Verdict,
    for_seconds: float,
    after: AlertState | str,
    reason: ChangeReason | None,
) -> None:
    """Not knowing changes nothing: neither does it resolve what fires, nor does it forget what is pending."""
    known = () if before is None else (alert(before, since=NOW - since),)
    decided = evaluate([rule(for_seconds=for_seconds)], live(*known), result(finding(verdict)), NOW)
    if not isinstance(after, AlertState):
        assert (decided.kept, decided.changes) == ((), ())
        assert decided.forgotten == (tuple(each.fingerprint for each in known) if after == FORGOTTEN else ())
        return
    (change,) = decided.changes
    assert decided.forgotten == ()
    assert decided.kept == (change.alert,)
    assert (change.before, change.alert.state, change.reason, change.at) == (before, after, reason, NOW)


def test_the_times_of_a_life_are_those_of_its_steps() -> None:
    drift = rule(for_seconds=HOUR)
    (first,) = evaluate([drift], {}, result(finding(BREACHED)), NOW).kept
    assert (first.pending_since, first.started_at, first.resolved_at) == (NOW, None, None)
    (second,) = evaluate([drift], live(first), result(finding(BREACHED)), NOW + HOUR).kept
    assert (second.pending_since, second.started_at, second.resolved_at) == (NOW, NOW + HOUR, None)
    (third,) = evaluate([drift], live(second), result(finding(OK)), NOW + 2 * HOUR).kept
    assert (third.pending_since, third.started_at, third.resolved_at) == (NOW, NOW + HOUR, NOW + 2 * HOUR)
    assert first.fingerprint == second.fingerprint == third.fingerprint


def test_the_same_result_evaluated_again_says_nothing_new() -> None:
    first = evaluate([rule()], {}, result(finding(BREACHED)), NOW)
    again = evaluate([rule()], live(*first.kept), result(finding(BREACHED)), NOW + 60)
    assert (again.kept, again.changes, again.forgotten) == ((), (), ())


def test_an_alert_tells_what_it_is_about_in_words_and_numbers() -> None:
    (change,) = evaluate([rule()], {}, result(finding(BREACHED)), NOW).changes
    assert change.alert.labels == {
        "app": "shop", "model": "demand", "version": "1", "feature": "temp", "statistic": "psi",
    }  # fmt: skip
    assert change.alert.summary == "demand: temp has drifted"
    assert change.alert.description == "In shop, temp of demand 1 has drifted (psi)."
    assert (change.alert.value, change.alert.threshold) == (0.5, 0.2)


@pytest.mark.parametrize("before", [PENDING, FIRING])
def test_an_alert_that_is_held_tells_what_is_true_now_and_nobody_is_told(before: AlertState) -> None:
    """The newest numbers and words are kept, as is everything that says since when."""
    known = alert(before)
    worse = finding(BREACHED, value=0.9, threshold=0.3)
    decided = evaluate([rule(for_seconds=9 * HOUR, summary="{feature} is off")], live(known), result(worse), NOW)
    assert (decided.changes, decided.forgotten) == ((), ())
    assert decided.kept == (replace(known, value=0.9, threshold=0.3, summary="temp is off"),)


@pytest.mark.parametrize("verdict", [NO_DATA, ERROR])
def test_an_alert_of_which_nothing_is_known_keeps_its_last_numbers(verdict: Verdict) -> None:
    unknown = finding(verdict, threshold=None)
    (kept,) = evaluate([rule(summary="new words")], live(alert(FIRING)), result(unknown), NOW).kept
    assert (kept.state, kept.value, kept.threshold, kept.summary) == (FIRING, 0.5, 0.2, "new words")


def test_what_is_over_tells_the_value_that_ended_it() -> None:
    (change,) = evaluate([rule()], live(alert(FIRING)), result(finding(OK)), NOW).changes
    assert (change.alert.state, change.alert.value, change.alert.threshold) == (RESOLVED, 0.1, 0.2)


def test_each_subject_has_a_life_of_its_own() -> None:
    known = live(alert(FIRING, feature="temp"), alert(FIRING, feature="hum"))
    findings = (finding(OK, "temp"), finding(BREACHED, "hum"), finding(BREACHED, "wind"), finding(NO_DATA, "season"))
    decided = evaluate([rule()], known, result(*findings, verdict=BREACHED), NOW)
    assert {change.alert.labels["feature"]: change.alert.state for change in decided.changes} == {
        "temp": RESOLVED,
        "wind": FIRING,
    }


# --- subjects that a result does not speak of -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "spoken_of", "resolved"),
    [
        (FIRING, result(finding(OK, version="2"), versions=("2",)), True),
        (FIRING, result(finding(BREACHED, version="2"), versions=("2",)), True),
        (
            FIRING,
            result(finding(BREACHED, superseded=True), finding(OK, version="2"), verdict=OK, versions=("2",)),
            True,
        ),
        # Replaced, and too little left of it to judge.
        (
            FIRING,
            result(finding(NO_DATA, None, superseded=True), finding(OK, version="2"), verdict=OK, versions=("2",)),
            True,
        ),
        # A feature that is watched no more, of a version that is.
        (FIRING, result(finding(OK, "hum")), True),
        # The version is there, and too little is known of it to say so.
        (FIRING, result(finding(NO_DATA, None), finding(OK, "temp", "2"), verdict=OK, versions=("1", "2")), False),
        (FIRING, result(finding(ERROR, None), finding(OK, "temp", "2"), verdict=ERROR, versions=("1", "2")), False),
        # Nothing is known at all.
        (FIRING, result(verdict=NO_DATA, versions=()), False),
        (FIRING, result(finding(NO_DATA, None, None), versions=()), False),
        (FIRING, result(finding(ERROR, None, None, statistic="drift"), versions=()), False),
        (PENDING, result(verdict=NO_DATA, versions=()), False),
    ],
)
def test_a_subject_that_is_gone_is_retired_and_one_that_is_unknown_is_held(
    before: AlertState, spoken_of: CheckResult, resolved: bool
) -> None:
    known = live(alert(before))
    changes = [
        change for change in evaluate([rule()], known, spoken_of, NOW).changes if change.alert.fingerprint in known
    ]
    if resolved:
        assert [(change.alert.state, change.reason) for change in changes] == [(RESOLVED, ChangeReason.SUBJECT_RETIRED)]
    else:
        assert changes == []
        assert evaluate([rule()], known, spoken_of, NOW).forgotten == ()


def test_a_pending_alert_about_a_version_that_is_gone_is_forgotten() -> None:
    pending = alert(PENDING)
    decided = evaluate([rule(for_seconds=HOUR)], live(pending), result(finding(OK, version="2"), versions=("2",)), NOW)
    assert (decided.forgotten, decided.changes) == ((pending.fingerprint,), ())


# --- alerts about a check as a whole ----------------------------------------------------------------------------------


def whole(verdict: Verdict, check: str = "drift", model: str | None = "demand") -> CheckResult:
    return CheckResult("shop", model, check, verdict, verdict.value, WINDOW, 0, ())


@pytest.mark.parametrize("on", ["no_data", "error"])
def test_a_check_that_cannot_tell_has_an_alert_of_its_own(on: str) -> None:
    absent = rule(
        name="DriftUnknown", on=on, by=(), for_seconds=HOUR, summary="{check} of {model}: unknown", description=""
    )
    (pending,) = evaluate([absent], {}, whole(Verdict(on)), NOW).kept
    assert pending.labels == {"app": "shop", "model": "demand", "check": "drift"}
    assert pending.summary == "drift of demand: unknown"
    (firing,) = evaluate([absent], live(pending), whole(Verdict(on)), NOW + HOUR).changes
    assert (firing.alert.state, firing.reason) == (FIRING, ChangeReason.BREACH_PERSISTED)
    for verdict in {OK, BREACHED, NO_DATA, ERROR} - {Verdict(on)}:
        (over,) = evaluate([absent], live(firing.alert), whole(verdict), NOW + 2 * HOUR).changes
        assert (over.alert.state, over.reason) == (RESOLVED, ChangeReason.RECOVERED)
        assert evaluate([absent], live(pending), whole(verdict), NOW).forgotten == (pending.fingerprint,)


def test_no_data_fires_beside_a_breach_that_is_held() -> None:
    absent = rule(name="DriftUnknown", on="no_data", by=(), summary="", description="")
    decided = evaluate([rule(), absent], live(alert(FIRING)), whole(NO_DATA), NOW)
    assert [(change.alert.name, change.alert.state) for change in decided.changes] == [("DriftUnknown", FIRING)]


@pytest.mark.parametrize(
    ("watched", "check", "covered"),
    [
        ("drift", "drift", True), ("drift", "quality", False), ("probe:", "probe:health", True),
        ("probe:", "scrape", False), ("*", "anything", True), ("drift", "drift:late", False),
    ],
)  # fmt: skip
def test_a_rule_watches_its_check_and_no_other(watched: str, check: str, covered: bool) -> None:
    breach = replace(finding(BREACHED), check=check)
    said = CheckResult("shop", "demand", check, BREACHED, "", WINDOW, 1, (breach,), ("1",))
    assert bool(evaluate([rule(check=watched)], {}, said, NOW).changes) is covered


def test_an_alert_about_a_probe_carries_its_name() -> None:
    down = rule(name="AppDown", check="probe:", by=("probe",), summary="{app}: {probe}", description="{check}")
    said = Finding("shop", "probe:health", "up", BREACHED, "timed out", WINDOW, value=0, threshold=1)
    outcome = CheckResult("shop", None, "probe:health", BREACHED, "timed out", WINDOW, 1, (said,))
    (change,) = evaluate([down], {}, outcome, NOW).changes
    assert change.alert.labels == {"app": "shop", "probe": "health"}
    assert change.alert.summary == "shop: health"


def test_a_finding_about_something_wider_than_the_rule_makes_no_alert() -> None:
    assert evaluate([rule()], {}, result(finding(BREACHED, None)), NOW).changes == ()


def test_alerts_of_another_rule_are_left_alone() -> None:
    other = replace(alert(FIRING), name="SomethingElse")
    decided = evaluate([rule()], live(other), result(finding(OK)), NOW)
    assert (decided.kept, decided.changes, decided.forgotten) == ((), (), ())


def test_the_severity_is_the_rules_at_the_time_of_the_change() -> None:
    (change,) = evaluate(
        [rule(severity=Severity.CRITICAL)], live(alert(PENDING)), result(finding(BREACHED)), NOW
    ).changes
    assert change.alert.severity is Severity.CRITICAL


# --- repeats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "told", "again"),
    [
        (FIRING, NOW - HOUR, True),
        (FIRING, NOW - HOUR + 1, False),
        (FIRING, None, False),
        (PENDING, NOW - 9 * HOUR, False),
        (RESOLVED, NOW - 9 * HOUR, False),
    ],
)
def test_what_still_fires_is_told_again_once_its_time_has_passed(
    state: AlertState, told: float | None, again: bool
) -> None:
    known: Alert = replace(alert(state), notified_at=told)
    assert due_again([known], HOUR, NOW) == ([known] if again else [])
