"""All checks of one model together in a real daemon, on pushed predictions: each comes to a result, and its series are there."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.records import instant
from tests.e2e.daemon import Daemon, daemon, eventually, write_config

RATE = 600  # an hour takes six seconds
START = "2026-01-05T00:00:00Z"
HOURS = 14
PER_HOUR = 400
CHECKS = {
    "drift": {},
    "quality": {},
    "volume": {"silence": "12h"},
    "performance": {"metrics": ["accuracy", "roc_auc", "log_loss", "confusion_matrix"], "min_labels": 50},
    "labels": {},
    "estimation": {},
    "concept": {},
    "fairness": {"protected": ["sex", ["sex", "region"]], "min_group": 30, "anonymous": True},
    "skew": {},
}


def people(rng: np.random.Generator, number: int) -> dict[str, Any]:
    """Rows of a model that is right as often as it says."""
    score = rng.beta(2, 2, number)
    return {
        "income": score * 100 + rng.normal(0, 10, number),
        "tenure": rng.integers(0, 40, number).astype(float),
        "plan": rng.choice(["basic", "plus"], number),
        "sex": rng.choice(["F", "M"], number),
        "region": rng.choice(["north", "south"], number),
        "probability": score,
        "prediction": (score > 0.5).astype(int),
        "label": (rng.random(number) < score).astype(int),
    }


def write_reference(path: Path) -> None:
    rows = people(np.random.default_rng(1), 12_000)
    times = instant("2025-12-20T00:00:00Z") + np.arange(12_000) * 100.0
    pq.write_table(pa.table({**rows, "timestamp": times}), path)


def pushed(watch: Daemon) -> None:
    rng = np.random.default_rng(2)
    for hour in range(HOURS):
        rows = people(rng, PER_HOUR)
        begins = datetime.fromisoformat(START) + timedelta(hours=hour)
        ids = [f"e{hour}-{place}" for place in range(PER_HOUR)]
        times = [(begins + timedelta(seconds=9 * place)).isoformat() for place in range(PER_HOUR)]
        names = ("income", "tenure", "plan", "sex", "region")
        watch.push("predictions", [
            {
                "model": "churn", "event_id": ids[place], "timestamp": times[place], "model_version": "v1",
                "features": {name: _plain(rows[name][place]) for name in names},
                "prediction": int(rows["prediction"][place]), "probability": float(rows["probability"][place]),
            }
            for place in range(PER_HOUR)
        ])  # fmt: skip
        watch.push("labels", [
            {"model": "churn", "event_id": ids[place], "label": int(rows["label"][place]), "label_timestamp": times[place]}
            for place in range(PER_HOUR)
        ])  # fmt: skip


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


@pytest.mark.slow
def test_every_check_comes_to_a_result_and_none_cries_wolf(tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.parquet")
    (tmp_path / "token").write_text("secret")
    model = {
        "name": "churn", "task": "binary", "segments": ["region"],
        "features": {"income": {}, "tenure": {}, "plan": {"type": "categorical"}},
        "reference": {"type": "files", "path": "reference.parquet"},
        "labels": {"type": "ingest", "mature": "2h"},
        "windows": {"size": "2h", "every": "2h", "lateness": "5m"},
        "checks": CHECKS,
    }  # fmt: skip
    auth = {"tokens": [{"name": "audit", "role": "read", "token_file": "token"},
                       {"name": "app", "role": "ingest", "token": "push"}]}  # fmt: skip
    config = write_config(tmp_path, apps=[{"name": "shop", "models": [model]}], auth=auth)
    with daemon(config, "--clock-start", "2026-01-04T23:00:00Z", "--clock-rate", str(RATE)) as watch:
        send = watch.post
        watch.post = lambda path, payload=None, **more: send(  # type: ignore[method-assign]
            path, payload, headers={"Authorization": "Bearer push", **more.pop("headers", {})}, **more
        )
        pushed(watch)

        def states() -> dict[str, str]:
            return {
                each["check"]: each["state"] for each in watch.json("/v1/status")["checks"] if each["model"] == "churn"
            }

        eventually(lambda: states() == dict.fromkeys(CHECKS, "ok"), "all checks to be ok", seconds=120)
        # The lag is that of rows whose labels have had their time twice over.
        eventually(lambda: watch.samples("anchorwatch_model_label_lag_seconds"), "the lag of labels", seconds=120)
        told = {name: watch.samples(f"anchorwatch_{name}") for name in (
            "model_performance", "model_class_performance", "model_confusion_rows", "model_performance_provisional",
            "model_label_coverage", "model_label_lag_seconds", "model_label_selection", "model_estimated_performance",
            "model_estimation_trust", "model_concept_loss", "model_fairness", "model_fairness_group", "feature_skew_score",
            "feature_moment", "model_staleness_seconds", "feature_out_of_range_ratio", "check_subjects_omitted",
        )}  # fmt: skip
        assert {name for name, samples in told.items() if not samples} == {"model_class_performance"}
        segments = {labels.get("segment") for labels, _ in told["model_performance"]}
        assert segments == {None, "region=north", "region=south"}
        groups = {labels["group"] for labels, _ in told["model_fairness_group"]}
        assert not any("F" in group or "M" in group or "north" in group for group in groups)
        page = watch.get("/metrics").text
        assert " NaN" not in page
        assert "north" not in "".join(line for line in page.splitlines() if "fairness" in line)
        assert watch.get("/v1/groups").status_code == 401
        [legend] = watch.get("/v1/groups", headers={"Authorization": "Bearer secret"}).json()["legends"]
        assert sorted(legend["groups"]["sex"]) == ["F", "M"]
        firing = [
            e for e in watch.ledger("alert") if e["data"]["state"] == "firing" and "NoData" not in e["data"]["name"]
        ]
        assert firing == []
