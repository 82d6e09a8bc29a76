"""Estimates before labels: seen where inputs shift, told with caution until proven, and kept back once labels show them wrong."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from monitor.check import _estimators
from monitor.check._estimators import Encoding
from monitor.config import ConfigError
from monitor.records import CheckResult, Coded, Column, ColumnKind, Finding, NoData, Verdict, Window
from tests.check.judging import finding
from tests.check.labelled_worlds import DAY, UNREADABLE, Table, World, numeric, watched

PER_DAY = 2000
SCORE = "score/1"
FEATURES = (*numeric("x", "noise"), Column("kind", ColumnKind.CATEGORICAL))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a boosting that wait for each other make it several times slower on a busy machine."""
    import sklearn.ensemble  # noqa: F401 - only what is loaded can be limited

    with threadpool_limits(limits=1, user_api="openmp"):
        yield


def classified(days: int, *, unsure_from: float = 1e9, wrong_from: float = 1e9, seed: int = 1) -> Table:
    """A calibrated classifier; from some day on its inputs are harder to tell, from another on its scores mean nothing."""
    rng = np.random.default_rng(seed)
    number = days * PER_DAY
    day = np.arange(number) / PER_DAY
    score = np.where(day < unsure_from, rng.beta(0.4, 0.4, number), rng.beta(3, 3, number))
    label = rng.random(number) < np.where(day < wrong_from, score, 0.5)
    return Table(day * DAY, spelled(score > 0.5), spelled(label), {SCORE: score})


def spelled(values: Any) -> Any:
    return np.where(values, "1", "0").astype(object)


def regressed(days: int, *, spread_from: float = 1e9, wrong_from: float = 1e9, seed: int = 1) -> Table:
    """Errors grow with x and are larger in one kind; from some day on x is larger, from another on errors are, for no reason."""
    rng = np.random.default_rng(seed)
    number = days * PER_DAY
    day = np.arange(number) / PER_DAY
    x = np.clip(rng.beta(2, 2, number) + 0.3 * (day >= spread_from), 0, 1)
    kind = rng.choice(np.array(["a", "b", None], dtype=object), number)
    predicted = 50 + rng.normal(0, 10, number)
    scale = (1 + 6 * x**2 + 3 * (kind == "b")) * np.where(day < wrong_from, 1, 2)
    label = predicted + rng.normal(0, scale)
    return Table(day * DAY, predicted, label, {"x": x, "noise": rng.random(number), "kind": kind})


def world(folder: Path, table: Table, task: str = "binary", features: Any = (), **options: Any) -> World:
    return World(watched(folder, task, "estimation", options), table, features)


def looked(made: World, day: int, **how: Any) -> CheckResult:
    """The look at the window of the day before, an hour after its end; labels take two days to mature."""
    return made.look(day * DAY + 3600, **how)["estimation"]


# --- classification ---------------------------------------------------------------------------------------------------


def test_an_unchanged_model_is_estimated_right_and_is_relied_on_once_labels_agree(tmp_path: Path) -> None:
    table = classified(40)
    result = looked(world(tmp_path, table), 37)
    score = table.columns[SCORE][36 * PER_DAY : 37 * PER_DAY]
    found = finding(result, "accuracy")
    assert (found.verdict, found.reason, found.calibration, found.caution) == (
        Verdict.OK, "within_threshold", "reliable", None,
    )  # fmt: skip
    # What a calibrated score says by itself.
    assert found.value == pytest.approx(np.maximum(score, 1 - score).mean(), abs=0.01)
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
    assert found.baseline == pytest.approx(np.mean(table.labels[: 30 * PER_DAY] == table.predictions[: 30 * PER_DAY]))
    assert (found.rows, found.reference_rows) == (PER_DAY, 30 * PER_DAY)
    assert found.threshold is not None
    assert found.threshold <= found.baseline - 0.02
    assert {each.statistic for each in result.findings} == {"roc_auc", "accuracy"}
    assert Finding.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_the_estimators_own_error_is_told_of_the_newest_window_whose_labels_have_matured(tmp_path: Path) -> None:
    table = classified(40)
    found = finding(looked(world(tmp_path, table), 37), "accuracy")
    rows = slice(34 * PER_DAY, 35 * PER_DAY)  # the newest that ended two days before
    assert found.parts["actual"] == pytest.approx(np.mean(table.labels[rows] == table.predictions[rows]))
    assert found.parts["error"] == pytest.approx(found.parts["actual"] - found.parts["estimated"])
    assert 0 < found.parts["standard_error"] < 0.02
    assert 0 <= found.parts["calibration_error"] < 0.1


