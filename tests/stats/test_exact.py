"""The exact forms, from values: what others compute, only faster; and how far the forms on profiles lie from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.records import Histogram, NoData, Statistic
from monitor.stats import anderson_darling, cramer_von_mises, energy, ks, wasserstein, wasserstein_distance
from tests.stats.binned import TIDY, binned, column, two_columns
from tests.stats.oracles import ad_of_values, cvm_of_tallies, ks_of_values, spreads

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MODULES = [ks, wasserstein, wasserstein_distance, energy, cramer_von_mises, anderson_darling]
every_form = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.STATISTIC.name)


def present(values: Any) -> Any:
    return values[~np.isnan(values)]


def within_finite(reference: Any, current: Any) -> list[Any]:
    """Both without NaN, and with infinities at the ends of the finite values of both."""
    both = np.concatenate([reference, current])
    ends = both[np.isfinite(both)].min(), both[np.isfinite(both)].max()
    return [np.clip(present(side), *ends) for side in (reference, current)]


def in_spreads(measured: float, reference: Any) -> float:
    finite = reference[np.isfinite(reference)]
    return spreads(measured, float(finite.std()), float(finite.mean()))


def cvm_of_values(reference: Any, current: Any) -> float:
    different, places = np.unique(np.concatenate([reference, current]), return_inverse=True)
    tallies = (np.bincount(part, minlength=len(different)) for part in np.split(places, [len(reference)]))
    return cvm_of_tallies(*tallies)


def cvm_in_floats(reference: Any, current: Any) -> float:
    sides = np.sort(present(reference)), np.sort(present(current))
    different, weights = np.unique(np.concatenate(sides), return_counts=True)
    (f, f_before), (g, g_before) = (
        [np.searchsorted(side, different, side=end) / len(side) for end in ("right", "left")] for side in sides
    )
    return float(np.average(((f - g) ** 2 + (f_before - g_before) ** 2) / 2, weights=weights))


def moved(reference: Any, current: Any) -> float:
    return float(scipy.stats.wasserstein_distance(*within_finite(reference, current)))


def energy_of_values(reference: Any, current: Any) -> float:
    return float(scipy.stats.energy_distance(*within_finite(reference, current))) ** 2


SECOND = {
    "ks": lambda x, y: ks_of_values(present(x), present(y)),
    "wasserstein_distance": moved,
    "wasserstein": lambda x, y: in_spreads(moved(x, y), x),
    "energy": lambda x, y: in_spreads(energy_of_values(x, y), x),
    "cramer_von_mises": lambda x, y: cvm_of_values(present(x), present(y)),
    "anderson_darling": lambda x, y: ad_of_values(present(x), present(y)),
}


@every_form
def test_the_exact_form_equals_its_second_opinion(module: Any) -> None:
    """With ties, NaN and infinities."""
    statistic: Statistic = module.STATISTIC

    @EXAMPLES
    @given(two_columns())
    def holds(columns: tuple[Any, Any]) -> None:
        value = module.exact(*columns)
        assert type(value) is float
        assert value == pytest.approx(SECOND[statistic.name](*columns), rel=1e-9, abs=1e-9)
        assert statistic.low <= value <= statistic.high

    holds()


DRAWN = {
    "normal": lambda rng, n: rng.normal(size=n),
    "nearly the same": lambda rng, n: np.arange(n) / n + rng.choice([0, 1e-9], n),
    "few values": lambda rng, n: rng.poisson(3, n).astype(float),
    "half zeros": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.exponential(size=n)),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "constant": lambda _, n: np.full(n, 2.5),
    "on either side": lambda rng, n: rng.normal(size=n) + 1000 * (n % 2),
}


@every_form
@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("rows", [(40_000, 30_001), (17_000, 51_001), (1, 20_001), (20_000, 3)])
def test_the_exact_form_holds_over_many_blocks(module: Any, kind: str, rows: tuple[int, int]) -> None:
    """Columns are worked through in pieces; the pieces meet without a seam."""
    rng = np.random.default_rng(sum(rows))
    x, y = (DRAWN[kind](rng, n) for n in rows)
    x[: rows[0] // 100], y[: rows[1] // 100] = np.nan, np.nan
    second = cvm_in_floats if module is cramer_von_mises else SECOND[module.STATISTIC.name]  # fractions are slow
    assert module.exact(x, y) == pytest.approx(second(x, y), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("rows", [(2, 3), (200, 31), (20_000, 30_001)])
def test_without_ties_cramer_von_mises_is_the_classical_statistic(rows: tuple[int, int]) -> None:
    """As SciPy has it, but for what makes that grow with the rows."""
    rng = np.random.default_rng(sum(rows))
    x, y = (rng.normal(size=n) for n in rows)
    expected = scipy.stats.cramervonmises_2samp(x, y, method="asymptotic").statistic
    assert cramer_von_mises.exact(x, y) * rows[0] * rows[1] / sum(rows) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("seed", range(30))
def test_ks_leaves_out_no_block_that_holds_the_largest_gap(seed: int) -> None:
    """Unchanged columns, where many blocks come near to it."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=rng.integers(5_000, 60_000)), rng.normal(size=rng.integers(5_000, 60_000))
    if seed % 3 == 0:
        x, y = np.round(x, 3), np.round(y, 3)
    assert ks.exact(x, y) == pytest.approx(ks_of_values(x, y), rel=1e-12)


