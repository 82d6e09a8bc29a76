"""One day's window in a folder of many daily files, beside the same day in a folder of its own.

Each look is a process of its own, as in the daemon; its time is that of the profiles of the window's 20 features, without the
start of the process and its imports. Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import _results  # noqa: E402 - found by the line before
from monitor.config import Model  # noqa: E402 - found by the line before

START, DAY, FEATURES = 1_600_041_600.0, 86400.0, 20
FORMS = ("parquet", "csv", "jsonl")
LINES = {
    "the day's file alone": ("one", "nothing known"),
    "the folder, for the first time": ("many", "nothing known"),
    "the folder, at the next looks": ("many", "known"),
    "the folder, a day later": ("many", "one file more"),
    "the folder, all of it read": ("many", "all"),
}


def write(folder: Path, form: str, day: int, rows: int) -> None:
    """A day's predictions."""
    draw = np.random.default_rng(day)
    times = START + (day + np.arange(rows) / rows) * DAY
    columns = {
        "event_id": [f"{day}-{row}" for row in range(rows)],
        "timestamp": pa.array((times * 1e6).astype(np.int64)).cast(pa.timestamp("us", "UTC")),
        **{f"f{number}": np.round(draw.normal(size=rows), 4) for number in range(FEATURES)},
        "prediction": np.round(draw.normal(size=rows), 4),
    }
    table, path = pa.table(columns), folder / f"{day:04}.{form}"
    if form == "parquet":
        pa.parquet.write_table(table, path)
    elif form == "csv":
        pa.csv.write_csv(table, path)
    else:
        table = table.set_column(1, "timestamp", table["timestamp"].cast(pa.string()))
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    os.utime(path, (time.time() - 3600,) * 2)


def look(folder: Path, form: str, day: int, kept: Path, *, everything: bool) -> None:
    """Look once, and tell the seconds, the rows and the peak of the memory."""
    from monitor.profile import Reference
    from monitor.records import Window
    from monitor.source import _index as index
    from monitor.source.files import open_source, read_reference

    index.remember_in(kept)
    found = _model(folder)
    own = folder.parent / f"reference.{form}"
    options = found.reference.options
    reference: Reference = read_reference(options, found, own.parent, fingerprint="x")  # and all imports with it
    window = Window(START, START + 10_000 * DAY) if everything else Window(START + day * DAY, START + (day + 1) * DAY)
    started = time.perf_counter()
    source = open_source(found.predictions, None, found, folder.parent)
    (profile,) = source.profiles(window, lambda _: reference).values()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rows": profile.rows, "megabytes": peak}))


def _model(folder: Path) -> Model:
    from monitor.config import load

    ((_, found),) = load(folder.parent / f"{folder.name}.yml").config.models()
    return found


def configure(folder: Path, form: str) -> None:
    """A configuration whose predictions are in the folder."""
    (folder.parent / f"{folder.name}.yml").write_text(f"""
apps:
  - name: shop
    models:
      - name: demand
        task: regression
        reference: {{type: files, path: reference.{form}}}
        predictions: {{type: files, path: {folder.name}}}
""")


def looked(folder: Path, form: str, day: int, kept: Path, *, everything: bool = False) -> dict[str, float]:
    """A look in a process of its own."""
    arguments = ["--look", str(folder), form, str(day), str(kept), str(int(everything))]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def measure(form: str, here: Path, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All lines of one form: the least of some repetitions."""
    many, one, day = here / "many", here / "one", given.files // 2
    for folder in (many, one):
        folder.mkdir()
        configure(folder, form)
    for number in range(given.files):
        write(many, form, number, given.rows)
    shutil.copy2(many / f"{day:04}.{form}", one)
    shutil.copy2(many / f"0000.{form}", here / f"reference.{form}")
    found: dict[str, dict[str, float]] = {}
    for turn in range(given.times):
        for name, (which, how) in LINES.items():
            folder, kept = here / which, here / f"kept-{turn}-{which}"
            if how == "one file more":
                write(many, form, given.files + turn, given.rows)
            told = looked(folder, form, day, kept, everything=how == "all")
            if name not in found or told["seconds"] < found[name]["seconds"]:
                found[name] = told
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--look", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look:
        folder, form, day, kept, everything = given.look
        look(Path(folder), form, int(day), Path(kept), everything=everything == "1")
        return
    told, rows = {}, []
    for form in FORMS:
        with tempfile.TemporaryDirectory() as here:
            told[form] = measure(form, Path(here), given)
        least = told[form]["the day's file alone"]["seconds"]
        for name, line in told[form].items():
            seconds = line["seconds"]
            figures = [f"{seconds * 1e3:.0f} ms", f"{seconds / least:.2f}", f"{line['megabytes']:.0f} MB"]
            rows.append([form, name, *figures])
    table = _results.markdown(["", "", "a look", "times the day's file alone", "peak"], rows, left=2)
    print(table)
    if given.files >= 500:
        title = f"A window of one day in a folder of {given.files} daily files of {given.rows:,} rows and {FEATURES} features"
        _results.write("growing_files", title, table, {"lines": told})


if __name__ == "__main__":
    main()
