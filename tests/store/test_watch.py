"""What the watch remembers of itself: results in a row, alerts, the outbox in order, the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from monitor.records import Alert, AlertState, CheckResult, Finding, Severity, Verdict, Window
from monitor.store import Store, watch
from monitor.store.schema import outbox
from tests.store.rows import NOW, opened

DAY = 86400.0
OK, BREACHED, NO_DATA, ERROR = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA, Verdict.ERROR


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


# --- results ----------------------------------------------------------------------------------------------------------


def result(verdict: Verdict, day: int = 0) -> CheckResult:
    window = Window(NOW + (day - 7) * DAY, NOW + day * DAY)
    said = Finding(
        "shop", "drift", "psi", verdict, "why", window, model="demand", version="1", feature="temp", value=0.25
    )
    return CheckResult("shop", "demand", "drift", verdict, "why", window, 10, (said,), ("1",))


def save(store: Store, verdict: Verdict, day: int = 0, now: float = NOW) -> watch.KeptResult:
    return store.write(lambda c: watch.save_result(c, result(verdict, day), now=now))


def test_a_result_comes_back_as_it_was(store: Store) -> None:
    save(store, BREACHED)
    with store.read() as connection:
        kept = watch.load_result(connection, "shop", "demand", "drift")
        assert kept is not None
        assert kept.result == result(BREACHED)
        assert watch.all_results(connection) == [kept]
        assert watch.load_result(connection, "shop", None, "drift") is None


@pytest.mark.parametrize(
    ("verdicts", "streak"),
    [
        ([(BREACHED, 0)], 1),
        ([(BREACHED, 0), (BREACHED, 1), (BREACHED, 2)], 3),
        # One window that is judged again and again is one window.
        ([(BREACHED, 0), (BREACHED, 0), (BREACHED, 0)], 1),
        ([(BREACHED, 0), (OK, 1), (BREACHED, 2)], 1),
        ([(BREACHED, 0), (OK, 1)], 0),
        # Nothing known interrupts nothing.
        ([(BREACHED, 0), (NO_DATA, 1), (ERROR, 2), (BREACHED, 3)], 2),
        ([(OK, 0), (BREACHED, 0)], 1),
    ],
)
def test_windows_in_a_row_are_counted(store: Store, verdicts: list[tuple[Verdict, int]], streak: int) -> None:
    assert [save(store, verdict, day) for verdict, day in verdicts][-1].streak == streak


@pytest.mark.parametrize(
    ("verdicts", "streak"),
    [
        ([(BREACHED, 0), (BREACHED, 1)], 2),
        # Labels that came late show an old window, and the newest one is breached as well: these are not in a row.
        ([(BREACHED, 0), (BREACHED, 9)], 1),
        ([(BREACHED, 0), (NO_DATA, 1), (BREACHED, 2)], 2),
        ([(BREACHED, 0), (ERROR, 0), (BREACHED, 0)], 1),
    ],
)
def test_windows_that_do_not_overlap_are_in_a_row_if_they_follow_each_other(
    store: Store, verdicts: list[tuple[Verdict, int]], streak: int
) -> None:
    kept = None
    for verdict, day in verdicts:
        window = Window(NOW + day * DAY, NOW + (day + 1) * DAY)
        said = result(verdict, day)
        told = () if verdict is ERROR else tuple(replace(each, window=window) for each in said.findings)
        kept = keep(store, replace(said, window=window, findings=told))
    assert kept is not None
    assert kept.streak == streak


def findings(*said: tuple[str, Verdict], day: int, version: str = "1", statistic: str = "psi") -> CheckResult:
    whole = result(BREACHED if BREACHED in {verdict for _, verdict in said} else OK, day)
    (pattern,) = whole.findings
    made = (
        replace(pattern, feature=name, verdict=verdict, version=version, statistic=statistic) for name, verdict in said
    )
    return replace(whole, findings=tuple(made))


def keep(store: Store, *results: CheckResult) -> watch.KeptResult:
    return [store.write(lambda c, each=each: watch.save_result(c, each, now=NOW)) for each in results][-1]


def streaks(kept: watch.KeptResult) -> dict[str | None, int]:
    return {finding.feature: kept.streak_of(finding) for finding in kept.result.findings}


def test_two_features_that_are_breached_one_after_the_other_are_no_two_windows_in_a_row(store: Store) -> None:
    kept = keep(
        store,
        findings(("temp", BREACHED), ("hum", OK), day=0),
        findings(("temp", OK), ("hum", BREACHED), day=1),
    )
    assert (streaks(kept), kept.streak) == ({"temp": 0, "hum": 1}, 1)
    kept = keep(store, findings(("temp", BREACHED), ("hum", BREACHED), day=2))
    assert (streaks(kept), kept.streak) == ({"temp": 1, "hum": 2}, 2)


@pytest.mark.parametrize("other", [{"version": "2"}, {"statistic": "ks"}])
def test_another_version_or_statistic_begins_anew(store: Store, other: dict[str, str]) -> None:
    kept = keep(store, findings(("temp", BREACHED), day=0), findings(("temp", BREACHED), day=1, **other))
    assert (streaks(kept), kept.streak) == ({"temp": 1}, 1)


@pytest.mark.parametrize("unknown", [NO_DATA, ERROR])
def test_a_feature_of_which_nothing_is_known_keeps_its_streak_and_one_that_is_not_spoken_of_has_none(
    store: Store, unknown: Verdict
) -> None:
    kept = keep(
        store,
        findings(("temp", BREACHED), ("hum", BREACHED), day=0),
        findings(("temp", unknown), ("wind", OK), day=1),
    )
    assert (streaks(kept), kept.streak) == ({"temp": 1, "wind": 0}, 1)
    kept = keep(store, findings(("temp", BREACHED), ("hum", BREACHED), day=2))
    assert (streaks(kept), kept.streak) == ({"temp": 2, "hum": 1}, 2)


def test_streaks_come_back_as_they_were(store: Store) -> None:
    kept = keep(store, *(findings(("temp", BREACHED), ("hum", OK), day=day) for day in range(3)))
    with store.read() as connection:
        assert watch.load_result(connection, "shop", "demand", "drift") == kept
    assert (streaks(kept), kept.streak) == ({"temp": 3, "hum": 0}, 3)


def test_the_last_success_stays_while_nothing_is_known(store: Store) -> None:
    assert save(store, NO_DATA, now=NOW).last_success is None
    assert save(store, OK, now=NOW + 1).last_success == NOW + 1
    assert save(store, ERROR, now=NOW + 2).last_success == NOW + 1
    assert save(store, BREACHED, now=NOW + 3).last_success == NOW + 3


# --- alerts -----------------------------------------------------------------------------------------------------------


def alert(state: AlertState, feature: str = "temp") -> Alert:
    labels = {"app": "shop", "model": "demand", "feature": feature}
    return Alert(
        "Drift", labels, state, Severity.WARNING, NOW, started_at=NOW + 1.5, summary="s", value=0.5, threshold=0.2
    )


def save_alert(store: Store, *alerts: Alert) -> None:
    store.write(lambda c: watch.save_alerts(c, "shop", "demand", "drift", alerts))


def test_live_alerts_come_back_as_they_were_and_resolved_ones_are_history(store: Store) -> None:
    firing, over = alert(AlertState.FIRING), alert(AlertState.RESOLVED, "hum")
    save_alert(store, firing, over)
    with store.read() as connection:
        assert watch.load_alerts(connection, "shop", "demand", "drift") == {firing.fingerprint: firing}
        assert watch.load_alerts(connection, "shop", "demand", "quality") == {}
        assert watch.live_checks(connection) == [("shop", "demand", "drift")]
        assert [found.state for found, _ in watch.all_alerts(connection)] == [AlertState.FIRING, AlertState.RESOLVED]


def test_an_alert_has_one_row_whatever_its_state(store: Store) -> None:
    for state in AlertState:
        save_alert(store, alert(state))
    with store.read() as connection:
        assert [found.state for found, _ in watch.all_alerts(connection)] == [AlertState.RESOLVED]


def test_a_forgotten_alert_leaves_nothing(store: Store) -> None:
    pending = alert(AlertState.PENDING)
    save_alert(store, pending)
    store.write(lambda c: watch.drop_alerts(c, [pending.fingerprint]))
    with store.read() as connection:
        assert watch.all_alerts(connection) == []


# --- outbox -----------------------------------------------------------------------------------------------------------


def queue(store: Store, key: str, *, target: str = "team", subject: str = "s", at: float = 0.0) -> None:
    store.write(
        lambda c: watch.add_delivery(
            c, key=key, kind="notification", target=target, subject=subject, body={"key": key}, now=NOW, real_now=at
        )
    )


def due(store: Store, at: float = 100.0) -> list[str]:
    with store.read() as connection:
        return [delivery.key for delivery in watch.due_deliveries(connection, real_now=at)]


def settle(store: Store, key: str, state: str, due_at: float = 0.0) -> None:
    store.write(lambda c: watch.settle_delivery(c, key, state=state, reason="why", due=due_at))


def test_deliveries_of_one_subject_keep_their_order(store: Store) -> None:
    """What is over must not be told before what has begun, however often that failed."""
    queue(store, "firing", at=1)
    queue(store, "resolved", at=2)
    assert due(store) == ["firing"]
    settle(store, "firing", "pending", due_at=500)
    assert due(store) == []
    assert due(store, at=500) == ["firing"]
    settle(store, "firing", "delivered")
    assert due(store) == ["resolved"]


def test_a_delivery_that_failed_for_good_no_longer_holds_up_the_next(store: Store) -> None:
    queue(store, "firing", at=1)
    queue(store, "resolved", at=2)
    settle(store, "firing", "failed")
    assert due(store) == ["resolved"]


def test_other_subjects_and_other_targets_do_not_wait(store: Store) -> None:
    queue(store, "first", at=1)
    queue(store, "other target", target="pager", at=2)
    queue(store, "other subject", subject="t", at=3)
    settle(store, "first", "pending", due_at=500)
    assert due(store) == ["other target", "other subject"]


def test_a_delivery_of_one_key_is_queued_once(store: Store) -> None:
    for at in (1, 2, 3):
        queue(store, "same", at=at)
    assert due(store) == ["same"]
    settle(store, "same", "delivered")
    queue(store, "same", at=4)
    assert due(store) == []


def test_a_delivery_waits_for_its_time(store: Store) -> None:
    queue(store, "now", at=10, subject="a")
    queue(store, "later", at=20, subject="b")
    assert (due(store, at=9), due(store, at=10), due(store, at=20)) == ([], ["now"], ["now", "later"])
    with store.read() as connection:
        assert watch.queue_lengths(connection) == {"team": 2}
    settle(store, "now", "delivered")
    settle(store, "later", "delivered")
    with store.read() as connection:
        assert watch.queue_lengths(connection) == {}


def test_targets_that_are_busy_are_left_out(store: Store) -> None:
    queue(store, "first", at=1)
    queue(store, "other", target="pager", at=2)
    for besides, expected in (((), ["first", "other"]), ({"team"}, ["other"]), ({"team", "pager"}, [])):
        with store.read() as connection:
            found = watch.due_deliveries(connection, real_now=100.0, besides=besides)
        assert [delivery.key for delivery in found] == expected


def test_a_step_back_of_the_machines_clock_puts_nothing_first_that_happened_later(store: Store) -> None:
    queue(store, "firing", at=1_700_000_000.0)
    queue(store, "resolved", at=1_699_990_000.0)
    queue(store, "firing again", at=1_699_990_001.0)
    for expected in ("firing", "resolved", "firing again"):
        assert due(store, at=1_700_000_001.0) == [expected]
        settle(store, expected, "delivered")


def test_a_delivery_that_is_cancelled_is_never_made_and_one_that_was_made_stays_so(store: Store) -> None:
    queue(store, "waits", at=1, subject="a")
    queue(store, "made", at=2, subject="b")
    settle(store, "made", "delivered")
    for key in ("waits", "made", "unknown"):
        store.write(lambda c, key=key: watch.cancel_delivery(c, key, "it is over"))
    assert due(store) == []
    with store.read() as connection:
        rows = connection.execute(select(outbox.c.key, outbox.c.state, outbox.c.reason).order_by(outbox.c.key)).all()
    assert [tuple(row) for row in rows] == [("made", "delivered", "why"), ("waits", "failed", "it is over")]


def test_attempts_are_counted(store: Store) -> None:
    queue(store, "x", at=1)
    for _ in range(3):
        settle(store, "x", "pending", due_at=2)
    with store.read() as connection:
        (found,) = watch.due_deliveries(connection, real_now=2)
    assert (found.attempts, found.queued, found.created, found.body) == (3, 1, NOW, {"key": "x"})


# --- ledger and retrainings -------------------------------------------------------------------------------------------


def test_the_ledger_is_read_from_where_one_stopped(store: Store) -> None:
    for place in range(5):
        store.write(
            lambda c, place=place: watch.write_ledger(c, "note", app="shop", model=None, at=NOW, data={"place": place})
        )
    with store.read() as connection:
        first = watch.read_ledger(connection, limit=2)
        rest = watch.read_ledger(connection, after=first[-1]["seq"])
    assert [entry["data"]["place"] for entry in first + rest] == [0, 1, 2, 3, 4]
    assert (first[0]["app"], first[0]["model"], first[0]["at"]) == ("shop", None, "2012-01-01T00:00:00Z")


def test_a_retraining_waits_until_its_trigger_was_told(store: Store) -> None:
    made = watch.KeptRetraining(
        "k1", "shop", "demand", "1", "requested", "", "performance", NOW, NOW + 60, None, None, {}
    )
    store.write(lambda c: watch.add_retraining(c, made))

    def waiting(key: str) -> bool:
        with store.read() as connection:
            return watch.is_waiting(connection, key)

    assert (waiting("k1"), waiting("k2")) == (True, False)
    for state in ("accepted", "deployed", "timed_out"):
        store.write(lambda c, state=state: watch.change_retraining(c, "k1", state=state))
        assert not waiting("k1")


def test_a_new_version_that_is_not_judged_in_time_is_overdue_too(store: Store) -> None:
    made = watch.KeptRetraining(
        "k1", "shop", "demand", "1", "deployed", "", "performance", NOW, NOW + 60, "2", None, {}
    )
    store.write(lambda c: watch.add_retraining(c, made))
    for at, expected in ((NOW + 60, []), (NOW + 61, ["k1"])):
        with store.read() as connection:
            assert [row.key for row in watch.overdue_retrainings(connection, now=at)] == expected


def test_retrainings_are_found_by_how_far_they_have_come(store: Store) -> None:
    made = watch.KeptRetraining(
        "k1", "shop", "demand", "1", "requested", "", "performance", NOW, NOW + 60, None, None, {"git": "abc"}
    )
    newer = replace(made, key="k2", requested=NOW + 1, deadline=NOW + 999)
    other = replace(made, key="k3", model="other", state="recovered", finished=NOW)
    for row in (made, newer, other):
        store.write(lambda c, row=row: watch.add_retraining(c, row))
    with store.read() as connection:
        assert watch.model_retrainings(connection, "shop", "demand") == [newer, made]
        assert {row.key for row in watch.unfinished_retrainings(connection)} == {"k1", "k2"}
        assert [row.key for row in watch.overdue_retrainings(connection, now=NOW + 61)] == ["k1"]
    store.write(lambda c: watch.change_retraining(c, "k1", state="timed_out", finished=NOW + 61))
    with store.read() as connection:
        assert watch.overdue_retrainings(connection, now=NOW + 61) == []
        assert watch.model_retrainings(connection, "shop", "demand")[1].finished == NOW + 61
