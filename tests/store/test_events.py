"""Events and labels: taken in once, whatever comes first, and let go in small steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy import event as sql_event

from monitor.records import Window
from monitor.source.ingest import VERSIONS, IngestSource
from monitor.store import Store, StoreError, events, expiry, ids, quarantine, reading, schema
from monitor.store.layout import Layout, layout_of
from monitor.store.quarantine import Rejection
from monitor.store.versions import count_versions, newest_versions
from tests.store.rows import NOW, event, label, opened, reference

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def add(store: Store, *rows: Any, received: float = NOW, app: str = "shop") -> events.Taken:
    return store.write(lambda c: events.add_events(c, app, "demand", rows, received=received))


def add_labels(store: Store, *rows: Any, received: float = NOW) -> events.Taken:
    return store.write(lambda c: events.add_labels(c, "shop", "demand", rows, received=received))


def number(store: Store) -> int:
    with store.read() as connection:
        found = events.find_model(connection, "shop", "demand")
    assert found is not None
    return found


def count(store: Store, table: Any) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def labels_kept(store: Store) -> int:
    """Labels that have their event, and those that wait for one."""
    layout = Layout(number(store))
    return count(store, layout.labels) + count(store, layout.waiting)


def exported(store: Store) -> list[Any]:
    with store.read() as connection:
        return [event for event, _ in reading.wire_events(connection, number(store))]


def source(store: Store, bucket_seconds: int = 3600) -> IngestSource:
    return IngestSource(store, "shop", "demand", bucket_seconds=bucket_seconds)


# --- taking in --------------------------------------------------------------------------------------------------------


def test_an_event_that_comes_twice_counts_once_and_the_first_stands(store: Store) -> None:
    first = add(store, event("a", prediction=1.0), event("b"))
    again = add(store, event("a", prediction=2.0), event("c"))
    assert (first.new, first.duplicates, first.predictions) == (2, 0, {"1": 2})
    assert (again.new, again.duplicates, again.predictions) == (1, 1, {"1": 1})
    assert [row["event_id"] for row in exported(store)] == ["a", "b", "c"]
    assert exported(store)[0]["prediction"] == 1.0


def test_an_event_that_comes_twice_in_one_batch_counts_once(store: Store) -> None:
    taken = add(store, event("a", prediction=1.0), event("a", prediction=2.0))
    assert (taken.new, taken.duplicates) == (1, 1)
    assert exported(store)[0]["prediction"] == 1.0


def test_the_same_id_of_another_model_is_another_event(store: Store) -> None:
    add(store, event("a"))
    assert add(store, event("a"), app="other").new == 1


def test_a_version_is_new_only_once(store: Store) -> None:
    assert add(store, event("a", version="1"), event("b", version="2")).new_versions == ("1", "2")
    assert add(store, event("c", version="2"), event("d", version="3")).new_versions == ("3",)
    # A duplicate brings no version: its event is not taken in.
    assert add(store, event("a", version="4")).new_versions == ()


def test_the_first_label_of_an_id_stands(store: Store) -> None:
    add(store, event("a"))
    assert (add_labels(store, label("a", 1.0)).new, add_labels(store, label("a", 2.0)).duplicates) == (1, 1)
    (batch,) = source(store).labelled(Window(NOW - 1, NOW + 1), numeric=True)
    assert batch.labels.tolist() == [1.0]


def test_a_label_may_come_before_its_prediction(store: Store) -> None:
    add_labels(store, label("a", 7.0))
    window = Window(NOW - 1, NOW + 1)
    assert list(source(store).labelled(window, numeric=True)) == []
    with store.read() as connection:
        assert events.count_unmatched(connection, number(store)) == 1
    add(store, event("a", prediction=5.0))
    (batch,) = source(store).labelled(window, numeric=True)
    assert (batch.labels.tolist(), batch.predictions.tolist(), batch.versions.tolist()) == ([7.0], [5.0], ["1"])
    with store.read() as connection:
        assert events.count_unmatched(connection, number(store)) == 0


def test_labels_are_joined_by_the_time_of_the_prediction(store: Store) -> None:
    add(store, event("in", NOW), event("at the end", NOW + 10), event("before", NOW - 1))
    add_labels(store, *(label(name) for name in ("in", "at the end", "before")))
    assert sum(len(batch) for batch in source(store).labelled(Window(NOW, NOW + 10), numeric=True)) == 1


def test_rejected_records_are_kept_aside_and_bounded(store: Store) -> None:
    rows = [Rejection("predictions", "not_json", "no JSON", b"x" * 9)] * (quarantine.ROWS_KEPT // 2 + 1)
    for _ in range(2):
        store.write(lambda c: quarantine.set_aside(c, rows, now=NOW))
    assert count(store, schema.quarantine) == quarantine.ROWS_KEPT
    long = [Rejection("labels", "not_json", "no JSON", b"y" * (quarantine.RECORD_BYTES + place)) for place in (0, 1)]
    store.write(lambda c: quarantine.set_aside(c, long, now=NOW))
    with store.read() as connection:
        assert [len(record) for _, record, _ in quarantine.records_aside(connection, "labels", None, 10)] == [
            quarantine.RECORD_BYTES
        ]
        whole = quarantine.read_aside(connection, after=quarantine.ROWS_KEPT + 2)
    assert [(row["whole"], len(row["record"])) for row in whole] == [
        (True, quarantine.RECORD_BYTES),
        (False, quarantine.RECORD_BYTES),
    ]


def test_all_rejected_records_together_have_so_much_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "BYTES_KEPT", 100)
    rows = [Rejection("predictions", "not_json", "\0", bytes([place]) * 30) for place in range(10)]
    store.write(lambda c: quarantine.set_aside(c, rows, now=NOW))
    assert store.write(quarantine.trim) == 7
    with store.read() as connection:
        assert [record[0] for _, record, _ in quarantine.records_aside(connection, "predictions", None, 10)] == [
            7,
            8,
            9,
        ]
    assert store.write(quarantine.trim) == 0


# --- letting go -------------------------------------------------------------------------------------------------------


def expire_labels(store: Store, before: float, limit: int = 100) -> int:
    model = number(store)
    return store.write(lambda c: expiry.expire_labels(c, model, received_before=before, limit=limit))


def expire_events(store: Store, before: float, *, keep: float = DAY, limit: int = 100, model: int | None = None) -> int:
    """One step at the moment at which what was received before is older than `keep`."""
    found, now = number(store) if model is None else model, before + keep
    return store.write(lambda c: expiry.expire_events(c, number=found, now=now, keep=keep, limit=limit))


def test_labels_that_match_nothing_go_after_their_time_and_are_counted(store: Store) -> None:
    add(store, event("a"))
    add_labels(store, label("a"), label("stray"), label("other stray"), received=NOW)
    add_labels(store, label("young stray"), received=NOW + DAY)
    assert expire_labels(store, NOW) == 0
    assert expire_labels(store, NOW + 1, limit=1) == 1
    assert expire_labels(store, NOW + 1) == 1
    assert expire_labels(store, NOW + 1) == 0
    assert labels_kept(store) == 2


def test_events_go_by_receipt_with_their_labels_in_small_steps_the_oldest_first(store: Store) -> None:
    """An old event time alone is no reason to go."""
    add(store, event("young", time=0.0), received=NOW + DAY)
    add(store, *(event(f"old {place}", time=NOW + 9 * DAY) for place in range(5)), received=NOW)
    add(store, event("oldest"), received=NOW - DAY)
    add_labels(store, label("old 0"), label("young"))
    steps = [expire_events(store, NOW + 1, limit=1)]
    assert "oldest" not in {row["event_id"] for row in exported(store)}
    while steps[-1]:
        steps.append(expire_events(store, NOW + 1, limit=2))
    assert steps == [1, 2, 2, 1, 0]
    assert [row["event_id"] for row in exported(store)] == ["young"]
    assert labels_kept(store) == 1


def test_an_id_that_has_gone_may_come_again(store: Store) -> None:
    add(store, event("a"))
    expire_events(store, NOW + 1)
    assert add(store, event("a")).new == 1


def test_what_is_not_in_its_profile_yet_stays_until_it_is(store: Store) -> None:
    known = reference()
    add(store, event("a", temp=0.1))
    source(store).catch_up(store, lambda _: known, now=NOW)
    add(store, event("b", temp=0.2))
    assert expire_events(store, NOW + 1) == 1
    assert [row["event_id"] for row in exported(store)] == ["b"]
    source(store).catch_up(store, lambda _: known, now=NOW)
    assert expire_events(store, NOW + 1) == 1
    whole = source(store).profiles(Window(NOW, NOW + 3600), lambda _: known)["1"]
    assert whole.rows == 2


def test_what_never_gets_into_its_profile_stays_twice_as_long_and_then_goes(store: Store) -> None:
    """A reference that cannot be read for a while costs nothing, and one that never can fills no disk."""
    known = reference()
    add(store, event("a", temp=0.1))
    source(store).catch_up(store, lambda _: known, now=NOW)
    add(store, event("b", temp=0.2))
    add_labels(store, label("b"))
    assert expire_events(store, NOW + 1) == 1  # the profiled one
    assert expire_events(store, NOW + DAY) == 0  # now is NOW + 2 days, of which it may stay all
    assert expire_events(store, NOW + DAY + 1) == 1
    assert (exported(store), labels_kept(store)) == ([], 0)


def test_each_model_keeps_its_rows_as_long_as_it_needs_them(store: Store) -> None:
    add(store, event("a"), event("b"))
    add(store, event("a"), event("b"), app="other")
    store.write(lambda c: events.add_labels(c, "other", "demand", [label("a")], received=NOW))
    assert expire_events(store, NOW + 1) == 2
    assert exported(store) == []
    assert labels_kept(store) == 0
    with store.read() as connection:
        other = events.find_model(connection, "other", "demand")
        assert [len([each for each in pair if each]) for pair in reading.wire_events(connection, other)] == [2, 1]


def test_another_versions_profiles_do_not_keep_a_row(store: Store) -> None:
    known = reference()
    add(store, event("a", version="1"))
    source(store).catch_up(store, lambda _: known, now=NOW)
    add(store, event("b", version="1"), event("c", version="2"))
    source(store).catch_up(store, lambda version: known if version == "2" else None, now=NOW)
    assert expire_events(store, NOW + 1) == 2
    assert [row["event_id"] for row in exported(store)] == ["b"]


def test_a_version_whose_reference_was_never_read_waits_as_one_whose_cannot_be_read_for_a_while(store: Store) -> None:
    known = reference()
    add(store, event("a", version="1"), event("b", version="2"))
    source(store).catch_up(store, lambda version: known if version == "1" else None, now=NOW)
    assert expire_events(store, NOW + 1) == 1
    assert [row["event_id"] for row in exported(store)] == ["b"]
    assert expire_events(store, NOW + DAY + 1) == 1


def crowded_out(store: Store) -> None:
    """Ten rows of a version in profiles, one behind them, and then as many versions as are fed, with 100 rows of the last."""
    known = reference()
    add(store, *(event(f"old {place}", version="old", temp=0.5) for place in range(10)))
    source(store).catch_up(store, lambda _: known, now=NOW)
    add(store, event("one more", version="old", temp=0.5))
    for place in range(VERSIONS):
        add(store, event(f"v{place}", version=f"v{place}", temp=0.5), received=NOW + 1 + place)
    last = f"v{VERSIONS - 1}"
    add(store, *(event(f"new {place}", version=last, temp=0.5) for place in range(100)), received=NOW + 30)
    source(store).catch_up(store, lambda _: known, now=NOW)


def test_a_version_that_is_not_fed_keeps_no_row_longer(store: Store) -> None:
    crowded_out(store)
    assert expire_events(store, NOW + 31, limit=1000) == 111 + VERSIONS


def test_a_version_that_is_not_fed_holds_up_no_sampling(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows that are in a profile go as those of others do, and what is in none stays."""
    monkeypatch.setattr(ids, "FULL", 10)
    crowded_out(store)
    add(store, event("behind", version="new"), received=NOW + 40)
    looked, gone = store.write(lambda c: expiry.thin(c, number=1, share=0.01, received_before=NOW + 35, limit=1000))
    assert looked == 111 + VERSIONS
    left = {row["event_id"] for row in exported(store)}
    assert gone == looked + 1 - len(left)
    assert gone > 100
    assert {"one more", "behind"} <= left
    assert len(left & {f"old {place}" for place in range(10)}) < 10


