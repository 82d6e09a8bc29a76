"""Statistics without a closed form, and Kolmogorov's: unchanged data alarm no more often than said, and changes are seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monitor import registry
from monitor.calibrate import Calibration, calibrate, kolmogorov_evidence
from monitor.profile import ColumnProfile, Reference, comparable, histogram_pair, profile_column
from monitor.records import Statistic
from tests.calibrate.streams import HOUR, reference_of, stream

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

EVERY = [registry.load("statistic", name).STATISTIC for name in registry.known("statistic")]
RESAMPLED = [s for s in EVERY if s.family == "drift" and s.null == "resampled" and s.needs in ("counts", "histogram")]
KS: Statistic = registry.load("statistic", "ks").STATISTIC


def p_value(statistic: Statistic, known: Reference, calibration: Calibration, profile: ColumnProfile) -> float:
    bins: Any = known.bins["x"]
    before = known.profiles["x"]
    sides: tuple[Any, Any] = histogram_pair(before, profile, bins)
    if statistic.needs == "counts":
        sides = comparable(before, bins), comparable(profile, bins)
    value = float(statistic.compute(*sides))
    if statistic is KS:
        return kolmogorov_evidence(calibration.columns["x"], value, before.rows, profile.rows, 0.01).p_value
    return calibration.resampled["x", statistic.name].p_value(value, before.rows, profile.rows)


def test_what_is_resampled_are_the_statistics_without_a_known_distribution() -> None:
    assert {statistic.name for statistic in RESAMPLED} >= {"wasserstein", "energy", "total_variation", "l_infinity"}


@pytest.mark.parametrize(("rho", "rows"), [(0.0, 50), (0.0, 500), (0.7, 100), (0.7, 500)])
def test_unchanged_data_alarm_no_more_often_than_said(rho: float, rows: int) -> None:
    rng = np.random.default_rng([1, rows, int(10 * rho)])
    tested = [s for s in RESAMPLED if "numeric" in s.applies_to] + [KS]
    found: dict[str, list[float]] = {statistic.name: [] for statistic in tested}
    for _ in range(5):
        known = reference_of(stream(rng, max(10_000, 30 * rows), rho=rho), window_rows=rows)
        calibration = calibrate(known, {"x": RESAMPLED}, window_seconds=HOUR)
        for window in stream(rng, 100 * rows, rho=rho).reshape(100, rows):
            profile = profile_column(window, known.bins["x"])
            for statistic in tested:
                found[statistic.name].append(p_value(statistic, known, calibration, profile))
    for name, values in found.items():
        for level in (0.1, 0.01):
            allowed = 1.3 * level + 4 * np.sqrt(level / len(values))
            assert np.mean(np.array(values) <= level) <= allowed, name


@pytest.mark.parametrize(
    "statistic", [*(s for s in RESAMPLED if "numeric" in s.applies_to), KS], ids=lambda statistic: str(statistic.name)
)
def test_a_shift_of_half_a_standard_deviation_is_seen(statistic: Statistic) -> None:
    rng = np.random.default_rng(2)
    known = reference_of(stream(rng, 10_000), window_rows=200)
    calibration = calibrate(known, {"x": [statistic]}, window_seconds=HOUR)
    moved = profile_column(stream(rng, 500) + 0.5, known.bins["x"])
    assert p_value(statistic, known, calibration, moved) < 1e-4


def test_one_wild_value_in_the_reference_does_not_hide_a_shift_and_a_thousandfold_unit_is_seen() -> None:
    rng = np.random.default_rng(3)
    values = stream(rng, 10_000)
    values[500] = 1e6
    known = reference_of(values, window_rows=200)
    wasserstein: Statistic = registry.load("statistic", "wasserstein").STATISTIC
    calibration = calibrate(known, {"x": [wasserstein]}, window_seconds=HOUR)
    assert p_value(KS, known, calibration, profile_column(stream(rng, 500) + 1, known.bins["x"])) < 1e-6
    plain = reference_of(stream(rng, 10_000), window_rows=200)
    calibration = calibrate(plain, {"x": [wasserstein]}, window_seconds=HOUR)
    scaled = profile_column(stream(rng, 500) * 1000, plain.bins["x"])
    assert p_value(wasserstein, plain, calibration, scaled) < 1e-12


def test_the_threshold_is_the_score_whose_p_value_is_the_level() -> None:
    rng = np.random.default_rng(4)
    known = reference_of(stream(rng, 10_000), window_rows=200)
    calibration = calibrate(known, {"x": RESAMPLED}, window_seconds=HOUR)
    for (_, name), found in calibration.resampled.items():
        for level in (0.01, 1e-5):
            assert found.p_value(found.threshold(level, 1e4, 200), 1e4, 200) == pytest.approx(level, rel=1e-6), name
    rest = calibration.columns["x"]
    threshold = kolmogorov_evidence(rest, 0.1, 1e4, 200, 1e-4).threshold
    assert kolmogorov_evidence(rest, threshold, 1e4, 200, 1e-4).p_value == pytest.approx(1e-4, rel=1e-6)


def test_the_same_reference_has_the_same_calibration_whatever_is_asked_beside() -> None:
    known = reference_of(stream(np.random.default_rng(5), 5000), window_rows=100)
    alone = calibrate(known, {"x": RESAMPLED[:1]}, window_seconds=HOUR)
    beside = calibrate(known, {"x": RESAMPLED}, window_seconds=HOUR)
    key = ("x", RESAMPLED[0].name)
    assert alone.resampled[key].tail.draws.tolist() == beside.resampled[key].tail.draws.tolist()
    other = calibrate(replace(known, fingerprint="1" * 16), {"x": RESAMPLED[:1]}, window_seconds=HOUR)
    assert alone.resampled[key].tail.draws.tolist() != other.resampled[key].tail.draws.tolist()
