"""What a check leaves for its next run, and what was said of each window as its labels came."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.store import Store, history
from tests.store.rows import NOW, opened

DAY = 86400.0
OK, BREACHED, NO_DATA = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def said(
    verdict: Verdict, value: float | None, *, rows: int = 10, month: int = 0, segment: str | None = None
) -> Finding:
    window = Window(NOW + month * 30 * DAY, NOW + (month + 1) * 30 * DAY)
    return Finding(
        "shop", "performance", "mae", verdict, "why", window,
        model="demand", version="1", segment=segment, value=value, rows=rows, provisional=rows < 20,
    )  # fmt: skip


def keep(store: Store, *findings: Finding, now: float = NOW, state: str | None = None) -> None:
    window = findings[0].window if findings else Window(NOW, NOW + DAY)
    result = CheckResult("shop", "demand", "performance", OK, "why", window, 10, findings, ("1",), state, findings)
    store.write(lambda c: history.keep(c, result, now))


def read(store: Store, **wanted: Any) -> list[dict[str, Any]]:
    asked = {"app": None, "model": None, "check": None, "after": 0, "limit": 100, **wanted}
    with store.read() as connection:
        return history.read_verdicts(connection, **asked)


def test_every_revision_is_kept_in_order_and_what_is_said_again_is_not(store: Store) -> None:
    for verdict, value, rows in (
        (NO_DATA, None, 3),
        (NO_DATA, None, 3),
        (OK, 1.0, 12),
        (OK, 1.0, 12),
        (BREACHED, 4.0, 30),
    ):
        keep(store, said(verdict, value, rows=rows))
    found = read(store)
    assert [(each["verdict"], each["value"], each["rows"], each["provisional"]) for each in found] == [
        ("no_data", None, 3, True), ("ok", 1.0, 12, True), ("breached", 4.0, 30, False),
    ]  # fmt: skip
    assert {(each["app"], each["model"], each["check"], each["version"], each["statistic"]) for each in found} == {
        ("shop", "demand", "performance", "1", "mae")
    }


def test_windows_and_segments_are_revised_each_on_its_own(store: Store) -> None:
    keep(store, said(OK, 1.0), said(OK, 2.0, segment="region=north"), said(OK, 3.0, month=1))
    keep(store, said(OK, 1.0), said(BREACHED, 9.0, segment="region=north"), said(OK, 3.0, month=1))
    assert [(each["segment"], each["value"]) for each in read(store)] == [
        (None, 1.0), ("region=north", 2.0), (None, 3.0), ("region=north", 9.0),
    ]  # fmt: skip
    assert [each["value"] for each in read(store, after=2)] == [3.0, 9.0]
    assert [each["value"] for each in read(store, limit=1)] == [1.0]
    assert read(store, model="other") == []


def test_a_finding_that_comes_back_to_what_it_was_is_one_more_revision(store: Store) -> None:
    for value in (1.0, 9.0, 1.0):
        keep(store, said(OK, value))
    assert [each["value"] for each in read(store)] == [1.0, 9.0, 1.0]


def test_what_is_old_goes_in_steps(store: Store) -> None:
    for day in range(5):
        keep(store, said(OK, float(day)), now=NOW + day * DAY)
    assert store.write(lambda c: history.expire_verdicts(c, before=NOW + 3 * DAY, limit=2)) == 2
    assert store.write(lambda c: history.expire_verdicts(c, before=NOW + 3 * DAY, limit=2)) == 1
    assert [each["value"] for each in read(store)] == [3.0, 4.0]


def test_a_check_finds_what_it_has_left_and_nothing_of_others(store: Store) -> None:
    keep(store, said(OK, 1.0), state="first")
    keep(store, said(OK, 1.0), state="second")
    keep(store, said(OK, 1.0))  # leaving nothing changes nothing
    with store.read() as connection:
        assert history.load_states(connection, "shop", "demand") == {"performance": "second"}
        assert history.load_states(connection, "shop", "other") == {}
    store.write(lambda c: history.drop_state(c, "shop", "demand", "performance"))
    with store.read() as connection:
        assert history.load_states(connection, "shop", "demand") == {}


def test_a_result_without_history_keeps_none(store: Store) -> None:
    result = CheckResult("shop", "demand", "drift", OK, "why", Window(NOW, NOW + DAY), 10, (said(OK, 1.0),))
    store.write(lambda c: history.keep(c, replace(result, history=()), NOW))
    assert read(store) == []


@pytest.mark.files_only
def test_a_store_of_the_first_schema_gets_the_tables_it_lacks(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        keep(store, said(OK, 1.0))
    [file] = [path for path in tmp_path.rglob("*.db") if path.is_file()] or list(tmp_path.rglob("*.sqlite*"))
    with sqlite3.connect(file) as connection:
        connection.executescript(
            "DROP TABLE verdicts; DROP TABLE check_states; UPDATE meta SET value = '1' WHERE key = 'schema'"
        )
    with opened(tmp_path) as store:
        keep(store, said(OK, 2.0), state="kept")
        assert [each["value"] for each in read(store)] == [2.0]
