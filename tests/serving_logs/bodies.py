"""Random bodies that come near to real ones: the readers' own words, the right number of rows, and odd values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as some

from monitor.serving_logs import Outcome, cloudevents

WORDS = (
    "instances predictions inputs outputs data names ndarray tensor tftensor shape values jsonData strData binData truth response"
    " request meta puid error status name datatype parameters binary_data_size model_name model_version b64 features columns label"
    " scores dataframe_split dataframe_records prediction probabilities classes captureData endpointInput endpointOutput encoding"
    " observedContentType eventMetadata eventId inferenceId inferenceTime groundTruthData logMetadata log_metadata modelSpec version"
    " timestampSecs predictLog predict_log classifyLog regress_log result classifications regressions value score input exampleList"
    " examples example_list_with_context context feature floatList bytes_list int64List dtype tensorShape dim size floatVal"
    " string_val tensorContent halfVal id type data_base64 requestid modelid time"
).split()
TEXTS = some.sampled_from(
    [
        "FP32", "FP16", "BYTES", "INT64", "BOOL", "DT_FLOAT", "DT_STRING", "DT_HALF", "DT_INT64", "CSV", "JSON", "BASE64", "text/csv",
        "application/json", "0.5,1\n2,red", "MQ==", "2026-11-20T08:00:00Z", "NaN", "-1", "7", "", "a", "{}", "[1]",
        *cloudevents.TYPES,
    ]
) | some.text(max_size=5)  # fmt: skip
NUMBERS = some.integers(-3, 9) | some.integers() | some.floats()
SCALARS = some.none() | some.booleans() | NUMBERS | TEXTS
KEYS = some.sampled_from(WORDS) | some.text(max_size=3)
VALUES = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
NAMES = some.lists(some.sampled_from(["a", "b", "x", "f0"]) | KEYS, max_size=3, unique=True)
OUTCOMES = some.builds(Outcome, classes=some.lists(TEXTS, max_size=3, unique=True).map(tuple), prediction=TEXTS)
DATATYPES = some.sampled_from(["FP32", "FP16", "BF16", "BYTES", "INT8", "BOOL", "UINT64", "X"])


def exactly(count: int, inner: Any) -> Any:
    return some.lists(inner, min_size=count, max_size=count)


@some.composite
def tensor(draw: Any, rows: int, name: str) -> dict[str, Any]:
    """A V2 tensor of so many rows, most often one that fits its shape."""
    shape = [rows, *draw(some.lists(some.integers(0, 3), max_size=2))]
    count = 1
    for size in shape:
        count *= size
    datatype = draw(DATATYPES)
    held = draw(some.sampled_from([NUMBERS, some.booleans(), TEXTS, SCALARS])) if datatype != "BYTES" else TEXTS
    made = {"name": name, "datatype": datatype, "shape": shape, "data": draw(exactly(count, held))}
    return made | draw(some.just({}) | some.dictionaries(some.sampled_from(list(made)), VALUES, max_size=1))


@some.composite
def table(draw: Any, rows: int) -> list[Any]:
    """Rows as lists of one length, as objects of the same keys, as scalars, or as anything."""
    held = draw(some.sampled_from([NUMBERS, NUMBERS, SCALARS, VALUES]))
    if draw(some.booleans()):
        return list(draw(exactly(rows, exactly(draw(some.integers(0, 3)), held))))
    keys = draw(some.lists(KEYS, max_size=3, unique=True))
    return list(draw(exactly(rows, some.fixed_dictionaries(dict.fromkeys(keys, held)) if keys else held)))


@some.composite
def seldon(draw: Any, rows: int) -> dict[str, Any]:
    form = draw(some.sampled_from(["ndarray", "tensor", "json"]))
    held = draw(table(rows))
    if form == "json":
        return {"jsonData": held}
    names = {"names": draw(some.lists(KEYS, max_size=3))} if draw(some.booleans()) else {}
    if form == "tensor":
        width = draw(some.integers(0, 3))
        return {"data": names | {"tensor": {"shape": [rows, width], "values": draw(exactly(rows * width, NUMBERS))}}}
    return {"data": names | {"ndarray": held}}


@some.composite
def request(draw: Any, rows: int) -> Any:
    """A request of so many rows, in any protocol; now and then something else altogether."""
    form = draw(some.sampled_from(["instances", "inputs", "columnar", "split", "records", "seldon", "other"]))
    if form == "inputs":
        return {
            "inputs": [draw(tensor(rows, name)) for name in draw(some.sampled_from([["x"], ["a", "b"], ["input-0"]]))]
        }
    if form == "columnar":
        return {"inputs": draw(some.dictionaries(KEYS, exactly(rows, VALUES), max_size=3))}
    if form == "split":
        return {"dataframe_split": {"columns": draw(some.lists(KEYS, max_size=3)), "data": draw(table(rows))}}
    if form == "records":
        return {"dataframe_records": draw(table(rows))}
    if form == "seldon":
        return draw(seldon(rows))
    return {"instances": draw(table(rows))} if form == "instances" else draw(VALUES)


@some.composite
def response(draw: Any, rows: int) -> Any:
    """A response of so many rows, in any protocol; now and then something else altogether."""
    form = draw(some.sampled_from(["scores", "predictions", "named", "outputs", "seldon", "other"]))
    if form == "scores":
        share = draw(some.floats(0, 1))
        return {"predictions": [[share, 1 - share]] * rows}
    if form == "named":
        said = some.fixed_dictionaries(
            {"label": SCALARS}, optional={"probabilities": VALUES, "scores": some.lists(NUMBERS)}
        )
        return {"predictions": draw(exactly(rows, said))}
    if form == "outputs":
        names = draw(some.sampled_from([["predict"], ["label", "probabilities"], ["y", "z"]]))
        return {"model_name": "m", "outputs": [draw(tensor(rows, name)) for name in names]}
    if form == "seldon":
        return draw(seldon(rows))
    return {"predictions": draw(table(rows))} if form == "predictions" else draw(VALUES)


PAIRS = some.integers(1, 3).flatmap(lambda rows: some.tuples(request(rows), response(rows)))
REQUESTS = some.integers(0, 3).flatmap(request)
RESPONSES = some.integers(0, 3).flatmap(response)

EVENT = some.fixed_dictionaries(
    {"type": some.sampled_from([*cloudevents.TYPES, "x"])},
    optional={
        "id": TEXTS,
        "requestid": TEXTS,
        "time": SCALARS,
        "data": REQUESTS | RESPONSES,
        "data_base64": TEXTS,
        "source": VALUES,
    },
)
CONTENTS = some.fixed_dictionaries(
    {"data": TEXTS | VALUES, "encoding": some.sampled_from(["CSV", "JSON", "BASE64", "X"])},
    optional={
        "observedContentType": some.sampled_from(["text/csv", "application/json", "application/jsonlines"]) | VALUES
    },
)

PROTO = some.integers(1, 2).flatmap(
    lambda rows: some.fixed_dictionaries(
        {"dtype": some.sampled_from(["DT_FLOAT", "DT_STRING", "DT_HALF", "DT_INT64", 1, 9, 99])},
        optional={
            "tensorShape": some.just({"dim": [{"size": str(rows)}]})
            | some.just({"dim": [{"size": rows}, {"size": 2}]})
            | VALUES,
            "floatVal": some.lists(SCALARS, max_size=2),
            "int64Val": some.lists(SCALARS, max_size=2),
            "stringVal": some.lists(some.just("MQ==") | SCALARS, max_size=2),
            "halfVal": some.lists(some.integers(0, 70_000), max_size=2),
            "tensorContent": TEXTS,
        },
    )
)
FEATURE = some.sampled_from(
    [
        {"floatList": {"value": [0.5]}},
        {"bytes_list": {"value": ["MQ==", "gA=="]}},
        {"int64List": {"value": ["7", 8]}},
        {},
    ]
)


@some.composite
def log(draw: Any) -> Any:
    """A PredictionLog as JSON, in part of anything."""
    rows = draw(some.integers(0, 2))
    features = some.dictionaries(KEYS, FEATURE | FEATURE | VALUES, max_size=3)
    examples = exactly(rows, features.map(lambda held: {"features": {"feature": held}}))
    said = {
        "logMetadata": draw(
            VALUES | some.just({"timestampSecs": "1795161600", "modelSpec": {"name": "m", "version": "3"}})
        )
    }
    kind = draw(some.sampled_from(["predictLog", "predict_log", "classifyLog", "regress_log", "other"]))
    if kind == "other":
        return draw(VALUES)
    if kind.lower().startswith("predict"):
        asked = {"inputs": draw(some.dictionaries(KEYS, PROTO, max_size=2))}
        return said | {
            kind: {"request": asked, "response": {"outputs": draw(some.dictionaries(KEYS, PROTO, max_size=2))}}
        }
    asked = {"input": {"exampleList": {"examples": draw(examples)}}}
    if kind == "regress_log":
        return said | {
            kind: {
                "request": asked,
                "response": {"result": {"regressions": draw(exactly(rows, some.just({"value": 1}) | VALUES))}},
            }
        }
    classes = some.just({"classes": [{"label": "a", "score": 0.25}, {"label": "b", "score": 0.75}]}) | VALUES
    return said | {kind: {"request": asked, "response": {"result": {"classifications": draw(exactly(rows, classes))}}}}
