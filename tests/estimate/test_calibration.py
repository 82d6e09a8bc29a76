"""Scores become probabilities where that makes them truer, and stay as they are elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.isotonic import IsotonicRegression

from monitor.estimate._calibration import fit_calibration
from monitor.estimate._isotonic import isotonic
from monitor.records import NoData
from tests.estimate.worlds import binary, frame

pytestmark = pytest.mark.slow


def same_as_scikit_learn(score: np.ndarray, label: np.ndarray) -> None:
    oracle = IsotonicRegression(out_of_bounds="clip").fit(score, label)
    asked = np.concatenate([score, np.linspace(score.min() - 1, score.max() + 1, 200)])
    assert isotonic(score, label)(asked) == pytest.approx(oracle.predict(asked), abs=1e-12)


@given(some.lists(some.tuples(some.integers(0, 30), some.booleans()), min_size=1, max_size=80))
def test_the_curve_is_scikit_learns(rows: list[tuple[int, bool]]) -> None:
    score, label = (np.array(part) for part in zip(*rows, strict=True))
    same_as_scikit_learn(score / 30, label)


@pytest.mark.parametrize("rows", [1, 50_000])
@pytest.mark.parametrize("shape", ["random", "rising", "falling", "a fall at the end", "alternating"])
def test_the_curve_is_scikit_learns_however_the_labels_lie(rows: int, shape: str) -> None:
    place = np.arange(rows)
    label = {
        "random": np.random.default_rng(1).random(rows) < place / rows,
        "rising": place > rows / 2,
        "falling": place < rows / 2,
        # Each round of joining whole runs would bring out one more violation here.
        "a fall at the end": (place % 200 < place // 200) & (place < rows - 200),
        "alternating": place % 2 == 0,
    }[shape]
    same_as_scikit_learn((place // 200 if shape == "a fall at the end" else place) / rows, label)


def test_overconfident_scores_are_calibrated() -> None:
    rng = np.random.default_rng(3)
    truth = rng.beta(2, 2, 5000)
    score = truth**3 / (truth**3 + (1 - truth) ** 3)
    found = fit_calibration(score, rng.random(5000) < truth, np.random.default_rng(0))
    assert found.curve is not None
    assert found.error > 0.1  # type: ignore[operator]
    assert found.calibrated_error < 0.02  # type: ignore[operator]
    assert np.abs(found(score) - truth).mean() < 0.03


def test_scores_that_are_probabilities_are_mostly_left_alone() -> None:
    left = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        score = rng.beta(2, 2, 300)
        left += fit_calibration(score, rng.random(300) < score, rng).curve is None
    assert left >= 8  # chance decides where there is nothing to gain; NannyML's rule leaves alone as many


@pytest.mark.parametrize("label", [[True] * 40, [False] * 40, [False] * 39 + [True], [False] * 20 + [True] * 20])
def test_one_class_and_parted_classes_are_left_alone(label: list[bool]) -> None:
    """A curve would say "always" and "never", and performance without a fault would be expected from then on."""
    found = fit_calibration(np.linspace(0.1, 0.9, 40), np.array(label), np.random.default_rng(0))
    assert found.curve is None
    assert found.error is None


def test_a_score_beyond_0_and_1_is_no_probability() -> None:
    rng = np.random.default_rng(4)
    margin = rng.normal(0, 2, 2000)
    found = fit_calibration(margin, rng.random(2000) < 1 / (1 + np.exp(-margin)), rng)
    assert found.curve is not None
    assert 0 <= found(np.array([-1e9, 0.0, 1e9])).min() <= found(np.array([-1e9, 0.0, 1e9])).max() <= 1


def test_the_same_seed_gives_the_same_calibration() -> None:
    rng = np.random.default_rng(5)
    score, label = rng.random(500), rng.random(500) < 0.4
    first, second = (fit_calibration(score, label, np.random.default_rng(6)) for _ in range(2))
    assert (first.error, first.calibrated_error) == (second.error, second.calibrated_error)


def test_no_row_is_no_data() -> None:
    with pytest.raises(NoData, match=r"^expected reference rows with a label, got none$"):
        fit_calibration(np.zeros(0), np.zeros(0, dtype=bool), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("california_housing", ("clf_target", "y_pred", "y_pred_proba")),
        ("ma_employment", ("employed", "prediction", "predicted_probability")),
    ],
)
def test_real_references_are_calibrated_as_nannyml_decides(
    shared_data: Path, name: str, columns: tuple[str, str, str]
) -> None:
    reference = binary(frame(shared_data, f"{name}/reference.parquet"), *columns)
    assert reference.score is not None
    assert fit_calibration(reference.score, reference.label, np.random.default_rng(0)).curve is not None
