"""The G-test and the contrasts beside it, held against scipy and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from monitor.calibrate.significance import (
    contrast_scores,
    contrast_statistic,
    g_statistic,
    parts_of_level,
    share_p_value,
)

counts = some.lists(some.integers(0, 500), min_size=2, max_size=12).filter(lambda rows: sum(rows) > 0)


def williams(table: np.ndarray) -> float:
    """Williams' divisor as Sokal & Rohlf print it for an R × C table."""
    total, rows, columns = table.sum(), table.sum(axis=1), table.sum(axis=0)
    freedom = (len(rows) - 1) * (len(columns) - 1)
    return 1 + (total * (1 / rows).sum() - 1) * (total * (1 / columns).sum() - 1) / (6 * total * freedom)


@given(some.data())
def test_g_is_scipys_with_williams_correction(data: some.DataObject) -> None:
    one = np.array(data.draw(counts))
    other = np.array(data.draw(some.lists(some.integers(0, 500), min_size=len(one), max_size=len(one))))
    table = np.stack([one, other])
    table = table[:, table.sum(axis=0) > 0]
    if other.sum() == 0 or table.shape[1] < 2:
        assert g_statistic(one, other) == pytest.approx(0.0, abs=1e-9)
        return
    expected = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic / williams(table)
    assert float(g_statistic(one, other)) == pytest.approx(expected, rel=1e-9, abs=1e-7)


def test_many_columns_at_once_are_each_alone() -> None:
    rng = np.random.default_rng(1)
    reference, current = rng.integers(0, 300, (7, 12)), rng.integers(0, 30, (7, 12))
    together = g_statistic(reference, current)
    assert together.tolist() == [float(g_statistic(a, b)) for a, b in zip(reference, current, strict=True)]


def test_the_level_contrast_is_nearly_a_test_of_means() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.standard_normal(20_000), rng.standard_normal(500) + 0.2
    edges = np.quantile(before, np.arange(1, 10) / 10)
    sides = [np.append(np.bincount(np.searchsorted(edges, side), minlength=10), [0, 0]) for side in (before, after)]
    level, spread = contrast_scores(sides[0])
    ours = float(contrast_statistic(sides[0], sides[1], level))
    t = stats.ttest_ind(after, before).statistic ** 2
    assert ours == pytest.approx(t, rel=0.25)
    assert float(contrast_statistic(sides[0], sides[1], spread)) < 6


def test_the_spread_contrast_sees_a_change_of_variance_that_the_level_does_not() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.standard_normal(20_000), rng.standard_normal(1000) * 1.3
    edges = np.quantile(before, np.arange(1, 10) / 10)
    sides = [np.append(np.bincount(np.searchsorted(edges, side), minlength=10), [0, 0]) for side in (before, after)]
    level, spread = contrast_scores(sides[0])
    assert float(contrast_statistic(*sides, spread)) > 20
    assert float(contrast_statistic(*sides, level)) < 8


def test_missing_rows_say_nothing_about_level_and_spread() -> None:
    reference = np.array([100] * 10 + [0, 0])
    level, spread = contrast_scores(reference)
    missing = np.array([50] * 10 + [500, 0])
    assert float(contrast_statistic(reference, missing, level)) == pytest.approx(0.0, abs=1e-9)
    assert float(contrast_statistic(reference, missing, spread)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("constant", [[100, 0, 0, 0], [0, 0, 100, 0], [0, 0, 0, 0]])
def test_a_constant_or_empty_column_scores_nothing_and_breaks_nothing(constant: list[int]) -> None:
    reference = np.array(constant)
    scores = contrast_scores(reference)
    assert np.all(np.isfinite(scores))
    assert [float(contrast_statistic(reference, reference, row)) for row in scores] == [0.0, 0.0]


def test_the_parts_of_a_level_add_up_to_it() -> None:
    contrasts = np.array([[1.0, 2.0], [np.nan, np.nan]])
    assert parts_of_level(contrasts).sum(axis=1).tolist() == pytest.approx([1, 1])
    assert parts_of_level(contrasts)[1].tolist() == pytest.approx([0.9, 0, 0, 0.05, 0.05])
    assert parts_of_level(np.zeros((1, 0))).sum() == pytest.approx(1)


@given(
    before=some.integers(0, 300),
    after=some.integers(0, 50),
    rows=some.integers(300, 100_000),
    window=some.integers(50, 5000),
)
def test_the_share_of_a_rare_kind_has_the_exact_conditional_p_value(
    before: int, after: int, rows: int, window: int
) -> None:
    ours = share_p_value(*(np.array(float(n)) for n in (before, after, rows, window)), np.array(1.0))
    if before + after == 0:
        assert float(ours) == 1.0
        return
    law = stats.binom(before + after, window / (window + rows))
    assert float(ours) == pytest.approx(min(1.0, 2 * min(law.sf(after - 1), law.cdf(after))), rel=1e-6)


def test_rows_that_come_in_clusters_count_as_so_many_fewer() -> None:
    one = np.array(1.0)
    plain = share_p_value(0 * one, 3 * one, 9900 * one, 100 * one, one)
    assert float(share_p_value(0 * one, 12 * one, 9900 * one, 100 * one, 4 * one)) == pytest.approx(float(plain))
