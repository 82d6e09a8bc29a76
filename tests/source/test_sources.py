"""Whatever kind of source predictions come from, a window of them is the same: profiles, raw rows, labels, stretches."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitor.profile import Cutter, Profile, Reference, build_reference, profile_batch
from monitor.records import Column, ColumnKind, EventBatch, Role, Window
from monitor.source.files import open_source
from monitor.source.ingest import IngestSource
from monitor.store import Store, events, expiry
from monitor.store.events import NewEvent
from tests.profile.columns import objects
from tests.source.worlds import (
    DAY,
    HOUR,
    KINDS,
    START,
    log,
    model,
    push,
    push_labels,
    seconds,
    source,
)
from tests.store.rows import opened

NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL
COLUMNS = (
    Column("x", NUMERIC),
    Column("c", CATEGORICAL),
    Column("prediction", CATEGORICAL, role=Role.PREDICTION),
    Column("score", NUMERIC, role=Role.SCORE),
)
WINDOW = Window(START + 2 * DAY, START + 7 * DAY)
kinds = pytest.mark.parametrize("kind", KINDS)


def features(made: pd.DataFrame) -> dict[str, Any]:
    return {
        "x": made.x.to_numpy(dtype=np.float64),
        "c": objects([None if pd.isna(name) else name for name in made.c]),
        "prediction": objects([str(said) for said in made.prediction]),
        "score": made.probability.to_numpy(dtype=np.float64),
    }


def reference(match: tuple[str, ...] = (), columns: tuple[Column, ...] = COLUMNS, seed: int = 99) -> Reference:
    made = log(800, seed=seed)
    held = {**features(made), "label": objects(["1", "0"] * 400)}
    rows = EventBatch("1", seconds(made), {column.name: held[column.name] for column in columns})
    return build_reference(rows, columns, fingerprint=f"r{match}", version="1", window_seconds=DAY, match=match)


def held_in(made: pd.DataFrame, window: Window, version: str) -> pd.DataFrame:
    times = seconds(made)
    return made[(times >= window.start) & (times < window.end) & (made.model_version == version)]


def recount(made: pd.DataFrame, window: Window, version: str, known: Reference) -> Profile:
    rows = held_in(made, window, version)
    bins = {name: bins for name, bins in known.bins.items() if name != "label"}
    return profile_batch(EventBatch(version, seconds(rows), features(rows)), bins)


def assert_same(found: Profile, expected: Profile) -> None:
    assert found.rows == expected.rows
    assert (found.first, found.last) == pytest.approx((expected.first, expected.last), abs=1e-5)
    assert list(found.columns) == list(expected.columns)
    for name, column in expected.columns.items():
        mine = found.columns[name]
        assert mine.counts.tolist() == column.counts.tolist(), name
        assert (mine.missing, mine.absent, mine.unseen) == (column.missing, column.absent, column.unseen), name
        assert mine.sums == pytest.approx(column.sums, rel=1e-12, abs=1e-9), name
        assert (mine.low, mine.high) == (column.low, column.high), name
        assert mine.spread() == pytest.approx(column.spread(), rel=1e-12), name


# --- profiles ---------------------------------------------------------------------------------------------------------


@kinds
def test_a_window_is_profiled_by_version_with_its_predictions_and_scores(kind: str, tmp_path: Path) -> None:
    made, known = log(600), reference()
    with source(kind, tmp_path, model(tmp_path), made) as opened_source:
        found = opened_source.profiles(WINDOW, lambda _: known)
    assert set(found) == {"1", "2"}
    for version in found:
        assert_same(found[version], recount(made, WINDOW, version, known))
        assert found[version].columns["prediction"].rows == len(held_in(made, WINDOW, version))


@kinds
def test_what_is_matched_by_season_is_counted_by_it(kind: str, tmp_path: Path) -> None:
    made, known = log(600), reference(("day_of_week", "hour_of_day"))
    with source(kind, tmp_path, model(tmp_path), made) as opened_source:
        if isinstance(opened_source, IngestSource):
            opened_source.catch_up(opened_source.store, lambda _: known, now=START)  # type: ignore[arg-type]
        found = opened_source.profiles(WINDOW, lambda _: known)
    for version in ("1", "2"):
        expected: dict[int, int] = {}
        for time in seconds(held_in(made, WINDOW, version)).tolist():
            moment = datetime.fromtimestamp(time, UTC)
            cell = moment.weekday() * 24 + moment.hour
            expected[cell] = expected.get(cell, 0) + 1
        assert dict(found[version].seasons) == expected


@kinds
def test_the_label_has_bins_and_is_in_no_windows_profile(kind: str, tmp_path: Path) -> None:
    made = log(100)
    known = reference(columns=(*COLUMNS, Column("label", CATEGORICAL, role=Role.LABEL)))
    assert "label" in known.bins
    with source(kind, tmp_path, model(tmp_path), made) as opened_source:
        found = opened_source.profiles(WINDOW, lambda _: known)
    assert set(found["1"].columns) == {"x", "c", "prediction", "score"}


@kinds
def test_versions_may_have_references_of_their_own_or_none(kind: str, tmp_path: Path) -> None:
    made = log(300)
    other = reference(columns=COLUMNS[1:3], seed=5)
    with source(kind, tmp_path, model(tmp_path), made) as opened_source:
        found = opened_source.profiles(WINDOW, lambda version: other if version == "2" else None)
    assert_same(found["2"], recount(made, WINDOW, "2", other))
    assert (found["1"].rows, found["1"].columns) == (len(held_in(made, WINDOW, "1")), {})


@kinds
def test_a_column_that_is_not_there_at_all_is_missing_and_absent(kind: str, tmp_path: Path) -> None:
    made, known = log(100), reference()
    without = made.drop(columns="c")
    if kind == "ingest":
        with opened(tmp_path / "data") as store:
            push(store, without, ("x",))
            found = IngestSource(store, "shop", "demand", bucket_seconds=3600).profiles(WINDOW, lambda _: known)
    else:
        with source(kind, tmp_path, model(tmp_path), without) as opened_source:
            found = opened_source.profiles(WINDOW, lambda _: known)
    for version, profile in found.items():
        column = profile.columns["c"]
        assert (column.missing, column.absent, column.counts.sum()) == (profile.rows, profile.rows, 0)
        assert profile.columns["x"].absent == 0
        assert profile.rows == len(held_in(made, WINDOW, version))


@kinds
def test_the_oldest_and_the_newest_event(kind: str, tmp_path: Path) -> None:
    made = log(100)
    with source(kind, tmp_path, model(tmp_path), made) as opened_source:
        times = np.sort(seconds(made))
        assert opened_source.oldest_event() == pytest.approx(times[0], abs=1e-5)
        assert opened_source.newest_event(times[-1] + 1) == pytest.approx(times[-1], abs=1e-5)
        assert opened_source.newest_event(times[40] + 0.01) == pytest.approx(times[40], abs=1e-5)
        assert opened_source.newest_event(times[0]) is None


# --- raw rows ---------------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("limit", [7, 10_000])
def test_raw_rows_are_evenly_spread_over_the_window_in_order_of_time(kind: str, limit: int, tmp_path: Path) -> None:
    made = log(600)
    # In order of time: what is evenly spread over a file is evenly spread over time where the file is a log.
    made = made.sort_values("timestamp") if limit < 600 else made
    with source(kind, tmp_path, model(tmp_path), made) as opened_source:
        found = opened_source.rows(WINDOW, COLUMNS, limit=limit)
    assert set(found) == {"1", "2"}
    for version, rows in found.items():
        expected = held_in(made, WINDOW, version).sort_values("timestamp")
        assert (rows.version, len(rows)) == (version, min(limit, len(expected)))
        assert (np.diff(rows.times) >= 0).all()
        places = np.searchsorted(seconds(expected), rows.times - 1e-3)
        gaps = np.diff(places)
        assert gaps.max() - gaps.min() <= 1
        held = features(expected.iloc[places])
        for column in COLUMNS:
            values = rows.features[column.name]
            assert values.tolist() == pytest.approx(held[column.name].tolist(), nan_ok=True), column.name  # type: ignore[union-attr]


def vectors_and_texts() -> tuple[list[Any], list[Any]]:
    vectors = [[1.0, 2.0, 3.0], None, [4, 5, 6], [1.0], [7.0, None, 9.0], [0.5, 0.25, 0.125]]
    return vectors, ["some words", None, "", "more", "ü", "5"]


@pytest.mark.parametrize("kind", ["parquet", "ingest"])
def test_vectors_and_texts_come_as_they_are(kind: str, tmp_path: Path) -> None:
    vectors, texts = vectors_and_texts()
    made = log(6).assign(v=vectors, note=texts, model_version="1").sort_values("timestamp")
    columns = (Column("v", ColumnKind.VECTOR), Column("note", ColumnKind.TEXT), Column("gone", ColumnKind.VECTOR))
    if kind == "ingest":
        rows = [
            NewEvent(
                row["event_id"],
                row["timestamp"].tz_localize("UTC").timestamp(),
                "1",
                {"v": row["v"], "note": row["note"]},
                1,
            )
            for row in made.to_dict("records")
        ]
        with opened(tmp_path / "data") as store:
            store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=START))
            found = IngestSource(store, "shop", "demand", bucket_seconds=3600).rows(
                Window(START, START + 10 * DAY), columns, limit=100
            )["1"]
    else:
        with source(kind, tmp_path, model(tmp_path), made) as opened_source:
            found = opened_source.rows(Window(START, START + 10 * DAY), columns, limit=100)["1"]
    nothing = [math.nan] * 3
    usable = [value if value is not None and len(value) == 3 and None not in value else nothing for value in made.v]
    assert np.array(found.features["v"]).tolist() == pytest.approx(np.array(usable, dtype=float), nan_ok=True)
    assert found.features["note"].tolist() == made.note.tolist()  # type: ignore[union-attr]
    assert found.invalid["v"] == 2
    assert np.array(found.features["gone"]).shape == (6, 0)
    assert found.absent["gone"] == 6


@kinds
def test_a_window_without_rows_has_none(kind: str, tmp_path: Path) -> None:
    with source(kind, tmp_path, model(tmp_path), log(50)) as opened_source:
        before = Window(START - 5 * DAY, START)
        assert opened_source.rows(before, COLUMNS, limit=10) == {}
        assert opened_source.profiles(before, lambda _: None) == {}


# --- labels -----------------------------------------------------------------------------------------------------------


def labelled_ids(found: Any) -> dict[float, Any]:
    return {
        round(time, 3): label
        for batch in found
        for time, label in zip(batch.times.tolist(), batch.labels.tolist(), strict=True)
    }


@pytest.mark.parametrize("kind", ["parquet", "csv", "ingest"])
def test_only_labels_that_had_come_by_then_are_seen_and_the_first_of_them_stands(kind: str, tmp_path: Path) -> None:
    made = log(40).sort_values("timestamp").reset_index(drop=True)
    times, names = seconds(made), made.event_id.tolist()
    come = {name: time + HOUR * (1 + place % 5) for place, (name, time) in enumerate(zip(names, times, strict=True))}
    given = [(name, int(place % 2), come[name]) for place, name in enumerate(names) if place % 7]
    later = [(name, 1 - label, time + DAY) for name, label, time in given[:10]]
    span = Window(START, START + 10 * DAY)
    by = START + 5 * DAY
    expected = {
        round(times[names.index(name)], 3): str(label) for name, label, time in given if time <= by
    }  # fmt: skip
    if kind == "ingest":
        with opened(tmp_path / "data") as store:
            push(store, made)
            push_labels(store, given)
            push_labels(store, later)
            watched = IngestSource(store, "shop", "demand", bucket_seconds=3600)
            found = labelled_ids(watched.labelled(span, numeric=False, known_by=by))
            everything = labelled_ids(watched.labelled(span, numeric=False))
    else:
        made.to_parquet(tmp_path / "log.parquet")
        labels = pd.DataFrame([*later, *given], columns=["event_id", "label", "label_timestamp"])
        labels.label_timestamp = pd.to_datetime(labels.label_timestamp, unit="s")
        path = tmp_path / f"labels.{kind}"
        labels.to_parquet(path) if kind == "parquet" else labels.to_csv(path, index=False)
        watched_model = model(tmp_path, labels={"type": "files", "path": path.name})
        watched = open_source(watched_model.predictions, watched_model.labels, watched_model, tmp_path)  # type: ignore[assignment]
        found = labelled_ids(watched.labelled(span, numeric=False, known_by=by))
        everything = labelled_ids(watched.labelled(span, numeric=False))
    assert found == pytest.approx(expected)
    assert len(everything) == len(given)
    assert 0 < len(found) < len(everything)
    assert set(everything.items()) == {(round(times[names.index(n)], 3), str(label)) for n, label, _ in given}


def test_a_pushed_label_without_a_time_has_come_when_it_was_received(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        push(store, log(4))
        push_labels(store, [("0-0", 1, None)], received=START + 100)
        push_labels(store, [("0-1", 1, START + 50)], received=START + 200)
        watched = IngestSource(store, "shop", "demand", bucket_seconds=3600)
        span = Window(START, START + 10 * DAY)
        known = [
            sum(len(batch) for batch in watched.labelled(span, numeric=False, known_by=START + by))
            for by in (49, 50, 99, 100, math.inf)
        ]
    assert known == [0, 1, 1, 2, 2]


def test_labels_in_files_without_times_have_always_been_there(tmp_path: Path) -> None:
    made = log(20)
    made.to_parquet(tmp_path / "log.parquet")
    pd.DataFrame({"event_id": made.event_id, "label": 1}).to_parquet(tmp_path / "labels.parquet")
    watched = model(tmp_path, labels={"type": "files", "path": "labels.parquet"})
    opened_source = open_source(watched.predictions, watched.labels, watched, tmp_path)
    span = Window(START, START + 10 * DAY)
    assert len(labelled_ids(opened_source.labelled(span, numeric=False, known_by=START - DAY))) == 20


# --- stretches --------------------------------------------------------------------------------------------------------


def by_hand(made: pd.DataFrame, span: Window, known: Reference, **about: Any) -> Cutter:
    cutter = Cutter(known.bins, **about)
    for version in ("1", "2"):
        rows = held_in(made, span, version)
        cutter.add(EventBatch(version, seconds(rows), features(rows)))
    return cutter


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("match", [(), ("hour_of_day",), ("day_of_week",)], ids=" ".join)
@pytest.mark.parametrize("stretch", [DAY, 2 * HOUR, 600.0])
def test_a_span_is_cut_as_its_rows_are(kind: str, match: tuple[str, ...], stretch: float, tmp_path: Path) -> None:
    """Out of buckets, hours and days where they fit, with the rows that are in none yet; out of rows where they don't."""
    made, known = log(900), reference(match)
    span = Window(START + DAY + HOUR, START + 8 * DAY + 3 * HOUR)
    about: Any = {"seconds": stretch, "match": match}
    with source(kind, tmp_path, model(tmp_path), made.iloc[:700]) as opened_source:
        if isinstance(opened_source, IngestSource):
            store: Any = opened_source.store
            opened_source.catch_up(store, lambda _: known, now=START)
            push(store, made.iloc[700:])
        else:
            made = made.iloc[:700]
        cutter = Cutter(known.bins, **about)
        opened_source.cut(span, lambda _: known, cutter)
    mine, expected = cutter.stretches(), by_hand(made, span, known, **about).stretches()
    assert mine.rows.tolist() == expected.rows.tolist()
    for name in known.bins:
        assert mine.counts[name].tolist() == expected.counts[name].tolist(), name
        if match:
            assert mine.expected[name] == pytest.approx(expected.expected[name])
    assert mine.sums["x"] == pytest.approx(expected.sums["x"], rel=1e-9, abs=1e-9)
    whole, counted = cutter.whole(), by_hand(made, span, known, **about).whole()
    assert whole is not None
    assert counted is not None
    assert whole.rows == counted.rows
    for name, column in counted.columns.items():
        assert whole.columns[name].counts.tolist() == column.counts.tolist()


