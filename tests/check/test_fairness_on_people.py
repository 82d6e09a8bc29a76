"""Fairness on real people, held to fairlearn, and on people whose groups mean nothing, where it has to be quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.check import References, judge_model
from monitor.config import StorePlace, load
from monitor.records import Finding, Verdict, Window
from monitor.source._open import open_events
from monitor.stats._gaps import Shares
from monitor.stats._pairs import chance_of_gap
from tests.check.judging import DAY
from tests.check.people import LABELLED, PARITY, judge, one, people, watched

pytestmark = pytest.mark.slow


def parts_by_fairlearn(name: str, label: Any, said: Any, score: Any, group: Any) -> tuple[float, dict[str, float]]:
    """The value, and what it is made of."""
    import fairlearn.metrics as fairlearn
    from sklearn.metrics import precision_score, zero_one_loss

    def by_group(metric: Any, predicted: Any) -> Any:
        return fairlearn.MetricFrame(metrics=metric, y_true=label, y_pred=predicted, sensitive_features=group)

    metrics = {
        "demographic_parity_difference": (fairlearn.selection_rate, said),
        "demographic_parity_ratio": (fairlearn.selection_rate, said),
        "equal_opportunity_difference": (fairlearn.true_positive_rate, said),
        "predictive_parity_difference": (precision_score, said),
        "group_calibration_difference": (lambda true, told: float(np.mean(told) - np.mean(true)), score),
        "group_error_difference": (zero_one_loss, said),
    }
    if name == "equalized_odds_difference":
        tpr, fpr = by_group(fairlearn.true_positive_rate, said), by_group(fairlearn.false_positive_rate, said)
        parts = {f"{key} tpr": value for key, value in tpr.by_group.items()}
        parts |= {f"{key} fpr": value for key, value in fpr.by_group.items()}
        return float(fairlearn.equalized_odds_difference(label, said, sensitive_features=group)), parts
    frame = by_group(*metrics[name])
    return float(frame.ratio() if name.endswith("ratio") else frame.difference()), frame.by_group.to_dict()


def test_every_metric_of_a_model_of_adult_is_fairlearns_by_sex_race_and_both(tmp_path: Path, shared_data: Path) -> None:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pd.read_parquet(shared_data / "adult" / "adult.parquet")
    label = rows["income_gt_50k"].astype(int).to_numpy()
    features = rows[["age", "education_num", "hours_per_week", "capital_gain"]].to_numpy(dtype=float)
    features = np.column_stack([features, rows["marital_status"].astype(str).str.startswith("Married")])
    taught = np.random.default_rng(0).random(len(rows)) < 0.5
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[taught], label[taught])
    rows, label, score = rows[~taught], label[~taught], fitted.predict_proba(features[~taught])[:, 1]
    said, sex, race = (score > 0.5).astype(int), rows["sex"].astype(str), rows["race"].astype(str)
    about = watched(tmp_path, protected=["sex", "race", ["sex", "race"]], metrics=[*PARITY, *LABELLED])
    result = judge(about, people(label, said, score=score, sex=sex, race=race))
    both = "sex=" + sex + ",race=" + race
    for segment, group in (("sex", sex), ("race", race), ("sex,race", both)):
        kept = (group.map(group.value_counts()) >= 100).to_numpy()
        for name in [*PARITY, *LABELLED]:
            found = one(result, name, segment)
            value, parts = parts_by_fairlearn(name, label[kept], said[kept], score[kept], group[kept])
            assert found.value == pytest.approx(value, abs=1e-12), (segment, name)
            assert dict(found.parts) == pytest.approx(parts, abs=1e-12)
            assert found.rows == kept.sum()
    # Men earn more, and the model is told whether they are married: it selects three times as many of them.
    assert one(result, "demographic_parity_difference").verdict is Verdict.BREACHED
    assert one(result, "demographic_parity_ratio").value < 0.5


def employment(folder: Path, data: Path, year: int) -> list[Finding]:
    """The findings on one year of `ma_employment`, read from its files."""
    log = "reference" if year == 2015 else "analysis"
    path = folder / "anchorwatch.yml"
    labels = data / ("reference.parquet" if year == 2015 else "analysis_targets.parquet")
    path.write_text(
        f"""
