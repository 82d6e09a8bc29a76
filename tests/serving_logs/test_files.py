"""Records that serving systems leave in files and tables: SageMaker's data capture, Databricks' inference tables."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitor.serving_logs import Outcome, mlflow, sagemaker
from tests.serving_logs.wire import labels, predictions, refused

AT = 1_795_161_600.0
NAIVE = datetime(2026, 11, 20, 8, tzinfo=UTC).replace(tzinfo=None)  # as DuckDB gives a TIMESTAMP
NAMES = ["temp", "season"]
FEATURES = [{"temp": 0.5, "season": "winter"}, {"temp": -1, "season": "summer"}]


def capture(asked: Any, said: Any, about: dict[str, Any] | None = None) -> str:
    """A line as the developer guide shows it."""
    sides = {"endpointInput": asked | {"mode": "INPUT"}, "endpointOutput": said | {"mode": "OUTPUT"}}
    about = {"eventId": "e-1", "inferenceTime": "2026-11-20T08:00:00Z"} if about is None else about
    return json.dumps({"captureData": sides, "eventMetadata": about, "eventVersion": "0"})


def part(data: str, encoding: str = "CSV", content: str | None = "text/csv") -> dict[str, Any]:
    return {"data": data, "encoding": encoding} | ({} if content is None else {"observedContentType": content})


def coded(text: str, content: str = "text/csv; charset=utf-8") -> dict[str, Any]:
    return part(base64.b64encode(text.encode()).decode(), "BASE64", content)


ROWS = '[[0.5, "winter"], [-1, "summer"]]'
OUT = part("212.5\n100")
JSON = "application/json"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (part("0.5,winter\n-1,summer\n"), OUT),
        (part("temp,season\r\n0.5,winter\r\n-1,summer\r\n"), OUT),
        (part('"0.5","winter"\n-1, summer'), part("212.5,100")),
        (coded("0.5,winter\n-1,summer"), coded("212.5\n100\n")),
        (part(ROWS, "JSON", JSON), part("[212.5, 100]", "JSON", JSON)),
        (coded(f'{{"instances": {ROWS}}}', JSON), coded('{"predictions": [212.5, 100]}', JSON)),
        (part('{"instances": [{"features": [0.5, "winter"]}, {"features": [-1, "summer"]}]}', "JSON", None), OUT),
        (part(f'{{"dataframe_split": {{"columns": ["temp", "season"], "data": {ROWS}}}}}', "JSON", JSON), OUT),
        (coded('[0.5, "winter"]\n{"temp": -1, "season": "summer"}\n', "application/jsonlines"), coded("212.5\n100", "application/jsonlines")),
    ],
)  # fmt: skip
def test_a_capture_reads_the_same_in_every_encoding(asked: Any, said: Any) -> None:
    found = predictions(sagemaker.records(capture(asked, said), NAMES))
    assert [(each["features"], each["prediction"]) for each in found] == list(zip(FEATURES, (212.5, 100), strict=True))
    assert [(each["event_id"], each["timestamp"]) for each in found] == [("e-1-0", AT), ("e-1-1", AT)]


def test_the_caller_s_inference_id_goes_before_the_event_id() -> None:
    """Ground truth matches the inference id where there is one, and the event id otherwise."""
    line = capture(part("1"), part("2"), {"eventId": "e-1", "inferenceId": "mine", "customAttributes": ["x"]})
    assert predictions(sagemaker.records(line)) == [{"event_id": "mine", "features": {"f0": 1}, "prediction": 2}]


def test_scores_of_built_in_algorithms_are_read() -> None:
    linear = part('{"predictions": [{"score": 0.8, "predicted_label": 1}]}', "JSON", JSON)
    (learned,) = predictions(sagemaker.records(capture(part("1"), linear)))
    assert (learned["prediction"], learned["probability"]) == (1, 0.8)
    (boosted,) = sagemaker.records(capture(part("1"), part("0.8")), outcome=Outcome(classes=("0", "1")))
    assert (boosted["prediction"], boosted["probability"]) == ("1", 0.8)
    (forest,) = sagemaker.records(capture(part("1"), part("0.1,0.7,0.2")))
    assert (forest["prediction"], forest["probability"]) == (1, {"0": 0.1, "1": 0.7, "2": 0.2})


def truth(data: str, encoding: str = "CSV", about: Any = None) -> str:
    about = {"eventId": "e-1"} if about is None else about
    return json.dumps(
        {"groundTruthData": {"data": data, "encoding": encoding}, "eventMetadata": about, "eventVersion": "0"}
    )


def test_ground_truth_becomes_labels() -> None:
    assert labels(sagemaker.labels(truth("1"))) == [{"event_id": "e-1", "label": 1}]
    assert labels(sagemaker.labels(truth("up").encode())) == [{"event_id": "e-1", "label": "up"}]
    assert labels(sagemaker.labels(truth("1\n0"))) == [
        {"event_id": "e-1-0", "label": 1},
        {"event_id": "e-1-1", "label": 0},
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not_json"),
        (b"\xff", "not_json"),
        ("\ud800", "not_json"),
        ("[]", "unknown_body"),
        (truth("1"), "unknown_body"),
        (capture({}, part("1")), "no_request"),
        (capture(part("1"), {}), "no_response"),
        (capture(part("1"), part("1"), {}), "missing_id"),
        (capture(part("1"), part("1"), {"eventId": "e", "inferenceTime": "soon"}), "bad_time"),
        (capture(part("1\n2"), part("1\n2\n3")), "row_counts"),
        (capture(part("1,2\n3"), part("1\n2")), "shape_mismatch"),
        (capture(part('"1' * 70_000 + "\n"), part("1")), "not_csv"),
        (capture(coded("1", "image/png"), part("1")), "unknown_content"),
        (capture(part("gA==", "BASE64"), part("1")), "unknown_content"),
        (capture(part("?", "BASE64"), part("1")), "not_base64"),
        (capture(part("1", "XML"), part("1")), "unknown_content"),
        (capture(part("[1", "JSON"), part("1")), "not_json"),
        (capture(part("1"), part('{"error": "no"}', "JSON", JSON)), "error_response"),
    ],
)
def test_a_captured_line_that_cannot_be_read_says_why(line: str | bytes, reason: str) -> None:
    refused(lambda: sagemaker.records(line), reason)


def test_ground_truth_that_cannot_be_read_says_why() -> None:
    for line, reason in [
        (capture(part("1"), part("1")), "unknown_body"),
        (truth("1", about={}), "missing_id"),
        (truth("1,2"), "many_values"),
        (json.dumps({"groundTruthData": {}, "eventMetadata": {"eventId": "e"}}), "no_truth"),
    ]:
        refused(lambda line=line: sagemaker.labels(line), reason)


# --- Databricks -------------------------------------------------------------------------------------------------------

SPLIT = {"dataframe_split": {"columns": NAMES, "data": [[0.5, "winter"], [-1, "summer"]]}}


def legacy(request: Any = SPLIT, response: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "databricks_request_id": "d-1", "client_request_id": None, "date": "2026-11-20", "timestamp_ms": 1_795_161_600_000,
        "status_code": 200, "sampling_fraction": 1.0, "execution_time_ms": 12,
        "request": json.dumps(request), "response": json.dumps({"predictions": [212.5, 100]} if response is None else response),
        "request_metadata": {"endpoint_name": "bikes", "model_name": "bikes", "model_version": "7"}, **more,
    }  # fmt: skip


def gateway(**more: Any) -> dict[str, Any]:
    row = legacy()
    for gone in ("date", "timestamp_ms", "execution_time_ms", "request_metadata"):
        del row[gone]
    about = {"request_date": "2026-11-20", "request_time": NAIVE, "execution_duration_ms": 12}
    return row | about | {"served_entity_id": "abc", "logging_error_codes": [], "requester": "a@b"} | more


@pytest.mark.parametrize(("row", "version"), [(legacy(), "7"), (gateway(), "abc")])
def test_both_tables_are_told_apart_by_their_columns(row: dict[str, Any], version: str) -> None:
    said = {"timestamp": AT, "model_version": version, "latency_seconds": 0.012}
    assert predictions(mlflow.records(row | {"a_new_column": object()})) == [
        {**said, "event_id": f"d-1-{place}", "features": features, "prediction": prediction}
        for place, (features, prediction) in enumerate(zip(FEATURES, (212.5, 100), strict=True))
    ]


@pytest.mark.parametrize(
    "request_body",
    [
        {"dataframe_records": [{"temp": 0.5, "season": "winter"}, {"temp": -1, "season": "summer"}]},
        {"instances": [[0.5, "winter"], [-1, "summer"]]},
        {"inputs": [[0.5, "winter"], [-1, "summer"]]},
        {"inputs": {"temp": [0.5, -1], "season": ["winter", "summer"]}, "params": {"x": 1}},
        {"instances": [{"temp": 0.5, "season": "winter"}, {"temp": -1, "season": "summer"}], "client_request_id": "x"},
    ],
)
def test_mlflow_s_inputs_read_the_same_in_every_form(request_body: Any) -> None:
    assert [each["features"] for each in mlflow.records(legacy(request_body), NAMES)] == FEATURES


def test_the_client_s_id_goes_before_databricks_own() -> None:
    row = legacy({"instances": [[1]]}, {"predictions": [1]})
    assert mlflow.records(row | {"client_request_id": "mine"})[0]["event_id"] == "mine"
    for none in (None, "", float("nan")):
        assert mlflow.records(row | {"client_request_id": none})[0]["event_id"] == "d-1"


@pytest.mark.parametrize(
    "time",
    [
        NAIVE, datetime(2026, 11, 20, 9, tzinfo=timezone(timedelta(hours=1))), "2026-11-20T08:00:00Z",
        "2026-11-20 08:00:00", 1_795_161_600_000, 1_795_161_600_000_000, pd.Timestamp("2026-11-20T08:00:00", tz=UTC),
        np.int64(1_795_161_600_000),
    ],
)  # fmt: skip
def test_times_are_read_whichever_type_the_table_s_reader_gives_them(time: Any) -> None:
    assert mlflow.records(gateway(request_time=time))[0]["timestamp"] == AT


def test_rows_read_the_same_by_arrow_and_by_pandas() -> None:
    row = legacy() | {
        "request_metadata": [("model_version", "7")],
        "status_code": np.int32(200),
        "execution_time_ms": np.int64(12),
    }
    assert mlflow.records(row) == mlflow.records(legacy())
    (framed,) = pd.DataFrame([legacy()]).to_dict("records")
    assert mlflow.records(framed) == mlflow.records(legacy())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "unknown_columns"),
        ({"timestamp_ms": 1, "request": "{}"}, "unknown_columns"),
        (legacy(status_code=400), "failed_call"),
        (legacy(status_code=None), "failed_call"),
        (legacy(status_code="429"), "failed_call"),
        (legacy(request=None) | {"request": None}, "no_request"),
        (legacy() | {"request": pd.NA}, "no_request"),
        (legacy() | {"response": ""}, "no_response"),
        (legacy() | {"response": "{"}, "not_json"),
        (legacy({"messages": [{"role": "user", "content": "hi"}]}), "unknown_body"),
        (legacy(response={"choices": []}), "unknown_body"),
        (legacy(response={"predictions": [1]}), "row_counts"),
        (legacy(timestamp_ms=None), "bad_time"),
        (gateway(request_time=pd.NaT), "bad_time"),
        (gateway(request_time=float("inf")), "bad_time"),
        (legacy(databricks_request_id=None), "missing_id"),
    ],
)
def test_a_row_that_cannot_be_read_says_why(row: dict[str, Any], reason: str) -> None:
    refused(lambda: mlflow.records(row), reason)
