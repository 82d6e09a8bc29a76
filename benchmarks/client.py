"""What the client costs the app: a call, memory, and the latency of a small Flask app's requests without and with it.

Each app is a process of its own, asked one request after the other over one connection, in turns of a few hundred, so that
whatever else the machine does falls on all of them alike. Each request logs a prediction of 20 features.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import _results  # noqa: E402 - found by the line before
from benchmarks._speed_common import MEGABYTE  # noqa: E402

NUMBERS, TEXTS = 14, 6
TURN = 200  # requests
CALLS = 500
BARE, MEASURED = "without", "middleware alone"
LINES = {
    "bare": BARE,
    "middleware": MEASURED,
    "up": "client, daemon answers",
    "hung": "client, daemon hangs",
    "dead": "client, no daemon",
}
CONFIG = """
listen: 127.0.0.1:{port}
data_dir: data
apps:
  - name: shop
    models:
      - name: demand
        task: regression
        reference: {{type: files, path: reference.parquet}}
        windows: {{size: 1m, lateness: 0s}}
        checks: {{drift: {{thresholds: {{psi: 0.2}}}}}}
"""
RESIDENT = "; import psutil; print(psutil.Process().memory_info().rss)"


def features() -> dict[str, Any]:
    """What a model is given: numbers with all their digits, and short texts."""
    draw = np.random.default_rng(3)
    return {f"number_{n}": float(draw.normal()) for n in range(NUMBERS)} | {
        f"text_{n}": "category" for n in range(TEXTS)
    }


# --- a call -----------------------------------------------------------------------------------------------------------


def calls(times: int) -> dict[str, float]:
    """Microseconds of a call in the caller's thread: the least mean of so many turns."""
    from monitor.client import Client, Limits

    plain = features()
    numpy_ones = {name: np.float32(value) if isinstance(value, float) else value for name, value in plain.items()}
    record = {"model": "demand", "event_id": "e", "timestamp": 0.5, "features": plain, "prediction": 1.0}
    full = Client(f"http://127.0.0.1:{free_port()}", limits=Limits(queue_records=1))
    with (
        hung() as url,
        Client(None) as off,
        Client(url, limits=Limits(delay_seconds=600, batch_records=10**6)) as client,
    ):

        def log(found: Client, given: dict[str, Any]) -> Callable[[], Any]:
            return lambda: found.log_prediction("demand", "e", given, 1.0, model_version="v1")

        found = {
            "json.dumps of the record alone": least(lambda: json.dumps(record), times),
            "log_prediction": least(log(client, plain), times, client),
            "the same, of NumPy's numbers": least(log(client, numpy_ones), times, client),
            "the same, with a NaN": least(log(client, plain | {"number_0": float("nan")}), times, client),
            "the same, the queue full": least(log(full, plain), times),
            "log_label": least(lambda: client.log_label("demand", "e", 1.0), times, client),
            "log_prediction of a client that is off": least(log(off, plain), times),
        }
        full.close(0)
        client.close(0)
    return found


def least(work: Callable[[], Any], times: int, client: Any = None) -> float:
    best = float("inf")
    for _ in range(times):
        if client is not None:
            client.begin_anew()  # an empty queue, of which the one before is not sent
        begun = time.perf_counter()
        for _ in range(CALLS):
            work()
        best = min(best, (time.perf_counter() - begun) / CALLS)
    return best * 1e6


# --- memory -----------------------------------------------------------------------------------------------------------


def memory() -> dict[str, float]:
    """Megabytes a process holds beyond an empty one that has psutil."""
    fill = (
        "from monitor.client import Client; c = Client('http://127.0.0.1:1')\n"
        "for n in range(20_000): c.log_prediction('demand', str(n), {f'f{i}': n / 7 + i for i in range(20)}, 1.0)\n"
        "pass"
    )
    programs = {
        "import monitor.client": "import monitor.client",
        "import requests": "import requests",
        "a full queue": fill,
    }
    empty = resident("import psutil")
    return {name: (resident(program) - empty) / MEGABYTE for name, program in programs.items()}


def resident(program: str) -> int:
    ended = subprocess.run([sys.executable, "-c", program + RESIDENT], cwd=ROOT, check=True, capture_output=True)
    return int(ended.stdout)


# --- requests ---------------------------------------------------------------------------------------------------------


def serve(line: str, url: str, port: int) -> None:
    """The app, in this process, until it is killed."""
    import flask
    from werkzeug.serving import WSGIRequestHandler, make_server

    from monitor.client import Client, Limits, WsgiMiddleware

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            pass

    app = flask.Flask("shop")
    weights = {name: 0.5 for name, value in features().items() if isinstance(value, float)}
    client = Client(url if line in ("up", "hung", "dead") else None, limits=Limits(queue_records=2000))

    @app.post("/predict")
    def predict() -> dict[str, float]:
        given = flask.request.get_json()
        forecast = sum(weight * given[name] for name, weight in weights.items())
        if line not in ("bare", "middleware"):
            client.log_prediction("demand", None, given, forecast, model_version="v1")
        return {"forecast": forecast}

    @app.get("/stats")
    def stats() -> dict[str, Any]:
        return client.stats()._asdict()

    if line != "bare":
        app.wsgi_app = WsgiMiddleware(app.wsgi_app, client=client)  # type: ignore[method-assign]
    make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet).serve_forever()


