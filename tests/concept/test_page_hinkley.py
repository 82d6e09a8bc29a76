"""Page–Hinkley: a plain loop as the second opinion, the promised rate of false alarms, and how soon a rise is found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import brentq

from monitor.concept import Change, PageHinkley
from monitor.concept.page_hinkley import PIECE, _climb, _exponent
from tests.concept.streams import STREAMS, fed

pytestmark = pytest.mark.slow

EXAMPLES = settings(max_examples=100, deadline=None)
DETECTOR = PageHinkley(low=0.0, high=4.0, mean=1.0, allowance=0.25, threshold=3.0)
LOSSES = some.lists(some.integers(0, 16).map(lambda quarters: quarters / 4), max_size=200)


def plain_loop(detector: PageHinkley, losses: Any) -> list[tuple[int, int]]:
    """Where changes are noticed, and since when; quarters are exact in floats."""
    height, since, found = 0.0, 0, []
    for row, loss in enumerate(losses, start=1):
        height += min(max(loss, detector.low), detector.high) - detector.mean - detector.allowance
        if height <= 0:
            height, since = 0.0, row
        if height > detector.threshold:
            found.append((row, since))
            height, since = 0.0, row
    return found


@EXAMPLES
@given(LOSSES)
def test_it_equals_a_plain_loop(losses: list[float]) -> None:
    _, changes = DETECTOR.feed(None, np.array(losses))
    assert [(each.row, each.since) for each in changes] == plain_loop(DETECTOR, losses)
    for each in changes:
        assert each.before == 1.0
        assert each.after == pytest.approx(np.mean(np.minimum(losses, 4.0)[each.since : each.row]), abs=1e-8)


def test_it_equals_a_plain_loop_over_many_pieces() -> None:
    losses = np.random.default_rng(1).integers(0, 9, 3 * PIECE + 5) / 4
    _, changes = DETECTOR.feed(None, losses)
    assert len(changes) > 10
    assert [(each.row, each.since) for each in changes] == plain_loop(DETECTOR, losses)


@EXAMPLES
@given(some.integers(0, 2**32), some.lists(some.integers(0, 2 * PIECE), max_size=6))
def test_pieces_of_any_size_are_the_same_as_all_at_once(seed: int, cuts: list[int]) -> None:
    """To the last bit, through JSON."""
    losses = np.random.default_rng(seed).exponential(0.9, size=2 * PIECE)
    pieces = np.split(losses, sorted(cuts))
    assert fed(DETECTOR, pieces) == fed(DETECTOR, [losses])


def test_the_state_it_is_given_stays_as_it_is() -> None:
    state, _ = DETECTOR.feed(None, np.full(3, 2.0))
    before = dict(state)
    DETECTOR.feed(state, np.full(30, 4.0))
    assert state == before
    assert DETECTOR.feed(state, np.empty(0)) == (state, [])


def test_the_exponent_is_the_known_one_of_normal_and_exponential_losses() -> None:
    """Normal: 2a / σ². Exponential: exp(−θ (1 + a)) / (1 − θ) = 1. Each row twice: half of it."""
    rng = np.random.default_rng(1)
    normal, exponential = rng.normal(size=2_000_000), rng.exponential(size=2_000_000)
    normal = (normal - normal.mean()) / normal.std()
    assert _exponent(normal, 0.1, 1.0) == pytest.approx(0.2, rel=0.005)
    known = brentq(lambda theta: -theta * 1.1 - math.log(1 - theta), 0.01, 0.9)
    assert _exponent(exponential - exponential.mean(), 0.1, 1.0) == pytest.approx(known, rel=0.01)
    assert _exponent(normal, 0.1, 2.0) == pytest.approx(0.1, rel=0.005)
    for target in (1e-9, 0.1, 1.0, 1e6, 1e30):
        assert math.expm1(_climb(target)) - _climb(target) == pytest.approx(target, rel=1e-6)


REFERENCE, AHEAD, RATE = 12_000, 100_000, 10_000


def test_siegmunds_approximation_is_met_where_the_mean_is_known() -> None:
    """Normal losses, without the margins: the average run length is the stated one, not merely above it."""
    rng = np.random.default_rng(7)
    drift, rows = 0.125, 1_000_000
    theta = 2 * drift
    threshold = _climb(RATE * theta * drift) / theta - 1.166
    detector = PageHinkley(-10.0, 10.0, 0.0, drift, threshold)
    assert len(detector.feed(None, rng.normal(size=rows))[1]) == pytest.approx(rows / RATE, rel=0.25)


@pytest.mark.parametrize("name", STREAMS)
def test_false_alarms_are_no_more_than_stated(name: str) -> None:
    """On average over references, each with a stream of its own: 300 would be allowed, and some there must be."""
    rng = np.random.default_rng(6)
    alarms = 0
    for _ in range(30):
        losses = STREAMS[name](rng, REFERENCE + AHEAD)
        detector = PageHinkley.calibrated(losses[:REFERENCE], rows_per_false_alarm=RATE)
        alarms += len(detector.feed(None, losses[REFERENCE:])[1])
    assert 0 < alarms <= 30 * AHEAD / RATE


def test_to_take_rows_for_independent_that_are_not_would_break_the_promise() -> None:
    """The test above can fail: the same losses, calibrated on a reference in random order."""
    rng = np.random.default_rng(6)
    losses = STREAMS["AR(1) of 0.7"](rng, REFERENCE + AHEAD)
    detector = PageHinkley.calibrated(rng.permutation(losses[:REFERENCE]), rows_per_false_alarm=RATE)
    assert len(detector.feed(None, losses[REFERENCE:])[1]) > 5 * AHEAD / RATE


@pytest.mark.parametrize(
    ("name", "within"),
    [("one in twenty wrong", 200), ("exponential", 150), ("AR(1) of 0.7", 500), ("AR(1) of 0.9, skewed", 1500)],
)
def test_a_rise_of_half_a_standard_deviation_is_found_after_about_so_many_rows(name: str, within: int) -> None:
    rng = np.random.default_rng(9)
    delays, expected = [], []
    for _ in range(40):
        losses = STREAMS[name](rng, REFERENCE + 5000)
        detector = PageHinkley.calibrated(losses[:REFERENCE], rows_per_false_alarm=RATE)
        rise = 0.5 * np.std(losses[:REFERENCE])
        risen = losses[REFERENCE:] + rise
        if name == "one in twenty wrong":
            risen = (rng.random(5000) < 0.05 + rise).astype(float)
        first: Change = detector.feed(None, risen)[1][0]
        delays.append(first.row)
        expected.append(detector.threshold / (rise - detector.allowance))
        assert first.before == pytest.approx(np.mean(losses[:REFERENCE]), abs=0.3 * rise)
        assert first.after > first.before
    assert np.mean(delays) == pytest.approx(np.mean(expected), rel=0.25)
    assert np.mean(delays) < within


def test_the_beginning_of_a_rise_is_told() -> None:
    """Give or take what had climbed by chance before it: medians of 25 streams."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(25):
        losses = rng.exponential(size=14_000)
        losses[13_000:] += 1.0
        detector = PageHinkley.calibrated(losses[:10_000], rows_per_false_alarm=1e6)
        found.append(detector.feed(None, losses[10_000:])[1][0])
    assert np.median([each.since for each in found]) == pytest.approx(3000, abs=25)
    assert all(3000 < each.row < 3100 for each in found)
    assert np.median([each.after for each in found]) == pytest.approx(2.0, rel=0.2)


