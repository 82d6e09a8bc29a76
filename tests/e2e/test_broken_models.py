"""Broken models beside healthy ones: these are judged as if they were alone, and on time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.records import instant
from tests.e2e.daemon import command, daemon, eventually, write_config

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

START = instant("2026-01-05T00:00:00Z")
HOURS = 30
CHECKS = {
    "drift": {"thresholds": {"psi": 0.5}},
    "quality": {},
    "performance": {"metrics": ["accuracy"], "min_labels": 20},
    "fairness": {"protected": ["sex"], "min_group": 20},
    "skew": {},
    "labels": {},
}
BROKEN = ("lacks_columns", "of_wrong_types", "unreadable", "gone")


def write_files(folder: Path, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for part, start, number in (("reference", START - 40 * 3600.0, 4000), ("rows", START, HOURS * 100)):
        label = rng.integers(0, 2, number)
        columns: dict[str, Any] = {
            "event_id": [f"{part}{place}" for place in range(number)],
            "timestamp": start + np.arange(number) * 36.0,
            "model_version": ["v1"] * number,
            "temp": rng.normal(size=number),
            "sex": rng.choice(["F", "M"], number),
            "prediction": np.where(rng.random(number) < 0.1, 1 - label, label),
            "label": label,
        }
        if part == "rows":
            pq.write_table(
                pa.table({name: columns[name] for name in ("event_id", "label")}), folder / f"{name}-labels.parquet"
            )
            del columns["label"]
        pq.write_table(pa.table(columns), folder / f"{name}-{part}.parquet")


def spoil(folder: Path, name: str) -> None:
    rows, reference = folder / f"{name}-rows.parquet", folder / f"{name}-reference.parquet"
    if name == "lacks_columns":
        pq.write_table(pq.read_table(rows).drop(["temp", "prediction", "sex"]), rows)
    elif name == "of_wrong_types":
        table = pq.read_table(rows)
        odd = [f"{place}°" for place in range(len(table))]
        for column in ("temp", "prediction", "timestamp"):
            table = table.set_column(table.schema.get_field_index(column), column, pa.array(odd))
        pq.write_table(table, rows)
    elif name == "unreadable":
        reference.write_bytes(b"PAR1 this is no file of that kind")
        rows.write_bytes(b"\x00" * 1000)
    else:
        rows.unlink()
        reference.unlink()


def model(name: str) -> dict[str, Any]:
    return {
        "name": name, "task": "binary", "features": {"temp": {}},
        "reference": {"type": "files", "path": f"{name}-reference.parquet"},
        "predictions": {"type": "files", "path": f"{name}-rows.parquet"},
        "labels": {"type": "files", "path": f"{name}-labels.parquet", "mature": "0s"},
        "windows": {"size": "6h", "every": "1h", "lateness": "0s"},
        "checks": CHECKS,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("first", "second", *BROKEN)):
        write_files(tmp_path, name, seed)
        if name in BROKEN:
            spoil(tmp_path, name)
    return tmp_path


def findings(folder: Path, *names: str) -> list[dict[str, Any]]:
    config = write_config(folder, apps=[{"name": "shop", "models": [model(name) for name in names]}])
    done = command("check", "-c", str(config), "--format", "json", "--at", "2026-01-05T20:00:00Z")
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def test_healthy_models_are_judged_as_if_the_broken_ones_were_not_there(folder: Path) -> None:
    alone = findings(folder, "first", "second")
    assert {each["verdict"] for each in alone} <= {"ok", "no_data"}
    beside = findings(folder, "lacks_columns", "first", "of_wrong_types", "unreadable", "second", "gone")
    assert [each for each in beside if each["model"] in ("first", "second")] == alone
    for name in BROKEN:
        said = [each for each in beside if each["model"] == name]
        assert {each["check"] for each in said} == set(CHECKS), name
        assert not [each for each in said if each["verdict"] == "ok" and each["check"] == "performance"], name
        assert all(each["reason"] for each in said)
        assert not any(isinstance(each["value"], float) and each["value"] != each["value"] for each in said)


@pytest.mark.slow
def test_in_the_daemon_healthy_models_keep_their_schedule(folder: Path) -> None:
    names = ("first", *BROKEN, "second")
    config = write_config(folder, apps=[{"name": "shop", "models": [model(name) for name in names]}])
    with daemon(config, "--clock-start", "2026-01-05T09:20:00Z", "--clock-rate", "60") as watch:
        healthy = {"first", "second"}

        def rounds(name: str) -> float:
            return watch.value("anchorwatch_check_runs_total", model=name, check="performance") or 0.0

        eventually(lambda: min(map(rounds, healthy)) >= 2, "two rounds of the healthy models", seconds=150)
        status = [each for each in watch.json("/v1/status")["checks"] if each["model"]]
        assert {each["state"] for each in status if each["model"] in healthy and each["check"] != "fairness"} == {"ok"}
        for name in healthy:
            assert watch.value("anchorwatch_check_failures_total", model=name, check="performance") == 0
            assert watch.value("anchorwatch_check_late_runs_total", model=name, check="performance") == 0
        for name in ("unreadable", "gone"):
            assert {each["state"] for each in status if each["model"] == name} == {"error"}
        assert " NaN" not in watch.get("/metrics").text
