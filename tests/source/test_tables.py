"""The same rows, whatever file they stand in and whichever library reads them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.records import ColumnKind
from monitor.source import SourceError
from monitor.source._arrow import array_of, kind_of, mask, seconds_of, truths, whole_numbers
from monitor.source._duck import DuckTable
from monitor.source._parquet import ParquetTable
from monitor.source._sample import spread_out
from monitor.source._table import Table, open_table

NUMERIC, CATEGORICAL, VECTOR = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL, ColumnKind.VECTOR
START = 1_300_000_000.0


def frame(rows: int = 500, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    values = draw.normal(0, 1, rows)
    values[draw.random(rows) < 0.1] = math.nan
    names = np.array(["red", "green", None, "1", "true"], dtype=object)[draw.integers(0, 5, rows)]
    return pd.DataFrame(
        {
            "t": pd.to_datetime(START + np.arange(rows) * 60.0, unit="s"),
            "x": values,
            "n": draw.integers(-5, 5, rows),
            "c": names,
            "flag": draw.random(rows) < 0.5,
        }
    )


def written(folder: Path, form: str, made: pd.DataFrame, name: str = "rows") -> Path:
    path = folder / f"{name}.{form}"
    if form == "parquet":
        made.to_parquet(path, row_group_size=130)
    elif form == "csv":
        made.to_csv(path, index=False)
    else:
        made.to_json(path, orient="records", lines=True, date_format="iso")
    return path


def column(table: Table, name: str, kind: ColumnKind, **options: Any) -> list[Any]:
    found: list[Any] = []
    for piece in table.read([name], **options):
        values, _ = array_of(piece.columns[0], kind)
        assert len(values) == piece.rows
        found += (values.spelled() if hasattr(values, "spelled") else values).tolist()
    return found


def times(table: Table) -> list[float]:
    return [float(time) for piece in table.read([], time="t") for time in piece.times]  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("where", [None, "n > 0 AND c IS NOT NULL", "x < 0"])
def test_every_kind_of_file_holds_the_same_columns_in_the_same_order(
    tmp_path: Path, form: str, where: str | None
) -> None:
    made = frame()
    path = written(tmp_path, form, made)
    expected = made if where is None else made[made.n.gt(0) & made.c.notna() if "n" in where else made.x.lt(0)]
    table = open_table(path.name, where, tmp_path)
    assert table.by_column is (form == "parquet")
    assert (table.rows, list(table.types)) == (len(expected), ["t", "x", "n", "c", "flag"])
    assert times(table) == pytest.approx([moment.timestamp() for moment in expected.t.dt.tz_localize("UTC")], abs=1e-5)
    for chunk_rows in (100, 10_000):
        assert column(table, "x", NUMERIC, chunk_rows=chunk_rows) == pytest.approx(expected.x.tolist(), nan_ok=True)
        assert column(table, "n", NUMERIC, chunk_rows=chunk_rows) == expected.n.tolist()
    assert column(table, "c", CATEGORICAL) == [None if pd.isna(name) else name for name in expected.c]
    assert column(table, "n", CATEGORICAL) == [str(number) for number in expected.n]
    assert column(table, "flag", CATEGORICAL) == ["true" if flag else "false" for flag in expected.flag]
    assert column(table, "c", NUMERIC) == pytest.approx([math.nan] * len(expected), nan_ok=True)
    table.close()


def test_parquet_is_read_as_duckdb_reads_it_across_files_that_differ(tmp_path: Path) -> None:
    """One file lacks a column, in another it is of another type, and one has no rows at all."""
    first, second, none = frame(200, 1), frame(300, 2).assign(n=lambda f: f.n / 2, more=1.5), frame(0)
    for number, made in enumerate((first, second.drop(columns="flag"), none)):
        written(tmp_path, "parquet", made, f"part-{number}")
    for where in (None, "more IS NULL OR more > 1"):
        one = ParquetTable(sorted(tmp_path.glob("part-*.parquet")), where)
        other = DuckTable("part-*.parquet", where, tmp_path)
        assert one.rows == other.rows == 500
        assert set(one.types) == set(other.types)
        for name in one.types:
            assert kind_of(one.types[name]) == kind_of(other.types[name])
            for kind in (NUMERIC, CATEGORICAL):
                if name != "t":
                    assert column(one, name, kind) == pytest.approx(column(other, name, kind), nan_ok=True), name
        assert times(one) == pytest.approx(times(other), abs=1e-5)
        other.close()


def test_times_that_are_written_as_text_are_read_from_parquet_too(tmp_path: Path) -> None:
    made = frame(300).assign(t=lambda f: [moment.isoformat() + "+09:00" for moment in f.t])
    path = written(tmp_path, "parquet", made)
    table = open_table(path.name, "n > 0", tmp_path)
    expected = START - 9 * 3600 + np.flatnonzero(made.n > 0) * 60.0
    assert times(table) == pytest.approx(expected.tolist())


def test_only_row_groups_that_may_hold_the_window_are_read(tmp_path: Path) -> None:
    made = frame(1300)
    path = written(tmp_path, "parquet", made)
    for where, held in ((None, made), ("n > 0", made[made.n > 0])):
        table = open_table(path.name, where, tmp_path)
        start, end = START + 400 * 60.0, START + 500 * 60.0
        table.prune("t", start, end)
        # The window is in the fourth group of 130 rows.
        assert table.rows == len(held.loc[390:519])
        inside = [time for time in times(table) if start <= time < end]
        assert inside == pytest.approx([START + row * 60.0 for row in held.loc[400:499].index])
        assert column(table, "x", NUMERIC) == pytest.approx(held.loc[390:519].x.tolist(), nan_ok=True)


def test_a_condition_that_names_no_column_is_said_in_words(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet", frame(10))
    with pytest.raises(SourceError, match=r"rows\.parquet: .*nothing_such"):
        open_table(path.name, "nothing_such > 1", tmp_path)


def test_a_file_that_is_no_parquet_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(SourceError, match=r"rows\.parquet: "):
        open_table("rows.parquet", None, tmp_path)


def test_reading_files_needs_no_pandas(tmp_path: Path) -> None:
    """It would cost the child half of its memory; PyArrow imports it where one is not careful."""
    import subprocess
    import sys

    path = written(tmp_path, "parquet", frame(50).assign(v=[[1.0, 2.0]] * 50))
    program = f"""
