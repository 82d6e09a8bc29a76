"""The real daemon as a process of its own: how tests start it, ask it and end it, gently or not."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
T = TypeVar("T")


def eventually(ready: Callable[[], T], what: str, seconds: float = PATIENCE_SECONDS, step: float = 0.05) -> T:
    """What `ready` gives, once it is true; a peer that does not answer counts as not yet."""
    deadline, waiting = time.monotonic() + seconds, threading.Event()
    while True:
        with contextlib.suppress(requests.RequestException):
            if found := ready():
                return found
        assert time.monotonic() < deadline, f"expected {what} within {seconds:g} s"
        waiting.wait(step)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(folder), "PYTHONUNBUFFERED": "1"}


def write_config(folder: Path, **sections: Any) -> Path:
    """A configuration on a free port with its data beside it; the sections are those of the file."""
    path = folder / "anchorwatch.yml"
    config = {"listen": f"127.0.0.1:{free_port()}", "data_dir": "data", **sections}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def write_reference(path: Path, rows: int = 500) -> Path:
    """A reference with two features: `temp` between 0 and 1, and `season`, one of two."""
    draw = np.random.default_rng(7)
    columns = {
        "temp": draw.uniform(0, 1, rows),
        "season": draw.choice(["summer", "winter"], rows),
        "model_version": ["v1"] * rows,
    }
    pq.write_table(pa.table(columns), path)
    return path


def demand(**changes: Any) -> dict[str, Any]:
    """A pushed model of two features on hourly windows; its reference is that of `write_reference`."""
    model = {
        "name": "demand",
        "task": "regression",
        "reference": {"type": "files", "path": "reference.parquet"},
        "windows": {"size": "1h", "lateness": "0s"},
        "checks": {
            "drift": {"statistics": {"numeric": ["psi"]}, "thresholds": {"psi": 0.2}},
            "performance": {"metrics": ["mae"], "thresholds": {"mae": 5}, "min_labels": 10},
            "quality": {},
        },
    }
    return {**model, **changes}


def predictions(count: int, start: str, *, version: str = "v1", first: int = 0, model: str = "demand") -> list[Any]:
    """So many predictions, ten seconds apart from `start` on, distributed as the reference; ids run from `first` on."""
    draw = np.random.default_rng(first)
    begins = datetime.fromisoformat(start)
    return [
        {
            "model": model,
            "event_id": f"e{first + place}",
            "timestamp": (begins + timedelta(seconds=10 * place)).isoformat(),
            "model_version": version,
            "features": {"temp": float(draw.uniform(0, 1)), "season": str(draw.choice(["summer", "winter"]))},
            "prediction": 100.0,
            "latency_seconds": 0.01,
        }
        for place in range(count)
    ]


def labels_of(records: Sequence[dict[str, Any]], *, error: float = 0.0) -> list[dict[str, Any]]:
    """The label of every prediction, so far off."""
    return [
        {"model": each["model"], "event_id": each["event_id"], "label": each["prediction"] + error} for each in records
    ]


def command(
    *arguments: str | Path, seconds: float = 60.0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One command of anchorwatch, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "monitor.cli", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def export(config: Path, model: str = "demand") -> list[dict[str, Any]]:
    """Every raw event of a model, as `store export` writes them."""
    ended = command("store", "export", "-c", config, "--model", model, "--format", "ndjson")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


class Daemon:
    """One process at a time of one configuration; it may be started again after its end."""

    def __init__(self, config: Path, *arguments: str) -> None:
        self.config, self.arguments = config, arguments
        self.log = config.parent / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    @property
    def url(self) -> str:
        return f"http://{yaml.safe_load(self.config.read_text(encoding='utf-8'))['listen']}"

    # --- its life -------------------------------------------------------------------------------------------------

    def spawn(self, *arguments: str) -> None:
        """Start the process and wait for nothing."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor.cli", "run", "-c", str(self.config), *(arguments or self.arguments)],
                cwd=ROOT,
                env=environment(self.config.parent),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._groups.append(self.process.pid)

    def start(self, *arguments: str) -> Daemon:
        """Start the process and wait until it is ready."""
        self.spawn(*arguments)
        self.await_ready()
        return self

    def await_ready(self, seconds: float = PATIENCE_SECONDS) -> None:
        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.said()[-4000:]}"
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200

        eventually(ready, "the daemon to be ready", seconds, step=0.02)

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15.0) -> int:
        self.send(number)
        return self.wait(seconds)

    def kill(self) -> None:
        """kill -9."""
        self.send(signal.SIGKILL)
        self.wait()

    def clean_up(self) -> None:
        """Leave nothing behind, children of a killed process included."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    # --- asking it ------------------------------------------------------------------------------------------------

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", **{"timeout": 10, **more})

    def json(self, path: str) -> Any:
        answered = self.get(path)
        assert answered.status_code == 200, answered.text
        return answered.json()

    def post(self, path: str, payload: Any = None, **more: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", json=payload, **{"timeout": 30, **more})

    def push(self, kind: str, records: Sequence[dict[str, Any]], *, size: int = 1000, **more: Any) -> None:
        """Push records in batches, all of which must be accepted."""
        for place in range(0, len(records), size):
            batch = list(records[place : place + size])
            answered = self.post(f"/v1/{kind}", batch, **more)
            assert answered.status_code == 202, answered.text
            assert answered.json() == {"accepted": len(batch), "rejected": []}

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """The samples of one name on /metrics that carry these labels."""
        page = self.get("/metrics", headers={"Accept": "text/plain"}).text
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name and all(sample.labels.get(key) == value for key, value in labels.items())
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample with these labels; None where there is none."""
        found = self.samples(name, **labels)
        assert len(found) <= 1, f"expected one sample of {name} with {labels}, got {found}"
        return found[0][1] if found else None

    def ledger(self, kind: str = "") -> list[dict[str, Any]]:
        """Every entry of the ledger, of one kind if that is said."""
        entries: list[dict[str, Any]] = []
        while page := self.json(f"/v1/ledger?after={entries[-1]['seq'] if entries else 0}")["entries"]:
            entries += page
        return [entry for entry in entries if kind in ("", entry["kind"])]