def test_before_any_label_it_is_judged_with_a_caution(tmp_path: Path) -> None:
    found = finding(looked(world(tmp_path, classified(40)), 37, matured=False), "roc_auc")
    assert found.verdict is Verdict.OK
    assert found.calibration == "unproven"
    assert found.caution == "unproven: no labels have come to compare an estimate with"
    assert found.parts == {}


def test_inputs_that_are_harder_to_tell_are_a_breach_before_their_labels_come_and_labels_agree(tmp_path: Path) -> None:
    made = world(tmp_path, classified(46, unsure_from=40))
    assert looked(made, 40).verdict is Verdict.OK
    seen = finding(looked(made, 41), "accuracy")  # no label of that day is known: they take two
    assert (seen.verdict, seen.reason, seen.calibration) == (Verdict.BREACHED, "beyond_threshold", "reliable")
    assert seen.p_value is not None
    assert seen.p_value < 1e-4
    later = finding(looked(made, 43), "accuracy")
    assert later.parts["actual"] == pytest.approx(seen.value, abs=0.04)


def test_scores_that_mean_nothing_any_more_are_not_shown_as_fine_once_labels_say_so(tmp_path: Path) -> None:
    made = world(tmp_path, classified(50, wrong_from=40))
    assert finding(looked(made, 42), "accuracy").calibration == "reliable"  # nothing can be known yet
    for day in (43, 44, 49):
        result = looked(made, day)
        assert result.verdict is Verdict.NO_DATA
        for found in result.findings:
            assert found.calibration == "unreliable"
            assert found.reason.startswith("unreliable: labels have come otherwise than the probabilities say")
            assert found.value is None
            assert found.parts["error"] < -0.2


def test_an_estimator_that_was_wrong_is_relied_on_again_after_three_windows_that_were_right(tmp_path: Path) -> None:
    table = classified(60)
    bad = (table.times >= 40 * DAY) & (table.times < 41 * DAY)
    table.labels = np.where(bad, spelled(np.random.default_rng(2).random(len(table)) < 0.5), table.labels)
    made = world(tmp_path, table, material={"accuracy": 0.05, "roc_auc": 0.05}, windows=4)
    trust = {day: finding(looked(made, day), "accuracy").calibration for day in range(41, 50)}
    assert [day for day, found in trust.items() if found == "unreliable"] == [43, 44, 45]


def test_rows_that_the_estimator_was_fitted_on_prove_nothing(tmp_path: Path) -> None:
    made = world(tmp_path, classified(40))
    assert finding(looked(made, 30), "accuracy").calibration == "unproven"
    assert finding(looked(made, 32), "accuracy").calibration == "unproven"
    assert finding(looked(made, 36), "accuracy").calibration == "reliable"


@pytest.mark.parametrize(
    ("options", "verdict"),
    [({"thresholds": {"accuracy": 0.99}}, Verdict.BREACHED), ({"thresholds": {"accuracy": 0.5}}, Verdict.OK)],
)
def test_a_fixed_threshold_is_the_threshold(tmp_path: Path, options: dict[str, Any], verdict: Verdict) -> None:
    found = finding(looked(world(tmp_path, classified(40), metrics=["accuracy"], **options), 37), "accuracy")
    assert (found.verdict, found.threshold) == (verdict, options["thresholds"]["accuracy"])
    assert found.p_value is None