def test_a_fall_is_no_finding() -> None:
    rng = np.random.default_rng(2)
    detector = PageHinkley.calibrated(rng.exponential(size=10_000), rows_per_false_alarm=1e6)
    assert detector.feed(None, 0.3 * rng.exponential(size=50_000))[1] == []


def test_a_shift_that_is_asked_for_is_found_sooner_than_with_another_setting() -> None:
    rng = np.random.default_rng(5)
    reference = rng.exponential(size=50_000)

    def delay(shift: float, rise: float) -> float:
        detector = PageHinkley.calibrated(reference, rows_per_false_alarm=1e5, shift=shift)
        streams = (rng.exponential(size=20_000) + rise for _ in range(60))
        found = [detector.feed(None, losses)[1][:1] for losses in streams]
        return float(np.mean([first[0].row if first else 20_000 for first in found]))

    assert delay(0.1, 0.1) < delay(1.0, 0.1)
    assert delay(1.0, 1.0) < delay(0.1, 1.0)


def test_an_error_rate_that_can_hardly_rise_is_not_asked_to_rise_by_more() -> None:
    """Nearly all rows are wrong already; the calibration still ends, and keeps its promise."""
    rng = np.random.default_rng(5)
    losses = (rng.random(60_000) < 0.98).astype(float)
    detector = PageHinkley.calibrated(losses[:REFERENCE], rows_per_false_alarm=RATE, shift=0.5)
    assert detector.mean + detector.allowance < 1
    assert len(detector.feed(None, losses[REFERENCE:])[1]) <= 5
