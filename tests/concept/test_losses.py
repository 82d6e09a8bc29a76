"""What a reference says of its losses: fences, and how much its rows resemble each other."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.concept import Adwin, PageHinkley
from monitor.concept._losses import Baseline, in_units
from monitor.records import NoData
from tests.concept.streams import STREAMS, autoregressive, normal

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("rho", "rows"), [(0.0, 800), (0.0, 50_000), (0.7, 5000), (0.9, 20_000), (0.9, 100_000)])
def test_the_inflation_of_an_ar1_is_found_on_the_safe_side(rho: float, rows: int) -> None:
    """It is (1 + ρ) / (1 − ρ). The largest of several estimates is above it on average, by less than a third."""
    rng = np.random.default_rng(3)
    draw = autoregressive(rho, normal)
    mean = np.mean([Baseline.of(draw(rng, rows)).inflation for _ in range(30)])
    truth = (1 + rho) / (1 - rho)
    assert truth * 0.97 <= mean <= truth * 1.33


def test_slow_waves_inflate_though_neighbours_look_independent() -> None:
    rng = np.random.default_rng(3)
    days = np.sin(np.arange(40_000) / 4000 * 2 * np.pi)
    assert Baseline.of(rng.normal(size=40_000) + 0.2 * days).inflation > 5


@pytest.mark.parametrize("name", STREAMS)
def test_fences_leave_nearly_all_losses_alone(name: str) -> None:
    losses = STREAMS[name](np.random.default_rng(1), 20_000)
    baseline = Baseline.of(losses)
    assert np.mean((losses >= baseline.low) & (losses <= baseline.high)) > 0.996
    assert baseline.units.min() == 0
    assert baseline.units.max() == 1


def test_one_far_loss_does_not_hide_the_others() -> None:
    losses = np.random.default_rng(1).exponential(size=5000)
    without, high = Baseline.of(losses), 2 * np.quantile(losses, 0.99)
    losses[17] = 1e300
    assert Baseline.of(losses).high < high
    assert Baseline.of(losses).mean == pytest.approx(without.mean, rel=0.01)


def test_a_class_that_is_hardly_ever_wrong_is_not_fenced_off() -> None:
    losses = np.zeros(5000)
    losses[::500] = 1.0
    assert (Baseline.of(losses).low, Baseline.of(losses).high) == (0.0, 1.0)


def test_losses_at_the_ends_of_the_floats_are_taken() -> None:
    assert in_units(np.array([-np.inf, 0.5, np.inf]), 0.0, 1.0).tolist() == [0.0, 0.5, 1.0]
    losses = np.random.default_rng(1).exponential(size=2000)
    for scale in (1e300, 1e-250):
        assert Baseline.of(losses * scale).mean == pytest.approx(Baseline.of(losses).mean, rel=1e-9)
    spread = np.where(np.arange(1000) % 2 == 0, 1.7e308, -1.7e308)
    assert np.isfinite(Baseline.of(spread).units).all()


@pytest.mark.parametrize("detector", [Adwin, PageHinkley])
def test_a_reference_that_tells_too_little_is_no_data(detector: type[Adwin | PageHinkley]) -> None:
    rng = np.random.default_rng(1)
    resembling = autoregressive(0.99, normal)(rng, 5000)
    for losses, reason in [
        (np.empty(0), r"^expected at least 500 labelled rows of the reference, got 0$"),
        (rng.random(499), r"^expected at least 500 labelled rows of the reference, got 499$"),
        (np.full(1000, 0.25), r"^expected losses of the reference that differ, got only 0.25$"),
        (
            resembling,
            r"^expected at least \d{5,6} labelled rows of the reference, since neighbouring rows resemble .*, got 5000$",
        ),
    ]:
        with pytest.raises(NoData, match=reason):
            detector.calibrated(losses, rows_per_false_alarm=10_000)


def test_page_hinkley_needs_ten_wrong_rows() -> None:
    losses = np.zeros(10_000)
    losses[:9] = 1.0
    with pytest.raises(
        NoData, match=r"^expected at least 11\d{3} labelled rows of the reference, since large losses are rare"
    ):
        PageHinkley.calibrated(np.random.default_rng(0).permutation(losses), rows_per_false_alarm=1e5)


@pytest.mark.parametrize("detector", [Adwin(1000.0), PageHinkley(0.0, 1.0, 0.1, 0.1, 5.0)])
def test_a_loss_that_is_no_number_is_refused(detector: Adwin | PageHinkley) -> None:
    with pytest.raises(ValueError, match="got NaN"):
        detector.feed(None, np.array([0.0, np.nan]))
