"""A breach of data quality forbids a retraining, through the store as the daemon has it; the ledger names the fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alert.rules import RULES
from monitor.config import load
from monitor.consequences.recording import Recorder
from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.store import Store, watch

HOUR, NOW = 3600.0, 1_000_800.0
BREACHED, OK = Verdict.BREACHED, Verdict.OK


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data", now=NOW)
    yield opened
    opened.close()


def recorder(folder: Path, *, checks: tuple[str, ...] = ("performance", "quality"), **guards: Any) -> Recorder:
    options = {"performance": {"thresholds": {"mae": 5}}, "quality": {}}
    model = {
        "name": "demand",
        "task": "regression",
        "windows": {"size": "1h", "lateness": "0s"},
        "labels": {"type": "ingest", "mature": "1h"},
        "checks": {name: options[name] for name in checks},
        "retraining": {
            "evidence": {"windows": 1},
            "guards": {"min_labels": 0, "cooldown": "0s", "per_day": 99, **guards},
            "trigger": {"type": "webhook", "url": "http://127.0.0.1:9/"},
        },
    }
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"store": {"ephemeral": True}, "apps": [{"name": "shop", "models": [model]}]}))
    return Recorder(load(path), RULES, now=lambda: NOW, store_created=0.0, url="")


def result(
    check: str, statistic: str, verdict: Verdict, *, version: str = "v1", feature: str | None = None
) -> CheckResult:
    window = Window(NOW - HOUR, NOW)
    finding = Finding(
        "shop", check, statistic, verdict, "", window, "demand", version, feature=feature, value=9.0, threshold=5.0, rows=500
    )  # fmt: skip
    return CheckResult("shop", "demand", check, verdict, "", window, 500, (finding,), (version,))


HARM = result("performance", "mae", BREACHED)


def told(store: Store, made: Recorder, *results: CheckResult) -> list[tuple[str, str, str]]:
    """What became of the retraining that the last result is evidence for."""
    for each in results:
        effects = store.write(lambda connection, each=each: made.record(connection, each))
    return [(one.state, one.guard, one.reason) for one in effects.retrainings]


def test_data_that_are_broken_are_not_learned_from(store: Store, tmp_path: Path) -> None:
    broken = result("quality", "missing_ratio", BREACHED, feature="temp")
    [(state, guard, reason)] = told(store, recorder(tmp_path), broken, HARM)
    assert (state, guard) == ("refused", "data_quality")
    assert reason == "the check quality is breached: missing_ratio of temp is 9, expected at most 5"
    with store.read() as connection:
        assert watch.all_retrainings(connection) == []
        [entry] = [each for each in watch.read_ledger(connection, after=0, limit=99) if each["kind"] == "retraining"]
    assert (entry["data"]["guard"], entry["data"]["reason"]) == (guard, reason)


def test_once_the_data_are_sound_again_a_retraining_is_asked_for(store: Store, tmp_path: Path) -> None:
    made = recorder(tmp_path)
    told(store, made, result("quality", "missing_ratio", BREACHED, feature="temp"), HARM)
    sound = result("quality", "missing_ratio", OK, feature="temp")
    [(state, _, _)] = told(store, made, sound, HARM)
    assert state == "requested"


@pytest.mark.parametrize(
    ("parts", "version"),
    [({"data_quality": False}, "v1"), ({}, "v0"), ({"checks": ("performance",)}, "v1")],
    ids=["the guard is off", "another version is broken", "the check is no longer configured"],
)
def test_a_fault_that_says_nothing_of_this_retraining_forbids_none(
    store: Store, tmp_path: Path, parts: dict[str, Any], version: str
) -> None:
    broken = result("quality", "missing_ratio", BREACHED, feature="temp", version=version)
    told(store, recorder(tmp_path), broken)
    [(state, _, _)] = told(store, recorder(tmp_path, **parts), HARM)
    assert state == "requested"
