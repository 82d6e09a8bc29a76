"""Numbers are written as prometheus_client writes them."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from monitor.metrics._numbers import written

EDGES = [
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
    1e-5, 9.999999999999999e-05, 1e-4, 1.0000000000000002e-4, -1e-4, -1e-7, 1e-7, 0.1 + 0.2, 65537 / 131072,
    99999.0, 999999.0, 999999.9999999999, 1e6, 1000000.5, 1234567.0, 1e9, 1700006400.123456, 1e15, 9999999999999998.0,
    1e16, 1.5e16, 1e17, 1e21, 1e22, 1e23, float(2**53), float(2**53 + 2), float(10**300), -999999.5, -1e6, -1234567.0, -1e16,
]  # fmt: skip


@given(st.lists(st.floats(), max_size=50))
@example(EDGES)
def test_any_numbers_are_written_as_go_does(numbers: list[float]) -> None:
    assert written(numbers) == [floatToGoString(number).encode() for number in numbers]


@given(
    st.lists(st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]), max_size=50)
)
def test_so_are_numbers_of_any_bits(numbers: list[float]) -> None:
    assert written(numbers) == [floatToGoString(number).encode() for number in numbers]


@pytest.mark.parametrize("seed", range(4))
def test_so_are_shares_counts_and_times_in_numbers(seed: int) -> None:
    """Where digits are shortened or lie in the middle of two: many of each size there is, and fractions of powers of 2."""
    draw = np.random.default_rng(seed)
    sizes = 10.0 ** draw.uniform(-6, 18, 5000) * draw.choice([-1, 1], 5000)
    halves = draw.integers(1, 2**45, 5000) / 2.0 ** draw.integers(0, 45, 5000)
    counts = draw.integers(0, 10 ** draw.integers(1, 18, 5000)).astype(float)
    for numbers in (sizes.tolist(), halves.tolist(), counts.tolist()):
        assert written(numbers) == [floatToGoString(number).encode() for number in numbers]


def test_no_numbers_are_none() -> None:
    assert written([]) == []
