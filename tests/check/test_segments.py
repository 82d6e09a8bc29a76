"""Performance by segment, by class and of ranked lists: each value equals scikit-learn's on the rows it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn import metrics as sk

from monitor.backtest import backtest
from monitor.check._segments import MOST
from monitor.config import ConfigError, load
from monitor.records import Finding, Verdict
from tests.check.judging import model

DAY = 86400.0
START = pd.Timestamp("2026-01-01", tz="UTC")  # a Thursday, as the epoch was: weeks begin there
PER_DAY = 400


def made(rng: np.random.Generator, days: int, *, classes: int = 2) -> pd.DataFrame:
    """Rows of two regions and two plans; in the south the model knows less."""
    number = days * PER_DAY
    times = START + pd.to_timedelta(np.arange(number) * DAY / PER_DAY, unit="s")
    region, plan = rng.choice(["north", "south"], number), rng.integers(0, 2, number)
    label = rng.integers(0, classes, number)
    wrong = rng.random(number) < np.where(region == "south", 0.4, 0.1)
    said = np.where(wrong, rng.integers(0, classes, number), label)
    return pd.DataFrame({
        "event_id": [f"e{place}" for place in range(number)], "timestamp": times, "prediction": said, "model_version": "1",
        "region": region, "plan": plan, "label": label, "label_timestamp": times + pd.Timedelta("1h"),
    })  # fmt: skip


def config(folder: Path, rows: pd.DataFrame, days: int, **parts: Any) -> dict[str, Any]:
    end = START + pd.Timedelta(days=days)
    files = {
        "reference": rows[rows.timestamp < end],
        "production": rows[rows.timestamp >= end].drop(columns=["label", "label_timestamp"]),
        "labels": rows.loc[rows.timestamp >= end, ["event_id", "label", "label_timestamp"]],
    }
    for name, held in files.items():
        held.to_parquet(folder / f"{name}.parquet", index=False)
    model = {
        "name": "demand",
        "task": "binary",
        "segments": ["region", ["region", "plan"]],
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "production.parquet"},
        "labels": {"type": "files", "path": "labels.parquet", "mature": "0s"},
        "windows": {"size": "7d", "every": "7d", "lateness": "12h"},
        "checks": {"performance": {"metrics": ["accuracy"], "false_alarms": {"at_most": 0.01}}},
    }
    return {**model, **parts}


def replayed(folder: Path, watched: dict[str, Any]) -> list[Finding]:
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [watched]}]}))
    found = backtest(load(path), tell=lambda _: None).findings
    return [each for each in found if not each.provisional]


def window_of(rows: pd.DataFrame, finding: Finding) -> pd.DataFrame:
    seconds = rows.timestamp.astype("int64") / 1e9 if rows.timestamp.dtype == "datetime64[ns, UTC]" else None
    times = seconds if seconds is not None else rows.timestamp.map(pd.Timestamp.timestamp)
    return rows[(times >= finding.window.start) & (times < finding.window.end)]


def segment_of(rows: pd.DataFrame, segment: str | None) -> pd.DataFrame:
    for part in segment.split(",") if segment else ():
        name, _, value = part.partition("=")
        rows = rows[rows[name].astype(str) == value]
    return rows


def test_every_segment_equals_scikit_learn_on_its_rows_and_is_held_against_its_own_reference(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(1), 70)
    found = replayed(tmp_path, config(tmp_path, rows, 56))
    names = {None, "region=north", "region=south"} | {
        f"region={r},plan={p}" for r in ("north", "south") for p in (0, 1)
    }
    assert {each.segment for each in found} == names
    reference = rows[rows.timestamp < START + pd.Timedelta(days=56)]
    for each in found:
        here, before = (segment_of(held, each.segment) for held in (window_of(rows, each), reference))
        assert each.value == pytest.approx(sk.accuracy_score(here.label, here.prediction)), each.segment
        assert each.baseline == pytest.approx(sk.accuracy_score(before.label, before.prediction)), each.segment
        assert (each.rows, each.reference_rows) == (len(here), len(before))
        assert each.verdict is Verdict.OK


def test_a_segment_that_got_worse_is_a_breach_of_its_own(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(2), 70)
    bad = (rows.timestamp >= START + pd.Timedelta(days=56)) & (rows.region == "north") & (rows.plan == 1)
    rows.loc[bad, "prediction"] = 1 - rows.loc[bad, "label"]
    found = replayed(tmp_path, config(tmp_path, rows, 56))
    breached = {each.segment for each in found if each.verdict is Verdict.BREACHED}
    assert {"region=north", "region=north,plan=1"} <= breached
    assert not breached & {"region=south", "region=south,plan=0", "region=south,plan=1", "region=north,plan=0"}


def test_a_segment_that_the_reference_lacks_has_nothing_to_compare_with(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(3), 70)
    rows.loc[(rows.timestamp >= START + pd.Timedelta(days=56)) & (rows.region == "south"), "region"] = "west"
    found = {each.segment: each for each in replayed(tmp_path, config(tmp_path, rows, 56, segments=["region"]))}
    assert found["region=north"].verdict is Verdict.OK
    assert found["region=west"].verdict is Verdict.NO_DATA
    assert found["region=west"].reason == "nothing to compare with: the reference has no such segment"


def test_there_are_never_more_segments_than_the_limit_and_a_missing_value_is_in_none(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(4), 70)
    rows["region"] = np.random.default_rng(5).integers(0, 2000, len(rows)).astype(str)
    rows.loc[::2, "region"] = None
    check = {"performance": {"metrics": ["accuracy"], "min_labels": 1, "thresholds": {"accuracy": 0.0}}}
    watched = config(tmp_path, rows, 56, segments=["region"], checks=check)
    del watched["reference"]
    found = replayed(tmp_path, watched)
    by_window: dict[float, int] = {}
    for each in found:
        by_window[each.window.start] = by_window.get(each.window.start, 0) + 1
        assert each.segment != "region=None"
    assert set(by_window.values()) == {MOST + 1}


def test_segments_are_no_features_unless_they_are_declared(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(6), 63)
    rows["temp"] = np.random.default_rng(7).random(len(rows))
    for declared, expected in (({}, {"temp"}), ({"features": {"temp": {}, "plan": {}}}, {"temp", "plan"})):
        watched = config(tmp_path, rows, 56, checks={"quality": {}}, **declared)
        features = {each.feature for each in replayed(tmp_path, watched)}
        assert features - {None} == expected


@pytest.mark.parametrize("segments", [[["region"]], [[]], "region", [["region", 1]]])
def test_segments_that_make_no_sense_are_refused(tmp_path: Path, segments: Any) -> None:
    with pytest.raises(ConfigError, match="segments"):
        model(tmp_path, segments=segments)


def test_classes_are_told_one_by_one_and_the_confusion_matrix_is_scikit_learns(tmp_path: Path) -> None:
    rows = made(np.random.default_rng(8), 63, classes=4)
    rows[["label", "prediction"]] = rows[["label", "prediction"]].astype(str).map(lambda name: f"class/{name}|")
    check = {"metrics": ["recall", "precision", "f1", "confusion_matrix"]}
    found = replayed(
        tmp_path, config(tmp_path, rows, 56, task="multiclass", segments=[], checks={"performance": check})
    )
    names = sorted(rows.label.unique())
    assert {each.statistic for each in found} == set(check["metrics"])
    for each in found:
        here = window_of(rows, each)
        if each.statistic == "confusion_matrix":
            table = sk.confusion_matrix(here.label, here.prediction, labels=names)
            assert {tuple(json.loads(key)): rows for key, rows in each.parts.items()} == {
                (true, said): table[i, j] for i, true in enumerate(names) for j, said in enumerate(names)
            }
            assert each.value == pytest.approx(1 - np.trace(table) / len(here))
            continue
        scores = {"recall": sk.recall_score, "precision": sk.precision_score, "f1": sk.f1_score}[each.statistic]
        expected = scores(here.label, here.prediction, labels=names, average=None)
        assert each.parts == pytest.approx(dict(zip(names, expected, strict=True)))
        assert each.value == pytest.approx(np.mean(expected))


# --- ranking ----------------------------------------------------------------------------------------------------------


def ranked(rng: np.random.Generator, days: int, worse_from: int = 10**9) -> pd.DataFrame:
    """Thirty queries a day of eight items each; the scores follow the relevance until they do not."""
    lists, items = days * 30, 8
    number = lists * items
    times = START + pd.to_timedelta(np.repeat(np.arange(lists), items) * DAY / 30, unit="s")
    relevance = rng.integers(0, 4, number).astype(float)
    noise = np.where(np.repeat(np.arange(lists), items) // 30 >= worse_from, 50.0, 1.0)
    return pd.DataFrame({
        "event_id": [f"e{place}" for place in range(number)], "timestamp": times, "model_version": "1",
        "query_id": [f"q{place // items}" for place in range(number)], "prediction": relevance + noise * rng.normal(size=number),
        "label": relevance, "label_timestamp": times,
    })  # fmt: skip


def test_ranked_lists_equal_scikit_learn_and_a_worse_order_is_a_breach(tmp_path: Path) -> None:
    rows = ranked(np.random.default_rng(9), 77, worse_from=70)
    check = {"metrics": ["ndcg@3", "ndcg", "mrr", "hit_rate@1"], "false_alarms": {"at_most": 0.01}}
    found = replayed(
        tmp_path, config(tmp_path, rows, 56, task="ranking", segments=[], checks={"performance": check, "quality": {}})
    )
    performance = [each for each in found if each.check == "performance"]
    assert {each.statistic for each in performance} == set(check["metrics"])
    bad = (START + pd.Timedelta(days=70)).timestamp()
    for each in performance:
        assert each.verdict is (Verdict.BREACHED if each.window.start >= bad else Verdict.OK), (
            each.statistic,
            each.window,
        )
        if each.statistic.startswith("ndcg"):
            here = window_of(rows, each).sort_values("query_id", kind="stable")
            shape = (-1, 8)
            depth = 3 if each.statistic == "ndcg@3" else None
            true, score = here.label.to_numpy().reshape(shape), here.prediction.to_numpy().reshape(shape)
            kept = true.any(axis=1)
            assert each.value == pytest.approx(sk.ndcg_score(true[kept], score[kept], k=depth))
    # The list's name is no feature.
    assert "query_id" not in {each.feature for each in found}


@pytest.mark.parametrize("metric", ["ndcg@0", "ndcg@x", "mae@3", "ndcg@-1"])
def test_a_depth_that_makes_no_sense_is_refused(tmp_path: Path, metric: str) -> None:
    with pytest.raises(ConfigError, match="metrics"):
        model(tmp_path, "ranking", checks={"performance": {"metrics": [metric]}})


def test_items_without_a_list_say_what_is_missing(tmp_path: Path) -> None:
    rows = ranked(np.random.default_rng(10), 63).drop(columns="query_id")
    check = {"performance": {"metrics": ["ndcg@3"]}}
    found = replayed(tmp_path, config(tmp_path, rows, 56, task="ranking", segments=[], checks=check))
    assert {(each.verdict, each.reason) for each in found} == {
        (Verdict.NO_DATA, "expected a list (query_id) and a relevance of at least 0, got none")
    }
