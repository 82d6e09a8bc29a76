"""A million labelled rows: all metrics of a binary model with their intervals, whole and by segment, beside scikit-learn's two.

Each line is a process of its own. Processor seconds are the least of some repetitions; every repetition makes the outcomes anew,
so that nothing is kept of the one before. Memory is the most that the process held beyond what it held with the arrays made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import _results  # noqa: E402 - found by the line before
from benchmarks._speed_common import MEGABYTE, least, peak  # noqa: E402

METRICS = (
    "accuracy balanced_accuracy precision recall specificity f1 mcc roc_auc pr_auc log_loss brier ece confusion_matrix"
).split()
FLOOR = "scikit-learn: ROC AUC and log loss"
LINES = {
    "floor": FLOOR,
    "metrics": f"all {len(METRICS)} metrics with intervals",
    "segments": "the same, whole and in each of 20 segments",
    "check": "the performance check, from labels as text",
}


def made(rows: int) -> dict[str, Any]:
    """A classifier that is right as often as its scores say, and twenty segments."""
    rng = np.random.default_rng(1)
    score = rng.beta(2, 2, rows)
    return {
        "label": rng.random(rows) < score,
        "predicted": score >= 0.5,
        "score": score,
        "segment": rng.integers(0, 20, rows),
    }


def floor(held: dict[str, Any]) -> Callable[[], Any]:
    """What scikit-learn takes for the two."""
    from sklearn.metrics import log_loss, roc_auc_score

    return lambda: (roc_auc_score(held["label"], held["score"]), log_loss(held["label"], held["score"]))


def _told(outcomes: Any) -> list[Any]:
    from monitor.check._metrics import Metric
    from monitor.check._statistics import statistic

    found = []
    for name in METRICS:
        metric = Metric(name, statistic(name), {})
        value = metric.value(outcomes)
        found.append((value, metric.interval(outcomes, value, 1.0)))
    return found


def metrics(held: dict[str, Any]) -> Callable[[], Any]:
    """Every metric with its interval."""
    from monitor.stats import BinaryOutcomes

    return lambda: _told(BinaryOutcomes(held["label"], held["predicted"], held["score"]))


def segments(held: dict[str, Any]) -> Callable[[], Any]:
    """The same, and of each segment."""
    from monitor.stats import BinaryOutcomes

    def work() -> list[Any]:
        whole = BinaryOutcomes(held["label"], held["predicted"], held["score"])
        return [_told(each) for each in (whole, *whole.parts(held["segment"], 20))]

    return work


def check(held: dict[str, Any]) -> Callable[[], Any]:
    """What the check makes of labelled rows as a source gives them: labels and predictions are names."""
    from monitor.check._rows import Rows
    from monitor.check._statistics import statistic
    from monitor.config import Model
    from monitor.records import LabelledBatch

    model = Model.model_validate({"name": "demand", "task": "binary"})
    names = np.array(["0", "1"], dtype=object)
    rows = len(held["score"])
    batch = LabelledBatch(
        np.arange(rows, dtype=np.float64), np.full(rows, "1", dtype=object), names[held["predicted"].astype(int)],
        names[held["label"].astype(int)], np.zeros(rows), {"score/1": held["score"]},
    )  # fmt: skip

    def work() -> list[Any]:
        told = Rows(model, batch, None)
        found = []
        for name in METRICS:
            found += _told_one(name, told.whole(statistic(name)).outcomes)
        return found

    return work


def _told_one(name: str, outcomes: Any) -> list[Any]:
    from monitor.check._metrics import Metric
    from monitor.check._statistics import statistic

    metric = Metric(name, statistic(name), {})
    value = metric.value(outcomes)
    return [(value, metric.interval(outcomes, value, 1.0))]


def measure(line: str, rows: int, times: int) -> dict[str, float]:
    """One line, in this process."""
    work = {"floor": floor, "metrics": metrics, "segments": segments, "check": check}[line](held := made(rows))
    del held
    before = peak()
    cpu, wall = least(work, times)
    return {"cpu_seconds": cpu, "wall_seconds": wall, "megabytes": peak() - before}


def main() -> None:
    """Measure every line in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--line", choices=LINES)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.line:
        print(json.dumps(measure(given.line, given.rows, given.times)))
        return
    told = {}
    for line in LINES:
        command = [sys.executable, __file__, "--line", line, "--rows", str(given.rows), "--times", str(given.times)]
        told[line] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    base = told["floor"]["cpu_seconds"]
    rows = [
        [LINES[line], f"{each['cpu_seconds']:.2f} s", f"{each['cpu_seconds'] / base:.2f}", f"{each['megabytes']:.0f}"]
        for line, each in told.items()
    ]
    table = _results.markdown(["", "CPU", "ratio", "MB above the arrays"], rows)
    part = told["segments"]["cpu_seconds"] / told["metrics"]["cpu_seconds"]
    table += f"\n\n20 segments beside the whole take {part:.2f} times the whole alone. Megabytes are 10⁶ bytes.\n"
    print(json.dumps(told) if given.json else table)
    if given.rows >= 1_000_000 and not given.json:
        title = f"Metrics on {given.rows:,} labelled rows, beside scikit-learn"
        _results.write("labelled", title, table, {"lines": told, "bytes_per_megabyte": MEGABYTE})


if __name__ == "__main__":
    main()
