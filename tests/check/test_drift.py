"""Drift alerts on two keys: more than unchanged rows would show, and enough to matter. Each finding says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.check import References
from monitor.check._context import Context
from monitor.check.drift import Options, importances, judge, keys_of, wanted_statistics
from monitor.profile import Reference, build_reference
from monitor.records import (
    CheckResult,
    Column,
    ColumnKind,
    EventBatch,
    Finding,
    LabelledBatch,
    Role,
    Verdict,
    Window,
)
from tests.check.judging import DAY, NOW, WINDOW, MemorySource, finding, judged, model

OK, BREACHED, NO_DATA = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA
NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL
FEATURES = (Column("temp", NUMERIC, 3.0), Column("wind", NUMERIC), Column("season", CATEGORICAL, 1.0))
OUTCOMES = (Column("prediction", NUMERIC, role=Role.PREDICTION), Column("label", NUMERIC, role=Role.LABEL))
ROWS = 60 * 24 * 100


def rows(rng: np.random.Generator, number: int, start: float, seconds: float, **shift: float) -> EventBatch:
    """So many rows spread over a time; a shift moves a numeric column by so many standard deviations."""
    columns: dict[str, Any] = {name: rng.standard_normal(number) for name in ("temp", "wind", "prediction", "label")}
    for name, by in shift.items():
        columns[name] = columns[name] + by
    columns["season"] = np.array(["dry", "wet"], dtype=object)[rng.integers(0, 2, number)]
    return EventBatch("1", start + np.arange(number) * (seconds / number), columns)


@pytest.fixture(scope="module")
def known() -> Reference:
    """A hundred days before the window, a hundred rows a day."""
    batch = rows(np.random.default_rng(1), 10_000, WINDOW.start - 100 * DAY, 100 * DAY)
    return build_reference(batch, (*FEATURES, *OUTCOMES), fingerprint="a" * 16, version="0", window_seconds=7 * DAY)


def window(number: int = 700, **shift: float) -> EventBatch:
    """Predictions; their labels come later."""
    batch = rows(np.random.default_rng(2), number, WINDOW.start, 7 * DAY - 1, **shift)
    return replace(batch, features={name: held for name, held in batch.features.items() if name != "label"})


def drift(folder: Path, known: Reference, batch: EventBatch, **keys: Any) -> CheckResult:
    parts = {name: keys.pop(name) for name in ("features", "labels") if name in keys}
    watched = model(folder, checks={"drift": keys}, **parts)
    return judged(watched, MemorySource([batch]), lambda _: known)["drift"]


def test_unchanged_data_are_quiet_and_every_finding_says_how_that_is_known(tmp_path: Path, known: Reference) -> None:
    result = drift(tmp_path, known, window())
    assert result.verdict is OK
    told = [found for found in result.findings if found.statistic != "drift_share"]
    assert {(found.feature, found.statistic) for found in told} == {
        (name, statistic) for name in ("temp", "wind", "prediction", "label") for statistic in ("psi", "wasserstein")
    } | {("season", "psi")}
    assert {(found.verdict, found.reason) for found in told if found.feature == "label"} == {
        (NO_DATA, "no label has come")
    }
    told = [found for found in told if found.feature != "label"]
    for found in told:
        assert found.p_value is not None
        assert 1e-3 < found.p_value <= 1
        assert found.calibration == ("g_test" if found.statistic == "psi" else "resampled") + "_by_stretches"
        assert found.material == 0.1
        assert found.threshold is not None
        assert found.threshold >= 0.1
        assert (found.reference_version, found.reference_rows, found.rows) == ("0", 10_000, 700)


@pytest.mark.slow
@pytest.mark.parametrize("number", [500, 5000, 50_000])
def test_a_breach_is_where_the_test_and_the_floor_both_say_so(tmp_path: Path, known: Reference, number: int) -> None:
    """`value > threshold` and the two keys are the same thing, at every size of the effect and of the window."""
    found_breach = found_ok = False
    statistics = {"numeric": ["psi", "ks", "hellinger", "jensen_shannon", "kl_divergence", "wasserstein"]}
    watched = model(tmp_path, checks={"drift": {"statistics": statistics}})
    options = watched.checks["drift"].options
    level = keys_of(options, wanted_statistics(known, options.statistics), every=DAY, size=7 * DAY, versions=1).level
    for by in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 3.0):
        for found in drift(tmp_path, known, window(number, temp=by), statistics=statistics).findings:
            if found.p_value is None or found.value is None or found.p_value == pytest.approx(level, rel=0.01):
                continue
            assert found.material is not None
            both = found.p_value <= level and found.value > found.material
            assert found.verdict is (BREACHED if both else OK), found
            found_breach, found_ok = found_breach or both, found_ok or not both
    assert found_breach
    assert found_ok


def test_a_significant_change_that_is_too_small_to_matter_alerts_nobody_and_is_told(
    tmp_path: Path, known: Reference
) -> None:
    batch = window(50_000, temp=0.1)
    quiet = finding(drift(tmp_path, known, batch), "psi", "temp")
    assert (quiet.verdict, quiet.reason) == (OK, "significant_but_immaterial")
    assert quiet.p_value is not None
    assert quiet.p_value < 1e-12
    loud = finding(drift(tmp_path, known, batch, material={"psi": 0}), "psi", "temp")
    assert (loud.verdict, loud.material) == (BREACHED, 0)


def test_a_large_effect_on_few_rows_is_not_significant(tmp_path: Path, known: Reference) -> None:
    small = finding(drift(tmp_path, known, window(60)), "psi", "temp")
    assert small.value is not None
    assert small.value > 0.1
    assert small.verdict is OK


def test_a_larger_budget_is_more_eager(tmp_path: Path, known: Reference) -> None:
    thresholds = [
        finding(
            drift(tmp_path, known, window(200), false_alarms={"at_most": budget, "per": "30d"}, material={"psi": 0}),
            "psi", "temp",
        ).threshold
        for budget in (0.01, 1, 10)
    ]  # fmt: skip
    assert thresholds == sorted(thresholds, key=lambda each: -(each or 0))
    assert thresholds[0] != thresholds[2]


def test_the_budget_is_spent_over_columns_statistics_and_versions(known: Reference) -> None:
    def level(versions: int = 1, **statistics: Any) -> float:
        options = Options.model_validate({"statistics": statistics})
        wanted = wanted_statistics(known, options.statistics)
        return keys_of(options, wanted, every=DAY, size=DAY, versions=versions).level

    one = level(numeric=["psi"], categorical=["psi"])
    assert level(2, numeric=["psi"], categorical=["psi"]) == pytest.approx(one / 2)
    # Functions of the same counts share one test.
    assert level(numeric=["psi", "hellinger"], categorical=["psi", "g_test", "cramers_v"]) == pytest.approx(one)
    # Five columns have bins, four of them numeric.
    assert level(numeric=["psi", "ks"], categorical=["psi"]) == pytest.approx(one * 5 / 9)


def test_a_fixed_threshold_is_calibrated_by_nobody_and_costs_no_budget(tmp_path: Path, known: Reference) -> None:
    found = finding(drift(tmp_path, known, window(temp=0.3), thresholds={"psi": 0.05}), "psi", "temp")
    assert (found.verdict, found.threshold, found.p_value, found.calibration) == (BREACHED, 0.05, None, "fixed")


def test_too_few_rows_are_no_data_with_the_number_that_would_do(tmp_path: Path, known: Reference) -> None:
    result = drift(tmp_path, known, window(49))
    assert (result.verdict, result.reason) == (NO_DATA, "expected at least 50 rows, got 49")


def test_a_reference_of_too_few_rows_is_no_data_with_the_number_that_would_do(tmp_path: Path) -> None:
    batch = rows(np.random.default_rng(3), 99, WINDOW.start - 10 * DAY, 10 * DAY)
    short = build_reference(batch, FEATURES, fingerprint="b" * 16, version=None, window_seconds=7 * DAY)
    result = drift(tmp_path, short, window())
    assert (result.verdict, result.reason) == (NO_DATA, "expected a reference of at least 100 rows, got 99")


def test_a_reference_of_few_windows_says_so_and_needs_more(tmp_path: Path, known: Reference) -> None:
    batch = rows(np.random.default_rng(4), 10_000, WINDOW.start - 30 * DAY, 30 * DAY)
    short = build_reference(batch, FEATURES, fingerprint="c" * 16, version=None, window_seconds=7 * DAY)
    found = finding(drift(tmp_path, short, window()), "psi", "temp")
    assert found.calibration == "g_test_short_reference"


@pytest.mark.parametrize("share", [0.05, 0.9])
def test_values_that_go_missing_are_a_drift_even_where_the_column_is_restless(tmp_path: Path, share: float) -> None:
    rng = np.random.default_rng(5)
    batch = rows(rng, 10_000, WINDOW.start - 100 * DAY, 100 * DAY)
    batch.features["temp"][:] = np.sort(batch.features["temp"])  # as restless as can be: it only ever rises
    restless = build_reference(batch, FEATURES, fingerprint="d" * 16, version=None, window_seconds=7 * DAY)
    holed = window()
    holed.features["temp"][: int(700 * share)] = np.nan
    found = finding(drift(tmp_path, restless, holed, material={"psi": 0.01}), "psi", "temp")
    assert found.verdict is BREACHED


def test_predictions_are_judged_beside_the_features(tmp_path: Path, known: Reference) -> None:
    result = drift(tmp_path, known, window(prediction=1.0))
    breached = {found.feature for found in result.findings if found.verdict is BREACHED}
    assert breached == {"prediction"}
    assert all(found.subject == "prediction" for found in result.findings if found.feature == "prediction")
    assert finding(result, "drift_share").value == 0


def labelled(start: float = WINDOW.start, **shift: float) -> LabelledBatch:
    batch = rows(np.random.default_rng(6), 700, start, 3 * DAY, **shift)
    versions = np.full(len(batch), "1", dtype=object)
    return LabelledBatch(batch.times, versions, batch.features["prediction"], batch.features["label"], batch.times)


def label_findings(folder: Path, known: Reference, labels: list[LabelledBatch], **more: Any) -> list[Finding]:
    watched = model(folder, checks={"drift": {}}, labels={"type": "ingest", "mature": "3d"})
    source = MemorySource([window()], labels)
    result = judged(watched, source, lambda _: known, **more)["drift"]
    return [found for found in result.findings if found.feature == "label"]


def test_labels_that_have_matured_are_judged_and_final(tmp_path: Path, known: Reference) -> None:
    moved = label_findings(tmp_path, known, [labelled(label=1.0)], now=WINDOW.end + 3 * DAY)
    assert {(found.verdict, found.provisional, found.subject) for found in moved} == {(BREACHED, False, "label")}
    still = label_findings(tmp_path, known, [labelled()], now=WINDOW.end + 3 * DAY)
    assert {found.verdict for found in still} == {OK}


def test_before_that_the_window_whose_labels_have_matured_is_judged(tmp_path: Path, known: Reference) -> None:
    before = Window(WINDOW.start - 4 * DAY, WINDOW.end - 4 * DAY)
    both = [labelled(before.start, label=1.0), labelled()]
    found = label_findings(tmp_path, known, both, now=NOW, matured=before)
    assert {(each.verdict, each.provisional, each.window) for each in found} == {(BREACHED, False, before)}


def test_without_one_the_labels_so_far_are_judged_provisionally(tmp_path: Path, known: Reference) -> None:
    found = label_findings(tmp_path, known, [labelled()], now=NOW)
    assert {(each.provisional, each.window) for each in found} == {(True, WINDOW)}


def test_the_share_of_drifted_features_is_weighed_by_importance(tmp_path: Path, known: Reference) -> None:
    # Said: temp 3, season 1; wind counts as their mean, 2. So temp is half of all.
    assert importances(known) == pytest.approx({"temp": 1 / 2, "wind": 1 / 3, "season": 1 / 6})
    share = finding(drift(tmp_path, known, window(temp=1.0)), "drift_share")
    assert (share.value, share.verdict) == (pytest.approx(0.5), OK)
    share = finding(drift(tmp_path, known, window(temp=1.0, wind=1.0)), "drift_share")
    assert (share.value, share.verdict, share.subject) == (pytest.approx(5 / 6), BREACHED, "model")
    share = finding(drift(tmp_path, known, window(temp=1.0), thresholds={"drift_share": 0.4}), "drift_share")
    assert share.verdict is BREACHED


def test_features_are_ranked_by_importance_and_effect(tmp_path: Path, known: Reference) -> None:
    result = drift(tmp_path, known, window(temp=1.0, wind=1.0))
    impact = {found.feature: found.impact for found in result.findings if found.statistic == "psi"}
    assert impact["prediction"] is None
    assert impact["temp"] > impact["wind"] > impact["season"]
    temp = finding(result, "psi", "temp")
    assert temp.value is not None
    assert temp.impact == pytest.approx(0.5 * temp.value / 0.1)


def test_the_same_window_gives_the_same_findings(tmp_path: Path, known: Reference) -> None:
    watched = model(tmp_path, checks={"drift": {}})
    options = watched.checks["drift"].options
    twice = [
        list(
            judge(Context("shop", watched, WINDOW, MemorySource([window()]), References(lambda _: known), NOW), options)
        )
        for _ in range(2)
    ]
    assert twice[0] == twice[1]
