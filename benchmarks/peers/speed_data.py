"""The data of the speed table: two Parquet files of 1,000,000 rows, 40 numeric and 10 categorical columns, 1 % nulls each.

Half of the numeric columns are normal, a quarter log-normal, an eighth small whole numbers, an eighth zero in four rows of
five; the categorical ones have 3 to 30 names of falling frequency. The current rows are moved by a tenth of a standard
deviation in every fifth numeric column. `python benchmarks/peers/speed_data.py FOLDER`; the project's own environment does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMERIC, CATEGORICAL = 40, 10
NULLS = 0.01
SEED = 20240229


def number(draw: np.random.Generator, place: int, rows: int) -> np.ndarray:
    """One numeric column."""
    if place % 8 < 4:
        return draw.normal(place, 1 + place / 10, rows)
    if place % 8 < 6:
        return draw.lognormal(0, 0.5 + place / 80, rows)
    if place % 8 == 6:
        return draw.poisson(3, rows).astype(np.float64)
    return np.where(draw.random(rows) < 0.8, 0.0, draw.exponential(place, rows))


def category(draw: np.random.Generator, place: int, rows: int) -> pa.Array:
    """One categorical column, as text."""
    names = [f"{place}-{letter:02d}" for letter in range(3 * (place + 1))]
    shares = 0.8 ** np.arange(len(names))
    codes = draw.choice(len(names), rows, p=shares / shares.sum()).astype(np.int32)
    gone = draw.random(rows) < NULLS
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=gone), pa.array(names)).cast(pa.string())


def table(rows: int, seed: int, shift: float = 0.0) -> pa.Table:
    """So many rows; `shift` in standard deviations, in every fifth numeric column."""
    draw = np.random.default_rng(seed)
    columns = {}
    for place in range(NUMERIC):
        values = number(draw, place, rows)
        values += shift * values.std() * (place % 5 == 0)
        columns[f"number_{place:02d}"] = pa.array(values, mask=draw.random(rows) < NULLS)
    for place in range(CATEGORICAL):
        columns[f"category_{place}"] = category(draw, place, rows)
    return pa.table(columns)


def write(folder: Path, rows: int = 1_000_000) -> None:
    """`reference.parquet` and `current.parquet`."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name, shift in ((SEED, "reference", 0.0), (SEED + 1, "current", 0.1)):
        pq.write_table(table(rows, seed, shift), folder / f"{name}.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    write(options.folder, options.rows)


if __name__ == "__main__":
    main()
