"""Adding a statistic, a collector, a receiver or a trigger is one new file, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

TOP = Path(__file__).resolve().parents[2]

NEW_FILES = {
    "stats/largest_gap.py": '''
"""The largest difference between two shares."""
import numpy as np
from monitor.records import Direction, Statistic

def largest_gap(reference, current):
    p, q = reference / reference.sum(-1, keepdims=True), current / current.sum(-1, keepdims=True)
    return np.abs(p - q).max(-1)

STATISTIC = Statistic(
    name="largest_gap", family="drift", applies_to=frozenset({"numeric"}), unit="ratio", low=0.0, high=1.0,
    worse=Direction.HIGHER_IS_WORSE, compute=largest_gap, default_material=0.1, rate=0.5,
)
''',
    "collect/file_age.py": '''
"""How old a file is."""
import time
from pathlib import Path
from monitor.options import Options as _Options
from monitor.records import Family, Reading, Sample, Verdict

SECTION = "probes"
AGE = Family("anchorwatch_app_file_age_seconds", "gauge", "Age of the file.", ("app", "probe"))
FAMILIES = (AGE,)

class Options(_Options):
    path: Path

class Collector:
    def __init__(self, options):
        self.path = options.path
    def collect(self):
        return Reading(Verdict.OK, "there", (Sample(AGE.name, {}, time.time() - self.path.stat().st_mtime),))
    def close(self):
        pass
''',
    "notify/bell.py": '''
"""Rings."""
from monitor.options import Options as _Options
from monitor.records import Outcome, OutcomeKind

class Options(_Options):
    tone: str

def payload(notification):
    return {"tone": notification.name}

def send(notification, options):
    return Outcome(OutcomeKind.DELIVERED, "rung")
''',
    "retrain/triggers/letter.py": '''
"""Writes a letter."""
from monitor.options import Options as _Options
from monitor.records import Outcome, OutcomeKind

class Options(_Options):
    to: str

def payload(order):
    return {"key": order.key}

def send(order, options, now):
    return Outcome(OutcomeKind.DELIVERED, "posted")
''',
}

CONFIG = """
apps:
  - name: shop
    probes:
      - {type: file_age, name: export, path: anchorwatch.yml}
    models:
      - name: demand
        task: regression
        features: {temp: {type: numeric}}
        reference: {type: files, path: reference.parquet}
        predictions: {type: files, path: predictions.parquet}
        labels: {type: files, path: labels.parquet}
        windows: {calendar: day, lateness: 0s}
        checks:
          drift: {statistics: {numeric: [largest_gap]}}
          performance: {metrics: [mae], thresholds: {mae: 100}}
        retraining:
          on: [drift]
          trigger: {type: letter, to: the workshop}
alerting:
  receivers:
    - {name: ship, type: bell, tone: high}
"""

KNOWN = """
import json
from monitor import registry
print(json.dumps({kind: registry.known(kind) for kind in registry.FOLDERS}))
"""

LOAD = """
import json, pathlib
from monitor import config
loaded = config.load(pathlib.Path("anchorwatch.yml"))
app, model = loaded.config.models()[0]
print(json.dumps({
    "probe": app.probes[0].type,
    "statistic": list(model.checks["drift"].options.statistics.numeric),
    "receiver": [loaded.config.alerting.receivers[0].type, loaded.config.alerting.receivers[0].options.tone],
    "trigger": [model.retraining.trigger.type, model.retraining.trigger.options.to],
}))
"""

USE = """
import json, pathlib
from monitor import config, metrics, registry
app, _ = config.load(pathlib.Path("anchorwatch.yml")).config.models()[0]
reading = registry.load("probe", "file_age").Collector(app.probes[0].options).collect()
print(json.dumps([reading.verdict, reading.samples[0].name]))
"""

CHECK = "import sys; from monitor.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package, one new file of each kind in it, and a configuration that uses them all."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(TOP / "monitor", folder / "monitor", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("alerts", "dashboards", "examples"):
        (folder / name).symlink_to(TOP / name)
    for name, text in NEW_FILES.items():
        assert not (folder / "monitor" / name).exists()
        (folder / "monitor" / name).write_text(text, encoding="utf-8")
    (folder / "anchorwatch.yml").write_text(CONFIG, encoding="utf-8")
    return folder


def python(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def answer(folder: Path, program: str) -> Any:
    done = python(folder, program)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_registry_lists_a_new_file_under_its_name(copy: Path) -> None:
    known = answer(copy, KNOWN)
    assert "largest_gap" in known["statistic"]
    assert "file_age" in known["probe"]
    assert "bell" in known["receiver"]
    assert "letter" in known["trigger"]


def test_a_configuration_may_name_it_and_its_options_are_its_own(copy: Path) -> None:
    assert answer(copy, LOAD) == {
        "probe": "file_age",
        "statistic": ["largest_gap"],
        "receiver": ["bell", "high"],
        "trigger": ["letter", "the workshop"],
    }


def test_without_the_file_the_same_configuration_is_refused(copy: Path) -> None:
    """It is the one file that makes the difference: the checkout, which lacks it, knows none of the names."""
    done = python(copy, f"import sys; sys.path.insert(0, {str(TOP)!r})\n{LOAD}")
    assert done.returncode != 0
    for name in ("largest_gap", "file_age", "bell", "letter"):
        assert f"got '{name}'" in done.stderr


def test_a_new_collector_is_run(copy: Path) -> None:
    assert answer(copy, USE) == ["ok", "anchorwatch_app_file_age_seconds"]


def test_a_new_statistic_is_used_by_a_check(copy: Path) -> None:
    """`anchorwatch check` computes it on the window and prints it as a finding."""
    if not (TOP / "monitor" / "cli.py").is_file() and not (TOP / "monitor" / "cli").is_dir():
        pytest.skip("monitor.cli is still to come")
    rows = 400
    ids = [f"e{i}" for i in range(rows)]
    times = pd.date_range("2026-01-01", periods=rows, freq="3min", unit="us")
    frame = pd.DataFrame(
        {"event_id": ids, "timestamp": times, "temp": [i % 100 / 100 for i in range(rows)], "prediction": 1.0}
    )
    frame.to_parquet(copy / "reference.parquet")
    frame.assign(temp=frame["temp"] / 10).to_parquet(copy / "predictions.parquet")
    pd.DataFrame({"event_id": ids, "label": 1.0, "label_timestamp": times}).to_parquet(copy / "labels.parquet")
    done = python(copy, CHECK, "check", "-c", "anchorwatch.yml", "--at", "2026-01-02T00:00:00Z", "--format", "json")
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    found = [row for row in findings if row["statistic"] == "largest_gap"]
    assert [(row["feature"], row["verdict"], row["material"]) for row in found if row["feature"] == "temp"] == [
        ("temp", "breached", 0.1)
    ]
    assert all(row["p_value"] is not None for row in found)
