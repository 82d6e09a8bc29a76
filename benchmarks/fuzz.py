"""Very many requests as strangers send them, on one daemon in this process: none is answered with a 5xx, stalls or leaks.

Every endpoint that takes something in, in every content type and encoding: good bodies, bodies that are wrong in one place,
damaged and random bytes, odd headers, several at once. At the end everything that was acknowledged is in the store
once, and was counted.
Sockets are left out; what jobs do in a running daemon (expiry) is done in between.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from monitor.memory import prepare  # noqa: E402 - found by the line before

prepare()  # as the daemon does, before anything else

from benchmarks import _results  # noqa: E402 - found by the line before
from benchmarks._fuzzing import LOOKS, Run, fuzzed, opened, problems  # noqa: E402 - found by the line before

MEGABYTE = 1024 * 1024


def table(run: Run, broken: list[str]) -> str:
    """What was asked and answered, and what memory and time it took."""
    statuses = sorted({status for _, status in run.statuses})
    paths = sorted({path for path, _ in run.statuses})
    rows = [[f"`POST {path}`", *(f"{run.statuses[path, status]:,}" for status in statuses)] for path in paths]
    sums = Counter[int]()
    for (_, status), count in run.statuses.items():
        sums[status] += count
    rows.append(["together", *(f"{sums[status]:,}" for status in statuses)])
    held = list(run.memory.values())
    quarters = [held[at * len(held) // 4 : (at + 1) * len(held) // 4] for at in range(4)]
    memory = ", ".join(f"{statistics.fmean(part) / MEGABYTE:.0f}" for part in quarters if part)
    looked_for = sum(len(set(held)) for held in run.acknowledged.values())
    lines = [
        f"{run.requests:,} requests in {run.took / 60:.0f} minutes.",
        "",
        _results.markdown(["answers", *map(str, statuses)], rows),
        "",
        f"- Answers of 5xx, exceptions, unknown answers: {len(run.faults)}.",
        f"- Acknowledged predictions looked for in the store: {looked_for:,}; each is there once.",
        f"- The longest answer took {max(run.seconds):.2f} s, the ten-thousandth longest {min(run.seconds[-10_000:]):.2f} s.",
        f"- Resident memory in the four quarters of the run, on average: {memory} MB.",
    ]
    if broken:
        lines += ["", "**What did not hold:**", "", *(f"- {each.splitlines()[0]}" for each in broken)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--together", type=int, default=32, help="requests that are under way at once")
    parser.add_argument("--folder", type=Path, help="where the store is: memory is faster than a disk")
    parser.add_argument("--dry", action="store_true", help="write no table")
    chosen = parser.parse_args()

    shown = 0

    def told(run: Run) -> None:
        nonlocal shown
        for fault in run.faults[shown:]:
            print(fault, file=sys.stderr)
        shown = len(run.faults)
        print(
            f"{run.requests:,} {run.memory[run.requests] // MEGABYTE} MB, {len(run.faults)} faults",
            file=sys.stderr,
            flush=True,
        )

    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        daemon = opened(Path(folder))
        run = fuzzed(daemon, chosen.requests, seed=chosen.seed, together=chosen.together, told=told)
        broken = problems(daemon, run)
        daemon.stop()
    body = table(run, broken)
    print(body)
    print(*broken, sep="\n")
    if not chosen.dry:
        data: dict[str, Any] = {
            "requests": run.requests,
            "seconds": run.took,
            "answers": {f"{path} {status}": count for (path, status), count in sorted(run.statuses.items())},
            "longest_seconds": max(run.seconds),
            "memory_bytes": dict(list(run.memory.items())[:: max(1, 50_000 // LOOKS)]),
            "faults": broken,
        }
        _results.write("fuzz", "Requests as strangers send them", body, data)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
