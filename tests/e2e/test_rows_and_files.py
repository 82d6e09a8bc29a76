"""What the daemon judges in a process of its own: models whose predictions are files, and checks that read raw rows."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.store import events, open_for_reading
from monitor.store.schema import references
from tests.e2e.daemon import command, daemon, eventually, write_config

START, HOUR = 1_767_225_600, 3600  # 2026-01-01
AT = "2026-01-02T00:00:00Z"


def table(rows: int, start: float, seconds: float, *, shift: float = 0.0) -> pa.Table:
    draw = np.random.default_rng(rows)
    times = (start + np.arange(rows) * seconds / rows) * 1e6
    return pa.table(
        {
            "event_id": [f"{start:.0f}-{place}" for place in range(rows)],
            "timestamp": pa.array(times.astype(np.int64), pa.timestamp("us")),
            "temp": draw.standard_normal(rows) + shift,
            "meaning": (draw.standard_normal((rows, 8)) + shift).tolist(),
            "prediction": draw.standard_normal(rows),
        }
    )


def model(**changes: Any) -> dict[str, Any]:
    return {
        "name": "m",
        "task": "regression",
        "features": {"temp": {}, "meaning": {"type": "vector"}},
        "reference": {"type": "files", "path": "reference.parquet"},
        "windows": {"size": "1h", "lateness": "0s"},
        "checks": {"drift": {}, "multivariate": {}},
        **changes,
    }


def written(folder: Path) -> None:
    pq.write_table(table(10_000, START - 100 * HOUR, 100 * HOUR), folder / "reference.parquet")


def findings(rows: list[dict[str, Any]]) -> dict[tuple[str, str | None, str], dict[str, Any]]:
    return {(row["check"], row["feature"], row["statistic"]): row for row in rows}


@pytest.mark.slow
def test_the_daemon_says_of_files_what_the_command_says_and_keeps_their_reference(tmp_path: Path) -> None:
    written(tmp_path)
    pq.write_table(table(500, START + 23 * HOUR, HOUR, shift=1.0), tmp_path / "predictions.parquet")
    filed = model(predictions={"type": "files", "path": "predictions.parquet"})
    config = write_config(tmp_path, apps=[{"name": "a", "models": [filed]}])
    told = command("check", "-c", config, "--at", AT, "--format", "json")
    assert told.returncode == 1, told.stderr
    expected = findings(json.loads(told.stdout)["findings"])
    assert expected["drift", "temp", "psi"]["verdict"] == "breached"
    with daemon(config, "--clock-start", AT) as watch:

        def judged() -> dict[tuple[str, str | None, str], dict[str, Any]]:
            found = findings(watch.json("/v1/findings")["findings"])
            return found if set(found) == set(expected) else {}

        assert eventually(judged, "the same findings", 60) == expected
        with closing(open_for_reading(tmp_path / "data")) as store, store.read() as connection:
            assert events.find_model(connection, "a", "m") is not None
            (kept,) = connection.execute(references.select()).all()
            assert kept.stretches is not None
        watch.post("/-/reload")  # judged again, now on the reference that is kept
        runs = watch.value("anchorwatch_check_runs_total", model="m", check="drift")
        eventually(lambda: watch.value("anchorwatch_check_runs_total", model="m", check="drift") != runs, "a run", 60)
        assert eventually(judged, "the same findings again", 60) == expected


@pytest.mark.slow
def test_files_that_cannot_be_read_are_counted_and_told_of_in_the_log(tmp_path: Path) -> None:
    written(tmp_path)
    folder = tmp_path / "predictions"
    folder.mkdir()
    pq.write_table(table(500, START + 23 * HOUR, HOUR), folder / "good.parquet")
    (folder / "bad.parquet").write_bytes(b"PAR1 and nothing that is Parquet PAR1")
    filed = model(predictions={"type": "files", "path": "predictions"}, checks={"drift": {}})
    config = write_config(tmp_path, apps=[{"name": "a", "models": [filed]}])
    with daemon(config, "--clock-start", AT) as watch:
        left_out = {"app": "a", "model": "m"}
        eventually(lambda: watch.samples("anchorwatch_source_files_left_out", **left_out), "a look at the files", 60)
        counted = {labels["reason"]: n for labels, n in watch.samples("anchorwatch_source_files_left_out", **left_out)}
        assert counted["unreadable"] == 1
        assert sum(counted.values()) == 1
        lines = [json.loads(line) for line in watch.said().splitlines()]
    (told,) = [line for line in lines if "did not read all of" in line["event"]]
    assert (told["level"], told["left_out"], told["first"]) == ("warning", 1, "bad.parquet")


@pytest.mark.slow
def test_vectors_are_pushed_and_judged_beside_what_has_bins(tmp_path: Path) -> None:
    written(tmp_path)
    config = write_config(tmp_path, apps=[{"name": "a", "models": [model()]}])
    rows = table(500, START + 23 * HOUR, HOUR, shift=1.0).to_pylist()
    records = [
        {
            "model": "m",
            "event_id": row["event_id"],
            "timestamp": row["timestamp"].isoformat(),
            "model_version": "v1",
            "features": {"temp": row["temp"], "meaning": row["meaning"]},
            "prediction": row["prediction"],
        }
        for row in rows
    ]
    with daemon(config, "--clock-start", AT) as watch:
        watch.push("predictions", records)
        watch.post("/-/reload")

        def judged() -> dict[tuple[str, str | None, str], dict[str, Any]]:
            found = findings([r for r in watch.json("/v1/findings")["findings"] if r["value"] is not None])
            return found if ("multivariate", "meaning", "mmd") in found else {}

        found = eventually(judged, "the vectors' findings", 60)
        assert found["multivariate", "meaning", "mmd"]["verdict"] == "breached"
        assert found["multivariate", "meaning", "domain_classifier"]["value"] > 0.8
        assert found["drift", "temp", "psi"]["verdict"] == "breached"
        score = watch.value("anchorwatch_model_multivariate_drift_breached", columns="meaning", statistic="mmd")
        assert score == 1
