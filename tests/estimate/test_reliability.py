"""When an estimate may be relied on, and when it must not be shown as fine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from monitor.estimate import CalibrationCounts, Checked, Trust, fit_confidence, fit_loss, reliability
from monitor.records import NoData
from tests.estimate.test_loss import FEATURES, bikes, columns
from tests.estimate.worlds import binary, frame, metrics

pytestmark = pytest.mark.slow

RIGHT, WRONG = Checked(0.9, 0.895, 0.002), Checked(0.9, 0.8, 0.002)
BY_CHANCE = Checked(0.9, 0.86, 0.02)  # more than the tolerance, less than three standard errors
SLIGHT = Checked(0.9, 0.885, 0.001)  # beyond chance, and within the tolerance


@pytest.mark.parametrize(
    ("history", "trust", "reason"),
    [
        ([], Trust.UNPROVEN, "no labels have come to compare an estimate with"),
        ([RIGHT], Trust.RELIABLE, "estimates were off by -0.005"),
        ([WRONG], Trust.UNRELIABLE, "estimates were off by -0.1, with a standard error of 0.002"),
        ([SLIGHT], Trust.RELIABLE, "estimates were off by -0.015"),
        ([BY_CHANCE], Trust.UNPROVEN, "too few labels to tell an error of 0.02: the standard error is 0.02"),
        ([RIGHT, BY_CHANCE], Trust.RELIABLE, "estimates were off by -0.00535"),
        ([WRONG, RIGHT], Trust.UNRELIABLE, "estimates were off by -0.1, with a standard error of 0.002, 1 window before the newest"),
        ([WRONG, RIGHT, RIGHT], Trust.UNRELIABLE, "estimates were off by -0.1, with a standard error of 0.002, 2 windows before the newest"),
        ([WRONG, RIGHT, RIGHT, RIGHT], Trust.RELIABLE, "estimates were off by -0.005"),
        ([BY_CHANCE] * 9, Trust.UNRELIABLE, "estimates were off by -0.04, with a standard error of 0.00667"),
    ],
)  # fmt: skip
def test_two_keys_and_three_verdicts(history: list[Checked], trust: Trust, reason: str) -> None:
    found = reliability(history, tolerance=0.02)
    assert (found.trust, found.reason) == (trust, reason)


def test_what_all_windows_share_is_not_averaged_away() -> None:
    """A reference too small to be right to within the tolerance proves nothing, however many windows come."""
    vague = Checked(0.9, 0.9, 0.01, common_error=0.01)
    assert reliability([vague] * 50, tolerance=0.02).trust is Trust.UNPROVEN
    assert reliability([vague] * 50, tolerance=0.04).trust is Trust.RELIABLE


def test_the_error_of_the_estimator_is_there_whatever_the_verdict() -> None:
    found = reliability([WRONG, RIGHT], 0.02, CalibrationCounts.of(np.full(100, 0.3), np.arange(100) < 70))
    assert found.error == pytest.approx(-0.005)
    assert found.standard_error == pytest.approx(0.002)
    assert found.windows == 1
    assert found.calibration_error == pytest.approx(0.4 - 0.0366, abs=1e-3)
    assert found.reason == "labels have come otherwise than the probabilities say: by 0.4 in the mean"


@given(some.lists(some.tuples(some.floats(0, 1), some.booleans()), min_size=1, max_size=60), some.integers(0, 60))
def test_counts_of_two_stretches_add_up(rows: list[tuple[float, bool]], cut: int) -> None:
    probability, label = (np.array(part) for part in zip(*rows, strict=True))
    whole = CalibrationCounts.of(probability, label)
    parts = CalibrationCounts.of(probability[:cut], label[:cut]) + CalibrationCounts.of(probability[cut:], label[cut:])
    for name in CalibrationCounts.__slots__:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-12, abs=1e-12)
    assert 0 <= whole.error <= 1


def test_chance_is_what_calibrated_probabilities_show() -> None:
    rng = np.random.default_rng(1)
    probability = rng.beta(1, 2, 800)
    seen = np.array([CalibrationCounts.of(probability, rng.random(800) < probability).error for _ in range(600)])
    mean, deviation = CalibrationCounts.of(probability, probability > 0.5).chance
    assert mean == pytest.approx(seen.mean(), rel=0.03)
    assert deviation == pytest.approx(seen.std(), rel=0.1)


@pytest.mark.parametrize("rows", [1, 20, 300, 10_000])
def test_few_rows_of_a_calibrated_model_are_not_held_against_it(rows: int) -> None:
    rng = np.random.default_rng(2)
    blamed = 0
    for _ in range(300):
        probability = rng.beta(1, 3, rows)
        counts = CalibrationCounts.of(probability, rng.random(rows) < probability)
        blamed += reliability([RIGHT], 0.02, counts).trust is Trust.UNRELIABLE
    assert blamed <= 6


def test_no_labelled_row_has_no_calibration_error() -> None:
    counts = CalibrationCounts.of(np.zeros(0), np.zeros(0, dtype=bool))
    with pytest.raises(NoData, match=r"^no labelled rows$"):
        _ = counts.error
    assert reliability([RIGHT], 0.02, counts).trust is Trust.RELIABLE


# --- real data --------------------------------------------------------------------------------------------------------


def verdicts(
    estimator: Any, windows: list[tuple[str, Any, Any]], tolerance: float, of: Callable[[Any], Any]
) -> dict[str, list[Trust]]:
    """By window: what is said of each metric at its end, with its name, the labelled rows before, and its own so far."""
    history: list[list[Checked]] = [[] for _ in estimator.metrics]
    found = {}
    for name, own, whole in windows:
        calibration = estimator.calibration(of(own)) if len(own) else None
        found[name] = [reliability(past, tolerance, calibration).trust for past in history]
        for place, past in enumerate(history):
            past.append(estimator.check(place, of(whole)))
    return found


@pytest.fixture(scope="module")
def elec2(shared_data: Path) -> tuple[Any, Any, Callable[[Any], Any]]:
    log = frame(shared_data, "elec2/prediction_log/predictions.parquet")
    labels = frame(shared_data, "elec2/prediction_log/labels.parquet")
    data = log.merge(labels, on="event_id")
    of = lambda rows: binary(rows, "label", "prediction", "probability")
    reference = of(data[data["split"] == "reference"])
    estimator = fit_confidence(reference, metrics("accuracy", "roc_auc", "f1"), np.random.default_rng(0))
    return estimator, data[data["split"] != "reference"], of


COLLAPSE = [f"1997-{month:02d}" for month in range(7, 13)] + [f"1998-{month:02d}" for month in range(1, 7)]


@pytest.mark.parametrize("labels_of_the_month", [True, False])
def test_on_elec2_no_estimate_is_relied_on_while_calibration_is_gone(
    elec2: tuple[Any, Any, Callable[[Any], Any]], labels_of_the_month: bool
) -> None:
    """1997-07 to 1998-06, each month judged at its end: on the labels that have come by then, or on earlier months alone."""
    estimator, data, of = elec2
    month = data["timestamp"].dt.strftime("%Y-%m")
    ends = data["timestamp"].dt.to_period("M").dt.end_time
    windows = []
    for name in sorted(set(month)):
        rows, come = data[month == name], data[(month == name) & (data["label_timestamp"] <= ends)]
        windows.append((name, come if labels_of_the_month else come[:0], rows))
    found = verdicts(estimator, windows, 0.02, of)
    assert {trust for name in COLLAPSE for trust in found[name]} == {Trust.UNRELIABLE}
    # The estimate itself says that all is well: accuracy 0.98 in the month that has 0.54.
    march = data[month == "1998-03"]
    checked = estimator.check(0, of(march))
    assert checked.estimated > 0.97
    assert checked.actual == pytest.approx(0.54, abs=0.005)


def test_on_elec2_no_day_of_the_collapse_is_relied_on(elec2: tuple[Any, Any, Callable[[Any], Any]]) -> None:
    """Windows of 48 rows; labels take one to three days. Too few labels is not proven, which isn't shown as fine either."""
    estimator, data, of = elec2
    day = data["timestamp"].dt.strftime("%Y-%m-%d")
    history: list[Checked] = []
    relied = 0
    grouped = {name: rows for name, rows in data.groupby(day) if len(rows) >= 10 and "1997-05" < str(name) < "1998-07"}
    names = sorted(grouped)
    for place, name in enumerate(names[4:], start=4):
        history.append(estimator.check(0, of(grouped[names[place - 4]])))
        relied += name >= "1997-07" and reliability(history[-60:], 0.02).trust is Trust.RELIABLE
    assert len(names) > 400
    assert relied == 0


