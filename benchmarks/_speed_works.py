"""Work whose time and memory `speed.py` takes in a process of its own: `python benchmarks/_speed_works.py WORK FOLDER`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._speed_common import DAY, START, least, peak  # noqa: E402 - found by the line before


def bare_read(folder: Path, _rows: int, _hours: int) -> Callable[[], Any]:
    import pyarrow.parquet as pq

    return lambda: pq.read_table(folder / "predictions.parquet")


def resident(_folder: Path, _rows: int, _hours: int) -> Callable[[], Any]:
    """What the daemon has in memory before it watches anything."""
    for name in ("monitor.app.daemon", "monitor.cli"):
        importlib.import_module(name)
    return lambda: None


def read_reference(folder: Path, _rows: int, _hours: int) -> Callable[[], Any]:
    """The reference read, and kept in a store as the daemon keeps it."""
    from monitor.config import load
    from monitor.store import Store, events
    from monitor.store.references import save_reference

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

    return _reference.read_reference(
        model, "unversioned", folder, open_events("bench", model, folder, folder), now=START + DAY
    )


def check(folder: Path, rows: int, hours: int) -> Callable[[], Any]:
    """The check of one window, where its reference is kept in the store and has been calibrated."""
    look = first_check(folder, rows, hours)
    look()
    return look


def first_check(folder: Path, rows: int, hours: int, *, kept: bool = True) -> Callable[[], Any]:
    """The same in a process that has done nothing yet."""
    from monitor.check import Calibrations, References, judge_model
    from monitor.config import load
    from monitor.records import Window
    from monitor.source._open import open_events
    from monitor.source._reference import reference_key
    from monitor.store import open_for_reading
    from monitor.store.references import load_reference

    model = load(folder / "anchorwatch.yml").config.models()[0][1]

    def stored(key: str, *, stretches: bool) -> Any:
        with open_for_reading(folder / "data").read() as connection:
            return load_reference(connection, 1, key, stretches=stretches)

    def reference(version: str) -> Any:
        return stored(reference_key(model, version, folder)[0], stretches=False) if kept else anew(model, folder)

    calibrations = Calibrations(lambda known: stored(known.fingerprint, stretches=True))

    def work() -> None:
        window = Window(START, START + hours * 3600)
        source = open_events("bench", model, folder, folder)
        results = judge_model("bench", model, window, source, References(reference, calibrations), now=window.end)
        held = {result.check: (result.verdict.value, result.rows) for result in results}
        assert all(verdict != "error" and seen == rows for verdict, seen in held.values()), held

    return work


def check_anew(folder: Path, rows: int, hours: int) -> Callable[[], Any]:
    """The same where the reference is read, too."""
    return first_check(folder, rows, hours, kept=False)


WORKS = {work.__name__: work for work in (bare_read, resident, read_reference, check, first_check, check_anew)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", choices=list(WORKS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--hours", type=int, required=True)
    options = parser.parse_args()
    # What importing costs is no part of it.
    work = WORKS[options.work](options.folder, options.rows, options.hours)
    cpu, wall = least(work, 1)
    print(json.dumps({"cpu_seconds": cpu, "wall_seconds": wall, "peak_megabytes": peak()}))


if __name__ == "__main__":
    main()
