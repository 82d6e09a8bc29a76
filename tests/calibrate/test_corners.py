"""Corners in which unchanged data have raised alarms, or a change none: rates on streams, at the level that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from monitor import registry
from monitor.calibrate import calibrate
from monitor.check._scores import Keys, Score, score_columns
from monitor.profile import Reference, baseline, build_reference, profile_batch
from monitor.records import Column, ColumnKind, EventBatch, Statistic
from tests.calibrate.streams import HOUR

pytestmark = pytest.mark.slow

DAY = 24 * HOUR
LEVEL = 1e-3


def of(name: str) -> Statistic:
    found: Statistic = registry.load("statistic", name).STATISTIC
    return found


class Watch:
    """A reference of one column, and what is said of windows against it."""

    def __init__(
        self, values: np.ndarray, times: np.ndarray, names: Sequence[str], size: float, match: tuple[str, ...] = ()
    ) -> None:
        kind = ColumnKind.CATEGORICAL if values.dtype == object else ColumnKind.NUMERIC
        self.statistics = {"x": [of(name) for name in names]}
        self.reference: Reference = build_reference(
            EventBatch("1", times, {"x": values}), (Column("x", kind),), fingerprint="0" * 16, version=None,
            window_seconds=size, match=match,
        )  # fmt: skip
        self.calibration = calibrate(self.reference, self.statistics, window_seconds=size)

    def scores(self, values: np.ndarray, times: np.ndarray) -> list[Score]:
        profile = profile_batch(EventBatch("1", times, {"x": values}), self.reference.bins, self.reference.match)
        base = baseline(self.reference, profile)
        keys = Keys(LEVEL, {name.name: 0.0 for name in self.statistics["x"]}, {})
        return score_columns(
            self.reference, base, profile.columns, self.calibration, self.statistics, keys, min_rows=50
        )

    def breaches(self, values: np.ndarray, times: np.ndarray) -> list[bool]:
        return [s.value is not None and s.threshold is not None and s.value > s.threshold for s in
                self.scores(values, times)]  # fmt: skip


def rates(made: Callable[[np.random.Generator], Watch], drawn: Callable[[np.random.Generator, int], tuple[np.ndarray,
          np.ndarray]], *, references: int, windows: int) -> np.ndarray:  # fmt: skip
    """Share of windows that each statistic breaches."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(references):
        watch = made(rng)
        found += [watch.breaches(*drawn(rng, number)) for number in range(windows)]
    return np.mean(found, axis=0)


def many_names(rng: np.random.Generator, rows: int) -> np.ndarray:
    chances = 1 / np.arange(1, 1001) ** 1.3
    return np.array([f"c{place}" for place in rng.choice(1000, rows, p=chances / chances.sum())], dtype=object)


def test_names_that_a_reference_has_not_met_yet_are_to_be_expected() -> None:
    found = rates(
        lambda rng: Watch(many_names(rng, 10_000), np.arange(10_000) * 100.0, ["psi", "cramers_v"], HOUR),
        lambda rng, _: (many_names(rng, 500), np.arange(500) * 7.0),
        references=4, windows=50,
    )  # fmt: skip
    assert (found <= 0.01).all()


def test_names_that_nobody_has_ever_met_are_seen_all_the_same() -> None:
    rng = np.random.default_rng(6)
    watch = Watch(many_names(rng, 10_000), np.arange(10_000) * 100.0, ["psi"], HOUR)
    window = many_names(rng, 500)
    window[:100] = "brand new"
    assert watch.breaches(window, np.arange(500) * 7.0) == [True]


@pytest.mark.parametrize("days", [9, 10, 12])
def test_a_reference_of_few_windows_is_no_licence_to_alert(days: int) -> None:
    def made(rng: np.random.Generator) -> Watch:
        return Watch(rng.standard_normal(days * 300), np.arange(days * 300) * DAY / 300 + 1, ["wasserstein", "ks"], DAY)

    found = rates(made, lambda rng, _: (rng.standard_normal(300), np.arange(300) * 288.0), references=8, windows=60)
    assert (found <= 0.01).all()


@pytest.mark.parametrize("match", [("day_of_week",), ("hour_of_day", "day_of_week")])
def test_a_month_matched_by_weekday_calibrates_weeks(match: tuple[str, ...]) -> None:
    """Seven weekdays, each of which has its fellows in other weeks, are not seven times compared with themselves."""

    def made(rng: np.random.Generator) -> Watch:
        times = np.arange(28 * 60) * DAY / 60
        return Watch(rng.standard_normal(len(times)), times, ["psi", "wasserstein"], 7 * DAY, match)

    times = 300 * 7 * DAY + np.arange(420) * DAY / 60
    rng = np.random.default_rng(7)
    watch = made(rng)
    assert watch.calibration.columns["x"].weights[0] < 4
    assert watch.breaches(rng.standard_normal(420) + 0.5, times) == [True, True]
    found = rates(made, lambda rng, _: (rng.standard_normal(420), times), references=8, windows=40)
    assert (found <= 0.015).all()


