"""The ends and the forks of the app's processes: nothing is lost that could be sent, nothing sent twice, nobody waits."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from monitor.client import Client, Limits
from tests.client.stand_in import QUICK, arrived, await_stats, log, numbered, records, taking, threads
from tests.e2e.daemon import eventually
from tests.servers import closed_port, hang, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # said from 3.12 on
]

ROOT = Path(__file__).parents[2]
NOWHERE = f"http://127.0.0.1:{closed_port()}"
BEGIN = """
import os, signal, sys, threading, time
from monitor.client import Client, Limits
client = Client(sys.argv[1], limits=Limits(delay_seconds=60, exit_seconds=2))
def log(count, first=0):
    for number in range(first, first + count):
        client.log_prediction("demand", f"e{number}", {"temp": 0.5}, 1.0)
"""


def program(url: str, code: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + code, url],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **more},
    )  # fmt: skip


def ended(url: str, code: str) -> tuple[int, str, float]:
    """Exit code, what was said on standard error, and the seconds of its life."""
    begun = time.monotonic()
    with program(url, code) as process:
        _, error = process.communicate(timeout=60)
        return process.returncode, error, time.monotonic() - begun


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('the app broke')", 1),
        ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.raise_signal(signal.SIGTERM)", 0),
    ],
)
def test_what_is_queued_is_sent_however_the_interpreter_ends(how: str, code: int) -> None:
    with serving(taking()) as server:
        found, error, _ = ended(server.url, f"log(1234)\n{how}")
        assert found == code, error
        assert arrived(server) == numbered(1234)


def test_a_record_logged_as_the_interpreter_ends_is_still_sent() -> None:
    with serving(taking()) as server:
        code, error, _ = ended(server.url, "import atexit\natexit.register(log, 1, 1)\nlog(1)")
        assert (code, error) == (0, "")
        assert sorted(arrived(server)) == numbered(2)


def test_the_first_record_of_all_may_come_as_the_interpreter_ends() -> None:
    """From 3.12 on no thread can be started by then, and nothing may be raised for it."""
    code, error, seconds = ended(NOWHERE, "import atexit\natexit.register(log, 1)")
    assert code == 0
    assert "Traceback" not in error
    assert seconds < 20


@pytest.mark.parametrize("daemon", ["dead", "hung"])
def test_the_end_waits_no_longer_than_it_may_for_a_daemon_that_does_not_answer(daemon: str) -> None:
    with serving(hang) as server:
        url = NOWHERE if daemon == "dead" else server.url
        usual = ended(url, "pass")[2]
        code, error, seconds = ended(url, "log(100)")
    assert code == 0
    assert "Traceback" not in error
    assert seconds < usual + 2 + 5


def test_daemon_threads_that_still_log_do_not_spoil_the_end() -> None:
    busy = "threading.Thread(target=lambda: [log(1) for _ in iter(int, 1)], daemon=True).start()"
    with serving(taking()) as server:
        code, error, _ = ended(server.url, f"{busy}\ntime.sleep(0.3)")
    assert code == 0
    assert "Traceback" not in error
    assert "Fatal" not in error


# --- forks ------------------------------------------------------------------------------------------------------------


def in_child(run: object) -> int:
    """The exit code of a forked child that runs this and no more."""
    child = os.fork()
    if not child:
        code = 1
        try:
            run()  # type: ignore[operator]
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_sends_its_own_records_and_leaves_its_parents_alone() -> None:
    """As under a server that loads the app and then forks its workers."""
    with serving(taking()) as server:
        client = Client(server.url, limits=Limits(delay_seconds=60))
        log(client, numbered(10))

        def work() -> None:
            assert client.stats().queued == 0
            assert threads() == []
            log(client, numbered(5, first=100))
            assert client.flush(10)
            assert client.stats().accepted == 5

        assert [in_child(work) for _ in range(3)] == [0, 0, 0]
        assert client.stats().queued == 10
        assert client.close(10)
        assert sorted(arrived(server)) == sorted(numbered(5, first=100) * 3 + numbered(10))


def test_forks_in_the_midst_of_everything_never_hang_a_child() -> None:
    """Whichever lock a thread of the parent holds, the child has fresh ones."""
    with serving(taking()) as server:
        client = Client(server.url, limits=QUICK)
        stop = threading.Event()

        def busy() -> None:
            while not stop.is_set():
                log(client, ["parent"])
                client.stats()

        workers = [threading.Thread(target=busy, daemon=True) for _ in range(4)]
        for worker in workers:
            worker.start()

        def work() -> None:
            signal.alarm(20)  # one that hangs is killed, and its exit code tells
            log(client, ["child"])
            assert client.flush(15)

        codes = [in_child(work) for _ in range(25)]
        stop.set()
        for worker in workers:
            worker.join(10)
        assert codes == [0] * 25
        assert client.close(10)
        assert arrived(server).count("child") == 25


def test_a_fork_right_after_the_first_record_hangs_nobody() -> None:
    code = """
