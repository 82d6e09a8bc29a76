"""How long a daemon takes to be ready after kill -9 under load, on a store of ten million events, beside an empty one.

Ready means that `/readyz` says so; mended means that a prediction pushed then is acknowledged, and one from before the kill is
known as a duplicate. The process itself takes its time to be started: what the empty store takes is not the fault of the events.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import _results  # noqa: E402 - found by the line before
from benchmarks._load import bodies  # noqa: E402 - found by the line before
from benchmarks.ingestion import CONFIG, free_port, write_reference  # noqa: E402 - found by the line before

HEADERS = {"Content-Type": "application/json"}
LOADED_SECONDS = 3.0  # before each kill


def fill(config: Path, events: int) -> None:
    """Take so many events in, as the daemon does, without its addresses."""
    from monitor.app.intake import Intake
    from monitor.config import load
    from monitor.metrics import Metrics
    from monitor.store import Store

    loaded = load(config)
    store = Store(loaded.store, now=time.time())
    intake = Intake(store, Metrics("0"), now=time.time, told=lambda _: None)

    class Recorder:
        class retrainings:  # noqa: N801 - an attribute
            version_seen = staticmethod(lambda *_: [])

    intake.configure(loaded.config, Recorder())  # type: ignore[arg-type]
    done = 0
    while done < events:
        # Thousands of bodies at once would take the memory of all of them.
        made = bodies(100, min(1000, (events - done) // 100), seed=done)
        waiting = []
        for body in made:
            waiting.append(intake.take(intake.read(body, "json", "predictions")))
            if len(waiting) == 32:
                waiting.pop(0).result()
        for each in waiting:
            each.result()
        done += 100 * len(made)
    store.close()


def started(config: Path, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """A daemon, and seconds until it was ready."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor.cli", "run", "-c", str(config)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    while True:
        try:
            if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return process, time.perf_counter() - began
        except requests.RequestException:
            pass
        if process.poll() is not None:
            raise SystemExit(f"the daemon ended with {process.returncode}")
        time.sleep(0.005)


def push(url: str, body: bytes) -> bool:
    """Whether it was acknowledged."""
    return requests.post(url, data=body, headers=HEADERS, timeout=60).status_code == 202


def counted(port: int, name: str) -> float:
    page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(name + "{"))


def killed(config: Path, port: int, times: int, seed: int) -> list[dict[str, float]]:
    """Load, kill, start: what each start took."""
    url, found = f"http://127.0.0.1:{port}/v1/predictions", []
    process, _ = started(config, port)
    for number in range(times):
        acknowledged: list[bytes] = []
        made = iter(bodies(100, 4000, seed=seed + number))
        ends = time.perf_counter() + LOADED_SECONDS

        def loaded(ends: float = ends, made: Any = made, acknowledged: list[bytes] = acknowledged) -> None:
            try:
                while time.perf_counter() < ends + 1:
                    body = next(made)
                    if push(url, body):
                        acknowledged.append(body)
            except requests.RequestException:
                pass

        threads = [threading.Thread(target=loaded) for _ in range(4)]
        for each in threads:
            each.start()
        time.sleep(LOADED_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for each in threads:
            each.join()
        process, ready = started(config, port)
        began = time.perf_counter()
        assert push(url, acknowledged[-1])
        mended = time.perf_counter() - began
        assert counted(port, "anchorwatch_ingest_duplicates_total") == 100, "what was acknowledged is known"
        found.append({"ready_seconds": ready, "mended_seconds": ready + mended})
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    return found


def measured(events: int, times: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        write_reference(folder / "reference.parquet")
        config = folder / "anchorwatch.yml"
        text = CONFIG.format(port=port, folder=folder)
        config.write_text(f"{text}store: {{max_size: 100GB}}\n", encoding="utf-8")
        if events:
            fill(config, events)
        found = killed(config, port, times, seed=10**9 + events)
        size = sum(file.stat().st_size for file in (folder / "data").iterdir())
        return {"events": events, "size_bytes": size, "starts": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    found = [measured(events, options.times) for events in (0, options.events)]
    rows = []
    for each in found:
        ready, mended = (sorted(s[name] for s in each["starts"]) for name in ("ready_seconds", "mended_seconds"))
        middle = len(ready) // 2
        took = [f"{seconds[place]:.2f} s" for seconds in (ready, mended) for place in (middle, -1)]
        rows.append((f"{each['events']:,} events", f"{each['size_bytes'] / 1e9:.1f} GB", *took))
    header = ("store", "its size at the end", "ready, median", "ready, longest", "mended, median", "mended, longest")
    table = _results.markdown(header, rows)
    _results.write("startup", "Starts after kill -9", f"{__doc__}\n{table}", {"measured": found})
    print(table)


if __name__ == "__main__":
    main()
