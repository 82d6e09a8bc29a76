"""Logs of serving systems as files: converted once, read as any other file from then on, and what is refused is told."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from monitor.records import Window
from monitor.serving_logs.tfrecord import framed
from monitor.source import SourceError, _bytes
from monitor.source._left_out import Reason
from monitor.source._paths import on_disk
from tests.source.growing import anew, failing, left_out, opened, rows, settle, source

pytestmark = pytest.mark.usefixtures("nothing_known")
AT = 1_795_132_800.0  # a midnight
DAY = 86400.0
ALL = Window(AT, AT + 100 * DAY)
BIKES = {"task": "regression", "features": {"temp": {}, "season": {"type": "categorical"}}}


def day(number: int) -> Window:
    return Window(AT + number * DAY, AT + (number + 1) * DAY)


def capture(number: int, place: int) -> str:
    sent = base64.b64encode(f"{place / 2},winter".encode()).decode()
    sides = {
        "endpointInput": {"data": sent, "encoding": "BASE64", "observedContentType": "text/csv", "mode": "INPUT"},
        "endpointOutput": {"data": f"{100 + place}", "encoding": "CSV", "mode": "OUTPUT"},
    }
    moment = pd.Timestamp(AT + number * DAY + place * 60, unit="s", tz="UTC").isoformat()
    about = {"eventId": f"{number}-{place}", "inferenceTime": moment}
    return json.dumps({"captureData": sides, "eventMetadata": about, "eventVersion": "0"})


def captured(folder: Path, number: int, lines: int = 20) -> Path:
    path = folder / "log" / "bikes" / "AllTraffic" / f"2026/11/{20 + number}/00" / "part.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{capture(number, place)}\n" for place in range(lines)))
    return path


def sagemaker(folder: Path, **more: Any) -> Any:
    predictions = {"format": "sagemaker", **more.pop("predictions", {})}
    return source(folder, predictions=predictions, **BIKES, **more)


def converted(folder: Path) -> list[Path]:
    return sorted((folder / "data" / "files" / "logs").rglob("*.parquet"))


def test_captured_data_are_predictions_under_the_model_s_own_names(tmp_path: Path) -> None:
    captured(tmp_path, 0)
    columns = {"id": "key", "timestamp": "when", "prediction": "said"}
    looked = sagemaker(tmp_path, columns=columns)
    found = {each.name: each for each in looked.columns(ALL, looked.model)}
    assert set(found) == {"temp", "season", "prediction"}
    (batch,) = looked.rows(day(0), list(found.values()), limit=3).values()
    assert batch.times.tolist() == [AT, AT + 7 * 60, AT + 14 * 60]
    assert batch.features["temp"].tolist() == [0, 3.5, 7]
    assert batch.features["season"].tolist() == ["winter"] * 3
    assert batch.features["prediction"].tolist() == [100, 107, 114]


def test_each_file_is_converted_once_and_forgotten_with_its_file(tmp_path: Path) -> None:
    paths = [captured(tmp_path, number) for number in range(4)]
    settle(*paths)
    assert [rows(sagemaker(tmp_path), day(number)) for number in range(5)] == [20, 20, 20, 20, 0]
    kept = converted(tmp_path)
    assert len(kept) == 4
    anew()
    with opened(*(path.parent for path in paths)) as names:
        assert rows(sagemaker(tmp_path), day(2)) == 20
    assert names == []
    settle(captured(tmp_path, 1, lines=30))
    paths[3].unlink()
    settle(*kept)
    assert [rows(sagemaker(tmp_path), day(number)) for number in range(4)] == [20, 30, 20, 0]
    assert len(converted(tmp_path)) == 3
    converted(tmp_path)[0].unlink()  # any of it may be deleted
    assert rows(sagemaker(tmp_path), ALL) == 70


def test_a_log_that_grows_counts_its_whole_lines(tmp_path: Path) -> None:
    path = captured(tmp_path, 0)
    looked = sagemaker(tmp_path)
    for lines in (1, 5, 6):
        text = "".join(f"{capture(0, place)}\n" for place in range(lines))
        path.write_text(text + capture(0, lines)[:50])
        assert rows(looked, ALL) == lines
    assert not looked.left_out


def test_refused_records_are_told_and_stop_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = captured(tmp_path, 0)
    with path.open("a") as log:
        log.write('{"captureData": {}}\n{"no": 1}\nnonsense\n')
    captured(tmp_path, 1).write_text("nonsense\n" * 3)
    captured(tmp_path, 2)
    settle(*(tmp_path / "log").rglob("*.jsonl"))
    for _ in range(2):
        anew()
        looked = sagemaker(tmp_path)
        assert rows(looked, ALL) == 40
        told = {
            name.split("/")[-3]: (each.reason, each.problem.partition(": ")[2])
            for name, each in left_out(looked).items()
        }
        assert told == {
            "20": (Reason.REFUSED, "refused 3 records (1 no_request, 1 not_json, 1 unknown_body)"),
            "21": (Reason.UNREADABLE, "refused 3 records (3 not_json)"),
        }
    assert "refused 3 records (1 no_request, 1 not_json, 1 unknown_body)" in caplog.text
    assert len(caplog.records) == 1


def test_a_line_that_is_too_long_is_refused_and_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bytes, "LONGEST_LINE", 1 << 20)
    path = captured(tmp_path, 0)
    with path.open("a") as log:
        for _ in range(48):
            log.write("x" * (1 << 20))
        log.write("\n" + capture(0, 20) + "\n")
    tracemalloc.start()
    found = list(_bytes.lines_of(on_disk(path), path.stat().st_size))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line is None for line in found] == [False] * 20 + [True, False]
    assert peak < 8 << 20
    looked = sagemaker(tmp_path)
    assert rows(looked, ALL) == 21
    (told,) = looked.left_out.values()
    assert told.problem.endswith("refused 1 records (1 too_large)")


@pytest.mark.parametrize("ends", ["", "\n"])
def test_lines_are_the_same_wherever_a_file_is_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    path = tmp_path / "lines"
    lines = ["", "a", "bc" * 40, "", "d" * 17]
    path.write_text("\n".join(lines) + ends)
    for ahead in range(1, 20):
        monkeypatch.setattr(_bytes, "AHEAD_BYTES", ahead)
        found = list(_bytes.lines_of(on_disk(path), path.stat().st_size))
        assert found == [line.encode() for line in lines]


@pytest.mark.parametrize("form", ["sagemaker", "tf_serving"])
def test_a_log_s_file_that_cannot_be_read_stops_no_other(tmp_path: Path, form: str) -> None:
    """Whether it is to be converted for the first time, or again because its conversion was deleted."""
    paths = [captured(tmp_path, number) for number in range(3)]
    if form == "tf_serving":
        for number, path in enumerate(paths):
            path.write_text("".join(f"{prediction_log(20 * number + place)}\n" for place in range(20)))
    settle(*paths)
    looked = source(tmp_path, predictions={"format": form}, **BIKES)
    with failing(paths[1]):
        for _ in range(2):
            assert rows(looked, ALL) == 40
            assert [each.reason for each in looked.left_out.values()] == [Reason.UNREADABLE]
    assert rows(looked, ALL) == 60
    assert not looked.left_out
    for kept in converted(tmp_path):
        kept.unlink()
    with failing(paths[1]):
        assert rows(looked, ALL) == 40
    assert rows(looked, ALL) == 60


def test_ground_truth_is_labels(tmp_path: Path) -> None:
    captured(tmp_path, 0)
    truth = tmp_path / "truth" / "2026/11/20/05" / "part.jsonl"
    truth.parent.mkdir(parents=True)
    lines = [
        {"groundTruthData": {"data": str(place), "encoding": "CSV"}, "eventMetadata": {"eventId": f"0-{place}"}}
        for place in range(15)
    ]
    truth.write_text("".join(json.dumps(line) + "\n" for line in lines))
    labels = {"type": "files", "path": "truth", "format": "sagemaker", "mature": "1d"}
    found = list(sagemaker(tmp_path, labels=labels).labelled(day(0), numeric=True))
    assert sum(len(batch.times) for batch in found) == 15
    wrong = sagemaker(tmp_path, labels={**labels, "format": "tf_serving"})
    with pytest.raises(SourceError, match="expected labels, but format: tf_serving holds none"):
        list(wrong.labelled(day(0), numeric=True))


# --- TensorFlow Serving ---------------------------------------------------------------------------------------------


def prediction_log(place: int, model: str = "bikes") -> str:
    features = {
        "temp": {"floatList": {"value": [place / 2]}},
        "key": {"bytesList": {"value": [base64.b64encode(f"k{place}".encode()).decode()]}},
    }
    request = {
        "modelSpec": {"name": model},
        "input": {"exampleList": {"examples": [{"features": {"feature": features}}]}},
    }
    return json.dumps({
        "logMetadata": {"modelSpec": {"name": model, "version": "7"}, "timestampSecs": str(int(AT) + place)},
        "regressLog": {"request": request, "response": {"result": {"regressions": [{"value": 100.0 + place}]}}},
    })  # fmt: skip


def served(folder: Path, **log: Any) -> Any:
    return source(folder, predictions={"format": "tf_serving", "log": log}, task="regression")


def test_prediction_logs_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    path = tmp_path / "log" / "predictions-00000-of-00001"
    path.parent.mkdir()
    path.write_text("".join(prediction_log(place, "bikes" if place % 2 else "cars") + "\n" for place in range(10)))
    looked = served(tmp_path)
    assert rows(looked, ALL) == 10
    assert list(looked.profiles(ALL, lambda _: None)) == ["7"]
    assert rows(served(tmp_path, serving_model="cars"), ALL) == 5
    labels = {"type": "files", "path": "labels.csv", "mature": "1d"}
    (tmp_path / "labels.csv").write_text("event_id,label\nk3,1\nk4,2\n")
    joined = source(
        tmp_path, predictions={"format": "tf_serving", "log": {"id_from": "key"}}, task="regression", labels=labels
    )
    assert sum(len(batch.times) for batch in joined.labelled(ALL, numeric=True)) == 2


def test_tfrecords_are_told_apart_by_their_bytes_and_a_half_written_one_waits(tmp_path: Path) -> None:
    json_format = pytest.importorskip("google.protobuf.json_format")
    from tests.serving_logs import protos

    records = [
        framed(json_format.Parse(prediction_log(place), protos.new("PredictionLog")).SerializeToString())
        for place in range(9)
    ]
    path = tmp_path / "log" / "log"
    path.parent.mkdir()
    path.write_bytes(b"".join(records)[:-5])
    looked = served(tmp_path)
    assert rows(looked, ALL) == 8
    path.write_bytes(b"".join(records))
    assert rows(looked, ALL) == 9
    path.write_bytes(b"".join([*records[:4], framed(b"\xff\xff"), *records[4:]]))
    assert rows(looked, ALL) == 9
    assert "refused 1 records (1 not_protobuf)" in next(iter(looked.left_out.values())).problem


# --- Databricks' inference tables -----------------------------------------------------------------------------------


def called(place: int, **more: Any) -> dict[str, Any]:
    return {
        "databricks_request_id": f"r-{place}", "timestamp_ms": int((AT + place) * 1000), "status_code": 200,
        "execution_time_ms": 12, "date": "2026-11-20",
        "request": json.dumps({"dataframe_records": [{"temp": place / 2, "season": "winter"}]}),
        "response": json.dumps({"predictions": [100.0 + place]}),
        "request_metadata": {"model_version": "3"}, **more,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "jsonl", "delta"])
def test_inference_tables_are_read_from_files_and_tables(tmp_path: Path, form: str) -> None:
    told = [called(place) for place in range(10)] + [called(10, status_code=500)]
    made = pa.Table.from_pylist(told)
    path = tmp_path / "log" / f"0.{form}"
    path.parent.mkdir()
    if form == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(made, path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in told))
    else:
        from deltalake import write_deltalake

        write_deltalake(tmp_path / "log", made, partition_by=["date"])
    looked = source(tmp_path, predictions={"format": "mlflow"}, **BIKES)
    assert rows(looked, day(0)) == 10
    assert list(looked.profiles(ALL, lambda _: None)) == ["3"]
    assert "refused 1 records (1 failed_call)" in next(iter(looked.left_out.values())).problem
    assert looked.delta_version == (0 if form == "delta" else None)


def test_values_of_several_kinds_are_names(tmp_path: Path) -> None:
    """A column has one type: numbers and texts in one are all spelled, as they would be if they were pushed."""
    path = tmp_path / "log" / "0.jsonl"
    path.parent.mkdir()
    values = [1, 2.5, "x", True, None, [1.0], {"a": 1}]
    told = [
        called(place, request=json.dumps({"dataframe_records": [{"temp": 1, "season": value}]}))
        for place, value in enumerate(values)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    looked = source(tmp_path, predictions={"format": "mlflow"}, **BIKES)
    columns = [each for each in looked.columns(ALL, looked.model) if each.name == "season"]
    if not columns:
        pytest.fail("expected the column")
    (batch,) = looked.rows(ALL, columns, limit=10).values()
    assert {"1", "2.5", "x"} <= set(batch.features["season"].tolist())
