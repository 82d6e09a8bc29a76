"""How soon a change in one of 20 features is found, beside the peers' scores, at an equal rate of false alarms.

Every score, ours and the peers', is thresholded at its own quantile on unchanged windows, such that a model of 20 features
would alarm in 1 % of them. So thresholds and budgets play no part, and what is compared is the scores' power alone. Ours is
the drift check's smallest p-value for the column, with the floor of what is material at 0; the last column of the table says what
share is left with the default floors.

Features are independent of each other, so only the changed one is simulated, as `columns` copies in each of several
references of 10,000 rows. A trial is a change that lasts for 20 windows: the share detected is that of all its windows, the
delay the number of windows until the first that is.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import _peer_scores, _results
from benchmarks._changes import FEATURE, LENGTH, SCENARIOS, Draw
from benchmarks._detection import ALARMS, FEATURES, NOISE, Power, Row, power, threshold
from benchmarks._judges import JUDGES
from benchmarks._populations import HOUR, Features, Values, columns_of, timed
from benchmarks._simulation import profile
from monitor.profile import build_reference
from monitor.records import Coded, FloatArray

REFERENCE_ROWS = 10_000
OURS = "anchorwatch"
UNCHANGED = "unchanged"
# The peers' drift scores of each kind of feature. Higher is worse. SciPy's Wasserstein and KS are frouros' as well.
METHODS = {
    "normal": tuple(_peer_scores.NUMERIC),
    "skewed": tuple(_peer_scores.NUMERIC),
    "categories": tuple(_peer_scores.CATEGORICAL),
}
# NannyML counts missing values in a data-quality calculator; it is shown, and is no drift score to be compared with.
QUALITY = "nannyml missing values"


@dataclass(frozen=True)
class Plan:
    """How much is simulated."""

    rows: Sequence[int] = (200, 500, 1_000)
    references: int = 10
    columns: int = 10  # of each reference: its copies of the feature
    unchanged: int = 1_000  # windows for each reference
    trials: int = 5  # for each reference
    scenarios: Sequence[str] = tuple(SCENARIOS)
    judge: str = "drift"
    seed: int = 1

    def tasks(self) -> list[Task]:
        kinds = dict.fromkeys(SCENARIOS[name][0] for name in self.scenarios)
        return [Task(self, *each) for each in itertools.product(self.rows, kinds, range(self.references))][::-1]


@dataclass(frozen=True)
class Task:
    """One reference with copies of one kind of feature, and all that is held against it."""

    plan: Plan
    rows: int
    kind: str
    block: int


# Scores by method: shape (columns, windows), higher is worse; `material` beside them.
Scores = dict[str, FloatArray]


@dataclass(frozen=True)
class Scored:
    """What one task found. Of a scenario's windows every 20 that follow each other are a trial."""

    rows: int
    kind: str
    unchanged: Scores
    changed: dict[str, Scores]
    material: dict[str, np.ndarray]


def score(task: Task) -> Scored:
    """Score the unchanged and the changed windows of one reference."""
    plan = task.plan
    draw = np.random.default_rng([plan.seed, task.rows, list(FEATURE).index(task.kind), task.block])
    feature = FEATURE[task.kind]
    table = {f"feature_{place}": feature(draw, REFERENCE_ROWS) for place in range(plan.columns)}
    batch = timed(table, task.rows)
    reference = build_reference(batch, columns_of(table), fingerprint="drawn", version="1", window_seconds=HOUR)
    prepared = [_peer_scores.prepared(column) for column in table.values()]

    asked = {name: change for name, (kind, change) in SCENARIOS.items() if kind == task.kind and name in plan.scenarios}
    parts: dict[str, list[Features]] = {
        UNCHANGED: [_drawn(feature, table, task.rows, draw) for _ in range(plan.unchanged)]
    }
    for name, change in asked.items():
        parts[name] = [
            {column: change(values, draw, window % LENGTH) for column, values in drawn.items()}
            for window in range(plan.trials * LENGTH)
            if (drawn := _drawn(feature, table, task.rows, draw))
        ]
    # One call, so that the reference is calibrated once.
    profiles = [profile(drawn, reference) for windows in parts.values() for drawn in windows]
    p_values, material = JUDGES[plan.judge](reference, profiles).by_column()
    found, start = {}, 0
    for name, windows in parts.items():
        held = slice(start, start + len(windows))
        scores = _peers_scores(prepared, windows, METHODS[task.kind])
        scores[OURS] = -np.log(np.maximum(np.nan_to_num(p_values[held], nan=1.0), 1e-300)).T
        found[name], start = scores, held.stop
    start, materials = plan.unchanged, {}
    for name in asked:
        materials[name] = material[start : start + plan.trials * LENGTH].T
        start += plan.trials * LENGTH
    unchanged = found.pop(UNCHANGED)
    return Scored(task.rows, task.kind, unchanged, found, materials)


def _drawn(feature: Draw, table: Features, rows: int, draw: np.random.Generator) -> Features:
    return {name: feature(draw, rows) for name in table}


