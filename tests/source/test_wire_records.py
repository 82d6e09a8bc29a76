"""Whatever a row or a flat entry holds, it becomes a record that is taken in or set aside, and those around it stand."""

from __future__ import annotations

import string
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.model import Columns
from monitor.source._queried import _array
from monitor.source._wire import encoded, features_of, flat_record, outcomes, wire_value
from monitor.wire import Batch, Only, decode

GOOD = {"event_id": "good", "timestamp": 1767600000, "prediction": 1, "label": 1, "x": 0.5}
FLAT = {b"event_id": b"good", b"timestamp": b"1767600000", b"prediction": b"1", b"label": b"1", b"features.x": b"0.5"}
APART = Columns().names()


def nested(depth: int, innermost: Any = 1) -> Any:
    value = innermost
    for _ in range(depth):
        value = [value]
    return value


def of_row(values: dict[str, Any], kind: Any = "predictions") -> bytes:
    found = outcomes(values, kind, Columns())
    features = features_of([name for name in values if name not in APART], values)
    return encoded(found if kind == "labels" else found | {"features": features})


def taken(record: bytes, good: bytes, kind: Any = "predictions") -> Batch:
    """The record, and a good one on both sides of it, which must stand."""
    batch = decode([good, record, good], kind, Only(("shop", "churn")))
    assert [each["index"] for each in batch.rejected] in ([], [1])
    return batch


REFUSED = [
    ("x", "\ud83d", "not_json: "),
    ("x\ud83d", 1.0, "not_json: "),
    ("prediction", "up\udc00", "not_json: "),
    ("x", 10**400, "wrong_type: number out of range - at '$.features[...]'"),
    ("x", Decimal(10**400), "wrong_type: number out of range - at '$.features[...]'"),
    ("x", Decimal("1e400") + Decimal("0.5"), "wrong_type: number out of range - at '$.features[...]'"),
    ("prediction", -(10**400), "wrong_type: number out of range - at '$.prediction'"),
    ("timestamp", 10**5000, "wrong_type: number out of range - at '$.timestamp'"),
    ("event_id", 10**5000, "wrong_type: number out of range - at '$.event_id'"),
    ("x", nested(5000), "wrong_type: expected 'float', got 'array' - at '$.features[...][0]'"),
    ("prediction", nested(5000), "wrong_type: expected 'bool | int | float | str', got 'array' - at '$.prediction'"),
    ("features", {"x": 10**400}, "wrong_type: number out of range - at '$.features[...]'"),
    ("features", r'{"x": "\ud83d"}', "not_json: "),
    ("features", '{"x": 1' + "0" * 400 + "}", "wrong_type: number out of range - at '$.features[...]'"),
]


@pytest.mark.parametrize(("column", "value", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_a_row_that_has_no_wire_form_is_set_aside_with_its_reason(column: str, value: Any, reason: str) -> None:
    (rejection,) = taken(of_row(GOOD | {column: value}), of_row(GOOD)).rejections
    assert f"{rejection.reason}: {rejection.message}".startswith(reason)


def test_a_label_beyond_all_numbers_is_set_aside_and_not_taken_for_one_that_is_still_to_come() -> None:
    batch = taken(of_row(GOOD | {"label": Decimal(10**400)}, "labels"), of_row(GOOD, "labels"), "labels")
    assert [each["reason"] for each in batch.rejected] == ["number out of range - at '$.label'"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Decimal("sNaN"), None),
        (Decimal("-Infinity"), None),
        (Decimal("1e-400"), 0.0),
        (10**30, 1e30),
        (["a\ud83d"], r'["a\ud83d"]'),
        ([date(2026, 1, 5), 1], '["2026-01-05",1]'),
        ("\ud83d\ude00", "\ud83d\ude00"),
    ],
)
def test_what_can_be_told_is_told(value: Any, told: Any) -> None:
    assert wire_value(value) == told
    assert not taken(of_row(GOOD | {"x": value}), of_row(GOOD)).rejected


def test_features_that_nest_too_deeply_to_be_read_are_one_text() -> None:
    text = '{"x": ' + "[" * 5000 + "]" * 5000 + "}"
    assert features_of(["features"], {"features": text}) == {"features": text}


@pytest.mark.parametrize("name", [b"prediction", b"timestamp", b"probability", b"features.x", b"probability.up"])
@pytest.mark.parametrize(
    "value",
    [b"1" + b"0" * 400, b"[" * 900 + b"]" * 900, b"[" * 5000 + b"]" * 5000],
    ids=["digits", "deep", "deeper"],
)
def test_a_field_that_is_no_value_of_a_record_sets_its_entry_aside(name: bytes, value: bytes) -> None:
    record = flat_record(FLAT | {name: value}, "predictions", Columns())
    assert taken(record, flat_record(FLAT, "predictions", Columns())).rejected


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(200, 5000).map(lambda digits: -(10**digits)),
    st.floats(),
    st.decimals(),
    st.sampled_from([Decimal("1e400"), Decimal("-1e99999"), Decimal("1e-99999"), Decimal("sNaN")]),
    st.text(st.characters()),  # with halves of surrogates
    st.binary(),
    st.binary().map(memoryview),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.sampled_from([datetime.min, datetime.max]),  # noqa: DTZ901 - as a database without zones gives them
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.integers(300, 3000).map(nested),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(), max_size=3) | st.integers() | st.dates(), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from([*APART, "features", "x"]) | st.text(st.characters(), max_size=3)


@given(st.dictionaries(NAMES, VALUES, max_size=8), st.sampled_from(["predictions", "labels"]))
def test_every_row_becomes_a_record_that_is_taken_in_or_set_aside(values: dict[str, Any], kind: str) -> None:
    taken(of_row(GOOD | values, kind), of_row(GOOD, kind), kind)


FIELDS = st.sampled_from([*FLAT, b"latency_seconds", b"probability", b"probability.up", b"app", b"model"])
TEXTS = st.one_of(
    st.binary(),
    st.text(string.digits + '-+.eE[]{},:"\\u', max_size=30).map(str.encode),
    st.integers(200, 6000).map(lambda digits: b"9" * digits),
    st.integers(300, 3000).map(lambda depth: b"[" * depth + b"]" * depth),
    st.integers(300, 3000).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth),
)


@given(st.dictionaries(FIELDS | st.binary(max_size=4), TEXTS, max_size=8), st.sampled_from(["predictions", "labels"]))
def test_every_entry_becomes_a_record_that_is_taken_in_or_set_aside(fields: dict[bytes, bytes], kind: Any) -> None:
    taken(flat_record(FLAT | fields, kind, Columns()), flat_record(FLAT, kind, Columns()), kind)


def test_a_number_beyond_all_floats_is_missing_where_rows_are_read_as_a_table() -> None:
    assert _array([10**400, Decimal("1e999"), 1.5, None]).to_pylist() == [None, None, 1.5, None]
