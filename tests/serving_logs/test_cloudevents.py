"""Events of KServe's and Seldon's loggers, in every mode of the HTTP binding, and the pairs they make."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from monitor.serving_logs import Half, Limits, Outcome, Side, cloudevents, decode, encode, join, labels
from monitor.serving_logs.cloudevents import BATCHED, STRUCTURED
from tests.serving_logs.wire import labels as wire_labels
from tests.serving_logs.wire import predictions, refused

KSERVE, SELDON = "org.kubeflow.serving.inference", "io.seldon.serving"
AT = 1_795_161_600.0
NAMES = ["temp", "hum"]

V1 = ({"instances": [[0.3, 0.5], [0.1, 0.9]]}, {"predictions": [212.5, 100]})
V1_NAMED = ({"instances": [{"temp": 0.3, "hum": 0.5}, {"temp": 0.1, "hum": 0.9}]}, V1[1])
V2 = (
    {
        "id": "of-the-body",
        "parameters": {"content_type": "np"},
        "inputs": [{"name": "input-0", "shape": [2, 2], "datatype": "FP32", "data": [0.3, 0.5, 0.1, 0.9]}],
        "outputs": [{"name": "predict"}],
    },
    {
        "model_name": "bikes",
        "model_version": "v7",
        "id": "of-the-body",
        "outputs": [{"name": "predict", "shape": [2], "datatype": "FP64", "parameters": {}, "data": [212.5, 100]}],
    },
)
V2_NAMED = (
    {
        "inputs": [
            {"name": "temp", "shape": [2, 1], "datatype": "FP64", "data": [[0.3], [0.1]]},
            {"name": "hum", "shape": [2], "datatype": "FP64", "data": [0.5, 0.9]},
        ]
    },
    V2[1],
)
SELDON_V1 = (
    {"data": {"names": ["temp", "hum"], "ndarray": [[0.3, 0.5], [0.1, 0.9]]}, "meta": {}},
    {"data": {"names": ["y"], "tensor": {"shape": [2, 1], "values": [212.5, 100]}}, "meta": {"puid": "a-1"}},
)
SELDON_JSON = ({"jsonData": V1_NAMED[0]["instances"]}, {"jsonData": [212.5, 100]})


def headers(kind: str, **more: str) -> dict[str, str]:
    """As Go's HTTP writes them."""
    told = {"specversion": "1.0", "id": "a-1", "source": "http://localhost:9081/", "type": kind}
    told |= {"time": "2026-11-20T08:00:00.123456789Z", "inferenceservicename": "bikes", "namespace": "shop"} | more
    return {f"Ce-{name.title()}": value for name, value in told.items()} | {"Content-Type": "application/json"}


def half(kind: str, body: Any, **more: str) -> Half:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    (found,) = cloudevents.read(headers(kind, **more), raw)
    return found


def called(bodies: tuple[Any, Any], kind: str = KSERVE, **more: str) -> list[Half]:
    kind = kind if kind == KSERVE else f"{SELDON}.inference"
    return [half(f"{kind}.{side}", body, **more) for side, body in zip(("request", "response"), bodies, strict=True)]


@pytest.mark.parametrize(
    ("bodies", "kind", "version"),
    [
        (V1, KSERVE, None), (V1_NAMED, KSERVE, None), (V2, KSERVE, "v7"), (V2_NAMED, KSERVE, "v7"),
        (V1, SELDON, None), (V2, SELDON, "v7"), (SELDON_V1, SELDON, None), (SELDON_JSON, SELDON, None),
    ],
)  # fmt: skip
def test_whatever_the_protocol_a_call_gives_the_same_predictions(bodies: Any, kind: str, version: str | None) -> None:
    request, response = called(bodies, kind, requestid="a-1", component="predictor", endpoint="default")
    said = {"model": "bikes", "timestamp": pytest.approx(AT + 0.123456)} | (
        {"model_version": version} if version else {}
    )
    assert predictions(join(request, response, NAMES)) == [
        {**said, "event_id": "a-1-0", "features": {"temp": 0.3, "hum": 0.5}, "prediction": 212.5},
        {**said, "event_id": "a-1-1", "features": {"temp": 0.1, "hum": 0.9}, "prediction": 100},
    ]


def test_a_single_row_keeps_the_id_of_the_call() -> None:
    request, response = called(({"instances": [[1, 2]]}, {"predictions": [3]}))
    assert [record["event_id"] for record in predictions(join(request, response))] == ["a-1"]


def test_a_half_is_the_same_after_it_was_kept() -> None:
    for each in called(V2) + called(V1_NAMED) + called(SELDON_V1, SELDON, requestid="r"):
        assert decode(encode(each)) == each
        assert decode(encode(each)).key == each.key


