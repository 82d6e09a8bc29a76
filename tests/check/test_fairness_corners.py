"""Fairness where names are kept out, labels are still coming, something is broken, or there is too little to tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.check.fairness import Options
from monitor.config import ConfigError
from monitor.records import Verdict
from monitor.source import SourceError
from tests.check.judging import WINDOW
from tests.check.people import (
    BEFORE,
    LABELLED,
    PARITY,
    People,
    judge,
    labelled,
    one,
    people,
    predicted,
    rates,
    watched,
)

# --- names kept out ---------------------------------------------------------------------------------------------------


def test_names_are_kept_out_of_everything_and_a_number_once_given_stays(tmp_path: Path) -> None:
    about = watched(tmp_path, anonymous=True, protected=["sex", ["sex", "race"]], min_group=2)
    first = people(["1", "0"] * 200, ["1", "0"] * 200, sex=["Male"] * 200 + ["Female"] * 200, race=["White"] * 400)
    said = judge(about, first)
    assert one(said, "demographic_parity_difference").parts == {"1": 0.5, "2": 0.5}
    assert said.state is not None
    assert json.loads(said.state) == {
        "sex": ["Female", "Male"], "sex,race": ["sex=Female,race=White", "sex=Male,race=White"],
    }  # fmt: skip
    second = people(
        ["1", "0", "1", "1"] * 100, ["1", "0", "1", "1"] * 100, sex=["Male", "Diverse"] * 200, race=["White"] * 400
    )
    later = judge(about, second, state=said.state)
    assert one(later, "demographic_parity_difference").parts == {"2": 1.0, "3": 0.5}
    assert json.loads(later.state or "")["sex"] == ["Female", "Male", "Diverse"]
    for name in ("Male", "Female", "Diverse", "White"):
        assert name not in json.dumps([finding.as_json() for finding in (*said.findings, *later.findings)])
    assert judge(watched(tmp_path), first).state is None


def test_reasons_and_cautions_hold_no_names_either(tmp_path: Path) -> None:
    about = watched(tmp_path, anonymous=True, metrics=[*LABELLED, *PARITY])
    sex = ["Male"] * 200 + ["Female"] * 200
    label, said = ["1"] * 3 + ["0"] * 397, ["1"] * 200 + ["0"] * 200
    result = judge(about, people(label, said, sex=sex))
    assert "none in 1" in one(result, "equal_opportunity_difference").reason
    assert "ale" not in json.dumps([[each.reason, each.caution, dict(each.parts)] for each in result.findings])


@pytest.mark.parametrize("state", ["", "no JSON", "[1]", '{"sex": 3}', "null"])
def test_a_legend_that_cannot_be_read_begins_anew(tmp_path: Path, state: str) -> None:
    said, sex = rates({"Female": (200, 60), "Male": (300, 150)})
    result = judge(watched(tmp_path, anonymous=True), People([predicted(said, sex=sex)]), state=state)
    assert json.loads(result.state or "") == {"sex": ["Female", "Male"]}


# --- windows whose labels are still coming ----------------------------------------------------------------------------


def test_an_earlier_window_is_judged_again_for_its_labels_and_not_for_what_needs_none(tmp_path: Path) -> None:
    said, sex = rates({"Female": (200, 20), "Male": (300, 150)})
    now, other = rates({"Male": (300, 150), "Diverse": (200, 100)})
    source = People(
        [predicted(now, sex=other), predicted(said, sex=sex, time=BEFORE.start)],
        [
            labelled(["1"] * 500, said, sex=sex, time=BEFORE.start),
            labelled(["0"] * 500, said, sex=sex, time=BEFORE.start),
        ],
    )
    result = judge(watched(tmp_path, anonymous=True, metrics=[PARITY[0], LABELLED[0]]), source, matured=BEFORE)
    assert source.asked == [WINDOW]
    found, earlier = one(result, PARITY[0]), one(result, LABELLED[0])
    assert (found.window, found.verdict) == (WINDOW, Verdict.OK)
    assert (earlier.window, earlier.verdict, earlier.provisional) == (BEFORE, Verdict.BREACHED, False)
    # One legend for all of them, and it is kept whole.
    assert json.loads(result.state or "") == {"sex": ["Diverse", "Male", "Female"]}
    assert (dict(found.parts), dict(earlier.parts)) == ({"1": 0.5, "2": 0.5}, {"2": 0.5, "3": 0.1})


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_labels_that_cannot_be_read_stop_only_what_needs_them(tmp_path: Path) -> None:
    said, sex = rates({"Female": (200, 60), "Male": (300, 150)})
    source = People([predicted(said, sex=sex)], SourceError("the labels are gone"))
    result = judge(watched(tmp_path), source)
    assert one(result, "demographic_parity_difference").verdict is Verdict.BREACHED
    failed = one(result, "equalized_odds_difference")
    assert (failed.verdict, failed.reason) == (Verdict.ERROR, "the labels are gone")
    source = people(said, said, sex=sex)
    source.fails()
    result = judge(watched(tmp_path), source)
    assert one(result, "demographic_parity_difference").verdict is Verdict.ERROR
    assert one(result, "equalized_odds_difference").value == 0


def test_a_version_that_cannot_be_judged_stops_no_other_and_neither_does_an_attribute(tmp_path: Path) -> None:
    said, sex = rates({"Female": (200, 60), "Male": (300, 150)})
    good, bad = (
        people(said, said, sex=sex, race=[None] * 500),
        people(["yes", "no"] * 250, ["yes", "no"] * 250, "2", sex=sex, race=sex),
    )
    source = People([*good.batches, *bad.batches], [*good.labels, *bad.labels])  # type: ignore[misc]
    result = judge(watched(tmp_path, protected=["race", "sex"], metrics=[*PARITY, *LABELLED]), source)
    assert one(result, PARITY[0]).parts == {"Female": 0.3, "Male": 0.5}
    assert one(result, PARITY[0], "race").reason == "expected two groups of at least 100 rows, got 0: no row has race"
    for name in [*PARITY, *LABELLED]:
        found = one(result, name, version="2")
        assert (found.verdict, found.value) == (Verdict.NO_DATA, None)
        wanted = "no scores" if name == "group_calibration_difference" else "expected the positive class '1'"
        assert found.reason.startswith(wanted)


SEXES = ["Female", "Male"] * 200
CORNERS: dict[str, tuple[People, str]] = {
    "no rows": (People([], []), "no predictions in the window"),
    "a single row": (people(["1"], ["1"], score=[0.5], sex=["Male"]), "expected two groups of at least 100 rows, got 0: of 1"),
    "one group": (people(["1"] * 400, ["1"] * 400, score=[0.5] * 400, sex=["Male"] * 400),
                  "expected two groups of at least 100 rows, got 1: of 1"),
    "nobody's group is known": (people(["1"] * 400, ["1"] * 400, score=[0.5] * 400, sex=[None] * 400),
                                "expected two groups of at least 100 rows, got 0: no row has sex"),
    "no predictions": (people([None] * 400, [None] * 400, score=[0.5] * 400, sex=SEXES),
                       "expected two groups of at least 100 rows, got 0: no row has sex"),
}  # fmt: skip


@pytest.mark.parametrize("case", CORNERS)
def test_too_little_evidence_is_no_data_with_its_reason(tmp_path: Path, case: str) -> None:
    source, reason = CORNERS[case]
    result = judge(watched(tmp_path, metrics=[*PARITY, *LABELLED]), source)
    assert {(each.verdict, each.value) for each in result.findings} == {(Verdict.NO_DATA, None)}
    assert {each.reason for each in result.findings} == {reason}
    assert len(result.findings) == 7


@pytest.mark.parametrize(("label", "said"), [("0", "0"), ("1", "1"), ("0", "1"), ("1", "0")])
def test_one_class_only_is_a_value_or_says_what_is_missing(tmp_path: Path, label: str, said: str) -> None:
    source = people([label] * 400, [said] * 400, score=[0.5] * 400, sex=SEXES)
    result = judge(watched(tmp_path, metrics=[*PARITY, *LABELLED]), source)
    assert len(result.findings) == 7
    for each in result.findings:
        assert each.verdict is (Verdict.NO_DATA if each.value is None else Verdict.OK)
        if each.value is None:
            assert each.reason.startswith("expected ")
        else:
            assert each.value == (1.0 if each.statistic.endswith("ratio") else 0.0)


def test_scores_that_are_missing_cost_only_calibration(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    score = np.where(rng.random(400) < 0.2, np.nan, rng.random(400))
    source = people(rng.integers(0, 2, 400), rng.integers(0, 2, 400), score=score, sex=SEXES)
    result = judge(watched(tmp_path, metrics=list(LABELLED), min_group=50), source)
    missing = int(np.isnan(score).sum())
    assert one(result, "group_calibration_difference").caution == f"{missing} of 400 labelled rows have no score"
    assert [one(result, name).rows for name in ("group_calibration_difference", "group_error_difference")] == [
        400 - missing, 400,
    ]  # fmt: skip


def test_errors_of_numbers_are_compared_in_the_unit_of_the_label(tmp_path: Path) -> None:
    import fairlearn.metrics as fairlearn
    from sklearn.metrics import mean_absolute_error

    rng = np.random.default_rng(7)
    sex = np.repeat(["Female", "Male"], [1500, 2500])
    label = rng.normal(100, 10, 4000)
    said = label + rng.normal(0, np.where(sex == "Male", 5, 9))
    said[:3] = [np.nan, np.inf, -np.inf]
    label[3] = np.nan
    held = slice(4, None)
    frame = fairlearn.MetricFrame(
        metrics=mean_absolute_error, y_true=label[held], y_pred=said[held], sensitive_features=sex[held]
    )
    found = one(judge(watched(tmp_path, "regression"), people(label, said, sex=sex)), "group_error_difference")
    assert found.value == pytest.approx(frame.difference())
    assert found.parts == pytest.approx(frame.by_group.to_dict())
    assert (found.rows, found.verdict) == (3996, Verdict.BREACHED)
    assert found.material == pytest.approx(0.2 * frame.overall)
    loose = watched(tmp_path, "regression", material={"group_error_difference": 10})
    assert (
        one(judge(loose, people(label, said, sex=sex)), "group_error_difference").reason == "significant_but_immaterial"
    )


def test_huge_errors_are_numbers_still(tmp_path: Path) -> None:
    label = np.zeros(400)
    for said in (np.full(400, 1e308), np.where(np.arange(400) % 2, 1e308, -1e308), np.linspace(-1e300, 1e300, 400)):
        found = one(judge(watched(tmp_path, "regression"), people(label, said, sex=SEXES)), "group_error_difference")
        assert found.verdict is Verdict.OK
        assert found.value is not None
        assert np.isfinite([found.value, *found.parts.values(), *(found.interval or ())]).all()


WRONG = [
    ("binary", {"protected": []}, "protected: "),
    ("binary", {"protected": [["sex"]]}, "protected"),
    ("binary", {"protected": ["sex", "sex"]}, "expected every attribute once, got sex twice"),
    ("binary", {"protected": [["sex", "race"], ["race", "sex"]]}, "expected every attribute once, got race, sex twice"),
    ("binary", {"metrics": ["accuracy"]}, "expected one of demographic_parity_difference"),
    ("multiclass", {}, "checks.fairness: expected a binary or regression model, got a multiclass one"),
    ("ranking", {}, "checks.fairness: expected a binary or regression model, got a ranking one"),
    ("binary", {"material": {"demographic_parity_ratio": 0.8}},
     "material: expected one of the metrics demographic_parity_difference, equalized_odds_difference, got"),
    ("binary", {"thresholds": {"demographic_parity_difference": 5}}, "expected at most 1, which the metric never exceeds, got 5"),
    ("binary", {"min_group": 1}, "min_group"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "options", "message"), WRONG)
def test_what_does_not_fit_is_refused_with_its_reason(
    tmp_path: Path, task: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        watched(tmp_path, task, **options)
    assert message in str(error.value)


def test_a_limit_may_be_written_as_a_percentage() -> None:
    assert Options(protected=["sex"], material={"demographic_parity_ratio": "80%"}).material == {
        "demographic_parity_ratio": 0.8
    }


def test_a_metric_of_two_classes_says_that_it_is_not_for_a_regression(tmp_path: Path) -> None:
    asked = watched(tmp_path, "regression", metrics=["equalized_odds_difference", "group_error_difference"])
    label = np.linspace(0, 1, len(SEXES))
    found = judge(asked, people(label, label + 0.1, sex=SEXES))
    [misfit] = [each for each in found.findings if each.statistic == "equalized_odds_difference"]
    assert (misfit.verdict, misfit.reason) == (Verdict.NO_DATA, "it is for binary models, not for regression ones")
    assert one(found, "group_error_difference").verdict is Verdict.OK
