"""What the parts of `speed.py` share: taking time and memory, the data, and the model that is checked."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STATISTICS = {
    "numeric": ["psi", "jensen_shannon", "hellinger", "g_test", "ks", "wasserstein"],
    "categorical": ["psi", "jensen_shannon", "hellinger", "g_test"],
}
MEGABYTE = 1e6
DAY = 86400.0
START = 1_700_006_400.0  # a midnight
WINDOW_DAYS = 30


def least(work: Callable[[], Any], times: int) -> tuple[float, float]:
    """Processor and real seconds of work, the least of some repetitions of each."""
    found = []
    for _ in range(times):
        began, spent = time.perf_counter(), time.process_time()
        work()
        found.append((time.process_time() - spent, time.perf_counter() - began))
    return min(cpu for cpu, _ in found), min(wall for _, wall in found)


def peak() -> float:
    """The most megabytes this process has held."""
    told = Path("/proc/self/status")
    if told.exists():
        # What getrusage tells may be what the process that started this one had held.
        (line,) = [line for line in told.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / MEGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


def rows_of(told: dict[str, tuple[float, float]], floor: str) -> dict[str, Any]:
    """Seconds and their ratio to a floor."""
    below = told[floor][0]
    return {
        name: {"cpu_seconds": cpu, "wall_seconds": wall, "ratio": cpu / below} for name, (cpu, wall) in told.items()
    }


def speed_data(folder: Path, rows: int) -> None:
    """The data that the peers are measured on, made once."""
    from benchmarks.peers import speed_data as made

    if not (folder / "current.parquet").exists():
        made.write(folder, rows)


def with_events(folder: Path, rows: int) -> Path:
    """The current rows with an id and a time, an hour's worth of them in all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "predictions.parquet"
    if not path.exists():
        table = pq.read_table(folder / "current.parquet")
        times = ((START + np.arange(rows) * 3600 / rows) * 1e6).astype(np.int64)
        table = table.append_column("timestamp", pa.array(times, pa.timestamp("us")))
        pq.write_table(table.append_column("event_id", pa.array(np.arange(rows))), path)
    return path


def model_of(folder: Path, section: dict[str, Any]) -> Any:
    """A model as the configuration gives it."""
    import yaml

    from monitor.config import load

    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "bench", "models": [section]}]}), encoding="utf-8")
    return load(path).config.models()[0][1]


def drift_check() -> dict[str, Any]:
    """The checks of drift and quality, with the statistics that a user may ask for by name."""
    # On numeric columns the G-test is what significance is told by, whatever statistic is shown.
    asked = {**STATISTICS, "numeric": [name for name in STATISTICS["numeric"] if name != "g_test"]}
    return {"drift": {"statistics": asked, "min_rows": 1}, "quality": {}}