def test_of_too_many_rows_those_in_a_profile_go_before_those_that_will_be(store: Store) -> None:
    """Row by row: also where versions have got to different places, or one has not begun."""
    known = reference()
    add(store, *(event(f"a{place}", version="a", temp=0.5) for place in range(10)))
    add(store, *(event(f"b{place}", version="b", temp=0.5) for place in range(10)))
    add(store, *(event(f"c{place}", version="c", temp=0.5) for place in range(10)))
    source(store).catch_up(store, lambda version: known if version == "a" else None, now=NOW)
    add(store, *(event(f"a{place}", version="a", temp=0.5) for place in range(10, 20)))
    source(store).catch_up(store, lambda version: known if version == "b" else None, now=NOW)
    add(store, *(event(f"b{place}", version="b", temp=0.5) for place in range(10, 20)))
    add_labels(store, *(label(f"{version}{place}") for version in "abc" for place in range(20)))
    assert labels_kept(store) == 60

    def evict(limit: int) -> int:
        return store.write(lambda c: expiry.drop_oldest(c, number=1, limit=limit))

    assert evict(15) == 15
    left = [row["event_id"] for row in exported(store)]
    assert left == [*(f"b{place}" for place in range(5, 10)), *(f"c{place}" for place in range(10)), *late("a", "b")]
    assert evict(100) == 5
    assert [row["event_id"] for row in exported(store)] == [*(f"c{place}" for place in range(10)), *late("a", "b")]
    assert labels_kept(store) == 10 + 30  # ten of them of no event yet
    assert add(store, event("c0", version="c"), event("a15", version="a")).duplicates == 2
    assert evict(12) == 12
    assert [row["event_id"] for row in exported(store)] == [*late("a", "b")][2:]


