"""Labels are late: what is said of a window is provisional, is revised as they come, and opens and closes alerts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn import metrics as sk

from monitor.backtest import Outcome, backtest
from monitor.config import load
from monitor.records import Finding, Verdict

DAY = 86400.0
START = pd.Timestamp("2026-01-01", tz="UTC")
MONTHS = 3


def replayed(
    folder: Path,
    wrong: Callable[[pd.DataFrame], np.ndarray],
    late: Callable[[pd.DataFrame], np.ndarray],
    *,
    windows: dict[str, str] | None = None,
    mature: str = "9d",
    min_labels: int = 50,
) -> Outcome:
    """Months of forty predictions a day, judged by the calendar: which are wrong, and how many days their labels take."""
    number = 90 * 40
    times = START + pd.to_timedelta(np.arange(number) * DAY / 40, unit="s")
    rows = pd.DataFrame({
        "event_id": [f"e{place}" for place in range(number)], "timestamp": times, "model_version": "1",
        "prediction": np.ones(number, dtype=int),
    })  # fmt: skip
    truth = pd.DataFrame({
        "event_id": rows.event_id, "label": np.where(wrong(rows), 0, 1),
        "label_timestamp": times + pd.to_timedelta(late(rows), unit="D"),
    })  # fmt: skip
    rows.to_parquet(folder / "rows.parquet", index=False)
    truth.to_parquet(folder / "labels.parquet", index=False)
    model = {
        "name": "demand", "task": "binary",
        "predictions": {"type": "files", "path": "rows.parquet"},
        "labels": {"type": "files", "path": "labels.parquet", "mature": mature},
        "windows": windows or {"calendar": "month", "lateness": "1h"},
        "checks": {"performance": {"metrics": ["accuracy"], "thresholds": {"accuracy": 0.8}, "min_labels": min_labels}},
    }  # fmt: skip
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [model]}]}))
    return backtest(load(path), end=(START + pd.Timedelta(days=105)).timestamp(), tell=lambda _: None)


def of_month(outcome: Outcome, month: int) -> list[Finding]:
    start = (START + pd.DateOffset(months=month - 1)).timestamp()
    return [each for each in outcome.findings if each.window.start == start and each.version == "1"]


def alerts(outcome: Outcome) -> list[tuple[str, str, str | None]]:
    return [
        (each["name"], each["started_at"], each["resolved_at"]) for each in (each.as_json() for each in outcome.alerts)
    ]


def test_what_is_said_of_a_window_follows_its_labels_until_they_have_matured(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    outcome = replayed(tmp_path, lambda rows: rng.random(len(rows)) < 0.1, lambda rows: rng.uniform(0, 8, len(rows)))
    for month, days in ((1, 31), (2, 28), (3, 31)):
        said = of_month(outcome, month)
        # When it is due, a third of the time on, and once its labels have matured.
        assert [each.provisional for each in said] == [True, True, False]
        counts = [each.rows for each in said]
        assert counts == sorted(counts), "coverage only grows"
        assert counts[0] < counts[1] < counts[2] == days * 40
    rows = pd.read_parquet(tmp_path / "rows.parquet").merge(pd.read_parquet(tmp_path / "labels.parquet"))
    for month in (1, 2, 3):
        here = rows[rows.timestamp.dt.month == month]
        assert of_month(outcome, month)[-1].value == pytest.approx(sk.accuracy_score(here.label, here.prediction))


def test_a_late_label_opens_an_alert(tmp_path: Path) -> None:
    """In the last week of February all are wrong, and these labels take eight days; until they come, the month looks well."""

    def bad(rows: pd.DataFrame) -> np.ndarray:
        return ((rows.timestamp.dt.month == 2) & (rows.timestamp.dt.day > 21)).to_numpy()

    outcome = replayed(tmp_path, bad, lambda rows: np.where(bad(rows), 8.0, 0.01))
    assert [each.verdict for each in of_month(outcome, 2)] == [Verdict.OK, Verdict.OK, Verdict.BREACHED]
    assert alerts(outcome) == [("ModelPerformanceDegraded", "2026-03-10T00:00:00Z", "2026-04-01T01:00:00Z")]


def test_a_late_label_closes_an_alert(tmp_path: Path) -> None:
    """In February a tenth is wrong, and these labels come first; with all the others, the month is well."""

    def bad(rows: pd.DataFrame) -> np.ndarray:
        return ((rows.timestamp.dt.month == 2) & (np.arange(len(rows)) % 10 == 0)).to_numpy()

    def late(rows: pd.DataFrame) -> np.ndarray:
        days_left = 29 - rows.timestamp.dt.day - rows.timestamp.dt.hour / 24
        waiting = (rows.timestamp.dt.month == 2) & ~bad(rows) & (np.arange(len(rows)) % 10 != 1)
        return np.where(waiting, days_left + 5.0, 0.01)

    outcome = replayed(tmp_path, bad, late)
    # What has not changed since the look before is not told again.
    assert [each.verdict for each in of_month(outcome, 2)] == [Verdict.BREACHED, Verdict.OK]
    assert alerts(outcome) == [("ModelPerformanceDegraded", "2026-03-01T01:00:00Z", "2026-03-10T00:00:00Z")]


def test_a_bad_day_whose_labels_are_prompt_alerts_once_though_its_window_is_looked_at_again(tmp_path: Path) -> None:
    def bad(rows: pd.DataFrame) -> np.ndarray:
        return ((rows.timestamp.dt.month == 1) & rows.timestamp.dt.day.isin([10, 11])).to_numpy()

    outcome = replayed(tmp_path, bad, lambda rows: np.full(len(rows), 0.01), windows={"size": "1d", "lateness": "1h"},
                       mature="30d", min_labels=20)  # fmt: skip
    assert alerts(outcome) == [("ModelPerformanceDegraded", "2026-01-11T01:00:00Z", "2026-01-13T01:00:00Z")]


def test_findings_that_are_revised_are_json_as_all_others(tmp_path: Path) -> None:
    outcome = replayed(tmp_path, lambda rows: np.zeros(len(rows), bool), lambda rows: np.full(len(rows), 2.0))
    for each in outcome.findings:
        assert Finding.from_json(json.loads(json.dumps(each.as_json(), allow_nan=False))) == each