log(1)
if not (child := os.fork()):
    signal.alarm(20)
    log(1, first=1)
    os._exit(0 if client.flush(15) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    with serving(taking()) as server:
        found, error, _ = ended(server.url, code)
        assert (found, error) == (0, "")
        assert sorted(arrived(server)) == numbered(2)


def logging_process(client: Client, first: int) -> None:
    log(client, numbered(3, first=first))


def test_a_process_of_multiprocessing_flushes_at_its_end() -> None:
    """These end without atexit."""
    with serving(taking()) as server:
        client = Client(server.url, limits=Limits(delay_seconds=60))
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=logging_process, args=(client, first)) for first in (0, 3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
        assert [process.exitcode for process in processes] == [0, 0]
        assert sorted(arrived(server)) == numbered(6)
        client.close()


# --- threads ----------------------------------------------------------------------------------------------------------


def test_records_of_many_threads_arrive_once_each_by_one_thread() -> None:
    with serving(taking()) as server, Client(server.url, limits=QUICK) as client:
        before = len(threads())
        workers = [threading.Thread(target=log, args=(client, numbered(500, first=500 * n))) for n in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert len(threads()) - before == 1
        assert client.flush(20)
        assert sorted(arrived(server)) == sorted(numbered(4000))
        await_stats(client, accepted=4000, waiting=0, waiting_bytes=0)


def test_a_signals_handler_may_log_at_any_moment() -> None:
    """It runs in a thread that may be in the midst of logging itself."""
    seen = 0

    def handle(_number: int, _frame: object) -> None:
        nonlocal seen
        seen += 1
        log(client, ["handler"])

    with serving(taking()) as server, Client(server.url, limits=QUICK) as client:
        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            logged = 0
            until = time.monotonic() + 20
            while seen < 300 and time.monotonic() < until:
                log(client, ["app"] * 10)
                client.stats()
                logged += 10
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert seen >= 300
        assert client.flush(20)
        stats = client.stats()
        assert stats.accepted + sum(stats.dropped.values()) == logged + seen
        assert arrived(server).count("app") + arrived(server).count("handler") == stats.accepted


def test_a_system_without_a_thread_to_give_raises_nothing_and_is_asked_again(monkeypatch) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serving(taking()) as server, Client(server.url, limits=QUICK) as client:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            log(client, ["one"])
            assert client.stats().waiting == 1
        eventually(lambda: log(client, ["more"]) and threads(), "another try", 10)
        assert client.flush(10)
        assert arrived(server)[0] == "one"


def test_importing_the_client_imports_nothing_but_the_standard_library() -> None:
    code = "import json, sys; before = set(sys.modules); import monitor.client; print(json.dumps(sorted(set(sys.modules) - before)))"
    import json

    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True))
    ours = [name for name in loaded if name.startswith("monitor")]
    assert ours
    assert all(name == "monitor" or name.startswith("monitor.client") for name in ours)
    third = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"monitor"}
    assert third == set()
    assert not {"asyncio", "dataclasses", "concurrent", "multiprocessing"} & set(loaded)


def test_the_stand_in_sees_what_was_sent() -> None:
    """The tests above cannot pass because nothing is looked at."""
    with serving(taking()) as server:
        with Client(server.url, limits=QUICK) as client:
            log(client, ["one"])
        assert [records(seen)[0]["event_id"] for seen in server.seen] == ["one"]


UVICORN = """
import sys, uvicorn
from fastapi import FastAPI
from monitor.client import AsgiMiddleware, Client, Limits
client, app = Client(sys.argv[1], limits=Limits(delay_seconds=60)), FastAPI()
app.add_middleware(AsgiMiddleware, client=client)

@app.get("/predict")
def predict() -> str:
    return client.log_prediction("demand", "one", {"temp": 0.5}, 1.0)

uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


def test_a_fastapi_app_under_uvicorn_loses_nothing_when_it_is_told_to_stop(free_port: int) -> None:
    """uvicorn ends by the signal that it was sent, so nothing that waits for the interpreter's end is run."""
    with serving(taking()) as server:
        command = [sys.executable, "-c", UVICORN, server.url, str(free_port)]
        with subprocess.Popen(command, cwd=ROOT) as process:
            try:
                url = f"http://127.0.0.1:{free_port}/predict"
                assert eventually(lambda: requests.get(url, timeout=5).status_code == 200, "the app")
                assert server.seen == []
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) in (0, -signal.SIGTERM)
            finally:
                process.kill()
        assert arrived(server) == ["one"]
