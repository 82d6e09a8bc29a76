"""How fast and how large: profiles in memory, files end to end, a file of 20 million rows, and a window that slides.

Every time stands beside a floor that is measured in the same run, on the same machine: sorting the columns, or reading the
file and nothing else. Processor seconds, the least of some repetitions; memory is the most that a process of its own has held.
The data are those of `peers/speed_data.py`, which the other programs are measured on, too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import _speed_common as common  # noqa: E402 - found by the line before
from benchmarks._speed_common import DAY, START, STATISTICS, WINDOW_DAYS, least  # noqa: E402


def columns_of(path: Path) -> dict[str, Any]:
    """The columns of a file as a batch holds them."""
    import pyarrow.parquet as pq

    from monitor.records import ColumnKind
    from monitor.source._arrow import array_of

    file = pq.ParquetFile(path)
    found = {}
    for name in file.schema_arrow.names:
        kind = ColumnKind.NUMERIC if name.startswith("number") else ColumnKind.CATEGORICAL
        found[name], _ = array_of(file.read([name]).column(0).combine_chunks(), kind)
    return found


def statistics_of(reference: Any, profile: Any, bins: Any) -> int:
    """Every statistic of every column from two profiles; how many."""
    from monitor import registry
    from monitor.profile import NumericBins, comparable, histogram_pair

    known = {name: registry.load("statistic", name).STATISTIC for name in STATISTICS["numeric"]}
    made = 0
    for name, drawn in bins.items():
        one, other = reference.columns[name], profile.columns[name]
        counts = comparable(one, drawn), comparable(other, drawn)
        numeric = isinstance(drawn, NumericBins)
        pair = histogram_pair(one, other, drawn) if numeric else None
        for each in STATISTICS["numeric" if numeric else "categorical"]:
            known[each].compute(*(pair if known[each].needs == "histogram" and pair else counts))
            made += 1
    return made


def memory(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One profile of a million rows and six statistics from it, beside sorting the numeric columns."""
    from monitor import registry
    from monitor.profile import draw_bins, profile_batch
    from monitor.records import ColumnKind, EventBatch

    common.speed_data(folder, options.rows)
    reference, current = (columns_of(folder / f"{name}.parquet") for name in ("reference", "current"))
    numeric = [name for name in reference if name.startswith("number")]
    bins = {
        name: draw_bins(values, ColumnKind.NUMERIC if name in numeric else ColumnKind.CATEGORICAL)
        for name, values in reference.items()
    }
    known = profile_batch(EventBatch("1", np.zeros(options.rows), reference), bins)
    batch = EventBatch("1", np.zeros(options.rows), current)
    exact = {name: registry.load("statistic", name).STATISTIC.exact for name in ("ks", "wasserstein")}

    def sort() -> None:
        for name in numeric:
            np.sort(current[name])

    def exactly(name: str) -> None:
        for column in numeric:
            exact[name](reference[column], current[column])

    told = {
        "sorting the numeric columns (floor)": least(sort, options.times),
        "one profile": least(lambda: profile_batch(batch, bins), options.times),
        "one profile and six statistics": least(
            lambda: statistics_of(known, profile_batch(batch, bins), bins), options.times
        ),
        "exact KS": least(lambda: exactly("ks"), 2),
        "exact Wasserstein": least(lambda: exactly("wasserstein"), 2),
    }
    return {
        "rows": options.rows,
        "columns": len(bins),
        "figures": common.rows_of(told, "sorting the numeric columns (floor)"),
    }


