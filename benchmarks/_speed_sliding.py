"""A window of thirty days that slides, over a store that holds its profiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._speed_common import DAY, MEGABYTE, START, WINDOW_DAYS, least, model_of


def sliding_of(folder: Path, rows: int, times: int) -> dict[str, Any]:
    from monitor.check import Calibrations, References, judge_model
    from monitor.profile import build_reference
    from monitor.records import Column, ColumnKind, Window
    from monitor.source.ingest import IngestSource, series_of
    from monitor.store import Store, events
    from monitor.store.profiles import advance
    from monitor.store.versions import note_versions
    from monitor.windows import bucket_seconds, window_seconds

    draw = np.random.default_rng(3)
    section = {
        "name": "model", "task": "regression", "windows": {"size": "30d", "every": "1m", "lateness": "0s"},
        "checks": {"drift": {}, "quality": {}}, "predictions": {"type": "ingest"},
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
    store.write(lambda c: note_versions(c, number, ["1"], START))
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
        least(look, times),
        least(lambda: source.profiles(window, lambda _: reference), times),
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
