"""Folders that grow: each row counts once, what is half-written or broken stops nothing, and only what is asked for is read."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitor.profile import Cutter, NumericBins, Reference
from monitor.records import Column, ColumnKind, Window
from monitor.source import SourceError
from monitor.source import _files as files
from monitor.source import _index as index
from monitor.source._left_out import Reason
from tests.source.growing import (
    FORMS,
    anew,
    damage,
    day,
    failing,
    frame,
    left_out,
    opened,
    rows,
    settle,
    source,
    watched,
    write,
)
from tests.source.worlds import DAY, START

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_known")]
ALL = Window(START, START + 1000 * DAY)


# --- each file once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_is_read_as_it_is_at_each_look(tmp_path: Path, form: str) -> None:
    """New files count, a changed one counts by its new content, and one that vanished no longer does."""
    looked = source(tmp_path)
    paths = [write(frame(number), tmp_path / "log" / f"{number}.{form}") for number in range(3)]
    settle(*paths)
    assert [rows(looked, day(number)) for number in range(4)] == [40, 40, 40, 0]
    assert rows(looked, day(0)) == 40  # a second look at the same counts nothing twice
    settle(write(frame(3), tmp_path / "log" / "sub" / f"3.{form}"))
    settle(write(frame(1, rows=70), paths[1]))
    paths[0].unlink()
    assert [rows(looked, day(number)) for number in range(4)] == [0, 70, 40, 40]
    anew()
    assert [rows(source(tmp_path), day(number)) for number in range(4)] == [0, 70, 40, 40]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_that_grows_line_by_line_counts_its_whole_lines(tmp_path: Path, form: str) -> None:
    path = write(frame(0), tmp_path / "log" / f"0.{form}")
    whole = path.read_bytes()
    write(frame(1), tmp_path / "log" / f"1.{form}")
    looked = source(tmp_path)
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    first = 1 if form == "csv" else 0  # the line of the names
    for lines in (1, 7, 8, 20, 39):
        end = ends[lines + first - 1] + 1
        for more in (0, 1, 9):  # bytes of a line that is being written
            path.write_bytes(whole[: end + more])
            assert rows(looked, day(0)) == lines
            assert rows(looked, day(1)) == 40
    path.write_bytes(whole)
    assert rows(looked, day(0)) == 40
    assert not [each for each in looked.left_out.values() if each.is_fault]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_single_file_counts_its_whole_lines_too(tmp_path: Path, form: str) -> None:
    path = write(frame(0), tmp_path / "log" / f"0.{form}")
    path.write_bytes(path.read_bytes()[:-1])
    assert rows(source(tmp_path), day(0)) == 39
    assert rows(source(tmp_path, f"log/0.{form}"), day(0)) == 39


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_last_line_without_an_end_counts_once_nobody_writes_any_more(tmp_path: Path, form: str) -> None:
    """Many programs end a file without a newline: its last row must not be lost for good."""
    paths = [write(frame(number), tmp_path / "log" / f"{number}.{form}") for number in range(2)]
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    settle(*paths)
    assert rows(source(tmp_path), day(0)) == 40


def test_a_torn_last_line_is_told_when_nobody_will_end_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [write(frame(number), tmp_path / "log" / f"{number}.jsonl") for number in range(2)]
    paths[0].write_bytes(paths[0].read_bytes()[:-20])
    settle(*paths)
    looked = source(tmp_path)
    assert rows(looked, day(0)) == 39
    assert [each.reason for each in looked.left_out.values()] == [Reason.HALF_WRITTEN]
    assert "0.jsonl: expected a whole last line" in caplog.text


def test_lists_in_json_are_whole_at_their_end(tmp_path: Path) -> None:
    records = [
        json.loads(line) for line in frame(0).to_json(orient="records", lines=True, date_format="iso").splitlines()
    ]
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "0.json").write_text(json.dumps(records))
    (folder / "1.json").write_text(json.dumps(records)[:-1])
    (folder / "2.json").write_text("\n".join(map(json.dumps, records)))
    assert rows(source(tmp_path), day(0)) == 80


@pytest.mark.parametrize("young", [True, False])
@pytest.mark.parametrize("path", ["log", "log/0.json"])
def test_lines_of_json_that_end_within_a_line_count_as_far_as_they_are_whole(
    tmp_path: Path, path: str, young: bool
) -> None:
    """Cut behind the brace of an object within a line, the file looks whole."""
    made = [json.loads(line) for line in frame(0).to_json(orient="records", lines=True, date_format="iso").splitlines()]
    text = "".join(json.dumps({"extra": {"a": 1}, **each}) + "\n" for each in made)
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "0.json").write_text(text + '{"extra": {"a": 1}')
    (folder / "1.json").write_text(json.dumps(json.loads(text.splitlines()[0]), indent=2))
    if not young:
        settle(folder / "0.json")
    looked = source(tmp_path, path)
    assert rows(looked, day(0)) == 40 + (path == "log")
    told = [] if young else [("0.json", Reason.HALF_WRITTEN)]
    assert [(name, each.reason) for name, each in left_out(looked).items()] == told
    (folder / "0.json").write_text(text + text.splitlines()[0])
    assert rows(looked, day(0)) == 41 + (path == "log")


@pytest.mark.parametrize("path", ["log", "log/0.csv"])
@pytest.mark.parametrize("cut", [20, 30, 45])
def test_a_csv_whose_last_line_lacks_columns_counts_its_whole_lines(tmp_path: Path, path: str, cut: int) -> None:
    """It must not be taken for one of a single column, in which nothing of the model stands."""
    paths = [write(frame(number), tmp_path / "log" / f"{number}.csv") for number in range(2)]
    paths[0].write_bytes(paths[0].read_bytes()[:-cut])
    settle(*paths)
    looked = source(tmp_path, path)
    assert rows(looked, day(0)) == 39
    assert {name: each.reason for name, each in left_out(looked).items()} == {"0.csv": Reason.HALF_WRITTEN}
    assert {each.name for each in looked.columns(ALL, looked.model)} == {"x", "c", "prediction", "score"}


def test_a_torn_last_line_of_a_single_file_is_told_too(tmp_path: Path) -> None:
    path = write(frame(0), tmp_path / "log" / "0.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    settle(path)
    looked = source(tmp_path, "log/0.jsonl")
    assert rows(looked, day(0)) == 39
    assert [each.reason for each in looked.left_out.values()] == [Reason.HALF_WRITTEN]


# --- what is left alone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_what_bears_a_temporary_name_is_left_alone(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "log"
    write(frame(0), folder / f"0.{form}")
    for name in (
        f"_0.{form}", f".0.{form}", f"0.{form}.tmp", f"0.{form}.crdownload", f"0.{form}.inprogress",
        f"_temporary/0/0.{form}", f".staging/0.{form}", "_SUCCESS", f"sub/_0.{form}",
    ):  # fmt: skip
        write(frame(0), folder / f"1.{form}").rename(_made(folder / name))
    for path in ("log", f"log/*.{form}", "log/**/*", "log/*"):
        assert rows(source(tmp_path, path), ALL) == 40, path
    assert rows(source(tmp_path, f"log/_0.{form}"), ALL) == 40  # asked for by its name
    assert rows(source(tmp_path, f"log/_*.{form}"), ALL) == 40


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_parquet_without_its_footer_waits_until_it_has_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(frame(0), tmp_path / "log" / "0.parquet")
    path = write(frame(1), tmp_path / "log" / "1.parquet")
    whole = path.read_bytes()
    looked = source(tmp_path)
    for size in (0, 3, 11, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert rows(looked, ALL) == 40, size
        assert left_out(looked)["1.parquet"].reason is Reason.HALF_WRITTEN
    assert not caplog.records
    path.write_bytes(whole)
    assert rows(looked, ALL) == 80
    path.write_bytes(whole[:500])
    settle(path)  # whoever wrote it has given up
    assert rows(looked, ALL) == 40
    assert "1.parquet: expected a Parquet footer" in caplog.text


BROKEN = {
    "parquet": b"PAR1" + b"nonsense" * 40 + b"\x10\0\0\0PAR1",
    "csv": b"event_id,timestamp,prediction\na,yesterday,1\n",
    "jsonl": b'{"event_id": "a", "timestamp": "2020-09-14"}\n{"event_id": \n',
}


@pytest.mark.parametrize("form", FORMS)
def test_one_broken_file_stops_no_other_and_is_told_once(
    tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        settle(write(frame(number), tmp_path / "log" / f"{number}.{form}"))
    broken = tmp_path / "log" / f"broken.{form}"
    broken.write_bytes(BROKEN[form])
    settle(broken)
    looked = source(tmp_path)
    assert rows(looked, ALL) == 120
    assert rows(looked, day(1)) == 40
    assert {name: each.reason for name, each in left_out(looked).items()} == {broken.name: Reason.UNREADABLE}
    assert looked.newest_event(math.inf) == pytest.approx(START + 3 * DAY, abs=DAY)
    assert looked.oldest_event() == START
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"broken.{form}" in record.getMessage()
    assert "did not read all of 1 of 4 files" in record.getMessage()
    with opened(tmp_path / "log") as names:  # and it is not tried again before it changes
        anew()
        rows(source(tmp_path), day(1))
    assert broken.name not in names
    shutil.copy(tmp_path / "log" / f"1.{form}", broken)
    assert rows(looked, day(1)) == 80


@pytest.mark.parametrize("form", FORMS)
def test_where_nothing_can_be_read_that_is_an_error(tmp_path: Path, form: str) -> None:
    (tmp_path / "log").mkdir()
    for name in ("a", "b"):
        (tmp_path / "log" / f"{name}.{form}").write_bytes(BROKEN[form])
    settle(*(tmp_path / "log").iterdir())
    with pytest.raises(SourceError, match=rf"^a\.{form}: .*\(and 1 others\)"):
        rows(source(tmp_path), ALL)


def test_a_file_that_may_not_be_read_is_tried_again(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    paths = [write(frame(number), tmp_path / "log" / f"{number}.csv") for number in range(2)]
    paths[0].chmod(0)
    looked = source(tmp_path)
    assert rows(looked, ALL) == 40
    paths[0].chmod(0o600)
    assert rows(looked, ALL) == 80


@pytest.mark.parametrize("form", FORMS)
def test_files_that_come_and_go_while_they_are_read_stop_nothing(tmp_path: Path, form: str) -> None:
    """A hundred looks while another thread replaces and removes files: each sees whole files only."""
    paths = [write(frame(number), tmp_path / "log" / f"{number}.{form}") for number in range(6)]
    settle(*paths)
    spare = [path.read_bytes() for path in paths]
    done = threading.Event()

    def churn() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            for number in (1, 4):
                part = tmp_path / "log" / f"_{number}.part"
                part.write_bytes(spare[number])
                if turn % 3:
                    part.replace(paths[number])
                else:
                    paths[number].unlink(missing_ok=True)

    thread = threading.Thread(target=churn)
    thread.start()
    seen, said = set(), set()
    try:
        looked = source(tmp_path)
        for _ in range(30):
            try:
                seen.add(rows(looked, Window(START, START + 6 * DAY)))
            except SourceError as error:
                said.add(str(error))
    finally:
        done.set()
        thread.join()
    assert seen <= {160, 200, 240}
    assert not [text for text in said if "while it was read" not in text and "a moment ago" not in text]
    assert seen


# --- times that are none --------------------------------------------------------------------------------------------


def written(number: int, rows: int = 40) -> pd.DataFrame:
    """The predictions of one day, their times as texts."""
    made = frame(number, rows)
    return made.assign(timestamp=[moment.isoformat() for moment in made.timestamp])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["log", "log/0.*"])
def test_a_row_whose_time_is_none_is_refused_and_all_others_stand(
    tmp_path: Path, form: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = written(0)
    made.loc[7, "timestamp"] = "n/a"
    settle(write(made, tmp_path / "log" / f"0.{form}"), write(written(1), tmp_path / "log" / f"1.{form}"))
    for _ in range(2):  # as found out, and as known
        anew()
        looked = source(tmp_path, path)
        assert rows(looked, day(0)) == 39
        assert rows(looked, ALL) == 39 + 40 * (path == "log")
        (told,) = looked.left_out.values()
        assert told.reason is Reason.REFUSED
        assert told.problem == (
            f"0.{form}: refused 1 of 40 rows: expected ISO 8601 or Unix seconds in the column 'timestamp', got 'n/a'"
        )
        assert looked.newest_event(day(0).end) == pytest.approx(day(0).end, abs=DAY / 20)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_an_empty_text_is_no_time(tmp_path: Path, form: str) -> None:
    made = written(0)
    made.loc[[3, 7], "timestamp"] = ""
    settle(write(made, tmp_path / "log" / f"0.{form}"))
    looked = source(tmp_path)
    assert rows(looked, day(0)) == 38
    assert "refused 2 of 40 rows" in left_out(looked)[f"0.{form}"].problem


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_one_text_among_unix_seconds_takes_no_other_row_away(tmp_path: Path, form: str) -> None:
    """It makes texts of the numbers of its own file, and of those of all others."""
    for number in range(2):
        made = frame(number).assign(timestamp=START + number * DAY + 60.5 * pd.Series(range(40)))
        if number:
            made["timestamp"] = [*made.timestamp[:-1], "n/a"]
        settle(write(made, tmp_path / "log" / f"{number}.{form}"))
    looked = source(tmp_path)
    assert [rows(looked, day(number)) for number in range(2)] == [40, 39]
    assert rows(looked, ALL) == 79
    assert rows(source(tmp_path, f"log/1.{form}"), ALL) == 39


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_text_behind_the_rows_that_are_looked_at_first_is_refused_too(tmp_path: Path, form: str) -> None:
    """Of a path that is one file as well: DuckDB has taken the column for one of times by then."""
    made = written(0, rows=30_000)
    made["timestamp"] = [*made.timestamp[:-1], "n/a"]
    settle(write(made, tmp_path / "log" / f"0.{form}"))
    assert rows(source(tmp_path, f"log/0.{form}"), day(0)) == 29_999


@pytest.mark.parametrize("odd", [0, 2])
def test_a_day_of_texts_among_days_of_timestamps_counts(tmp_path: Path, odd: int) -> None:
    """One text makes texts of a whole column of a data frame, and so of one file of Parquet among many."""
    for number in range(3):
        made = written(number) if number == odd else frame(number)
        if number == odd:
            made.loc[7, "timestamp"] = "n/a"
        settle(write(made, tmp_path / "log" / f"{number}.parquet"))
    looked = source(tmp_path)
    assert rows(looked, ALL) == 119
    assert [rows(looked, day(number)) for number in range(3)] == [40 - (number == odd) for number in range(3)]


# --- what turns out to be unreadable or another while it is read -----------------------------------------------------


LABELS: dict[str, Any] = {"type": "files", "path": "labels", "mature": "1d"}


def days_and_labels(folder: Path, form: str = "parquet", days: int = 3) -> list[Path]:
    paths = []
    for number in range(days):
        made = frame(number)
        paths.append(write(made, folder / "log" / f"{number}.{form}"))
        labels = pd.DataFrame({"event_id": made.event_id, "label": [place % 2 for place in range(40)]})
        paths.append(write(labels, folder / "labels" / f"{number}.{form}"))
    settle(*paths)
    return paths[::2]


def cut_rows(looked: Any, references: Any = lambda _: None) -> int:
    """How many rows of all of it are given to a cutter."""
    x = NumericBins(np.array([0.0]), np.array([0, 1]))
    reference = Reference("f", None, 1, (Column("x", ColumnKind.NUMERIC),), {"x": x}, {}, {})

    def found(version: str) -> Reference:
        references(version)
        return reference

    cutter = Cutter({"x": x}, seconds=DAY)
    looked.cut(ALL, found, cutter)
    whole = cutter.whole()
    return 0 if whole is None else whole.rows


def labelled_rows(looked: Any, window: Window = ALL) -> int:
    return sum(len(batch.times) for batch in looked.labelled(window, numeric=False))


@pytest.mark.parametrize("where", [None, "prediction IN (0, 1)"])
def test_a_parquet_with_one_damaged_page_stops_no_other(tmp_path: Path, where: str | None) -> None:
    """Its footer is good: it is found out where the rows are read, by whichever library does that."""
    paths = days_and_labels(tmp_path)
    damage(paths[1], "prediction")
    options = {"where": where} if where else {}
    for look in (raw_rows, labelled_rows):
        index._HELD.clear()
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        for known in (False, True):
            looked = source(tmp_path, labels=LABELS, predictions=options)
            assert look(looked) == 80, known
            assert {name: each.reason for name, each in left_out(looked).items()} == {"1.parquet": Reason.UNREADABLE}
            assert look(looked, day(2)) == 40
    with opened(tmp_path / "log") as names:  # and it is not tried again before it changes
        anew()
        assert rows(source(tmp_path, predictions=options), ALL) == 80
    assert "1.parquet" not in names
    settle(write(frame(1), paths[1]), seconds=60)
    assert raw_rows(source(tmp_path, predictions=options)) == 120


def raw_rows(looked: Any, window: Window = ALL) -> int:
    columns = looked.columns(window, looked.model)
    return sum(len(batch.times) for batch in looked.rows(window, columns, limit=1000).values())


def test_damaged_times_and_labels_stop_no_other_file_either(tmp_path: Path) -> None:
    paths = days_and_labels(tmp_path)
    damage(paths[2], "timestamp")
    damage(tmp_path / "labels" / "0.parquet", "label")
    looked = source(tmp_path, labels=LABELS)
    assert looked.newest_event(math.inf) == pytest.approx(day(1).end, abs=DAY / 20)
    assert looked.oldest_event() == START
    assert rows(looked, ALL) == cut_rows(looked) == 80
    assert labelled_rows(looked) == 40
    assert set(left_out(looked)) == {"2.parquet", "0.parquet"}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_that_was_known_and_cannot_be_read_any_more_stops_no_other(tmp_path: Path, form: str) -> None:
    """It is no other file than before, so nobody looks at it again until its rows are needed."""
    paths = days_and_labels(tmp_path, form)
    settle(*paths, seconds=60)  # young: read by way of Python, where it can be made to fail
    looked = source(tmp_path, labels=LABELS)
    assert rows(looked, ALL) == labelled_rows(looked) == 120
    with failing(paths[1]):
        assert rows(looked, ALL) == labelled_rows(looked) == cut_rows(looked) == 80
        assert looked.newest_event(day(1).end) == pytest.approx(day(0).end, abs=DAY / 20)
        assert left_out(looked)[f"1.{form}"].reason is Reason.UNREADABLE
    assert rows(looked, ALL) == labelled_rows(looked) == 120
    assert not looked.left_out


def test_what_is_cut_counts_once_though_a_file_vanishes_meanwhile(tmp_path: Path) -> None:
    """The rows of the file before it have been read by then."""
    paths = days_and_labels(tmp_path, days=2)
    asked: list[str] = []

    def references(version: str) -> None:
        asked.append(version)
        if len(asked) == 3:  # of both files the times have been read, and no column yet
            paths[1].unlink()

    assert cut_rows(source(tmp_path), references) == 40
    assert len(asked) > 3


@pytest.mark.parametrize("name", ["log/1.parquet", "labels/1.parquet"])
def test_labels_are_joined_anew_where_a_file_vanishes_meanwhile(tmp_path: Path, name: str) -> None:
    days_and_labels(tmp_path, days=2)
    looked = source(tmp_path, labels=LABELS)
    noted = looked._note

    def note(chosen: Any) -> None:
        noted(chosen)
        if chosen.shown.endswith("labels"):
            (tmp_path / name).unlink(missing_ok=True)

    looked._note = note  # type: ignore[method-assign] - when the files are chosen, and none has been read
    assert labelled_rows(looked) == 40


def test_what_waits_on_the_disk_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days_and_labels(tmp_path)
    monkeypatch.setattr(files, "HELD_BYTES", 100)
    # As in a container that can write to nothing but its data.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    looked = source(tmp_path, labels=LABELS)
    assert labelled_rows(looked) == cut_rows(looked) == 120
    assert [*(tmp_path / "data/files/held").iterdir()] == []
    index._FOLDER.clear()
    with pytest.raises(SourceError, match="rows cannot be held in the folder for temporary files: No such file"):
        labelled_rows(looked)


# --- types and columns ----------------------------------------------------------------------------------------------


def test_what_a_column_is_does_not_depend_on_the_window(tmp_path: Path) -> None:
    """A day on which every code is a number is still a day of names, and a column that came later is asked for all the same."""
    folder = tmp_path / "log"
    write(frame(0).assign(c=[f"0{n % 4}" for n in range(40)]), folder / "0.csv")
    write(frame(1).assign(c="ABC", late="yes"), folder / "1.csv")
    settle(*folder.iterdir())
    looked = source(tmp_path, predictions={"where": "late IS NULL OR late = 'yes'"})
    found = {each.name: each.kind.value for each in looked.columns(day(0), looked.model)}
    assert found["c"] == "categorical"
    (batch,) = looked.rows(
        day(0), [each for each in looked.columns(day(0), looked.model) if each.name == "c"], limit=9
    ).values()
    assert set(batch.features["c"].tolist()) <= {"00", "01", "02", "03"}
    assert rows(looked, day(1)) == 40


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_numbers_that_turn_into_names_late_in_a_file_are_read(tmp_path: Path, form: str) -> None:
    """DuckDB looks at the first 20,480 rows; what comes behind them must not make the file unreadable."""
    made = frame(0, rows=30_000)
    made["x"] = [str(n) for n in range(29_999)] + ["none"] if form == "csv" else [*range(29_999), "none"]
    settle(write(made, tmp_path / "log" / f"0.{form}"), write(frame(1), tmp_path / "log" / f"1.{form}"))
    looked = source(tmp_path, features={"x": {"type": "categorical"}})
    assert rows(looked, day(0)) == 30_000
    (batch,) = looked.rows(day(0), looked.columns(day(0), looked.model)[:1], limit=30_000).values()
    assert {"none", "17"} <= set(batch.features["x"].tolist())


def test_a_csv_of_texts_alone_has_its_names_in_the_first_line(tmp_path: Path) -> None:
    made = frame(0)
    predictions = write(made, tmp_path / "log" / "0.csv")
    labels = pd.DataFrame({"event_id": made.event_id, "label": "yes"})
    write(labels, tmp_path / "labels" / "0.csv")
    settle(predictions)
    looked = source(tmp_path, labels={"type": "files", "path": "labels", "mature": "1d"})
    assert sum(len(batch.times) for batch in looked.labelled(day(0), numeric=False)) == 40


@pytest.mark.parametrize(("sep", "quote"), [(",", '"'), (";", '"'), ("\t", "'"), ("|", '"')])
def test_csv_files_may_be_written_in_several_ways(tmp_path: Path, sep: str, quote: str) -> None:
    """One dialect or several in one folder, with values that hold what divides them, over several lines."""
    said = [f"a{sep}b", f"{quote}q{quote}", "two\nlines", "plain"] * 10
    for number in range(4):
        made = frame(number).assign(c=said)
        path = tmp_path / "log" / f"{number}.csv"
        path.parent.mkdir(exist_ok=True)
        made.to_csv(path, index=False, sep=sep if number else ",", quotechar=quote if number else '"')
        settle(path)
    for looked in (source(tmp_path), source(tmp_path, "log/[123].csv")):
        assert rows(looked, ALL) == looked_files(looked) * 40
        columns = [each for each in looked.columns(ALL, looked.model) if each.name == "c"]
        for number in (1, 2):
            (batch,) = looked.rows(day(number), columns, limit=99).values()
            assert sorted(batch.features["c"].tolist()) == sorted(said)


def looked_files(looked: Any) -> int:
    return int(looked._catalog().total)


def test_a_csv_of_one_column_is_one(tmp_path: Path) -> None:
    from monitor.source._table import open_table

    for number in range(2):
        path = tmp_path / f"{number}.csv"
        path.write_text("x\n" + "1\n" * 5)
        settle(path)
    assert sum(piece.rows for piece in open_table("*.csv", None, tmp_path).read(["x"])) == 10


@pytest.mark.parametrize("form", FORMS)
def test_folders_named_as_hive_does_are_columns_where_the_model_speaks_of_them(tmp_path: Path, form: str) -> None:
    for version in ("3", "4"):
        for number in range(2):
            made = frame(number).drop(columns="model_version")
            write(made, tmp_path / "log" / f"model_version={version}" / f"dt=2020-09-1{4 + number}" / f"0.{form}")
    looked = source(tmp_path, predictions={"where": "dt < DATE '2020-09-15'"})
    assert {version: each.rows for version, each in looked.profiles(ALL, lambda _: None).items()} == {"3": 40, "4": 40}
    names = {each.name for each in looked.columns(ALL, looked.model)}
    assert {"x", "c"} <= names
    assert not names & {"dt", "model_version"}  # what a folder is called is no feature


# --- what it costs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_look_opens_the_files_of_its_window_alone(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "log"
    settle(*(write(frame(number), folder / f"{number:02}.{form}") for number in range(20)))
    with opened(folder) as names:
        assert rows(source(tmp_path), day(7)) == 40
    assert len(set(names)) == 20  # nobody knows anything yet
    for look in (day(7), day(13)):
        anew()
        with opened(folder) as names:
            looked = source(tmp_path)
            assert rows(looked, look) == 40
            assert looked.rows(look, looked.columns(look, looked.model), limit=10)
        assert set(names) == {f"{7 if look == day(7) else 13:02}.{form}"}
    anew()
    settle(write(frame(20), folder / f"20.{form}"))
    with opened(folder) as names:
        assert rows(source(tmp_path), day(7)) == 40
    assert set(names) == {f"07.{form}", f"20.{form}"}
    anew()
    with opened(folder) as names:
        assert source(tmp_path).newest_event(START + 12.5 * DAY) == pytest.approx(START + 12.5 * DAY, abs=DAY / 20)
        assert source(tmp_path).oldest_event() == START
        assert rows(source(tmp_path), day(500)) == 0
    assert set(names) == {f"12.{form}", f"00.{form}"}


def test_labels_are_read_where_they_may_belong_to_the_window(tmp_path: Path) -> None:
    """Those that came more than a week before a prediction, or after what is known, are another's."""
    for number in range(30):
        made = frame(number)
        settle(write(made, tmp_path / "log" / f"{number:02}.csv"))
        said = made.event_id.str.len().mod(2)
        labels = pd.DataFrame(
            {"event_id": made.event_id, "label": said, "label_timestamp": made.timestamp + pd.Timedelta("2h")}
        )
        settle(write(labels, tmp_path / "labels" / f"{number:02}.csv"))
    labelled = {"labels": {"type": "files", "path": "labels", "mature": "1d"}}
    for _ in range(2):
        anew()
        with opened(tmp_path / "labels") as names:
            found = list(source(tmp_path, **labelled).labelled(day(20), numeric=False, known_by=day(22).end))
        assert sum(len(batch.times) for batch in found) == 40
    assert set(names) == {f"{number}.csv" for number in range(12, 23)}


