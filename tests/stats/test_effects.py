"""What the scores of drift mean: how they grow, what their floors stand for, and that what should show does show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as some

from monitor.profile import draw_bins, group_counts, profile_column
from monitor.records import ColumnKind, Histogram
from tests.stats.binned import binned, bins_of
from tests.stats.inputs import DRIFT, EXAMPLES, ON_COUNTS, ON_HISTOGRAMS, two_counts

EDGES = scipy.stats.norm.ppf(np.arange(1, 50) / 50)


def compute(name: str, *sides: Any) -> Any:
    return DRIFT[name].compute(*sides)


# --- how unchanged data score -----------------------------------------------------------------------------------------


def unchanged(rng: np.random.Generator, rows: int, needs: str, *, times: int = 200) -> Any:
    """So many repetitions of that many normal rows, on bins that are equally likely."""
    if needs == "counts":
        return rng.multinomial(rows, np.append(np.full(10, 0.1), [0, 0]), size=times)
    values = rng.normal(size=(times, rows))
    bins = len(EDGES) + 1
    places = (np.searchsorted(EDGES, values) + bins * np.arange(times)[:, None]).ravel()
    counts = np.bincount(places, minlength=bins * times).reshape(times, bins)
    sums = np.bincount(places, values.ravel(), bins * times).reshape(times, bins)
    middles = np.concatenate([[-2.5], (EDGES[1:] + EDGES[:-1]) / 2, [2.5]])
    return Histogram(counts, np.where(counts > 0, sums / np.maximum(counts, 1), middles), np.ones(bins), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIFT)
@pytest.mark.parametrize("sizes", [((400, 1600), (6400, 6400)), ((400, 6400), (3200, 6400)), ((800, 400), (800, 6400))])
def test_unchanged_data_score_at_the_declared_rate(name: str, sizes: tuple[tuple[int, int], ...]) -> None:
    """In proportion to (1/n + 1/N) ** rate, whichever of n and N grows."""
    rng = np.random.default_rng(7)
    statistic, means, units = DRIFT[name], [], []
    for current_rows, rows in sizes:
        sides = (unchanged(rng, rows, statistic.needs), unchanged(rng, current_rows, statistic.needs))
        means.append(float(np.mean(statistic.compute(*sides))))
        units.append(1 / current_rows + 1 / rows)
    slope = math.log(means[0] / means[1]) / math.log(units[0] / units[1])
    assert slope == pytest.approx(statistic.rate, abs=0.08)


# --- what the floors stand for ----------------------------------------------------------------------------------------


def normal(shift: float) -> Histogram:
    """A normal column that is shifted by so many σ, on the bins of the one that isn't."""
    ends = np.concatenate([[-np.inf], EDGES, [np.inf]]) - shift
    masses = np.diff(scipy.stats.norm.cdf(ends))
    means = shift - np.diff(scipy.stats.norm.pdf(ends)) / masses
    return Histogram(masses, means, np.ones(50), 1.0)


@pytest.mark.parametrize("name", ["energy", "cramer_von_mises", "anderson_darling"])
def test_the_floor_is_what_a_shift_by_a_fifth_of_the_spread_scores(name: str) -> None:
    assert compute(name, normal(0), normal(0.2)) == pytest.approx(DRIFT[name].default_material, rel=0.03)


def test_a_shift_scores_its_size_in_wasserstein() -> None:
    """As many standard deviations as it is."""
    for shift in (0.1, 0.2, 1.0):
        assert compute("wasserstein", normal(0), normal(shift)) == pytest.approx(shift, rel=1e-3)


# --- what must show ---------------------------------------------------------------------------------------------------


def grouped(reference: Any, current: Any, kind: ColumnKind) -> list[Any]:
    bins = draw_bins(reference, kind)
    profiles = (profile_column(side, bins) for side in (reference, current))
    return [group_counts(np.append(each.counts, [each.missing, each.unseen]), bins) for each in profiles]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def is_material(name: str, value: float) -> bool:
    statistic = DRIFT[name]
    # A statistic that grows with the rows has no floor: there it is far out in the tail of its distribution.
    return value > (
        scipy.stats.chi2.isf(1e-9, 60) if statistic.default_material is None else statistic.default_material
    )


@pytest.mark.parametrize("name", ON_COUNTS)
def test_missing_values_are_drift(name: str, rng: np.random.Generator) -> None:
    values = rng.normal(size=4000)
    holed = np.where(rng.random(4000) < 0.9, np.nan, values)
    assert is_material(name, compute(name, *grouped(values, holed, ColumnKind.NUMERIC)))


@pytest.mark.parametrize("name", ON_COUNTS)
def test_categories_never_seen_before_are_drift(name: str, rng: np.random.Generator) -> None:
    reference = rng.choice(np.array(["a", "b", "c"], dtype=object), 4000)
    current = np.where(rng.random(4000) < 0.3, "new", reference).astype(object)
    assert is_material(name, compute(name, *grouped(reference, current, ColumnKind.CATEGORICAL)))


