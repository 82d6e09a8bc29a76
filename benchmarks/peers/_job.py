"""What the runners share: reading a job or the speed data, taking time and memory, writing the answer.

It runs in every peer's environment, so it needs nothing but pandas and PyArrow. A job is a folder with

- `job.json`: `numeric` and `categorical`, names of columns; `rows`, of one window; `windows`, how many there are;
- `reference.parquet`, and `windows.parquet` with the rows of all windows, one after the other.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

Scores = dict[str, dict[str, dict[str, list[Any]]]]
Work = Callable[[], Any]


@dataclass(frozen=True)
class Job:
    """A reference, and windows of `rows` rows."""

    numeric: list[str]
    categorical: list[str]
    rows: int
    windows: int
    reference: pd.DataFrame
    current: pd.DataFrame

    def window(self, place: int) -> pd.DataFrame:
        """The rows of one window."""
        return self.current.iloc[place * self.rows : (place + 1) * self.rows].reset_index(drop=True)


class Found:
    """Scores and verdicts, by method and column, a list with one entry for each window."""

    def __init__(self) -> None:
        self.methods: Scores = {}

    def add(self, method: str, column: str, score: float | None, *, drifted: bool | None) -> None:
        """The next window's. A peer that cannot score it gives None."""
        kept = self.methods.setdefault(method, {}).setdefault(column, {"scores": [], "drifted": []})
        kept["scores"].append(None if score is None else float(score))
        kept["drifted"].append(None if drifted is None else bool(drifted))


def read_job(folder: Path) -> Job:
    told = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    tables = (pd.read_parquet(folder / name) for name in ("reference.parquet", "windows.parquet"))
    return Job(told["numeric"], told["categorical"], told["rows"], told["windows"], *tables)


def read_speed(folder: Path) -> Job:
    """The speed data as a job of one window."""
    reference, current = (pd.read_parquet(folder / name) for name in ("reference.parquet", "current.parquet"))
    numeric = [name for name in reference if name.startswith("number_")]
    categorical = [name for name in reference if name not in numeric]
    return Job(numeric, categorical, len(current), 1, reference, current)


def peak_bytes() -> int:
    """The most that this process has held in memory so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cpu_seconds() -> float:
    """Processor time of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main(peer: str, judge: Callable[[Job, Found], None] | None, measures: dict[str, Callable[[Job], Work]]) -> int:
    """The command line of a runner: `--job FOLDER` for scores, `--speed FOLDER --measure NAME` for time and memory.

    Args:
        peer: the name of its distribution.
        judge: scores all windows of a job; None where the peer has no verdicts.
        measures: by name, what prepares a comparison and returns the work that is timed.
    """
    parser = argparse.ArgumentParser(description=f"{peer} on a job of the benchmarks; prints JSON.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--job", type=Path, help="folder of a job")
    what.add_argument("--speed", type=Path, help="folder of the speed data")
    what.add_argument("--list", action="store_true", help="names what can be measured")
    parser.add_argument("--measure", choices=list(measures), help="what is timed on the speed data")
    parser.add_argument("--output", type=Path, help="where to write (default: standard output)")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    about = {"peer": peer, "version": importlib.metadata.version(peer), "python": platform.python_version()}
    if options.list:
        answer: dict[str, Any] = {**about, "measures": list(measures)}
    elif options.job:
        if judge is None:
            parser.error(f"{peer} has no verdicts of its own: only --speed")
        answer = {**about, **_judged(options.job, judge)}
    elif options.measure is None:
        parser.error("--speed needs --measure")
    else:
        answer = {**about, **_measured(options.speed, measures[options.measure], options.measure)}
    text = json.dumps(answer)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


def _judged(folder: Path, judge: Callable[[Job, Found], None]) -> dict[str, Any]:
    job, found = read_job(folder), Found()
    before, began = cpu_seconds(), time.perf_counter()
    judge(job, found)
    spent = {"cpu_seconds": cpu_seconds() - before, "wall_seconds": time.perf_counter() - began}
    return {"windows": job.windows, "methods": found.methods, **spent, "peak_bytes": peak_bytes()}


def _measured(folder: Path, prepare: Callable[[Job], Work], name: str) -> dict[str, Any]:
    """Reading is not timed; the frames count in the memory, as they must be there."""
    job = read_speed(folder)
    held, before = peak_bytes(), cpu_seconds()
    work = prepare(job)
    prepared, began = cpu_seconds(), time.perf_counter()
    work()
    spent = {"cpu_seconds": cpu_seconds() - prepared, "wall_seconds": time.perf_counter() - began}
    memory = {"peak_bytes": peak_bytes(), "peak_bytes_after_reading": held}
    return {"measure": name, **spent, "preparing_cpu_seconds": prepared - before, **memory}
