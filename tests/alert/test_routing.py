"""Who is told what: the first route that matches, one notification per name, keys that outlive a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.config import Alerting, PluginSpec
from monitor.config.plugins import NoSection
from monitor.notify._routing import DEFAULT_REPEAT_SECONDS, notifications, repeat_seconds, route_for, told
from monitor.records import Alert, AlertState, Change, ChangeReason, Notification, Severity
from tests.alert.results import NOW, alert

PENDING, FIRING, RESOLVED = AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVED
ABOUT = {"owner": "team", "runbook": "https://wiki", "url": "http://127.0.0.1:1/"}
RECEIVERS = tuple(PluginSpec("slack", NoSection(), name) for name in ("team", "pager", "archive"))


def alerting(*routes: dict[str, Any]) -> Alerting:
    return Alerting.model_validate({"receivers": RECEIVERS, "routes": routes})


def change(made: Alert, reason: ChangeReason = ChangeReason.FIRST_BREACH) -> Change:
    return Change(made, None, reason, NOW)


def queued(changes: list[Change], asked: Alerting | None = None, now: float = NOW) -> list[tuple[str, Notification]]:
    return notifications(changes, asked or alerting(), about=ABOUT, now=now)


def test_without_routes_every_receiver_is_told() -> None:
    assert [receiver for receiver, _ in queued([change(alert(FIRING))])] == ["team", "pager", "archive"]


@pytest.mark.parametrize(
    ("severity", "model", "to"),
    [
        (Severity.CRITICAL, "demand", ["pager"]),
        (Severity.CRITICAL, "other", ["pager"]),
        (Severity.WARNING, "demand", ["team"]),
        (Severity.WARNING, "other", ["team", "pager", "archive"]),
    ],
)
def test_the_first_route_that_matches_wins_and_no_match_is_every_receiver(
    severity: Severity, model: str, to: list[str]
) -> None:
    asked = alerting(
        {"match": {"severity": "critical"}, "to": ["pager"]},
        {"match": {"model": "demand", "app": "shop"}, "to": ["team"]},
        {"match": {"alertname": "Drift", "model": "demand"}, "to": ["archive"]},
    )
    made = alert(FIRING)
    made = replace(made, severity=severity, labels={**made.labels, "model": model})
    assert list(route_for(made, asked).to) == to


def test_a_route_without_a_match_takes_the_rest() -> None:
    asked = alerting({"match": {"feature": "hum"}, "to": ["pager"]}, {"to": ["archive"], "repeat": "24h"})
    assert route_for(alert(FIRING), asked).to == ("archive",)
    assert repeat_seconds(alert(FIRING), asked) == 86400
    assert repeat_seconds(alert(FIRING, feature="hum"), asked) == DEFAULT_REPEAT_SECONDS


@pytest.mark.parametrize(("repeat", "seconds"), [("0s", 0.0), ("1s", 1.0), ("30d", 30 * 86400.0)])
def test_a_repeat_that_is_asked_for_is_taken_as_it_is(repeat: str, seconds: float) -> None:
    """Not even none of it is taken for nothing said."""
    assert repeat_seconds(alert(FIRING), alerting({"to": ["team"], "repeat": repeat})) == seconds


def test_alerts_of_one_name_that_changed_together_are_one_notification() -> None:
    changes = [change(alert(FIRING, feature=name)) for name in ("temp", "hum", "wind")]
    found = queued(changes)
    assert len(found) == 3  # one for each receiver
    assert {tuple(each.labels["feature"] for each in sent.alerts) for _, sent in found} == {("temp", "hum", "wind")}


def test_what_fires_and_what_is_over_are_told_apart() -> None:
    changes = [
        change(alert(FIRING)),
        change(alert(RESOLVED, feature="hum"), ChangeReason.RECOVERED),
        change(replace(alert(FIRING, feature="wind"), name="Other")),
    ]
    asked = alerting({"to": ["team"]})
    assert sorted((sent.name, sent.status) for _, sent in queued(changes, asked)) == [
        ("Drift", "firing"), ("Drift", "resolved"), ("Other", "firing"),
    ]  # fmt: skip


def test_what_is_only_pending_is_told_to_nobody() -> None:
    assert queued([change(alert(PENDING))]) == []


def test_a_notification_carries_what_the_reader_needs() -> None:
    (_, sent), *_ = queued([change(alert(FIRING))])
    assert (sent.app, sent.model, sent.name, sent.severity, sent.status, sent.reason, sent.at) == (
        "shop", "demand", "Drift", Severity.WARNING, "firing", ChangeReason.FIRST_BREACH, NOW,
    )  # fmt: skip
    assert (sent.owner, sent.runbook, sent.url) == tuple(ABOUT.values())


def keys(changes: list[Change], now: float = NOW) -> list[str]:
    return [sent.key for _, sent in queued(changes, now=now)]


def test_the_key_is_the_same_however_often_and_in_whatever_order_it_is_made() -> None:
    changes = [change(alert(FIRING, feature=name)) for name in ("temp", "hum")]
    assert keys(changes) == keys(changes[::-1]) == keys(changes, NOW + 999)


def test_the_key_is_another_one_for_another_receiver_state_episode_subject_or_repeat() -> None:
    firing = alert(FIRING)
    over = replace(firing, state=RESOLVED, resolved_at=NOW)
    later = replace(firing, started_at=NOW + 1)
    found = [
        *keys([change(firing)]),
        *keys([change(over, ChangeReason.RECOVERED)]),
        *keys([change(later)]),
        *keys([change(alert(FIRING, feature="hum"))]),
        *keys([change(firing), change(alert(FIRING, feature="hum"))]),
        *keys([change(firing, ChangeReason.REPEAT_DUE)]),
        *keys([change(firing, ChangeReason.REPEAT_DUE)], NOW + 3600),
    ]
    assert len(set(found)) == len(found) == 7 * len(RECEIVERS)


def test_what_was_told_is_noted_with_its_time() -> None:
    assert [each.notified_at for each in told([alert(FIRING)], NOW)] == [NOW]
