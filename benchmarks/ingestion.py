"""Events a second into one daemon, durable: what is answered 202 is on the disk.

Beside it, in one run: the bare cost of decoding the same bodies and inserting them into SQLite, in one process without HTTP and
without anything else; and the same load on an endpoint as a user would write it with FastAPI, pydantic and SQLAlchemy's ORM,
which takes an event that is sent again once, as the daemon does.
The client has a process of its own on the same two cores. Predictions have 20 features and random UUIDs for ids.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import psutil
import requests

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import _results  # noqa: E402 - found by the line before
from benchmarks._load import bodies  # noqa: E402 - found by the line before

FLOOR = "decode and insert, nothing else"
ORM = "FastAPI and an ORM"
SHAPES = ((100, 16), (1, 64))  # events in a request, and connections

CONFIG = """
listen: 127.0.0.1:{port}
data_dir: {folder}/data
apps:
  - name: shop
    models:
      - name: demand
        task: regression
        predictions: {{type: ingest}}
        reference: {{type: files, path: {folder}/reference.parquet}}
        windows: {{size: 1h, every: 1h}}
        checks: {{drift: {{}}}}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def write_reference(path: Path) -> None:
    """As the load's features are distributed."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw = np.random.default_rng(1)
    rows = 20_000
    columns: dict[str, Any] = {f"feature_{place}": draw.random(rows) * 100 for place in range(15)}
    columns |= {f"feature_{place}": draw.choice(["red", "green", "blue"], rows) for place in range(15, 20)}
    pq.write_table(pa.table(columns), path)


@contextmanager
def running(arguments: list[str], port: int, folder: Path) -> Iterator[psutil.Process]:
    """A server, ready; it is gone at the end."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        ends = time.monotonic() + 60
        while True:
            try:
                if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200:
                    break
            except requests.RequestException:
                pass
            if time.monotonic() > ends or process.poll() is not None:
                raise SystemExit((folder / "log").read_text()[-2000:])
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def load(port: int, **options: Any) -> dict[str, Any]:
    """What the client measured."""
    arguments = [f"--{name}={value}" for name, value in options.items()]
    ran = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/_load.py"), str(port), *arguments],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return dict(json.loads(ran.stdout))


