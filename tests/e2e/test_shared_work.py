"""Two daemons on one PostgreSQL: each does its share, nothing is done twice, and who is left does everything."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon, daemon, demand, eventually, labels_of, predictions, write_config, write_reference
from tests.servers import Server, answer, postgresql, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# So many that it is next to impossible that by chance all are one daemon's.
APPS = [f"app-{place}" for place in range(16)]
TAKEN_OVER_SECONDS = 40.0  # a lease lasts 15 s, and is asked for every 3 s


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[list[Daemon], Server, Server]]:
    """Two daemons of one configuration with a PostgreSQL, the target of their probes, and their receiver."""
    with ExitStack() as stack:
        server = stack.enter_context(postgresql())
        target, receiver = stack.enter_context(serving(answer(503))), stack.enter_context(serving(answer(200)))
        apps: list[dict[str, Any]] = [
            {"name": name, "probes": [{"type": "http", "name": "up", "url": f"{target.url}/{name}", "every": "2s"}]}
            for name in APPS
        ]
        apps[0]["models"] = [demand(windows={"size": "1h", "lateness": "0s"})]
        daemons = []
        for name in ("one", "other"):
            folder = tmp_path / name
            folder.mkdir()
            write_reference(folder / "reference.parquet")
            config = write_config(
                folder,
                store={"url": server.url()},
                apps=apps,
                alerting={
                    "receivers": [{"name": "pager", "type": "webhook", "url": receiver.url}],
                    "rules": {"AppDown": {"for": "5s"}},
                },
            )
            daemons.append(stack.enter_context(daemon(config, start=False)))
        yield daemons, target, receiver


def shown_by(watch: Daemon) -> set[str]:
    """The apps whose probes a daemon shows the state of."""
    return {labels["app"] for labels, _ in watch.samples("anchorwatch_check_state", check="probe:up", state="ok")}


def alerts_told(receiver: Server) -> Counter[tuple[str, str]]:
    told: Counter[tuple[str, str]] = Counter()
    seen = {each.headers["webhook-id"]: each for each in receiver.seen}
    assert len(seen) == len(receiver.seen), "a delivery was made twice"
    for each in seen.values():
        data = each.json()["data"]
        told[data["app"], data["status"]] += 1
    return told


def test_they_share_the_work_and_the_one_that_is_left_takes_it_all(world: tuple[list[Daemon], Server, Server]) -> None:
    (one, other), target, receiver = world
    one.start()
    eventually(lambda: shown_by(one) == set(APPS), "the first to see to everything alone")
    other.start()
    eventually(lambda: shown_by(one) and shown_by(other), "each to have its share", TAKEN_OVER_SECONDS)
    eventually(lambda: shown_by(one) | shown_by(other) == set(APPS), "nothing to be left out", TAKEN_OVER_SECONDS)
    assert not shown_by(one) & shown_by(other)
    # Each app is asked as often as one daemon would.
    before = Counter(seen.path for seen in target.seen)
    started = time.monotonic()
    eventually(lambda: time.monotonic() - started > 10, "ten seconds to pass")
    seconds = time.monotonic() - started
    asked = Counter(seen.path for seen in target.seen) - before
    assert set(asked) == {f"/{name}" for name in APPS}
    assert max(asked.values()) <= seconds / 2 + 2, asked
    # Predictions may go to either, and are judged as one model's, by one of them.
    records = predictions(300, "2026-01-05T01:00:00")
    one.push("predictions", records[::2])
    other.push("predictions", records[1::2])
    other.push("labels", labels_of(records))
    assert other.post("/v1/predictions", records[:10]).json() == {"accepted": 10, "rejected": []}
    # The one that goes without a word leaves its share to the other.
    eventually(lambda: sum(alerts_told(receiver).values()) >= len(APPS), "every alert to be told", 60)
    share = shown_by(one)
    one.kill()
    eventually(lambda: shown_by(other) == set(APPS), "the other to take over", TAKEN_OVER_SECONDS)
    assert share
    eventually(lambda: other.value("anchorwatch_check_state", app=APPS[0], model="demand", check="quality", state="error") == 0,
               "the model to be seen to")  # fmt: skip
    # Nobody was told anything twice, and the ledger has one entry for each alert.
    assert set(alerts_told(receiver).values()) == {1}
    opened = Counter(entry["app"] for entry in other.ledger("alert") if entry["data"].get("state") == "firing")
    assert set(opened.values()) <= {1}
    # One that stops gives back its share at once.
    one.start()
    eventually(lambda: shown_by(one), "it to have a share again", TAKEN_OVER_SECONDS)
    assert other.stop() == 0
    eventually(lambda: shown_by(one) == set(APPS), "all of it", 12)


def test_one_that_is_held_up_stores_nothing_once_its_lease_has_gone(world: tuple[list[Daemon], Server, Server]) -> None:
    """Stopped for longer than its lease lasts, it wakes up, and what it does then has no effect."""
    import signal

    (one, other), _, receiver = world
    one.start()
    other.start()
    eventually(lambda: shown_by(one) and shown_by(other), "each to have its share", TAKEN_OVER_SECONDS)
    eventually(lambda: sum(alerts_told(receiver).values()) >= len(APPS), "every alert to be told", 60)
    one.send(signal.SIGSTOP)
    eventually(lambda: shown_by(other) == set(APPS), "the other to take over", TAKEN_OVER_SECONDS)
    one.send(signal.SIGCONT)
    eventually(lambda: shown_by(one) and not shown_by(one) & shown_by(other), "the work to be shared again", 60)
    assert set(alerts_told(receiver).values()) == {1}
