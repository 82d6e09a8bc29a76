"""The simulated worlds are what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks._populations import Autoregressive, Resampled, autoregressive, coded, reference_rows, timed
from benchmarks._simulation import BY_COUNTS, counted_windows, draw_reference, draw_windows, profile
from monitor.profile import ColumnProfile


def some_table(rows: int = 3000) -> Resampled:
    """Ties, missing values, a rare category, a skewed column."""
    draw = np.random.default_rng(5)
    skewed = draw.lognormal(0, 1, rows)
    few = draw.integers(0, 6, rows).astype(float)
    few[draw.random(rows) < 0.1] = np.nan
    names = draw.choice(["a", "b", "c", None], rows, p=[0.6, 0.3, 0.05, 0.05])
    names[0] = "seen once"
    return Resampled("some", {"skewed": skewed, "few": few, "names": coded(names.tolist())})


@pytest.fixture(scope="module")
def both() -> tuple[list[dict[str, ColumnProfile]], list[dict[str, ColumnProfile]]]:
    """Windows of 400 rows: profiled from drawn rows, and drawn as counts."""
    source, draw = some_table(), np.random.default_rng(6)
    reference, _ = draw_reference(source, 2000, 400, draw)
    rows = [profile(features, reference) for features in source.windows(400, 3000, draw)]
    counts = list(counted_windows(source, reference, 400, 3000, draw))
    return [dict(each.columns) for each in rows], [dict(each.columns) for each in counts]


def stacked(windows: list[dict[str, ColumnProfile]], name: str) -> np.ndarray:
    return np.array([[*w[name].counts, w[name].missing, w[name].unseen] for w in windows], dtype=float)


@pytest.mark.parametrize("name", ["skewed", "few", "names"])
def test_counts_drawn_are_counts_profiled(both: tuple[list, list], name: str) -> None:
    """Same mean of every bin (and of missing and unseen rows), same covariances, same number of rows."""
    drawn, counted = (stacked(windows, name) for windows in both)
    assert set(drawn.sum(axis=1)) == set(counted.sum(axis=1)) == {400}
    spread = np.sqrt((drawn.var(axis=0) + counted.var(axis=0)) / len(drawn))
    assert np.all(np.abs(drawn.mean(axis=0) - counted.mean(axis=0)) <= 4.5 * spread)
    assert np.cov(counted.T) == pytest.approx(np.cov(drawn.T), abs=0.12 * drawn.var(axis=0).max())


@pytest.mark.parametrize("name", ["skewed", "names"])
def test_each_bin_has_the_same_distribution(both: tuple[list, list], name: str) -> None:
    drawn, counted = (stacked(windows, name) for windows in both)
    p_values = [stats.ks_2samp(drawn[:, place], counted[:, place]).pvalue for place in range(drawn.shape[1])]
    assert min(p_values) > 1e-4


def test_sums_drawn_have_the_mean_and_spread_of_sums_profiled(both: tuple[list, list]) -> None:
    drawn, counted = (np.array([each["skewed"].sums.sum() for each in windows]) for windows in both)
    assert abs(drawn.mean() - counted.mean()) < 4 * np.hypot(drawn.std(), counted.std()) / np.sqrt(len(drawn))
    assert counted.std() == pytest.approx(drawn.std(), rel=0.06)
    shifts = [np.array([each["skewed"].shift for each in windows]) for windows in both]
    assert shifts[1].mean() == pytest.approx(shifts[0].mean(), abs=4 * shifts[0].std() / np.sqrt(len(drawn)))


def test_large_windows_are_drawn_as_counts_and_small_ones_as_rows() -> None:
    source, draw = some_table(500), np.random.default_rng(7)
    reference, _ = draw_reference(source, 1000, 100, draw)
    large, small = (next(iter(draw_windows(source, reference, rows, 1, draw))) for rows in (BY_COUNTS, 100))
    assert (large.rows, small.rows) == (BY_COUNTS, 100)
    assert all(column.rows == BY_COUNTS for column in large.columns.values())


def test_streams_are_stationary_with_the_correlation_asked_for() -> None:
    drawn = autoregressive((400, 500), 0.7, np.random.default_rng(8)).astype(float)
    assert drawn[:, 0].std() == pytest.approx(1.0, abs=0.12)
    assert (drawn.std(), drawn.mean()) == pytest.approx((1.0, 0.0), abs=0.02)
    for lag in (1, 2, 5):
        assert np.mean(drawn[:, lag:] * drawn[:, :-lag]) == pytest.approx(0.7**lag, abs=0.02)


def test_streams_of_windows_have_nothing_in_common() -> None:
    windows = list(Autoregressive(features=2).windows(50, 400, np.random.default_rng(9)))
    assert len(windows) == 400
    ends = np.array([window["stream_0"][-1] for window in windows[:-1]])
    begins = np.array([window["stream_0"][0] for window in windows[1:]])
    assert abs(np.corrcoef(ends, begins)[0, 1]) < 0.2
    assert abs(np.corrcoef(ends, [window["stream_1"][-1] for window in windows[:-1]])[0, 1]) < 0.2


def test_rows_are_drawn_whole() -> None:
    """What belongs together in the table stays together in a window."""
    values = np.arange(50.0)
    source = Resampled("pairs", {"one": values, "other": values * 2})
    window = next(iter(source.windows(200, 1, np.random.default_rng(1))))
    assert np.array_equal(window["other"], np.asarray(window["one"]) * 2)


@pytest.mark.parametrize(("rows", "expected"), [(50, 10_000), (500, 15_000), (50_000, 1_500_000)])
def test_a_reference_has_ten_thousand_rows_and_thirty_windows(rows: int, expected: int) -> None:
    assert reference_rows(rows) == expected


def test_an_hour_holds_a_window() -> None:
    times = timed({"x": np.zeros(1000)}, 100).times
    assert np.bincount((times // 3600).astype(int)).tolist() == [100] * 10