def test_where_to_decide_changes_what_is_estimated(tmp_path: Path) -> None:
    table = classified(40)
    made = world(tmp_path, table, metrics=["recall"], decision={"threshold": 0.2})
    score, label = (values[36 * PER_DAY : 37 * PER_DAY] for values in (table.columns[SCORE], table.labels == "1"))
    assert finding(looked(made, 37), "recall").value == pytest.approx(np.mean(score[label] >= 0.2), abs=0.02)


def test_more_than_two_classes_are_estimated_from_the_score_of_each(tmp_path: Path) -> None:
    rng, number = np.random.default_rng(3), 40 * PER_DAY
    scores = rng.dirichlet([0.6, 0.5, 0.4], number)
    names = np.array(["ketch", "sloop", "yawl"], dtype=object)
    label = names[(scores.cumsum(axis=1) < rng.random((number, 1))).sum(axis=1)]
    columns = {f"score/{name}": scores[:, place] for place, name in enumerate(names)}
    table = Table(np.arange(number) * DAY / PER_DAY, names[scores.argmax(axis=1)], label, columns)
    model = watched(
        tmp_path, "multiclass", "estimation", {"metrics": ["roc_auc", "accuracy", "f1"]},
        columns={"score": {name: f"p_{name}" for name in names}},
    )  # fmt: skip
    result = looked(World(model, table), 37)
    assert {each.calibration for each in result.findings} == {"reliable"}
    accuracy = finding(result, "accuracy")
    assert accuracy.value == pytest.approx(scores[36 * PER_DAY : 37 * PER_DAY].max(axis=1).mean(), abs=0.01)


def test_an_unchanged_model_alerts_within_the_budget(tmp_path: Path) -> None:
    """Forty windows at a hundredth of the usual budget: none is a breach, and none is found unreliable."""
    made = world(tmp_path, classified(76, seed=5), false_alarms={"at_most": 0.01}, material={"accuracy": 0.05})
    found = [each for day in range(36, 76) for each in looked(made, day).findings]
    assert len(found) == 80
    assert {each.verdict for each in found if each.statistic == "accuracy"} == {Verdict.OK}
    assert sum(each.verdict is not Verdict.OK for each in found) <= 3  # of the area under the curve, 0.02 is little


# --- regression -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("spread")
    return world(folder, regressed(50, spread_from=40, wrong_from=44), "regression", FEATURES)


@pytest.mark.slow
def test_errors_that_move_with_the_features_are_seen_before_labels_come(spread: World) -> None:
    quiet, moved = looked(spread, 40), looked(spread, 41)
    assert {each.calibration for each in quiet.findings} == {"reliable"}
    assert {each.verdict for each in quiet.findings} == {Verdict.OK}
    assert {each.statistic: each.verdict for each in moved.findings} == {"mae": "breached", "rmse": "breached"}
    seen = finding(moved, "mae")
    actual = np.abs(spread.table.labels - spread.table.predictions)[40 * PER_DAY : 41 * PER_DAY].mean()
    assert seen.value == pytest.approx(actual, rel=0.12)
    assert seen.baseline is not None
    assert seen.value > 1.2 * seen.baseline


@pytest.mark.slow
def test_errors_that_grow_beyond_what_features_tell_make_the_estimate_unreliable(spread: World) -> None:
    result = looked(spread, 48)
    assert result.verdict is Verdict.NO_DATA
    for found in result.findings:
        assert found.reason.startswith("unreliable: estimates were off by")
        assert found.parts["error"] > 2


@pytest.mark.slow
def test_one_metric_without_a_value_stops_no_other(tmp_path: Path) -> None:
    table = regressed(40)
    table.labels = np.where(table.times < 30 * DAY, 0.0, table.labels)  # of a label of 0 there is no percentage
    result = looked(world(tmp_path, table, "regression", FEATURES, metrics=["mape", "mae"]), 37)
    assert finding(result, "mape").verdict is Verdict.NO_DATA
    assert "expected at least 40 reference rows with an error, got 0" in finding(result, "mape").reason
    assert finding(result, "mae").reason.startswith("unreliable: estimates were off by")


