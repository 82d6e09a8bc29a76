"""TensorFlow Serving's log as JSON and on the wire, both written by Google's own protobuf library."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from monitor.serving_logs import Limits, Outcome, Unreadable, tf_serving, tfrecord
from tests.serving_logs import protos
from tests.serving_logs.wire import predictions, refused

json_format = pytest.importorskip("google.protobuf.json_format")
AT = 1_795_161_600


def log(**more: Any) -> Any:
    made = protos.new("PredictionLog")
    spec = made.log_metadata.model_spec
    spec.name, spec.version.value, spec.signature_name = "bikes", 7, "serving_default"
    made.log_metadata.timestamp_secs, made.log_metadata.sampling_config.sampling_rate = AT, 0.5
    made.log_metadata.saved_model_tags.append("serve")
    return made


def fill(features: Any, **values: Any) -> None:
    for name, value in values.items():
        held = features.feature[name]
        listed = value if isinstance(value, list) else [value]
        if isinstance(listed[0], bytes):
            held.bytes_list.value.extend(listed)
        elif isinstance(listed[0], int):
            held.int64_list.value.extend(listed)
        else:
            held.float_list.value.extend(listed)


def tensor(to: Any, array: Any, dtype: int, field: str) -> None:
    to.dtype = dtype
    for size in np.shape(array):
        to.tensor_shape.dim.add(size=size)
    if field == "tensor_content":
        to.tensor_content = array.tobytes()
    else:
        getattr(to, field).extend(np.ravel(array).tolist())


def every_way(made: Any, names: list[str] | None = None, **how: Any) -> list[dict[str, Any]]:
    """The records, which are the same off the wire and off JSON in both spellings."""
    found = [tf_serving.binary_records(made.SerializeToString(), names or [], **how)]
    for keep in (False, True):
        text = json_format.MessageToJson(made, preserving_proto_field_name=keep, indent=None)
        found.append(tf_serving.records(text, names or [], **how))
    for records in found:
        predictions(records)
        for record in records:
            if "id_from" not in how:
                record.pop("event_id")
    assert found[0] == found[1] == found[2]
    return found[0]


SAID = {"model": "bikes", "model_version": "7", "timestamp": float(AT)}


def classified() -> Any:
    made = log()
    listed = made.classify_log.request.input.example_list_with_context
    fill(listed.context.features, city=b"Porto")
    for temp in (0.24, -1.5):
        fill(listed.examples.add().features, temp=temp, hour=8, tags=[b"a", b"b"], image=b"\xff\xd8")
    for scores in ((0.25, 0.75), (1.0, 0.0)):
        held = made.classify_log.response.result.classifications.add()
        for label, score in zip(("stays", "leaves"), scores, strict=True):
            held.classes.add(label=label, score=score)
    return made


def test_classifications_give_the_best_class_and_all_scores() -> None:
    features = {"city": "Porto", "hour": 8, "tags_0": "a", "tags_1": "b", "image": None}
    assert every_way(classified()) == [
        {
            **SAID,
            "features": {**features, "temp": 0.24},
            "prediction": "leaves",
            "probability": {"stays": 0.25, "leaves": 0.75},
        },
        {
            **SAID,
            "features": {**features, "temp": -1.5},
            "prediction": "stays",
            "probability": {"stays": 1.0, "leaves": 0.0},
        },
    ]


def test_classes_without_labels_go_by_their_place() -> None:
    made = classified()
    for each in made.classify_log.response.result.classifications:
        for held in each.classes:
            held.label = ""
    assert [record["prediction"] for record in every_way(made)] == ["1", "0"]


def test_regressions_give_numbers() -> None:
    made = log()
    for temp, value in ((0.24, 212.5), (0.5, 0.0)):
        fill(made.regress_log.request.input.example_list.examples.add().features, temp=temp, embedding=[1.0, 2.0])
        made.regress_log.response.result.regressions.add(value=value)
    assert every_way(made, ["embedding"]) == [
        {**SAID, "features": {"temp": 0.24, "embedding": [1, 2]}, "prediction": 212.5},
        {**SAID, "features": {"temp": 0.5, "embedding": [1, 2]}, "prediction": 0.0},
    ]


def predicted() -> Any:
    made = log()
    made.ClearField("log_metadata")
    request, response = made.predict_log.request, made.predict_log.response
    request.output_filter.append("scores")
    response.model_spec.name, response.model_spec.version.value = "bikes", 8
    tensor(request.inputs["temp"], np.array([[0.24], [0.5]], dtype="<f4"), 1, "tensor_content")
    tensor(request.inputs["hour"], np.array([8, 23]), 9, "int64_val")
    tensor(request.inputs["season"], np.array([b"winter", b"summer"]), 7, "string_val")
    tensor(response.outputs["scores"], np.array([[0.25, 0.75], [0.5, 0.5]]), 2, "double_val")
    return made


def test_predictions_give_tensors_by_row_and_no_time_where_none_was_logged() -> None:
    said = {"model": "bikes", "model_version": "8"}
    assert every_way(predicted(), outcome=Outcome(classes=("stays", "leaves"))) == [
        {
            **said,
            "features": {"temp": 0.24, "hour": 8, "season": "winter"},
            "prediction": "leaves",
            "probability": {"stays": 0.25, "leaves": 0.75},
        },
        {
            **said,
            "features": {"temp": 0.5, "hour": 23, "season": "summer"},
            "prediction": "stays",
            "probability": {"stays": 0.5, "leaves": 0.5},
        },
    ]


@pytest.mark.parametrize(
    ("dtype", "kind", "field"),
    [
        (1, "<f4", "float_val"), (1, "<f4", "tensor_content"), (2, "<f8", "double_val"), (2, "<f8", "tensor_content"),
        (3, "<i4", "int_val"), (3, "<i4", "tensor_content"), (4, "u1", "int_val"), (5, "<i2", "tensor_content"),
        (6, "i1", "int_val"), (9, "<i8", "int64_val"), (10, "?", "bool_val"), (17, "<u2", "int_val"),
        (22, "<u4", "uint32_val"), (23, "<u8", "uint64_val"), (19, "<f2", "tensor_content"),
    ],
)  # fmt: skip
def test_every_datatype_is_read_as_numpy_wrote_it(dtype: int, kind: str, field: str) -> None:
    below = -1 if np.dtype(kind).kind in "if" else 1
    array = np.array([[0, below, 1], [below, 0, 0]] if kind == "?" else [[0, below, 2], [3, 4 * below, 100]]).astype(
        kind
    )
    made = log()
    tensor(made.predict_log.request.inputs["x"], array, dtype, field)
    tensor(made.predict_log.response.outputs["y"], np.array([1.0, 2.0]), 2, "double_val")
    found = [[record["features"][name] for name in ("x_0", "x_1", "x_2")] for record in every_way(made)]
    assert found == array.tolist()


def test_half_floats_are_bits_in_whole_numbers_and_what_is_left_out_is_the_last_value_or_zero() -> None:
    made = log()
    half = made.predict_log.request.inputs["x"]
    half.dtype, half.half_val[:] = 19, [struct.unpack("<H", struct.pack("<e", 0.24))[0]]
    half.tensor_shape.dim.add(size=2)
    zero = made.predict_log.response.outputs["y"]
    zero.dtype = 1
    zero.tensor_shape.dim.add(size=2)
    assert [(each["features"], each["prediction"]) for each in every_way(made)] == [
        ({"x": 0.24}, 0.0),
        ({"x": 0.24}, 0.0),
    ]


def test_numbers_that_are_not_finite_are_missing_and_not_zero() -> None:
    made = log()
    fill(made.regress_log.request.input.example_list.examples.add().features, a=float("nan"), b=float("-inf"), c=0.0)
    made.regress_log.response.result.regressions.add(value=1.0)
    assert every_way(made)[0]["features"] == {"a": None, "b": None, "c": 0.0}
    made.regress_log.response.result.regressions[0].value = float("nan")
    refused(lambda: tf_serving.binary_records(made.SerializeToString()), "no_prediction")


def test_an_id_among_the_features_is_the_event_s() -> None:
    found = every_way(predicted(), id_from="hour")
    assert [(each["event_id"], "hour" in each["features"]) for each in found] == [("8", False), ("23", False)]
    made = classified()
    assert [each["event_id"] for each in every_way_unchecked(made, id_from="hour")] == ["8", "8"]
    refused(lambda: tf_serving.binary_records(made.SerializeToString(), id_from="nothing"), "missing_id")


def every_way_unchecked(made: Any, **how: Any) -> list[dict[str, Any]]:
    return tf_serving.binary_records(made.SerializeToString(), **how)


def test_without_an_id_the_message_and_its_place_are_one() -> None:
    """Reading a file again finds the same ids; two equal messages are two events."""
    raw = predicted().SerializeToString()
    first, again, other = (tf_serving.binary_records(raw, place=place) for place in ("log:1", "log:1", "log:2"))
    assert first == again
    assert {each["event_id"] for each in first}.isdisjoint(each["event_id"] for each in other)


def test_fields_that_are_not_known_are_skipped() -> None:
    raw = predicted().SerializeToString()
    unknown = bytes([0xC2, 0x3E, 3]) + b"abc" + bytes([0xC8, 0x3E, 0x96, 1]) + bytes([0xCD, 0x3E]) + b"1234"
    assert every_way_unchecked_features(raw + unknown) == every_way_unchecked_features(raw)


def every_way_unchecked_features(raw: bytes) -> Any:
    return [each["features"] for each in tf_serving.binary_records(raw)]


def test_other_logs_and_broken_messages_are_refused() -> None:
    made = protos.new("PredictionLog")
    made.session_run_log.SetInParent()
    refused(lambda: tf_serving.binary_records(made.SerializeToString()), "unknown_log")
    refused(lambda: tf_serving.records('{"multiInferenceLog": {}}'), "unknown_log")
    refused(lambda: tf_serving.records("{}"), "unknown_log")
    refused(lambda: tf_serving.records("[1]"), "bad_value")
    refused(lambda: tf_serving.records("{"), "not_json")
    for raw in (b"\xff", b"\x0a\x05a", b"\x0b", b"\x30" + b"\xff" * 11):
        refused(lambda raw=raw: tf_serving.binary_records(raw), "not_protobuf")
    made = predicted()
    made.predict_log.request.inputs["temp"].dtype = 21
    refused(lambda: tf_serving.binary_records(made.SerializeToString()), "unknown_datatype")
    made.predict_log.request.inputs["temp"].dtype = 2
    refused(lambda: tf_serving.binary_records(made.SerializeToString()), "binary_length")
    made = predicted()
    made.log_metadata.timestamp_secs = -5
    refused(lambda: tf_serving.binary_records(made.SerializeToString()), "bad_time")
    raw = predicted().SerializeToString()
    assert tf_serving.binary_records(raw, limits=Limits(values=-(-len(raw) // 8)))
    refused(lambda: tf_serving.binary_records(raw, limits=Limits(values=(len(raw) - 1) // 8)), "too_large")


# --- TFRecord ---------------------------------------------------------------------------------------------------------

crc32c = pytest.importorskip("google_crc32c")


def framed(record: bytes) -> bytes:
    """A record as TensorFlow frames it, with Google's own CRC."""

    def check(data: bytes) -> bytes:
        crc = crc32c.value(data)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(record))
    return length + check(length) + record + check(record)