@every_form
def test_values_in_another_order_score_the_same_and_stay_untouched(module: Any) -> None:
    @EXAMPLES
    @given(two_columns(), some.randoms(use_true_random=False))
    def holds(columns: tuple[Any, Any], random: Any) -> None:
        shuffled = tuple(np.array(random.sample(side.tolist(), len(side))) for side in columns)
        before = [side.copy() for side in columns]
        for side in columns:
            side.flags.writeable = False
        assert module.exact(*shuffled) == pytest.approx(module.exact(*columns), rel=1e-9, abs=1e-12)
        assert all(np.array_equal(old, new, equal_nan=True) for old, new in zip(before, columns, strict=True))

    holds()


@every_form
def test_the_same_values_have_not_drifted(module: Any) -> None:
    @EXAMPLES
    @given(column(finite=True))
    def holds(values: Any) -> None:
        assert module.exact(values, values) == 0
        assert module.exact(values, np.repeat(values, 3)) == 0

    holds()


@every_form
def test_columns_without_values_are_no_data(module: Any) -> None:
    one, none, blank = np.ones(1), np.empty(0), np.full(2, np.nan)
    for columns in [(one, none), (none, one), (blank, one), (one, blank)]:
        with pytest.raises(NoData, match=r"^no values to compare$"):
            module.exact(*columns)
    endless = np.array([np.inf, -np.inf])
    if module in {wasserstein, wasserstein_distance, energy}:
        with pytest.raises(NoData, match=r"^no finite values in the reference$"):
            module.exact(endless, one)
    else:
        assert module.exact(endless, one) > 0


def rounding(value: float) -> float:
    return 1e-9 * (1 + value)


@EXAMPLES
@given(two_columns(TIDY))
def test_ks_of_a_profile_lies_below_the_exact_one_by_no_more_than_its_bound(columns: tuple[Any, Any]) -> None:
    sides = binned(*columns)
    value, exact, bound = ks.ks(*sides), ks.exact(*columns), ks.error_bound(*sides)
    assert value <= exact + 1e-12
    assert exact <= value + bound + 1e-12
    assert bound <= max(np.max(side.counts / side.counts.sum()) for side in sides) + 1e-12


@EXAMPLES
@given(two_columns(TIDY))
def test_wasserstein_of_a_profile_lies_no_further_from_the_exact_one_than_its_bound(columns: tuple[Any, Any]) -> None:
    sides = binned(*columns)
    value, exact, bound = wasserstein.wasserstein(*sides), wasserstein.exact(*columns), wasserstein.error_bound(*sides)
    assert abs(value - exact) <= bound + rounding(max(value, exact))


def side(counts: list[int], means: list[float], widths: list[float], spread: float = 1.0) -> Histogram:
    return Histogram(np.array(counts), np.array(means), np.array(widths), spread)


def test_the_bound_of_ks_is_reached() -> None:
    """Within (0, 1] all of the reference's rows may come before all of the window's."""
    sides = side([10, 10], [0.5, 1.5], [1, 1]), side([10, 10], [0.5, 1.5], [1, 1])
    assert ks.ks(*sides) == 0
    assert ks.error_bound(*sides) == 0.5
    assert ks.exact(np.repeat([0.1, 1.5], 10), np.repeat([0.9, 1.5], 10)) == 0.5


def test_the_bound_of_wasserstein_is_half_reached_by_rows_at_the_ends_of_a_bin() -> None:
    """One side's rows lie at both ends of (0, 1], the other's at their mean: the bound has to hold the reverse as well."""
    means = [0.5, 1.5]
    sides = side([10, 0], means, [1, 1]), side([10, 0], means, [1, 1])
    assert wasserstein.wasserstein(*sides) == 0
    assert wasserstein.error_bound(*sides) == 1.0
    assert wasserstein_distance.exact(np.repeat([0.0, 1.0], 5), np.full(10, 0.5)) == 0.5


def test_a_far_outlier_does_not_blow_up_the_bound() -> None:
    """An open bin as wide as it is far: its mean says that most of its rows are near its edge."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=100_000), rng.normal(size=100_000)
    y[0] = 1e6
    sides = binned(x, y)
    assert abs(wasserstein.wasserstein(*sides) - wasserstein.exact(x, y)) < 0.01
    assert wasserstein.wasserstein(*sides) == pytest.approx(10, rel=0.01)  # 1e6 / 100,000
    assert wasserstein.error_bound(*sides) < 25


def test_where_the_sides_cannot_cross_a_profile_is_exact() -> None:
    x = np.repeat(np.arange(10.0), 100)
    sides = binned(x, x + 1)
    assert wasserstein.error_bound(*sides) == 0
    assert wasserstein.wasserstein(*sides) == pytest.approx(wasserstein.exact(x, x + 1), rel=1e-12)


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("bike_sharing/bike_hour.parquet", ["temp", "hum", "windspeed", "hr", "cnt"]),
        ("elec2/elec2.parquet", ["nswprice", "nswdemand", "vicprice", "transfer"]),
        ("adult/adult.parquet", ["age", "fnlwgt", "capital_gain", "hours_per_week"]),
    ],
)
def test_on_real_columns_profiles_come_close_to_the_exact_values(
    shared_data: Path, file: str, columns: list[str]
) -> None:
    table = pq.read_table(shared_data / file, columns=columns)
    for name in columns:
        values = table[name].to_numpy().astype(np.float64)
        half = len(values) // 2
        reference, current = values[:half], values[half:][: half // 3]
        sides = binned(reference, current)
        for module, near in ((ks, 0.02), (wasserstein, 0.02)):
            assert module.STATISTIC.compute(*sides) == pytest.approx(module.exact(reference, current), abs=near), name
        for module in (ks, wasserstein):
            off = abs(module.STATISTIC.compute(*sides) - module.exact(reference, current))
            assert off <= module.error_bound(*sides) + 1e-12, name