@contextlib.contextmanager
def daemon(config: Path, *arguments: str, start: bool = True) -> Iterator[Daemon]:
    """A daemon that is gone at the end; its log is shown when the test fails."""
    found = Daemon(config, *arguments)
    try:
        if start:
            found.start()
        yield found
    except BaseException:
        print(f"--- daemon.log ---\n{found.said()[-6000:]}")
        raise
    finally:
        found.clean_up()


@contextlib.contextmanager
def program(name: str, arguments: Sequence[str | Path], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another program in a process group of its own, gone at the end."""
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*map(str, arguments)],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:
        print(f"--- {name}.log ---\n{log.read_text(errors='replace')[-4000:]}")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int = 3) -> Iterator[None]:
    """A file system of so many megabytes; needs root."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("NOT TESTED: a full disk; that needs root and mount")
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: a full disk; a small one cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


class FailingDisk:
    """A small file system of its own that a fault of its disk makes read-only, as ext4 does; needs root.

    Nothing but taking it off, mending and mounting it again makes it writable.
    """

    def __init__(self, image: Path, path: Path, megabytes: int = 96) -> None:
        if os.geteuid() != 0 or not all(map(shutil.which, ["mount", "mkfs.ext4", "findmnt"])):
            pytest.skip("NOT TESTED: a disk that becomes read-only; that needs root, mount and ext4's programs")
        self.image, self.path = image, path
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        path.mkdir()
        said = self._mount()
        if said:
            pytest.skip(f"NOT TESTED: a disk that becomes read-only; none can be mounted here: {said}")

    def _mount(self) -> str:
        options = ["-t", "ext4", "-o", "loop,errors=remount-ro", str(self.image), str(self.path)]
        return subprocess.run(["mount", *options], capture_output=True, text=True, check=False).stderr.strip()

    def fail(self) -> None:
        """From now on nothing can be written, also to files that are open."""
        found = ["findmnt", "--noheadings", "--output", "SOURCE", str(self.path)]
        device = Path(subprocess.run(found, capture_output=True, text=True, check=True).stdout.strip())
        Path("/sys/fs/ext4", device.name, "trigger_fs_error").write_text("1", encoding="ascii")
        with pytest.raises(OSError, match="Read-only file system"):
            (self.path / "probe").touch()

    def mend(self) -> None:
        """As a person does it; nobody may have files of it open."""
        self.unmount()
        assert subprocess.run(["e2fsck", "-p", str(self.image)], capture_output=True, check=False).returncode <= 1
        assert not self._mount()

    def unmount(self) -> None:
        """Take it off."""
        subprocess.run(["umount", str(self.path)], check=True)


@contextlib.contextmanager
def failing_disk(image: Path, path: Path) -> Iterator[FailingDisk]:
    """A disk that can be made to fail, taken off at the end."""
    disk = FailingDisk(image, path)
    try:
        yield disk
    finally:
        disk.unmount()
