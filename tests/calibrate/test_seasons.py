"""Matched by season, a window is held against rows of its own hours and days, and only against those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monitor.calibrate import Calibration, calibrate, significance
from monitor.profile import Reference, baseline, build_reference, profile_batch
from monitor.records import Column, ColumnKind, EventBatch, NoData

HOUR, DAY = 3600.0, 86400.0
COLUMNS = (Column("x", ColumnKind.NUMERIC),)


def days(rng: np.random.Generator, number: int, *, start: float = 0.0, rows: int = 200) -> EventBatch:
    """So many days of values that follow the hour of the day: two standard deviations up and down."""
    times = start + np.arange(number * 24 * rows) * (HOUR / rows)
    wave = 2 * np.sin(times / DAY * 2 * np.pi)
    return EventBatch("1", times, {"x": wave + rng.standard_normal(len(times))})


def hour_of(batch: EventBatch, hour: int) -> EventBatch:
    rows = (batch.times >= batch.times[0] + hour * HOUR) & (batch.times < batch.times[0] + (hour + 1) * HOUR)
    return EventBatch("1", batch.times[rows], {"x": batch.features["x"][rows]})


def reference(rng: np.random.Generator, match: tuple[str, ...], number: int = 28) -> Reference:
    return build_reference(
        days(rng, number), COLUMNS, fingerprint="0" * 16, version=None, window_seconds=HOUR, match=match
    )


def p_value(known: Reference, calibration: Calibration, window: EventBatch) -> float:
    profile = profile_batch(window, known.bins, known.match)
    base = baseline(known, profile).counts["x"]
    counts = profile.columns["x"]
    current = np.append(counts.counts, [counts.missing, counts.unseen])
    return float(significance(calibration, ["x"], [base], [current]).p_values[0])


def test_hours_are_quiet_against_their_own_hour_and_a_small_shift_is_seen() -> None:
    rng = np.random.default_rng(1)
    matched, whole = reference(rng, ("hour_of_day",)), reference(rng, ())
    calibrations = [calibrate(known, {}, window_seconds=HOUR) for known in (matched, whole)]
    assert calibrations[0].how == "by_season"
    assert calibrations[0].columns["x"].weights[0] < 1.5
    assert calibrations[1].columns["x"].weights[0] > 20
    later = days(rng, 20, start=40 * DAY)
    quiet = [p_value(matched, calibrations[0], hour_of(later, hour)) for hour in range(480)]
    assert min(quiet) > 1e-5
    assert 0.005 < np.mean(np.array(quiet) < 0.1) < 0.2
    window = hour_of(later, 15)
    moved = EventBatch("1", window.times, {"x": window.features["x"] + 0.5})
    assert p_value(matched, calibrations[0], moved) < 1e-5
    assert p_value(whole, calibrations[1], moved) > 1e-3


def test_the_baseline_is_what_the_reference_holds_of_the_windows_hours() -> None:
    rng = np.random.default_rng(2)
    known = reference(rng, ("hour_of_day",))
    batch = days(rng, 28)
    window = hour_of(days(rng, 1, start=60 * DAY), 5)
    found = baseline(known, profile_batch(window, known.bins, known.match))
    same: Any = [hour_of(days(np.random.default_rng(2), 28), 24 * day + 5).features["x"] for day in range(28)]
    profile = profile_batch(EventBatch("1", np.zeros(28 * 200), {"x": np.concatenate(same)}), known.bins)
    assert found.rows == pytest.approx(28 * 200)
    assert found.counts["x"][:-2] == pytest.approx(profile.columns["x"].counts)
    assert len(batch) == known.rows


def test_hours_mixed_in_other_shares_are_expected_in_those_shares() -> None:
    rng = np.random.default_rng(3)
    known = reference(rng, ("hour_of_day",))
    calibration = calibrate(known, {}, window_seconds=HOUR)
    day = days(rng, 1, start=60 * DAY)
    parts = [hour_of(day, 3), hour_of(day, 3), hour_of(day, 15)]
    mixed = EventBatch(
        "1", np.concatenate([p.times for p in parts]), {"x": np.concatenate([p.features["x"] for p in parts])}
    )
    found = baseline(known, profile_batch(mixed, known.bins, known.match))
    assert found.rows == pytest.approx(1 / ((2 / 3) ** 2 / 5600 + (1 / 3) ** 2 / 5600))
    assert p_value(known, calibration, mixed) > 1e-3


def test_a_window_of_hours_that_the_reference_lacks_is_not_judged() -> None:
    rng = np.random.default_rng(4)
    morning = days(rng, 28)
    kept = morning.times % DAY < DAY / 2
    known = build_reference(
        EventBatch("1", morning.times[kept], {"x": morning.features["x"][kept]}),
        COLUMNS, fingerprint="0" * 16, version=None, window_seconds=HOUR, match=("hour_of_day",),
    )  # fmt: skip
    evening = hour_of(days(rng, 1, start=60 * DAY), 20)
    with pytest.raises(NoData, match="hour_of_day, 100% have none"):
        baseline(known, profile_batch(evening, known.bins, known.match))
