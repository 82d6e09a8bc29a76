"""`make run` and `anchorwatch demo`: the loop closes within three minutes, and Ctrl-C leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import requests

PROGRAM = (
    "import sys; from pathlib import Path; from monitor.demo import run; sys.exit(run(data_dir=Path(sys.argv[1])))"
)


def running(family):
    """Those of the processes that still do anything."""
    return [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


class Demo:
    """The demo in a process of its own, its lines as they come."""

    def __init__(self, data_dir, program=PROGRAM):
        self.lines: list[str] = []
        self._heard = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(data_dir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            with self._heard:
                self.lines.append(line.rstrip())
                self._heard.notify_all()

    def await_line(self, pattern, seconds):
        """The first line that matches; fails, with the story so far, if it does not come in time."""

        def found():
            return next((line for line in self.lines if re.search(pattern, line)), None)

        with self._heard:
            came = self._heard.wait_for(lambda: found() or self.process.poll() is not None, seconds)
            line = found() if came else None
            assert line, f"no line with {pattern!r} in:\n" + "\n".join(self.lines)
            return line

    def interrupt(self):
        """Ctrl-C; gives the exit code, what was said on standard error, and the processes that are left."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        assert len(family) >= 1
        self.process.send_signal(signal.SIGINT)
        error = self._end()
        return self.process.returncode, error, running(family)

    def _end(self):
        self.process.wait(45)
        return self.process.stderr.read()


@pytest.fixture
def demo(tmp_path):
    started = Demo(tmp_path / "demo")
    yield started
    if started.process.poll() is None:
        started.process.send_signal(signal.SIGINT)
        started.process.wait(45)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_within_three_minutes_the_loop_closes_before_a_persons_eyes(demo, tmp_path):
    begun = time.monotonic()
    watch = re.search(r"http://\S+?(?=/)", demo.await_line("the watch", 60))[0]
    app = re.search(r"http://\S+?(?=/)", demo.await_line("the app", 5))[0]
    for pattern in [
        r"watching +bike-api answers its probe:health",
        r"week +v1: error",
        r"ALERT +.*temp.* drifted",
        r"ALERT +.*mae",
        r"RETRAIN +asked the app by webhook to train v1",
        r"DEPLOYED +v2",
        r"RECOVERED +v2",
    ]:
        demo.await_line(pattern, begun + 180 - time.monotonic())
    assert requests.get(f"{app}/healthz", timeout=5).json()["model_version"] == "v2"
    ledger = requests.get(f"{watch}/v1/ledger", timeout=5).json()
    entries = ledger if isinstance(ledger, list) else next(rows for rows in ledger.values() if isinstance(rows, list))
    states = [entry["data"]["state"] for entry in entries if entry["kind"] == "retraining"]
    assert [state for state in states if state != "refused"][:4] == ["requested", "accepted", "deployed", "recovered"]
    first_week = float(re.search(r"error +([\d.]+)", next(line for line in demo.lines if "week" in line))[1])
    assert first_week < 10, "the first model was never any good, so nothing was shown"
    dates = [line[:10] for line in demo.lines if re.match(r"2011-\d\d-\d\d  ", line)]
    assert dates == sorted(dates)
    code, error, left = demo.interrupt()
    assert (code, error, left) == (0, "", [])
    for log in (tmp_path / "demo").glob("*.log"):
        assert "Traceback" not in log.read_text(), log


@pytest.mark.slow
def test_ctrl_c_while_the_demo_still_starts_leaves_nothing_behind(demo):
    demo.await_line("Training its first model", 30)
    deadline = time.monotonic() + 30
    while not psutil.Process(demo.process.pid).children():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    code, error, left = demo.interrupt()
    assert (code, error, left) == (0, "", [])


@pytest.mark.slow
def test_a_part_that_dies_ends_the_demo_and_says_so(demo):
    demo.await_line("Ctrl-C", 60)
    app = next(p for p in psutil.Process(demo.process.pid).children() if "bikes.app" in p.cmdline())
    family = psutil.Process(demo.process.pid).children(recursive=True)
    app.kill()
    demo.process.wait(45)
    assert demo.process.returncode == 2
    assert "expected the app to run, it ended with exit -9" in demo.process.stderr.read()
    assert running(family) == []
