"""Delta tables: the files of one version and no others, here and in a bucket; what cannot be read of them is said."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from monitor.records import Window
from monitor.source import SourceError, files
from tests.source.buckets import KEY, SECRET, Bucket, bucket
from tests.source.growing import anew, day, frame, opened, rows, source
from tests.source.worlds import DAY, START

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_known")]
ALL = Window(START, START + 1000 * DAY)


@pytest.fixture(scope="module")
def store() -> Iterator[Bucket]:
    with bucket() as found:
        yield found


def table(number: int, rows: int = 40) -> pa.Table:
    made = frame(number, rows).assign(
        day=lambda f: f.timestamp.dt.date, timestamp=lambda f: f.timestamp.dt.tz_localize("UTC")
    )
    return pa.Table.from_pandas(made, preserve_index=False)


def add(path: Path | str, number: int, **more: Any) -> None:
    write_deltalake(path, table(number), mode="append", **more)


@pytest.mark.parametrize("partitions", [None, ["day"], ["day", "c"], ["model_version"]])
def test_a_table_holds_the_rows_of_its_version_alone(tmp_path: Path, partitions: list[str] | None) -> None:
    """What was overwritten or deleted still lies there, and does not count."""
    path = tmp_path / "log"
    for number in range(4):
        add(path, number, partition_by=partitions)
    looked = source(tmp_path)
    assert [rows(looked, day(number)) for number in range(5)] == [40, 40, 40, 40, 0]
    assert looked.delta_version == 3
    DeltaTable(path).delete("day = '2020-09-14'")
    assert [rows(looked, day(number)) for number in range(4)] == [0, 40, 40, 40]
    assert looked.delta_version == 4
    DeltaTable(path).optimize.compact()
    assert rows(looked, ALL) == 120
    old = source(tmp_path, predictions={"format": "delta", "delta_version": 1})
    assert (rows(old, ALL), old.delta_version) == (80, 1)
    assert looked.newest_event(math.inf) == pytest.approx(START + 4 * DAY, abs=DAY / 20)
    assert looked.oldest_event() == pytest.approx(START + DAY, abs=DAY / 20)


@pytest.mark.parametrize("partitions", [None, ["c"], ["day"]])
def test_a_table_is_read_as_the_same_rows_in_a_file(tmp_path: Path, partitions: list[str] | None) -> None:
    add(tmp_path / "log", 0, partition_by=partitions)
    table(0).to_pandas().to_parquet(tmp_path / "one.parquet")
    where = "day = DATE '2020-09-14' AND (c IS NULL OR c <> 'red')"
    there, here = (source(tmp_path, path, predictions={"where": where}) for path in ("log", "one.parquet"))
    columns = here.columns(day(0), here.model)
    assert set(there.columns(day(0), there.model)) == set(columns)
    (expected,), (found,) = (each.rows(day(0), columns, limit=99).values() for each in (here, there))
    assert found.times.tolist() == expected.times.tolist()
    for name, values in expected.features.items():
        assert found.features[name].tolist() == pytest.approx(values.tolist(), nan_ok=True), name


def test_labels_and_references_may_be_tables(tmp_path: Path) -> None:
    add(tmp_path / "log", 0)
    add(tmp_path / "log", 1)
    add(tmp_path / "reference", 0, partition_by=["day"])
    made = frame(0)
    labels = pd.DataFrame(
        {"event_id": made.event_id, "label": "1", "label_timestamp": made.timestamp.dt.tz_localize("UTC")}
    )
    write_deltalake(tmp_path / "labels", pa.Table.from_pandas(labels, preserve_index=False))
    looked = source(
        tmp_path,
        labels={"type": "files", "path": "labels", "mature": "1d"},
        reference={"type": "files", "path": "reference"},
    )
    assert sum(len(batch.times) for batch in looked.labelled(day(0), numeric=False)) == 40
    options = looked.model.reference.options
    key = files.reference_key(options, tmp_path)
    assert files.read_reference(options, looked.model, tmp_path, fingerprint=key).rows == 40
    add(tmp_path / "reference", 1, partition_by=["day"])
    assert files.reference_key(options, tmp_path) != key
    pinned = options.replace(delta_version=0)
    assert files.reference_key(pinned, tmp_path) == key


def test_a_window_opens_the_files_that_the_log_says_may_hold_it(tmp_path: Path) -> None:
    for number in range(8):
        add(tmp_path / "log", number)
    with opened(tmp_path / "log") as names:
        assert rows(source(tmp_path), day(3)) == 40
    assert len(set(names) - {"_delta_log"}) == 1


def test_the_version_that_was_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(tmp_path / "log", 0)
    add(tmp_path / "log", 1)
    with caplog.at_level(logging.INFO):
        looked = source(tmp_path)
        assert rows(looked, day(0)) == rows(looked, day(1)) == 40
    (record,) = [each for each in caplog.records if each.name.startswith("monitor")]
    assert record.getMessage() == f"read version 1 of {tmp_path / 'log'}"
    assert record.version == 1  # type: ignore[attr-defined]


def test_a_table_in_a_bucket_is_read_as_one_here(store: Bucket, tmp_path: Path) -> None:
    options = {
        "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": store.url, "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true", "aws_conditional_put": "etag",
    }  # fmt: skip
    for number in range(5):
        add("s3://watch/table", number, partition_by=["day"], storage_options=options)
    DeltaTable("s3://watch/table", storage_options=options).delete("day = '2020-09-14'")
    for section in ({}, {"format": "delta"}):
        predictions = {"storage": store.storage, "where": "day <> DATE '2020-09-16'", **section}
        looked = source(tmp_path, "s3://watch/table", predictions=predictions)
        since = store.asked()
        assert [rows(looked, day(number)) for number in range(6)] == [0, 40, 0, 40, 40, 0]
        assert looked.delta_version == 5
        assert not [key for key in store.got(since) if "day=2020-09-14" in key]


# --- what cannot be read --------------------------------------------------------------------------------------------


def commit(path: Path, version: int, *actions: dict[str, Any]) -> None:
    """A commit as another writer would make it."""
    text = "\n".join(json.dumps(action) for action in actions)
    (path / "_delta_log" / f"{version:020d}.json").write_text(text + "\n")


def first(path: Path, kind: str) -> dict[str, Any]:
    lines = (path / "_delta_log" / f"{0:020d}.json").read_text().splitlines()
    return next(found for line in lines if kind in (found := json.loads(line)))


def test_deletion_vectors_are_said_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    add(path, 0)
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}
    commit(path, 1, protocol)
    assert rows(source(tmp_path), day(0)) == 40  # the table may have some, and has none
    said = first(path, "add")
    vector = {
        "storageType": "i",
        "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
        "sizeInBytes": 40,
        "cardinality": 6,
    }
    commit(path, 2, {"add": {**said["add"], "deletionVector": vector}})
    with pytest.raises(SourceError, match=r"log: expected a Delta table without deletion vectors, got"):
        rows(source(tmp_path), day(0))


def test_column_mapping_is_said_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    add(path, 0)
    meta = first(path, "metaData")
    schema = json.loads(meta["metaData"]["schemaString"])
    for number, each in enumerate(schema["fields"]):
        each["metadata"] = {"delta.columnMapping.id": number + 1, "delta.columnMapping.physicalName": f"col-{number}"}
    meta["metaData"] |= {"schemaString": json.dumps(schema), "configuration": {"delta.columnMapping.mode": "name"}}
    commit(path, 1, {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, meta)
    with pytest.raises(SourceError, match=r"log: expected a Delta table without column mapping, got the mode 'name'"):
        rows(source(tmp_path), day(0))


@pytest.mark.parametrize("spoiled", ["nothing", "empty", "garbage", "version"])
def test_what_is_no_table_is_said(tmp_path: Path, spoiled: str) -> None:
    path = tmp_path / "log"
    add(path, 0)
    log = path / "_delta_log" / f"{0:020d}.json"
    section: dict[str, Any] = {"format": "delta"}
    if spoiled == "version":
        section["delta_version"] = 7
    elif spoiled == "nothing":
        section["path"] = "elsewhere"
    else:
        log.write_text("" if spoiled == "empty" else "nonsense\n")
    with pytest.raises(SourceError, match=r"log: expected a Delta table|elsewhere"):
        rows(source(tmp_path, predictions=section), day(0))


def test_a_file_that_the_log_names_and_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """A report on what happens to be left would be wrong without a word."""
    add(tmp_path / "log", 0)
    add(tmp_path / "log", 1)
    anew()
    for path in (tmp_path / "log").glob("*.parquet"):
        path.unlink()
        break
    with pytest.raises(SourceError, match="a moment ago"):
        rows(source(tmp_path), ALL)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    add(tmp_path / "log", 0)
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(
        SourceError, match=r"expected the package deltalake for format: delta: install anchorwatch\[delta\]"
    ):
        rows(source(tmp_path), day(0))
