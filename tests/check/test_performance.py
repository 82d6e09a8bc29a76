"""Performance by two keys, on made rows and on real ones: what is said equals scikit-learn, and an unchanged model is left alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn import metrics as sk

from monitor.backtest import backtest
from monitor.config import ConfigError, load
from monitor.records import Finding, Verdict
from tests.check.judging import model

DAY = 86400.0
START = pd.Timestamp("2026-01-01", tz="UTC")  # a Thursday, as the epoch was: weeks begin there


def written(folder: Path, rows: pd.DataFrame, name: str) -> str:
    path = folder / f"{name}.parquet"
    rows.to_parquet(path)
    return str(path)


def replayed(folder: Path, watched: dict[str, Any]) -> list[Finding]:
    """The findings of a backtest of one model."""
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [watched]}]}))
    return [each for each in backtest(load(path), tell=lambda _: None).findings if each.check == "performance"]


def made(rng: np.random.Generator, days: int, worse_from: int = 10**9, per_day: int = 120) -> pd.DataFrame:
    """A classifier whose scores hold, until from some day on most of its labels are mere chance."""
    number = days * per_day
    times = START + pd.to_timedelta(np.arange(number) * DAY / per_day, unit="s")
    score = rng.beta(2, 2, number)
    label = rng.random(number) < score
    bad = (np.arange(number) // per_day >= worse_from) & (rng.random(number) < 0.9)
    label = np.where(bad, rng.random(number) < 0.5, label)
    return pd.DataFrame({
        "event_id": [f"e{place}" for place in range(number)], "timestamp": times, "prediction": (score > 0.5).astype(int),
        "probability": score, "model_version": "1", "label": label.astype(int), "label_timestamp": times + pd.Timedelta("6h"),
    })  # fmt: skip


def config(folder: Path, rows: pd.DataFrame, days: int, **check: Any) -> dict[str, Any]:
    end = START + pd.Timedelta(days=days)
    reference, production = rows[rows.timestamp < end], rows[rows.timestamp >= end]
    return {
        "name": "demand",
        "task": "binary",
        "reference": {"type": "files", "path": written(folder, reference, "reference")},
        "predictions": {
            "type": "files",
            "path": written(folder, production.drop(columns=["label", "label_timestamp"]), "production"),
        },
        "labels": {
            "type": "files", "mature": "0s",
            "path": written(folder, production[["event_id", "label", "label_timestamp"]], "labels"),
        },
        "windows": {"size": "7d", "every": "7d", "lateness": "12h"},
        "checks": {"performance": {"metrics": ["accuracy", "roc_auc", "log_loss", "f1"], **check}},
    }  # fmt: skip


def test_an_unchanged_model_is_ok_and_every_value_comes_with_what_it_is_held_against(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(1), 140)
    # A hundredth of the usual budget: with it, a week in eight may alert by chance.
    found = replayed(tmp_path, config(tmp_path, rows, 84, false_alarms={"at_most": 0.01}))
    assert {each.verdict for each in found} == {Verdict.OK}
    reference = rows[rows.timestamp < START + pd.Timedelta(days=84)]
    expected = {
        "accuracy": sk.accuracy_score(reference.label, reference.prediction),
        "roc_auc": sk.roc_auc_score(reference.label, reference.probability),
        "log_loss": sk.log_loss(reference.label, reference.probability),
        "f1": sk.f1_score(reference.label, reference.prediction),
    }
    for each in found:
        assert each.baseline == pytest.approx(expected[each.statistic])
        assert each.interval is not None
        assert each.interval[0] < each.value < each.interval[1]
        assert each.calibration == "influence_by_stretches"
        assert 0 < each.p_value <= 1
        assert (each.rows, each.reference_rows) == (840, 84 * 120)
    covered = [each.interval[0] <= each.baseline <= each.interval[1] for each in found]
    assert np.mean(covered) > 0.8
    assert Finding.from_json(json.loads(json.dumps(found[0].as_json()))) == found[0]


def test_a_model_that_got_worse_is_a_breach_from_that_week_on(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(2), 140, worse_from=112)
    found = replayed(tmp_path, config(tmp_path, rows, 84, false_alarms={"at_most": 0.01}))
    bad = (START + pd.Timedelta(days=112)).timestamp()
    for each in found:
        after = each.window.start >= bad
        if each.statistic != "f1":  # which of chance labels are hit counts for less
            assert each.verdict is (Verdict.BREACHED if after else Verdict.OK), (each.statistic, each.window)
    assert sum(each.verdict is Verdict.BREACHED for each in found) >= 12


def test_a_loss_too_small_to_matter_is_told_as_such(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(3), 140, worse_from=84)
    found = replayed(tmp_path, config(tmp_path, rows, 84, material={"accuracy": 0.5, "log_loss": "500%"}))
    held = [each for each in found if each.statistic in ("accuracy", "log_loss") and not each.provisional]
    assert {(each.verdict, each.reason) for each in held} == {(Verdict.OK, "significant_but_immaterial")}
    assert {each.verdict for each in found if each.statistic == "roc_auc"} == {Verdict.BREACHED}


def test_where_to_decide_and_what_it_costs_change_the_decisions(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(4), 112)
    window = rows[(rows.timestamp >= START + pd.Timedelta(days=84)) & (rows.timestamp < START + pd.Timedelta(days=91))]
    for decision, threshold in (({"threshold": 0.2}, 0.2), ({"costs": [[0, 1], [4, 0]]}, 0.2)):
        found = replayed(tmp_path, config(tmp_path, rows, 84, metrics=["recall"], decision=decision))
        first = min((each for each in found if not each.provisional), key=lambda each: each.window.start)
        assert first.value == pytest.approx(sk.recall_score(window.label, window.probability >= threshold))


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        ({"material": {"accuracy": "-3%"}}, "at least 0"),
        ({"material": {"recall": 0.1}}, "expected one of the metrics"),
        ({"decision": {"threshold": 0.2, "costs": [[0, 1], [1, 0]]}}, "either threshold or costs"),
        ({"decision": {"costs": [[1, 1], [1, 0]]}}, "false positive"),
        ({"metrics": ["mae"]}, "regression"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, check: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        model(tmp_path, "binary", checks={"performance": check})


def test_a_positive_class_that_never_occurs_is_no_data_with_the_classes_there_are(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(5), 98)
    rows[["label", "prediction"]] = rows[["label", "prediction"]].replace({0: "no", 1: "yes"})
    watched = config(tmp_path, rows, 84)
    found = replayed(tmp_path, watched)
    assert {(each.verdict, each.reason) for each in found if each.statistic != "accuracy"} == {
        (Verdict.NO_DATA, "expected the positive class '1' (positive), got no, yes")
    }
    assert {each.verdict for each in found if each.statistic == "accuracy"} == {Verdict.OK}, (
        "it needs no positive class"
    )
    found = replayed(tmp_path, {**watched, "positive": "yes"})
    assert Verdict.NO_DATA not in {each.verdict for each in found if not each.provisional}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elec2", "bikes"])
def test_months_of_real_data_equal_scikit_learn_once_their_labels_have_matured(
    name: str, tmp_path: Path, shared_data: Path
) -> None:
    folder = shared_data / ("elec2" if name == "elec2" else "bike_sharing") / "prediction_log"
    binary = name == "elec2"
    asked = ["accuracy", "f1", "roc_auc", "log_loss", "brier"] if binary else ["mae", "rmse", "bias", "r2", "wape"]
    log = {"type": "files", "path": str(folder / "predictions.parquet")}
    features = {"period": {}} if binary else {"temp": {}}
    found = replayed(tmp_path, {
        "name": "real", "task": "binary" if binary else "regression", "features": features,
        "reference": {**log, "where": "split = 'reference'"}, "predictions": {**log, "where": "split = 'production'"},
        "labels": {"type": "files", "path": str(folder / "labels.parquet"), "mature": "0s"},
        "windows": {"calendar": "month", "lateness": "60d"},
        "checks": {"performance": {"metrics": asked}},
    })  # fmt: skip
    rows = pd.read_parquet(folder / "predictions.parquet").merge(
        pd.read_parquet(folder / "labels.parquet"), on="event_id"
    )
    rows = rows.drop_duplicates("event_id")
    rows["at"] = pd.to_datetime(rows.timestamp, utc=True)
    compared = 0
    for each in found:
        if each.provisional or each.value is None:
            continue
        start, end = (pd.Timestamp(edge, unit="s", tz="UTC") for edge in (each.window.start, each.window.end))
        window = rows[(rows["at"] >= start) & (rows["at"] < end) & (rows.split == "production")]
        if each.rows != len(window):
            continue  # some labels came later than those that had matured
        compared += 1
        assert each.value == pytest.approx(oracle(each.statistic, window), rel=1e-9), (each.statistic, start)
    assert compared >= 5 * 8
    assert any(each.verdict is Verdict.BREACHED for each in found)


def oracle(name: str, rows: pd.DataFrame) -> float:
    label, said = rows.label, rows.prediction
    if name in ("roc_auc", "log_loss", "brier"):
        scored = {"roc_auc": sk.roc_auc_score, "log_loss": sk.log_loss, "brier": sk.brier_score_loss}
        return float(scored[name](label, rows.probability))
    plain = {
        "accuracy": sk.accuracy_score, "f1": sk.f1_score, "mae": sk.mean_absolute_error, "rmse": sk.root_mean_squared_error,
        "r2": sk.r2_score, "bias": lambda a, b: float(np.mean(b - a)),
        "wape": lambda a, b: float(np.abs(b - a).sum() / np.abs(a).sum()),
    }  # fmt: skip
    found = float(plain[name](label, said))
    assert math.isfinite(found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elec2", "bikes"])
def test_the_way_to_a_month_s_final_value_is_marked_and_only_ever_rests_on_more_labels(
    name: str, tmp_path: Path, shared_data: Path
) -> None:
    folder = shared_data / ("elec2" if name == "elec2" else "bike_sharing") / "prediction_log"
    metric = "accuracy" if name == "elec2" else "mae"
    log = {"type": "files", "path": str(folder / "predictions.parquet")}
    found = replayed(tmp_path, {
        "name": "real", "task": "binary" if name == "elec2" else "regression",
        "features": {"period": {}} if name == "elec2" else {"temp": {}},
        "reference": {**log, "where": "split = 'reference'"}, "predictions": {**log, "where": "split = 'production'"},
        "labels": {"type": "files", "path": str(folder / "labels.parquet"), "mature": "12d"},
        "windows": {"calendar": "month", "lateness": "1h"},
        "checks": {"performance": {"metrics": [metric]}},
    })  # fmt: skip
    rows = pd.read_parquet(folder / "predictions.parquet").merge(
        pd.read_parquet(folder / "labels.parquet"), on="event_id"
    )
    rows = rows[rows.split == "production"].drop_duplicates("event_id")
    at, came = (pd.to_datetime(rows[each], utc=True) for each in ("timestamp", "label_timestamp"))
    months: dict[float, list[Finding]] = {}
    for each in found:
        months.setdefault(each.window.start, []).append(each)
    final = 0
    for said in months.values():
        coverage = [each.rows for each in said]
        assert coverage == sorted(coverage)
        assert [each.provisional for each in said[:-1]] == [True] * (len(said) - 1)
        last = said[-1]
        if last.provisional or last.value is None:
            continue
        final += 1
        start, end = (pd.Timestamp(edge, unit="s", tz="UTC") for edge in (last.window.start, last.window.end))
        known = rows[(at >= start) & (at < end) & (came <= end + pd.Timedelta(days=12))]
        assert last.rows == len(known)
        assert last.value == pytest.approx(oracle(metric, known), rel=1e-9)
    assert final >= 15