def late(*versions: str) -> Iterator[str]:
    for version in versions:
        yield from (f"{version}{place}" for place in range(10, 20))


def test_rows_of_a_version_that_is_not_fed_go_as_old_ones_do(store: Store) -> None:
    crowded_out(store)
    add(store, *(event(f"fresh {place}", version="v3", temp=0.5) for place in range(50)), received=NOW + 50)
    assert store.write(lambda c: expiry.drop_oldest(c, number=1, limit=5000)) == 111 + VERSIONS
    assert {row["event_id"] for row in exported(store)} == {f"fresh {place}" for place in range(50)}


def test_what_may_go_is_not_looked_for_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All who send wait for the writer meanwhile."""
    monkeypatch.setattr(expiry, "SKIPPED", 20)
    add(store, *(event(f"waits {place}", version="1") for place in range(30)))
    add(store, *(event(f"done {place}", version="2") for place in range(10)))
    source(store).catch_up(store, lambda version: reference() if version == "2" else None, now=NOW)
    assert [store.write(lambda c: expiry.drop_oldest(c, number=1, limit=15)) for _ in range(3)] == [15, 5, 15]
    assert [row["event_id"] for row in exported(store)] == [f"done {place}" for place in range(5, 10)]


def test_rows_without_a_reference_have_no_profile_to_wait_for(store: Store) -> None:
    add(store, event("a"))
    assert expire_events(store, NOW + 1) == 1


# --- how much of it ---------------------------------------------------------------------------------------------------


def test_labelled_predictions_are_counted_by_event_time_and_no_further_than_asked(store: Store) -> None:
    add(store, *(event(str(place), NOW + place) for place in range(6)))
    add_labels(store, *(label(str(place)) for place in (0, 1, 2, 3)), label("stray"))
    for since, at_most, expected in ((NOW, 100, 4), (NOW + 2, 100, 2), (NOW, 3, 3), (NOW, 4, 4), (NOW + 4, 100, 0)):
        with store.read() as connection:
            counted = reading.count_labelled(connection, number(store), since=since, at_most=at_most)
        assert counted == expected, (since, at_most)


def test_only_the_newest_versions_are_judged_and_the_others_counted(store: Store) -> None:
    """A version is a stranger's text: any number of them must not make a judgement long."""
    known = reference()
    for place in range(VERSIONS):
        add(store, event(f"v{place}", version=f"v{place}", temp=0.5), received=NOW + place)
    watched = source(store)
    assert watched.omitted_versions() == 0
    for place in range(VERSIONS, VERSIONS + 3):
        add(store, event(f"v{place}", version=f"v{place}", temp=0.5), received=NOW + place)
    newest = {f"v{place}" for place in range(3, VERSIONS + 3)}
    with store.read() as connection:
        listed = newest_versions(connection, number(store), limit=VERSIONS)
        assert newest_versions(connection, number(store), limit=2) == [f"v{VERSIONS + 2}", f"v{VERSIONS + 1}"]
        assert count_versions(connection, number(store)) == VERSIONS + 3
    assert (len(listed), set(listed)) == (VERSIONS, newest)
    assert watched.omitted_versions() == 3
    window = Window(NOW - 1, NOW + 1)
    assert set(watched.profiles(window, lambda _: known)) == newest
    assert set(watched.profiles(window, lambda _: None)) == newest
    assert watched.catch_up(store, lambda _: known, now=NOW) == VERSIONS
    assert set(watched.profiles(window, lambda _: known)) == newest


