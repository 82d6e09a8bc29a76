"""TensorFlow Serving's messages, declared to Google's own library: an oracle that shares nothing with the reader."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("google.protobuf")

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

PACKAGE = "tensorflow.serving"
_SCALARS = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}

# As tensorflow_serving/apis/*.proto and tensorflow/core/{example,framework}/*.proto declare them.
_DECLARED: dict[str, list[tuple[str, int, str]]] = {
    "ModelSpec": [("name", 1, "string"), ("version", 2, "Int64Value"), ("signature_name", 3, "string")],
    "SamplingConfig": [("sampling_rate", 1, "double")],
    "LogMetadata": [
        ("model_spec", 1, "ModelSpec"), ("sampling_config", 2, "SamplingConfig"), ("saved_model_tags", 3, "string*"),
        ("timestamp_secs", 4, "int64"),
    ],
    "BytesList": [("value", 1, "bytes*")],
    "FloatList": [("value", 1, "float*")],
    "Int64List": [("value", 1, "int64*")],
    "Feature": [("bytes_list", 1, "BytesList"), ("float_list", 2, "FloatList"), ("int64_list", 3, "Int64List")],
    "Features": [("feature", 1, "map Feature")],
    "Example": [("features", 1, "Features")],
    "ExampleList": [("examples", 1, "Example*")],
    "ExampleListWithContext": [("examples", 1, "Example*"), ("context", 2, "Example")],
    "Input": [("example_list", 1, "ExampleList"), ("example_list_with_context", 2, "ExampleListWithContext")],
    "ClassificationRequest": [("model_spec", 1, "ModelSpec"), ("input", 2, "Input")],
    "Class": [("label", 1, "string"), ("score", 2, "float")],
    "Classifications": [("classes", 1, "Class*")],
    "ClassificationResult": [("classifications", 1, "Classifications*")],
    "ClassificationResponse": [("result", 1, "ClassificationResult"), ("model_spec", 2, "ModelSpec")],
    "RegressionRequest": [("model_spec", 1, "ModelSpec"), ("input", 2, "Input")],
    "Regression": [("value", 1, "float")],
    "RegressionResult": [("regressions", 1, "Regression*")],
    "RegressionResponse": [("result", 1, "RegressionResult"), ("model_spec", 2, "ModelSpec")],
    "Dim": [("size", 1, "int64"), ("name", 2, "string")],
    "TensorShapeProto": [("dim", 2, "Dim*"), ("unknown_rank", 3, "bool")],
    "TensorProto": [
        ("dtype", 1, "int32"), ("tensor_shape", 2, "TensorShapeProto"), ("version_number", 3, "int32"),
        ("tensor_content", 4, "bytes"), ("float_val", 5, "float*"), ("double_val", 6, "double*"), ("int_val", 7, "int32*"),
        ("string_val", 8, "bytes*"), ("int64_val", 10, "int64*"), ("bool_val", 11, "bool*"), ("half_val", 13, "int32*"),
        ("uint32_val", 16, "uint32*"), ("uint64_val", 17, "uint64*"),
    ],
    "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "map TensorProto"), ("output_filter", 3, "string*")],
    "PredictResponse": [("outputs", 1, "map TensorProto"), ("model_spec", 2, "ModelSpec")],
    "ClassifyLog": [("request", 1, "ClassificationRequest"), ("response", 2, "ClassificationResponse")],
    "RegressLog": [("request", 1, "RegressionRequest"), ("response", 2, "RegressionResponse")],
    "PredictLog": [("request", 1, "PredictRequest"), ("response", 2, "PredictResponse")],
    "SessionRunLog": [],
    "PredictionLog": [
        ("log_metadata", 1, "LogMetadata"), ("classify_log", 2, "ClassifyLog"), ("regress_log", 3, "RegressLog"),
        ("session_run_log", 5, "SessionRunLog"), ("predict_log", 6, "PredictLog"),
    ],
}  # fmt: skip


def _message(file: descriptor_pb2.FileDescriptorProto, name: str) -> None:
    message = file.message_type.add(name=name)
    for field, number, kind in _DECLARED[name]:
        mapped, bare = kind.startswith("map "), kind.removeprefix("map ").rstrip("*")
        if mapped:
            entry = message.nested_type.add(name="".join(part.title() for part in field.split("_")) + "Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=9, label=1)
            entry.field.add(name="value", number=2, type=11, label=1, type_name=f".{PACKAGE}.{bare}")
            kind_of = {"type": 11, "type_name": f".{PACKAGE}.{name}.{entry.name}"}
        elif bare in _SCALARS:
            kind_of = {"type": _SCALARS[bare]}
        else:
            kind_of = {
                "type": 11,
                "type_name": ".google.protobuf.Int64Value" if bare == "Int64Value" else f".{PACKAGE}.{bare}",
            }
        message.field.add(name=field, number=number, label=3 if mapped or kind.endswith("*") else 1, **kind_of)


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="log.proto", package=PACKAGE, syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for name in _DECLARED:
        _message(file, name)
    pool.Add(file)
    return pool


_POOL = _pool()


def new(name: str) -> Any:
    """An empty message."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))()
