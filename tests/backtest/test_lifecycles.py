"""What would have been alerted and retrained, on histories of a few hours that are worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from monitor.backtest import Outcome, backtest
from monitor.records import Verdict
from tests.backtest.histories import HOUR, START, Hour, at, configured, files_model, retraining, write_history

DEGRADED, NO_DATA = "ModelPerformanceDegraded", "ModelPerformanceNoData"


def replayed(folder: Path, hours: Sequence[Hour | float | None], **parts: Any) -> Outcome:
    """The outcome for one model; `rules` adjusts the shipped rules, `store` is that section, the rest is the model's."""
    sections = {"alerting": {"rules": parts.pop("rules", {})}, "store": parts.pop("store", {})}
    write_history(folder, hours)
    return backtest(configured(folder, files_model(**parts), **sections))


def alerts(outcome: Outcome) -> list[tuple[str, str, str | None]]:
    return [(each["name"], each["started_at"], each["resolved_at"]) for each in map(_json, outcome.alerts)]


def _json(episode: Any) -> dict[str, Any]:
    return dict(episode.as_json())


def decisions(outcome: Outcome) -> list[tuple[str, str, str | None]]:
    return [(each["at"], each["decision"], each["guard"]) for each in outcome.retrainings]


def test_an_alert_lives_from_the_first_breach_to_the_recovery(tmp_path: Path) -> None:
    """Windows end at 1, 2, 3 and 4 o'clock and are judged then; the second and the third are breached."""
    outcome = replayed(tmp_path, [1, 9, 8, 1])
    assert alerts(outcome) == [(DEGRADED, at(2), at(4))]
    [alert] = map(_json, outcome.alerts)
    assert alert["labels"] == {"app": "shop", "model": "demand", "version": "v1", "metric": "mae"}
    assert (alert["severity"], alert["peak"], alert["threshold"]) == ("critical", 9.0, 5.0)
    assert [finding.value for finding in outcome.findings] == [1.0, 9.0, 8.0, 1.0]
    assert [finding.window.end for finding in outcome.findings] == [START + HOUR * n for n in (1, 2, 3, 4)]
    assert outcome.tally == {("shop", "demand", "performance"): {Verdict.OK: 2, Verdict.BREACHED: 2}}
    assert (outcome.windows, outcome.start, outcome.end) == (4, START + HOUR, START + 4 * HOUR)


def test_what_still_fires_at_the_end_is_not_resolved(tmp_path: Path) -> None:
    assert alerts(replayed(tmp_path, [1, 9])) == [(DEGRADED, at(2), None)]


@pytest.mark.parametrize(
    ("hours", "pending", "expected"),
    [
        pytest.param([1, 9, 9, 9, 1], "90m", [(DEGRADED, at(3.5), at(5))], id="between two judgements"),
        pytest.param([1, 9, 9, 9, 1], "1h", [(DEGRADED, at(3), at(5))], id="with a judgement"),
        pytest.param([1, 9, 1, 9, 1], "90m", [], id="never, where no breach lasts"),
        pytest.param([1, 9, None, 9, 1], "90m", [(DEGRADED, at(4), at(5))], id="not while nothing is known"),
        pytest.param([9, 9], "3h", [], id="not after the end"),
    ],
)
def test_a_breach_that_must_last_alerts_once_it_has(
    tmp_path: Path, hours: list[float | None], pending: str, expected: list[Any]
) -> None:
    found = alerts(replayed(tmp_path, hours, rules={DEGRADED: {"for": pending}}))
    assert [alert for alert in found if alert[0] == DEGRADED] == expected


def test_an_alert_keeps_firing_while_nothing_is_known(tmp_path: Path) -> None:
    """One breach, an hour without predictions, another breach: that is one alert; and the silence is one of its own."""
    outcome = replayed(tmp_path, [9, None, 7, 1], rules={NO_DATA: {"for": "30m"}})
    assert alerts(outcome) == [(DEGRADED, at(1), at(4)), (NO_DATA, at(2.5), at(3))]


def test_the_worst_value_of_a_score_that_should_be_high_is_its_lowest(tmp_path: Path) -> None:
    write_history(tmp_path, [0, 1, 0])
    check = {"performance": {"metrics": ["accuracy"], "thresholds": {"accuracy": 0.7}, "min_labels": 10}}
    outcome = backtest(configured(tmp_path, files_model(task="binary", checks=check)))
    assert [(alert.peak, alert.threshold) for alert in outcome.alerts] == [(0.0, 0.7)]


# --- retrainings ------------------------------------------------------------------------------------------------------


