"""One table of speed: ours and the peers', on the same data, one after the other on the same machine.

The data are those of `peers/speed_data.py`. Each measure is a process of its own, in its peer's own environment: processor
seconds of the work alone (reading and preparing are not counted), and the most memory it held, its data frames included.
Ours are the figures of `speed.py`. It takes some minutes and, with Evidently, 7 GB of memory; nothing else should run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _peers, _results

ROOT = Path(__file__).resolve().parents[1]
PROFILE = "one profile and six statistics"
FLOOR = "sorting the numeric columns (floor)"
PARTS = ("memory", "parquet", "large", "sliding")
MEGABYTE = 1e6
MEBIBYTE = 1.048576  # in megabytes


@dataclass(frozen=True)
class Measure:
    """What one program took for one piece of work."""

    program: str
    work: str
    cpu_seconds: float
    wall_seconds: float
    megabytes: float | None


@dataclass(frozen=True)
class Promise:
    """A ratio or a size that is promised, and what was measured."""

    text: str
    promised: str
    measured: str
    holds: bool


def write_data(folder: Path, rows: int) -> None:
    """The data, made once."""
    if (folder / "current.parquet").exists():
        return
    spec = importlib.util.spec_from_file_location("speed_data", ROOT / "benchmarks" / "peers" / "speed_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(folder, rows)


def of_peer(peer: str, folder: Path) -> list[Measure]:
    """Everything that a peer's runner measures; nothing where it is not installed."""
    if _peers.environment(peer) is None:
        print(f"{peer} is left out: it is not installed (benchmarks/peers/setup.sh {peer})", file=sys.stderr)
        return []
    found = []
    for name in _peers.run(peer, "--list")["measures"]:
        print(f"{peer}: {name} …", file=sys.stderr, flush=True)
        told = _peers.run(peer, "--speed", str(folder), "--measure", name)
        size = told["peak_bytes"] / MEGABYTE
        found.append(Measure(f"{peer} {told['version']}", name, told["cpu_seconds"], told["wall_seconds"], size))
    return found


def of_ours(folder: Path, rows: int, parts: Sequence[str]) -> dict[str, Any]:
    """The figures of `speed.py`."""
    print("anchorwatch …", file=sys.stderr, flush=True)
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "speed.py"),
        "--json",
        "--folder",
        str(folder),
        "--rows",
        str(rows),
    ]
    chosen = [word for part in parts for word in ("--only", part)]
    told: dict[str, Any] = json.loads(subprocess.check_output([*command, *chosen], cwd=ROOT))
    return told


def measures(ours: dict[str, Any]) -> list[Measure]:
    """Our lines of the table."""
    found = []
    for part in ("memory", "parquet"):
        for name, figures in ours.get(part, {}).get("figures", {}).items():
            size = figures.get("peak_megabytes")
            work = name if part == "memory" else f"Parquet: {name.replace('_', ' ')}"
            found.append(Measure("anchorwatch", work, figures["cpu_seconds"], figures["wall_seconds"], size))
    return found


def promises(ours: dict[str, Any], peers: Sequence[Measure]) -> list[Promise]:
    """What is promised, as far as it was measured."""
    found = []
    if memory := ours.get("memory", {}).get("figures", {}):
        ratio = memory[PROFILE]["cpu_seconds"] / memory[FLOOR]["cpu_seconds"]
        found.append(_at_most("a profile and six statistics of all columns / sorting the columns", 1.5, ratio))
        found += _beside({(each.program.partition(" ")[0], each.work): each.cpu_seconds for each in peers}, memory)
    if parquet := ours.get("parquet"):
        figures = parquet["figures"]
        ratio = figures["check"]["cpu_seconds"] / figures["bare_read"]["cpu_seconds"]
        found.append(_at_most("a check from Parquet, end to end / the bare read", 2.5, ratio))
        found.append(_at_most("memory above the resident daemon, MB", 120, parquet["megabytes_above_the_daemon"]))
    if large := ours.get("large"):
        most = max(each["peak_megabytes"] for name, each in large["figures"].items() if name.startswith("check"))
        found.append(_at_most(f"memory of a check of {large['rows']:,} rows from a file, MiB", 512, most / MEBIBYTE))
    for name, figures in ours.get("sliding", {}).get("figures", {}).items():
        text = f"a check of a sliding window of 30 days, {name}, ms"
        found.append(_at_most(text, 100, figures["check_wall_seconds"] * 1e3))
    return found


def _beside(theirs: dict[tuple[str, str], float], memory: dict[str, Any]) -> list[Promise]:
    """How many times the fastest of some works of the peers takes what ours does."""
    single = [work for work in theirs if work[0] != "evidently" and work[1] != "four methods"]
    asked: list[tuple[str, float, list[tuple[str, str]], str]] = [
        (
            "Evidently's preset with PSI / a profile and six statistics",
            400,
            [("evidently", "DataDriftPreset, PSI")],
            PROFILE,
        ),
        ("NannyML's four methods / the same", 20, [("nannyml", "four methods")], PROFILE),
        ("the fastest single statistic of a peer / the same", 3, single, PROFILE),
        ("the fastest exact KS of a peer / ours", 7, [("frouros", "Kolmogorov-Smirnov")], "exact KS"),
        ("the fastest exact Wasserstein of a peer / ours", 2.5, [("frouros", "Wasserstein")], "exact Wasserstein"),
    ]
    found = []
    for text, least, works, mine in asked:
        measured = [theirs[work] for work in works if work in theirs]
        if measured:
            ratio = min(measured) / memory[mine]["cpu_seconds"]
            found.append(Promise(text, f"at least {least:g}", f"{ratio:,.1f}", ratio >= least))
    return found


def _at_most(text: str, most: float, measured: float) -> Promise:
    return Promise(text, f"at most {most:g}", f"{measured:,.2f}", measured <= most)


def tables(found: Sequence[Measure], kept: Sequence[Promise]) -> str:
    lines = [
        [m.program, m.work, f"{m.cpu_seconds:.3g}", f"{m.wall_seconds:.3g}", "" if m.megabytes is None else f"{m.megabytes:,.0f}"]
        for m in found
    ]  # fmt: skip
    first = _results.markdown(["program", "work", "CPU seconds", "seconds", "peak MB"], lines, left=2)
    told = [[p.text, p.promised, p.measured, "yes" if p.holds else "**no**"] for p in kept]
    return f"{first}\n\n{_results.markdown(['promise', '', 'measured', 'holds'], told, left=1)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the data are kept (default: a temporary folder)")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peers", nargs="*", choices=_peers.PEERS, default=list(_peers.PEERS))
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="parts of speed.py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anchorwatch-speed-") as scratch:
        folder = options.folder or Path(scratch)
        write_data(folder, options.rows)
        peers = [measure for peer in options.peers for measure in of_peer(peer, folder)]
        ours = of_ours(folder, options.rows, options.parts) if options.parts else {}
    kept = promises(ours, peers)
    body = f"{options.rows:,} reference × {options.rows:,} current rows, 40 numeric and 10 categorical columns, 1 % nulls.\n\n"
    body += tables([*measures(ours), *peers], kept) + "\n"
    if (options.rows, options.peers, options.parts) == (1_000_000, list(_peers.PEERS), list(PARTS)):
        data = {"measures": [m.__dict__ for m in peers], "ours": ours, "promises": [p.__dict__ for p in kept]}
        _results.write("speed", "Speed beside the peers", body, data)
    print(body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
