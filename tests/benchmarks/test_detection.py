"""From scores to shares, delays and verdicts of the power table."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks._changes import CATEGORIES, FEATURE, LENGTH, SCENARIOS
from benchmarks._detection import LEVEL, Power, Row, Threshold, power, threshold
from monitor.records import Coded


def test_a_threshold_is_exceeded_at_the_rate_asked_for() -> None:
    scores = np.random.default_rng(1).permutation(100_000).astype(float)
    found = threshold(scores, 0.001)
    assert np.sum(scores > found.value) == 100
    assert np.sum(scores > found.low) == 110
    assert np.sum(scores > found.high) == 90


def test_a_model_of_twenty_alarms_in_one_percent_of_windows() -> None:
    scores = np.random.default_rng(2).normal(size=(20_000, 20))
    found = (scores > threshold(scores).value).any(axis=1).mean()
    assert found == pytest.approx(0.01, abs=0.001)
    assert pytest.approx(0.01) == 1 - (1 - LEVEL) ** 20


def test_ties_and_windows_without_a_score_do_not_alarm() -> None:
    assert not (np.zeros(500) > threshold(np.zeros(500)).value).any()
    assert threshold(np.array([np.nan, 1.0, 2.0]), 0.3).value == 2.0
    scores = np.full((1, LENGTH), np.nan)
    assert power(scores, Threshold(0.0, 0.0, 0.0)).share == 0.0


def test_share_and_delay_by_hand() -> None:
    """Two trials of one copy: found from the third window on, and never."""
    scores = np.zeros((1, 2 * LENGTH))
    scores[0, 2:LENGTH] = 1.0
    found = power(scores, Threshold(0.5, 0.5, 0.5))
    assert found.share == (LENGTH - 2) / (2 * LENGTH)
    assert found.delays.tolist() == [3.0, LENGTH + 1.0]
    also = np.zeros(scores.shape, dtype=bool)
    also[0, 5] = True
    assert power(scores, Threshold(0.5, 0.5, 0.5), also).delays.tolist() == [6.0, LENGTH + 1.0]


def of(*shares: float, wobble: float = 0.0) -> Power:
    return Power(np.array(shares), np.ones(2), wobble)


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (of(0.5, 0.6, 0.4), of(0.9, 0.9, 0.8), "behind"),
        (of(0.9, 0.9, 0.8), of(0.5, 0.6, 0.4), "ahead"),
        (of(0.5, 0.6, 0.4), of(0.4, 0.7, 0.45), "level"),
        (of(0.5, 0.6, 0.4), of(0.6, 0.7, 0.5, wobble=0.1), "level"),
        (of(1.0, 1.0, 1.0), of(1.0, 1.0, 1.0), "level"),
    ],
)
def test_the_verdict_is_beyond_noise_or_level(ours: Power, theirs: Power, verdict: str) -> None:
    row = Row("a change", 200, ours, ours, {"weak": of(0.0, 0.0, 0.0), "best": theirs}, ours)
    assert row.best == "best"
    assert row.verdict == verdict


# --- the changes ------------------------------------------------------------------------------------------------------


def changed(scenario: str, window: int = 0, rows: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    kind, change = SCENARIOS[scenario]
    draw = np.random.default_rng(3)
    before = FEATURE[kind](draw, rows)
    after = change(before, draw, window)
    return tuple(each.codes if isinstance(each, Coded) else np.asarray(each) for each in (before, after))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_numbers_have_a_standard_deviation_of_one(kind: str) -> None:
    values = np.asarray(FEATURE[kind](np.random.default_rng(4), 2_000_000))
    assert values.std() == pytest.approx(1.0, rel=0.03)


def test_changes_do_what_they_say() -> None:
    before, after = changed("shift by 0.3 σ")
    assert after - before == pytest.approx(0.3)
    before, after = changed("variance × 1.5")
    assert after.var() / before.var() == pytest.approx(1.5)
    assert np.isnan(changed("missing values, 5 %")[1]).mean() == pytest.approx(0.05, abs=0.003)
    before, after = changed("unit × 1000")
    assert after == pytest.approx(before * 1000)
    first, last = (np.subtract(*changed("ramp to 1 σ in 20 windows", at)[::-1]).mean() for at in (0, LENGTH - 1))
    assert (first, last) == pytest.approx((1 / LENGTH, 1.0))


def test_a_category_that_vanishes_leaves_the_others_in_proportion() -> None:
    before, after = changed("a category of 10 % vanishes")
    shares = np.bincount(after, minlength=6) / len(after)
    assert shares[3] == 0
    others = np.delete(CATEGORIES, 3)
    assert np.delete(shares, 3) == pytest.approx(others / others.sum(), abs=0.005)
    assert np.bincount(before, minlength=6)[3] > 0