@pytest.mark.parametrize("name", ON_HISTOGRAMS)
def test_a_change_of_unit_is_drift(name: str, rng: np.random.Generator) -> None:
    reference, current = rng.normal(20, 3, 5000), rng.normal(20, 3, 2000)
    value = compute(name, *binned(reference, current * 1000))
    assert value > 100 * (DRIFT[name].default_material or 1) or value > 0.3  # the latter of those that end at 1
    assert value > 20 * compute(name, *binned(reference, current))
    if name in {"wasserstein", "wasserstein_distance"}:
        assert value == pytest.approx(20 * 999 / (1 if name == "wasserstein_distance" else 3), rel=0.05)


@pytest.mark.parametrize("name", DRIFT)
def test_one_outlier_hides_no_shift(name: str, rng: np.random.Generator) -> None:
    """Bins come from the reference alone, so it can't stretch them."""
    reference, current = rng.normal(size=5000), rng.normal(1.0, 1, 5000)
    wild = np.append(current, 1e6)
    if DRIFT[name].needs == "counts":
        calm, far = (compute(name, *grouped(reference, side, ColumnKind.NUMERIC)) for side in (current, wild))
    else:
        calm, far = (compute(name, *binned(reference, side)) for side in (current, wild))
    assert calm > 0.9 if name == "wasserstein_distance" else is_material(name, calm)
    assert far > 0.99 * calm


@pytest.mark.parametrize("name", ["wasserstein", "wasserstein_distance"])
def test_an_outlier_within_the_last_bin_shows(name: str, rng: np.random.Generator) -> None:
    values = rng.normal(size=5000)
    wild = np.where(values == values.max(), 1e6, values)
    assert compute(name, *binned(values, wild)) == pytest.approx(1e6 / 5000, rel=0.05)


@pytest.mark.parametrize("name", ["wasserstein", "energy"])
def test_a_constant_that_changes_is_drift_and_its_rounding_is_not(name: str) -> None:
    still = np.full(500, 0.3)
    exact = DRIFT[name].exact
    assert exact is not None
    for current, drifted in (
        (still, False),
        (np.full(300, 0.1 + 0.2), False),
        (np.full(300, 0.31), True),
        (np.append(still, 0.31), True),
    ):
        values = exact(still, current), compute(name, *binned(still, current))
        assert [is_material(name, value) for value in values] == [drifted] * 2
        assert values[0] == pytest.approx(values[1], rel=1e-9, abs=1e-3)
        assert max(values) <= 1e12
    assert exact(np.zeros(5), np.full(5, 1e-30)) == compute(name, *binned(np.zeros(5), np.full(5, 1e-30))) == 1e12


# --- how the statistics are related -----------------------------------------------------------------------------------


@EXAMPLES
@given(two_counts())
def test_psi_is_the_divergence_there_and_back(counts: tuple[Any, Any]) -> None:
    there, back = compute("kl_divergence", *counts), compute("kl_divergence", *counts[::-1])
    assert there + back == pytest.approx(compute("psi", *counts), rel=1e-9, abs=1e-12)


def test_psi_of_whole_counts_is_to_the_last_bit_what_it_was() -> None:
    """Thresholds and rules hold on to it."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        p, q = (rng.multinomial(1000, rng.dirichlet(np.ones(12))) for _ in "pq")
        before, now = np.maximum(p / p.sum(), 1e-4), np.maximum(q / q.sum(), 1e-4)
        assert compute("psi", p, q) == float(np.sum((now - before) * np.log(now / before)))


@EXAMPLES
@given(some.lists(some.integers(1, 50), min_size=2, max_size=6), some.randoms(use_true_random=False))
def test_with_as_many_rows_on_either_side_cramers_v_is_the_textbooks(counts: list[int], random: Any) -> None:
    other = random.sample(counts, len(counts))
    expected = scipy.stats.contingency.association(np.array([counts, other]), method="cramer")
    assert compute("cramers_v", np.array(counts), np.array(other)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in ON_COUNTS if name not in {"chi_square", "g_test"}])
@EXAMPLES
@given(two_counts(), some.integers(2, 1000))
def test_an_effect_does_not_grow_with_the_rows(name: str, counts: tuple[Any, Any], times: int) -> None:
    value = compute(name, *counts)
    assert compute(name, counts[0] * times, counts[1]) == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert compute(name, counts[0], counts[1] * times) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_tests_statistics_grow_with_the_rows() -> None:
    counts = np.array([40, 60]), np.array([70, 30])
    for name in ("chi_square", "g_test"):
        more = compute(name, *(side * 10 for side in counts))
        assert more == pytest.approx(10 * compute(name, *counts), rel=1e-12)


def test_bins_of_the_real_thing_are_used() -> None:
    """The generator of histograms gives what the watch would: a bin for each of few values, open ends, true means."""
    first, second = binned(np.repeat([0.0, 1.0, 5.0], 10), np.array([0.0, 7.0]))
    assert len(bins_of(np.repeat([0.0, 1.0, 5.0], 10))) == len(first.counts)
    assert first.counts.sum() == 30
    assert second.means[-1] == 7.0
