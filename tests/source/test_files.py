"""Reading files: every way to write a time means the same instant, and what cannot be read is said in words."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from monitor.config import load
from monitor.records import UNVERSIONED, Window, instant
from monitor.source import SourceError
from monitor.source._duck import DuckTable as Table
from monitor.source.files import Options, open_source, read_reference
from tests.source.growing import frame, source, watched, write

pytestmark = pytest.mark.usefixtures("nothing_known")

TIMES = pd.to_datetime(["2011-01-01T00:00:00.25", "2011-06-01T12:30:15.50"])
EXPECTED = [instant("2011-01-01T00:00:00.25"), instant("2011-06-01T12:30:15.5")]
WAYS = {
    "naive_ns": TIMES.astype("datetime64[ns]"),
    "naive_us": TIMES.astype("datetime64[us]"),
    "utc_ns": TIMES.tz_localize("UTC"),
    "zone_us": TIMES.tz_localize("UTC").tz_convert("Europe/Berlin").astype("datetime64[us, Europe/Berlin]"),
    "text": [moment.isoformat() for moment in TIMES],
    "text_with_offset": [moment.tz_localize("UTC").tz_convert("Asia/Tokyo").isoformat() for moment in TIMES],
    "unix_seconds": EXPECTED,
}


def _seconds(path: Path) -> list[float]:
    table = Table(path.name, None, path.parent)
    rows = table.run(f"SELECT {table.seconds('t', 'columns.timestamp')} FROM {table.relation}").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_every_way_to_write_a_time_is_the_same_instant(
    tmp_path: Path, way: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naive times are UTC, whatever the machine's own zone is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    path = tmp_path / f"events.{form}"
    frame = pd.DataFrame({"t": WAYS[way]})
    frame.to_parquet(path) if form == "parquet" else frame.to_csv(path, index=False)
    assert _seconds(path) == pytest.approx(EXPECTED, abs=1e-6)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("text", ["yesterday", True])
def test_a_column_without_a_single_time_is_said_in_words(tmp_path: Path, form: str, text: str | bool) -> None:
    """Of predictions and of a reference alike."""
    made = pd.DataFrame({"event_id": ["a", "b"], "timestamp": [text, None], "x": 1.0, "prediction": 1.0})
    path = write(made, tmp_path / f"events.{form}")
    said = rf"^events\.{form}: expected ISO 8601 or Unix seconds in the column 'timestamp', got '(?i:{text})'$"
    looked = source(tmp_path, path.name, task="regression")
    with pytest.raises(SourceError, match=said):
        looked.newest_event(math.inf)
    with pytest.raises(SourceError, match=said):
        read_reference(Options(path=path.name), looked.model, tmp_path, fingerprint="f")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_row_of_a_reference_whose_time_is_none_is_told(
    tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = frame(0)
    made["timestamp"] = [*made["timestamp"].map(pd.Timestamp.isoformat)[:-1], "n/a"]
    path = write(made, tmp_path / f"events.{form}")
    found = read_reference(Options(path=path.name), watched(tmp_path), tmp_path, fingerprint="f")
    assert found.rows == 40
    assert f"events.{form}: refused 1 of 40 rows: expected ISO 8601 or Unix seconds" in caplog.text


def test_a_folder_a_glob_and_a_file_are_all_paths(tmp_path: Path) -> None:
    for number in range(3):
        pd.DataFrame({"t": EXPECTED, "x": number}).to_parquet(tmp_path / f"part-{number}.parquet")
    (tmp_path / "notes.txt").write_text("not data")
    for path, files in ((".", 3), ("part-*.parquet", 3), ("part-1.parquet", 1)):
        assert len(Table(path, None, tmp_path).files) == files


def test_files_of_two_kinds_in_one_folder_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"t": EXPECTED}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"t": EXPECTED}).to_csv(tmp_path / "b.csv")
    with pytest.raises(SourceError, match="expected files of one kind"):
        Table(".", None, tmp_path)


def test_a_column_that_has_to_be_there_is_named_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pd.DataFrame({"when": EXPECTED}).to_parquet(path)
    with pytest.raises(SourceError, match=r"expected the column 't' \(columns.timestamp\), got the columns when"):
        _seconds(path)


def test_a_version_is_never_part_of_a_path_it_was_not_meant_for(tmp_path: Path) -> None:
    from monitor.source.files import for_version

    (tmp_path / "secret.parquet").touch()
    folder = tmp_path / "references"
    folder.mkdir()
    (folder / "v2.parquet").touch()
    options = Options(path="references/v1.parquet", versions="references/{version}.parquet")
    assert for_version(options, "v2", tmp_path) is not None
    for version in ("../secret", "/etc/passwd", "..", "v2/../../secret", "v3", ""):
        assert for_version(options, version, tmp_path) is None


def test_predictions_in_files_without_labels_have_none_and_are_profiled_all_the_same(tmp_path: Path) -> None:
    pd.DataFrame(
        {"event_id": ["a", "b"], "timestamp": EXPECTED, "prediction": [1.0, 2.0], "label": [1.0, 2.0]}
    ).to_parquet(tmp_path / "log.parquet")
    config = tmp_path / "anchorwatch.yml"
    config.write_text(
        "apps: [{name: shop, models: [{name: demand, task: regression, predictions: {type: files, path: log.parquet}}]}]"
    )
    ((_, model),) = load(config).config.models()
    source = open_source(model.predictions, model.labels, model, tmp_path)
    window = Window(EXPECTED[0] - 1, EXPECTED[1] + 1)
    assert list(source.labelled(window, numeric=True)) == []
    assert {version: profile.rows for version, profile in source.profiles(window, lambda _: None).items()} == {
        UNVERSIONED: 2
    }