def test_matched_by_hour_and_weekday_a_month_is_not_compared_with_itself() -> None:
    def made(rng: np.random.Generator) -> Watch:
        times = np.arange(28 * 24 * 60) * 60.0
        return Watch(
            rng.standard_normal(len(times)), times, ["wasserstein", "energy"], HOUR, ("hour_of_day", "day_of_week")
        )

    def drawn(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.standard_normal(60), 300 * 7 * DAY + number * HOUR + np.arange(60) * 60.0

    assert (rates(made, drawn, references=2, windows=300) <= 0.007).all()


@pytest.mark.parametrize("law", ["normal", "student", "bursts"])
def test_windows_that_differ_as_the_references_did_are_quiet(law: str) -> None:
    """Level shifts between hours: normal ones, with a heavy tail, or in one hour of twenty."""

    def effects(rng: np.random.Generator, number: int) -> np.ndarray:
        if law == "student":
            return rng.standard_t(3, number) * 0.1
        return rng.standard_normal(number) * (0.2 if law == "normal" else 0.3 * (rng.random(number) < 0.05))

    def made(rng: np.random.Generator) -> Watch:
        shifts = np.repeat(effects(rng, 720), 100)
        return Watch(rng.standard_normal(72_000) + shifts, np.arange(72_000) * 36.0, ["psi"], HOUR)

    def drawn(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.standard_normal(100) + effects(rng, 1), np.arange(100) * 36.0

    assert (rates(made, drawn, references=6, windows=500) <= 0.006).all()


@pytest.mark.parametrize("bogus", [0.0, 4e9, 1e12])
def test_one_row_with_a_bogus_time_changes_nothing(bogus: float) -> None:
    rng = np.random.default_rng(8)
    times = 1.7e9 + np.arange(20_000) * 36.0
    values = rng.standard_normal(20_001)
    watch = Watch(values, np.append(times, bogus), ["psi", "wasserstein"], HOUR)
    plain = Watch(values[:-1], times, ["psi", "wasserstein"], HOUR)
    assert watch.calibration.how == plain.calibration.how == "by_stretches"
    assert watch.calibration.columns["x"].weights[0] < 1.3
    assert watch.breaches(rng.standard_normal(100) + 1, times[:100]) == [True, True]


def test_values_of_a_heavy_tail_that_no_reference_reaches_are_no_alarm() -> None:
    """One far value weighs any amount; many of them are a change."""

    def made(rng: np.random.Generator) -> Watch:
        return Watch(rng.pareto(1.3, 10_000), np.arange(10_000) * 100.0, ["wasserstein", "wasserstein_distance"], HOUR)

    found = rates(made, lambda rng, _: (rng.pareto(1.3, 100), np.arange(100) * 36.0), references=10, windows=200)
    assert (found <= 0.004).all()
    rng = np.random.default_rng(9)
    watch = made(rng)
    window = rng.pareto(1.3, 100)
    window[:8] = 1e6
    assert watch.breaches(window, np.arange(100) * 36.0) == [True, True]


def test_a_constant_that_changes_is_seen_in_either_direction() -> None:
    watch = Watch(np.full(5000, 5.0), np.arange(5000) * 100.0, ["wasserstein"], HOUR)
    for value in (3.0, 7.0):
        assert watch.breaches(np.full(100, value), np.arange(100) * 36.0) == [True]
    assert watch.breaches(np.full(100, 5.0), np.arange(100) * 36.0) == [False]
    one = np.full(100, 5.0)
    one[0] = 5.1
    assert watch.breaches(one, np.arange(100) * 36.0) == [False]


@pytest.mark.parametrize("values", [np.full(3000, np.nan), np.append(1.0, np.full(2999, np.nan)), np.full(3000, 1e300)])
def test_a_dead_column_stops_no_other_and_is_no_data(values: np.ndarray) -> None:
    rng = np.random.default_rng(10)
    times = np.arange(3000) * 300.0
    columns = (Column("dead", ColumnKind.NUMERIC), Column("x", ColumnKind.NUMERIC))
    live = rng.standard_normal(3000)
    reference = build_reference(
        EventBatch("1", times, {"dead": values, "x": live}), columns, fingerprint="0" * 16, version=None,
        window_seconds=HOUR,
    )  # fmt: skip
    wanted = {name: [of("wasserstein_distance"), of("energy")] for name in ("dead", "x")}
    calibration = calibrate(reference, wanted, window_seconds=HOUR)
    window = profile_batch(EventBatch("1", times[:100], {"dead": rng.standard_normal(100), "x": live[:100] + 1}),
                           reference.bins)  # fmt: skip
    base = baseline(reference, window)
    found = score_columns(reference, base, window.columns, calibration, wanted, Keys(LEVEL, {}, {}), min_rows=50)
    told = {(score.column.name, score.statistic.name): score for score in found}
    assert told["x", "energy"].value is not None
    assert told["x", "energy"].value > told["x", "energy"].threshold


def test_missing_rows_are_not_rows_that_are_compared() -> None:
    rng = np.random.default_rng(11)
    watch = Watch(rng.standard_normal(10_000), np.arange(10_000) * 100.0, ["wasserstein", "ks", "psi"], HOUR)
    window = rng.standard_normal(200)
    window[:160] = np.nan
    wasserstein, ks, psi = watch.scores(window, np.arange(200) * 18.0)
    assert (wasserstein.value, ks.value) == (None, None)
    assert wasserstein.reason == "expected at least 50 rows, got 40"
    assert psi.value is not None
    assert psi.value > psi.threshold
