"""After an error a feed is opened anew, and goes on where the store says; it is well again when it stays so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as client

from monitor.app import feeding
from monitor.app.daemon import Daemon
from monitor.app.feeding import Following
from monitor.records import Verdict
from monitor.source import SourceError
from monitor.source._feed import Pulled
from monitor.source._pulled import UnreadableRow
from monitor.store import StoreError
from tests.servers import eventually, redis_server
from tests.web.test_doors import built


@contextmanager
def watching(folder: Path, **options: Any) -> Iterator[Daemon]:
    """A daemon that pulls one model's predictions."""
    model = {"name": "churn", "task": "regression", "predictions": options}
    watch = built(folder, apps=[{"name": "shop", "models": [model]}])
    try:
        watch.start()
        yield watch
    finally:
        watch.stop()


def counted(watch: Daemon, name: str) -> float:
    """What a metric of the feed says."""
    lines = watch.metrics.render(None)[0].decode().splitlines()
    found = [line for line in lines if line.startswith(f"anchorwatch_ingest_{name}{{") and 'model="churn"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def record(number: int) -> bytes:
    return json.dumps({"event_id": f"e{number}", "timestamp": 1767600000, "prediction": 1, "features": {}}).encode()


@pytest.mark.slow  # a Redis is started
def test_a_secret_that_was_changed_is_read_again(tmp_path: Path) -> None:
    with redis_server("--requirepass", "old") as server:
        (tmp_path / "url").write_text(f"redis://:old@127.0.0.1:{server.port}/0")
        writer = client.Redis(port=server.port, password="old", protocol=2)
        for number in range(10):
            writer.xadd("log", {"data": record(number)})
        with watching(tmp_path, type="redis", url_file=str(tmp_path / "url"), stream="log") as watch:
            eventually(lambda: counted(watch, "records_total") == 10)
            writer.config_set("requirepass", "new")
            writer.execute_command("AUTH", "new")
            writer.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            eventually(lambda: counted(watch, "feed_failures_total") > 0)
            for number in range(10, 20):
                writer.xadd("log", {"data": record(number)})
            writer.xtrim("log", maxlen=5, approximate=False)
            (tmp_path / "url").write_text(f"redis://:new@127.0.0.1:{server.port}/0")
            eventually(lambda: counted(watch, "feed_lost_total") > 0)
            assert (counted(watch, "records_total"), counted(watch, "feed_lost_total")) == (15, 5)
            assert counted(watch, "feed_up") == 1


class Scripted:
    """Feeds that do what the script says, one step a poll; at its end, nothing more comes."""

    every_seconds = 0.01

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: Exception | Callable[[], Pulled]) -> None:
        self.steps, self.opened, self.closed = list(steps), 0, 0
        self.told: list[Verdict] = []
        monkeypatch.setattr(Following, "_opened", self._open)
        monkeypatch.setattr(Following, "_tell", lambda _, verdict, reason: self.told.append(verdict))  # noqa: ARG005
        monkeypatch.setattr(feeding, "FIRST_WAIT_SECONDS", 0.01)
        monkeypatch.setattr(feeding, "LONGEST_WAIT_SECONDS", 0.01)

    def _open(self) -> Scripted:
        self.opened += 1
        return self

    def poll(self, position: str | None, **_: Any) -> Pulled:
        step = self.steps.pop(0) if self.steps else lambda: Pulled([], position or "{}")
        if isinstance(step, Exception):
            raise step
        return step()

    def confirm(self, position: str) -> None: ...

    def close(self) -> None:
        self.closed += 1
        raise RuntimeError("what goes wrong here ends nothing")

    def play(self, folder: Path) -> None:
        """Run the script to its end, and some polls on."""
        with watching(folder, type="redis", url="redis://127.0.0.1:1/0", stream="log"):
            eventually(lambda: not self.steps and self.told[-3:] == [Verdict.OK] * 3)


@pytest.mark.parametrize(
    ("error", "opened"),
    [
        (SourceError("gone"), 2),
        (ZeroDivisionError(), 2),
        (StoreError("full"), 1),  # it is not the feed's fault
        (UnreadableRow("bad"), 1),  # another feed would pass on again what this one knows
    ],
)
def test_a_feed_is_opened_anew_where_that_may_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, opened: int
) -> None:
    script = Scripted(monkeypatch, lambda: Pulled([], "1"), error)
    script.play(tmp_path)
    assert (script.opened, script.closed) == (opened, opened)


def test_a_feed_that_stops_at_the_same_row_again_and_again_is_not_told_to_be_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = [
        step for place in range(4) for step in (lambda n=place: Pulled([], f"{n}", more=True), UnreadableRow("bad"))
    ]
    script = Scripted(monkeypatch, lambda: Pulled([], "first", more=True), *again)
    script.play(tmp_path)
    assert script.told[:6] == [Verdict.OK, Verdict.OK, *[Verdict.ERROR] * 4]
    assert set(script.told[6:]) == {Verdict.OK}


def test_a_feed_that_goes_on_reading_is_well_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not come to an end for it."""
    monkeypatch.setattr(feeding, "STEADY_SECONDS", 0.0)
    script = Scripted(monkeypatch, SourceError("gone"), lambda: Pulled([], "1", more=True))
    script.play(tmp_path)
    assert script.told[:2] == [Verdict.ERROR, Verdict.OK]