def newest(store: Store, limit: int = VERSIONS) -> list[str]:
    with store.read() as connection:
        return newest_versions(connection, number(store), limit=limit)


def test_a_version_that_comes_again_is_as_old_as_it_was(store: Store) -> None:
    add(store, event("a", version="old"), received=NOW)
    add(store, event("b", version="new"), received=NOW + 1)
    add(store, event("c", version="old"), received=NOW + 2)
    assert newest(store, 1) == ["new"]
    for place, version in enumerate(("old", "new")):
        add(store, event(f"later {place}", version=version), received=NOW + 100 - place)
    assert newest(store) == ["new", "old"]


def test_versions_that_come_once_take_no_place_of_one_that_keeps_sending(store: Store) -> None:
    """Such as those that a client makes up for each row; the next real one is not kept out, either."""
    places = iter(range(1000))

    def minute(at: float, *versions: str) -> None:
        for version in versions:
            add(store, event(f"event {next(places)}", version=version, temp=0.5), received=at)
        for place in range(VERSIONS + 2):
            add(store, event(f"{place} at {at}", version=f"{place} at {at}", temp=0.5), received=at + 1)

    minute(NOW, "live")
    assert "live" not in newest(store)  # nobody could tell it from the others yet
    for at in range(1, 4):
        minute(NOW + 60 * at, "live")
        assert newest(store)[0] == "live"
    minute(NOW + 240, "live", "next")
    minute(NOW + 300, "live", "next")
    assert newest(store)[:2] == ["next", "live"]
    known = reference()
    watched = source(store)
    watched.catch_up(store, lambda _: known, now=NOW)
    assert watched.profiles(Window(NOW - 1, NOW + 1), lambda _: known)["live"].rows == 6
    # The next one has replaced it: it is like others that have come to an end.
    for at in range(6, 8):
        minute(NOW + 3600 + 60 * at, "next")
    assert newest(store)[0] == "next"
    assert "live" not in newest(store)