@pytest.mark.slow
def test_huge_missing_and_infinite_values_are_no_fault(tmp_path: Path) -> None:
    table = regressed(40)
    table.columns["x"][::7], table.columns["noise"][::5] = np.nan, np.inf  # type: ignore[index]
    table.predictions[36 * PER_DAY :: 11] = np.nan
    table.labels[1] = -1e300
    for found in looked(world(tmp_path, table, "regression", FEATURES), 37).findings:
        assert found.verdict in (Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA)
        assert found.rows == PER_DAY - math.ceil(PER_DAY / 11)
        assert all(math.isfinite(value) for value in (found.value or 0.0, *found.parts.values()))


def test_without_scikit_learn_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = looked(world(tmp_path, regressed(40), "regression", FEATURES), 37)
    assert {(each.verdict, each.version) for each in result.findings} == {(Verdict.ERROR, "1")}
    assert {each.reason for each in result.findings} == {
        "scikit-learn is not installed, which models the errors: pip install 'anchorwatch[reports]'"
    }


def test_names_are_numbered_as_the_reference_has_them() -> None:
    held = {"x": np.array([1.0, np.inf, 3.0]), "kind": np.array(["b", None, "a"], dtype=object)}
    encoding = Encoding.of((*FEATURES[::2], Column("log", ColumnKind.TEXT)), held)
    assert encoding.categorical.tolist() == [False, True]
    np.testing.assert_array_equal(encoding.table(held, 3), [[1, 1], [np.nan, np.nan], [3, 0]])
    coded = {"x": np.zeros(3), "kind": Coded(np.array([0, 1, -1], dtype=np.int32), ("a", "new"))}
    np.testing.assert_array_equal(encoding.table(coded, 3), [[0, 0], [0, np.nan], [0, np.nan]])


def test_a_huge_reference_is_fitted_on_rows_spread_over_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[int] = []
    fit = _estimators.fit_confidence
    monkeypatch.setattr(_estimators, "FITTED_ROWS", 700)
    monkeypatch.setattr(_estimators, "fit_confidence", lambda rows, *more: fitted.append(len(rows)) or fit(rows, *more))
    found = finding(looked(world(tmp_path, classified(40)), 37), "accuracy")
    assert fitted == [700]
    assert found.reference_rows == 30 * PER_DAY


# --- corners ----------------------------------------------------------------------------------------------------------


def only(result: CheckResult) -> tuple[Verdict, str]:
    (found,) = {(each.verdict, each.reason) for each in result.findings}
    return found


def test_no_predictions_and_too_few_of_them_are_no_data(tmp_path: Path) -> None:
    table = classified(40)
    made = world(tmp_path, table.take((table.times < 35 * DAY) | (table.times >= 38 * DAY)))
    assert only(looked(made, 37)) == (Verdict.NO_DATA, "no predictions in the window")
    for rows in (1, 199):
        made = world(tmp_path, table.take(np.r_[: 35 * PER_DAY, 36 * PER_DAY : 36 * PER_DAY + rows]))
        assert only(looked(made, 37)) == (Verdict.NO_DATA, f"expected at least 200 rows, got {rows}")


def test_missing_scores_are_no_data_and_a_row_without_one_is_left_out(tmp_path: Path) -> None:
    table = classified(40)
    table.columns[SCORE][36 * PER_DAY :: 2] = np.nan
    assert finding(looked(world(tmp_path, table), 37), "accuracy").rows == PER_DAY // 2
    table.columns[SCORE][36 * PER_DAY :] = np.nan
    assert only(looked(world(tmp_path, table), 37))[1] == "no scores (probability) beside the predictions"
    table.columns[SCORE][:] = np.nan
    found = only(looked(world(tmp_path, table), 37))
    assert found == (Verdict.NO_DATA, "nothing to estimate by: no scores (probability) beside the predictions")


