"""What a reference tells of its own restlessness, and that unchanged data then alarm as rarely as they should."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.calibrate import calibrate, significance
from monitor.calibrate.restlessness import _level
from monitor.calibrate.significance import g_statistic
from monitor.profile import NumericBins, baseline, build_reference, profile_batch
from monitor.records import Column, ColumnKind, EventBatch
from tests.calibrate.streams import HOUR, reference_of, stream

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks


def test_independent_rows_are_told_as_such() -> None:
    rng = np.random.default_rng(1)
    calibration = calibrate(reference_of(stream(rng, 30_000), window_rows=100), {}, window_seconds=HOUR)
    rest = calibration.columns["x"]
    assert calibration.how == "by_stretches"
    assert rest.weights == pytest.approx(np.ones(9), abs=0.15)
    assert rest.freedom > 1000


def test_autocorrelated_rows_have_the_eigenvalues_that_the_literature_gives() -> None:
    """Latent AR(1) with 0.7 on ten equal bins: λ about 5.7, 2.9, 1.5, 1.2 (independently computed, in long batches)."""
    rng = np.random.default_rng(2)
    found = [
        calibrate(reference_of(stream(rng, 200_000, rho=0.7), window_rows=500), {}, window_seconds=HOUR)
        for _ in range(5)
    ]
    mean = np.mean([calibration.columns["x"].weights for calibration in found], axis=0)
    assert mean[:2] == pytest.approx([5.6, 2.6], rel=0.15)


def test_a_season_within_the_windows_reach_widens_and_within_each_window_does_not() -> None:
    rng = np.random.default_rng(3)
    day = np.sin(np.arange(100 * 2400) / 2400 * 2 * np.pi)
    values = day * 2 + rng.standard_normal(len(day))
    rests = []
    for seconds in (HOUR, 24 * HOUR):
        reference = reference_of(values, window_rows=100, window_seconds=seconds)
        rests.append(calibrate(reference, {}, window_seconds=seconds).columns["x"])
    hourly, daily = rests
    assert hourly.weights[0] > 20
    assert daily.weights[0] < 1.5


def test_a_stretch_is_left_out_of_its_own_yardstick() -> None:
    """Four batches compared with a whole that they make up look too quiet by a quarter; that is made good."""
    rng = np.random.default_rng(4)
    means = []
    for _ in range(400):
        groups = rng.multinomial(1000, np.full(10, 0.1), size=4)
        means.append(_level(groups, None, lambda x: x, np.full(4, 0.25), np.zeros((0, 10)), 1, numeric=False).mean)
    assert np.mean(means) == pytest.approx(1.0, abs=0.03)


def test_far_windows_count_as_far_as_g_says_and_not_as_their_squares_do() -> None:
    """Windows that all lie in one or two bins: squares grow without end, G as the logarithm."""
    rng = np.random.default_rng(8)
    places = rng.integers(0, 9, size=60)
    groups = np.stack([np.bincount(rng.integers(place, place + 2, size=300), minlength=10) for place in places])
    far = _level(groups, None, lambda x: x, np.full(60, 1 / 60), np.zeros((0, 10)), 1, numeric=False)
    assert far.bend == pytest.approx(np.mean(g_statistic(groups.sum(axis=0) - groups, groups)) / far.mean / 9, rel=0.1)
    assert far.bend < 0.8
    near = _level(
        rng.multinomial(300, np.full(10, 0.1), size=60),
        None,
        lambda x: x,
        np.full(60, 1 / 60),
        np.zeros((0, 10)),
        1,
        numeric=False,
    )
    assert near.bend > 0.97


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 1.0])
def test_what_has_to_change_for_the_p_value_to_be_the_level_agrees_with_the_p_value(shift: float) -> None:
    rng = np.random.default_rng(9)
    reference = reference_of(stream(rng, 20_000, rho=0.5), window_rows=300)
    calibration = calibrate(reference, {}, window_seconds=HOUR)
    bins = reference.bins["x"]
    assert isinstance(bins, NumericBins)
    base = np.append(reference.profiles["x"].counts, [0, 0])
    windows = [stream(rng, 300, rho=0.5) + shift for _ in range(50)]
    current = [np.append(np.bincount(bins.place(rows), minlength=len(bins)), [0, 0]) for rows in windows]
    found = significance(calibration, ["x"] * 50, [base] * 50, current, 0.01)
    assert ((found.p_values <= 0.01) == (found.shrink <= 1)).all()
    assert (found.p_values <= 0.01).mean() >= (0.95 if shift == 1.0 else 0.0)


def test_columns_with_and_without_contrasts_go_side_by_side() -> None:
    """A categorical column has no level and no spread; beside a numeric one nothing is made up for it."""
    rng = np.random.default_rng(10)
    times = np.arange(20_000) * 12.0
    batch = EventBatch("1", times, {"x": rng.standard_normal(20_000), "c": rng.choice(["a", "b", "c"], 20_000)})
    columns = (Column("x", ColumnKind.NUMERIC), Column("c", ColumnKind.CATEGORICAL))
    reference = build_reference(batch, columns, fingerprint="0" * 16, version=None, window_seconds=HOUR)
    calibration = calibrate(reference, {}, window_seconds=HOUR)
    sides = {name: baseline(reference, profile_batch(batch, reference.bins)).counts[name] for name in ("x", "c")}
    changed = {name: np.roll(rows * 0.01, 1) for name, rows in sides.items()}
    together = significance(calibration, ["x", "c"], list(sides.values()), list(changed.values()), 0.01)
    for place, name in enumerate(("x", "c")):
        alone = significance(calibration, [name], [sides[name]], [changed[name]], 0.01)
        assert [alone.p_values[0], alone.shrink[0]] == pytest.approx([together.p_values[place], together.shrink[place]])
    assert np.all(np.isfinite(together.shrink))


@pytest.mark.parametrize(("rows", "how"), [(3000, "by_stretches"), (900, "short_reference")])
def test_a_reference_of_few_windows_says_so(rows: int, how: str) -> None:
    rng = np.random.default_rng(5)
    assert calibrate(reference_of(stream(rng, rows), window_rows=100), {}, window_seconds=HOUR).how == how


def test_a_reference_without_times_says_so() -> None:
    rng = np.random.default_rng(6)
    batch = EventBatch("1", np.zeros(5000), {"x": rng.standard_normal(5000)})
    reference = build_reference(
        batch, (Column("x", ColumnKind.NUMERIC),), fingerprint="0" * 16, version=None, window_seconds=HOUR
    )
    calibration = calibrate(reference, {}, window_seconds=HOUR)
    assert calibration.how == "undated_reference"
    assert calibration.columns["x"].weights[0] < 1.6


@pytest.mark.parametrize("values", [np.zeros(5000), np.full(5000, np.nan), np.arange(5000) % 2.0])
def test_constant_empty_and_two_valued_columns_break_nothing(values: np.ndarray) -> None:
    reference = reference_of(values, window_rows=100)
    calibration = calibrate(reference, {}, window_seconds=HOUR)
    for rest in calibration.columns.values():
        assert np.all(np.isfinite(rest.weights))
        assert np.all(rest.weights >= 1)


@pytest.mark.parametrize(("rho", "window_rows"), [(0.0, 50), (0.0, 500), (0.7, 50), (0.7, 200), (0.7, 1000)])
def test_unchanged_data_are_as_rarely_significant_as_the_level_says(rho: float, window_rows: int) -> None:
    """Over many references and windows; a tail may be twice as heavy as said, and that is what half of the budget is for."""
    rng = np.random.default_rng([7, int(rho * 10), window_rows])
    p_values = []
    for _ in range(25):
        reference = reference_of(stream(rng, max(10_000, 30 * window_rows), rho=rho), window_rows=window_rows)
        calibration = calibrate(reference, {}, window_seconds=HOUR)
        bins = reference.bins["x"]
        assert isinstance(bins, NumericBins)
        windows = 1200
        placed = bins.place(stream(rng, windows * window_rows, rho=rho)).reshape(windows, -1)
        fine = np.stack([np.bincount(row, minlength=len(bins)) for row in placed])
        current = np.concatenate([fine, np.zeros((windows, 2), dtype=int)], axis=1)
        batch = EventBatch("1", np.zeros(1), {"x": np.zeros(1)})
        base = baseline(reference, profile_batch(batch, reference.bins)).counts["x"]
        found = significance(calibration, ["x"] * windows, [base] * windows, list(current))
        p_values.append(found.p_values)
    p = np.concatenate(p_values)
    for level in (1e-2, 1e-3):
        # References cluster: a bad draw repeats itself at every look.
        allowed = 2 * level + 4 * np.sqrt(2 * level / len(p)) * 2
        assert (p <= level).mean() <= allowed
    assert (p <= 0.1).mean() > 0.03  # and it is no dead instrument
