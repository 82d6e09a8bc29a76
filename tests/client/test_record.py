"""Whatever the app hands over is JSON the daemon can read, or a clear no; never anything else."""

from __future__ import annotations

import enum
import json
import math
import types
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.client._record import NotPlain, TooLarge, encoded

LIMIT = 256 * 1024
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Tensor:
    """As PyTorch's: its size is a method."""

    def __init__(self, values: list[float]) -> None:
        self._values = values

    def size(self) -> tuple[int, ...]:
        return (len(self._values),)

    def numel(self) -> int:
        return len(self._values)

    def tolist(self) -> list[float]:
        return self._values


def written(value: Any, limit: int = LIMIT) -> Any:
    """What arrives of one feature."""
    return json.loads(encoded({"features": {"x": value}}, limit))["features"]["x"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1), (1.5, 1.5), (True, True), (None, None), ("é €", "é €"), (2**70, 2**70),
        (np.float64(0.1), 0.1), (np.float32(0.5), 0.5), (np.float16(0.5), 0.5), (np.int8(-3), -3), (np.uint64(2**63), 2**63),
        (np.bool_(True), True), (np.str_("a"), "a"), (np.array(2.5), 2.5), (np.array([1.0, math.nan]), [1.0, None]),
        (np.datetime64("2026-11-20T12:00:00", "ns"), "2026-11-20T12:00:00"), (np.timedelta64(90_000_000_000, "ns"), 90.0),
        (np.datetime64("NaT"), None), (np.longdouble(0.5), 0.5),
        (pd.Timestamp(NOON), "2026-11-20T12:00:00+00:00"), (pd.Timedelta(seconds=2), 2.0), (pd.NA, None), (pd.NaT, None),
        (pd.Series([1, 2]).iloc[0], 1), (Tensor([1.0, 2.0]), [1.0, 2.0]),
        (Decimal("1.25"), 1.25), (Decimal("NaN"), None), (Fraction(1, 4), 0.25), (NOON, "2026-11-20T12:00:00+00:00"),
        (NOON.date(), "2026-11-20"), (timedelta(minutes=1), 60.0), (Colour.RED, "red"), (Level.HIGH, 3), (b"ab\xff", "ab\ufffd"),
        (math.nan, None), (math.inf, None), (-math.inf, None), (np.float32("nan"), None), ([1, (2.0, math.nan)], [1, [2.0, None]]),
        ("half \ud800 a pair", "half ? a pair"), ("x" * 5000, "x" * 5000), (OrderedDict(a=np.int32(1)), {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_arrives_as_what_it_stands_for(value: Any, expected: Any) -> None:
    found = written(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_row_of_a_data_frame_is_features() -> None:
    frame = pd.DataFrame({"temp": [0.5, math.nan], "hour": [8, 9], "season": pd.Categorical(["winter", "summer"])})
    rows = [json.loads(encoded({"features": frame.iloc[place]}, LIMIT))["features"] for place in (0, 1)]
    assert rows == [
        {"temp": 0.5, "hour": 8, "season": "winter"},
        {"temp": None, "hour": 9, "season": "summer"},
    ]


def test_names_that_are_numbers_become_text() -> None:
    features = {1: 1.0, np.int64(2): 2.0, np.str_("three"): 3.0}
    assert json.loads(encoded({"features": features}, LIMIT)) == {"features": {"1": 1.0, "2": 2.0, "three": 3.0}}


def cyclic() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["itself"] = found
    return found


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, lambda: 0, types, cyclic(), endless(), int, iter([]), 1j],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_word_for_is_refused_without_its_value(value: Any) -> None:
    with pytest.raises(NotPlain, match=r"expected (a number|values)"):
        encoded({"features": {"x": value}}, LIMIT)


def test_a_name_that_is_neither_text_nor_number_is_refused() -> None:
    with pytest.raises(NotPlain, match="expected names that are text, got tuple"):
        encoded({"features": {("a", "b"): 1.0}}, LIMIT)


@pytest.mark.parametrize(
    "value",
    ["x" * 2000, ["x" * 600] * 3, {str(n): n for n in range(600)}, np.zeros(2000), np.zeros((50, 50)), pd.Series(range(2000)),
     Tensor([0.0] * 2000), b"x" * 2000, {"x" * 2000: 1}, [[1] * 10] * 500, "é" * 800],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_record_above_the_limit_is_refused(value: Any) -> None:
    with pytest.raises(TooLarge):
        encoded({"features": {"x": value}}, 1500)


def test_a_huge_value_is_refused_before_it_is_copied() -> None:
    """An array of a terabyte, for which there is no memory: nobody may try to list it."""
    huge = np.broadcast_to(np.float64(1), (10**12,))
    with pytest.raises(TooLarge):
        encoded({"features": {"x": huge}}, LIMIT)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes()
    | st.uuids() | st.complex_numbers() | st.floats(width=32).map(np.float32) | st.integers(-9, 9).map(np.int16)
    | st.sampled_from([pd.NA, pd.NaT, object(), int, Colour.RED, cyclic()]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none() | st.booleans(), inner) | st.tuples(inner) | st.sets(st.integers()),
    max_leaves=20,
)  # fmt: skip


@given(record=st.dictionaries(st.sampled_from(["model", "event_id", "features", "prediction"]), VALUES))
@settings(max_examples=400, deadline=None)
def test_anything_is_json_that_the_daemon_can_read_or_refused(record: dict[str, Any]) -> None:
    try:
        found = encoded(record, LIMIT)
    except (TooLarge, TypeError, ValueError, OverflowError):
        return
    (line,) = msgspec.json.decode(b"[" + found + b"]", type=list[dict[str, Any]])
    assert set(line) == set(record)
    assert b"\n" not in found


@given(
    features=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans())
)
def test_numbers_and_texts_arrive_exactly(features: dict[str, Any]) -> None:
    found = json.loads(encoded({"features": features}, LIMIT))["features"]
    plain = {name.encode("utf-8", "replace").decode(): value for name, value in features.items()}
    if len(plain) == len(features):
        assert found == plain
