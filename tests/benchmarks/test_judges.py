"""The judges of the benchmarks: the drift check, and the yardstick."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks._judges import JUDGES, SIZES, Judge, Judged, drift_check, g_statistic, g_test
from benchmarks._populations import Autoregressive, Resampled, coded
from benchmarks._simulation import draw_reference, draw_windows, profile
from monitor.profile import Profile, Reference


def world_with_gaps() -> Resampled:
    draw = np.random.default_rng(1)
    names = draw.choice(["a", "b", None], 2000, p=[0.7, 0.25, 0.05]).tolist()
    numbers = np.where(draw.random(2000) < 0.1, np.nan, draw.normal(0, 1, 2000))
    return Resampled("gaps", {"number": numbers, "few": draw.integers(0, 3, 2000).astype(float), "name": coded(names)})


@pytest.fixture(scope="module")
def unchanged() -> tuple[Reference, list[Profile]]:
    source, draw = world_with_gaps(), np.random.default_rng(2)
    reference, _ = draw_reference(source, 10_000, 200, draw)
    return reference, list(draw_windows(source, reference, 200, 40, draw))


@pytest.mark.slow
def test_scoring_all_windows_at_once_is_what_the_check_says_of_each(
    unchanged: tuple[Reference, list[Profile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked about every window, changed ones among them, the check gives the same p-values and verdicts."""
    reference, windows = unchanged
    draw = np.random.default_rng(3)
    changed: Any = {"number": draw.normal(1, 1, 200), "few": np.full(200, 7.0), "name": coded(["new"] * 200)}
    empty: Any = {"number": np.full(200, np.nan), "few": np.zeros(200), "name": coded([None] * 200)}
    monkeypatch.setattr("benchmarks._judges.ASKED", len(windows) + 2)
    more = [profile(features, reference) for features in (changed, empty)]
    judged = drift_check(reference, [*more, *windows])
    assert judged.disagreements == 0
    assert judged.breached(100)[0].all()
    assert not judged.breached(1)[2:].any(axis=1).all()


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
def test_every_judge_answers_for_every_window_and_test(
    judge: Judge, unchanged: tuple[Reference, list[Profile]]
) -> None:
    reference, windows = unchanged
    judged = judge(reference, windows)
    assert judged.p_values.shape == judged.values.shape == judged.material.shape == (40, len(judged.tests))
    assert judged.columns == ("number", "few", "name")
    assert ((judged.p_values >= 0) & (judged.p_values <= 1)).all()
    levels = [judged.levels[size] for size in SIZES]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] / levels[-1] == pytest.approx(100, rel=0.3)


def test_the_yardstick_is_the_g_test() -> None:
    before, after = np.array([50, 30, 0]), np.array([[20, 20, 5], [5, 3, 0]])
    found, degrees = g_statistic(before, after)
    for row in range(2):
        held = np.stack([before, after[row]])
        held = held[:, held.sum(axis=0) > 0]
        expected = stats.chi2_contingency(held, correction=False, lambda_="log-likelihood")
        assert (found[row], degrees[row]) == pytest.approx((expected.statistic, expected.dof))


def test_the_yardstick_fails_where_it_should() -> None:
    """A test that takes rows for independent cries wolf on autocorrelated ones: the harness can tell good from bad."""
    source, draw = Autoregressive(features=4), np.random.default_rng(4)
    reference, _ = draw_reference(source, 10_000, 500, draw)
    windows = list(draw_windows(source, reference, 500, 50, draw))
    naive, ours = g_test(reference, windows), drift_check(reference, windows)
    assert (naive.p_values < 0.01).mean() > 0.1
    assert (ours.p_values < 0.01).mean() < 0.05


def test_the_score_of_a_column_is_the_smallest_of_its_tests() -> None:
    p_values, material = np.array([[0.2, 0.1, 0.5]]), np.array([[True, False, False]])
    judged = Judged((("x", "psi"), ("x", "ks"), ("y", "psi")), p_values, p_values, material, {1: 0.15})
    smallest, any_material = judged.by_column()
    assert smallest.tolist() == [[0.1, 0.5]]
    assert any_material.tolist() == [[True, False]]
    assert judged.breached(1).tolist() == [[False, True, False]]
