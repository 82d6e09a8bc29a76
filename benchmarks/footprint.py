"""What the daemon costs beside the application it watches: memory under a light load, and time to be ready.

Both are measured beside `import evidently` in the same run on the same machine, so the ratios carry over to another one.
Run with `--minutes 2` for a quick look; the target (10 minutes, at most 100 MB, ready within 1.5 s) is in the README here.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
NUMERIC, CATEGORICAL = 8, 4
BATCH_ROWS = 20  # a second
SCRAPE_SECONDS = 5
MEGABYTE = 1e6
EVIDENTLY = "import evidently"
OWN_SIZE = "; import psutil; print(psutil.Process().memory_info().rss)"

CONFIG = """
listen: 127.0.0.1:{port}
data_dir: data
apps:
  - name: bench
    probes: [{{type: http, name: itself, url: "http://127.0.0.1:{port}/livez", every: 5s}}]
    process: {{port: {port}}}
    models:
      - name: model
        task: regression
        reference: {{type: files, path: reference.parquet}}
        windows: {{size: 1m, lateness: 0s}}
        checks:
          drift: {{thresholds: {{psi: 0.2}}}}
          performance: {{metrics: [mae, rmse], thresholds: {{mae: 5}}}}
          quality: {{}}
"""


def drawn(rows: int, seed: int) -> dict[str, list[Any]]:
    """Columns of so many rows of the twelve features."""
    draw = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {f"number_{n}": draw.normal(n, 1, rows).tolist() for n in range(NUMERIC)}
    for n in range(CATEGORICAL):
        columns[f"category_{n}"] = draw.choice(["a", "b", "c", "d"], rows).tolist()
    return columns


def environment(byte_code: Path) -> dict[str, str]:
    """Byte-code is written and read, in a folder of its own: the first start warms it, the others are measured."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(byte_code), "DO_NOT_TRACK": "1"}


class Watch:
    """The daemon under measurement."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        pq.write_table(pa.table(drawn(5000, seed=1)), folder / "reference.parquet")
        (folder / "anchorwatch.yml").write_text(CONFIG.format(port=self.port), encoding="utf-8")

    @contextmanager
    def running(self) -> Iterator[tuple[psutil.Process, float]]:
        """The process, and the seconds from its exec until it was ready."""
        command = [sys.executable, "-m", "monitor.cli", "run", "-c", str(self.folder / "anchorwatch.yml")]
        with (self.folder / "daemon.log").open("ab") as output:
            began = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            while not self._ready():
                if process.poll() is not None:
                    sys.exit(f"the daemon ended:\n{(self.folder / 'daemon.log').read_text()[-2000:]}")
                time.sleep(0.005)
            yield psutil.Process(process.pid), time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)

    def _ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, payload: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            body = None if payload is None else json.dumps(payload)
            connection.request(method, path, body, {"Content-Type": "application/json", "Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def push(self, second: int) -> None:
        """One batch of predictions of this moment, and their labels."""
        columns, now = drawn(BATCH_ROWS, seed=second), datetime.now(UTC).isoformat()
        ids = [f"{second}-{row}" for row in range(BATCH_ROWS)]
        head = {"model": "model", "timestamp": now, "model_version": "v1", "prediction": 1.0, "latency_seconds": 0.01}
        events = [
            {**head, "event_id": name, "features": {key: column[row] for key, column in columns.items()}}
            for row, name in enumerate(ids)
        ]
        labels = [{"model": "model", "event_id": name, "label": 1.5} for name in ids]
        for path, records in (("/v1/predictions", events), ("/v1/labels", labels)):
            status, answer = self.ask("POST", path, records)
            if status != 202:
                sys.exit(f"{path}: expected 202, got {status}: {answer!r}")


def resident(process: psutil.Process) -> int:
    """Bytes that the process, and children if it has any just then, hold in memory."""
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in family)


def under_load(watch: Watch, minutes: float) -> dict[str, float]:
    """Sizes of the daemon while it takes a batch a second."""
    with watch.running() as (process, _):
        at_start, sizes = resident(process), []
        began = time.monotonic()
        for second in range(int(minutes * 60)):
            watch.push(second)
            if second % SCRAPE_SECONDS == 0:
                watch.ask("GET", "/metrics")
            sizes.append(process.memory_info().rss)
            print(f"\r{second + 1} s, {sizes[-1] / MEGABYTE:.1f} MB", end="", file=sys.stderr, flush=True)
            time.sleep(max(0.0, began + second + 1 - time.monotonic()))
        print(file=sys.stderr)
        judged = json.loads(watch.ask("GET", "/v1/status")[1])["checks"]
        states = {each["check"]: each["state"] for each in judged if each["model"]}
        if minutes >= 2 and set(states.values()) - {"ok", "breached"}:
            sys.exit(f"expected every check to have judged, got {states}")
        return {"start": at_start, "end": process.memory_info().rss, "most": max(sizes)}


def evidently(env: dict[str, str]) -> tuple[float, int]:
    """Seconds and bytes of a process that imports Evidently and nothing else."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", EVIDENTLY], cwd=ROOT, env=env, check=True)
    seconds = time.perf_counter() - began
    sized = subprocess.run(
        [sys.executable, "-c", EVIDENTLY + OWN_SIZE], cwd=ROOT, env=env, check=True, capture_output=True
    )
    return seconds, int(sized.stdout)


def measure(minutes: float, starts: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        env = environment(folder / "byte-code")
        watch = Watch(folder, env)
        with watch.running():
            pass  # warms the byte-code
        evidently(env)
        ready, imported = [], []
        for _ in range(starts):
            with watch.running() as (_, seconds):
                ready.append(seconds)
            imported.append(evidently(env))
        sizes = under_load(watch, minutes)
    return {
        "minutes": minutes,
        "python": sys.version.split()[0],
        "daemon_resident_bytes": sizes["end"],
        "daemon_resident_most_bytes": sizes["most"],
        "daemon_resident_at_start_bytes": sizes["start"],
        "evidently_resident_bytes": statistics.median(size for _, size in imported),
        "daemon_ready_seconds": statistics.median(ready),
        "evidently_import_seconds": statistics.median(seconds for seconds, _ in imported),
    }


def table(found: dict[str, Any]) -> str:
    rows = [("", "anchorwatch", "import evidently", "ratio")]
    for name, ours, theirs, unit, scale in (
        ("resident", "daemon_resident_bytes", "evidently_resident_bytes", "MB", MEGABYTE),
        ("ready", "daemon_ready_seconds", "evidently_import_seconds", "s", 1.0),
    ):
        left, right = found[ours] / scale, found[theirs] / scale
        rows.append((name, f"{left:.2f} {unit}", f"{right:.2f} {unit}", f"1 : {right / left:.1f}"))
    lines = [f"{a:<10}{b:>14}{c:>20}{d:>12}" for a, b, c, d in rows]
    most, start = found["daemon_resident_most_bytes"] / MEGABYTE, found["daemon_resident_at_start_bytes"] / MEGABYTE
    lines.append(f"the daemon: {start:.1f} MB when ready, {most:.1f} MB at most in {found['minutes']:g} minutes")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the daemon is under load (default: 10)")
    parser.add_argument("--starts", type=int, default=5, help="how many starts the median is taken of (default: 5)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, in bytes and seconds")
    options = parser.parse_args()
    found = measure(options.minutes, options.starts)
    print(json.dumps(found, indent=2) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