def test_the_attributes_are_kept() -> None:
    found = half(f"{KSERVE}.response", V2[1], component="predictor", endpoint="canary")
    assert (found.service, found.namespace, found.component, found.endpoint) == ("bikes", "shop", "predictor", "canary")
    assert (found.model, found.version, found.side, found.sender) == ("bikes", "v7", Side.RESPONSE, "kserve")


@pytest.mark.parametrize("time", ["soon", "", "1763625600000", "0001-01-01T00:00:00Z"])
def test_a_time_that_is_none_leaves_the_event_without_one(time: str) -> None:
    asked = half(f"{KSERVE}.request", V1[0], time=time)
    assert asked.time is None
    assert predictions(join(asked, half(f"{KSERVE}.response", V1[1])))[0]["timestamp"] == pytest.approx(AT + 0.123456)
    assert "timestamp" not in predictions(join(asked, half(f"{KSERVE}.response", V1[1], time=time)))[0]


def test_header_names_have_any_case_and_values_are_percent_decoded() -> None:
    told = {"CE-ID": "a%2F1%20%C3%A9", "ce-TYPE": f"{KSERVE}.request"}
    assert cloudevents.read(told, b'{"instances": []}')[0].id == "a/1 é"


def envelope(body: Any, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": "a-1", "source": "x", "type": f"{KSERVE}.request", "time": "2026-11-20T08:00:00Z",
        "inferenceservicename": "bikes", "datacontenttype": "application/json", "data": body, **more,
    }  # fmt: skip


def structured(body: Any, content: str = STRUCTURED) -> list[Half]:
    return cloudevents.read({"content-type": f"{content}; charset=UTF-8"}, json.dumps(body).encode())


def test_structured_mode_is_binary_mode_in_one_object() -> None:
    (found,) = structured(envelope(V1[0]))
    (coded,) = structured(envelope(None, data_base64=base64.b64encode(json.dumps(V1[0]).encode()).decode()))
    (quoted,) = structured(envelope(json.dumps(V1[0])))
    binary = half(f"{KSERVE}.request", V1[0], time="2026-11-20T08:00:00Z", namespace="")
    assert found == coded == quoted == binary


def test_a_batch_holds_several_events() -> None:
    found = structured([envelope(V1[0]), envelope(V1[1], type=f"{KSERVE}.response")], BATCHED)
    assert len(predictions(join(*found, NAMES))) == 2
    assert structured([], BATCHED) == []


def test_a_bad_event_of_a_batch_leaves_its_neighbours_readable() -> None:
    body = json.dumps([envelope(V1[0]), 5, envelope(None, data_base64="?"), envelope(V1[0], id="b")]).encode()
    refused(lambda: cloudevents.read({"content-type": BATCHED}, body), "missing_type")
    events = cloudevents.events({"content-type": BATCHED}, body)
    assert [cloudevents.half(events[place]).id for place in (0, 3)] == ["a-1", "b"]
    refused(lambda: cloudevents.half(events[1]), "missing_type")
    refused(lambda: cloudevents.half(events[2]), "not_base64")


