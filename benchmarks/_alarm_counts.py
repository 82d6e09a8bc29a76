"""Counting false alarms: one reference of one world at a time, its windows judged by the project and by the peers' scores."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import _peer_scores
from benchmarks._judges import JUDGES, LOOKS, SIZES
from benchmarks._populations import TABLES, Features, World, reference_rows, world
from benchmarks._simulation import draw_reference, draw_windows

WORLDS = (*TABLES, "ar1")
ROWS = (50, 100, 200, 500, 1_000, 5_000, 50_000)
MOST_VALUES = 4_000_000_000  # so many values of streams are drawn for one cell
PEER_FEATURES = 10
PEERS = ("evidently default", "nannyml jensen_shannon", "fixed psi")


@dataclass(frozen=True)
class Plan:
    """How much is simulated."""

    worlds: Sequence[str] = WORLDS
    rows: Sequence[int] = ROWS
    references: int = 40  # of each cell
    large_references: int = 20  # of those cells whose windows have 50,000 rows
    expected: float = 5.0  # alerts of a cell of 100 features that just keeps its budget
    judge: str = "drift"
    seed: int = 1
    peer_references: int = 10
    peer_windows: int = 30

    def tasks(self) -> list[Task]:
        """The work, the longest pieces first."""
        cells = itertools.product(self.worlds, self.rows)
        found = [Task(self, name, rows, block) for name, rows in cells for block in range(self.blocks(rows))]
        return sorted(found, key=lambda task: -task.rows)

    def blocks(self, rows: int) -> int:
        return self.references if rows < ROWS[-1] else min(self.references, self.large_references)

    def windows(self, source: World, rows: int) -> int:
        """Windows for each reference."""
        columns = len(source.columns)
        wanted = self.expected * LOOKS * max(SIZES) / columns
        if source.name == "ar1":
            wanted = min(wanted, MOST_VALUES / (rows * columns))
        return max(1, round(wanted / self.blocks(rows)))


@dataclass(frozen=True)
class Task:
    """One reference of one cell, and its windows."""

    plan: Plan
    world: str
    rows: int
    block: int


@dataclass
class Counted:
    """What one task found; `judged` are windows × columns."""

    world: str
    rows: int
    judged: int = 0
    told: float = 1.0
    significant: dict[int, int] = field(default_factory=dict)
    alerting: dict[int, int] = field(default_factory=dict)
    by_test: dict[str, int] = field(default_factory=dict)  # significant ones of the largest model
    disagreements: int = 0
    peer_judged: int = 0
    peer_flagged: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0


def count(task: Task) -> Counted:
    """Judge the windows of one reference."""
    began = time.process_time()
    source, plan = world(task.world), task.plan
    draw = np.random.default_rng([plan.seed, WORLDS.index(task.world), task.rows, task.block])
    reference, batch = draw_reference(source, reference_rows(task.rows), task.rows, draw)
    number = plan.windows(source, task.rows)
    judged = JUDGES[plan.judge](reference, draw_windows(source, reference, task.rows, number, draw))
    found = Counted(task.world, task.rows, number * len(judged.columns), disagreements=judged.disagreements)
    found.told = float(np.isfinite(judged.p_values).mean())
    for features in SIZES:
        breached = judged.breached(features)
        found.significant[features] = int(breached.sum())
        found.alerting[features] = int((breached & judged.material).sum())
    largest = judged.breached(max(SIZES)).sum(axis=0).tolist()
    found.by_test = {
        f"{test[0]} {test[1]}": number for test, number in zip(judged.tests, largest, strict=True) if number
    }
    if task.block < plan.peer_references:
        _count_peers(found, source, batch.features, task, draw)
    found.cpu_seconds = time.process_time() - began
    return found


def _count_peers(found: Counted, source: World, reference: Features, task: Task, draw: np.random.Generator) -> None:
    """Verdicts of the peers' defaults on a few windows, from their scores."""
    number = min(task.plan.peer_windows, max(3, 200_000 // task.rows))
    windows = list(source.windows(task.rows, number, draw))
    found.peer_flagged = dict.fromkeys(PEERS, 0)
    for name in reference:
        column = reference[name]
        flagged = peer_verdicts(column, [window[name] for window in windows], task.rows)
        for method, verdicts in flagged.items():
            found.peer_flagged[method] += int(verdicts.sum())
    found.peer_judged = number * len(reference)


def peer_verdicts(column: Any, windows: Sequence[Any], rows: int) -> dict[str, np.ndarray]:
    """By peer, which windows of one column it flags by default."""
    prepared = _peer_scores.prepared(column)
    scores = np.array([_peer_scores.scores(prepared, window, PEERS) for window in windows])
    chunks = [column[start : start + rows] for start in range(0, len(column), rows)]
    own = np.array([_peer_scores.scores(prepared, chunk, PEERS[1:2]) for chunk in chunks])
    return {
        PEERS[0]: scores[:, 0] >= _peer_scores.EVIDENTLY_DRIFT,
        PEERS[1]: scores[:, 1] > _peer_scores.reference_threshold(own),
        PEERS[2]: scores[:, 2] > _peer_scores.PSI_DRIFT,
    }
