"""Whatever comes in, a reader gives records that the wire takes, or an error with a reason."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.serving_logs import (
    Half,
    Limits,
    Outcome,
    Unreadable,
    cloudevents,
    decode,
    encode,
    join,
    labels,
    mlflow,
    sagemaker,
    tf_serving,
    tfrecord,
)
from tests.serving_logs import protos, wire
from tests.serving_logs.bodies import (
    CONTENTS,
    EVENT,
    KEYS,
    NAMES,
    OUTCOMES,
    PAIRS,
    REQUESTS,
    TEXTS,
    VALUES,
    log,
    seldon,
)

pytestmark = pytest.mark.slow
MANY = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()  # writes NaN and Infinity, as Python's clients do


def either(read: Callable[[], Any], check: Callable[[Any], Any]) -> None:
    """The call gives what the check takes, or raises the one error."""
    try:
        found = read()
    except Unreadable as refusal:
        error = refusal
    else:
        check(found)
        return
    assert error.reason
    assert len(str(error)) < 800  # a body is not quoted


def event(kind: str, body: bytes) -> Half:
    headers = {"ce-id": "a", "ce-requestid": "a", "ce-type": kind, "ce-time": "2026-11-20T08:00:00Z"}
    return cloudevents.read(headers, body)[0]


@MANY
@given(PAIRS, NAMES, OUTCOMES, some.sampled_from(["org.kubeflow.serving", "io.seldon.serving"]))
def test_any_request_and_response_are_joined_or_refused(
    bodies: tuple[Any, Any], names: list[str], outcome: Outcome, sender: str
) -> None:
    def joined() -> list[dict[str, Any]]:
        halves = []
        for side, body in zip(("request", "response"), bodies, strict=True):
            half = event(f"{sender}.inference.{side}", dumped(body))
            assert decode(encode(half)) == half
            halves.append(half)
        return join(*halves, names, outcome=outcome)

    either(joined, wire.predictions)


@MANY
@given(VALUES, some.integers(0, 3).flatmap(seldon) | VALUES, OUTCOMES)
def test_any_feedback_gives_labels_or_is_refused(response: Any, truth: Any, outcome: Outcome) -> None:
    body = dumped({"response": response, "truth": truth})
    either(lambda: labels(event("io.seldon.serving.feedback", body), outcome=outcome), wire.labels)


@MANY
@given(
    some.dictionaries(some.sampled_from(["Ce-Id", "content-type", "inference-header-content-length"]) | KEYS, TEXTS),
    some.sampled_from([*cloudevents.TYPES, ""]),
    some.binary() | REQUESTS.map(dumped),
)
def test_any_headers_and_bytes_are_read_or_refused(headers: dict[str, str], kind: str, body: bytes) -> None:
    either(
        lambda: cloudevents.read({"CE-TYPE": kind, **headers}, body), lambda halves: [encode(half) for half in halves]
    )


@MANY
@given(some.lists(EVENT | VALUES, max_size=2) | VALUES)
def test_any_structured_body_is_read_or_refused(body: Any) -> None:
    for content, sent in (
        (cloudevents.BATCHED, body),
        (cloudevents.STRUCTURED, body[0] if body and isinstance(body, list) else body),
    ):
        either(
            lambda content=content, sent=sent: cloudevents.read({"Content-Type": content}, dumped(sent)),
            lambda halves: [encode(half) for half in halves],
        )


@MANY
@given(REQUESTS, some.binary(max_size=20), some.none() | some.integers(-5, 200))
def test_any_bytes_behind_the_json_are_read_or_refused(body: Any, tail: bytes, length: int | None) -> None:
    headers = {"ce-id": "a", "ce-type": "org.kubeflow.serving.inference.request"}
    if length is not None:
        headers["Inference-Header-Content-Length"] = str(length)
    either(lambda: cloudevents.read(headers, dumped(body) + tail), lambda halves: [encode(half) for half in halves])


@MANY
@given(some.binary(max_size=60), some.integers(0, 200), some.binary(min_size=1, max_size=4))
def test_kept_bytes_that_were_damaged_are_refused(raw: bytes, place: int, change: bytes) -> None:
    good = encode(event("org.kubeflow.serving.inference.request", b'{"instances": [[1, 2.5, "a"]]}'))
    damaged = good[:place] + change + good[place + len(change) :]
    for each in (raw, damaged, good[:place]):
        either(lambda each=each: decode(each), encode)


@MANY
@given(PAIRS, CONTENTS, CONTENTS, VALUES, some.integers(0, 3), NAMES, OUTCOMES)
def test_any_captured_line_is_read_or_refused(
    bodies: tuple[Any, Any], asked: Any, said: Any, other: Any, odd: int, names: list[str], outcome: Outcome
) -> None:
    good = [{"data": json.dumps(body), "encoding": "JSON"} for body in bodies]
    captured = {"endpointInput": asked if odd == 1 else good[0], "endpointOutput": said if odd == 2 else good[1]}
    about = other if odd == 3 else {"eventId": "a", "inferenceTime": "2026-11-20T08:00:00Z"}
    for line in (other, {"captureData": captured, "eventMetadata": about}):
        either(lambda line=line: sagemaker.records(json.dumps(line), names, outcome=outcome), wire.predictions)


@MANY
@given(VALUES | some.fixed_dictionaries({"groundTruthData": CONTENTS, "eventMetadata": some.just({"eventId": "a"})}))
def test_any_line_of_ground_truth_is_read_or_refused(line: Any) -> None:
    either(lambda: sagemaker.labels(json.dumps(line)), wire.labels)


@MANY
@given(some.binary() | some.text())
def test_any_bytes_in_a_line_are_refused(line: bytes | str) -> None:
    either(lambda: sagemaker.records(line), wire.predictions)
    either(lambda: sagemaker.labels(line), wire.labels)
    either(lambda: tf_serving.records(line), wire.predictions)


CELLS = VALUES | some.datetimes() | some.binary(max_size=8)


@MANY
@given(
    some.dictionaries(
        some.sampled_from(
            "status_code timestamp_ms request_time execution_time_ms request_metadata request response".split()
        ),
        CELLS | some.just(200),
        max_size=2,
    ),
    PAIRS,
    NAMES,
)
def test_any_row_of_an_inference_table_is_read_or_refused(
    row: dict[str, Any], bodies: tuple[Any, Any], names: list[str]
) -> None:
    good = {"databricks_request_id": "a", "timestamp_ms": 1, "status_code": 200}
    good |= {"request": json.dumps(bodies[0]), "response": bodies[1]}
    for each in (row, good | row, good):
        either(lambda each=each: mlflow.records(each, names), wire.predictions)


@MANY
@given(log(), NAMES, some.sampled_from(["", "a", "name", "features"]))
def test_any_line_of_a_prediction_log_is_read_or_refused(log: Any, names: list[str], id_from: str) -> None:
    # Ids that the log itself tells may be told twice.
    check = wire.predictions if not id_from else (lambda records: records)
    either(lambda: tf_serving.records(json.dumps(log), names, id_from=id_from), check)


def pieces(inner: Any) -> Any:
    """Fields as they stand on the wire: a tag, and a payload that may be a message again."""
    tags = some.integers(1, 17)
    return some.lists(
        some.tuples(tags, inner).map(lambda pair: bytes([pair[0] << 3 & 0x7F | 2, len(pair[1]) & 0x7F]) + pair[1])
        | some.tuples(tags, some.integers(0, 127)).map(lambda pair: bytes([pair[0] << 3 & 0x7F, pair[1]]))
        | some.tuples(tags, some.floats(width=32)).map(
            lambda pair: bytes([pair[0] << 3 & 0x7F | 5]) + struct.pack("<f", pair[1])
        ),
        max_size=4,
    ).map(b"".join)


@MANY
@given(some.recursive(some.binary(max_size=6), pieces, max_leaves=20), NAMES)
def test_any_bytes_of_a_prediction_log_are_read_or_refused(raw: bytes, names: list[str]) -> None:
    either(lambda: tf_serving.binary_records(raw, names), wire.predictions)


def logged() -> bytes:
    """A whole message, to be damaged."""
    log = protos.new("PredictionLog")
    log.log_metadata.model_spec.name, log.log_metadata.timestamp_secs = "m", 1_795_161_600
    tensor = log.predict_log.request.inputs["x"]
    tensor.dtype, tensor.float_val[:] = 1, [0.5, 2.0]
    tensor.tensor_shape.dim.add(size=2)
    said = log.predict_log.response.outputs["y"]
    said.dtype, said.int64_val[:] = 9, [1, 0]
    said.tensor_shape.dim.add(size=2)
    return bytes(log.SerializeToString())


LOGGED = logged()


@MANY
@given(some.integers(0, len(LOGGED)), some.binary(max_size=3), some.integers(0, 3))
def test_damaged_bytes_of_a_prediction_log_are_read_or_refused(place: int, change: bytes, cut: int) -> None:
    raw = LOGGED[:place] + change + LOGGED[place + cut :]
    either(lambda: tf_serving.binary_records(raw), wire.predictions)


@MANY
@given(some.binary(), some.lists(some.binary(max_size=10), max_size=4), some.integers(0, 60), some.integers(0, 255))
def test_any_bytes_of_a_record_file_are_read_to_where_they_make_sense(
    raw: bytes, records: list[bytes], place: int, change: int
) -> None:
    whole = b"".join(map(tfrecord.framed, records))
    damaged = whole[:place] + bytes([change]) + whole[place + 1 :]
    for each in (raw, whole[:place], damaged):
        found = tfrecord.frames(each)
        assert 0 <= found.consumed <= len(each)
        again = tfrecord.frames(each[found.consumed :])
        assert again.consumed == 0  # what is left is no whole record


def test_limits_hold_before_memory_is_taken() -> None:
    """A few bytes that stand for very much are refused at once."""
    few = Limits(rows=10, values=100)
    kind = {"ce-id": "a", "ce-type": "org.kubeflow.serving.inference.request"}

    def tensor(shape: list[int]) -> bytes:
        return dumped({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": []}]})

    for body, reason in [
        (tensor([10**18]), "too_many_rows"),
        (tensor([1, 10**18]), "too_large"),
        (tensor([1, 10**9, 0]), "too_large"),
        (tensor([1] * 60), "shape_mismatch"),
        (dumped({"instances": [0] * 11}), "too_many_rows"),
        (dumped({"instances": [[0] * 200]}), "too_large"),
        (dumped({"instances": [[[]] * 60]}), "too_large"),
        (b'{"instances": ' + b"[" * 200 + b"]" * 200 + b"}", "too_deep"),
        (b'{"instances": ' + b"[" * 100_000, "not_json"),
        (b"[" * 100_000 + b"NaN" + b"]" * 100_000, "not_json"),
    ]:
        wire.refused(lambda body=body: cloudevents.read(kind, body, limits=few), reason)
    shape = {"dim": [{"size": str(10**15)}]}
    log = {"predictLog": {"request": {"inputs": {"x": {"dtype": 1, "tensorShape": shape}}}}}
    wire.refused(lambda: tf_serving.records(dumped(log)), "too_many_rows")