@settings(max_examples=100, deadline=None)
@given(some.lists(some.binary(max_size=40), max_size=5), some.integers(0, 300))
def test_whole_records_are_read_and_a_half_written_one_waits(records: list[bytes], cut: int) -> None:
    data = b"".join(map(framed, records))
    assert data == b"".join(map(tfrecord.framed, records))
    assert tfrecord.frames(data) == tfrecord.Frames(tuple(records), len(data))
    first = tfrecord.frames(data[:cut])
    rest = tfrecord.frames(data[first.consumed :])
    assert first.broken is None
    assert [*first.records, *rest.records] == records


def test_a_record_with_a_wrong_checksum_is_told_and_the_next_ones_are_read() -> None:
    data = framed(b"first") + framed(b"second") + framed(b"third")
    spoilt = data.replace(b"second", b"secund")
    found = tfrecord.frames(spoilt)
    assert isinstance(found.records[1], Unreadable)
    assert found.records[1].reason == "bad_checksum"
    assert (found.records[0], found.records[2], found.consumed, found.broken) == (b"first", b"third", len(data), None)


def test_behind_a_wrong_length_nothing_can_be_read() -> None:
    data = framed(b"first") + framed(b"second")
    spoilt = data[:21] + b"\xff" + data[22:]
    found = tfrecord.frames(spoilt)
    assert (found.records, found.consumed) == ((b"first",), 21)
    assert found.broken is not None
    assert found.broken.reason == "bad_checksum"
    long = tfrecord.frames(framed(b"x" * 100), longest=99)
    assert long.broken is not None
    assert long.broken.reason == "too_large"


def test_a_file_of_logs_is_read_from_end_to_end() -> None:
    data = b"".join(framed(each.SerializeToString()) for each in (classified(), predicted()))
    found = [tf_serving.binary_records(raw) for raw in tfrecord.frames(data).records if isinstance(raw, bytes)]
    assert [len(each) for each in found] == [2, 2]


def test_a_line_of_json_is_one_message() -> None:
    text = json_format.MessageToJson(predicted(), indent=None)
    assert "\n" not in text
    assert json.loads(text)["predictLog"]