apps:
  - name: shop
    models:
      - name: employment
        task: binary
        columns: {{id: id, timestamp: replay_timestamp, score: predicted_probability, label: employed, version: none}}
        predictions: {{type: files, path: {data / log}.parquet}}
        labels: {{type: files, path: {labels}}}
        checks:
          fairness:
            protected: [RAC1P, DIS, [SEX, RAC1P]]
            metrics: [demographic_parity_difference, equal_opportunity_difference, equalized_odds_difference]
"""
    )
    ((app, model),) = load(path).config.models()
    window = Window(*(np.datetime64(f"{each}-01-01", "s").astype(float) for each in (year, year + 1)))
    source = open_events(app.name, model, folder, StorePlace(folder))
    references = References(lambda _: None)
    (result,) = judge_model(app.name, model, window, source, references, now=window.end + 100 * DAY)
    return list(result.findings)


def test_the_employment_models_rates_are_those_in_its_readme_in_the_first_year_and_in_the_last(
    tmp_path: Path, shared_data: Path
) -> None:
    expected = {2015: (0.551, 0.460, 0.874, 0.841), 2018: (0.543, 0.482, 0.863, 0.835)}
    for year, (white, black, white_tpr, black_tpr) in expected.items():
        findings = employment(tmp_path, shared_data / "ma_employment", year)
        by = {(each.statistic, each.segment): each for each in findings}
        selected = by["demographic_parity_difference", "RAC1P"]
        assert {name: selected.parts[name] for name in "12"} == pytest.approx({"1": white, "2": black}, abs=6e-4)
        hit = by["equal_opportunity_difference", "RAC1P"]
        assert {name: hit.parts[name] for name in "12"} == pytest.approx({"1": white_tpr, "2": black_tpr}, abs=6e-4)
        odds = by["equalized_odds_difference", "RAC1P"]
        assert {name: odds.parts[f"{name} tpr"] for name in hit.parts} == dict(hit.parts)
        disabled = by["demographic_parity_difference", "DIS"]
        assert disabled.verdict is Verdict.BREACHED
        assert disabled.value > 0.45
        if year == 2015:
            assert dict(disabled.parts) == pytest.approx({"1": 0.089, "2": 0.609}, abs=6e-4)
        assert "SEX=1,RAC1P=1" in by["demographic_parity_difference", "SEX,RAC1P"].parts
        assert {each.provisional for each in findings} == {False}


def test_groups_that_mean_nothing_raise_no_more_alarms_than_the_budget_allows(tmp_path: Path) -> None:
    """An alarm in thirty days is allowed of a check with two attributes and three metrics, looked at once a week."""
    about = watched(
        tmp_path, protected=["sex", "race"], metrics=[PARITY[0], "equalized_odds_difference", "group_calibration_difference"],
        material={PARITY[0]: 0, "equalized_odds_difference": 0, "group_calibration_difference": 0}, min_group=50,
    )  # fmt: skip
    about = about.replace(windows=about.windows.replace(every=7 * DAY))
    rng, windows, alarms = np.random.default_rng(8), 1200, 0
    for _ in range(windows):
        score = rng.beta(2, 4, 1000)
        source = people(
            (rng.random(1000) < score).astype(int).astype(str), (score > 0.4).astype(int).astype(str), score=score,
            sex=rng.integers(0, 2, 1000).astype(str), race=np.array(list("abcd"))[rng.choice(4, 1000, p=[0.6, 0.2, 0.12, 0.08])],
        )  # fmt: skip
        alarms += sum(each.verdict is Verdict.BREACHED for each in judge(about, source).findings)
    months = windows * 7 / 30
    assert 0.1 * months < alarms < 0.75 * months  # half of the budget is spent, on what depends on each other


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_a_p_value_of_the_clearest_of_several_pairs_is_no_smaller_than_it_says(rate: float) -> None:
    rng, sizes = np.random.default_rng(9), np.array([100.0, 150.0, 400.0, 3000.0])
    times, level = 12_000, 2e-3
    part = rng.binomial(sizes.astype(int), rate, (times, len(sizes))).astype(float)
    chances = np.array([
        chance_of_gap([Shares(("a", "b", "c", "d"), each, sizes)], lambda low, high: high - low > 0.02) for each in part
    ])  # fmt: skip
    assert (chances < level).mean() < 1.3 * level
    assert (chances < 0.05).mean() < 0.055
