"""The processes the demo is made of: started apart from the terminal, awaited, and stopped to the last one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

READY_SECONDS = 90.0
STOP_SECONDS = 10.0


class DemoFailed(Exception):
    """A part of the demo did not start, or ended by itself; the message says which, and what its log says."""


@dataclass(frozen=True, slots=True)
class Part:
    """One running process of the demo, the leader of its own process group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, name: str, command: Sequence[str], environment: Mapping[str, str], home: Path) -> Part:
        """Start `python -m …`; Ctrl-C reaches the demo alone, which then stops its parts in their order."""
        log = home / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=home,
                start_new_session=True,
            )
        return cls(name, process, log)

    def check(self) -> None:
        """See that it still runs.

        Raises:
            DemoFailed: it has ended.
        """
        code = self.process.poll()
        if code is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
            lines = [f"expected the {self.name} to run, it ended with exit {code} and said:", *tail]
            raise DemoFailed("\n    ".join(lines))

    def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """SIGTERM to the whole group, and SIGKILL to what is left of it once it has had its time."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def await_answer(url: str, parts: Sequence[Part], stop: threading.Event) -> None:
    """Wait until `url` answers 200, or until `stop` is set.

    Raises:
        DemoFailed: a part ended, or it took too long.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not stop.is_set():
        for part in parts:
            part.check()
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2).ok:
                return
        if time.monotonic() > deadline:
            raise DemoFailed(f"expected {url} to answer within {READY_SECONDS:.0f} s, got nothing; see {parts[-1].log}")
        stop.wait(0.1)


def free_port(wished: int) -> int:
    """The wished port of 127.0.0.1 if nobody has it, else any free one.

    Raises:
        DemoFailed: there is none.
    """
    for port in (wished, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DemoFailed("expected a free port on 127.0.0.1, got none")
