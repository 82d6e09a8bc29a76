"""How often unchanged data alarm, with a budget of one false alert per model and 30 days and a look every hour.

The worlds are rows resampled from four real tables, and autoregressive streams (ρ = 0.7). References, profiles, calibration
and verdicts are the project's own. Every column of every window is judged; a model of k features is k such columns, with
the significance level that the budget leaves each of its tests. So one simulation serves all numbers of features: with a
share p of breaches at the level of k features, such a model has 720 k p false alerts a month. Every breach counts as an
alert, though in life an alert that goes on is one. Intervals count each reference as a cluster (see `_intervals.py`).
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks import _peer_scores, _peers, _results
from benchmarks._alarm_counts import PEER_FEATURES, PEERS, WORLDS, Counted, Plan, count, peer_verdicts
from benchmarks._intervals import Rate, clustered_rate, mean_interval
from benchmarks._judges import BUDGET, JUDGES, LOOKS, SIZES
from benchmarks._populations import reference_rows, world

Cells = dict[tuple[str, int], list[Counted]]  # by world and rows


def cells(found: Iterable[Counted]) -> Cells:
    """The tasks of each cell, in the order of the table."""
    by_cell: Cells = defaultdict(list)
    for each in found:
        by_cell[each.world, each.rows].append(each)
    return dict(sorted(by_cell.items(), key=lambda item: (WORLDS.index(item[0][0]), item[0][1])))


def alerts_a_month(clusters: Sequence[Counted], features: int, *, floor: bool = False) -> Rate:
    """False alerts per month of a model of so many features, with its interval."""
    kept = [(each.alerting if floor else each.significant)[features] for each in clusters]
    return clustered_rate(np.array(kept), clusters[0].judged / (features * LOOKS))


def peer_alerts_a_month(clusters: Sequence[Counted], method: str) -> Rate:
    """The same of a peer, for models of 10 features."""
    asked = [each for each in clusters if each.peer_judged]
    exposure = asked[0].peer_judged / (PEER_FEATURES * LOOKS)
    return clustered_rate(np.array([each.peer_flagged[method] for each in asked]), exposure)


def overall(by_cell: Cells) -> tuple[float, float, float]:
    """The mean over all cells, and its interval: references vary independently, numbers of features share theirs."""
    means, variances = [], []
    for clusters in by_cell.values():
        months = clusters[0].judged / LOOKS
        each = np.array([[c.significant[k] * k / months for k in SIZES] for c in clusters]).mean(axis=1)
        mean, low, high = mean_interval(each)
        means.append(mean)
        variances.append(((high - low) / 2) ** 2)
    half = float(np.sqrt(np.sum(variances))) / len(means)
    return float(np.mean(means)), float(np.mean(means)) - half, float(np.mean(means)) + half


def table(by_cell: Cells) -> str:
    """The table of the README."""
    header = ["data", "rows", *(f"{k} feature{'s' * (k > 1)}" for k in SIZES), f"{max(SIZES)}, floor", "judged"]
    header += [f"{method}, {PEER_FEATURES}" for method in PEERS]
    rows = []
    for (name, number), clusters in by_cell.items():
        ours = [alerts_a_month(clusters, k) for k in SIZES]
        row = [name, f"{number:,}", *(f"{'**' * (r.low > BUDGET)}{r}{'**' * (r.low > BUDGET)}" for r in ours)]
        row += [f"{alerts_a_month(clusters, max(SIZES), floor=True).rate:.2g}"]
        row += [f"{np.mean([each.told for each in clusters]):.0%}"]
        asked = any(each.peer_judged for each in clusters)
        row += [f"{peer_alerts_a_month(clusters, method).rate:,.0f}" if asked else "" for method in PEERS]
        rows.append(row)
    return _results.markdown(header, rows, left=2)


def summary(by_cell: Cells) -> dict[str, Any]:
    """What the promises are held against."""
    rates = {(*cell, k): alerts_a_month(clusters, k) for cell, clusters in by_cell.items() for k in SIZES}
    mean, low, high = overall(by_cell)
    return {
        "cells": len(rates),
        "cells_above_budget": [list(cell) for cell, rate in rates.items() if rate.low > BUDGET],
        "mean": mean,
        "mean_interval": [low, high],
        "disagreements": sum(each.disagreements for clusters in by_cell.values() for each in clusters),
        "cpu_seconds": sum(each.cpu_seconds for clusters in by_cell.values() for each in clusters),
    }


def most_alarming(clusters: Sequence[Counted], number: int = 3) -> list[tuple[str, float]]:
    """The tests of a cell with the most false alerts of a model of 100 features, and their share of all of them."""
    total: Counter[str] = sum((Counter(each.by_test) for each in clusters), Counter())
    return [(test, events / total.total()) for test, events in total.most_common(number)]


def told(found: dict[str, Any]) -> str:
    """The summary in words."""
    low, high = found["mean_interval"]
    above = found["cells_above_budget"]
    mean = f"{found['mean']:.2f} ({low:.2f} to {high:.2f}) false alerts per model-month"
    lines = [
        f"Mean over all {found['cells']} cells: {mean}; the budget is {BUDGET:g}.",
        f"Cells whose 95 % interval lies above the budget: {len(above)}{' (bold)' if above else ''}.",
        f"Verdicts of the check itself that differed from the benchmark's: {found['disagreements']}.",
    ]
    return "\n".join(lines)


EXPLAINED = f"""False alerts per model-month, with 95 % intervals: hourly windows, a budget of {BUDGET:g} in 30 days, and the
floor of what is material at 0; "floor" is the same with the default floors. "judged" is the share of tests that were not
`no_data`. The peers stand at their defaults, for models of {PEER_FEATURES} features: Evidently's DataDriftPreset (a column's
drift by the test that it chooses), NannyML's univariate calculator (Jensen-Shannon beyond mean + 3 standard deviations of
the reference's chunks), and PSI > {_peer_scores.PSI_DRIFT:g} on ten quantile bins. Every column at every look would be
{LOOKS * PEER_FEATURES:,}."""


def confirmed(plan: Plan, rows: Sequence[int], windows: int) -> dict[str, Any]:
    """Run the peers themselves on a few windows: how far their scores and verdicts are from those used above."""
    found: dict[str, Any] = {}
    for peer, method, key in (
        ("evidently", "default", PEERS[0]),
        ("nannyml", "jensen_shannon", PEERS[1]),
    ):
        if _peers.environment(peer) is None:
            found[peer] = None
            continue
        furthest, differing, number = 0.0, 0, 0
        for name, size in itertools.product(plan.worlds, rows):
            far, other, asked = _compared(peer, method, key, name, size, windows)
            furthest, differing, number = max(furthest, far), differing + other, number + asked
        found[peer] = {"column_windows": number, "furthest_score": furthest, "other_verdicts": differing}
    return found


def _compared(peer: str, method: str, key: str, name: str, rows: int, windows: int) -> tuple[float, int, int]:
    source, draw = world(name), np.random.default_rng([99, rows, WORLDS.index(name)])
    reference = next(iter(source.windows(reference_rows(rows), 1, draw)))
    drawn = list(source.windows(rows, windows, draw))
    answer = _peers.judged(peer, reference, drawn)["methods"][method]
    furthest, differing = 0.0, 0
    for column, said in answer.items():
        values = [window[column] for window in drawn]
        prepared = _peer_scores.prepared(reference[column])
        mine = [_peer_scores.scores(prepared, value, (key,))[0] for value in values]
        furthest = max([furthest, *(abs(a - b) for a, b in zip(mine, said["scores"], strict=True) if b is not None)])
        verdicts = peer_verdicts(reference[column], values, rows)[key]
        differing += sum(bool(a) != b for a, b in zip(verdicts, said["drifted"], strict=True) if b is not None)
    return furthest, differing, windows * len(answer)


def simulate(plan: Plan, jobs: int) -> Cells:
    """All cells, on so many processes."""
    tasks = plan.tasks()
    if jobs == 1:
        return cells(map(count, tasks))
    with ProcessPoolExecutor(jobs) as pool:
        found = []
        for done, each in enumerate(pool.map(count, tasks), start=1):
            found.append(each)
            print(f"\r{done} of {len(tasks)} references", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    return cells(found)


QUICK = Plan(rows=(50, 500, 5_000), references=4, expected=0.15, peer_references=2, peer_windows=10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look in less than a minute; writes nothing")
    parser.add_argument("--judge", choices=sorted(JUDGES), default="drift")
    parser.add_argument("--expected", type=float, help="alerts that a cell of 100 features may have (default: 5)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    options = parser.parse_args()
    plan = QUICK if options.quick else Plan()
    given = {"judge": options.judge, "seed": options.seed}
    if options.expected:
        given["expected"] = options.expected
    plan = Plan(**{**plan.__dict__, **given})
    by_cell = simulate(plan, options.jobs)
    found = summary(by_cell)
    body = f"{table(by_cell)}\n\n{told(found)}\n\n{EXPLAINED}\n"
    if not options.quick:
        themselves = confirmed(plan, rows=(100, 1_000), windows=2)
        body += f"\n{_confirmation(themselves)}\n"
        _results.write("false_alarms", "False alarms on unchanged data", body, _json(by_cell, found, themselves))
    print(body)
    for (name, rows), clusters in by_cell.items():
        if alerts_a_month(clusters, max(SIZES)).low > BUDGET:
            tests = ", ".join(f"{test} {share:.0%}" for test, share in most_alarming(clusters))
            print(f"above the budget: {name}, {rows:,} rows: {tests}", file=sys.stderr)
    print(f"{found['cpu_seconds']:.0f} CPU seconds", file=sys.stderr)
    return 0


def _confirmation(themselves: dict[str, Any]) -> str:
    lines = [
        "The peers' scores are computed here with their formulas. The peers themselves, on some of the same worlds:"
    ]
    for peer, said in themselves.items():
        if said is None:
            lines.append(f"{peer} is not installed (`benchmarks/peers/setup.sh {peer}`).")
        else:
            lines.append(
                f"{peer}: {said['column_windows']} columns × windows, scores at most {said['furthest_score']:.1e} apart, "
                f"{said['other_verdicts']} other verdicts."
            )
    return "\n".join(lines)


def _json(by_cell: Cells, found: dict[str, Any], themselves: Any) -> dict[str, Any]:
    rows = []
    for (name, number), clusters in by_cell.items():
        row: dict[str, Any] = {"data": name, "rows": number, "references": len(clusters)}
        row["column_windows"] = sum(each.judged for each in clusters)
        row["most_alarming_tests"] = most_alarming(clusters)
        for k in SIZES:
            row[f"features_{k}"] = alerts_a_month(clusters, k).__dict__
            row[f"features_{k}_with_floor"] = alerts_a_month(clusters, k, floor=True).__dict__
        if any(each.peer_judged for each in clusters):
            row["peers"] = {method: peer_alerts_a_month(clusters, method).__dict__ for method in PEERS}
        rows.append(row)
    return {"summary": found, "cells": rows, "peers_themselves": themselves}


if __name__ == "__main__":
    sys.exit(main())
