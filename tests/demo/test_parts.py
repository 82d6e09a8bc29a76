"""The demo's processes are awaited, missed when they end, and stopped to the last one."""

import os
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from monitor.demo.parts import DemoFailed, Part, await_answer, free_port
from tests.servers import answer, serving


def start(tmp_path: Path, code: str) -> Part:
    """A part that is this Python code."""
    (tmp_path / "part_under_test.py").write_text(code, encoding="utf-8")
    return Part.start("part", ["part_under_test"], {**os.environ, "PYTHONPATH": str(tmp_path)}, tmp_path)


def running(pid: int) -> bool:
    """Whether it still does anything; one that nobody has buried yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def await_line(part: Part, wanted: str) -> list[str]:
    deadline = time.monotonic() + 20
    while wanted not in (lines := part.log.read_text().split()):
        assert time.monotonic() < deadline, lines
        threading.Event().wait(0.02)
    return lines


def test_a_part_that_ended_is_missed_with_the_end_of_its_log(tmp_path):
    part = start(tmp_path, "print('so this is why'); raise SystemExit(3)")
    part.process.wait(20)
    with pytest.raises(
        DemoFailed, match="expected the part to run, it ended with exit 3 and said:\n    so this is why"
    ):
        part.check()
    with pytest.raises(DemoFailed):
        await_answer("http://127.0.0.1:9/", [part], threading.Event())


def test_a_part_that_ignores_sigterm_is_killed_with_its_children(tmp_path):
    part = start(
        tmp_path,
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN);"
        ' print("deaf", flush=True); time.sleep(60)\'])\n'
        "print(child.pid, 'ready', flush=True)\n"
        "time.sleep(60)\n",
    )
    await_line(part, "deaf")
    child = int(next(word for word in await_line(part, "ready") if word.isdigit()))
    part.stop(patience_seconds=0.2)
    assert part.process.returncode == -9
    deadline = time.monotonic() + 10
    while running(child):
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_stopping_a_part_that_has_ended_is_fine(tmp_path):
    part = start(tmp_path, "")
    part.process.wait(20)
    part.stop()
    assert part.process.returncode == 0


def test_an_answer_is_awaited_through_refusals():
    with serving(answer(503), answer(503), answer(200)) as server:
        await_answer(f"{server.url}/readyz", [], threading.Event())
        assert len(server.seen) == 3


def test_waiting_ends_when_it_is_time_to_stop():
    stop = threading.Event()
    stop.set()
    await_answer("http://127.0.0.1:9/", [], stop)


def test_the_wished_port_is_taken_if_it_is_free_and_another_if_not():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) not in (0, port)
    assert free_port(port) == port
