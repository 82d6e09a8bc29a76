"""The app's process as the system sees it: CPU, memory, open files, threads, restarts; its children are summed in.

The process is looked for once and remembered; it is looked for again only when it has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Self

import psutil
from pydantic import Field, model_validator

from monitor import options as configured
from monitor.records import Family, Reading, Sample, Verdict

SECTION = "process"

CPU = Family(
    "anchorwatch_app_cpu_seconds_total", "counter", "CPU time the app and its children used, user and system.", ("app",)
)
MEMORY = Family(
    "anchorwatch_app_memory_resident_bytes",
    "gauge",
    "Resident memory of the app and its children; pages they share count for each.",
    ("app",),
)
OPEN_FILES = Family("anchorwatch_app_open_files", "gauge", "File descriptors the app and its children hold.", ("app",))
THREADS = Family("anchorwatch_app_threads", "gauge", "Threads of the app and its children.", ("app",))
RESTARTS = Family(
    "anchorwatch_app_restarts_total", "counter", "How often another process was found in the app's place.", ("app",)
)
START = Family("anchorwatch_app_start_timestamp_seconds", "gauge", "When the app started, in Unix seconds.", ("app",))
FAMILIES = (CPU, MEMORY, OPEN_FILES, THREADS, RESTARTS, START)

_SUPERVISORS = frozenset({"systemd", "launchd", "init"})


class Options(configured.Options):
    """How to find the process: by the port it listens on, by its pid file or by its name."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    pid_file: Path | None = None
    name: str | None = None
    cgroup: Any = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if self.cgroup is not None:
            raise ValueError("cgroup: not available yet")
        given = [key for key in ("port", "pid_file", "name") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of port, pid_file and name, got {' and '.join(given) or 'none'}")
        return self


class _NotFound(Exception):
    """There is no such process, or we cannot tell which one it is."""


def _roots(pids: Iterable[int]) -> list[psutil.Process]:
    """Those of these processes that descend from none of the others; a supervisor that holds a socket is none."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.name() not in _SUPERVISORS and process.status() != psutil.STATUS_ZOMBIE:
                found[pid] = process
        except psutil.Error:
            continue  # gone in the meantime
    return [process for process in found.values() if not found.keys() & {parent.pid for parent in _parents(process)}]


def _parents(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.Error:
        return []


def _only(pids: Iterable[int], what: str) -> psutil.Process:
    roots = _roots(pids)
    if not roots:
        raise _NotFound(f"no process {what}")
    if len(roots) > 1:
        shown = ", ".join(str(process.pid) for process in sorted(roots, key=lambda process: process.pid)[:5])
        raise _NotFound(f"expected one process that {what}, got {len(roots)} (pids {shown})")
    return roots[0]


def _by_port(port: int) -> psutil.Process:
    listening = [
        connection
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
    ]
    pids = {connection.pid for connection in listening if connection.pid is not None}
    if listening and not pids:
        raise _NotFound(f"a process listens on port {port}, but we may not see which (another user's or container's)")
    return _only({_first_holder(pid, port) for pid in pids}, f"listens on port {port}")


def _first_holder(pid: int, port: int) -> int:
    """The oldest ancestor that listens as well: of a socket shared with workers, the system names just any holder."""
    try:
        for parent in psutil.Process(pid).parents():
            listens = any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for connection in parent.net_connections(kind="tcp")
            )
            if not listens or parent.name() in _SUPERVISORS:
                break
            pid = parent.pid
    except psutil.Error:
        return pid
    return pid


def _by_pid_file(path: Path) -> psutil.Process:
    try:
        pid = int(path.read_text(encoding="ascii"))
    except OSError as error:
        raise _NotFound(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise _NotFound(f"expected a process id in {path}, got something else") from error
    return _only([pid] if 0 < pid < 2**31 else [], f"has the id in {path}")


def _by_name(name: str) -> psutil.Process:
    fitting = (process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == name)
    return _only(fitting, f"is named {name}")


def _finder(options: Options) -> Callable[[], psutil.Process]:
    if options.port is not None:
        port = options.port
        return lambda: _by_port(port)
    if options.pid_file is not None:
        path = options.pid_file
        return lambda: _by_pid_file(path)
    name = options.name or ""
    return lambda: _by_name(name)


Identity = tuple[int, float]


def _identity(process: psutil.Process) -> Identity:
    return process.pid, process.create_time()


class Collector:
    """Remembers the process, what it had used and who its children were."""

    def __init__(self, options: Options) -> None:
        self._find = _finder(options)
        self._follows_file = options.pid_file is not None
        self._root: psutil.Process | None = None
        self._last_identity: Identity | None = None
        self._cpu_seconds: dict[Identity, float] | None = None

    def collect(self) -> Reading:
        """Look now; a process that isn't there or can't be told is no data, with the reason."""
        try:
            self._root = self._present()
            samples = self._samples(self._root)
        except _NotFound as error:
            return Reading(Verdict.NO_DATA, str(error))
        except psutil.AccessDenied:
            return Reading(Verdict.NO_DATA, "the process belongs to another user and may not be looked at")
        except psutil.Error:
            return Reading(Verdict.NO_DATA, "the process ended while it was looked at")
        return Reading(Verdict.OK, f"pid {self._root.pid}", tuple(samples))

    def close(self) -> None:
        """Nothing is held open between looks."""

    def _present(self) -> psutil.Process:
        root = self._root
        # A pid file is cheap to read and the truth; the other ways of finding are dear.
        if root is None or self._follows_file or not root.is_running() or root.status() == psutil.STATUS_ZOMBIE:
            self._root = None
            root = self._find()
        return root

    def _samples(self, root: psutil.Process) -> list[Sample]:
        identity = _identity(root)
        restarted = self._last_identity is not None and self._last_identity != identity
        tree = [root, *root.children(recursive=True)]
        cpu, memory, threads, files = self._sums(root, tree)
        self._last_identity = identity
        samples = [
            Sample(CPU.name, {}, cpu),
            Sample(MEMORY.name, {}, float(memory)),
            Sample(THREADS.name, {}, float(threads)),
            Sample(RESTARTS.name, {}, float(restarted)),
            Sample(START.name, {}, identity[1]),
        ]
        if files is not None:
            samples.append(Sample(OPEN_FILES.name, {}, float(files)))
        return samples

    def _sums(self, root: psutil.Process, tree: list[psutil.Process]) -> tuple[float, int, int, int | None]:
        """CPU seconds since the last look, resident bytes, threads, open files (None: not ours to count)."""
        before, used = self._cpu_seconds, {}
        memory = threads = 0
        files: int | None = 0
        for process in tree:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    used[_identity(process)] = times.user + times.system
                    memory += process.memory_info().rss
                    threads += process.num_threads()
            except psutil.NoSuchProcess:
                if process is root:
                    raise
                continue
            files = _added(files, process)
        self._cpu_seconds = used
        if before is None:  # what was used before anybody looked is not ours to report
            return 0.0, memory, threads, files
        # A process that was not there at the last look has used all of its time since.
        return sum(max(now - before.get(one, 0.0), 0.0) for one, now in used.items()), memory, threads, files


def _added(files: int | None, process: psutil.Process) -> int | None:
    if files is None:
        return None
    try:
        return files + process.num_fds()
    except psutil.NoSuchProcess:
        return files
    except psutil.AccessDenied:
        return None