@pytest.mark.parametrize("broken", [b"", b"nonsense", None])
def test_what_is_known_of_files_may_be_deleted_or_spoiled(tmp_path: Path, broken: bytes | None) -> None:
    settle(*(write(frame(number), tmp_path / "log" / f"{number}.csv") for number in range(3)))
    assert rows(source(tmp_path), day(1)) == 40
    (kept,) = (tmp_path / "data" / "files" / "indexes").iterdir()
    if broken is None:
        shutil.rmtree(tmp_path / "data")
    else:
        kept.write_bytes(broken)
    anew()
    assert rows(source(tmp_path), day(1)) == 40
    assert kept.stat().st_size > 50


def test_where_nothing_can_be_kept_everything_is_read_all_the_same(tmp_path: Path) -> None:
    settle(*(write(frame(number), tmp_path / "log" / f"{number}.csv") for number in range(3)))
    (tmp_path / "data").write_text("a file stands where the folder should be")
    assert rows(source(tmp_path), day(1)) == 40


def test_what_is_known_forgets_files_that_are_gone_and_paths_nobody_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(*(write(frame(number), tmp_path / "log" / f"{number}.csv") for number in range(9)))
    assert rows(source(tmp_path), day(1)) == 40
    indexes = tmp_path / "data" / "files" / "indexes"
    (kept,) = indexes.iterdir()
    before = kept.stat().st_size
    for number in range(2, 9):
        (tmp_path / "log" / f"{number}.csv").unlink()
    old = indexes / "old.msgpack"
    old.write_bytes(b"x")
    settle(old, seconds=40 * DAY)
    index._TIDIED.clear()
    assert rows(source(tmp_path), day(1)) == 40
    assert kept.stat().st_size < before / 2
    assert not old.exists()


