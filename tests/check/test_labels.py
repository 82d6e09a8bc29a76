"""Whether the labels come: for how many predictions, how late, and for all kinds of them alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from monitor.backtest import Outcome, backtest
from monitor.config import load
from monitor.records import Finding, Verdict

DAY = 86400.0
START = pd.Timestamp("2026-01-01", tz="UTC")
ROWS = 700  # a week of a hundred a day


def replayed(
    folder: Path, labelled: Any, *, lag: Any = 3600.0, segments: Any = (), checks: Any = None, **labels: Any
) -> Outcome:
    """One week of predictions of which `labelled` have a label, `lag` seconds after the event."""
    times = START + pd.to_timedelta(np.arange(ROWS) * DAY / 100, unit="s")
    rows = pd.DataFrame({
        "event_id": [f"e{place}" for place in range(ROWS)], "timestamp": times, "prediction": np.arange(ROWS) % 2,
        "region": np.where(np.arange(ROWS) % 4 < 2, "north", "south"), "model_version": "1",
    })  # fmt: skip
    came = times + pd.to_timedelta(np.broadcast_to(lag, ROWS), unit="s")
    truth = pd.DataFrame({"event_id": rows.event_id, "label": 1, "label_timestamp": came})
    rows.to_parquet(folder / "rows.parquet", index=False)
    truth[np.broadcast_to(labelled, ROWS)].to_parquet(folder / "labels.parquet", index=False)
    model = {
        "name": "demand", "task": "binary", "segments": list(segments),
        "predictions": {"type": "files", "path": "rows.parquet"},
        "labels": {"type": "files", "path": "labels.parquet", "mature": "2d", **labels},
        "windows": {"size": "7d", "every": "7d", "lateness": "1h"},
        "checks": checks or {"labels": {}},
    }  # fmt: skip
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [model]}]}))
    end = (START + pd.Timedelta(days=11)).timestamp()
    return backtest(load(path), end=end, tell=lambda _: None)


def last(outcome: Outcome, statistic: str) -> Finding:
    return [each for each in outcome.findings if each.statistic == statistic and each.version == "1"][-1]


def test_coverage_and_lag_are_told_once_labels_have_matured(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, np.arange(ROWS) % 10 < 7)
    coverage, lag = last(outcome, "label_coverage"), last(outcome, "label_lag")
    assert (coverage.verdict, coverage.value, coverage.rows) == (Verdict.OK, 0.7, ROWS)
    assert (lag.verdict, lag.value, lag.threshold, lag.parts) == (Verdict.OK, 3600.0, 2 * DAY, {"median": 3600.0})
    before = [each for each in outcome.findings if each.provisional and each.version == "1"]
    assert {(each.verdict, each.reason) for each in before if each.statistic != "label_selection"} == {
        (Verdict.NO_DATA, "the labels of the window have not matured")
    }


def test_too_few_and_too_late_labels_have_alerts_of_their_own(tmp_path: Path) -> None:
    lag = np.where(np.arange(ROWS) % 10 == 0, 2.5 * DAY, 3600.0)
    outcome = replayed(tmp_path, np.arange(ROWS) % 10 < 4, lag=lag)
    names = {each.as_json()["name"] for each in outcome.alerts}
    assert names == {"ModelLabelCoverageLow", "ModelLabelsLate"}
    # Those that take longer than labels have had by then are not counted.
    assert last(outcome, "label_coverage").value == pytest.approx(0.4, abs=0.01)


def test_no_label_at_all_is_a_coverage_of_nothing_and_no_lag(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, np.arange(ROWS) < 1, checks={"labels": {"min_rows": 10}})
    assert last(outcome, "label_coverage").verdict is Verdict.BREACHED
    assert last(outcome, "label_lag").verdict is Verdict.NO_DATA


def test_segments_that_labels_cover_unlike_others_are_pointed_out(tmp_path: Path) -> None:
    easy = np.arange(ROWS) % 4 < 2
    checks = {"labels": {}, "performance": {"thresholds": {"accuracy": 0.1}}}
    outcome = replayed(tmp_path, easy | (np.arange(ROWS) % 10 == 3), segments=["region"], checks=checks)
    found = last(outcome, "label_selection")
    assert (found.verdict, found.segment) == (Verdict.BREACHED, "region")
    south = float(np.mean((np.arange(ROWS) % 10 == 3)[~easy]))
    assert found.parts == pytest.approx({"region=north": 1.0, "region=south": south})
    assert found.value == pytest.approx(1 - south)
    said = [each.caution for each in outcome.findings if each.statistic == "accuracy" and each.value is not None]
    assert said
    assert set(said) == {f"labels cover 100% of region=north and {south:.0%} of region=south"}


def test_what_is_labelled_at_random_is_not_called_selected(tmp_path: Path) -> None:
    labelled = np.random.default_rng(1).random(ROWS) < 0.6
    checks = {"labels": {}, "performance": {"thresholds": {"accuracy": 0.1}}}
    outcome = replayed(tmp_path, labelled, segments=["region"], checks=checks)
    assert last(outcome, "label_selection").verdict is Verdict.OK
    assert {each.caution for each in outcome.findings} == {None}
    # One kind of row only is nothing to compare.
    outcome = replayed(tmp_path, labelled, segments=["model_version"], checks=checks)
    assert last(outcome, "label_selection").verdict is Verdict.NO_DATA
