"""The peers' scores as the benchmarks compute them are those of the peers themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from benchmarks import _peer_scores, _peers
from benchmarks._alarm_counts import peer_verdicts
from benchmarks._peer_scores import CATEGORICAL, NUMERIC, prepared, scores
from benchmarks._populations import coded
from monitor.records import Coded

ROWS = 150


def reference_columns(rows: int, seed: int = 1) -> dict[str, Any]:
    """Smooth, skewed, few-valued, two-valued, half-zero; names, one of them rare; missing values."""
    draw = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "smooth": draw.normal(0, 1, rows),
        "skewed": draw.lognormal(0, 1.5, rows),
        "few": draw.integers(0, 4, rows).astype(float),
        "several": draw.integers(0, 12, rows).astype(float),
        "zeros": np.where(draw.random(rows) < 0.5, 0.0, draw.exponential(3, rows)),
    }
    columns["smooth"][draw.random(rows) < 0.05] = np.nan
    names = draw.choice(["a", "b", "c", "d", "rare", None], rows, p=[0.5, 0.2, 0.15, 0.1, 0.001, 0.049])
    return {
        **columns,
        "names": coded(names.tolist()),
        "pair": coded(draw.choice(["x", "y"], rows, p=[0.8, 0.2]).tolist()),
    }


def windows(number: int) -> list[dict[str, Any]]:
    """Unchanged at first, then shifted; beyond the reference's ends; with a name that is new."""
    drawn = [reference_columns(ROWS, seed) for seed in range(10, 10 + number)]
    for place, window in enumerate(drawn):
        window["smooth"] = window["smooth"] + place
        window["skewed"] = window["skewed"] * (1 + 20 * place)
        if place:
            window["names"] = Coded(window["names"].codes, tuple(reversed(window["names"].names)))
            window["few"] = window["few"] + 3.0 * (place > 1)
    drawn[-1]["names"] = coded(["new", "a", None] * (ROWS // 3))
    return aligned(drawn)


def aligned(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Codes on one list of names, as they are within one world."""
    for column in ("names", "pair"):
        texts = [window[column].spelled().tolist() for window in drawn]
        names = ("a", "b", "c", "d", "new", "rare") if column == "names" else ("x", "y")
        for window, text in zip(drawn, texts, strict=True):
            codes = np.array([-1 if name is None else names.index(name) for name in text], dtype=np.int32)
            window[column] = Coded(codes, names)
    return drawn


# --- against SciPy, and the functions of Evidently that the project's own environment has ------------------------------


def present(column: Any) -> np.ndarray:
    return np.sort(column[~np.isnan(column)])


@pytest.mark.parametrize("column", ["smooth", "skewed", "few", "several", "zeros"])
def test_distances_of_numbers_are_scipys(column: str) -> None:
    reference = aligned([reference_columns(10_000)])[0][column]
    for window in windows(4):
        before, after = present(reference), present(window[column])
        held = prepared(reference)
        assert isinstance(held, _peer_scores.NumericReference)
        assert _peer_scores.wasserstein(held, after) == pytest.approx(
            stats.wasserstein_distance(before, after), rel=1e-9
        )
        assert _peer_scores.kolmogorov_smirnov(held, after) == pytest.approx(stats.ks_2samp(before, after).statistic)
        assert _peer_scores.wasserstein(held, before) == pytest.approx(0, abs=1e-9)


def test_distances_of_shares_are_scipys() -> None:
    p, q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.0, 0.4, 0.5])
    assert _peer_scores.jensen_shannon(p, q) == pytest.approx(distance.jensenshannon(p, q))
    assert _peer_scores.hellinger(p, q) == pytest.approx(np.sqrt(1 - np.sum(np.sqrt(p * q))))


def test_chi_square_is_scipys_with_its_correction_for_two_categories() -> None:
    for reference, current in (([50, 30, 9, 0], [5, 9, 0, 2]), ([50, 30], [5, 9]), ([10], [3])):
        held = _peer_scores.CategoricalReference(np.array(reference))
        table = np.array([reference, current])
        expected = stats.chi2_contingency(table[:, table.sum(axis=0) > 0])
        assert _peer_scores.chi_square(held, np.array(current)) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "function"),
    [
        ("smooth", "num", "wasserstein"), ("few", "num", "jensenshannon"), ("zeros", "num", "wasserstein"),
        ("smooth", "num", "psi"), ("few", "num", "psi"), ("several", "num", "psi"), ("skewed", "num", "psi"),
        ("names", "cat", "jensenshannon"), ("names", "cat", "psi"), ("pair", "cat", "jensenshannon"), ("pair", "cat", "psi"),
    ],
)  # fmt: skip
def test_evidentlys_functions_give_these_scores(name: str, kind: str, function: str) -> None:
    """Where Evidently is a library of the project's environment (extra `reports`), its own functions."""
    os.environ["DO_NOT_TRACK"] = "1"
    pd = pytest.importorskip("pandas")
    stattests = pytest.importorskip("evidently.legacy.calculations.stattests")
    kinds = pytest.importorskip("evidently.legacy.core").ColumnType
    test = getattr(stattests, f"{function}_stat_test")
    mine = "evidently psi" if function == "psi" else "evidently default"
    reference = aligned([reference_columns(10_000)])[0][name]
    for window in windows(2):
        sides = [pd.Series(_text(side)).dropna() for side in (reference, window[name])]
        said = test(sides[0], sides[1], feature_type=kinds(kind), threshold=None).drift_score
        assert scores(prepared(reference), window[name], (mine,)) == pytest.approx([said], rel=1e-9, abs=1e-12)


def _text(column: Any) -> Any:
    return column.spelled() if isinstance(column, Coded) else column


# --- against the peers themselves -------------------------------------------------------------------------------------


def answer(peer: str, rows: int) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    if _peers.environment(peer) is None:
        pytest.skip(f"{peer} is NOT installed: benchmarks/peers/setup.sh {peer}")
    reference, drawn = aligned([reference_columns(rows)])[0], windows(4)
    return reference, drawn, _peers.judged(peer, reference, drawn)


def missing(column: Any) -> float:
    """Share of rows."""
    return float(np.mean(column.codes < 0 if isinstance(column, Coded) else np.isnan(column)))


def same(reference: Any, drawn: list[Any], said: list[float | None], score: Callable[[Any, Any], float]) -> None:
    mine = [score(prepared(reference), window) for window in drawn]
    assert mine == pytest.approx(said, rel=1e-9, abs=1e-12)


@pytest.mark.slow
def test_evidentlys_preset_gives_these_scores_and_verdicts() -> None:
    reference, drawn, found = answer("evidently", 10_000)
    for column, said in found["methods"]["default"].items():
        values = [window[column] for window in drawn]
        same(reference[column], values, said["scores"], lambda held, v: scores(held, v, ("evidently default",))[0])
        assert peer_verdicts(reference[column], values, ROWS)["evidently default"].tolist() == said["drifted"]


@pytest.mark.slow
@pytest.mark.parametrize("rows", [3000, 12_000])
def test_nannymls_calculators_give_these_scores_and_verdicts(rows: int) -> None:
    """Below and above the 10,000 reference rows at which it begins to estimate."""
    reference, drawn, found = answer("nannyml", rows)
    compared = 0
    for method, columns in found["methods"].items():
        for column, said in columns.items():
            values, key = [window[column] for window in drawn], f"nannyml {method}"
            if method == "missing_values":
                assert [missing(value) for value in values] == pytest.approx(said["scores"])
                continue
            assert key in (CATEGORICAL if isinstance(values[0], Coded) else NUMERIC)
            same(reference[column], values, said["scores"], lambda held, v, key=key: scores(held, v, (key,))[0])
            if method == "jensen_shannon":
                assert peer_verdicts(reference[column], values, ROWS)[key].tolist() == said["drifted"]
            compared += 1
    assert compared == 5 * 4 + 2 * 4


@pytest.mark.slow
def test_frouros_gives_scipys_statistics() -> None:
    reference, drawn, found = answer("frouros", 10_000)
    for column, said in found["methods"]["wasserstein"].items():
        values = [window[column] for window in drawn]
        same(reference[column], values, said["scores"], lambda held, v: _peer_scores.wasserstein(held, present(v)))
    for column, said in found["methods"]["kolmogorov_smirnov"].items():
        mine = [stats.ks_2samp(present(reference[column]), present(window[column])).pvalue for window in drawn]
        assert mine == pytest.approx(said["scores"], rel=1e-6, abs=1e-300)


def test_a_missing_environment_is_told_with_the_way_out(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_peers, "HERE", tmp_path)
    with pytest.raises(RuntimeError, match=r"nannyml has no environment here; try benchmarks/peers/setup.sh nannyml"):
        _peers.run("nannyml", "--list")
