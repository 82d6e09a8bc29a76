"""What the checks say of a window: breaches, too little evidence, and faults that stay where they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.check import References, judge_model
from monitor.profile import Reference
from monitor.records import Verdict, Window
from monitor.source import SourceError
from tests.check.judging import (
    DAY,
    HOUR,
    NOW,
    SEASON,
    TEMP,
    WINDOW,
    MemorySource,
    batch,
    finding,
    judged,
    labelled,
    model,
    reference,
)

OK, BREACHED, NO_DATA, ERROR = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA, Verdict.ERROR
DATA_CHECKS = {"drift": {}, "quality": {}}
ALL_CHECKS = {"drift": {}, "quality": {}, "performance": {"min_labels": 1, "thresholds": {"mae": 1.0}}}


def nearly_all_missing(values: Any, nothing: Any) -> Any:
    values = values.copy()
    values[: len(values) * 9 // 10] = nothing
    return values


# --- drift and quality ------------------------------------------------------------------------------------------------


def test_the_reference_itself_has_not_drifted_and_is_of_good_quality(tmp_path: Path) -> None:
    results = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([batch()]))
    assert {result.verdict for result in results.values()} == {OK}
    assert finding(results["drift"], "psi", "temp").value == 0
    assert finding(results["drift"], "psi", "season").value == 0
    assert results["drift"].rows == 200
    assert finding(results["drift"], "psi", "temp").reference_rows == 200


def test_one_drifted_feature_is_a_breach_and_leaves_the_others_ok(tmp_path: Path) -> None:
    result = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([batch(temp=TEMP + 0.5)]))["drift"]
    assert finding(result, "psi", "temp").verdict is BREACHED
    assert finding(result, "psi", "season").verdict is OK
    assert result.verdict is BREACHED


def test_ninety_percent_missing_is_a_breach_of_drift_and_of_quality(tmp_path: Path) -> None:
    rows = batch(temp=nearly_all_missing(TEMP, np.nan), season=nearly_all_missing(SEASON, None))
    results = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([rows]))
    for feature in ("temp", "season"):
        assert finding(results["drift"], "psi", feature).verdict is BREACHED
        missing = finding(results["quality"], "missing_ratio", feature)
        assert (missing.verdict, missing.value, missing.threshold) == (BREACHED, 0.9, 0.05)


def test_a_column_that_is_not_sent_at_all_is_a_breach_of_the_schema(tmp_path: Path) -> None:
    rows = batch(temp=np.full(200, np.nan), absent={"temp": 200})
    results = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([rows]))
    assert finding(results["quality"], "schema", "temp").verdict is BREACHED
    assert finding(results["quality"], "schema", "season").verdict is OK
    assert finding(results["drift"], "psi", "temp").verdict is BREACHED


def test_a_column_that_is_sent_empty_is_missing_and_no_breach_of_the_schema(tmp_path: Path) -> None:
    results = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([batch(temp=np.full(200, np.nan))]))
    assert finding(results["quality"], "schema", "temp").verdict is OK
    assert finding(results["quality"], "missing_ratio", "temp").value == 1


def test_a_category_the_reference_never_had_is_unseen(tmp_path: Path) -> None:
    season = SEASON.copy()
    season[:3] = "monsoon"
    results = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([batch(season=season)]))
    unseen = finding(results["quality"], "unseen_ratio", "season")
    assert (unseen.verdict, unseen.value, unseen.threshold) == (BREACHED, 0.015, 0.01)


def test_text_in_a_numeric_feature_is_unseen(tmp_path: Path) -> None:
    temp = TEMP.copy()
    temp[:4] = np.nan
    results = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([batch(temp=temp, invalid={"temp": 3})]))
    assert finding(results["quality"], "unseen_ratio", "temp").value == 0.015
    assert finding(results["quality"], "missing_ratio", "temp").value == 0.005


@pytest.mark.parametrize(("missing", "verdict"), [(0.9, OK), (0.89, BREACHED)])
def test_the_limits_of_quality_are_those_configured(tmp_path: Path, missing: float, verdict: Verdict) -> None:
    checks = {"quality": {"missing": missing, "unseen": "2%"}}
    rows = batch(temp=nearly_all_missing(TEMP, np.nan))
    results = judged(model(tmp_path, checks=checks), MemorySource([rows]))
    assert finding(results["quality"], "missing_ratio", "temp").verdict is verdict


@pytest.mark.parametrize(("threshold", "verdict"), [(0.0, BREACHED), (1e6, OK)])
def test_a_fixed_threshold_takes_the_place_of_the_default(tmp_path: Path, threshold: float, verdict: Verdict) -> None:
    checks = {"drift": {"thresholds": {"psi": threshold}}}
    result = judged(model(tmp_path, checks=checks), MemorySource([batch(temp=TEMP + 0.01)]))["drift"]
    assert finding(result, "psi", "temp").threshold == threshold
    assert result.verdict is verdict


@pytest.mark.parametrize("check", DATA_CHECKS)
def test_too_few_rows_are_no_data_and_say_how_many(tmp_path: Path, check: str) -> None:
    watched = model(tmp_path, checks={check: {"min_rows": 201}})
    result = judged(watched, MemorySource([batch()]))[check]
    assert (result.verdict, result.reason) == (NO_DATA, "expected at least 201 rows, got 200")
    assert judged(model(tmp_path, checks={check: {"min_rows": 200}}), MemorySource([batch()]))[check].verdict is OK


@pytest.mark.parametrize("check", ALL_CHECKS)
def test_a_window_without_predictions_is_no_data(tmp_path: Path, check: str) -> None:
    result = judged(model(tmp_path, checks=ALL_CHECKS), MemorySource())[check]
    assert (result.verdict, result.rows) == (NO_DATA, 0)
    assert {each.reason for each in result.findings} == {"no predictions in the window"}


def test_a_column_that_is_empty_in_the_reference_stops_no_other_one(tmp_path: Path) -> None:
    holed = reference(batch(temp=np.full(200, np.nan)))
    result = judged(model(tmp_path, checks=DATA_CHECKS), MemorySource([batch()]), lambda _: holed)["drift"]
    temp = finding(result, "psi", "temp")
    assert (temp.verdict, temp.reason) == (NO_DATA, "the reference has no value in this column")
    assert finding(result, "psi", "season").verdict is OK


# --- references -------------------------------------------------------------------------------------------------------


def no_rows(_: str) -> Reference:
    return reference(batch(temp=np.empty(0), season=np.empty(0, dtype=object)))


def unreadable(_: str) -> Reference:
    raise SourceError("expected a file, found nothing at reference.parquet")


@pytest.mark.parametrize(
    ("look_up", "verdict", "reason"),
    [
        (lambda _: None, NO_DATA, "no reference is configured"),
        (no_rows, NO_DATA, "the reference has no rows"),
        (unreadable, ERROR, "expected a file, found nothing at reference.parquet"),
    ],
)
def test_without_a_reference_data_cannot_be_judged_but_performance_can(
    tmp_path: Path, look_up: Callable[[str], Reference | None], verdict: Verdict, reason: str
) -> None:
    source = MemorySource([batch()], [labelled([1.0], [1.5])])
    results = judged(model(tmp_path, checks=ALL_CHECKS), source, look_up)
    for check in DATA_CHECKS:
        assert (results[check].verdict, results[check].reason) == (verdict, reason)
    assert results["performance"].verdict is OK


def test_a_version_without_a_reference_stops_no_other_one(tmp_path: Path) -> None:
    source = MemorySource([batch("1"), batch("2")])
    result = judged(
        model(tmp_path, checks=DATA_CHECKS),
        source,
        lambda version: unreadable(version) if version == "2" else reference(),
    )["drift"]
    assert finding(result, "psi", "temp", "1").verdict is OK
    assert finding(result, "psi", None, "2").verdict is ERROR
    assert result.verdict is ERROR


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_version_that_was_replaced_within_the_window_is_told_and_counts_no_more(tmp_path: Path) -> None:
    source = MemorySource([batch("1", temp=TEMP + 0.5), batch("2", start=2 * DAY)])
    result = judged(model(tmp_path, checks=DATA_CHECKS), source)["drift"]
    old = finding(result, "psi", "temp", "1")
    assert (old.verdict, old.superseded) == (BREACHED, True)
    assert not finding(result, "psi", "temp", "2").superseded
    assert (result.verdict, result.versions, result.rows) == (OK, ("2",), 200)


@pytest.mark.parametrize(("silent", "versions"), [(7 * DAY / 4, ("2", "1")), (7 * DAY / 4 + 1, ("2",))])
def test_a_version_is_replaced_once_it_was_silent_for_a_quarter_of_the_window(
    tmp_path: Path, silent: float, versions: tuple[str, ...]
) -> None:
    """A night without predictions replaces none, although it is longer than a bucket (here: a day)."""
    source = MemorySource([batch("1", start=HOUR), batch("2", start=HOUR + silent)])
    assert judged(model(tmp_path, checks=DATA_CHECKS), source)["drift"].versions == versions


@pytest.mark.parametrize(("silent", "versions"), [(DAY, ("2", "1")), (DAY + 1, ("2",))])
def test_a_version_is_not_replaced_within_a_bucket_even_if_that_is_more_than_a_quarter_of_the_window(
    tmp_path: Path, silent: float, versions: tuple[str, ...]
) -> None:
    window = Window(WINDOW.start, WINDOW.start + 2 * DAY)
    watched = model(tmp_path, checks=DATA_CHECKS, windows={"size": "2d", "every": "1d"})
    source = MemorySource([batch("1"), batch("2", start=silent)])
    assert judged(watched, source, window=window)["drift"].versions == versions


def test_two_versions_side_by_side_both_count(tmp_path: Path) -> None:
    source = MemorySource([batch("1", temp=TEMP + 0.5), batch("2", start=HOUR)])
    result = judged(model(tmp_path, checks=DATA_CHECKS), source)["drift"]
    assert (result.verdict, result.versions, result.rows) == (BREACHED, ("2", "1"), 400)


# --- performance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "provisional"),
    [(WINDOW.end + HOUR, True), (WINDOW.end + 3 * DAY - 1, True), (WINDOW.end + 3 * DAY, False)],
)
def test_performance_is_provisional_until_the_labels_have_matured(
    tmp_path: Path, now: float, provisional: bool
) -> None:
    watched = model(tmp_path, checks=ALL_CHECKS, labels={"type": "ingest", "mature": "3d"})
    result = judged(watched, MemorySource([batch()], [labelled([1.0], [1.5])]), now=now)["performance"]
    assert {each.provisional for each in result.findings} == {provisional}


def test_an_error_beyond_its_threshold_is_a_breach(tmp_path: Path) -> None:
    source = MemorySource([batch()], [labelled([1.0, 2.0], [3.0, 4.0])])
    mae = finding(judged(model(tmp_path, checks=ALL_CHECKS), source)["performance"], "mae")
    assert (mae.verdict, mae.value, mae.threshold, mae.rows) == (BREACHED, 2.0, 1.0, 2)


def test_an_accuracy_below_its_threshold_is_a_breach(tmp_path: Path) -> None:
    checks = {"performance": {"thresholds": {"accuracy": 0.9}, "min_labels": 1}}
    source = MemorySource([batch()], [labelled(["0", "1"], ["0", "0"])])
    assert judged(model(tmp_path, "binary", checks=checks), source)["performance"].verdict is BREACHED


def test_a_metric_with_nothing_to_compare_with_is_told_and_is_neither_fine_nor_a_breach(tmp_path: Path) -> None:
    source = MemorySource([batch()], [labelled([1.0], [1e9])])
    rmse = finding(judged(model(tmp_path, checks=ALL_CHECKS), source)["performance"], "rmse")
    assert (rmse.verdict, rmse.reason) == (NO_DATA, "nothing to compare with: no reference is configured")
    assert (rmse.value, rmse.threshold) == (1e9 - 1, None)


def test_too_few_labels_are_no_data_and_say_how_many(tmp_path: Path) -> None:
    watched = model(tmp_path, checks={"performance": {"min_labels": 3, "thresholds": {"mae": 1}}})
    few = judged(watched, MemorySource([batch()], [labelled([1.0] * 2, [1.0] * 2)]))["performance"]
    assert (few.verdict, few.reason) == (NO_DATA, "expected at least 3 labelled rows, got 2")
    assert judged(watched, MemorySource([batch()], [labelled([1.0] * 3, [1.0] * 3)]))["performance"].verdict is OK


@pytest.mark.parametrize(("label", "prediction"), [(1e200, -1e200), (1.7e308, -1.7e308)])
def test_numbers_too_large_to_be_measured_are_a_breach_and_valid_json(
    tmp_path: Path, label: float, prediction: float
) -> None:
    """Their squares, or their sums, are beyond what a float holds: told as the largest one, never fine, never `Infinity`."""
    source = MemorySource([batch()], [labelled([label], [prediction])])
    result = judged(model(tmp_path, checks=ALL_CHECKS), source)["performance"]
    mae = finding(result, "mae")
    assert mae.verdict is BREACHED
    assert mae.value > 1e199
    json.dumps([each.as_json() for each in result.findings], allow_nan=False)


def test_without_labels_performance_is_no_data_and_not_provisional(tmp_path: Path) -> None:
    """Nothing is being waited for."""
    watched = model(tmp_path, predictions={"type": "files", "path": "x"}, checks=ALL_CHECKS)
    assert watched.labels is None
    result = judged(watched, MemorySource([batch()]))["performance"]
    assert (result.verdict, result.reason) == (NO_DATA, "expected at least 1 labelled rows, got 0")
    assert {each.provisional for each in result.findings} == {False}


# --- labels that are waited for ---------------------------------------------------------------------------------------

EARLIER = Window(WINDOW.start - 3 * DAY, WINDOW.end - 3 * DAY)
THREE = {"drift": {}, "performance": {"min_labels": 3, "metrics": ["mae"], "thresholds": {"mae": 1.0}}}


def with_labels(*counts: int, wrong: float = 0.0) -> MemorySource:
    """So many labels in the newest window alone and in the earlier one alone."""
    now, then = counts
    batches = [labelled([1.0] * now, [1.0] * now, time=WINDOW.end - HOUR)] if now else []
    batches += [labelled([1.0] * then, [1.0 + wrong] * then, time=EARLIER.start)] if then else []
    return MemorySource([batch(start=-2 * DAY), batch()], batches)


@pytest.mark.parametrize(
    ("labels", "wrong", "window", "verdict"),
    [
        ((3, 9), 0.0, WINDOW, OK),  # enough of them: the newest window is judged
        ((3, 9), 5.0, WINDOW, OK),  # that the earlier one is breached was told when it was the newest
        ((2, 3), 0.0, EARLIER, OK),
        ((0, 3), 5.0, EARLIER, BREACHED),
        ((2, 2), 5.0, WINDOW, NO_DATA),  # the earlier one says no more
        ((0, 0), 0.0, WINDOW, NO_DATA),
    ],
)
def test_what_waits_for_labels_is_judged_on_the_matured_window_if_that_says_more(
    tmp_path: Path, labels: tuple[int, int], wrong: float, window: Window, verdict: Verdict
) -> None:
    watched = model(tmp_path, checks=THREE, labels={"type": "ingest", "mature": "3d"})
    results = judged(watched, with_labels(*labels, wrong=wrong), matured=EARLIER)
    performance = results["performance"]
    assert (performance.window, performance.verdict) == (window, verdict)
    assert {(each.window, each.provisional) for each in performance.findings} == {(window, window == WINDOW)}
    assert results["drift"].window == WINDOW


@pytest.mark.parametrize(
    ("before", "window", "verdict"), [(OK, EARLIER, BREACHED), (NO_DATA, EARLIER, BREACHED), (BREACHED, WINDOW, OK)]
)
def test_a_breach_that_late_labels_have_shown_is_told_once(
    tmp_path: Path, before: Verdict, window: Window, verdict: Verdict
) -> None:
    """Of a window that was not breached at the look before, it is news; of one that was, the newest window counts."""
    watched = model(tmp_path, checks=THREE, labels={"type": "ingest", "mature": "3d"})
    said = {("performance", EARLIER, ("1", None, "mae", None)): before}
    source = with_labels(3, 9, wrong=5.0)
    results = judge_model(
        "shop", watched, WINDOW, source, References(lambda _: reference()), now=NOW, matured=EARLIER, said=said
    )
    [performance] = [each for each in results if each.check == "performance"]
    assert (performance.window, performance.verdict) == (window, verdict)
    assert {each.window for each in performance.history} == {WINDOW, EARLIER}


def test_a_matured_window_that_knows_nothing_of_the_version_in_use_says_nothing_of_it(tmp_path: Path) -> None:
    """What an older version did then is no breach, and no recovery, of the one that has just been deployed."""
    source = MemorySource(
        [batch("1", start=-2 * DAY), batch("2", start=5 * DAY)],
        [labelled([1.0] * 9, [9.0] * 9, "1", time=EARLIER.start)],
    )
    watched = model(tmp_path, checks=THREE)
    performance = judged(watched, source, matured=EARLIER)["performance"]
    assert (performance.window, performance.verdict, performance.versions) == (WINDOW, NO_DATA, ("2",))
    # Had it been there already, it would be judged.
    source.batches = [batch("1", start=-2 * DAY), batch("2", start=-2 * DAY), batch("2", start=5 * DAY)]
    source.labels = [labelled([1.0] * 9, [9.0] * 9, "2", time=EARLIER.start)]
    performance = judged(watched, source, matured=EARLIER)["performance"]
    assert (performance.window, performance.verdict) == (EARLIER, BREACHED)


def test_what_waits_for_no_labels_is_judged_on_the_newest_window_even_if_that_says_nothing(tmp_path: Path) -> None:
    source = MemorySource([batch(start=-2 * DAY)], [])
    drift = judged(model(tmp_path, checks=THREE), source, matured=EARLIER)["drift"]
    assert (drift.window, drift.verdict) == (WINDOW, NO_DATA)


def test_rows_without_a_number_are_no_labelled_rows(tmp_path: Path) -> None:
    labels = [labelled([1.0, np.nan, np.inf, 2.0], [1.0, 1.0, 1.0, np.nan])]
    mae = finding(judged(model(tmp_path, checks=ALL_CHECKS), MemorySource([batch()], labels))["performance"], "mae")
    assert (mae.rows, mae.value) == (1, 0.0)


def test_every_version_is_measured_by_itself(tmp_path: Path) -> None:
    labels = [labelled([1.0], [1.0], "1"), labelled([1.0], [9.0], "2"), labelled([3.0], [3.5], "1")]
    result = judged(model(tmp_path, checks=ALL_CHECKS), MemorySource([batch("1"), batch("2")], labels))["performance"]
    assert (finding(result, "mae", version="1").value, finding(result, "mae", version="1").rows) == (0.25, 2)
    assert finding(result, "mae", version="2").verdict is BREACHED


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (SourceError("labels.csv: expected the column 'label'"), "labels.csv: expected the column 'label'"),
        (RuntimeError("who knows"), "RuntimeError: who knows"),
    ],
)
def test_a_check_that_breaks_stops_no_other_one(tmp_path: Path, fault: Exception, reason: str) -> None:
    results = judged(model(tmp_path, checks=ALL_CHECKS), MemorySource([batch()], fault))
    assert (results["performance"].verdict, results["performance"].reason) == (ERROR, reason)
    assert [each.verdict for each in results["performance"].findings] == [ERROR]
    assert results["drift"].verdict is OK
    assert results["quality"].verdict is OK


def test_predictions_that_cannot_be_read_are_an_error_of_every_check(tmp_path: Path) -> None:
    results = judged(model(tmp_path, checks=ALL_CHECKS), MemorySource(SourceError("no such folder")))
    assert {(result.verdict, result.reason) for result in results.values()} == {(ERROR, "no such folder")}


def test_only_the_checks_that_are_named_run(tmp_path: Path) -> None:
    assert set(judged(model(tmp_path, checks={"quality": {}}), MemorySource([batch()]))) == {"quality"}
    assert set(judged(model(tmp_path), MemorySource([batch()]))) == {"drift", "quality", "volume"}