def test_of_very_many_versions_those_that_keep_sending_are_not_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.store.versions.VERSIONS_KEPT", 5)
    for at in (0.0, 100.0):
        add(store, event(f"live at {at}", version="live"), received=NOW + at)
    for place in range(20):
        add(store, event(f"once {place}", version=f"once {place}"), received=NOW + 101 + place)
    assert newest(store) == ["live", *(f"once {place}" for place in range(19, 15, -1))]


def test_that_rows_of_a_version_still_come_is_written_once_a_minute(store: Store) -> None:
    """Between that, taking rows in costs no statement more."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    add(store, event("first"), received=NOW)
    add(store, event("second"), received=NOW)
    sql_event.listen(Engine, "before_cursor_execute", note)
    try:
        for place in range(240):
            add(store, event(f"event {place}"), received=NOW + place)
    finally:
        sql_event.remove(Engine, "before_cursor_execute", note)
    about = [statement for statement in asked if " versions" in statement]
    assert len(about) == 3
    assert all(statement.startswith("UPDATE versions") for statement in about)


def test_versions_of_a_store_from_before_their_last_rows_were_noted_are_in_their_order(store: Store) -> None:
    for place in range(3):
        add(store, event(f"v{place}", version=f"v{place}"), received=NOW + place)
    store.write(lambda c: c.execute(update(schema.versions).values(last_received=0)))
    assert newest(store) == ["v2", "v1", "v0"]
    add(store, event("again", version="v1"), received=NOW + 100)
    assert newest(store) == ["v1", "v2", "v0"]


def test_a_model_nobody_has_heard_of_omits_no_versions(store: Store) -> None:
    assert source(store).omitted_versions() == 0


def test_tables_are_the_same_after_a_rollback(store: Store) -> None:
    """Every statement is kept with its tables: made anew each time, those of wide models would be many megabytes."""
    add(store, event("a", x=1.0))

    def table(connection: Connection) -> Any:
        return layout_of(connection, number(store)).events

    before = store.write(table)
    with pytest.raises(StoreError):
        store.write(lambda c: c.exec_driver_sql("no statement"))
    assert store.write(table) is before
