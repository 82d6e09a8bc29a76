"""The intervals of the benchmarks hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks._intervals import clustered_rate, dispersion, mean_interval, poisson_interval


@pytest.mark.parametrize("events", [0, 1, 3, 10, 250])
def test_the_poisson_interval_is_the_exact_one(events: int) -> None:
    """Its ends are the means that would give so many events, or so few, with a chance of 2.5 %."""
    low, high = poisson_interval(events)
    assert stats.poisson.cdf(events, high) == pytest.approx(0.025)
    assert low == 0 if events == 0 else stats.poisson.sf(events - 1, low) == pytest.approx(0.025)


def test_independent_events_get_the_exact_interval() -> None:
    found = clustered_rate(np.array([1, 0, 1, 1]), exposure=2.0)
    assert (found.low, found.high) == pytest.approx([end / 8 for end in poisson_interval(3)])
    assert (found.events, found.rate) == (3, 3 / 8)


@pytest.mark.parametrize(
    ("shape", "mean", "clusters"), [(None, 0.2, 40), (None, 2.0, 20), (1.0, 1.0, 40), (0.5, 3.0, 40)]
)
def test_intervals_cover_with_clusters_too(shape: float | None, mean: float, clusters: int) -> None:
    """Clusters with the same rate, and with rates that differ as a gamma distribution: nearly 95 % of intervals hold the truth."""
    draw = np.random.default_rng(4)
    rates = np.full((2000, clusters), mean) if shape is None else draw.gamma(shape, mean / shape, (2000, clusters))
    found = [clustered_rate(events, 1.0) for events in draw.poisson(rates)]
    covered = np.mean([each.low <= mean <= each.high for each in found])
    assert covered > (0.945 if shape is None else 0.9)


def test_clusters_that_differ_widen_the_interval() -> None:
    alike, apart = clustered_rate(np.full(20, 2), 1.0), clustered_rate(np.array([40] + [0] * 19), 1.0)
    assert alike.rate == apart.rate
    assert apart.high - apart.low > 3 * (alike.high - alike.low)


def test_dispersion_is_never_below_one() -> None:
    assert dispersion(np.full(10, 3)) == dispersion(np.zeros(10)) == dispersion(np.array([7])) == 1.0
    assert dispersion(np.array([0, 10])) == 10.0


def test_the_mean_interval_is_the_normal_one() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    low, high = stats.norm.interval(0.95, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx((4.0, low, high))