def _peers_scores(prepared: Sequence[Any], windows: Sequence[Features], methods: tuple[str, ...]) -> Scores:
    """The peers' scores, and the count of what is missing."""
    theirs = np.array(
        [
            [
                _peer_scores.scores(reference, values, methods)
                for reference, values in zip(prepared, drawn.values(), strict=True)
            ]
            for drawn in windows
        ]
    )
    scores = {method: theirs[:, :, place].T for place, method in enumerate(methods)}
    scores[QUALITY] = np.array([[_missing(values) for values in drawn.values()] for drawn in windows]).T
    return scores


def _missing(values: Values) -> float:
    return float(np.mean(values.codes < 0) if isinstance(values, Coded) else np.mean(np.isnan(np.asarray(values))))


def rows_of(found: Sequence[Scored]) -> Iterator[Row]:
    """The rows of the table: by scenario, then by size."""
    for scenario, (kind, _) in SCENARIOS.items():
        for rows in sorted({each.rows for each in found}):
            tasks = [each for each in found if each.rows == rows and scenario in each.changed]
            if tasks:
                yield _row(scenario, rows, kind, tasks)


def _row(scenario: str, rows: int, kind: str, tasks: Sequence[Scored]) -> Row:
    material = np.concatenate([each.material[scenario] for each in tasks])

    def of(method: str, also: np.ndarray | None = None) -> Power:
        limit = threshold(np.concatenate([each.unchanged[method] for each in tasks]))
        return power(np.concatenate([each.changed[scenario][method] for each in tasks]), limit, also)

    peers = {method: of(method) for method in METHODS[kind]}
    return Row(scenario, rows, of(OURS), of(OURS, material), peers, of(QUALITY))


def simulate(plan: Plan, jobs: int) -> list[Row]:
    """All rows, on so many processes."""
    tasks = plan.tasks()
    if jobs == 1:
        return list(rows_of([score(task) for task in tasks]))
    with ProcessPoolExecutor(jobs) as pool:
        found = []
        for done, each in enumerate(pool.map(score, tasks), start=1):
            found.append(each)
            print(f"\r{done} of {len(tasks)} references", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    return list(rows_of(found))


# --- the table --------------------------------------------------------------------------------------------------------

ALL_METHODS = tuple(dict.fromkeys([*_peer_scores.NUMERIC, *_peer_scores.CATEGORICAL]))


def _shown(of: Power | None) -> str:
    if of is None:
        return ""
    return f"{of.share:.0%} · {'–' if of.delay > LENGTH else f'{of.delay:g}'}"


def table(rows: Sequence[Row]) -> str:
    header = ["change", "rows", OURS, "best peer", "lead", "", *ALL_METHODS, QUALITY, "with the floor"]
    lines = []
    for row in rows:
        line = [row.scenario, f"{row.rows:,}", _shown(row.ours), row.best]
        line += [f"{100 * row.lead:+.1f} ± {100 * NOISE * row.noise:.1f}", f"**{row.verdict}**"]
        line += [_shown(row.peers.get(method)) for method in ALL_METHODS]
        line += [_shown(row.quality) if "missing" in row.scenario else "", _shown(row.floored)]
        lines.append(line)
    return _results.markdown(header, lines, left=1)


def told(rows: Sequence[Row]) -> str:
    verdicts = [row.verdict for row in rows]
    return ", ".join(f"{verdicts.count(word)} rows {word}" for word in ("ahead", "level", "behind"))


EXPLAINED = f"""Share of changed windows that are detected, and the median number of windows until the first is ("–": not within
{LENGTH}). All scores alarm in {ALARMS:.0%} of unchanged windows of a model of {FEATURES} features; the reference has
{REFERENCE_ROWS:,} rows. "lead" is ours less the best peer's, in percentage points, with {NOISE:g} standard errors: within
these it is called level. The peers' scores are computed with their formulas, which the tests hold against the peers
themselves; "evidently default" is also frouros' Wasserstein, "evidently ks" also frouros' and SciPy's. Neither Evidently's
nor NannyML's drift scores see missing values; "{QUALITY}" is a data-quality count, as our `quality` check has one, and is
not among the peers' drift scores. "with the floor" is ours again, where an effect must also be material by default."""


def as_json(row: Row) -> dict[str, Any]:
    def of(found: Power) -> dict[str, float | None]:
        return {"detected": found.share, "delay": None if found.delay > LENGTH else found.delay}

    return {
        "change": row.scenario,
        "rows": row.rows,
        "ours": of(row.ours),
        "with_floor": of(row.floored),
        "best_peer": row.best,
        "lead": row.lead,
        "noise": NOISE * row.noise,
        "verdict": row.verdict,
        "peers": {method: of(found) for method, found in row.peers.items()},
        "missing_values": of(row.quality) if "missing" in row.scenario else None,
    }


QUICK = Plan(rows=(500,), references=3, columns=8, unchanged=300, trials=2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look in less than a minute; writes nothing")
    parser.add_argument("--judge", choices=sorted(JUDGES), default="drift")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    options = parser.parse_args()
    plan = QUICK if options.quick else Plan()
    plan = Plan(**{**plan.__dict__, "judge": options.judge, "seed": options.seed})
    began = time.perf_counter()
    rows = simulate(plan, options.jobs)
    body = f"{table(rows)}\n\n{told(rows)}.\n\n{EXPLAINED}\n"
    if not options.quick:
        data = {"rows": [as_json(row) for row in rows]}
        _results.write("power", "Power at an equal rate of false alarms", body, data)
    print(body)
    print(f"{time.perf_counter() - began:.0f} seconds", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
