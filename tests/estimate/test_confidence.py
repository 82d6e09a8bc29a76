"""Estimates from probabilities: NannyML's printed ones on real data, and what they promise on made ones."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import roc_auc_score

from monitor import registry
from monitor.estimate import fit_confidence
from monitor.estimate.confidence import BinaryRows, ClassRows, ConfidenceEstimator, Rows, can_estimate
from monitor.records import NoData
from monitor.stats._outcomes import BinaryOutcomes, ClassOutcomes
from tests.estimate.worlds import CLASSES, binary, by_month, frame, metrics, overconfident_classes

pytestmark = pytest.mark.slow

CALIFORNIA = ("clf_target", "y_pred", "y_pred_proba")
NAMES = "accuracy balanced_accuracy precision recall specificity f1 mcc roc_auc pr_auc log_loss brier".split()
seeded = np.random.default_rng

# --- NannyML's printed values -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def california(shared_data: Path) -> tuple[ConfidenceEstimator, dict[str, Rows]]:
    reference = binary(frame(shared_data, "california_housing/reference.parquet"), *CALIFORNIA)
    estimator = fit_confidence(
        reference, metrics("roc_auc", "f1", "precision", "recall", "specificity", "accuracy", "pr_auc"), seeded(0)
    )
    analysis = frame(shared_data, "california_housing/analysis.parquet")
    return estimator, {
        month: estimator.rows(rows["y_pred"].to_numpy() == 1, rows["y_pred_proba"].to_numpy())
        for month, rows in by_month(analysis)
    }


def test_california_has_the_estimates_that_nannyml_prints(
    california: tuple[ConfidenceEstimator, dict[str, Rows]],
) -> None:
    """Its notebook's two months, to the last of the six digits: same calibration, same expectation."""
    estimator, months = california
    assert estimator.estimate(0, months["2022-03"]).value == pytest.approx(0.829077, abs=5e-7)
    assert estimator.estimate(0, months["2022-04"]).value == pytest.approx(0.910661, abs=5e-7)


# NannyML 0.13.1: CBPE(metrics=[...], chunk_period="M"), 2021-06 to 2022-05.
NANNYML = {
    "roc_auc": "0.859318 0.750976 0.709284 0.664344 0.824291 0.870254 0.898273 0.851573 0.911054 0.829077 0.910661 0.939883",
    "f1": "0.198454 0.016391 0 0 0.328534 0.144776 0.655948 0.673841 0.557692 0.134585 0.245434 0.685063",
    "precision": "0.957695 0.949499 - - 0.953673 0.954139 0.973958 0.968692 0.969326 0.956113 0.972458 0.97633",
    "recall": "0.110696 0.008267 0 0 0.198449 0.078331 0.49449 0.516599 0.391456 0.072387 0.140439 0.52765",
    "specificity": "0.997652 0.999621 1 1 0.988264 0.997925 0.97531 0.928098 0.984918 0.998025 0.998067 0.989363",
    "accuracy": "0.709894 0.540495 0.653818 0.682808 0.554632 0.671215 0.662179 0.594145 0.659084 0.652932 0.717635 0.779737",
    "pr_auc": "0.773261 0.709919 0.551473 0.474661 0.856771 0.793134 0.94366 0.958681 0.925622 0.76286 0.837685 0.936997",
}


@pytest.mark.parametrize("name", NANNYML)
def test_california_has_nannymls_estimates_in_every_month(
    california: tuple[ConfidenceEstimator, dict[str, Rows]], name: str
) -> None:
    """To their six digits; average precision to 0.005, as NannyML orders rows of one score by chance, which moves it.

    Where nothing is predicted positive there is no precision; NannyML says 0.
    """
    estimator, months = california
    within = 5e-3 if name == "pr_auc" else 6e-7
    place = list(NANNYML).index(name)
    for rows, printed in zip(months.values(), NANNYML[name].split(), strict=True):
        if printed == "-":
            with pytest.raises(NoData, match="expected rows predicted positive, got none"):
                estimator.estimate(place, rows)
        else:
            assert estimator.estimate(place, rows).value == pytest.approx(float(printed), abs=within)