def test_a_retraining_is_asked_for_refused_while_it_is_under_way_and_given_up(tmp_path: Path) -> None:
    """Breached at 2, 3, 4, 5 and 6 o'clock: two windows are evidence; the one of 3 o'clock has until 5 o'clock."""
    outcome = replayed(tmp_path, [1, 9, 9, 9, 9, 9, 1], retraining=retraining())
    assert decisions(outcome) == [
        (at(3), "requested", None),
        (at(4), "refused", "single_flight"),
        (at(5), "timed_out", None),
        (at(6), "requested", None),
    ]
    assert outcome.retrainings[0]["reason"] == f"{DEGRADED} since {at(2)}"
    assert {(each["app"], each["model"]) for each in outcome.retrainings} == {("shop", "demand")}


def test_the_history_is_as_old_as_its_first_event(tmp_path: Path) -> None:
    """Without a day behind it nobody knows whether a retraining has just run; a day later it is known."""
    hours = [1, 9, 9, *[1] * 22, 9, 9]
    outcome = replayed(tmp_path, hours, retraining=retraining(guards={"cooldown": "1d"}))
    assert decisions(outcome) == [(at(3), "refused", "no_history"), (at(27), "requested", None)]
    assert outcome.retrainings[0]["reason"].startswith("the store is 3h old")
    meant = replayed(tmp_path, hours, retraining=retraining(guards={"cooldown": "1d"}), store={"ephemeral": True})
    assert decisions(meant)[0] == (at(3), "requested", None)


def test_too_few_labels_refuse(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, [1, 9, 9], retraining=retraining(guards={"min_labels": 21}))
    assert decisions(outcome) == [(at(3), "refused", "min_labels")]
    assert outcome.retrainings[0]["reason"] == "expected at least 21 fresh labels, got 20"


def test_a_version_that_came_is_what_the_retraining_brought(tmp_path: Path) -> None:
    new = Hour(1, version="v2")
    outcome = replayed(tmp_path, [1, 9, 9, new, new], retraining=retraining())
    assert decisions(outcome) == [
        (at(3), "requested", None),
        (at(4), "deployed", None),
        (at(4), "recovered", None),
    ]
    assert alerts(outcome) == [(DEGRADED, at(2), at(4))]


def test_alerts_are_found_also_where_prometheus_is_to_raise_them(tmp_path: Path) -> None:
    write_history(tmp_path, [1, 9, 9])
    alerting = {
        "evaluator": "prometheus",
        "receivers": [{"name": "pager", "type": "webhook", "url": "http://127.0.0.1:9/"}],
    }
    outcome = backtest(configured(tmp_path, files_model(retraining=retraining()), alerting=alerting))
    assert alerts(outcome) == [(DEGRADED, at(2), None)]
    assert decisions(outcome) == [(at(3), "requested", None)]


# --- labels -----------------------------------------------------------------------------------------------------------


def test_a_label_is_not_seen_before_its_time(tmp_path: Path) -> None:
    """Labels come two hours after the event: the first window is unknown at 1 and 2, and known once they have matured at 4."""
    late = Hour(9, late=2 * HOUR)
    labels = {"type": "files", "path": "demand-labels.parquet", "mature": "3h"}
    outcome = replayed(tmp_path, [late] * 4, labels=labels)
    seen = [(f.window.start, f.verdict, f.rows, f.provisional, f.value) for f in outcome.findings]
    assert seen == [
        (START, Verdict.NO_DATA, 0, True, None),
        (START + HOUR, Verdict.NO_DATA, 0, True, None),
        # A window is looked at again as its labels come: the first one of each is there two hours after its start.
        (START, Verdict.NO_DATA, 1, True, None),
        (START + 2 * HOUR, Verdict.NO_DATA, 0, True, None),
        (START + HOUR, Verdict.NO_DATA, 1, True, None),
        (START + 3 * HOUR, Verdict.NO_DATA, 0, True, None),
        (START + 2 * HOUR, Verdict.NO_DATA, 1, True, None),
        (START, Verdict.BREACHED, 20, False, 9.0),
    ]
    assert alerts(outcome) == [(DEGRADED, at(4), None)]


def test_of_labels_that_trickle_in_those_that_have_come_are_judged(tmp_path: Path) -> None:
    """Half an hour after the event: by the end of the window the first ten of its twenty are there, and one more is due."""
    outcome = replayed(tmp_path, [Hour(9, late=30 * 60)])
    assert [(finding.rows, finding.value) for finding in outcome.findings] == [(11, 9.0)]


