"""How fast and how large: profiles in memory, files end to end, a file of 20 million rows, and a window that slides.

Every time stands beside a floor that is measured in the same run, on the same machine: sorting the columns, or reading the
file and nothing else. Processor seconds, the least of some repetitions; memory is the most that a process of its own has held.
The data are those of `peers/speed_data.py`, which the other programs are measured on, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "peers")]

STATISTICS = {
    "numeric": ["psi", "jensen_shannon", "hellinger", "g_test", "ks", "wasserstein"],
    "categorical": ["psi", "jensen_shannon", "hellinger", "g_test"],
}
MEGABYTE = 1e6
DAY = 86400.0
START = 1_700_006_400.0  # a midnight
WINDOW_DAYS = 30


def least(work: Callable[[], Any], times: int) -> tuple[float, float]:
    """Processor and real seconds of work, the least of some repetitions of each."""
    found = []
    for _ in range(times):
        began, spent = time.perf_counter(), time.process_time()
        work()
        found.append((time.process_time() - spent, time.perf_counter() - began))
    return min(cpu for cpu, _ in found), min(wall for _, wall in found)


def peak() -> float:
    """The most megabytes this process has held."""
    told = Path("/proc/self/status")
    if told.exists():
        # What getrusage tells may be what the process that started this one had held.
        (line,) = [line for line in told.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / MEGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


def rows_of(told: dict[str, tuple[float, float]], floor: str) -> dict[str, Any]:
    """Seconds and their ratio to a floor."""
    below = told[floor][0]
    return {
        name: {"cpu_seconds": cpu, "wall_seconds": wall, "ratio": cpu / below} for name, (cpu, wall) in told.items()
    }


# --- in memory --------------------------------------------------------------------------------------------------------


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

    speed_data(folder, options.rows)
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
    return {"rows": options.rows, "columns": len(bins), "figures": rows_of(told, "sorting the numeric columns (floor)")}


# --- from files -------------------------------------------------------------------------------------------------------


def speed_data(folder: Path, rows: int) -> None:
    """The data that the peers are measured on, made once."""
    import speed_data as made

    if not (folder / "current.parquet").exists():
        made.write(folder, rows)


def with_events(folder: Path, rows: int) -> Path:
    """The current rows with an id and a time, an hour's worth of them in all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "predictions.parquet"
    if not path.exists():
        table = pq.read_table(folder / "current.parquet")
        times = ((START + np.arange(rows) * 3600 / rows) * 1e6).astype(np.int64)
        table = table.append_column("timestamp", pa.array(times, pa.timestamp("us")))
        pq.write_table(table.append_column("event_id", pa.array(np.arange(rows))), path)
    return path


def model_of(folder: Path, section: dict[str, Any]) -> Any:
    """A model as the configuration gives it."""
    import yaml

    from monitor.config import load

    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "bench", "models": [section]}]}), encoding="utf-8")
    return load(path).config.models()[0][1]


def drift_check() -> dict[str, Any]:
    """The checks of drift and quality, with the statistics that a user may ask for by name."""
    # On numeric columns the G-test is what significance is told by, whatever statistic is shown.
    asked = {**STATISTICS, "numeric": [name for name in STATISTICS["numeric"] if name != "g_test"]}
    return {"drift": {"statistics": asked, "min_rows": 1}, "quality": {}}


