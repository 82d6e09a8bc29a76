"""Tails are right far out: against scipy where it has them, against simulation where it has not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monitor.calibrate.tails import (
    ExponentialTail,
    contrast_critical,
    contrast_tail,
    kolmogorov_tail,
    weighted_chi_square_critical,
    weighted_chi_square_tail,
)

NEVER = 1e12  # degrees of freedom of a variance that is known


@pytest.mark.parametrize("freedom", [1, 2, 9, 50])
@pytest.mark.parametrize("chance", [0.3, 1e-2, 1e-4, 1e-6, 1e-9])
def test_equal_weights_are_a_chi_square(freedom: int, chance: float) -> None:
    value = stats.chi2.isf(chance, freedom)
    told = weighted_chi_square_tail(np.full(freedom, 2.5), np.array(NEVER), np.array(2.5 * value))
    assert float(told) == pytest.approx(chance, rel=0.15)


@pytest.mark.parametrize(("freedom", "estimated"), [(9, 30), (9, 200), (1, 30), (1, 5), (4, 8)])
@pytest.mark.parametrize("chance", [1e-2, 1e-4, 1e-6])
def test_estimated_weights_make_it_an_f_distribution(freedom: int, estimated: int, chance: float) -> None:
    value = stats.f.isf(chance, freedom, estimated) * freedom
    told = weighted_chi_square_tail(np.ones(freedom), np.array(float(estimated)), np.array(value))
    assert float(told) == pytest.approx(chance, rel=0.2)


def test_unequal_weights_agree_with_a_simulation() -> None:
    rng, weights = np.random.default_rng(1), np.array([5.7, 2.9, 1.5, 1.2, 1.0, 1.0])
    drawn = (rng.standard_normal((2_000_000, 6)) ** 2) @ weights
    for value in (20.0, 40.0, 70.0, 90.0):
        seen = float((drawn > value).mean())
        told = float(weighted_chi_square_tail(weights, np.array(NEVER), np.array(value)))
        assert told == pytest.approx(seen, rel=0.08 + 3 / np.sqrt(2_000_000 * seen))


def test_padding_and_units_change_nothing_and_nothing_is_one() -> None:
    weights, value = np.array([3.0, 1.0]), np.array(30.0)
    plain = weighted_chi_square_tail(weights, np.array(40.0), value)
    assert weighted_chi_square_tail(np.array([3.0, 1.0, 0.0, 0.0]), np.array(40.0), value) == pytest.approx(plain)
    assert weighted_chi_square_tail(weights * 1e9, np.array(40.0), value * 1e9) == pytest.approx(plain)
    assert weighted_chi_square_tail(weights, np.array(40.0), np.array(0.0)) == 1.0
    assert weighted_chi_square_tail(np.zeros(2), np.array(40.0), value) == 1.0


def test_it_falls_with_the_value_over_its_whole_range() -> None:
    values = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 400)])
    told = weighted_chi_square_tail(np.array([4.0, 2.0, 1.0]), np.full(401, 60.0), values)
    assert np.all(np.isfinite(told))
    assert np.all(np.diff(told) <= 1e-3)
    assert told[-1] < 1e-60


@pytest.mark.parametrize("freedom", [8, 39, 3000])
@pytest.mark.parametrize("value", [0.0, 0.5, 3.84, 30.0, 400.0])
def test_a_contrast_has_scipys_f_distribution(freedom: int, value: float) -> None:
    told = contrast_tail(np.array([value, np.nan]), np.full(2, float(freedom)))
    assert told[0] == pytest.approx(stats.f.sf(value, 1, freedom), rel=1e-8)
    assert told[1] == 1.0


@pytest.mark.parametrize("level", [0.05, 1e-3, 1e-7, 1e-12])
def test_critical_values_are_where_the_tail_is_the_level(level: float) -> None:
    weights = np.array([[5.7, 2.9, 1.5, 1.2], [90.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    freedom, levels = np.array([30.0, 8.0, 1e9]), np.array([level, level / 3, level * 2])
    found = weighted_chi_square_critical(weights, freedom, levels)
    assert weighted_chi_square_tail(weights, freedom, found) == pytest.approx(levels, rel=1e-5)
    contrasts = contrast_critical(freedom[:2], levels[:2])
    assert contrasts == pytest.approx(stats.f.isf(levels[:2], 1, freedom[:2]), rel=1e-4)


@pytest.mark.parametrize("score", [0.5, 1.0, 1.358, 2.0, 4.0, 8.0])
def test_kolmogorov_with_a_known_variance_is_scipys(score: float) -> None:
    assert float(kolmogorov_tail(score, NEVER)) == pytest.approx(float(stats.kstwobign.sf(score)), rel=1e-6)


def test_kolmogorov_with_an_estimated_variance_has_a_heavier_tail_as_simulated() -> None:
    rng = np.random.default_rng(2)
    variance = rng.chisquare(20, size=1_000_000) / 20
    for score in (1.5, 2.0, 2.5):
        averaged = float(stats.kstwobign.sf(score * np.sqrt(variance)).mean())
        assert float(kolmogorov_tail(score, 20.0)) == pytest.approx(averaged, rel=0.05)
    assert float(kolmogorov_tail(40.0, 20.0)) > 0


def test_resampled_tails_are_counted_in_the_body_and_cautious_beyond() -> None:
    rng = np.random.default_rng(3)
    draws = rng.chisquare(3, size=2000)
    tail = ExponentialTail.fit(draws, NEVER)
    assert tail.p_value(np.median(draws)) == pytest.approx(0.5, abs=0.01)
    assert tail.p_value(-1.0) == 1.0
    for chance in (1e-2, 1e-3, 1e-4, 1e-5):
        assert chance * 0.7 < tail.p_value(stats.chi2.isf(chance, 3)) < 20 * chance


@pytest.mark.parametrize("freedom", [10.0, 200.0, NEVER])
def test_a_resampled_threshold_is_where_its_p_value_is_the_level(freedom: float) -> None:
    tail = ExponentialTail.fit(np.random.default_rng(4).exponential(size=1000), freedom)
    for level in (0.05, 1e-3, 1e-6):
        assert tail.p_value(tail.value(level)) == pytest.approx(level, rel=1e-6)


def test_draws_that_are_all_alike_still_give_a_chance() -> None:
    tail = ExponentialTail.fit(np.zeros(1000), 50.0)
    assert tail.p_value(0.0) == 1.0
    assert 0 < tail.p_value(1.0) < 0.01