@pytest.mark.parametrize(
    ("change", "body", "reason"),
    [
        ({"id": ""}, V1[0], "missing_id"),
        ({"id": "x" * 249}, V1[0], "bad_id"),
        ({"type": ""}, V1[0], "missing_type"),
        ({"type": "com.example.something"}, V1[0], "unknown_type"),
        ({"type": f"{SELDON}.inference.request"}, V1[0], "missing_id"),
        ({}, b"", "not_json"),
        ({}, b"temp,hum\n0.3,0.5", "not_json"),
        ({}, b'{"instances": [[1, 2]', "not_json"),
        ({}, b'{"instances": [[1, 2]]} trailing', "not_json"),
        ({}, [[1, 2]], "unknown_body"),
        ({}, {}, "unknown_body"),
        ({}, {"instances": {"a": 1}}, "unknown_body"),
        ({}, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP99", "data": [1]}]}, "unknown_datatype"),
        ({}, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, "shape_mismatch"),
        ({}, {"inputs": [{"name": "x", "shape": [3], "datatype": "FP32", "data": [1]}]}, "shape_mismatch"),
        ({}, {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": ["warm"]}]}, "bad_value"),
        ({}, {"instances": [{"b64": "?"}]}, "not_base64"),
        ({"type": f"{KSERVE}.response"}, {"error": "the model is out for lunch"}, "error_response"),
        ({"type": f"{SELDON}.inference.response", "requestid": "a"}, {"status": {"code": 500, "status": "FAILURE"}}, "error_response"),
        ({"type": f"{SELDON}.inference.request", "requestid": "a"}, {"binData": "AAE="}, "unknown_body"),
        ({"type": f"{SELDON}.feedback", "requestid": "a"}, {"reward": 1.0}, "no_truth"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(change: dict[str, str], body: Any, reason: str) -> None:
    refused(lambda: half(**{"kind": f"{KSERVE}.request", "body": body} | _as_kind(change)), reason)


def _as_kind(change: dict[str, str]) -> dict[str, str]:
    return {("kind" if name == "type" else name): value for name, value in change.items()}


def test_halves_of_different_calls_are_no_pair() -> None:
    request, response = called(V1)
    other = half(f"{KSERVE}.response", V1[1], id="b")
    for pair in ((response, request), (request, request), (request, other)):
        refused(lambda pair=pair: join(*pair), "not_a_pair")


def test_the_nodes_of_a_graph_and_a_transformer_before_its_predictor_are_told_apart() -> None:
    """They log one id, and have different bodies."""
    nodes = [called(SELDON_V1, SELDON, requestid="a", modelid=node) for node in ("encoder", "forest")]
    parts = [called(V1, component=part) for part in ("transformer", "predictor")]
    assert len({each.key for pair in (*nodes, *parts) for each in pair}) == 4
    assert all(request.key == response.key for request, response in (*nodes, *parts))


def test_rows_that_are_not_as_many_are_refused_with_both_counts() -> None:
    request, response = called(({"instances": [[1], [2], [3]]}, {"predictions": [1, 2]}))
    assert "3 in the request and 2 in the response" in refused(lambda: join(request, response), "row_counts")


def test_feedback_labels_the_call_that_it_is_about() -> None:
    """Feedback is a call of its own: the id in its body counts, not its own."""
    message = {"response": {"meta": {"puid": "a-1"}}, "truth": {"data": {"ndarray": [[1], [0]]}}, "reward": 1}
    told = half(f"{SELDON}.feedback", message, requestid="of-the-feedback", time="2026-11-20T08:00:00Z")
    said = {"model": "bikes", "label_timestamp": AT}
    assert wire_labels(labels(told)) == [
        {**said, "event_id": "a-1-0", "label": 1},
        {**said, "event_id": "a-1-1", "label": 0},
    ]
    del message["response"]
    (one,) = labels(half(f"{SELDON}.feedback", message | {"truth": {"strData": "up"}}, requestid="a-9"), model="m")
    assert (one["event_id"], one["label"], one["model"]) == ("a-9", "up", "m")


def test_a_truth_with_one_of_several_marked_is_that_class() -> None:
    told = half(f"{SELDON}.feedback", {"truth": {"data": {"ndarray": [[0, 0, 1]]}}}, requestid="a")
    assert labels(told)[0]["label"] == 2
    assert labels(told, outcome=Outcome(classes=("low", "mid", "high")))[0]["label"] == "high"
    refused(lambda: labels(called(V1)[0]), "no_truth")


def test_seldons_tensorflow_tensor_is_read() -> None:
    tensor = {
        "dtype": "DT_FLOAT",
        "tensorShape": {"dim": [{"size": "2"}, {"size": "2"}]},
        "floatVal": [0.3, 0.5, 0.1, 0.9],
    }
    request, response = called(({"data": {"tftensor": tensor}}, SELDON_V1[1]), SELDON, requestid="a")
    assert [record["features"] for record in join(request, response, NAMES)] == [
        {"temp": 0.3, "hum": 0.5},
        {"temp": 0.1, "hum": 0.9},
    ]


def test_what_python_clients_write_for_missing_numbers_is_missing() -> None:
    asked = half(f"{KSERVE}.request", b'{"instances": [[NaN, -Infinity], [1, 2]]}')
    assert asked.payload.columns[0].values == [[None, None], [1, 2]]
    assert half(f"{KSERVE}.request", b'{"instances": [Infinity]}').payload.columns[0].values == [None]


def test_limits_are_what_is_still_allowed() -> None:
    def size(body: Any, **limits: int) -> int:
        told = headers(f"{KSERVE}.request")
        return len(cloudevents.read(told, json.dumps(body).encode(), limits=Limits(**limits))[0].payload)

    rows = {"instances": [[1, 2], [3, 4]]}
    tensors = {"inputs": [{"name": name, "datatype": "INT8", "shape": [2, 2], "data": [1, 2, 3, 4]} for name in "ab"]}
    assert size(rows, rows=2) == size(rows, values=11) == size(tensors, rows=2) == 2
    refused(lambda: size(rows, rows=1), "too_many_rows")
    refused(lambda: size(rows, values=10), "too_large")
    refused(lambda: size(tensors, rows=1), "too_many_rows")
    deep: Any = 1
    for _ in range(14):
        deep = [deep]
    assert size({"instances": [deep]}) == 1
    refused(lambda: size({"instances": [[deep]]}), "too_deep")