def test_many_processes_may_look_at_once(tmp_path: Path) -> None:
    """Each writes what it knows whole: whoever reads meanwhile reads one or the other."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    settle(*(write(frame(number), tmp_path / "log" / f"{number}.csv") for number in range(8)))
    watched(tmp_path)
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_count, [(tmp_path, number % 8) for number in range(24)]))
    assert found == [40] * 24
    assert [path.suffix for path in (tmp_path / "data" / "files" / "indexes").iterdir()] == [".msgpack"]


def _count(asked: tuple[Path, int]) -> int:
    from monitor.config import load
    from monitor.source.files import open_source

    folder, number = asked
    index.remember_in(folder / "data" / "files")
    forgotten: Any = index.forget
    forgotten()
    ((_, found),) = load(folder / "anchorwatch.yml").config.models()
    return rows(open_source(found.predictions, found.labels, found, folder), day(number))


def test_dates_in_paths_spare_the_first_reading_where_they_are_said_to_hold(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for number in range(20):
        stamp = pd.Timestamp(START + number * DAY, unit="s")
        settle(write(frame(number), folder / f"log-{stamp:%Y-%m-%d}.csv"))
    with opened(folder) as names:
        assert rows(source(tmp_path, predictions={"path_dates": "1d"}), day(7)) == 40
    assert len(set(names)) == 3
    with opened(folder) as names:
        anew()
        assert source(tmp_path, predictions={"path_dates": "1d"}).newest_event(math.inf) is not None
    assert len(set(names)) <= 3