def test_one_class_only_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    table = classified(40)
    table.labels[:] = "1"
    result = looked(world(tmp_path, table), 37)
    assert finding(result, "roc_auc").verdict is Verdict.NO_DATA
    assert finding(result, "accuracy").verdict in (Verdict.OK, Verdict.NO_DATA)
    # A window in which nothing is predicted positive is nothing unusual.
    table = classified(40)
    table.predictions[36 * PER_DAY : 37 * PER_DAY] = "no"
    table.predictions[table.predictions == "1"], table.labels[table.labels == "1"] = "yes", "yes"
    made = World(watched(tmp_path, "binary", "estimation", {}, positive="yes"), table)
    table.columns["score/yes"] = table.columns[SCORE]  # type: ignore[index]
    assert finding(looked(made, 37), "accuracy").verdict is Verdict.BREACHED


def test_a_reference_without_labels_is_no_data(tmp_path: Path) -> None:
    table = classified(40)
    table.came = np.where(table.times < 30 * DAY, np.inf, table.came)
    assert only(looked(world(tmp_path, table), 37)) == (
        Verdict.NO_DATA, "nothing to estimate by: the reference has no labels",
    )  # fmt: skip


def test_labels_that_cannot_be_read_leave_the_estimate_unproven(tmp_path: Path) -> None:
    table = classified(40)
    made = world(tmp_path, table)
    looked(made, 36)  # the reference has been read
    table.broken = UNREADABLE
    result = looked(made, 37)
    assert result.verdict is Verdict.OK
    assert {each.caution for each in result.findings} == {f"unproven: {UNREADABLE}"}


def test_one_broken_version_stops_no_other(tmp_path: Path) -> None:
    table = classified(40)
    table.versions[::3], table.versions[1::3] = "2", "3"
    made = world(tmp_path, table)
    made.without = {"2": UNREADABLE, "3": NoData("the reference has no rows")}
    result = looked(made, 37)
    assert finding(result, "accuracy", version="1").verdict is Verdict.OK
    assert finding(result, "accuracy", version="2").verdict is Verdict.ERROR
    assert finding(result, "accuracy", version="2").reason == str(UNREADABLE)
    assert finding(result, "accuracy", version="3").reason == "the reference has no rows"


@pytest.mark.parametrize(
    ("task", "options", "complaint"),
    [
        ("binary", {"metrics": ["ece"]}, "expected metrics that can be estimated of a binary model"),
        ("binary", {"metrics": ["mae"]}, "accuracy, balanced_accuracy, brier"),
        ("regression", {"metrics": ["r2"]}, "(bias, mae, mape, rmse), got 'r2'"),
        ("regression", {"decision": {"threshold": 0.4}}, "decision: expected a binary model, got a regression one"),
        ("binary", {"thresholds": {"recall": 0.5}}, "thresholds: expected one of the metrics roc_auc, accuracy"),
        ("multiclass", {}, "expected the score of every class"),
        ("ranking", {}, "expected a binary, multiclass or regression model, got a ranking one"),
        ("binary", {"windows": 0}, "windows"),
    ],
)
def test_what_cannot_be_estimated_is_refused(
    tmp_path: Path, task: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        watched(tmp_path, task, "estimation", options)
    assert complaint in str(refused.value)


def test_windows_of_the_calendar_are_checked_month_by_month(tmp_path: Path) -> None:
    model = watched(tmp_path, "binary", "estimation", {}, windows={"calendar": "month", "lateness": "1h"})
    table = classified(160)
    World(model, table).look(151 * DAY + 3600)
    ends = {(window.start / DAY, window.end / DAY) for window in table.reads}
    assert {(31, 59), (59, 90), (90, 120)} <= ends
    assert Window(0, 30 * DAY) in table.reads  # the reference