def test_california_has_nannymls_thresholds(shared_data: Path) -> None:
    """The mean of the reference's months and three standard deviations, within 0 and 1: 0.708336 and 1."""
    reference = frame(shared_data, "california_housing/reference.parquet")
    (auc,) = metrics("roc_auc")
    realised = np.array([auc.of(binary(rows, *CALIFORNIA)) for _, rows in by_month(reference)])
    assert realised.mean() - 3 * realised.std() == pytest.approx(0.708336, abs=5e-7)
    assert min(realised.mean() + 3 * realised.std(), 1) == 1


def test_nannymls_sampling_error_of_the_roc_curve_is_a_part_of_ours(
    california: tuple[ConfidenceEstimator, dict[str, Rows]], shared_data: Path
) -> None:
    """It prints 0.007781 and 0.00791 (744 and 720 rows) from the scarcer class's placements; ours adds the other's.

    The scores have 101 values, and NannyML ranks equal ones by chance: with ties broken for or against the class its formula gives
    0.00768 or 0.00790, and with half ranks 0.1 % more than printed. What it leaves out is seen by drawing windows.
    """
    reference = binary(frame(shared_data, "california_housing/reference.parquet"), *CALIFORNIA)
    assert reference.score is not None
    scarce = ~reference.label if reference.label.mean() > 0.5 else reference.label
    score = -reference.score if reference.label.mean() > 0.5 else reference.score
    others = np.sort(score[~scarce])
    placements = (
        (np.searchsorted(others, score[scarce]) + np.searchsorted(others, score[scarce], "right")) / 2 / len(others)
    )
    for rows, printed in ((744, 0.007781), (720, 0.00791)):
        assert placements.std() / math.sqrt(rows * scarce.mean()) == pytest.approx(printed, rel=2e-3)
    estimator, months = california
    ours = estimator.estimate(0, months["2022-03"]).standard_error
    rng = seeded(1)
    drawn = [rng.integers(0, len(score), 744) for _ in range(400)]
    seen = np.std([roc_auc_score(reference.label[rows], reference.score[rows]) for rows in drawn])
    assert ours == pytest.approx(0.01059, abs=5e-6)
    assert ours == pytest.approx(seen, rel=0.1)


@pytest.mark.parametrize(
    ("name", "printed"),
    [("precision", 0.009553), ("recall", 0.022963), ("specificity", 0.008489), ("accuracy", 0.017233)],
)
def test_sampling_errors_of_proportions_are_nannymls(
    california: tuple[ConfidenceEstimator, dict[str, Rows]], name: str, printed: float
) -> None:
    estimator, months = california
    estimate = estimator.estimate(list(NANNYML).index(name), months["2022-03"])
    assert estimate.standard_error == pytest.approx(printed, abs=6e-7)
    assert estimate.high == pytest.approx(min(estimate.value + 3 * printed, 1), abs=3e-6)
    assert estimate.low == pytest.approx(max(estimate.value - 3 * printed, 0), abs=3e-6)


# NannyML 0.13.1, CBPE(problem_type="classification_multiclass", chunk_size=2000), on the same rows.
NANNYML_CLASSES = {
    "roc_auc": (0.8294596119116665, 0.8313642899655805),
    "f1": (0.6440310453469361, 0.6490222240818809),
    "precision": (0.6562900258581464, 0.6591769006223291),
    "recall": (0.6368596766446041, 0.6429730590196945),
    "specificity": (0.82421717281834, 0.8264411442988736),
    "accuracy": (0.6738476868537296, 0.6752348635433064),
    "pr_auc": (0.7057214381179732, 0.7102986943472742),
}


def test_more_classes_have_nannymls_estimates() -> None:
    estimator = fit_confidence(overconfident_classes(6000, 1), metrics(*NANNYML_CLASSES), seeded(0))
    for chunk, seed in enumerate((2, 3)):
        window = overconfident_classes(2000, seed)
        assert window.scores is not None
        rows = estimator.rows(window.predicted, window.scores)
        for place, (name, printed) in enumerate(NANNYML_CLASSES.items()):
            assert estimator.estimate(place, rows).value == pytest.approx(printed[chunk], abs=1e-8), name