def test_on_employment_estimates_are_relied_on_until_the_files_order_breaks(shared_data: Path) -> None:
    """Chunks of 5,000. Pure covariate shift: chunk 27's accuracy is foreseen, its area under the curve is .033 too high."""
    columns_of = ("employed", "prediction", "predicted_probability")
    reference = binary(frame(shared_data, "ma_employment/reference.parquet"), *columns_of)
    data = frame(shared_data, "ma_employment/analysis.parquet")
    data = data.merge(frame(shared_data, "ma_employment/analysis_targets.parquet"), on="id")
    estimator = fit_confidence(reference, metrics("accuracy", "roc_auc"), np.random.default_rng(0))
    chunks = [(f"{place:02d}", data[:0], data[place * 5000 :][:5000]) for place in range(41)]
    found = verdicts(estimator, chunks, 0.02, lambda rows: binary(rows, *columns_of))
    assert [name for name in found if found[name][0] is not Trust.RELIABLE] == ["00"]
    assert [name for name in found if found[name][1] is not Trust.RELIABLE] == ["00", "28", "29", "30"]
    assert found["00"] == [Trust.UNPROVEN] * 2


def test_on_bikes_the_estimate_of_errors_is_not_relied_on_once_they_have_grown(shared_data: Path) -> None:
    """January's errors say nothing of summer's: 17 estimated, 134 true in June 2011."""
    data = bikes(shared_data)
    reference, month = data["split"] == "reference", data["timestamp"].dt.strftime("%Y-%m")
    estimator = fit_loss(
        *columns(data[reference]), metrics("mae"), categorical=np.zeros(len(FEATURES), dtype=bool), seed=0
    )
    history = []
    for name in sorted(set(month[~reference])):
        if name > "2011-03":
            assert reliability(history, tolerance=1.2).trust is Trust.UNRELIABLE, name
        history.append(estimator.check(0, *columns(data[(month == name) & ~reference])))
    assert [checked.actual > 5 * checked.estimated for checked in history[5:8]] == [True] * 3