class Scrapes:
    """Scrapes four times a second, and how long each took; and the server's memory."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port, self.process = port, process
        self.took: list[float] = []
        self.memory: list[int] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._done.wait(0.25):
                started = time.perf_counter()
                session.get(f"http://127.0.0.1:{self.port}/metrics", timeout=30).raise_for_status()
                self.took.append(time.perf_counter() - started)
                self.memory.append(self.process.memory_info().rss)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def p99_seconds(self) -> float:
        return sorted(self.took)[int(len(self.took) * 0.99)]


@contextmanager
def daemon(folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """A daemon with one model of 20 features, whose reference has been read."""
    port = free_port()
    write_reference(folder / "reference.parquet")
    config = folder / "anchorwatch.yml"
    config.write_text(CONFIG.format(port=port, folder=folder))
    with running([sys.executable, "-m", "monitor.cli", "run", "-c", str(config)], port, folder) as process:
        first, headers = bodies(1, 1)[0], {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{port}/v1/predictions"
        requests.post(url, data=first, headers=headers, timeout=10).raise_for_status()
        yield port, process


def bare(seconds: float) -> float:
    """Events a second of decoding and inserting alone: in one thread, a commit for each batch of 100, an index on the id."""
    made = bodies(100, int(3000 * seconds))
    decode = msgspec.json.Decoder().decode
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(f"{folder}/bare.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        columns = ", ".join(f"c{place}" for place in range(20))
        connection.execute(
            f"CREATE TABLE events (seq INTEGER PRIMARY KEY, id TEXT, time REAL, version TEXT, said REAL, {columns})"
        )
        sql = f"INSERT INTO events (id, time, version, said, {columns}) VALUES ({', '.join('?' * 24)})"
        events, started = 0, time.perf_counter()
        for body in made:
            rows = [
                (
                    each["event_id"],
                    each["timestamp"],
                    each["model_version"],
                    each["prediction"],
                    *each["features"].values(),
                )
                for each in decode(body)
            ]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(sql, rows)
            connection.execute("COMMIT")
            events += len(rows)
            if time.perf_counter() - started > seconds:
                break
        return events / (time.perf_counter() - started)


def _spelled(batch: int) -> str:
    return f"batches of {batch}" if batch > 1 else "single events"


def measured(seconds: float) -> list[dict[str, Any]]:
    """All of it, one after the other."""
    found: list[dict[str, Any]] = [{"what": FLOOR, "events_a_second": bare(seconds / 2)}]
    with tempfile.TemporaryDirectory() as name, daemon(Path(name)) as (port, process):
        for batch, connections in SHAPES:
            with Scrapes(port, process) as scrapes:
                ran = load(port, batch=batch, connections=connections, seconds=seconds)
            found.append(
                {
                    "what": f"the daemon, {_spelled(batch)}",
                    **ran,
                    "metrics_p99_seconds": scrapes.p99_seconds(),
                    "memory_bytes": max(scrapes.memory),
                }
            )
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        arguments = [sys.executable, str(ROOT / "benchmarks/_orm_service.py"), f"{name}/orm.db", str(port)]
        with running(arguments, port, Path(name)) as process:
            for batch, connections in SHAPES:
                ran = load(port, batch=batch, connections=connections, seconds=seconds / 2)
                memory = process.memory_info().rss
                found.append({"what": f"{ORM}, {_spelled(batch)}", **ran, "memory_bytes": memory})
    return found


def soak(minutes: float, rate: float) -> dict[str, Any]:
    """Memory of a daemon that takes so many events a second for so long, once a minute."""
    with tempfile.TemporaryDirectory() as name, daemon(Path(name)) as (port, process):
        memory = []
        with Scrapes(port, process) as scrapes:
            for _ in range(int(minutes)):
                ran = load(port, batch=100, connections=8, seconds=60, rate=rate)
                memory.append({"rss_bytes": process.memory_info().rss, **ran})
                print(json.dumps(memory[-1]), file=sys.stderr, flush=True)
        return {"minutes": memory, "metrics_p99_seconds": scrapes.p99_seconds(), "most_bytes": max(scrapes.memory)}


def soak_table(ran: dict[str, Any], rate: float) -> str:
    """Memory by minute, in words before it what was taken in meanwhile."""
    minutes = ran["minutes"]
    events, others = sum(row["events"] for row in minutes), sum(sum(row["others"].values()) for row in minutes)
    megabytes = [f"{row['rss_bytes'] / 1e6:.0f}" for row in minutes]
    scrape, most = ran["metrics_p99_seconds"] * 1e3, ran["most_bytes"] / 1e6
    return f"""\
{events:,} predictions of 20 features, durable, in {len(minutes)} minutes of load ({rate:,.0f} events a second were asked for,
{events / len(minutes) / 60:,.0f} came), with breaks in between in which the client made the next ones.
Requests that were answered otherwise than 202: {others}. `/metrics`, four times a second: p99 {scrape:.0f} ms.
Resident memory at the end of each minute: {", ".join(megabytes)} MB; the most of all: {most:.0f} MB."""


HEADER = ("what", "events a second", "of the bare floor", "times the ORM", "answered, p99", "`/metrics`, p99", "memory")


def table(found: list[dict[str, Any]]) -> str:
    known = {row["what"]: row["events_a_second"] for row in found}
    rows = []
    for row in found:
        rate, times = row["events_a_second"], ""
        if row["what"].startswith("the daemon"):
            times = f"{rate / known[row['what'].replace('the daemon', ORM)]:.1f}"
        p99 = f"{row['p99_seconds'] * 1e3:.0f} ms" if "p99_seconds" in row else ""
        scrape = f"{row['metrics_p99_seconds'] * 1e3:.0f} ms" if "metrics_p99_seconds" in row else ""
        memory = f"{row['memory_bytes'] / 1e6:.0f} MB" if "memory_bytes" in row else ""
        rows.append((row["what"], f"{rate:,.0f}", f"{rate / known[FLOOR]:.2f}", times, p99, scrape, memory))
    return _results.markdown(HEADER, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--soak", type=float, default=0.0, help="minutes; instead of the throughput")
    parser.add_argument("--rate", type=float, default=30_000.0, help="events a second of the soak")
    parser.add_argument("--json", action="store_true", help="print it, and write no results")
    options = parser.parse_args()
    if options.soak:
        ran = soak(options.soak, options.rate)
        if not options.json:
            _results.write("ingestion_soak", "Ingestion for a while", soak_table(ran, options.rate), ran)
        print(soak_table(ran, options.rate))
        return
    found = measured(options.seconds)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    _results.write("ingestion", "Ingestion", f"{__doc__}\n{table(found)}", {"measured": found})
    print(table(found))


if __name__ == "__main__":
    main()
