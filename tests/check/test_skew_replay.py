"""Logged features held against their recomputation, record by record: by id, and by what was known at the time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitor.check import References, judge_model
from monitor.records import CheckResult, Finding, Verdict
from monitor.source._offline import latest_before
from monitor.source.ingest import IngestSource
from monitor.windows import bucket_seconds
from tests.check.skew_worlds import DAY, START, WINDOW, configured, judged, saved, spread_over
from tests.source.worlds import push
from tests.store.rows import opened

REPLAY = {"type": "files", "path": "offline.parquet"}
FEATURES: dict[str, Any] = {"speed": {"type": "numeric"}, "kind": {"type": "categorical"}}


def online(rows: int = 400) -> pd.DataFrame:
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"speed": draw.normal(0, 30, rows), "kind": draw.choice(["sloop", "ketch"], rows)})
    return spread_over(frame, START + pd.Timedelta(days=28), 1)


def replayed(folder: Path, logged: pd.DataFrame, offline: pd.DataFrame, **replay: Any) -> dict[str | None, Finding]:
    """What is said of each feature; no reference is needed."""
    saved(folder, "predictions", logged)
    saved(folder, "offline", offline)
    return by_feature(judged(folder, model(folder, **replay)))


def model(folder: Path, predictions: str = "files", **replay: Any) -> Any:
    source = {"type": "files", "path": "predictions.parquet"} if predictions == "files" else {"type": "ingest"}
    check = {"replay": {**REPLAY, **replay}}
    return configured(folder, check, reference=None, features=FEATURES, predictions=source)


def by_feature(result: CheckResult) -> dict[str | None, Finding]:
    found = [each for each in result.findings if each.statistic == "record_mismatch_ratio"]
    assert len({each.feature for each in found}) == len(found)
    return {each.feature: each for each in found}


def test_the_same_values_do_not_differ_whatever_their_order(tmp_path: Path) -> None:
    logged = online()
    found = replayed(tmp_path, logged, logged[["event_id", "speed", "kind"]].sample(frac=1, random_state=1))
    assert set(found) == {"speed", "kind"}
    for each in found.values():
        assert (each.verdict, each.value, each.threshold, each.rows) == (Verdict.OK, 0.0, 0.01, 400)
        assert each.parts == {"exact": 0.0, "joined": 400.0, "unmatched": 0.0}
        assert each.caution is None


def test_exact_and_tolerated_differences_are_told_apart(tmp_path: Path) -> None:
    """A hundred values are rounded to single precision, ten are wrong, one name is another."""
    logged = online()
    offline = logged[["event_id", "speed", "kind"]].copy()
    offline.loc[:99, "speed"] = offline.speed[:100].astype(np.float32).astype(float)
    offline.loc[200:209, "speed"] += 1
    offline.loc[7, "kind"] = "yawl"
    found = replayed(tmp_path, logged, offline)
    assert (found["speed"].value, found["speed"].verdict) == (10 / 400, Verdict.BREACHED)
    assert found["speed"].parts["exact"] == 110 / 400
    assert (found["kind"].value, found["kind"].verdict) == (1 / 400, Verdict.OK)
    loose = replayed(tmp_path, logged, offline, tolerances={"speed": 2.0}, threshold=0)
    assert (loose["speed"].value, loose["speed"].verdict, loose["speed"].parts["exact"]) == (0.0, Verdict.OK, 110 / 400)
    assert (loose["kind"].threshold, loose["kind"].verdict) == (0.0, Verdict.BREACHED)


def test_a_value_that_is_there_on_one_side_only_differs_and_one_that_is_missing_on_both_does_not(
    tmp_path: Path,
) -> None:
    logged = online()
    logged.loc[:49, ["speed", "kind"]] = [np.nan, None]
    offline = logged[["event_id", "speed", "kind"]].copy()
    offline.loc[40:59, ["speed", "kind"]] = [
        [np.nan, None] if place >= 50 else [1.0, "ketch"] for place in range(40, 60)
    ]
    found = replayed(tmp_path, logged, offline)
    assert found["speed"].value == found["kind"].value == 20 / 400


def test_rows_without_a_partner_are_counted_and_no_mismatch(tmp_path: Path) -> None:
    logged = online()
    found = replayed(tmp_path, logged, logged[["event_id", "speed", "kind"]][:300])
    assert found["speed"].parts == {"exact": 0.0, "joined": 300.0, "unmatched": 100.0}
    assert (found["speed"].rows, found["speed"].caution) == (300, "100 of 400 rows have no offline row")


def test_the_row_that_was_known_at_the_time_is_taken_and_never_one_of_the_future(tmp_path: Path) -> None:
    logged = online()
    base = logged[["event_id", "timestamp", "speed", "kind"]]
    stale = base.assign(timestamp=base.timestamp - pd.Timedelta(days=2), speed=0.0)
    then = base.assign(timestamp=base.timestamp - pd.Timedelta(hours=1))
    future = base.assign(timestamp=base.timestamp + pd.Timedelta(seconds=1), speed=99.0)
    assert replayed(tmp_path, logged, pd.concat([future, then, stale]))["speed"].value == 0.0
    assert replayed(tmp_path, logged, pd.concat([base, future]))["speed"].value == 0.0  # at the very time counts
    # Those with no row but of the future have no partner.
    found = replayed(tmp_path, logged, pd.concat([then[:250], future]))["speed"]
    assert (found.value, found.parts["unmatched"]) == (0.0, 150.0)
    assert found.caution == "150 of 400 rows have no offline row, 150 of them only a later one"


def test_of_several_rows_without_a_time_the_last_one_stands(tmp_path: Path) -> None:
    logged = online()
    rows = logged[["event_id", "speed", "kind"]]
    assert replayed(tmp_path, logged, pd.concat([rows.assign(speed=0.0), rows]))["speed"].value == 0.0
    assert replayed(tmp_path, logged, pd.concat([rows, rows.assign(speed=1e9)]))["speed"].value == 1.0


def in_a_database(folder: Path, logged: pd.DataFrame, offline: pd.DataFrame) -> Any:
    """The same recomputation in a table of SQLite; what is said of each feature."""
    with closing(sqlite3.connect(folder / "offline.db")) as connection, connection:
        written = offline.assign(timestamp=offline.timestamp.astype(str)) if "timestamp" in offline else offline
        written.to_sql("offline", connection, index=False)
    saved(folder, "predictions", logged)
    check = {"replay": {"type": "sql", "url": "sqlite:///offline.db", "query": "SELECT * FROM offline"}}
    parts = {"predictions": {"type": "files", "path": "predictions.parquet"}}
    return by_feature(judged(folder, configured(folder, check, reference=None, features=FEATURES, **parts)))


@pytest.mark.parametrize("timed", [True, False])
def test_what_is_recomputed_may_be_in_a_database(tmp_path: Path, timed: bool) -> None:
    """It is judged as the same rows in files are."""
    logged = online()
    offline = logged[["event_id", "timestamp", "speed", "kind"]].copy()
    offline.loc[200:209, "speed"] += 1
    offline.loc[7, "kind"] = "yawl"
    offline.loc[8, "speed"] = None
    if timed:
        offline = pd.concat([offline.assign(timestamp=offline.timestamp - pd.Timedelta(days=1), speed=0.0), offline])
        offline = offline[10:]
    else:
        offline = offline[10:].drop(columns="timestamp")
    by_file = replayed(tmp_path, logged, offline)
    by_query = in_a_database(tmp_path, logged, offline)
    assert {
        name: (each.verdict, each.value, each.rows, each.parts, each.caution) for name, each in by_query.items()
    } == {name: (each.verdict, each.value, each.rows, each.parts, each.caution) for name, each in by_file.items()}
    assert by_query["speed"].value


def test_a_query_without_the_id_or_without_rows_is_told(tmp_path: Path) -> None:
    logged = online()
    nothing = in_a_database(tmp_path, logged, logged[["event_id", "speed", "kind"]][:0])
    assert nothing["speed"].reason == "expected at least 100 rows with an offline row, got 0"
    (tmp_path / "offline.db").unlink()
    (found,) = in_a_database(tmp_path, logged, logged[["speed", "kind"]]).values()
    said = "query: expected the column 'event_id' (columns.id, which replay joins by), got the columns speed, kind"
    assert (found.verdict, found.reason) == (Verdict.ERROR, said)


def test_ids_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    logged = online().assign(event_id=range(400))
    offline = logged[["event_id", "speed", "kind"]].assign(event_id=[str(place) for place in range(400)])
    assert replayed(tmp_path, logged, offline)["speed"].parts["joined"] == 400


def test_what_the_offline_rows_lack_and_too_few_of_them_are_no_data(tmp_path: Path) -> None:
    logged = online()
    found = replayed(tmp_path, logged, logged[["event_id", "speed"]])
    assert (found["kind"].verdict, found["kind"].reason) == (Verdict.NO_DATA, "the offline rows have no column 'kind'")
    assert found["speed"].verdict is Verdict.OK
    few = replayed(tmp_path, logged, logged[["event_id", "speed", "kind"]][:99])
    assert {each.reason for each in few.values()} == {"expected at least 100 rows with an offline row, got 99"}
    none = replayed(tmp_path, logged, logged[["event_id", "speed", "kind"]].assign(event_id="x"))
    assert {each.verdict for each in none.values()} == {Verdict.NO_DATA}


def test_offline_rows_that_cannot_be_read_are_an_error_that_says_so(tmp_path: Path) -> None:
    logged = online()
    found = replayed(tmp_path, logged, logged[["speed", "kind"]])[None]
    assert found.verdict is Verdict.ERROR
    assert "expected the column 'event_id' (columns.id, which replay joins by)" in found.reason
    (tmp_path / "offline.parquet").unlink()
    (gone,) = by_feature(judged(tmp_path, model(tmp_path))).values()
    assert gone.verdict is Verdict.ERROR
    assert "found nothing" in gone.reason


def test_a_condition_picks_the_offline_rows_and_csv_will_do(tmp_path: Path) -> None:
    logged = online()
    rows = logged[["event_id", "timestamp", "speed", "kind"]]
    saved(tmp_path, "predictions", logged)
    both = pd.concat([rows.assign(run="nightly"), rows.assign(run="test", speed=1e9)])
    both.to_csv(tmp_path / "offline.csv", index=False)
    found = by_feature(judged(tmp_path, model(tmp_path, path="offline.csv", where="run = 'nightly'")))
    assert (found["speed"].value, found["speed"].parts["joined"]) == (0.0, 400.0)


def test_pushed_predictions_are_joined_by_the_id_they_were_pushed_with(tmp_path: Path) -> None:
    logged = online()
    offline = logged[["event_id", "speed", "kind"]].copy()
    offline.loc[:39, "speed"] += 1
    saved(tmp_path, "offline", offline)
    watched = model(tmp_path, "ingest")
    with opened(tmp_path) as store:
        push(store, logged, ("speed", "kind"))
        source = IngestSource(store, "shop", "demand", bucket_seconds=bucket_seconds(watched.windows))
        references = References(lambda _: None, directory=tmp_path)
        (result,) = judge_model("shop", watched, WINDOW, source, references, now=WINDOW.end + DAY)
    found = by_feature(result)
    assert (found["speed"].value, found["speed"].parts["joined"]) == (40 / 400, 400.0)
    assert found["kind"].value == 0.0


def test_only_so_many_rows_are_looked_at(tmp_path: Path) -> None:
    logged = online(1000)
    saved(tmp_path, "predictions", logged)
    saved(tmp_path, "offline", logged[["event_id", "speed", "kind"]])
    check = {"rows": 200, "replay": REPLAY}
    result = judged(tmp_path, configured(tmp_path, check, reference=None, features=FEATURES))
    assert by_feature(result)["speed"].parts["joined"] == 200


def test_the_join_equals_that_of_pandas() -> None:
    draw = np.random.default_rng(1)
    for _ in range(50):
        keys, times = draw.integers(0, 8, 60), draw.integers(0, 30, 60).astype(float)
        others, known = draw.integers(0, 9, 40), draw.integers(0, 30, 40).astype(float)
        right = pd.DataFrame({"key": others, "time": known, "place": np.arange(40)}).sort_values("time", kind="stable")
        left = pd.DataFrame({"key": keys, "time": times, "row": np.arange(60)}).sort_values("time", kind="stable")
        joined = pd.merge_asof(left, right, on="time", by="key").sort_values("row").place.fillna(-1).astype(int)
        assert latest_before(keys, times, others, known).tolist() == joined.tolist()


@pytest.mark.parametrize(("rows", "others"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_joins_nothing(rows: int, others: int) -> None:
    found = latest_before(np.zeros(rows, int), np.zeros(rows), np.zeros(others, int), np.zeros(others))
    assert found.tolist() == ([-1] * rows if not others else [])
