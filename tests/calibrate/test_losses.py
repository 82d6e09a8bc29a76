"""How rarely an unchanged model looks worse: tails against exact laws, and realised rates on streams of losses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monitor.calibrate.losses import baseline_of, log_tail_of_mean

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("share", "rows", "wrong"), [(0.1, 200, 40), (0.01, 300, 12), (0.3, 1000, 380), (0.02, 5000, 150)]
)
def test_shares_of_errors_have_their_binomial_tail(share: float, rows: int, wrong: int) -> None:
    points = np.array([-share, 1 - share])
    told = np.exp(
        log_tail_of_mean(points, np.array([1 - share, share]), np.array([(wrong - 0.5) / rows - share]), rows)
    )
    exact = stats.binom.sf(wrong - 1, rows, share)
    assert told[0] == pytest.approx(exact, rel=0.25)  # continuous, at the middle of the step


@pytest.mark.parametrize("chance", [1e-2, 1e-4, 1e-6, 1e-9])
def test_exponential_losses_have_their_gamma_tail(chance: float) -> None:
    """The normal law would be wrong by orders of magnitude here."""
    rows, ranks = 50, (np.arange(200_000) + 0.5) / 200_000
    losses = -np.log1p(-ranks)
    mean = stats.gamma.isf(chance, rows) / rows
    points = losses - losses.mean()
    told = np.exp(log_tail_of_mean(points, np.full(len(points), 1 / len(points)), np.array([mean - 1]), rows))
    assert told[0] == pytest.approx(chance, rel=0.15)
    assert stats.norm.sf((mean - 1) * np.sqrt(rows)) < 0.6 * chance


def test_nothing_lies_beyond_the_worst_and_nothing_varies_where_all_are_alike() -> None:
    points, weights = np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    beyond = log_tail_of_mean(points, weights, np.array([2.0]), 100)
    assert beyond[0] < np.log(0.5**100) + 5
    assert log_tail_of_mean(np.zeros(3), np.full(3, 1 / 3), np.array([0.0, 0.1]), 100).tolist() == [0.0, -690.0]
    constant = baseline_of(1.0, np.zeros(500), np.arange(500) // 10, parts=1)
    assert (constant.critical(1e-3, 100), constant.p_value(0.1, 100) < 1e-200) == (0.0, True)


@pytest.mark.parametrize("level", [0.05, 1e-3, 1e-6])
def test_a_critical_loss_is_where_its_p_value_is_the_level(level: float) -> None:
    rng = np.random.default_rng(1)
    baseline = baseline_of(2.0, rng.gamma(0.3, size=20_000), np.arange(20_000) // 100, parts=4)
    assert baseline.p_value(baseline.critical(level, 300), 300) == pytest.approx(level, rel=1e-4)


def test_few_points_stand_for_many_rows() -> None:
    rng = np.random.default_rng(2)
    losses = rng.lognormal(0, 1.5, size=100_000)
    baseline = baseline_of(0.0, losses, np.arange(100_000) // 1000, parts=1)
    assert len(baseline.influences) < 1500
    assert baseline.weights.sum() == 100_000
    centred = losses - losses.mean()
    for mean in (0.5, 2.0):
        whole = log_tail_of_mean(np.sort(centred), np.full(100_000, 1e-5), np.array([mean]), 200)
        few = log_tail_of_mean(baseline.influences, baseline.weights / 100_000, np.array([mean]), 200)
        assert few[0] == pytest.approx(whole[0], rel=0.01)


def stream(rng: np.random.Generator, rows: int, rho: float, law: str) -> np.ndarray:
    from scipy.signal import lfilter

    latent = lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.standard_normal(rows + 200))[200:]
    uniform = np.clip(stats.norm.cdf(latent), 1e-12, 1 - 1e-12)
    if law == "wrong":
        return (uniform > 0.9).astype(float)
    return -np.log1p(-uniform) if law == "exponential" else stats.lognorm.ppf(uniform, 1.0)


@pytest.mark.parametrize("law", ["wrong", "exponential", "lognormal"])
@pytest.mark.parametrize(("rho", "rows"), [(0.0, 200), (0.0, 2000), (0.7, 200), (0.7, 1000)])
def test_unchanged_models_look_worse_as_rarely_as_the_level_says(law: str, rho: float, rows: int) -> None:
    rng = np.random.default_rng([3, int(10 * rho), rows])
    levels = np.array([1e-2, 1e-3])
    found = []
    for _ in range(30):
        parts = 4
        size = max(10_000, 30 * rows)
        reference = stream(rng, size, rho, law)
        baseline = baseline_of(reference.mean(), reference, np.arange(size) * parts // rows, parts=parts)
        windows = stream(rng, 800 * rows, rho, law).reshape(800, rows).mean(axis=1)
        critical = np.array([baseline.critical(level, rows) for level in levels])
        found.append([(windows - baseline.value > each).mean() for each in critical])
    rates = np.mean(found, axis=0)
    assert (rates <= 2 * levels + 4 * np.sqrt(2 * levels / (30 * 800)) * 2).all(), rates
    assert rates[0] > 0.001  # and it is no dead instrument
