"""Fairness by two keys, on made people: what is said of them, and when it is a breach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from monitor.check._fairness import judge_groups
from monitor.records import Coded, EventBatch, Finding, NoData, Verdict
from monitor.stats._groups import GroupCounts
from tests.check.judging import DAY, WINDOW
from tests.check.people import (
    LABELLED,
    PARITY,
    People,
    judge,
    labelled,
    one,
    parity,
    people,
    predicted,
    rates,
    watched,
)

# --- what is said -----------------------------------------------------------------------------------------------------


def test_parity_is_told_before_any_label_has_come_and_the_others_say_that_they_wait(tmp_path: Path) -> None:
    said, sex = rates({"Female": (200, 60), "Male": (300, 150)})
    result = judge(watched(tmp_path), People([predicted(said, sex=sex)]), matured=WINDOW)
    found, waiting = one(result, "demographic_parity_difference"), one(result, "equalized_odds_difference")
    assert (found.value, found.rows, found.provisional) == (pytest.approx(0.2), 500, False)
    assert found.parts == {"Female": 0.3, "Male": 0.5}
    assert found.interval is not None
    assert found.interval[0] < 0.2 < found.interval[1]
    assert (found.verdict, found.threshold, found.material, found.caution) == (Verdict.BREACHED, 0.1, 0.1, None)
    assert (waiting.verdict, waiting.reason, waiting.provisional) == (Verdict.NO_DATA, "no label has come", True)
    assert Finding.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_values_of_several_attributes_are_combined_and_a_missing_one_belongs_to_nobody(tmp_path: Path) -> None:
    number = 400
    sex, race = ["Male", "Female"] * (number // 2), ["White"] * 200 + ["Black"] * 197 + [None] * 3
    said = ["1" if a == "Male" and b == "White" else "0" for a, b in zip(sex, race, strict=True)]
    about = watched(
        tmp_path, protected=["sex", ["sex", "race"]], metrics=["demographic_parity_difference"], min_group=50
    )
    result = judge(about, People([predicted(said, sex=sex, race=race)]))
    found = one(result, "demographic_parity_difference", "sex,race")
    assert found.parts == {
        "sex=Male,race=White": 1.0, "sex=Female,race=White": 0.0, "sex=Male,race=Black": 0.0, "sex=Female,race=Black": 0.0,
    }  # fmt: skip
    assert (found.rows, found.caution) == (397, None)  # less than 1 % is not told
    assert one(result, "demographic_parity_difference").rows == 400


def test_groups_that_are_too_small_and_rows_that_belong_to_none_are_told(tmp_path: Path) -> None:
    found = parity(tmp_path, {"a": (100, 50), "b": (100, 50), "c": (99, 99), "d": (1, 1)})
    assert (found.value, found.caution) == (0.0, "left out 2 groups of fewer than 100 rows (100 rows)")
    said, sex = rates({"a": (200, 50), "b": (200, 50), "": (5, 5)})
    sex = [each or None for each in sex]
    about = watched(tmp_path, metrics=["demographic_parity_ratio"])
    found = one(judge(about, People([predicted(said, sex=sex)])), "demographic_parity_ratio")
    assert (found.value, found.caution) == (1.0, "5 of 405 rows have no sex")


def test_of_very_many_groups_the_largest_are_compared(tmp_path: Path) -> None:
    sizes = {f"g{place}": (100 + place, 50) for place in range(60)}
    found = parity(tmp_path, sizes)
    assert set(found.parts) == {f"g{place}" for place in range(10, 60)}
    assert found.caution == "left out 10 groups beyond the largest 50 (1045 rows)"


def test_a_rate_that_few_rows_count_in_or_that_a_group_has_not_is_told(tmp_path: Path) -> None:
    sex = ["a"] * 200 + ["b"] * 200 + ["c"] * 200
    label = ["1"] * 100 + ["0"] * 100 + ["1"] * 3 + ["0"] * 197 + ["0"] * 200
    source = people(label, label, sex=sex)
    found = one(judge(watched(tmp_path), source), "equalized_odds_difference")
    assert found.parts == {"a tpr": 1.0, "b tpr": 1.0, "a fpr": 0.0, "b fpr": 0.0, "c fpr": 0.0}
    assert found.caution == "not defined for c; few rows count in b (3)"


def test_labels_that_have_come_for_some_groups_only_are_pointed_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    said, sex = rng.integers(0, 2, 1000).astype(str), np.repeat(["Female", "Male"], 500)
    have = rng.random(1000) < np.where(sex == "Male", 0.9, 0.4)
    source = People([predicted(said, sex=sex)], [labelled(said[have], said[have], sex=sex[have])])
    found = one(judge(watched(tmp_path), source), "equalized_odds_difference")
    share = {name: have[sex == name].mean() for name in ("Male", "Female")}
    assert found.caution == f"labels cover {share['Male']:.0%} of Male and {share['Female']:.0%} of Female"


def test_many_predictions_are_looked_at_in_part_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.check.fairness.MOST_ROWS", 300)
    found = parity(tmp_path, {"a": (150, 50), "b": (200, 50)})
    assert (found.rows, found.caution) == (300, "300 of 350 predictions were looked at")


def test_columns_of_codes_are_read_as_names_are(tmp_path: Path) -> None:
    said, sex = rates({"Female": (200, 60), "Male": (300, 150)})
    batch = predicted(said, sex=sex)
    features = {
        name: Coded(np.array([sorted(set(values)).index(v) for v in values], dtype=np.int32), tuple(sorted(set(values))))
        for name, values in batch.features.items()
    }  # fmt: skip
    about = watched(tmp_path, metrics=list(PARITY))
    coded = judge(about, People([EventBatch("1", batch.times, features)]))
    assert coded.findings == judge(about, People([batch])).findings


# --- two keys ---------------------------------------------------------------------------------------------------------


def test_a_gap_that_may_be_chance_is_no_breach_and_neither_is_one_too_small_to_matter(tmp_path: Path) -> None:
    found = parity(tmp_path, {"a": (100, 45), "b": (100, 57)})
    assert (found.verdict, found.reason) == (Verdict.OK, "material_but_within_chance")
    found = parity(tmp_path, {"a": (20_000, 9_000), "b": (20_000, 10_000)})
    assert (found.verdict, found.reason) == (Verdict.OK, "significant_but_immaterial")
    found = parity(
        tmp_path, {"a": (20_000, 9_000), "b": (20_000, 10_000)}, material={"demographic_parity_difference": 0.03}
    )
    assert (found.verdict, found.reason, found.threshold) == (Verdict.BREACHED, "beyond_threshold", 0.03)
    found = parity(tmp_path, {"a": (100, 50), "b": (100, 52)})
    assert (found.verdict, found.reason) == (Verdict.OK, "within_threshold")


def test_a_small_group_far_off_by_chance_is_no_breach_however_surely_two_large_ones_differ_a_little(
    tmp_path: Path,
) -> None:
    large = {"a": (30_000, 15_000), "b": (30_000, 15_900)}
    found = parity(tmp_path, {**large, "c": (100, 61)})
    assert found.value == pytest.approx(0.11)
    assert (found.verdict, found.reason) == (Verdict.OK, "material_but_within_chance")
    # And the other way round: what is sure and matters is told, though a small group lies further off by chance.
    found = parity(tmp_path, {"a": (30_000, 15_000), "b": (30_000, 18_900), "c": (100, 64)})
    assert found.verdict is Verdict.BREACHED


def test_a_ratio_that_a_small_group_has_by_chance_is_no_breach_either(tmp_path: Path) -> None:
    about = watched(tmp_path, metrics=["demographic_parity_ratio"])
    said, sex = rates({"a": (30_000, 6_000), "b": (30_000, 6_600), "c": (100, 15)})
    found = one(judge(about, People([predicted(said, sex=sex)])), "demographic_parity_ratio")
    assert found.value == pytest.approx(0.15 / 0.22)
    assert (found.verdict, found.reason) == (Verdict.OK, "material_but_within_chance")


def test_a_ratio_is_a_breach_below_its_threshold(tmp_path: Path) -> None:
    about = watched(tmp_path, metrics=["demographic_parity_ratio"])
    for female, verdict in ((1000, Verdict.BREACHED), (1700, Verdict.OK)):
        said, sex = rates({"Female": (4000, female), "Male": (4000, 2000)})
        found = one(judge(about, People([predicted(said, sex=sex)])), "demographic_parity_ratio")
        assert (found.verdict, found.threshold) == (verdict, 0.8)
        assert found.value == pytest.approx(female / 2000)


def test_a_fixed_threshold_takes_the_place_of_both_keys(tmp_path: Path) -> None:
    found = parity(tmp_path, {"a": (100, 50), "b": (100, 53)}, thresholds={"demographic_parity_difference": 0.02})
    assert (found.verdict, found.calibration, found.threshold) == (Verdict.BREACHED, "fixed", 0.02)
    assert (found.p_value, found.material) == (None, None)


def test_the_budget_is_spent_over_attributes_metrics_and_versions(tmp_path: Path) -> None:
    """The level lies where the calibration puts it: a p-value just below it is a breach, one just above it is not."""
    sizes = {"a": (400, 200), "b": (400, 262)}
    said, sex = rates(sizes)
    alone = parity(tmp_path, sizes, material={"demographic_parity_difference": 0})
    assert alone.p_value is not None
    for protected, versions in ((["sex"], 1), (["sex", "race", ["sex", "race"]], 1), (["sex", "race"], 2)):
        batches = [predicted(said, str(each), sex=sex, race=sex) for each in range(1, versions + 1)]
        for tests, verdict in ((0.99, Verdict.BREACHED), (1.01, Verdict.OK)):
            budget = alone.p_value * 2 * (30 / 7) * len(protected) * 2 * versions / tests
            about = watched(
                tmp_path, protected=protected, metrics=list(PARITY), false_alarms={"at_most": budget},
                material={"demographic_parity_difference": 0},
            )  # fmt: skip
            about = about.replace(windows=about.windows.replace(every=7 * DAY))
            found = one(judge(about, People(batches)), "demographic_parity_difference")
            assert found.verdict is verdict, (protected, versions)


counts = some.tuples(some.integers(2, 60), some.integers(0, 60), some.integers(0, 60), some.integers(0, 60))
scores = some.tuples(some.floats(0, 1), some.floats(0, 1))
METRICS = some.sampled_from([*PARITY, *LABELLED])


def group(cells: tuple[int, int, int, int], sums: tuple[float, float]) -> GroupCounts:
    tn, fp, fn, tp = cells
    rows, negatives, positives = sum(cells), (tn + fp) * sums[0], (fn + tp) * sums[1]
    absolute = negatives + (fn + tp) - positives
    squared = negatives * sums[0] + (fn + tp) * (1 - sums[1]) ** 2
    return GroupCounts(rows, fp + tp, tn, fp, fn, tp, rows, negatives, positives, absolute, squared)


@settings(max_examples=400, deadline=None)
@given(
    METRICS, some.lists(some.tuples(counts, scores), min_size=2, max_size=5), some.floats(0, 1), some.floats(0, 0.05)
)
def test_the_numbers_of_a_finding_never_contradict_each_other(
    name: str, cells: list[Any], material: float, level: float
) -> None:
    groups = {f"g{place}": group(*each) for place, each in enumerate(cells)}
    try:
        verdict, reason, more, _ = judge_groups(name, groups, fixed=None, material=material, level=level)
    except NoData:
        return
    beyond = more["value"] < more["threshold"] if name.endswith("ratio") else more["value"] > more["threshold"]
    sure = more["p_value"] < level
    assert (verdict is Verdict.BREACHED) is (beyond and sure)
    reasons = {
        (True, True): "beyond_threshold", (True, False): "material_but_within_chance",
        (False, True): "significant_but_immaterial", (False, False): "within_threshold",
    }  # fmt: skip
    assert reason == reasons[beyond, sure]
    assert 0 <= more["p_value"] <= 1
    low, high = more["interval"]
    assert low <= more["value"] <= high
    values = list(more["parts"].values())
    if name != "equalized_odds_difference":
        gap = min(values) / max(values) if name.endswith("ratio") else max(values) - min(values)
        assert more["value"] == pytest.approx(gap)