def test_employment_has_the_estimates_beside_the_data(shared_data: Path) -> None:
    """`expected_by_chunk.json` has four digits; equal to its rounding in all of its 42 chunks, chunk 27's fall included."""
    columns = ("employed", "prediction", "predicted_probability")
    reference = frame(shared_data, "ma_employment/reference.parquet")
    analysis = frame(shared_data, "ma_employment/analysis.parquet")
    expected = json.loads((shared_data / "ma_employment" / "expected_by_chunk.json").read_text())
    estimator = fit_confidence(binary(reference, *columns), metrics("accuracy", "roc_auc"), seeded(0))
    seen = {}
    for name, chunk in expected.items():
        place = 0 if name == "reference" else chunk["first_id"] - len(reference)
        data = (reference if name == "reference" else analysis).iloc[place : place + chunk["n"]]
        rows = estimator.rows(data["prediction"].to_numpy() == 1, data["predicted_probability"].to_numpy())
        seen[name] = [estimator.estimate(metric, rows) for metric in range(2)]
        assert seen[name][0].value == pytest.approx(chunk["estimated_accuracy"], abs=5.1e-5)
        assert seen[name][1].value == pytest.approx(chunk["estimated_roc_auc"], abs=5.1e-5)
    assert len(seen) == 43
    fallen, before = seen["analysis_27"][1], seen["analysis_25"][1]
    assert fallen.high < before.low
    assert fallen.value == pytest.approx(0.8367795, abs=5e-8)  # NannyML 0.13.1, CBPE(chunk_size=5000)


# --- promises ---------------------------------------------------------------------------------------------------------


def test_every_metric_of_classes_and_these_of_scores_can_be_estimated() -> None:
    can = []
    for name in registry.known("statistic"):
        statistic = registry.load("statistic", name).STATISTIC
        if (
            statistic.family == "performance"
            and statistic.applies_to & {"binary", "multiclass"}
            and can_estimate(statistic)
        ):
            can.append(name)
    # Its matrix is of labelled rows; what it is judged by, the share of wrong ones, can be estimated.
    assert sorted(can) == sorted([*NAMES, "confusion_matrix"])


def outcome(compute: Callable[[], float]) -> float | None:
    try:
        return compute()
    except NoData:
        return None


def value_of(rows: Rows, name: str) -> float | None:
    estimator = ConfidenceEstimator((), CLASSES if isinstance(rows, ClassRows) else None, _sampled(name))
    return outcome(lambda: estimator.estimate(0, rows).value)


def _sampled(name: str) -> Any:
    from monitor.estimate._estimate import Sampling

    return (Sampling(metrics(name)[0], None, 1),)


@pytest.mark.parametrize("name", NAMES)
@given(
    some.lists(
        some.tuples(some.booleans(), some.booleans(), some.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])),
        min_size=1,
        max_size=30,
    )
)
def test_certain_probabilities_give_the_metric_itself(name: str, data: list[tuple[bool, bool, float]]) -> None:
    """Where each probability is 0 or 1, the estimate is the metric of these labels, and is undefined where that is."""
    label, predicted, score = (np.array(part) for part in zip(*data, strict=True))
    found = value_of(BinaryRows(predicted, score, label.astype(np.float64)), name)
    right = outcome(lambda: metrics(name)[0].of(BinaryOutcomes(label, predicted, score)))
    assert found == (None if right is None else pytest.approx(right, rel=1e-7, abs=1e-7))


@pytest.mark.parametrize("name", NAMES)
@given(some.lists(some.tuples(some.integers(0, 2), some.integers(0, 2), some.integers(0, 6)), min_size=1, max_size=30))
def test_certain_probabilities_of_more_classes_give_the_metric_itself(
    name: str, data: list[tuple[int, int, int]]
) -> None:
    label, predicted, kind = (np.array(part) for part in zip(*data, strict=True))
    scores = np.array(
        [[1, 0, 0], [0, 0.5, 0.5], [0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0, 0, 1], [1 / 3] * 3]
    )[kind]
    found = value_of(ClassRows(predicted, scores, np.eye(3)[label], CLASSES), name)
    right = outcome(lambda: metrics(name)[0].of(ClassOutcomes(label, predicted, CLASSES, scores)))
    assert found == (None if right is None else pytest.approx(right, rel=1e-7, abs=1e-7))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", ["binary", "classes"])
