"""A budget of false alarms becomes the level of one test: never overspent, and not wasted on looks that repeat each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.special import ndtri

from monitor.calibrate import extremal_index, significance_level
from monitor.calibrate.budget import LARGEST, SPENT

HOUR, DAY = 3600.0, 86400.0


def test_separate_looks_share_the_budget_evenly() -> None:
    level = significance_level(at_most=1, per_seconds=30 * DAY, every_seconds=HOUR, size_seconds=HOUR, tests=100)
    assert level * 720 * 100 == pytest.approx(SPENT)


@given(
    at_most=some.floats(0.01, 100),
    every=some.sampled_from([60.0, HOUR, DAY]),
    factor=some.sampled_from([1, 2, 7, 24, 720]),
    tests=some.integers(0, 5000),
)
def test_a_level_is_between_what_bonferroni_allows_and_a_twentieth(
    at_most: float, every: float, factor: int, tests: int
) -> None:
    level = significance_level(
        at_most=at_most, per_seconds=30 * DAY, every_seconds=every, size_seconds=every * factor, tests=tests
    )
    bonferroni = SPENT * at_most / (30 * DAY / every * max(tests, 1))
    assert min(bonferroni, LARGEST) * (1 - 1e-9) <= level <= LARGEST


@pytest.mark.parametrize(("size", "level"), [(8, 1e-3), (32, 1e-3), (128, 1e-3)])
def test_the_runs_of_looks_at_sliding_windows_are_as_long_as_said(size: int, level: float) -> None:
    """Means of sliding windows of white noise: how many runs beyond a threshold begin, by simulation."""
    rng = np.random.default_rng(size)
    noise = rng.standard_normal(6_000_000)
    sums = np.cumsum(np.concatenate([[0.0], noise]))
    means = (sums[size:] - sums[:-size]) / np.sqrt(size)
    beyond = means > -ndtri(level)
    places = np.flatnonzero(beyond)
    # Crossings less than a window apart are one run: the windows share rows.
    runs = 1 + int((np.diff(places) > size).sum())
    assert extremal_index(level, 1 / size) == pytest.approx(runs / len(places), rel=0.2)


def test_a_month_looked_at_every_hour_wastes_little_on_looks_that_repeat_each_other() -> None:
    often = significance_level(at_most=1, per_seconds=30 * DAY, every_seconds=HOUR, size_seconds=30 * DAY, tests=10)
    apart = significance_level(at_most=1, per_seconds=30 * DAY, every_seconds=HOUR, size_seconds=HOUR, tests=10)
    assert 5 * apart < often < 200 * apart