import sys
from pathlib import Path
from monitor.records import ColumnKind
from monitor.source._arrow import joined
from monitor.source._table import open_table
table = open_table({path.name!r}, "n > -3", Path({str(tmp_path)!r}))
for name, kind in (("x", "numeric"), ("c", "categorical"), ("flag", "categorical"), ("v", "vector")):
    for piece in table.read([name], time="t"):
        joined(piece.columns, ColumnKind(kind))
print(*[name for name in ("pandas", "scipy.stats", "sklearn") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


# --- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 3, 8, 9])
def test_arrays_are_taken_from_arrow_as_they_are(offset: int) -> None:
    """Slices, missing values, whole numbers, decimals and truth values, against PyArrow's own conversion."""
    import decimal

    for values, arrow_type in (
        ([1.5, None, math.nan, -2.0] * 5, pa.float64()),
        ([1.5, None, -2.0, 0.0] * 5, pa.float32()),
        ([1, None, 2**40, -7] * 5, pa.int64()),
        ([1, 2, 255, 0] * 5, pa.uint8()),
        ([decimal.Decimal("1.25"), None, decimal.Decimal("-3.50"), decimal.Decimal(0)] * 5, pa.decimal128(9, 2)),
    ):
        array = pa.array(values, arrow_type)[offset:]
        found, invalid = array_of(array, NUMERIC)
        assert (
            found.tolist()
            == pytest.approx(  # type: ignore[union-attr]
                [math.nan if value is None else float(value) for value in values[offset:]], nan_ok=True
            )
        )
        assert invalid == 0
    flags = pa.array([True, False, False, True] * 6)[offset:]
    assert truths(flags).tolist() == flags.to_pylist()
    rows = np.array(flags.to_pylist())
    assert mask(rows).to_pylist() == flags.to_pylist()
    assert whole_numbers(np.flatnonzero(rows)).to_pylist() == np.flatnonzero(rows).tolist()


def test_names_that_are_spelled_alike_are_one() -> None:
    found, _ = array_of(pa.array([0.0, -0.0, 1.0, math.nan, None, 2.5]), CATEGORICAL)
    assert found.spelled().tolist() == ["0", "0", "1", None, None, "2.5"]  # type: ignore[union-attr]
    assert found.names == ("0", "1", "2.5")  # type: ignore[union-attr]
    small = pa.DictionaryArray.from_arrays(pa.array([0, 127, None], pa.int8()), pa.array([f"n{i}" for i in range(128)]))
    coded, _ = array_of(small, CATEGORICAL)
    assert coded.spelled().tolist() == ["n0", "n127", None]  # type: ignore[union-attr]
    classes, _ = array_of(pa.array([True, False, None]), CATEGORICAL, classes=True)
    assert classes.spelled().tolist() == ["1", "0", None]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "arrow_type", [pa.list_(pa.float64()), pa.large_list(pa.int32()), pa.list_(pa.float32(), 2), pa.list_(pa.string())]
)
def test_vectors_are_rows_of_a_matrix_and_what_is_none_is_counted(arrow_type: Any) -> None:
    fixed = pa.types.is_fixed_size_list(arrow_type)
    text = pa.types.is_string(arrow_type.value_type)
    values: list[Any] = [[1, 2], None, [3, 4], [5, None], [6, 7]] if fixed else [[1, 2], None, [3, 4], [5], [6, None]]
    if text:
        values = [value and [str(item) for item in value] for value in values]
    array = pa.array([[9, 9], *values] if not text else [["9", "9"], *values], arrow_type)[1:]
    found, invalid = array_of(array, VECTOR)
    nothing = [math.nan, math.nan]
    expected = [nothing] * 5 if text else [[1, 2], nothing, [3, 4], nothing, [6, 7] if fixed else nothing]
    assert np.array(found).shape == (5, 2)
    assert np.array(found).tolist() == pytest.approx(np.array(expected, dtype=float), nan_ok=True)
    assert invalid == (4 if text else 1 if fixed else 2)


def test_a_vector_that_is_no_list_is_of_no_use() -> None:
    found, invalid = array_of(pa.array(["[1, 2]", None, "3"]), VECTOR)
    assert (np.array(found).shape, invalid) == ((3, 0), 2)


def test_dates_and_times_of_every_unit_are_seconds() -> None:
    moment = pd.Timestamp("2011-01-01T12:00:00")
    for unit in ("s", "ms", "us", "ns"):
        for zone in (None, "UTC", "Europe/Berlin"):
            array = pa.array(
                [moment.tz_localize("UTC").value // 10 ** (9 - {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]), None]
            )
            found = seconds_of(array.cast(pa.timestamp(unit, zone)))
            assert found.tolist() == pytest.approx([moment.timestamp(), math.nan], nan_ok=True)
    assert seconds_of(pa.array([pd.Timestamp("2011-01-02").date()])).tolist() == [1293926400.0]


@pytest.mark.parametrize(("rows", "limit"), [(10, 3), (10, 10), (10, 11), (1, 5), (0, 5), (100_000, 777)])
def test_a_sample_is_spread_evenly(rows: int, limit: int) -> None:
    marks = np.where(np.arange(3 * rows) % 3 == 1, 4, 0).astype(np.int32)
    found = spread_out(marks, 4, limit)
    assert len(found) == min(rows, limit)
    assert (found % 3 == 1).all()
    if limit < rows:
        gaps = np.diff(found) // 3
        assert gaps.max() - gaps.min() <= 1
        assert found[0] == 1


def test_a_parquet_file_of_one_large_row_group_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": np.arange(5000.0)}), path)
    pieces = list(open_table(path.name, None, tmp_path).read(["x"], chunk_rows=999))
    assert max(piece.rows for piece in pieces) == 999
    assert sum(piece.rows for piece in pieces) == 5000
