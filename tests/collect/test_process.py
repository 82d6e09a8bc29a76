"""The process collector, on real processes that listen, work, fork, die and come back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from monitor.collect.process import FAMILIES, Collector, Options
from monitor.records import Reading, Verdict

# Listens on the port it is given (0: any, -1: none), starts so many children, burns the CPU it is told to, and says when that is done.
APP = r"""
import os, socket, sys, time
port, children = int(sys.argv[1]), int(sys.argv[2])
if port >= 0:
    listening = socket.create_server(("127.0.0.1", port))
    port = listening.getsockname()[1]
kept = []
pids = []
for _ in range(children):
    pid = os.fork()
    if pid == 0:
        ballast = bytearray(30_000_000)
        os.write(1, b"child\n")  # in one piece, so that two children don't mix
        while True:
            time.sleep(60)
    pids.append(pid)
os.write(1, f"ready {port}\n".encode())
for line in sys.stdin:
    word, _, amount = line.strip().partition(" ")
    if word == "burn":
        until = time.process_time() + float(amount)
        while time.process_time() < until:
            pass
    if word == "open":
        kept += [open(os.devnull) for _ in range(int(amount))]
    print("done", flush=True)
"""


class App:
    def __init__(self, port: int, children: int) -> None:
        command = [sys.executable, "-c", APP, str(port), str(children)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        said = [self.process.stdout.readline().strip() for _ in range(children + 1)]
        *others, (ready, port_text) = sorted(
            (line.split() for line in said), key=lambda words: words == ["child"], reverse=True
        )
        assert (others, ready) == ([["child"]] * children, "ready")
        self.port = int(port_text)

    def told(self, text: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def running(port: int = -1, children: int = 0) -> Iterator[App]:
    app = App(port, children)
    try:
        yield app
    finally:
        app.end()


@pytest.fixture
def pid_file(tmp_path: Path) -> Callable[[int], Path]:
    def write(pid: int) -> Path:
        path = tmp_path / "app.pid"
        path.write_text(f"{pid}\n", encoding="ascii")
        return path

    return write


PidFile = Callable[[int], Path]


def collector(**given: Any) -> Collector:
    return Collector(Options.model_validate(given))


def value(reading: Reading, name: str) -> float:
    (found,) = [sample.value for sample in reading.samples if sample.name == f"anchorwatch_app_{name}"]
    return found


def awaited(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition has not come true"
        time.sleep(0.005)


def test_the_process_that_listens_on_the_port_is_the_app() -> None:
    with running(port=0) as app:
        reading = collector(port=app.port).collect()
        seen = psutil.Process(app.process.pid)
        assert (reading.verdict, reading.reason) == (Verdict.OK, f"pid {app.process.pid}")
        assert value(reading, "memory_resident_bytes") == pytest.approx(seen.memory_info().rss, rel=0.1)
        assert value(reading, "open_files") == seen.num_fds()
        assert value(reading, "threads") == 1
        assert value(reading, "start_timestamp_seconds") == pytest.approx(time.time(), abs=30)
        assert {sample.name for sample in reading.samples} == {family.name for family in FAMILIES}


def test_cpu_is_counted_from_the_first_look_on(pid_file: PidFile) -> None:
    """The first look adds nothing (what came before is not ours to report); the next adds what was used since."""
    with running() as app:
        app.told("burn 0.3")
        watch = collector(pid_file=pid_file(app.process.pid))
        assert value(watch.collect(), "cpu_seconds_total") == 0
        app.told("burn 0.4")
        assert value(watch.collect(), "cpu_seconds_total") == pytest.approx(0.4, abs=0.25)
        assert value(watch.collect(), "cpu_seconds_total") == pytest.approx(0, abs=0.05)


def test_open_files_are_counted(pid_file: PidFile) -> None:
    with running() as app:
        watch = collector(pid_file=pid_file(app.process.pid))
        before = value(watch.collect(), "open_files")
        app.told("open 7")
        assert value(watch.collect(), "open_files") == before + 7


def test_workers_are_summed_into_their_app() -> None:
    """A master with two workers that all hold the listening socket is one app, not three."""
    with running(port=0, children=2) as app:
        reading = collector(port=app.port).collect()
        assert (reading.verdict, reading.reason) == (Verdict.OK, f"pid {app.process.pid}")
        assert value(reading, "threads") == 3
        assert value(reading, "memory_resident_bytes") > 60_000_000


def test_a_restart_on_the_same_port_is_counted_once() -> None:
    with running(port=0) as app:
        port = app.port
        watch = collector(port=port)
        assert value(watch.collect(), "restarts_total") == 0
        assert value(watch.collect(), "restarts_total") == 0
        first = app.process.pid
    gone = watch.collect()
    assert (gone.verdict, gone.reason, gone.samples) == (Verdict.NO_DATA, f"no process listens on port {port}", ())
    with running(port) as app:
        app.told("burn 0.2")
        back = watch.collect()
        assert app.process.pid != first
        assert value(back, "restarts_total") == 1
        assert value(back, "cpu_seconds_total") >= 0.2, "all a new process has used, it has used since the last look"
        assert value(watch.collect(), "restarts_total") == 0


def test_the_process_is_not_looked_for_again_while_it_lives() -> None:
    """The look over all sockets of the machine happens once: a second listener that appears changes nothing."""
    with running(port=0) as app:
        watch = collector(port=app.port)
        watch.collect()
        found = watch._root
        watch.collect()
        assert watch._root is found
        assert found is not None
        assert found.pid == app.process.pid


def test_a_new_pid_in_the_pid_file_is_followed(pid_file: PidFile) -> None:
    """The file is the truth, also while the old process is still ending."""
    with running() as old, running() as new:
        path = pid_file(old.process.pid)
        watch = collector(pid_file=path)
        assert watch.collect().reason == f"pid {old.process.pid}"
        path.write_text(f"{new.process.pid}\n", encoding="ascii")
        reading = watch.collect()
        assert reading.reason == f"pid {new.process.pid}"
        assert value(reading, "restarts_total") == 1


def test_a_process_that_is_dead_but_not_yet_reaped_is_gone(pid_file: PidFile) -> None:
    with running() as app:
        path = pid_file(app.process.pid)
        watch = collector(pid_file=path)
        watch.collect()
        app.process.kill()
        awaited(lambda: psutil.Process(app.process.pid).status() == psutil.STATUS_ZOMBIE)
        reading = watch.collect()
        assert (reading.verdict, reading.reason) == (Verdict.NO_DATA, f"no process has the id in {path}")


def test_a_name_finds_the_one_living_process_it_fits(tmp_path: Path) -> None:
    program = tmp_path / f"aw{os.getpid()}"
    program.symlink_to("/bin/sleep")
    processes = [subprocess.Popen([str(program), "60"]) for _ in range(2)]
    try:
        awaited(lambda: all(psutil.Process(each.pid).name() == program.name for each in processes))
        reading = collector(name=program.name).collect()
        pids = ", ".join(str(pid) for pid in sorted(each.pid for each in processes))
        said = f"expected one process that is named {program.name}, got 2 (pids {pids})"
        assert (reading.verdict, reading.reason) == (Verdict.NO_DATA, said)
        processes[1].kill()
        processes[1].wait()
        watch = collector(name=program.name)
        reading = watch.collect()
        assert (reading.verdict, reading.reason) == (Verdict.OK, f"pid {processes[0].pid}")
        processes[0].kill()
        awaited(lambda: psutil.Process(processes[0].pid).status() == psutil.STATUS_ZOMBIE)
        reading = watch.collect()
        assert (reading.verdict, reading.reason) == (Verdict.NO_DATA, f"no process is named {program.name}")
    finally:
        for each in processes:
            each.kill()
            each.wait()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read {path}: No such file or directory"),
        ("", "expected a process id in {path}, got something else"),
        ("hushhush", "expected a process id in {path}, got something else"),
        ("-1", "no process has the id in {path}"),
        ("99999999999999999999", "no process has the id in {path}"),
        ("2147483646", "no process has the id in {path}"),
    ],
)
def test_a_pid_file_that_leads_nowhere_is_no_data_with_its_reason(
    content: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "app.pid"
    if content is not None:
        path.write_text(content, encoding="ascii")
    reading = collector(pid_file=str(path)).collect()
    assert (reading.verdict, reading.reason, reading.samples) == (Verdict.NO_DATA, said.format(path=path), ())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected one of port, pid_file and name, got none"),
        ({"port": 8000, "name": "api"}, "expected one of port, pid_file and name, got port and name"),
        ({"cgroup": "/system.slice/api.service"}, "cgroup: not available yet"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(given)
    (error,) = caught.value.errors()
    assert error["msg"] == f"Value error, {message}"


@pytest.mark.parametrize("port", [0, 65536, "http"])
def test_a_port_is_between_1_and_65535(port: object) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"port": port})
