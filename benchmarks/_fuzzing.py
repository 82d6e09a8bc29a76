"""A run of many requests on one daemon, and what has to hold at its end."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
import traceback
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from sqlalchemy import func, select

from benchmarks._asking import Answered, Asked, ask
from benchmarks._bodies import request
from monitor.app.daemon import Daemon
from monitor.config import load
from monitor.memory import give_back
from monitor.schedule import WallClock
from monitor.store import StoreError, events
from monitor.store.layout import Layout, layout_of
from monitor.store.pending import expire_halves
from monitor.store.quarantine import trim
from monitor.web import create_app

MODELS = [("shop", "demand"), ("bank", "risk")]
CONFIG = {
    "apps": [
        {
            "name": "shop",
            "models": [{"name": "demand", "task": "regression", "predictions": {"type": "ingest", "service": "bikes"}}],
        },
        {"name": "bank", "models": [{"name": "risk", "task": "binary"}]},
    ]
}
HOUSEKEEPING = 20_000  # requests after which is done what jobs do in a running daemon
LOOKS = 5_000  # requests after which memory is looked at


@dataclass
class Run:
    """What a run has seen.

    Attributes:
        requests: how many were made.
        statuses: how many answers by path and status.
        faults: what no request may do, with the request.
        seconds: the longest that answers took.
        memory: resident bytes by the number of requests before.
        acknowledged: hashes of the ids of predictions that were answered to be stored, by model; a million ids would be a leak.
    """

    requests: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: dict[int, int] = field(default_factory=dict)
    acknowledged: dict[tuple[str, str], array[int]] = field(default_factory=dict)
    took: float = 0.0

    @property
    def growth_bytes(self) -> int:
        """By how much memory was more in the last quarter of the run than in the second."""
        held = list(self.memory.values())
        parts = [held[at * len(held) // 4 : (at + 1) * len(held) // 4] for at in range(4)]
        return int(sum(parts[3]) / len(parts[3]) - sum(parts[1]) / len(parts[1])) if all(parts) else 0


def opened(folder: Path) -> Daemon:
    """A daemon that takes in, and of whose jobs none runs."""
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return Daemon(load(path), clock=WallClock())


def fuzzed(
    daemon: Daemon, requests: int, *, seed: int, together: int = 8, longest_seconds: float = 20.0, told: Any = None
) -> Run:
    """So many requests drawn from a seed, some of them at once."""
    run, draw, app = Run(), random.Random(seed), create_app(daemon)

    async def one(asked: Asked, whole: list[dict[str, Any]] | None) -> None:
        began = time.perf_counter()
        answered = await ask(app, asked)
        seconds = time.perf_counter() - began
        run.seconds.append(seconds)
        run.statuses[asked.path, answered.status] += 1
        fault = _fault(answered) or (f"took {seconds:.1f} s" if seconds > longest_seconds else "")
        if fault and len(run.faults) < 20:
            run.faults.append(
                f"{fault}\n  of {asked.path} {asked.headers!r} {asked.query[:60]!r} {asked.body[:2000]!r}"
            )
        if answered.status == 202 and whole is not None and asked.path == "/v1/predictions":
            _note(run, whole, answered)

    async def all_of_them() -> None:
        while run.requests < requests:
            some = [request(draw) for _ in range(min(together, requests - run.requests))]
            await asyncio.gather(*(one(*each) for each in some))
            before, run.requests = run.requests, run.requests + len(some)
            if before // LOOKS != run.requests // LOOKS:
                run.memory[run.requests] = psutil.Process().memory_info().rss
                run.seconds = sorted(run.seconds)[-10_000:]
                if told is not None:
                    told(run)
            if before // HOUSEKEEPING != run.requests // HOUSEKEEPING:
                await asyncio.to_thread(_keep_house, daemon)

    began = time.perf_counter()
    asyncio.run(all_of_them())
    run.took = time.perf_counter() - began
    return run


def _keep_house(daemon: Daemon) -> None:
    daemon.store.write(trim)
    daemon.store.write(lambda connection: expire_halves(connection, received_before=time.time() - 60, limit=100_000))
    gc.collect()
    give_back()


def _fault(answered: Answered) -> str:
    """What an answer must never be, in words; empty where it is as it should be."""
    if answered.fault is not None:
        return "".join(traceback.format_exception(answered.fault))[-1500:]
    if not 200 <= answered.status < 500:
        return f"status {answered.status}: {answered.body[:300]!r}"
    try:
        said = json.loads(answered.body)
    except ValueError:
        return f"no JSON: {answered.body[:300]!r}"
    good = "accepted" in said or "alerts" in said if answered.status < 400 else "error" in said or "rejected" in said
    return "" if good else f"an unknown answer: {answered.body[:300]!r}"


def _note(run: Run, records: list[dict[str, Any]], answered: Answered) -> None:
    """Remember what was acknowledged, and hold the counts to what was sent."""
    said = json.loads(answered.body)
    rejected = {each["index"] for each in said["rejected"]}
    if said["accepted"] + len(rejected) != len(records):
        run.faults.append(f"{len(records)} records sent, {said!r} answered\n  of {records!r:.2000}")
    for place, record in enumerate(records):
        if place not in rejected:
            app = "shop" if record["model"] == "demand" else "bank"
            run.acknowledged.setdefault((app, record["model"]), array("q")).append(hash(str(record["event_id"])))


# --- at the end -------------------------------------------------------------------------------------------------------


def problems(daemon: Daemon, run: Run) -> list[str]:
    """What does not hold of the store after a run: everything acknowledged is there, once, and was counted."""
    found = list(run.faults)
    counted = _counted(daemon)
    for app, model in MODELS:
        try:
            ids, waiting = _ids(daemon, app, model)
        except StoreError as error:
            return [*found, str(error)]
        if len(ids) != len(set(ids)):
            found.append(f"{model}: {len(ids) - len(set(ids))} events are there twice")
        if missing := set(run.acknowledged.get((app, model), ())) - set(map(hash, ids)):
            found.append(f"{model}: {len(missing)} acknowledged events are not there")
        for kind, rows in (("predictions", len(ids)), ("labels", waiting)):
            if counted[app, kind] != rows:
                found.append(f"{model}: {rows} {kind} are stored, {counted[app, kind]:g} were counted")
    if daemon.intake.records_waiting:
        found.append(f"{daemon.intake.records_waiting} records still wait")
    return found


def _ids(daemon: Daemon, app: str, model: str) -> tuple[list[str], int]:
    """The ids of a model's events, and how many labels it has."""
    with daemon.store.read() as connection:
        number = events.find_model(connection, app, model)
        if number is None:
            return [], 0
        layout: Layout = layout_of(connection, number)
        ids = list(connection.execute(select(layout.events.c.event_id)).scalars())
        tables = (layout.labels, layout.waiting)
        return ids, sum(connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables)


def _counted(daemon: Daemon) -> Counter[tuple[str, str]]:
    """Records that the metrics say were taken in for the first time, by app and kind."""
    from prometheus_client.parser import text_string_to_metric_families

    page, _ = daemon.metrics.render(None)
    text = page.decode() if isinstance(page, bytes) else page
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "anchorwatch_ingest_records_total":
                found[sample.labels["app"], sample.labels["kind"]] += int(sample.value)
    return found