# --- which windows ----------------------------------------------------------------------------------------------------


def test_the_bounds_are_due_times_and_both_are_included(tmp_path: Path) -> None:
    write_history(tmp_path, [1, 9, 9, 1, 1])
    loaded = configured(tmp_path, files_model())
    outcome = backtest(loaded, start=START + 3 * HOUR, end=START + 4 * HOUR)
    assert [finding.value for finding in outcome.findings] == [9.0, 1.0]
    assert alerts(outcome) == [(DEGRADED, at(3), at(4))]


def test_silence_after_the_last_event_is_judged_where_it_is_asked_for(tmp_path: Path) -> None:
    write_history(tmp_path, [1])
    outcome = backtest(configured(tmp_path, files_model()), end=START + 3 * HOUR)
    assert [finding.verdict for finding in outcome.findings] == [Verdict.OK, Verdict.NO_DATA, Verdict.NO_DATA]


def test_a_history_outside_of_the_bounds_is_said_to_be(tmp_path: Path) -> None:
    write_history(tmp_path, [1, 1])
    outcome = backtest(configured(tmp_path, files_model()), start=START + 9 * HOUR)
    assert outcome.windows == 0
    assert outcome.notes == [f"shop/demand: no window is due then, its predictions are from {at(0)} to {at(1.95)}"]


def test_a_history_without_predictions_is_said_to_be_empty(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, [None])
    assert (outcome.windows, outcome.alerts, outcome.failures) == (0, [], [])
    assert outcome.notes == ["shop/demand: it has no predictions"]


def test_lateness_and_a_sliding_window_are_the_daemons(tmp_path: Path) -> None:
    """Two hours every hour, judged ten minutes later: the mean error of the last two hours."""
    outcome = replayed(tmp_path, [1, 9, 9], windows={"size": "2h", "every": "1h", "lateness": "10m"})
    assert [finding.value for finding in outcome.findings] == [1.0, 5.0, 9.0]
    assert alerts(outcome) == [(DEGRADED, at(3 + 1 / 6), None)]


# --- models beside each other -----------------------------------------------------------------------------------------


def test_a_broken_model_does_not_stop_another(tmp_path: Path) -> None:
    write_history(tmp_path, [1, 9, 1])
    loaded = configured(tmp_path, files_model(), files_model("gone"))
    outcome = backtest(loaded)
    assert (DEGRADED, at(2), at(3)) in alerts(outcome)
    assert outcome.tally["shop", "demand", "performance"] == {Verdict.OK: 2, Verdict.BREACHED: 1}
    assert outcome.tally["shop", "gone", "performance"] == {Verdict.ERROR: 3}
    assert ("CheckFailing", at(1.25), None) in alerts(outcome)
    [failure] = outcome.failures
    assert failure.startswith("shop/gone: performance: expected a file, found nothing at ")


def test_labels_that_cannot_be_read_stop_only_what_needs_them(tmp_path: Path) -> None:
    write_history(tmp_path, [1, 1])
    (tmp_path / "demand-labels.parquet").unlink()
    reference = {"type": "files", "path": "demand-predictions.parquet"}
    checks = {"performance": {}, "quality": {"min_rows": 1}}
    outcome = backtest(configured(tmp_path, files_model(reference=reference, features={"temp": {}}, checks=checks)))
    assert outcome.tally["shop", "demand", "performance"] == {Verdict.ERROR: 2}
    assert outcome.tally["shop", "demand", "quality"] == {Verdict.OK: 2}


def test_where_no_model_can_be_read_each_is_an_error_once(tmp_path: Path) -> None:
    outcome = backtest(configured(tmp_path, files_model("gone")))
    assert outcome.tally == {("shop", "gone", "performance"): {Verdict.ERROR: 1}}


def test_models_of_other_windows_are_judged_each_at_its_own_times(tmp_path: Path) -> None:
    write_history(tmp_path, [1, 1, 1, 1])
    write_history(tmp_path, [1, 9, 1, 9], name="price")
    outcome = backtest(
        configured(tmp_path, files_model(), files_model("price", windows={"size": "2h", "lateness": "0s"}))
    )
    told = [(finding.model, finding.window.end) for finding in outcome.findings]
    hourly = [("demand", START + HOUR * n) for n in (1, 2, 3, 4)]
    assert told == [*hourly[:2], ("price", START + 2 * HOUR), *hourly[2:], ("price", START + 4 * HOUR)]
    only = backtest(configured(tmp_path, files_model(), files_model("price")), model="price")
    assert {finding.model for finding in only.findings} == {"price"}
