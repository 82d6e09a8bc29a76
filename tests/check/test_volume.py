"""The check `volume`: silence, and as many predictions as are usual at this hour of the week."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
import yaml

from monitor.backtest import backtest
from monitor.check import References, judge_model
from monitor.check._usual import band, earlier_windows, poisson_low, t_quantile
from monitor.config import Windows, load
from monitor.profile import Cutter, Profile
from monitor.records import CheckResult, Column, EventBatch, Finding, FloatArray, LabelledBatch, Verdict, Window
from monitor.source import ReferenceFor, SourceError
from monitor.windows import newest_due
from tests.check.judging import model

OK, BREACHED, NO_DATA, ERROR = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA, Verdict.ERROR
HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0
START = 1_299_974_400.0  # a Sunday, midnight UTC
DAILY = {"size": "1d", "every": "1d", "lateness": "0s"}


class Times:
    """Predictions of which only the times are known, of one version, or of another from an instant on."""

    def __init__(self, times: Any, *, new_version_at: float = math.inf) -> None:
        self.times: FloatArray = np.sort(np.asarray(times, dtype=np.float64))
        self.new_version_at = new_version_at
        self.asked: list[Window] = []

    def newest_event(self, before: float) -> float | None:
        earlier = self.times[: np.searchsorted(self.times, before)]
        return float(earlier[-1]) if len(earlier) else None

    def oldest_event(self) -> float | None:
        return float(self.times[0]) if len(self.times) else None

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        self.asked.append(window)
        found = {}
        for version, start, end in (("1", -math.inf, self.new_version_at), ("2", self.new_version_at, math.inf)):
            ends = np.searchsorted(self.times, [max(window.start, start), min(window.end, end)])
            here = self.times[ends[0] : ends[1]]
            if len(here):
                found[version] = Profile(len(here), float(here[0]), float(here[-1]))
        return found

    def columns(self, window: Window, model: Any) -> tuple[Column, ...]:
        return ()

    def cut(self, span: Window, references: ReferenceFor, cutter: Cutter) -> None:
        raise AssertionError("volume cuts nothing")

    def rows(self, window: Window, columns: Sequence[Column], *, limit: int) -> Mapping[str, EventBatch]:
        raise AssertionError("volume reads no rows")

    def labelled(self, window: Window, **_: Any) -> Iterator[LabelledBatch]:
        yield from ()


def by_day(*counts: int) -> FloatArray:
    """So many predictions on each day from the start on, evenly spread over it."""
    parts = [START + day * DAY + np.arange(count) * DAY / max(count, 1) for day, count in enumerate(counts)]
    return np.concatenate(parts)


def weeks(*counts: int) -> FloatArray:
    """So many predictions a day in each week."""
    return by_day(*[count for count in counts for _ in range(7)])


def look(
    folder: Path, source: Any, now: float, check: dict[str, Any] | None = None, windows: dict[str, Any] | None = None
) -> CheckResult:
    watched = model(folder, windows=windows or DAILY, checks={"volume": check or {}})
    window = newest_due(watched.windows, now)
    (result,) = judge_model("shop", watched, window, source, References(lambda _: None), now=now)
    return result


def found(result: CheckResult, statistic: str = "volume") -> Finding:
    (finding,) = [each for each in result.findings if each.statistic == statistic]
    assert (finding.version, finding.feature) == (None, None), "it is about the model as a whole"
    return finding


def day(number: int) -> float:
    """The end of a day."""
    return START + (number + 1) * DAY


# --- volume -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (240, OK),
        (200, OK),
        (300, OK),
        (130, OK),
        (350, OK),
        (110, BREACHED),
        (0, BREACHED),
        (380, BREACHED),
        (9999, BREACHED),
    ],
)
def test_far_fewer_and_far_more_rows_than_usual_are_a_breach(tmp_path: Path, rows: int, verdict: Verdict) -> None:
    finding = found(look(tmp_path, Times(by_day(*[240] * 63, rows)), day(63), {"silence": None}))
    assert (finding.verdict, finding.rows, finding.value) == (verdict, rows, pytest.approx(rows / 240))
    assert finding.parts == {"usual": pytest.approx(240), "rows": rows}
    assert finding.threshold == pytest.approx(0.5 if rows < 240 else 1.5)


def test_a_window_without_a_row_is_a_breach_and_not_unknown(tmp_path: Path) -> None:
    result = look(tmp_path, Times(by_day(*[240] * 63)), day(63), {"silence": None})
    assert (result.verdict, result.rows, found(result).value) == (BREACHED, 0, 0.0)


def test_usual_is_what_is_usual_on_that_day_of_the_week(tmp_path: Path) -> None:
    """Sundays are quiet: as many rows on a Monday are a breach."""
    history = [240 if number % 7 else 40 for number in range(63)]
    assert found(look(tmp_path, Times(by_day(*history, 40)), day(63))).verdict is OK
    assert found(look(tmp_path, Times(by_day(*history, 40, 40)), day(64))).verdict is BREACHED


def test_a_change_that_is_large_and_not_beyond_chance_is_none(tmp_path: Path) -> None:
    """Four rows a day are two or nine on another one."""
    for rows in (0, 2, 9):
        assert found(look(tmp_path, Times(by_day(*[4] * 63, rows)), day(63))).verdict is OK


def test_a_change_beyond_chance_that_is_small_is_told_and_alerts_nobody(tmp_path: Path) -> None:
    finding = found(look(tmp_path, Times(by_day(*[10_000] * 63, 8000)), day(63)))
    assert (finding.verdict, finding.reason) == (OK, "significant_but_immaterial")
    stricter = found(look(tmp_path, Times(by_day(*[10_000] * 63, 8000)), day(63), {"change": "10%"}))
    assert (stricter.verdict, stricter.reason) == (BREACHED, "beyond_threshold")


def test_an_outage_does_not_hide_the_next_one(tmp_path: Path) -> None:
    history = [0 if number in (49, 21) else 240 for number in range(63)]
    once = [0 if number == 49 else 240 for number in range(63)]
    assert found(look(tmp_path, Times(by_day(*once, 0)), day(63))).verdict is BREACHED
    assert found(look(tmp_path, Times(by_day(*history, 240)), day(63))).verdict is OK


@pytest.mark.parametrize(("days", "known"), [(0, 0), (6, 0), (7, 0), (8, 1), (21, 2), (22, 3), (29, 4), (80, 8)])
def test_with_fewer_than_three_earlier_windows_nothing_is_usual_yet(tmp_path: Path, days: int, known: int) -> None:
    """The day of the first prediction may have begun before it: it is not known."""
    finding = found(look(tmp_path, Times(by_day(*[240] * days, 0)[1:] if days else []), day(days)))
    if known < 3:
        assert finding.verdict is NO_DATA
        assert finding.reason == f"expected at least 3 earlier windows to tell what is usual, got {known}"
    else:
        assert (finding.verdict, finding.reference_rows) == (BREACHED, 240 * known)
        assert finding.calibration == f"t_of_{known}_windows"


def test_history_says_how_many_weeks_tell_what_is_usual(tmp_path: Path) -> None:
    source = Times(weeks(*[240] * 20))
    assert found(look(tmp_path, source, day(139), {"history": 3})).calibration == "t_of_3_windows"
    assert min(window.start for window in source.asked) == day(138) - 4 * WEEK


def test_a_day_that_is_empty_every_week_is_no_data_when_it_is_empty_and_a_breach_when_it_is_not(tmp_path: Path) -> None:
    history = [240 if number % 7 else 0 for number in range(70)]
    finding = found(look(tmp_path, Times(by_day(*history)), day(70), {"silence": None}))
    assert (finding.verdict, finding.reason) == (NO_DATA, "no rows are usual at this time")
    assert found(look(tmp_path, Times(by_day(*history, 240)), day(70))).verdict is BREACHED


def test_all_versions_count_together(tmp_path: Path) -> None:
    source = Times(by_day(*[240] * 64), new_version_at=START + 63.5 * DAY)
    assert found(look(tmp_path, source, day(63))).value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("windows", "starts"),
    [
        (Windows(size="1h", every="1h"), [-7, -14]),
        (Windows(size="7d", every="1d"), [-7, -14]),
        (Windows(size="28d", every="28d"), [-28, -56]),
        (Windows(calendar="week"), [-7, -14]),
        (Windows(calendar="day"), [-7, -14]),
    ],
)
def test_earlier_windows_are_those_of_the_same_hours_and_weekdays(windows: Windows, starts: list[int]) -> None:
    window = newest_due(windows, START + 100 * DAY)
    earlier = earlier_windows(windows, window, 2)
    assert [(each.start - window.start) / DAY for each in earlier] == starts
    assert {each.end - each.start for each in earlier} == {window.end - window.start}


def test_months_are_compared_by_rows_a_day(tmp_path: Path) -> None:
    """March has three days more than February: as many rows a day are as many as usual."""
    source = Times(by_day(*[240] * 400))
    finding = found(look(tmp_path, source, START + 395 * DAY, windows={"calendar": "month", "lateness": "0s"}))
    assert (finding.verdict, finding.value) == (OK, pytest.approx(1.0, abs=1e-3))
    assert len({window.end - window.start for window in source.asked}) > 1


def test_a_source_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    class Broken(Times):
        def newest_event(self, before: float) -> float | None:
            raise SourceError("predictions.parquet: no such file")

    result = look(tmp_path, Broken(by_day(240)), day(1))
    assert (result.verdict, result.reason) == (ERROR, "predictions.parquet: no such file")


# --- silence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("silent", "verdict"), [(60.0, OK), (3600.0, OK), (3601.0, BREACHED), (5 * DAY, BREACHED)])
def test_a_silence_of_more_than_an_hour_is_a_breach(tmp_path: Path, silent: float, verdict: Verdict) -> None:
    times = by_day(*[240] * 3)
    finding = found(look(tmp_path, Times(times), times[-1] + silent), "staleness")
    assert (finding.verdict, finding.value, finding.threshold) == (verdict, silent, 3600.0)


def test_a_model_that_never_predicted_is_not_silent_but_unknown(tmp_path: Path) -> None:
    result = look(tmp_path, Times([]), day(0))
    assert (result.verdict, found(result, "staleness").reason) == (NO_DATA, "no predictions")


def opening_hours(number: int) -> FloatArray:
    """A prediction a minute from eight to six, on so many days."""
    minutes = np.arange(8 * 60, 18 * 60) * 60.0
    return np.concatenate([START + each * DAY + minutes for each in range(number)])


def test_a_shop_that_is_closed_at_night_is_not_silent(tmp_path: Path) -> None:
    """At midnight it has been closed for six hours, as in every week: an hour more than ever is a silence."""
    usual = found(look(tmp_path, Times(opening_hours(64)), day(63)), "staleness")
    assert (usual.verdict, usual.value) == (OK, 6 * HOUR + 60)
    assert usual.threshold == 3600.0 + 6 * HOUR + 60
    early = opening_hours(64)[:-61]
    assert found(look(tmp_path, Times(early), day(63)), "staleness").verdict is BREACHED
    assert found(look(tmp_path, Times(opening_hours(15)), day(14)), "staleness").verdict is BREACHED, "too new to tell"


def test_one_outage_is_no_habit(tmp_path: Path) -> None:
    times = by_day(*[240] * 64)
    outage = day(63) - WEEK
    times = times[(times < outage - 6 * HOUR) | (times >= outage)]
    now = Times(times[times < day(63) - 3 * HOUR])
    assert found(look(tmp_path, now, day(63)), "staleness").verdict is BREACHED


@pytest.mark.parametrize(
    ("check", "statistics"),
    [({}, ["staleness", "volume"]), ({"silence": None}, ["volume"]), ({"change": None}, ["staleness"])],
)
def test_null_turns_one_of_them_off(tmp_path: Path, check: dict[str, Any], statistics: list[str]) -> None:
    result = look(tmp_path, Times(by_day(*[240] * 64)), day(63), check)
    assert [each.statistic for each in result.findings] == statistics


def test_it_is_among_the_checks_that_run_where_none_is_named(tmp_path: Path) -> None:
    assert set(model(tmp_path).checks) == {"drift", "quality", "volume"}


# --- chance -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 5, 7, 40])
@pytest.mark.parametrize("tail", [0.3, 0.025, 1e-4, 1e-7])
def test_student_s_quantiles_are_scipy_s(freedom: int, tail: float) -> None:
    assert t_quantile(tail, freedom) == pytest.approx(scipy.stats.t.isf(tail, freedom), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 5, 6, 8, 10, 16, 52])
def test_the_band_holds_as_many_new_counts_as_it_says(number: int) -> None:
    """Of counts of large numbers, whose logarithms are normal, with one in five left out: at most 10 % more fall out of it."""
    rng, level, repeats = np.random.default_rng(number), 0.02, 40_000
    logs = rng.normal(12.0, 0.3, (repeats, number + 1))
    outside = 0
    for *before, now in np.exp(logs).tolist():
        usual = band(before, level)
        outside += not usual.low <= now <= usual.high
    assert 0.5 * level < outside / repeats < 1.1 * level


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 24.0, 499.0])
def test_the_low_end_of_independent_events_is_scipy_s(mean: float) -> None:
    assert poisson_low(mean, 0.004) == scipy.stats.poisson.ppf(0.004, mean)


def test_few_counts_that_are_alike_are_taken_to_vary_as_independent_events_do() -> None:
    usual = band([100.0] * 8, 0.01)
    assert usual.high - usual.usual > 2.5 * 10
    assert usual.usual - usual.low > 2.5 * 9


@pytest.mark.slow
@pytest.mark.parametrize("every", ["1h", "1d"])
@pytest.mark.parametrize("restless", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("mean", [3.0, 60.0])
def test_a_year_of_traffic_with_a_week_s_season_keeps_the_budget(
    tmp_path: Path, every: str, restless: float, mean: float
) -> None:
    """One false alarm in thirty days, with every change material: 12 in a year; of few looks several years are run."""
    size, years = (HOUR, 1) if every == "1h" else (DAY, 8)
    rng, number = np.random.default_rng(round(mean + 10 * restless)), int(years * 364 * DAY / size)
    phase = 2 * np.pi * np.arange(number) * size
    season = (
        np.exp(0.8 * np.sin(phase / DAY) + 0.4 * np.cos(phase / WEEK))
        if every == "1h"
        else np.exp(0.4 * np.cos(phase / WEEK))
    )
    counts = rng.poisson(mean * season * np.exp(rng.normal(-(restless**2) / 2, restless, number)))
    source = _Counts(counts, size)
    watched = model(
        tmp_path, windows={"size": every, "lateness": "0s"}, checks={"volume": {"silence": None, "change": 0}}
    )
    alarms = 0
    for place in range(9 * round(WEEK / size), number):
        window = Window(START + place * size, START + (place + 1) * size)
        (result,) = judge_model("shop", watched, window, source, References(lambda _: None), now=window.end)
        alarms += result.verdict is BREACHED
    assert alarms <= 12 * years * (number - 9 * round(WEEK / size)) / number


class _Counts(Times):
    """The same, from counts by window: a year of it is no list of times."""

    def __init__(self, counts: Any, size: float) -> None:
        super().__init__([START])
        self.counts, self.size = counts, size

    def profiles(self, window: Window, references: ReferenceFor) -> Mapping[str, Profile]:
        place = round((window.start - START) / self.size)
        rows = int(self.counts[place]) if 0 <= place < len(self.counts) else 0
        return {"1": Profile(rows, window.start, window.end - 1)} if rows else {}


# --- real holes -------------------------------------------------------------------------------------------------------


def replayed(folder: Path, **parts: Any) -> dict[str, tuple[float | None, set[str]]]:
    """By day: the value of volume, and what of volume was breached."""
    section = {"name": "m", "task": "regression", "windows": DAILY, "checks": {"volume": {}}, **parts}
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [section]}]}))
    told: dict[str, tuple[float | None, set[str]]] = {}
    for finding in backtest(load(path)).findings:
        if finding.verdict is BREACHED:
            date = str(np.datetime64(int(finding.window.start), "s"))[:10]
            value, names = told.get(date, (None, set()))
            told[date] = (finding.value if finding.statistic == "volume" else value, names | {finding.statistic})
    return told


@pytest.mark.slow
def test_the_hurricane_is_all_that_kept_the_bikes_from_being_counted(shared_data: Path, tmp_path: Path) -> None:
    """Sandy closed them on 2012-10-29 and 30; a few missing hours of other days are silences where they end one."""
    log = shared_data / "bike_sharing" / "prediction_log" / "predictions.parquet"
    windows = {"size": "1d", "lateness": "1h"}
    told = replayed(tmp_path, predictions={"type": "files", "path": str(log)}, windows=windows)
    assert {date: value for date, (value, names) in told.items() if "volume" in names} == {
        "2012-10-29": pytest.approx(1 / 24), "2012-10-30": pytest.approx(11 / 24),
    }  # fmt: skip
    assert "staleness" in told["2012-10-29"][1]
    hours = {str(each)[:13] for each in pq.read_table(log).column("timestamp").to_pylist()}
    silences = [date for date, (_, names) in told.items() if "staleness" in names]
    midnights = [str(np.datetime64(date) + 1) + " 00" for date in silences]
    assert not hours & set(midnights), "each is a midnight without a row, or the end of the log"


@pytest.mark.slow
def test_garbled_dates_are_holes_on_the_right_days_and_a_surplus_on_the_wrong_ones(
    shared_data: Path, tmp_path: Path
) -> None:
    table = pq.read_table(shared_data / "elec2" / "elec2.parquet", columns=["date_raw", "period", "timestamp"])
    written = np.rint(table.column("date_raw").to_numpy() * 22601).astype(int) + 960507
    right = table.column("timestamp").cast(pa.timestamp("s")).cast(pa.int64()).to_numpy() // 86400
    read = np.array([_days(text) for text in written.tolist()])
    half_hours = np.rint(table.column("period").to_numpy() * 47).astype(int)
    told_ = read >= 0  # of a day and a month swapped, some are no date
    times = (read * 86400 + half_hours * 1800)[told_]
    rows = {
        "event_id": np.arange(len(times)).astype(str),
        "timestamp": times.astype(float),
        "prediction": np.zeros(len(times)),
    }
    pq.write_table(pa.table(rows), tmp_path / "predictions.parquet")
    told = replayed(
        tmp_path, predictions={"type": "files", "path": "predictions.parquet"}, checks={"volume": {"silence": None}}
    )
    before, after = (np.bincount(each[each >= 0] - right.min(), minlength=1000) for each in (right, read))
    changed = {
        str(np.datetime64(int(place + right.min()), "D")): (before[place], after[place])
        for place in np.flatnonzero(before != after)
    }
    holes = {date for date, (expected, got) in changed.items() if got == 0}
    surplus = {date for date, (expected, got) in changed.items() if got > expected}
    assert (len(holes), len(surplus)) == (25, 10)
    assert holes <= set(told)
    assert all(told[date][0] == 0 for date in holes)
    # One of them has two holes and more among its eight earlier days.
    assert len(surplus & set(told)) >= 9
    assert set(told) <= holes | surplus | {"1997-05-04"}, "that Sunday is there twice"


def _days(written: int) -> int:
    """Days since 1970 of a date written yymmdd; -1 where it is none."""
    text = f"{written:06d}"
    try:
        return int(np.datetime64(f"19{text[:2]}-{text[2:4]}-{text[4:]}", "D").astype(int))
    except ValueError:
        return -1