@kinds
def test_versions_on_other_bins_are_not_cut(kind: str, tmp_path: Path) -> None:
    made, known, other = log(200), reference(), reference(seed=3)
    span = Window(START, START + 10 * DAY)
    with source(kind, tmp_path, model(tmp_path), made) as opened_source:
        cutter = Cutter(known.bins, seconds=DAY)
        opened_source.cut(span, lambda version: known if version == "1" else other, cutter)
    assert cutter.stretches().rows.sum() == len(held_in(made, span, "1"))


# --- pushed -----------------------------------------------------------------------------------------------------------


def test_a_score_that_is_no_number_is_missing(tmp_path: Path) -> None:
    scores: list[Any] = [0.5, None, {"yes": 0.3, "no": 0.7}, 1]
    rows = [NewEvent(str(place), START, "1", {}, True, score) for place, score in enumerate(scores)]
    with opened(tmp_path / "data") as store:
        store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=START))
        found = IngestSource(store, "shop", "demand", bucket_seconds=60).rows(
            Window(START, START + 1), COLUMNS[2:], limit=10
        )["1"]
    assert found.features["score"].tolist() == pytest.approx([0.5, math.nan, math.nan, 1.0], nan_ok=True)  # type: ignore[union-attr]
    assert found.features["prediction"].tolist() == ["1"] * 4  # type: ignore[union-attr]


def test_buckets_are_of_one_hour_at_most_where_the_hour_counts(tmp_path: Path) -> None:
    """A day's bucket could not be told apart by hours any more."""
    made, known = log(300), reference(("hour_of_day",))
    with opened(tmp_path / "data") as store:
        push(store, made)
        watched = IngestSource(store, "shop", "demand", bucket_seconds=86400)
        watched.catch_up(store, lambda _: known, now=START)
        _forget_rows(store)
        cutter = Cutter(known.bins, seconds=DAY, match=("hour_of_day",))
        span = Window(START, START + 10 * DAY)
        watched.cut(span, lambda _: known, cutter)
    expected = by_hand(made, span, known, seconds=DAY, match=("hour_of_day",))
    for name in known.bins:
        assert cutter.seasons().counts[name].tolist() == expected.seasons().counts[name].tolist()


def _forget_rows(store: Store) -> None:
    while store.write(lambda c: expiry.expire_events(c, number=1, now=START + 10, keep=1, limit=500)):
        pass