def test_an_estimate_is_what_labels_would_give_on_average(name: str, task: str) -> None:
    """Labels drawn 400 times from the probabilities: the mean of the metric is the estimate, within its own noise."""
    rng = seeded(11)
    if task == "binary":
        probability = rng.beta(1, 2, 1500)
        score = probability**1.5
        rows: Rows = BinaryRows(score > 0.4, score, probability)
        draws = [BinaryOutcomes(rng.random(1500) < probability, score > 0.4, score) for _ in range(400)]
    else:
        window = overconfident_classes(1500, 12)
        assert window.scores is not None
        probability = np.sqrt(window.scores) / np.sqrt(window.scores).sum(axis=1, keepdims=True)
        rows = ClassRows(window.predicted, window.scores, probability, CLASSES)
        draws = [  # type: ignore[assignment]
            ClassOutcomes(
                (probability.cumsum(axis=1) < rng.random((1500, 1))).sum(axis=1),
                window.predicted,
                CLASSES,
                window.scores,
            )
            for _ in range(400)
        ]
    seen = np.array([metrics(name)[0].of(draw) for draw in draws])
    noise = seen.std() / math.sqrt(len(seen))
    assert value_of(rows, name) == pytest.approx(seen.mean(), abs=4 * noise + 2e-3 * abs(seen.mean()))


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_parameters_reach_the_metric(average: str) -> None:
    window = overconfident_classes(4000, 13)
    estimator = fit_confidence(window, [*metrics("f1", average=average), *metrics("recall", per_class=1)], seeded(0))
    for place in range(2):
        checked = estimator.check(place, window)
        assert checked.estimated == pytest.approx(checked.actual, abs=0.02)


def test_bounds_hold_what_comes_true() -> None:
    """Windows of an unchanged world: three standard errors are left by hardly one in a hundred, in either task."""
    reference = overconfident_classes(20_000, 20)
    estimator = fit_confidence(reference, metrics("accuracy", "f1", "roc_auc", "log_loss"), seeded(0))
    outside = 0
    for seed in range(60):
        window = overconfident_classes(500, 100 + seed)
        for place, metric in enumerate(estimator.metrics):
            assert window.scores is not None
            estimate = estimator.estimate(place, estimator.rows(window.predicted, window.scores))
            outside += not estimate.low <= metric.of(window) <= estimate.high  # type: ignore[operator]
    assert outside <= 3


def test_calibration_of_labelled_rows_is_that_of_the_predicted_class() -> None:
    window = overconfident_classes(4000, 21)
    estimator = fit_confidence(window, metrics("accuracy"), seeded(0))
    counts = estimator.calibration(window)
    assert counts.rows.sum() == 4000
    assert counts.positives.sum() == np.count_nonzero(window.label == window.predicted)
    assert counts.error < 0.02


def test_what_cannot_be_estimated_is_refused_or_has_a_reason() -> None:
    label = np.array([True, False] * 20)
    with pytest.raises(ValueError, match=r"^expected a metric that probabilities tell of, got 'ece'$"):
        fit_confidence(BinaryOutcomes(label, label, label * 0.5), metrics("ece"), seeded(0))
    with pytest.raises(NoData, match=r"^the model gives no probabilities$"):
        fit_confidence(BinaryOutcomes(label, label), metrics("accuracy"), seeded(0))
    estimator = fit_confidence(BinaryOutcomes(label, label, label * 0.5), metrics("accuracy"), seeded(0))
    with pytest.raises(NoData, match=r"^no predictions$"):
        estimator.rows(np.zeros(0, dtype=bool), np.zeros(0))


def test_a_reference_that_tells_no_spread_gives_a_value_without_bounds() -> None:
    """One class only: an area under the curve has no value there, so nobody knows how it varies."""
    rng = seeded(22)
    score = rng.random(100)
    estimator = fit_confidence(BinaryOutcomes(np.ones(100, dtype=bool), score > 0.5, score), metrics("roc_auc"), rng)
    estimate = estimator.estimate(0, estimator.rows(score > 0.5, score))
    assert 0 <= estimate.value <= 1
    assert (estimate.standard_error, estimate.low, estimate.high) == (None, None, None)


def test_the_resident_process_needs_neither_scipy_nor_scikit_learn_for_it() -> None:
    code = """
import sys, numpy as np
from monitor.estimate import Metric, fit_confidence
from monitor.stats._outcomes import BinaryOutcomes
from monitor.stats.roc_auc import STATISTIC
score = np.random.default_rng(0).random(500)
fit_confidence(BinaryOutcomes(score > 0.4, score > 0.5, score**3), [Metric(STATISTIC)], np.random.default_rng(0))
assert not {"scipy", "sklearn", "pandas"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
