"""The example, replayed: starts the bike service, its riders and the daemon, and tells what happens as a story."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import requests

from monitor.bundled import folder
from monitor.demo.parts import DemoFailed, Part, await_answer, free_port
from monitor.demo.story import Story

START = "2011-03-01T00:00:00Z"
RATE = 43200.0  # half a day a second: a month a minute
LOOK_SECONDS = 0.5


def run(
    *, seconds: float | None = None, out: TextIO = sys.stdout, data_dir: Path | None = None, rate: float = RATE
) -> int:
    """Run the demo until Ctrl-C, SIGTERM or, if given, for so many real seconds of replay.

    Args:
        seconds: when to end by itself.
        out: where the story goes.
        data_dir: where store, models and logs are kept; by default a fresh temporary folder, removed at the end.
        rate: seconds of event time per real second.

    Returns:
        0; or 2 if a part of the demo failed, which is said on standard error.
    """
    home = Path(data_dir or tempfile.mkdtemp(prefix="anchorwatch-demo-")).resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _stop_on_signals() as stop:
        demo = _Demo(home, rate, stop, out)
        try:
            demo.start()
            demo.tell_story(seconds)
        except DemoFailed as failure:
            print(f"demo: {failure}", file=sys.stderr)  # noqa: T201 - this is what the command says
            return 2
        finally:
            demo.stop()
            if data_dir is None:
                shutil.rmtree(home, ignore_errors=True)
    demo.say("Everything is stopped.")
    return 0


class _Demo:
    """The running parts, the clock they share, and where to tell of them."""

    def __init__(self, home: Path, rate: float, stop: threading.Event, out: TextIO) -> None:
        self._home, self._rate, self._stop, self._out = home, rate, stop, out
        self._parts: list[Part] = []
        self._app_port, self._watch_port = free_port(8000), free_port(9877)
        self._app_url = f"http://127.0.0.1:{self._app_port}"
        self._watch_url = f"http://127.0.0.1:{self._watch_port}"

    def say(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()

    def start(self) -> None:
        """Start the parts one after the other, each when the one before it answers, and say where to look."""
        examples = folder("examples")
        environment = self._environment(examples)
        config = examples / "bikes" / "anchorwatch.yml"
        self.say("Anchorwatch demo: a bike rental in spring, about a month a minute. Training its first model ...")
        self._begin("app", ["bikes.app", "--port", str(self._app_port), "--data", str(self._home)], environment)
        await_answer(f"{self._app_url}/healthz", self._parts, self._stop)
        rate, origin = str(self._rate), str(time.time())
        clock = ["--clock-start", START, "--clock-rate", rate, "--clock-origin", origin]
        self._begin("watch", ["monitor.cli", "run", "-c", str(config), *clock, "--demo"], environment)
        await_answer(f"{self._watch_url}/readyz", self._parts, self._stop)
        self._begin("traffic", ["bikes.traffic", "--start", START, "--rate", rate, "--origin", origin], environment)
        if not self._stop.is_set():
            self.say(f"\n  the watch  {self._watch_url}/           also /metrics, /v1/findings, /v1/ledger")
            self.say(f"  the app    {self._app_url}/healthz    also /metrics")
            self.say(f"  logs       {self._home}/*.log\n  Ctrl-C stops everything.\n")

    def tell_story(self, seconds: float | None) -> None:
        """Tell what the daemon says, until it is time to stop.

        Raises:
            DemoFailed: a part ended by itself.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        story = Story()
        with requests.Session() as session:

            def get(path: str) -> Any:
                answer = session.get(self._watch_url + path, timeout=5)
                answer.raise_for_status()
                return answer.json()

            while not self._stop.wait(LOOK_SECONDS) and (deadline is None or time.monotonic() < deadline):
                for part in self._parts:
                    part.check()
                with contextlib.suppress(requests.RequestException):  # busy for a moment; an ended part shows above
                    self._tell(story, get)

    def stop(self) -> None:
        """Stop the parts, the last one first."""
        while self._parts:
            self._parts.pop().stop()

    def _begin(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        if not self._stop.is_set():
            self._parts.append(Part.start(name, command, environment, self._home))

    def _tell(self, story: Story, get: Callable[[str], Any]) -> None:
        closed = story.recovered
        for line in story.new_lines(get):
            self.say(line)
        if story.recovered and not closed:
            self.say(f"\n  The ledger has it all: {self._watch_url}/v1/ledger   The replay goes on; Ctrl-C stops it.\n")

    def _environment(self, examples: Path) -> dict[str, str]:
        paths = [str(examples), str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "OMP_NUM_THREADS": "1",  # a small model trains no faster on many threads, and others want the machine too
            "BIKES_DATA": str(self._home),
            "BIKES_PORT": str(self._app_port),
            "BIKES_URL": self._app_url,
            "ANCHORWATCH_DATA": str(self._home / "watch"),
            "ANCHORWATCH_LISTEN": f"127.0.0.1:{self._watch_port}",
            "ANCHORWATCH_URL": self._watch_url,
        }


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set while this lasts, however often they come."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
