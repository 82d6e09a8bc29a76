"""Under load the disk fills up, refuses to write, the database is locked, the clock jumps: what was acknowledged is there once."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.e2e.daemon import (
    Daemon,
    command,
    daemon,
    demand,
    eventually,
    export,
    failing_disk,
    small_disk,
    write_config,
    write_reference,
)
from tests.e2e.test_ingest_kills import CLIENTS, Client, assert_profiles_equal_a_recount

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WAITING = threading.Event()


def taken(clients: list[Client]) -> int:
    return sum(len(client.acknowledged) for client in clients)


def more_is_taken(clients: list[Client]) -> None:
    before = taken(clients)
    eventually(lambda: taken(clients) > before, "something to be taken", 60)


def nothing_is_taken(clients: list[Client]) -> None:
    """At most what was under way."""
    WAITING.wait(1.0)
    before = taken(clients)
    WAITING.wait(1.0)
    assert taken(clients) == before


def assert_nothing_lost(config: Path, clients: list[Client]) -> None:
    acknowledged = set().union(*(client.acknowledged for client in clients))
    sent = {name for client in clients for name in client.sent}
    stored = export(config)
    counted = Counter(row["event_id"] for row in stored)
    assert [client.refused for client in clients] == [[]] * CLIENTS
    assert set(counted.values()) == {1}
    assert acknowledged <= set(counted) <= sent
    assert set().union(*(client.labelled for client in clients)) <= {
        row["event_id"] for row in stored if "label" in row
    }
    assert_profiles_equal_a_recount(config, stored)
    sound = command("store", "check", "-c", config, seconds=120)
    assert (sound.returncode, sound.stdout) == (0, "the store is sound\n"), sound.stdout


Fault = Callable[[Daemon, list[Client]], None]


def loaded(folder: Path, fault: Fault, data: Path | None = None) -> None:
    """A daemon under the load of some clients, to whom a fault comes and goes; then all is looked for."""
    write_reference(folder / "reference.parquet")
    model = demand(windows={"size": "1h", "lateness": "0s"}, checks={"drift": {}})
    config = write_config(
        folder, apps=[{"name": "bikes", "models": [model]}], data_dir=str(data or folder / "data"), store={"retention": "40000d", "profiles": "40000d"}
    )  # fmt: skip
    with daemon(config) as watch:
        clients = [Client(watch.url, seed) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        eventually(lambda: watch.samples("anchorwatch_feature_bin_reference_ratio"), "the reference to be known")
        fault(watch, clients)
        more_is_taken(clients)
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join(15)
        assert watch.stop() == 0
    assert_nothing_lost(config, clients)


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    small = tmp_path / "small"
    with small_disk(small, 60):
        ballast = small / "ballast"

        def fault(watch: Daemon, clients: list[Client]) -> None:
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            eventually(lambda: (watch.value("anchorwatch_store_errors_total") or 0) > 0, "the store to refuse")
            nothing_is_taken(clients)
            ballast.unlink()

        loaded(tmp_path, fault, small / "data")


def test_a_disk_that_refuses_to_write_for_a_while(tmp_path: Path) -> None:
    """Every write beyond the start of a file fails, and then none does."""

    def fault(watch: Daemon, clients: list[Client]) -> None:
        assert watch.process is not None
        before = resource.prlimit(watch.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        eventually(lambda: (watch.value("anchorwatch_store_errors_total") or 0) > 0, "the store to refuse")
        nothing_is_taken(clients)
        resource.prlimit(watch.process.pid, resource.RLIMIT_FSIZE, before)

    loaded(tmp_path, fault)


def test_a_disk_that_becomes_read_only_until_somebody_mends_it(tmp_path: Path) -> None:
    mount = tmp_path / "disk"
    with failing_disk(tmp_path / "disk.img", mount) as disk:

        def fault(watch: Daemon, clients: list[Client]) -> None:
            more_is_taken(clients)
            disk.fail()
            eventually(lambda: (watch.value("anchorwatch_store_errors_total") or 0) > 0, "the store to refuse")
            nothing_is_taken(clients)
            assert requests.get(f"{watch.url}/livez", timeout=5).status_code == 200
            assert watch.stop() == 0
            disk.mend()
            watch.start()

        loaded(tmp_path, fault, mount / "data")


def test_a_database_that_somebody_else_locks_for_longer_than_the_daemon_has_patience(tmp_path: Path) -> None:
    def fault(_watch: Daemon, clients: list[Client]) -> None:
        other = sqlite3.connect(tmp_path / "data/anchorwatch.db", isolation_level=None, timeout=30)
        other.execute("BEGIN IMMEDIATE")
        nothing_is_taken(clients)
        WAITING.wait(10)
        other.execute("ROLLBACK")
        other.close()

    loaded(tmp_path, fault)


def test_a_clock_that_jumps_to_and_fro(tmp_path: Path) -> None:
    def fault(watch: Daemon, clients: list[Client]) -> None:
        for clock in ("2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z", "2026-01-05T03:00:00Z"):
            watch.kill()
            watch.start("--clock-start", clock)
            more_is_taken(clients)

    loaded(tmp_path, fault)