def parquet(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A check of a million rows from a file, with a reference that is kept, beside reading the file with PyArrow."""
    speed_data(folder, options.rows)
    with_events(folder, options.rows)
    section = {
        "name": "model", "task": "regression", "windows": {"size": "1h", "lateness": "0s"}, "checks": drift_check(),
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions.parquet"},
    }  # fmt: skip
    model_of(folder, section)
    names = ("bare_read", "resident", "read_reference", "check", "first_check", "check_anew")
    parts = {name: in_process(name, folder, options) for name in names}
    floor = parts["bare_read"]["cpu_seconds"]
    for part in parts.values():
        part["ratio"] = part["cpu_seconds"] / floor
    above = parts["check"]["peak_megabytes"] - parts["resident"]["peak_megabytes"]
    return {"rows": options.rows, "figures": parts, "megabytes_above_the_daemon": above}


def bare_read(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    import pyarrow.parquet as pq

    return lambda: pq.read_table(folder / "predictions.parquet")


def resident(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """What the daemon has in memory before it watches anything."""
    import monitor.app  # noqa: F401
    import monitor.cli  # noqa: F401

    return lambda: None


def read_reference(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """The reference read, and kept in a store as the daemon keeps it."""
    from monitor.config import load
    from monitor.store import Store, events
    from monitor.store.profiles import save_reference

    model = load(folder / "anchorwatch.yml").config.models()[0][1]

    def work() -> None:
        reference = anew(model, folder)
        store = Store(folder / "data", now=START)
        number = store.write(lambda c: events.model_id(c, "bench", "model"))
        store.write(lambda c: save_reference(c, number, reference, START))
        store.close()

    return work


def anew(model: Any, folder: Path) -> Any:
    from monitor.source import _reference
    from monitor.source._open import open_events

    return _reference.read_reference(model, "unversioned", folder, open_events("bench", model, folder, folder), now=START + DAY)


def check(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """The check of one window, where the reference is kept in the store and has been calibrated."""
    look = first_check(folder, options)
    look()
    return look


def first_check(folder: Path, options: argparse.Namespace, *, kept: bool = True) -> Callable[[], Any]:
    """The same in a process that has done nothing yet."""
    from monitor.check import Calibrations, References, judge_model
    from monitor.config import load
    from monitor.records import Window
    from monitor.source._open import open_events
    from monitor.source._reference import reference_key
    from monitor.store import open_for_reading
    from monitor.store.profiles import load_reference

    model = load(folder / "anchorwatch.yml").config.models()[0][1]
    calibrations = Calibrations()

    def reference(version: str) -> Any:
        if not kept:
            return anew(model, folder)
        key, _ = reference_key(model, version, folder)
        with open_for_reading(folder / "data").read() as connection:
            return load_reference(connection, 1, key, stretches=True)

    def work() -> None:
        window = Window(START, START + options.hours * 3600)
        source = open_events("bench", model, folder, folder)
        results = judge_model("bench", model, window, source, References(reference, calibrations), now=window.end)
        held = {result.check: (result.verdict.value, result.rows) for result in results}
        assert all(rows == options.rows and verdict != "error" for verdict, rows in held.values()), held

    return work


def check_anew(folder: Path, options: argparse.Namespace) -> Callable[[], Any]:
    """The same where the reference is read, too."""
    return first_check(folder, options, kept=False)


PARTS = {part.__name__: part for part in (bare_read, resident, read_reference, check, first_check, check_anew)}


def in_process(name: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """A part in a process of its own."""
    program = [sys.executable, __file__, "--part", name, "--folder", str(folder)]
    given = ["--rows", str(options.rows), "--hours", str(options.hours)]
    # What imports and starting cost is no part of it; the best of some, as others use the machine, too.
    found = [json.loads(subprocess.check_output([*program, *given], cwd=ROOT)) for _ in range(options.tries)]
    return {key: min(each[key] for each in found) for key in found[0]}


def run_part(name: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    work = PARTS[name](folder, options)
    cpu, wall = least(work, 1)
    return {"cpu_seconds": cpu, "wall_seconds": wall, "peak_megabytes": peak()}


# --- a large file -----------------------------------------------------------------------------------------------------


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
        "checks": drift_check(), "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions.parquet"},
    }  # fmt: skip
    model_of(folder, section)
    given = argparse.Namespace(**{**vars(options), "rows": options.large_rows, "hours": 24 * WINDOW_DAYS, "tries": 1})
    parts = {name: in_process(name, folder, given) for name in ("bare_read", "check_anew")}
    for part in parts.values():
        part["ratio"] = part["cpu_seconds"] / parts["bare_read"]["cpu_seconds"]
    return {"rows": options.large_rows, "columns": 11, "figures": parts}


# --- a window that slides ---------------------------------------------------------------------------------------------


def sliding(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A check of a window of 30 days in buckets of a minute, over one million and over ten million events.

    The buckets are written through `advance`, as the daemon's own catching up does, without the raw rows beneath them.
    """
    return {"figures": {f"{rows:,} events": sliding_of(folder, rows, options) for rows in (1_000_000, 10_000_000)}}


def sliding_of(folder: Path, rows: int, options: argparse.Namespace) -> dict[str, Any]:
    from monitor.check import Calibrations, References, judge_model
    from monitor.profile import build_reference
    from monitor.records import Column, ColumnKind, EventBatch, Window
    from monitor.source.ingest import IngestSource, series_of
    from monitor.store import Store, events
    from monitor.store.profiles import advance
    from monitor.windows import bucket_seconds, window_seconds

    draw = np.random.default_rng(3)
    section = {
        "name": "model", "task": "regression", "windows": {"size": "30d", "every": "1m", "lateness": "0s"},
        "checks": drift_check(), "predictions": {"type": "ingest"},
    }  # fmt: skip
    held = folder / f"sliding-{rows}"
    held.mkdir()
    model = model_of(held, section)
    names = {f"number_{place}": ColumnKind.NUMERIC for place in range(10)} | {"category": ColumnKind.CATEGORICAL}
    columns = tuple(Column(name, kind) for name, kind in names.items())
    days = 60
    past = some_rows(draw, columns, 200_000, START - days * DAY, days * DAY)
    reference = build_reference(
        past, columns, fingerprint="bench", version="1", window_seconds=window_seconds(model.windows)
    )
    bucket, store = bucket_seconds(model.windows), Store(held / "data", now=START)
    number = store.write(lambda c: events.model_id(c, "bench", "model"))
    store.write(lambda c: events.note_versions(c, number, ["1"], START))
    series, before = series_of(reference, bucket), 0
    for hours in hourly_buckets(draw, columns, reference, rows, bucket):
        after = before + 1
        store.write(
            lambda c, hours=hours, before=before, after=after: advance(
                c, number, "1", series,
                bins=reference.bins, seconds=bucket, before=before, after=after, fresh=hours, now=START,
            )
        )  # fmt: skip
        before = after
    source = IngestSource(store, "bench", "model", bucket_seconds=bucket)
    # Both ends lie within an hour, so that days, hours and minutes are all read.
    window = Window(START + 1830.0 // 60 * 60, START + WINDOW_DAYS * DAY + 1800.0)
    calibrations = Calibrations()

    def look() -> None:
        references = References(lambda _: reference, calibrations)
        results = judge_model("bench", model, window, source, references, now=window.end)
        assert {result.verdict.value for result in results} <= {"ok", "breached"}, results

    look()  # calibrates, once
    (check_cpu, check_wall), (read_cpu, read_wall) = (
        least(look, options.times),
        least(lambda: source.profiles(window, lambda _: reference), options.times),
    )
    found = source.profiles(window, lambda _: reference)["1"].rows
    store.close()
    size = sum(file.stat().st_size for file in (held / "data").iterdir()) / MEGABYTE
    return {
        "rows_in_the_window": found,
        "check_cpu_seconds": check_cpu,
        "check_wall_seconds": check_wall,
        "profile_cpu_seconds": read_cpu,
        "profile_wall_seconds": read_wall,
        "store_megabytes": size,
    }


def some_rows(draw: np.random.Generator, columns: Any, rows: int, start: float, seconds: float) -> Any:
    from monitor.records import Coded, ColumnKind, EventBatch

    times = np.sort(start + draw.random(rows) * seconds)
    features: dict[str, Any] = {
        column.name: draw.normal(0, 1, rows)
        if column.kind is ColumnKind.NUMERIC
        else Coded(draw.integers(-1, 12, rows).astype(np.int32), tuple(f"name {code}" for code in range(12)))
        for column in columns
    }
    return EventBatch("1", times, features)


def hourly_buckets(
    draw: np.random.Generator, columns: Any, reference: Any, rows: int, bucket: int
) -> Iterator[dict[int, Any]]:
    """The profiles of the buckets of each hour of a little more than thirty days."""
    from monitor.profile import profile_batch

    each = round(rows / (WINDOW_DAYS * DAY / bucket))
    for hour in range(WINDOW_DAYS * 24 + 2):
        start = START + hour * 3600
        yield {
            int(start + place * bucket): profile_batch(
                some_rows(draw, columns, each, start + place * bucket, bucket), reference.bins
            )
            for place in range(3600 // bucket)
        }


# --- the command ------------------------------------------------------------------------------------------------------

KINDS = {kind.__name__: kind for kind in (memory, parquet, large, sliding)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=list(KINDS), action="append", help="leave the others out (may be repeated)")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large-rows", type=int, default=20_000_000)
    parser.add_argument("--times", type=int, default=7, help="repetitions, of which the least counts")
    parser.add_argument("--tries", type=int, default=3, help="processes, of which the least counts")
    parser.add_argument("--hours", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where the data are kept (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    if options.part:
        print(json.dumps(run_part(options.part, options.folder, options)))
        return 0
    with tempfile.TemporaryDirectory(prefix="anchorwatch-speed-") as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = {name: KINDS[name](folder, options) for name in options.only or KINDS}
    print(json.dumps(found, indent=1) if options.json else table(found))
    return 0


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    from _results import machine, markdown

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
