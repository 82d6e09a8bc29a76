"""Our special functions are SciPy's, far into their tails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import special

from monitor.calibrate.special import beta_distribution, kolmogorov_survival, normal_quantile, normal_tail


@given(some.floats(-30, 37))
def test_the_normal_tail(x: float) -> None:
    assert float(normal_tail(x)) == pytest.approx(float(special.ndtr(-x)), rel=1e-11)


@given(some.floats(1e-300, 1 - 1e-12))
def test_the_normal_quantile(p: float) -> None:
    assert float(normal_quantile(p)) == pytest.approx(float(special.ndtri(p)), rel=1e-9, abs=1e-12)


@given(some.floats(0, 18))
def test_kolmogorov(x: float) -> None:
    assert float(kolmogorov_survival(x)) == pytest.approx(float(special.kolmogorov(x)), rel=1e-9, abs=1e-300)


@given(a=some.floats(0.05, 5000), b=some.floats(0.05, 5000), x=some.floats(0, 1))
def test_the_incomplete_beta_function(a: float, b: float, x: float) -> None:
    # Where it is near 1, its distance from it is what the other side computes.
    expected = float(special.betainc(a, b, x))
    assert float(beta_distribution(a, b, x)) == pytest.approx(expected, rel=1e-8, abs=1e-14)


@given(a=some.floats(1, 50), b=some.floats(1, 20_000), x=some.floats(1e-5, 0.05))
def test_its_small_values_are_right_in_relative_terms(a: float, b: float, x: float) -> None:
    expected = float(special.betainc(a, b, x))
    if 1e-280 < expected < 0.5:
        assert float(beta_distribution(a, b, x)) == pytest.approx(expected, rel=1e-8)


def test_arrays_are_broadcast_and_each_is_alone() -> None:
    a, x = np.array([[1.0], [30.0]]), np.array([0.0, 0.01, 0.5, 1.0])
    assert beta_distribution(a, 400.0, x) == pytest.approx(special.betainc(a, 400.0, x), rel=1e-10)