def parquet(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A check of a million rows from a file, with a reference that is kept, beside reading the file with PyArrow."""
    common.speed_data(folder, options.rows)
    common.with_events(folder, options.rows)
    section = {
        "name": "model", "task": "regression", "windows": {"size": "1h", "lateness": "0s"}, "checks": common.drift_check(),
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions.parquet"},
    }  # fmt: skip
    common.model_of(folder, section)
    names = ("bare_read", "resident", "read_reference", "check", "first_check", "check_anew")
    parts = {name: in_process(name, folder, options.rows, tries=options.tries) for name in names}
    floor = parts["bare_read"]["cpu_seconds"]
    for part in parts.values():
        part["ratio"] = part["cpu_seconds"] / floor
    above = parts["check"]["peak_megabytes"] - parts["resident"]["peak_megabytes"]
    return {"rows": options.rows, "figures": parts, "megabytes_above_the_daemon": above}


def in_process(name: str, folder: Path, rows: int, *, hours: int = 1, tries: int = 1) -> dict[str, float]:
    """A work in a process of its own, the least of some."""
    program = [sys.executable, str(ROOT / "benchmarks" / "_speed_works.py"), name, str(folder)]
    given = ["--rows", str(rows), "--hours", str(hours)]
    found = [json.loads(subprocess.check_output([*program, *given], cwd=ROOT)) for _ in range(tries)]
    return {key: min(each[key] for each in found) for key in found[0]}


def large_file(path: Path, rows: int, *, seed: int) -> None:
    """So many rows of eight numeric and two categorical columns over thirty days, written a million at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, written = np.random.default_rng(seed), None
    for start in range(0, rows, 1_000_000):
        held = min(1_000_000, rows - start)
        gone = draw.random(held) < 0.01
        columns = {f"number_{place}": pa.array(draw.normal(place, 1, held), mask=gone) for place in range(8)}
        for place in range(2):
            codes = draw.integers(0, 10 * (place + 1), held).astype(np.int32)
            names = pa.array([f"{place}-{code:02d}" for code in range(10 * (place + 1))])
            columns[f"category_{place}"] = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
        times = START + (start + np.arange(held)) * (WINDOW_DAYS * DAY / rows)
        columns["timestamp"] = pa.array((times * 1e6).astype(np.int64), pa.timestamp("us"))
        columns["event_id"] = pa.array(start + np.arange(held))
        columns["prediction"] = pa.array(draw.normal(0, 1, held))
        table = pa.table(columns)
        written = written or pq.ParquetWriter(path, table.schema)
        written.write_table(table)
    assert written is not None
    written.close()


def large(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Reference and predictions of 20 million rows each, checked by one process."""
    folder = folder / "large"
    folder.mkdir(exist_ok=True)
    for seed, name in ((1, "reference"), (2, "predictions")):
        if not (folder / f"{name}.parquet").exists():
            large_file(folder / f"{name}.parquet", options.large_rows, seed=seed)
    section = {
        "name": "model", "task": "regression", "windows": {"size": "30d", "every": "1d", "lateness": "0s"},
        "checks": common.drift_check(), "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions.parquet"},
    }  # fmt: skip
    common.model_of(folder, section)
    hours = 24 * WINDOW_DAYS
    names = ("bare_read", "check_anew")
    parts = {name: in_process(name, folder, options.large_rows, hours=hours) for name in names}
    for part in parts.values():
        part["ratio"] = part["cpu_seconds"] / parts["bare_read"]["cpu_seconds"]
    return {"rows": options.large_rows, "columns": 11, "figures": parts}


def sliding(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A check of a window of 30 days in buckets of a minute, over one million and over ten million events.

    The buckets are written through `advance`, as the daemon's own catching up does, without the raw rows beneath them.
    """
    from benchmarks._speed_sliding import sliding_of

    sizes = (1_000_000, 10_000_000)
    return {"figures": {f"{rows:,} events": sliding_of(folder, rows, options.times) for rows in sizes}}


KINDS = {kind.__name__: kind for kind in (memory, parquet, large, sliding)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=list(KINDS), action="append", help="leave the others out (may be repeated)")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large-rows", type=int, default=20_000_000)
    parser.add_argument("--times", type=int, default=7, help="repetitions, of which the least counts")
    parser.add_argument("--tries", type=int, default=3, help="processes, of which the least counts")
    parser.add_argument("--folder", type=Path, help="where the data are kept (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anchorwatch-speed-") as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = {name: KINDS[name](folder, options) for name in options.only or KINDS}
    print(json.dumps(found, indent=1) if options.json else table(found))
    return 0


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    from benchmarks._results import machine, markdown

    parts = [machine()]
    for name, told in found.items():
        keys = list(dict.fromkeys(key for row in told["figures"].values() for key in row))
        rows = [
            [row, *(f"{figures[key]:.3g}" if key in figures else "" for key in keys)]
            for row, figures in told["figures"].items()
        ]
        rest = ", ".join(f"{key.replace('_', ' ')}: {value:,.4g}" for key, value in told.items() if key != "figures")
        parts.append(f"## {name}\n\n{markdown(['', *(key.replace('_', ' ') for key in keys)], rows)}\n\n{rest}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
