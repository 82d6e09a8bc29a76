"""The check `skew` on real rows: the faults that are in them are found, those put into them too, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitor.check._units import other_unit
from monitor.records import Verdict, Window
from tests.check.skew_worlds import (
    DAY,
    START,
    as_events,
    compared,
    configured,
    faults,
    judged,
    of,
    saved,
    schema,
    spread_over,
)

BIKE: dict[str, Any] = {
    name: {}
    for name in "season holiday workingday weekday hr weathersit temp atemp hum windspeed".split()
}  # fmt: skip
ELEC: dict[str, Any] = {name: {} for name in "day period nswprice nswdemand vicprice vicdemand transfer".split()}


def window(start: Any, days: float) -> Window:
    seconds = pd.Timestamp(start).timestamp()
    return Window(seconds, seconds + days * DAY)


def of_days(days: int) -> dict[str, str]:
    return {"size": f"{days}d", "every": f"{days}d", "lateness": "1h"}


@pytest.fixture(scope="module")
def bike(shared_data: Path) -> pd.DataFrame:
    return pd.read_parquet(shared_data / "bike_sharing" / "prediction_log" / "predictions.parquet")


@pytest.fixture(scope="module")
def elec(shared_data: Path) -> pd.DataFrame:
    return pd.read_parquet(shared_data / "elec2" / "prediction_log" / "predictions.parquet")


def months(rows: pd.DataFrame) -> Iterator[tuple[pd.Timestamp, pd.DataFrame]]:
    for month, held in rows.groupby(rows.timestamp.dt.to_period("M")):
        yield month.start_time, held


@pytest.mark.slow
def test_halves_of_a_month_of_bikes_are_alike(tmp_path: Path, bike: pd.DataFrame) -> None:
    draw = np.random.default_rng(1)
    for start, rows in months(bike):
        half = draw.random(len(rows)) < 0.5
        saved(tmp_path, "reference", rows[half])
        saved(tmp_path, "predictions", rows[~half])
        result = judged(tmp_path, configured(tmp_path, features=BIKE, windows=of_days(31)), window(start, 31))
        assert result.verdict is Verdict.OK, start


@pytest.mark.slow
def test_a_day_without_humidity_is_found_and_no_other_day_of_february_and_march_is(
    tmp_path: Path, bike: pd.DataFrame
) -> None:
    saved(tmp_path, "reference", bike[bike.split == "reference"])
    saved(tmp_path, "predictions", bike[bike.split == "production"])
    model = configured(tmp_path, {"min_rows": 20}, features=BIKE)
    found = {}
    for day in pd.date_range("2011-02-01", "2011-03-20"):
        wrong = faults(judged(tmp_path, model, window(day, 1)))
        found |= {str(day.date()): wrong} if wrong else {}
    assert found == {"2011-03-10": {"hum": "out_of_range"}}


@pytest.mark.slow
def test_the_seasons_are_told_as_drift_and_as_no_fault_but_the_season_that_woke_up(
    tmp_path: Path, bike: pd.DataFrame
) -> None:
    """Against January, July is 20 degrees warmer: no unit, no range, no name was changed."""
    saved(tmp_path, "reference", bike[bike.split == "reference"])
    saved(tmp_path, "predictions", bike[bike.split == "production"])
    model = configured(tmp_path, features=BIKE, windows=of_days(31))
    for month in pd.date_range("2011-04-01", "2012-12-01", freq="MS"):
        result = judged(tmp_path, model, window(month, 31))
        assert set(faults(result)) <= {"season"}, month
        assert set(faults(result).values()) <= {"woke_up", "out_of_range"}
    july = judged(tmp_path, model, window("2011-07-01", 31))
    assert of(july, "distribution", "temp").verdict is Verdict.BREACHED
    assert of(july, "distribution", "temp").value > 0.9


@pytest.mark.slow
def test_columns_of_elec2_wake_up_when_victoria_joins_and_not_before(tmp_path: Path, elec: pd.DataFrame) -> None:
    saved(tmp_path, "reference", elec[elec.split == "reference"])
    saved(tmp_path, "predictions", elec[elec.split == "production"])
    model = configured(tmp_path, features=ELEC, task="binary", windows=of_days(7))
    three = dict.fromkeys(("vicprice", "vicdemand", "transfer"), "woke_up")
    for monday in pd.date_range("1997-02-24", "1997-07-21", freq="7D"):
        result = judged(tmp_path, model, window(monday, 7))
        assert faults(result) == ({} if monday < pd.Timestamp("1997-04-28") else three), monday
        if monday < pd.Timestamp("1997-04-28"):
            assert result.verdict is Verdict.OK


@pytest.mark.slow
def test_halves_of_the_reference_of_elec2_are_alike_and_later_weeks_have_no_fault(
    tmp_path: Path, elec: pd.DataFrame
) -> None:
    reference = elec[elec.split == "reference"]
    half = np.random.default_rng(1).random(len(reference)) < 0.5
    saved(tmp_path, "reference", reference[half])
    saved(tmp_path, "predictions", reference[~half])
    model = configured(tmp_path, features=ELEC, task="binary", windows=of_days(400))
    assert judged(tmp_path, model, window("1996-05-01", 400)).verdict is Verdict.OK
    middle = pd.Timestamp("1996-09-25")
    saved(tmp_path, "reference", reference[reference.timestamp < middle])
    saved(tmp_path, "predictions", reference)
    model = configured(tmp_path, features=ELEC, task="binary", windows=of_days(7))
    for week in range(20):
        assert faults(judged(tmp_path, model, window(middle + pd.Timedelta(days=7 * week), 7))) == {}


@pytest.mark.slow
def test_years_of_employment_are_alike(tmp_path: Path, shared_data: Path) -> None:
    columns = {"id": "id", "timestamp": "replay_timestamp"}
    names = "AGEP SCHL MAR RELP DIS ESP CIT MIG MIL ANC NATIVITY DEAR DEYE DREM SEX RAC1P".split()
    folder = shared_data / "ma_employment"
    model = configured(
        tmp_path, features={name: {} for name in names}, task="binary", columns=columns, windows=of_days(365),
        reference={"type": "files", "path": str(folder / "reference.parquet")},
        predictions={"type": "files", "path": str(folder / "analysis.parquet")},
    )  # fmt: skip
    for year in (2016, 2017, 2018):
        result = judged(tmp_path, model, window(f"{year}-01-01", 365))
        assert result.verdict is Verdict.OK
        assert len(result.findings) == 2 * 16


@pytest.mark.slow
def test_no_drift_of_bikes_or_prices_is_taken_for_a_unit(bike: pd.DataFrame, elec: pd.DataFrame) -> None:
    """Every month, and every week, against every month or the reference; numbers of rides among them, which grow tenfold."""
    for rows, columns in ((bike, ("temp", "atemp", "hum", "windspeed")), (elec, ("nswprice", "nswdemand", "vicprice"))):
        references = [held for _, held in months(rows)]
        weeks = [held for _, held in rows.groupby(rows.timestamp.dt.to_period("W")) if len(held) >= 100]
        for reference in references[:: 3 if len(references) > 12 else 1]:
            for current in [*references, *weeks[::3]]:
                for name in columns:
                    assert other_unit(reference[name].to_numpy(), current[name].to_numpy()) is None


# --- faults that are put in -------------------------------------------------------------------------------------------

Change = Callable[[pd.DataFrame], pd.DataFrame]
ADULT: list[tuple[Change, dict[str, str]]] = [
    (lambda rows: rows, {}),
    (lambda rows: rows.rename(columns={"age": "years"}), {"age": "renamed"}),
    (lambda rows: rows.rename(columns={"occupation": "job"}), {"occupation": "renamed"}),
    (lambda rows: rows.assign(fnlwgt=rows.fnlwgt * 1000), {"fnlwgt": "unit"}),
    (lambda rows: rows.assign(capital_gain=rows.capital_gain / 1000), {"capital_gain": "unit"}),
    (lambda rows: rows.assign(hours_per_week=rows.hours_per_week * 60), {"hours_per_week": "unit"}),
    (lambda rows: rows.assign(age=rows.age.astype(str)), {"age": "type"}),
    (lambda rows: rows.drop(columns="race"), {"race": "missing"}),
    (lambda rows: rows.assign(education_num=np.nan), {"education_num": "all_null"}),
    (lambda rows: rows.assign(workclass=rows.workclass.astype(object).str.lower()), {"workclass": "unseen"}),
    (lambda rows: rows.assign(sex="Male"), {"sex": "constant"}),
]


@pytest.fixture(scope="module")
def adult(shared_data: Path) -> pd.DataFrame:
    rows = pd.read_parquet(shared_data / "adult" / "adult.parquet").drop(columns=["row", "income_gt_50k"])
    return rows.sample(frac=1, random_state=1, ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(ADULT)))
def test_faults_put_into_the_census_are_found_by_the_right_word(
    tmp_path: Path, adult: pd.DataFrame, place: int
) -> None:
    change, expected = ADULT[place]
    reference = spread_over(adult[:28_000], START, 28)
    current = spread_over(change(adult[28_000:29_000].reset_index(drop=True)), START + pd.Timedelta(days=28), 1)
    result = compared(tmp_path, reference, current)
    assert faults(result) == expected
    assert set(schema(result)) >= set(adult.columns)
    if not expected:
        assert result.verdict is Verdict.OK


BIKES: list[tuple[str, Change, str, str | None]] = [
    ("temp", lambda rows: rows.assign(temp=rows.temp * 1000), "unit", "values are about 1000 times the reference's"),
    ("temp", lambda rows: rows.assign(temp=rows.temp * 1.8 + 32), "unit", "values look like Fahrenheit where the reference has Celsius"),
    ("temp", lambda rows: rows.assign(temp=rows.temp / 41), "unit", "values are about 0.02439 times the reference's"),
    ("hum", lambda rows: rows.rename(columns={"hum": "humidity"}), "renamed", "to humidity"),
    ("hum", lambda rows: rows.assign(hum=rows.hum.map("{:.2f}".format)), "type", "100 % of the values are no numbers"),
    ("windspeed", lambda rows: rows.drop(columns="windspeed"), "missing", None),
    ("windspeed", lambda rows: rows.assign(windspeed=np.nan), "all_null", None),
    ("windspeed", lambda rows: rows.assign(windspeed=0.0), "constant", "every value is 0"),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(BIKES)))
def test_faults_put_into_february_are_found_by_the_right_word(tmp_path: Path, bike: pd.DataFrame, place: int) -> None:
    """Against January as it was, and so with the drift of a month beside them."""
    column, change, word, caution = BIKES[place]
    celsius = bike.assign(temp=bike.temp * 41)
    february = celsius[celsius.timestamp.dt.to_period("M") == "2011-02"]
    saved(tmp_path, "reference", celsius[celsius.split == "reference"])
    saved(tmp_path, "predictions", change(february))
    declared = {name: {"type": "numeric"} for name in BIKE}
    result = judged(tmp_path, configured(tmp_path, features=declared, windows=of_days(28)), window("2011-02-01", 28))
    assert faults(result) == {column: word}
    assert of(result, "schema", column).caution == caution


# --- record by record -------------------------------------------------------------------------------------------------


def mismatches(folder: Path, feature: str, spans: list[Window], size: int, min_rows: int = 20) -> dict[str, float]:
    """The share of rows whose feature is not what its recomputation says, by the day the window begins."""
    check = {"min_rows": 20, "replay": {"type": "files", "path": "offline.parquet", "min_rows": min_rows}}
    model = configured(folder, check, features={feature: {}}, task="binary", windows=of_days(size), reference=None)
    found = {}
    for each in spans:
        result = judged(folder, model, each)
        begins = str(pd.Timestamp(each.start, unit="s").date())
        found[begins] = float(of(result, "record_mismatch_ratio", feature).value or 0.0)
    return found


@pytest.mark.slow
def test_the_weekday_of_elec2_is_one_ahead_from_the_day_that_is_in_it_twice(tmp_path: Path, elec: pd.DataFrame) -> None:
    saved(tmp_path, "predictions", elec)
    calendar = elec.timestamp.dt.dayofweek + 1
    saved(tmp_path, "offline", elec[["event_id"]].assign(day=calendar))
    spans = [window(day, 7) for day in pd.date_range("1996-05-06", "1998-11-30", freq="7D")]
    found = mismatches(tmp_path, "day", spans, 7)
    right = {day: share for day, share in found.items() if day < "1997-04-28"}
    wrong = {day: share for day, share in found.items() if day > "1997-04-28"}
    assert set(right.values()) == {0.0}
    assert set(wrong.values()) == {1.0}
    assert len(right) == 51
    # Seven days and one of them twice: the second copy is the first that is wrong.
    assert found["1997-04-28"] == 48 / (8 * 48)


@pytest.mark.slow
def test_garbled_dates_are_the_27_days_that_differ_from_the_calendar(tmp_path: Path, shared_data: Path) -> None:
    raw = pd.read_parquet(shared_data / "elec2" / "elec2.parquet")
    events = as_events(raw)[["event_id", "timestamp", "model_version", "prediction", "date_raw", "date_ok"]]
    saved(tmp_path, "predictions", events)
    dates = raw.timestamp.dt.strftime("%y%m%d").astype(int)
    saved(tmp_path, "offline", events[["event_id"]].assign(date_raw=((dates - 960507) / 22601).round(6)))
    by_month = mismatches(
        tmp_path, "date_raw", [window(day, 31) for day in pd.date_range("1996-05-01", "1998-12-01", freq="31D")], 31
    )
    bad = {day for day, share in by_month.items() if share > 0.01}
    days = [window(pd.Timestamp(day) + pd.Timedelta(days=step), 1) for day in sorted(bad) for step in range(31)]
    days = [each for each in days if each.start <= raw.timestamp.max().timestamp()]
    found = {day for day, share in mismatches(tmp_path, "date_raw", days, 1).items() if share > 0.01}
    garbled = {str(day) for day in raw[~raw.date_ok].timestamp.dt.date}
    assert len(garbled) == 27
    assert found == garbled
