"""The employment data: of time only the years and the order of the rows are real, so they are judged in chunks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._judges import drift_check
from benchmarks._populations import DATA, Features, columns_of
from benchmarks._replays import Promise, share
from monitor.profile import build_reference, profile_batch
from monitor.records import Coded, EventBatch

DAY = 86400.0
CHUNK = 5_000
BROKEN_FROM = 14  # the first chunk of the file of 2017, whose rows are in another order


def employment_table(name: str) -> tuple[Features, np.ndarray, np.ndarray]:
    """Features, times (Unix seconds) and year of a file's rows, in their order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    read = pq.read_table(DATA / "ma_employment" / name)
    times = read["replay_timestamp"].cast(pa.int64()).to_numpy() / 1e6
    features: dict[str, Any] = {}
    for column in read.column_names:
        if column in ("id", "replay_timestamp", "year", "employed", "prediction"):
            continue
        held = read[column].combine_chunks()
        if pa.types.is_dictionary(held.type):
            codes = held.indices.fill_null(-1).to_numpy().astype(np.int32)
            features[column] = Coded(codes, tuple(str(value) for value in held.dictionary.to_pylist()))
        else:
            features[column] = held.to_numpy(zero_copy_only=False).astype(np.float64)
    return features, times, read["year"].to_numpy()


def employment() -> tuple[list[Promise], dict[str, list[str]], dict[str, list[str]]]:
    """The promises; and by chunk, and by year, the columns that are found."""
    features, times, _ = employment_table("reference.parquet")
    later, moments, years = employment_table("analysis.parquet")

    def found(parts: Sequence[slice], seconds: float) -> list[list[str]]:
        batch = EventBatch("1", times, features)
        reference = build_reference(
            batch, columns_of(features), fingerprint="2015", version=None, window_seconds=seconds
        )
        profiles = [
            profile_batch(EventBatch("1", moments[part], {n: v[part] for n, v in later.items()}), reference.bins)
            for part in parts
        ]
        judged = drift_check(reference, profiles, (len(features),), seconds)
        breached = judged.breached(len(features)) & judged.material
        return [list(dict.fromkeys(judged.tests[at][0] for at in np.flatnonzero(row))) for row in breached]

    rows = len(moments)
    chunks = [slice(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK)]
    by_chunk = found(chunks, 26 * DAY)  # 5,000 of the year's 68,785 rows
    whole = [slice(*np.searchsorted(years, [year, year + 1])) for year in (2016, 2017, 2018)]
    by_year = found(whole, 365 * DAY)
    return (
        _employment_promises(by_chunk, by_year),
        {str(place): names for place, names in enumerate(by_chunk)},
        dict(zip(("2016", "2017", "2018"), by_year, strict=True)),
    )


def _employment_promises(by_chunk: list[list[str]], by_year: list[list[str]]) -> list[Promise]:
    quiet = [str(place) for place, names in enumerate(by_chunk[:BROKEN_FROM]) if names]
    broken = [place for place in range(BROKEN_FROM, len(by_chunk)) if "RELP" in by_chunk[place]]
    worst = sorted(range(len(by_chunk)), key=lambda place: -len(by_chunk[place]))[:2]
    annual = [name for names in by_year for name in names]
    most = ", ".join(f"{place}: {len(by_chunk[place])}" for place in sorted(worst))
    name, after = "ma_employment", by_chunk[BROKEN_FROM:]
    return [
        Promise(name, "chunks of 2016 (0 to 13) stay quiet", f"found in: {', '.join(quiet) or 'none'}", not quiet),
        Promise(
            name, "RELP in every chunk from the order break on (14)", share(broken, after), len(broken) == len(after)
        ),
        Promise(name, "most columns where group quarters are together (27, 28)", most, sorted(worst) == [27, 28]),
        Promise(name, "whole years stay quiet", ", ".join(annual) or "none", not annual),
    ]
