"""On real data: `check` agrees with scikit-learn and with a PSI written here, and pushed data with the same data in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error, mean_squared_error

from monitor import cli
from tests.e2e.daemon import ROOT, Daemon, command, daemon, eventually, write_config

LONG = "20000d"
FINDING_KEYS = {
    "app", "model", "version", "reference_version", "check", "statistic", "feature", "segment", "value", "threshold",
    "verdict", "reason", "rows", "reference_rows", "provisional", "window",
}  # fmt: skip


@dataclass(frozen=True)
class DataSet:
    """One of the two prediction logs, and what the model in it is."""

    folder: str
    task: str
    metrics: tuple[str, ...]
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    declared: bool

    @property
    def outcomes(self) -> dict[str, str]:
        """What the model says, by the name that it has in findings."""
        return {"prediction": "prediction"} | ({"score": "probability"} if self.task == "binary" else {})

    def predictions(self, data: Path) -> pd.DataFrame:
        log = pd.read_parquet(data / self.folder / "prediction_log" / "predictions.parquet")
        return log.assign(month=log.timestamp.dt.strftime("%Y-%m"))

    def labels(self, data: Path) -> pd.DataFrame:
        return pd.read_parquet(data / self.folder / "prediction_log" / "labels.parquet")

    def model(self, data: Path, **changes: Any) -> dict[str, Any]:
        log = str(data / self.folder / "prediction_log" / "predictions.parquet")
        kinds = {name: {"type": "categorical"} for name in self.categorical} | {name: {} for name in self.numeric}
        labels = str(data / self.folder / "prediction_log" / "labels.parquet")
        model = {
            "name": "model",
            "task": self.task,
            **({"features": kinds} if self.declared else {}),
            "reference": {"type": "files", "path": log, "where": "split = 'reference'"},
            "predictions": {"type": "files", "path": log, "where": "split = 'production'"},
            "labels": {"type": "files", "path": labels},
            "windows": {"calendar": "month", "lateness": "0s"},
            "checks": {
                "drift": {"statistics": ONLY_PSI, "thresholds": {"psi": 0.2}, "min_rows": 1},
                "performance": {"metrics": list(self.metrics), "min_labels": 1},
                "quality": {"min_rows": 1},
            },
        }
        return {**model, **changes}


ONLY_PSI = {"numeric": ["psi"], "categorical": ["psi"]}
BIKES = DataSet(
    "bike_sharing",
    "regression",
    ("mae", "rmse"),
    ("season", "holiday", "workingday", "weathersit"),
    ("weekday", "hr", "temp", "atemp", "hum", "windspeed"),
    declared=True,
)
ELEC2 = DataSet(
    "elec2",
    "binary",
    ("accuracy",),
    (),
    ("day", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer"),
    declared=False,
)
both = pytest.mark.parametrize("data_set", [BIKES, ELEC2], ids=["bikes", "elec2"])


def configured(folder: Path, model: dict[str, Any]) -> Path:
    return write_config(folder, store={"retention": LONG, "profiles": LONG}, apps=[{"name": "real", "models": [model]}])


def month_after(month: str) -> str:
    return (pd.Period(month) + 1).strftime("%Y-%m-01T00:00:00Z")


def check(config: Path, month: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The findings of one month, as `anchorwatch check` gives them."""
    code = cli.main(["check", "-c", str(config), "--at", month_after(month), "--format", "json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    verdicts = {finding["verdict"] for finding in findings}
    assert "error" not in verdicts, findings
    assert code == int("breached" in verdicts)
    first = pd.Period(month).strftime("%Y-%m-01T00:00:00Z")
    assert {(f["window"]["start"], f["window"]["end"]) for f in findings} == {(first, month_after(month))}
    return findings


def values(findings: list[dict[str, Any]], which: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(f["feature"], f["statistic"]): f for f in findings if f["check"] == which}


def production_months(log: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield from log[log.split == "production"].groupby("month")


def scores(task: str, joined: pd.DataFrame) -> dict[str, float]:
    if task == "regression":
        squared = mean_squared_error(joined.label, joined.prediction)
        return {"mae": mean_absolute_error(joined.label, joined.prediction), "rmse": squared**0.5}
    return {"accuracy": accuracy_score(joined.label, joined.prediction)}


def psi(reference: pd.Series, current: pd.Series, *, categorical: bool) -> float:
    """The population stability index on the deciles, or the categories, of the reference."""
    if categorical:
        known = sorted(reference.dropna().unique())
        counts = [
            [*(int((side == name).sum()) for name in known), int((side.notna() & ~side.isin(known)).sum())]
            for side in (reference, current)
        ]
    else:
        present = reference.dropna().astype(float)
        edges = np.unique(np.quantile(present, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]))
        bounds = [-np.inf, *edges, np.inf]
        counts = [
            [*pd.cut(side.dropna().astype(float), bounds, right=True).value_counts(sort=False), 0]
            for side in (reference, current)
        ]
    here = [[*found, int(side.isna().sum())] for found, side in zip(counts, (reference, current), strict=True)]
    expected, actual = (np.maximum(np.array(side, dtype=float) / sum(side), 1e-4) for side in here)
    return float(((actual - expected) * np.log(actual / expected)).sum())


# --- against scikit-learn and a PSI of our own ------------------------------------------------------------------------


@pytest.mark.slow
@both
def test_every_month_equals_scikit_learn_and_an_independent_psi(
    data_set: DataSet, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = configured(tmp_path, data_set.model(shared_data))
    log, labels = data_set.predictions(shared_data), data_set.labels(shared_data)
    reference = log[log.split == "reference"]
    months = 0
    for month, rows in production_months(log):
        findings = check(config, month, capsys)
        joined = rows.merge(labels, on="event_id", validate="one_to_one")
        performance = values(findings, "performance")
        expected = scores(data_set.task, joined)
        assert {statistic for _, statistic in performance} == set(expected)
        for name, value in expected.items():
            assert performance[None, name]["value"] == pytest.approx(value, abs=1e-9, rel=0), (month, name)
            assert performance[None, name]["rows"] == len(joined)
        drift = values(findings, "drift")
        sides = {name: (reference[name], rows[name]) for name in (*data_set.categorical, *data_set.numeric)}
        sides |= {name: (reference[column], rows[column]) for name, column in data_set.outcomes.items()}
        sides["label"] = (reference.merge(labels, on="event_id").label, joined.label)
        assert {feature for feature, _ in drift} == {None, *sides}
        for name, (before, after) in sides.items():
            finding = drift[name, "psi"]
            outcome = name in ("prediction", "label") and data_set.task == "binary"
            value = psi(before, after, categorical=outcome or name in data_set.categorical)
            assert finding["value"] == pytest.approx(value, abs=1e-12, rel=1e-12), (month, name)
            assert finding["rows"] == len(after)
            assert finding["verdict"] == ("breached" if value > 0.2 else "ok")
            if name != "label":
                assert finding["reference_rows"] == len(reference)
        drifted = {name for name in sides if drift[name, "psi"]["verdict"] == "breached"}
        features = [*data_set.categorical, *data_set.numeric]
        share = len(drifted & set(features)) / len(features)
        assert drift[None, "drift_share"]["value"] == pytest.approx(share)
        months += 1
    assert months >= 22


@pytest.mark.slow
@both
def test_with_every_label_the_published_figures_of_each_month_come_out(
    data_set: DataSet, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if data_set is BIKES:
        whole = pd.read_parquet(shared_data / "bike_sharing" / "bike_hour.parquet")
        names, truth = "bike-" + whole.instant.astype(str).str.zfill(6), whole.cnt
    else:
        whole = pd.read_parquet(shared_data / "elec2" / "elec2.parquet")
        names, truth = "elec2-" + whole.row.astype(str).str.zfill(6), whole.label
    pd.DataFrame({"event_id": names, "label": truth}).to_parquet(tmp_path / "labels.parquet")
    model = data_set.model(shared_data, labels={"type": "files", "path": "labels.parquet"})
    model["checks"] = {"performance": model["checks"]["performance"]}
    config = configured(tmp_path, model)
    path = shared_data / data_set.folder / "prediction_log" / "expected_by_month.json"
    expected = json.loads(path.read_text())
    del expected["reference"]
    for month, figures in expected.items():
        found = values(check(config, month, capsys), "performance")
        for name in data_set.metrics:
            assert found[None, name]["value"] == pytest.approx(figures[name], abs=5e-5, rel=0), (month, name)
            assert found[None, name]["rows"] == figures["n"]


# --- what a person or a script sees -----------------------------------------------------------------------------------


def test_a_finding_in_json_has_every_promised_key(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = configured(tmp_path, BIKES.model(shared_data))
    findings = check(config, "2011-02", capsys)
    assert all(set(finding) >= FINDING_KEYS for finding in findings)
    assert {finding["segment"] for finding in findings} == {None}
    assert {finding["version"] for finding in findings} == {"bike-rf-2011-01"}
    assert {type(finding["provisional"]) for finding in findings} == {bool}


@pytest.mark.slow
def test_the_command_prints_a_table_that_names_what_drifted_and_exits_1(shared_data: Path, tmp_path: Path):
    config = configured(tmp_path, BIKES.model(shared_data))
    ended = command("check", "-c", config, "--at", "2011-03-01T00:00:00Z")
    assert ended.returncode == 1, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "window 2011-02-01T00:00:00Z to 2011-03-01T00:00:00Z"
    breached = {line.split()[4] for line in lines if " breached " in line}
    log = BIKES.predictions(shared_data)
    reference, current = log[log.split == "reference"], log[log.month == "2011-02"]
    scored = {
        name: psi(reference[name], current[name], categorical=name in BIKES.categorical)
        for name in (*BIKES.categorical, *BIKES.numeric)
    }
    assert breached - {"prediction", "label", "mae", "rmse"} == {name for name, value in scored.items() if value > 0.2}
    assert "temp" in breached
    assert "season" not in breached
    assert "DEBUG" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_exit_codes_tell_fine_from_breached_from_unknown_from_fault(shared_data: Path, tmp_path: Path):
    quality = {"quality": {}}
    fine = configured(tmp_path, BIKES.model(shared_data, checks=quality))
    at = ("--at", "2012-03-01T00:00:00Z")
    output = tmp_path / "result.json"
    ended = command("check", "-c", fine, *at, "--format", "json", "--output", output)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert {f["verdict"] for f in json.loads(output.read_text())["findings"]} == {"ok"}
    # Too little evidence is no breach, is warned about, and is one where that is asked for.
    few = configured(tmp_path, BIKES.model(shared_data, checks={"quality": {"min_rows": 10_000}}))
    ended = command("check", "-c", few, *at)
    assert ended.returncode == 0
    assert "warning: too little evidence" in ended.stderr
    assert command("check", "-c", few, *at, "--strict").returncode == 1
    # A fault outranks a breach.
    gone = BIKES.model(shared_data, name="broken", checks=quality)
    gone["predictions"] = {"type": "files", "path": "nowhere.parquet"}
    breached = BIKES.model(shared_data)
    config = write_config(tmp_path, apps=[{"name": "real", "models": [breached, gone]}])
    ended = command("check", "-c", config, *at)
    assert ended.returncode == 2
    assert "nowhere.parquet" in ended.stdout
    assert " breached " in ended.stdout
    assert command("check", "-c", tmp_path / "absent.yml").returncode == 2
    assert command("check", "-c", fine, "--at", "soon").returncode == 2


# --- pushed -----------------------------------------------------------------------------------------------------------


def as_records(log: pd.DataFrame, features: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "model": "model",
            "event_id": row["event_id"],
            "timestamp": row["timestamp"].isoformat(),
            "model_version": row["model_version"],
            "features": {name: row[name] for name in features},
            "prediction": row["prediction"],
            **({"probability": row["probability"]} if "probability" in row else {}),
        }
        for row in log.to_dict("records")
    ]


def as_labels(labels: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "model": "model",
            "event_id": row["event_id"],
            "label": row["label"],
            "label_timestamp": row["label_timestamp"].isoformat(),
        }
        for row in labels.to_dict("records")
    ]


OF_BASELINE = (
    "verdict",
    "reason",
    "baseline",
    "interval",
    "threshold",
    "material",
    "p_value",
    "calibration",
    "reference_rows",
)


def told(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The findings, of performance without what only a reference with labels can tell."""
    return [
        {key: value for key, value in finding.items() if finding["check"] != "performance" or key not in OF_BASELINE}
        for finding in findings
    ]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]], month: str) -> None:
    """The same findings, in whatever order; values to rounding, all else exactly."""

    def keyed(findings: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
        return {(f["check"], f["statistic"], f["feature"] or "", f["version"] or ""): dict(f) for f in findings}

    left, right = keyed(found), keyed(expected)
    assert set(left) == set(right), month
    assert len(left) == len(found) == len(expected)
    for key, finding in left.items():
        value, other = finding.pop("value"), right[key].pop("value")
        assert value == pytest.approx(other, rel=1e-12, abs=1e-12), (month, key)
        assert finding == right[key], (month, key)


@pytest.mark.slow
@pytest.mark.timeout(300)
@both
def test_pushed_data_gives_the_findings_of_the_files_whatever_its_order_and_whatever_happens_to_the_process(
    data_set: DataSet, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "files").mkdir()
    (tmp_path / "pushed").mkdir()
    from_files = configured(tmp_path / "files", data_set.model(shared_data))
    pushed = data_set.model(
        shared_data, predictions={"type": "ingest"}, labels={"type": "ingest", "mature": "3d", "expire": LONG}
    )
    config = configured(tmp_path / "pushed", pushed)
    log = data_set.predictions(shared_data)
    log = log[log.split == "production"]
    months = sorted(log.month.unique())
    # Every fourth, and those that the daemon itself is asked about: a look at all of them would take minutes.
    looked_at = sorted({*months[::4], months[1], months[3], months[len(months) // 2], months[-1]})
    draw = np.random.default_rng(11)
    records = as_records(log, (*data_set.categorical, *data_set.numeric))
    labels = as_labels(data_set.labels(shared_data))
    records = [records[place] for place in draw.permutation(len(records))]
    labels = [labels[place] for place in draw.permutation(len(labels))]
    late, early = records[:2000], records[2000:]
    # The reference's labels are in the label files, which a model with pushed labels does not read.
    expected = {
        month: told([f for f in check(from_files, month, capsys) if f["feature"] != "label"]) for month in looked_at
    }
    with daemon(config, "--clock-start", month_after(months[2])) as watch:
        watch.push("labels", labels[: len(labels) // 2])  # before the predictions they belong to
        watch.push("predictions", early)
        watch.push("labels", labels[len(labels) // 3 :])  # some of them again
        watch.push("predictions", records[2000:4000])  # again
        assert watch.value("anchorwatch_ingest_duplicates_total", kind="predictions") == 2000
        watch.kill()
        # Its own judgement runs at every start; the clock says on which month. It fills the profiles as it goes.
        watch.start("--clock-start", month_after(months[3]))
        wait_for_findings(watch, months[3])
        watch.push("predictions", late)  # behind what the profiles hold
        for month in looked_at:
            assert_same(told(check(config, month, capsys)), expected[month], month)
        watch.kill()
        for month in (months[1], months[len(months) // 2], months[-1]):
            watch.start("--clock-start", month_after(month))
            assert_same(told(wait_for_findings(watch, month)), expected[month], month)
            watch.kill()
        for month in looked_at:
            assert_same(told(check(config, month, capsys)), expected[month], month)


def wait_for_findings(watch: Daemon, month: str) -> list[dict[str, Any]]:
    """What the daemon itself says of a month, once all of its checks have."""

    end = month_after(month)

    def judged() -> list[dict[str, Any]]:
        findings = watch.json("/v1/findings")["findings"]
        done = {f["check"] for f in findings if f["window"]["end"] == end}
        return findings if done == {"drift", "performance", "quality"} else []

    return eventually(judged, f"the daemon's findings of {month}", 60)


def test_the_checkout_is_what_is_tested():
    assert Path(cli.__file__).is_relative_to(ROOT)
    assert sys.version_info >= (3, 11)