class App:
    """One app under measurement, and the connection to it."""

    def __init__(self, line: str, url: str) -> None:
        self.seconds: list[float] = []
        self._port = free_port()
        self._process = subprocess.Popen([sys.executable, __file__, "--serve", line, url, str(self._port)], cwd=ROOT)
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        self._body = json.dumps(features())
        await_port(self._port)
        self.turn()
        self.seconds.clear()

    def turn(self) -> None:
        """Some requests, each timed."""
        for _ in range(TURN):
            begun = time.perf_counter()
            self._connection.request("POST", "/predict", self._body, {"Content-Type": "application/json"})
            answered = self._connection.getresponse()
            answered.read()
            self.seconds.append(time.perf_counter() - begun)
            if answered.status != 200:
                sys.exit(f"expected the app to answer 200, got {answered.status}")

    def end(self) -> dict[str, Any]:
        """The client's own counts; then it is killed."""
        self._connection.request("GET", "/stats")
        found: dict[str, Any] = json.loads(self._connection.getresponse().read())
        self._connection.close()
        self._process.kill()
        self._process.wait()
        return found


def requests(turns: int) -> dict[str, dict[str, Any]]:
    """Percentiles of each app's requests in milliseconds."""
    with tempfile.TemporaryDirectory() as folder, daemon(Path(folder)) as up, hung() as silent:
        urls = {"up": up, "hung": silent, "dead": f"http://127.0.0.1:{free_port()}"}
        apps = {line: App(line, urls.get(line, "")) for line in LINES}
        for turn in range(turns):
            for app in apps.values():
                app.turn()
            print(f"\rturn {turn + 1} of {turns}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return {line: percentiles(app.seconds) | {"stats": app.end()} for line, app in apps.items()}


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    found = np.percentile(np.array(seconds) * 1e3, [50, 99, 99.9])
    return dict(zip(("p50", "p99", "p99_9"), map(float, found), strict=True))


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """The real daemon, with a model of these features."""
    rows = {name: [value] * 500 for name, value in features().items()}
    for name in list(rows)[:NUMBERS]:
        rows[name] = np.random.default_rng(5).normal(size=500).tolist()
    pq.write_table(pa.table(rows), folder / "reference.parquet")
    port = free_port()
    (folder / "anchorwatch.yml").write_text(CONFIG.format(port=port), encoding="utf-8")
    command = [sys.executable, "-m", "monitor.cli", "run", "-c", str(folder / "anchorwatch.yml")]
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        await_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def hung() -> Iterator[str]:
    """A socket that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def await_port(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    sys.exit(f"expected somebody to listen on port {port} within 30 s")


def table(found: dict[str, Any]) -> str:
    """The three tables."""
    base = found["calls"]["json.dumps of the record alone"]
    lines = [[name, f"{micros:.1f} µs", f"{micros / base:.2f}"] for name, micros in found["calls"].items()]
    text = _results.markdown(["one call, 20 features", "caller's thread", "ratio"], lines)
    text += "\n\n" + _results.markdown(
        ["memory", "MB"], [[name, f"{held:.1f}"] for name, held in found["memory"].items()]
    )
    bare, lines = found["requests"]["bare"], []
    for line, told in found["requests"].items():
        figures = [f"{told[key]:.2f} ms ({told[key] / bare[key]:.2f})" for key in ("p50", "p99", "p99_9")]
        stats = told["stats"]
        lines.append([LINES[line], *figures, f"{stats['accepted']:,}", f"{sum(stats['dropped'].values()):,}"])
    return f"{text}\n\n" + _results.markdown(["requests", "median", "99 %", "99.9 %", "accepted", "dropped"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40, help=f"of {TURN} requests to each app (default: 40)")
    parser.add_argument("--serve", nargs=3, metavar=("LINE", "URL", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.serve:
        serve(given.serve[0], given.serve[1], int(given.serve[2]))
        return
    found = {"calls": calls(times=40), "memory": memory(), "requests": requests(given.turns)}
    body = (
        table(found)
        + f"\n\nRatios in brackets are to the same app without the client. {TURN * given.turns:,} requests of each.\n"
    )
    print(json.dumps(found, indent=1) if given.json else body)
    if given.turns >= 40 and not given.json:
        _results.write("client", "What the client costs the app", body, found)


if __name__ == "__main__":
    main()
