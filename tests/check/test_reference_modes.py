"""A reference may be a trusted period of production, or trail behind the window; bins stay, only what is expected moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from monitor import cli
from monitor.config import ConfigError, load
from monitor.source._open import open_events
from monitor.source._reference import read_reference
from tests.e2e.daemon import daemon, eventually, free_port

DAY = 86400
START = pd.Timestamp("2026-01-01")


def production(path: Path, days: int = 80, *, rows: int = 200, step_at: int | None = None, slope: float = 0.0) -> None:
    """Predictions of so many days; `x` steps up on a day, or rises by so many standard deviations a day."""
    draw = np.random.default_rng(1)
    number = days * rows
    times = START + pd.to_timedelta(np.arange(number) * (DAY / rows), unit="s")
    x = draw.standard_normal(number) + slope * np.arange(number) / rows
    if step_at is not None:
        x = x + 2.0 * (np.arange(number) >= step_at * rows)
    frame = pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(number)],
            "timestamp": times,
            "x": x,
            "kind": draw.choice(["a", "b"], number),
            "prediction": x + draw.standard_normal(number),
        }
    )
    frame.to_parquet(path)
    frame.assign(label=frame.prediction, label_timestamp=times)[["event_id", "label", "label_timestamp"]].to_parquet(
        path.with_name("labels.parquet")
    )


def configured(folder: Path, reference: dict[str, Any], **model: Any) -> Path:
    section = {
        "name": "m",
        "task": "regression",
        "reference": reference,
        "predictions": {"type": "files", "path": "predictions.parquet"},
        "labels": {"type": "files", "path": "labels.parquet", "mature": "0s"},
        "windows": {"size": "1d", "lateness": "0s"},
        "checks": {"drift": {}},
        **model,
    }
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "a", "models": [section]}]}))
    return path


def check(config: Path, day: int, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str | None, str], dict[str, Any]]:
    """The findings on the day before day `day`."""
    at = (START + pd.Timedelta(days=day)).isoformat() + "Z"
    cli.main(["check", "-c", str(config), "--at", at, "--format", "json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return {(row["feature"], row["statistic"]): row for row in findings}


def test_a_trusted_period_is_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    production(tmp_path / "predictions.parquet", step_at=60)
    config = configured(tmp_path, {"type": "window", "start": "2026-01-01", "end": "2026-02-01"})
    quiet, moved = check(config, 55, capsys), check(config, 70, capsys)
    assert {row["verdict"] for row in quiet.values()} == {"ok"}
    assert {feature for feature, _ in quiet} == {"x", "kind", "prediction", "label", None}
    assert quiet["x", "psi"]["reference_rows"] == 31 * 200
    assert quiet["x", "psi"]["calibration"] == "g_test_by_stretches"
    assert {moved[name, "psi"]["verdict"] for name in ("x", "prediction", "label")} == {"breached"}
    assert moved["kind", "psi"]["verdict"] == "ok"


def test_a_period_that_is_not_over_is_no_reference_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    production(tmp_path / "predictions.parquet", 20)
    config = configured(tmp_path, {"type": "window", "start": "2026-01-01", "end": "2026-02-01"})
    found = check(config, 15, capsys)
    assert {(row["verdict"], row["reason"]) for row in found.values()} == {
        ("no_data", "the period of the reference is not over before 2026-02-01T00:00:00Z")
    }


def test_a_trailing_reference_sees_a_step_and_then_gets_used_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    production(tmp_path / "predictions.parquet", step_at=50)
    config = configured(tmp_path, {"type": "trailing", "size": "20d", "gap": "2d"})
    verdicts = {day: check(config, day, capsys)["x", "psi"]["verdict"] for day in (40, 50, 51, 52, 79)}
    assert verdicts == {40: "ok", 50: "ok", 51: "breached", 52: "breached", 79: "ok"}
    found = check(config, 40, capsys)["x", "psi"]
    assert found["reference_rows"] == 20 * 200


def test_it_accepts_what_is_slow_where_a_fixed_period_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    production(tmp_path / "predictions.parquet", slope=0.01)
    trailing = configured(tmp_path, {"type": "trailing", "size": "20d"})
    assert check(trailing, 79, capsys)["x", "wasserstein"]["verdict"] == "ok"
    fixed = configured(tmp_path, {"type": "window", "start": "2026-01-01", "end": "2026-01-21"})
    assert check(fixed, 79, capsys)["x", "wasserstein"]["verdict"] == "breached"


def test_its_bins_are_drawn_once_and_only_the_counts_move(tmp_path: Path) -> None:
    production(tmp_path / "predictions.parquet", slope=0.02)
    loaded = load(configured(tmp_path, {"type": "trailing", "size": "20d", "match": ["day_of_week"]}))
    app, model = loaded.config.models()[0]
    source = open_events(app.name, model, loaded.directory, loaded.store)
    edges = []
    for day in (30, 79):
        now = (START + pd.Timedelta(days=day)).timestamp()
        reference = read_reference(model, "unversioned", loaded.directory, source, now=now)
        assert reference is not None
        edges.append(reference.bins["x"].edges.tolist())  # type: ignore[union-attr]
        assert reference.seasons is not None
        assert int(reference.seasons.rows.sum()) == reference.rows
    assert edges[0] == edges[1]


def test_without_enough_history_it_says_how_much_there_must_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    production(tmp_path / "predictions.parquet", 10)
    config = configured(tmp_path, {"type": "trailing", "size": "20d"})
    reasons = {row["reason"] for row in check(config, 9, capsys).values()}
    assert reasons == {"expected 20d of predictions to trail behind, got 9d"}


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ({"type": "window", "start": "2026-02-01", "end": "2026-01-01"}, "expected a start before the end"),
        ({"type": "window", "start": "soon", "end": "2026-01-01"}, "reference.start"),
        ({"type": "trailing", "size": "0s"}, "expected a duration above 0"),
        ({"type": "trailing"}, "reference.size: expected a value"),
        ({"type": "trailing", "size": "7d", "match": ["full_moon"]}, "reference.match[0]"),
    ],
)
def test_a_wrong_reference_is_refused_with_its_place(tmp_path: Path, reference: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=r"anchorwatch\.yml:") as told:
        load(configured(tmp_path, reference))
    assert complaint in str(told.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["window", "trailing"])
def test_the_daemon_draws_it_from_what_was_pushed_and_judges_many_columns_in_a_child(tmp_path: Path, kind: str) -> None:
    """Also over a restart: the bins are kept. The check that reads raw rows runs in a process of its own."""
    production(tmp_path / "predictions.parquet", 30, rows=100, step_at=29)
    frame = pd.read_parquet(tmp_path / "predictions.parquet")
    references = {
        "window": {"type": "window", "start": "2026-01-01", "end": "2026-01-21"},
        "trailing": {"type": "trailing", "size": "20d", "gap": "1d"},
    }
    config = configured(
        tmp_path,
        references[kind],
        predictions={"type": "ingest"},
        labels={"type": "ingest"},
        checks={"drift": {}, "multivariate": {"min_rows": 100}},
    )
    whole = yaml.safe_load(config.read_text())
    whole |= {"listen": "127.0.0.1:0", "data_dir": "data"}
    whole["listen"] = f"127.0.0.1:{free_port()}"
    config.write_text(yaml.safe_dump(whole))
    records = [
        {
            "model": "m",
            "event_id": row["event_id"],
            "timestamp": row["timestamp"].isoformat(),
            "model_version": "v1",
            "features": {"x": row["x"], "kind": row["kind"]},
            "prediction": row["prediction"],
        }
        for row in frame.to_dict("records")
    ]

    def judged() -> dict[tuple[str, str | None, str], dict[str, Any]]:
        rows = watch.json("/v1/findings")["findings"]
        done = [row for row in rows if row["window"]["end"] == "2026-01-31T00:00:00Z" and row["value"] is not None]
        found = {(row["check"], row["feature"], row["statistic"]): row for row in done}
        return found if {check for check, _, _ in found} == {"drift", "multivariate"} else {}

    with daemon(config, "--clock-start", "2026-01-31T02:00:00Z") as watch:
        watch.push("predictions", records)
        watch.post("/-/reload")
        first = eventually(judged, "the findings", 60)
        assert first["drift", "x", "psi"]["verdict"] == "breached"
        assert first["drift", "kind", "psi"]["verdict"] == "ok"
        assert first["multivariate", None, "domain_classifier"]["value"] > 0.7
        watch.kill()
        watch.start("--clock-start", "2026-01-31T02:00:00Z")
        again = eventually(judged, "the findings after a restart", 60)
        assert again == first
