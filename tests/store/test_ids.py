"""Ids: an event is taken in once, however many there are, in whichever segment its id is, and whatever its hash."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlalchemy import Connection, delete, func, insert, select

from monitor.store import Store, checking, events, expiry, ids, reading, schema
from monitor.store.filters import Filters, hashes_of, in_sample, packed_filter
from monitor.store.layout import layout_of
from monitor.store.versions import VERSIONS_KEPT, count_versions
from tests.store.rows import NOW, event, label, opened

IDS = some.lists(some.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text), min_size=1, max_size=20)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "FULL", 50)


@pytest.fixture
def daemons(store: Store, tmp_path: Path, backend: str) -> Iterator[tuple[Store, Store]]:
    """Two daemons that share a store; a file has only one, which is then both of them."""
    if backend == "sqlite":
        yield store, store
        return
    with opened(tmp_path) as other:
        yield store, other


def add(store: Store, names: list[str], received: float = NOW, model: str = "demand") -> events.Taken:
    rows = [event(name, NOW + place) for place, name in enumerate(names)]
    return store.write(lambda c: events.add_events(c, "shop", model, rows, received=received))


def kept(store: Store) -> list[str]:
    with store.read() as connection:
        return [row["event_id"] for row, _ in reading.wire_events(connection, 1)]


def segments(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(schema.segments)).scalar_one()


@settings(deadline=None)
@given(IDS)
def test_an_id_has_the_same_hash_alone_and_among_others(names: list[str]) -> None:
    together = hashes_of(names).tolist()
    assert together == [int(hashes_of([name])[0]) for name in names]


def test_hashes_are_the_same_everywhere() -> None:
    """They are on disks: another hash would make every id a stranger."""
    assert hashes_of(["a", "0b0e9d6c-5a51-4f7b-8b52-0d5b3a0e0c11", "é"]).tolist() == [
        -327054986932344948,
        -4298995194246021746,
        -2510013095160115321,
    ]


def test_hashes_of_many_ids_differ() -> None:
    names = [f"{kind}{place}" for kind in ("", "event-", "ÿ") for place in range(30_000)]
    assert len(set(hashes_of(names).tolist())) == len(names)


def test_a_filter_holds_what_was_put_in_and_few_others() -> None:
    held = [str(uuid.UUID(int=random.Random(place).getrandbits(128))) for place in range(20_000)]
    strangers = [f"stranger {place}" for place in range(20_000)]
    filters = Filters()
    filters.add(7, 10_000, packed_filter(hashes_of(held[:10_000])))
    filters.add(8, 20_000, packed_filter(hashes_of(held[10_000:])))
    found = filters.candidates(held, hashes_of(held))
    assert set(found[7]) >= set(held[:10_000])
    assert set(found[8]) >= set(held[10_000:])
    passed = filters.candidates(strangers, hashes_of(strangers))
    assert sum(map(len, passed.values())) < 10


def test_any_number_of_filters_stand_beside_each_other() -> None:
    filters = Filters()
    for number in range(1, 131):
        filters.add(number, number, packed_filter(hashes_of([f"of {number}"])))
    names = [f"of {number}" for number in range(1, 131)]
    assert filters.candidates(names, hashes_of(names)) == {number: [f"of {number}"] for number in range(1, 131)}


@pytest.mark.usefixtures("small_segments")
def test_an_event_counts_once_over_many_segments(store: Store) -> None:
    names = [f"event {place}" for place in range(500)]
    for at in range(0, 500, 30):
        add(store, names[at : at + 30])
    assert segments(store) >= 7
    random.Random(1).shuffle(names)
    again = add(store, names)
    assert (again.new, again.duplicates) == (0, 500)
    assert len(kept(store)) == 500


@pytest.mark.usefixtures("small_segments")
def test_a_label_finds_its_event_in_any_segment(store: Store) -> None:
    for at in range(0, 300, 60):
        add(store, [f"event {place}" for place in range(at, at + 60)])
    labels = [label(f"event {place}", float(place)) for place in range(300)]
    store.write(lambda c: events.add_labels(c, "shop", "demand", labels, received=NOW))
    with store.read() as connection:
        told = {row["event_id"]: found["label"] for row, found in reading.wire_events(connection, 1) if found}
        assert events.count_unmatched(connection, 1) == 0
    assert told == {f"event {place}": float(place) for place in range(300)}


@pytest.mark.usefixtures("small_segments")
def test_the_segments_of_ids_go_with_their_events(store: Store) -> None:
    for at in range(0, 300, 60):
        add(store, [f"event {place}" for place in range(at, at + 60)])
    before = segments(store)
    store.write(lambda c: expiry.drop_oldest(c, number=1, limit=250))
    assert segments(store) < before - 2
    # What has gone may come again, what is there may not; also where its segment is still there.
    again = add(store, [f"event {place}" for place in range(300)])
    assert (again.new, again.duplicates) == (250, 50)
    assert sorted(kept(store)) == sorted(f"event {place}" for place in range(300))


@pytest.mark.usefixtures("small_segments")
def test_ids_of_one_hash_are_told_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also at the end of the numbers, in one batch, in several, and after some have gone."""

    def poor(names: list[str]) -> np.ndarray:
        return np.array([ids.MOST - len(name) % 2 for name in names], dtype=np.int64)

    monkeypatch.setattr(ids, "hashes_of", poor)
    names = [f"event {place}" for place in range(30)]
    first = add(store, names[:10])
    assert (first.new, first.duplicates) == (10, 0)
    second = add(store, names[5:30])
    assert (second.new, second.duplicates) == (20, 5)
    labels = [label(name, name) for name in names]
    store.write(lambda c: events.add_labels(c, "shop", "demand", labels, received=NOW))
    with store.read() as connection:
        assert all(found["label"] == row["event_id"] for row, found in reading.wire_events(connection, 1))
    store.write(lambda c: expiry.drop_oldest(c, number=1, limit=7))
    third = add(store, names)
    assert (third.new, third.duplicates) == (7, 23)
    assert sorted(kept(store)) == sorted(names)


def test_what_was_rolled_back_is_not_remembered(store: Store) -> None:
    add(store, ["a"])

    def fails(connection: object) -> None:
        events.add_events(connection, "shop", "demand", [event("b", other=1)], received=NOW)
        raise LookupError

    with pytest.raises(LookupError):
        store.write(fails)
    rows = [event("b", third="x")]
    assert store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW)).new == 1
    with store.read() as connection:
        found = [row["features"] for row, _ in reading.wire_events(connection, 1)]
    assert found == [{}, {"third": "x"}]


def whole_profile(store: Store, upto: int) -> None:
    """As if the rows up to a number were in their profiles."""
    row = {"model_id": 1, "version": "1", "series": "s", "seq": upto}
    store.write(lambda c: c.execute(insert(schema.cursors), [row]))


@pytest.mark.usefixtures("small_segments")
def test_of_old_events_a_sample_stays_and_all_of_them_stay_known(store: Store) -> None:
    names = [f"event {place}" for place in range(500)]
    for at in range(0, 500, 50):
        add(store, names[at : at + 50])
    whole_profile(store, 400)
    labels = [label(name, 1.0) for name in names[:300]]
    store.write(lambda c: events.add_labels(c, "shop", "demand", labels, received=NOW))
    looked, gone = [], 0
    for _ in range(10):
        seen, went = store.write(lambda c: expiry.thin(c, number=1, share=0.3, received_before=NOW + 1000, limit=150))
        looked.append(seen)
        gone += went
    # What is in no profile yet stays whole, and nothing is looked at twice.
    assert looked == [150, 150, 100, 0, 0, 0, 0, 0, 0, 0]
    left = kept(store)
    expected = in_sample(hashes_of(names), 0.3).tolist()
    assert left == [name for place, name in enumerate(names) if place >= 400 or expected[place]]
    assert 80 < len(left) - 100 < 160
    assert gone == 500 - len(left)
    # None of them may come again, and none of their labels finds an event that is not there.
    again = add(store, names)
    assert (again.new, again.duplicates) == (0, 500)
    late = [label(name, 2.0) for name in names[300:400]]
    store.write(lambda c: events.add_labels(c, "shop", "demand", late, received=NOW))
    with store.read() as connection:
        labelled = {row["event_id"]: told["label"] for row, told in reading.wire_events(connection, 1) if told}
        unmatched = events.count_unmatched(connection, 1)
        assert list(checking.complaints(connection, quick=True)) == []
    gone_late = sum(not expected[place] for place in range(300, 400))
    assert (len(labelled), unmatched) == (sum(name in left for name in names[:400]), gone_late)


@pytest.mark.usefixtures("small_segments")
def test_nothing_is_thinned_out_that_is_too_young_or_whose_id_only_it_knows(store: Store) -> None:
    add(store, [f"event {place}" for place in range(60)])
    add(store, [f"late {place}" for place in range(40)], received=NOW + 10)  # in no segment yet
    whole_profile(store, 100)

    def thin(before: float) -> tuple[int, int]:
        return store.write(lambda c: expiry.thin(c, number=1, share=0.5, received_before=before, limit=1000))

    assert thin(NOW) == (0, 0)
    assert thin(NOW + 1)[0] == 60
    assert thin(NOW + 100) == (0, 0)


@pytest.mark.parametrize(("full", "held"), [(50, 1000), (200, 50)], ids=["two segments", "one segment"])
def test_an_id_that_came_again_is_found_also_where_sampling_has_passed_its_old_number(
    store: Store, monkeypatch: pytest.MonkeyPatch, full: int, held: int
) -> None:
    monkeypatch.setattr(ids, "FULL", full)
    monkeypatch.setattr(ids, "HELD", held)
    again, others = [f"event {place}" for place in range(30)], [f"event {place}" for place in range(30, 60)]
    add(store, again + others)
    store.write(lambda c: expiry.drop_oldest(c, number=1, limit=30))
    assert add(store, again, NOW + 100).new == 30
    add(store, [f"late {place}" for place in range(30)], NOW + 100)
    assert segments(store) == (2 if full == 50 else 1)
    whole_profile(store, 120)
    looked, gone = store.write(lambda c: expiry.thin(c, number=1, share=0.5, received_before=NOW + 100, limit=1000))
    assert looked == 30
    assert gone > 5
    labels = [label(name) for name in ["late 0", *again]]
    store.write(lambda c: events.add_labels(c, "shop", "demand", labels, received=NOW + 200))
    with store.read() as connection:
        assert events.count_unmatched(connection, 1) == 0
        assert list(checking.complaints(connection)) == []
    assert add(store, again + others).new == 0


def test_what_another_daemon_has_merged_into_a_segment_is_known(
    daemons: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to one that has looked into that segment before."""
    monkeypatch.setattr(ids, "HELD", 20)
    one, other = daemons
    add(other, [f"early {place}" for place in range(20)])
    add(one, ["between"])
    late = [f"late {place}" for place in range(20)]
    add(other, late)
    assert segments(one) == 1
    labels = [label(name) for name in late]
    one.write(lambda c: events.add_labels(c, "shop", "demand", labels, received=NOW))
    with one.read() as connection:
        assert events.count_unmatched(connection, 1) == 0
    assert add(one, late).new == 0


@pytest.mark.usefixtures("small_segments")
def test_segments_that_another_daemon_has_made_after_all_had_gone_are_looked_into(
    daemons: tuple[Store, Store],
) -> None:
    standby, busy = daemons
    add(busy, [f"old {place}" for place in range(60)])
    add(standby, ["between"])
    busy.write(lambda c: expiry.drop_oldest(c, number=1, limit=1000))
    new = [f"new {place}" for place in range(60)]
    add(busy, new)
    assert add(standby, new).new == 0
    assert kept(standby) == new


def test_a_daemon_whose_memory_is_short_takes_no_segment_of_another_back_to_what_it_knows(
    daemons: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment whose last number lay before what is in it would go while some of its events are still there."""
    monkeypatch.setattr(ids, "HELD", 12)
    standby, busy = daemons
    add(standby, [f"early {place}" for place in range(10)])
    late = [f"late {place}" for place in range(10)]
    add(busy, late)  # fills a segment
    add(standby, [f"of another {place}" for place in range(5)], model="risk")  # too much with what it still holds
    standby.write(lambda c: expiry.drop_oldest(c, number=1, limit=10))
    assert add(busy, late).new == 0
    assert kept(busy) == late


class Fails(Exception):
    """Undoes a change."""


class Shared:
    """What daemons that share a store should hold of one model: which ids are there, and which were thinned out."""

    def __init__(self, name: str) -> None:
        self.name, self.number = name, 0
        self.sent: list[str] = []
        self.there: dict[str, int] = {}  # with their numbers
        self.thinned: dict[str, int] = {}

    def add(self, store: Store, names: list[str], received: float, *, fails: bool) -> None:
        """Send ids, all of which are taken but for those that are known."""

        def change(connection: Connection) -> None:
            rows = [event(name) for name in names]
            events.add_events(connection, "shop", self.name, rows, received=received)
            if fails:
                raise Fails

        with suppress(Fails):
            store.write(change)
        before = self.there
        self.look(store)
        taken = self.there.keys() - before
        assert taken <= set(names) - self.thinned.keys()
        assert before.items() <= self.there.items()
        if fails:
            assert not taken
            return
        assert taken >= set(names) - before.keys() - set(self.sent)
        self.sent = list(dict.fromkeys(self.sent + names))

    def thin(self, store: Store, received_before: float, limit: int) -> None:
        """Leave half of some."""

        def change(connection: Connection) -> None:
            row = {"model_id": self.number, "version": "1", "series": "s", "seq": 10**9}
            connection.execute(delete(schema.cursors).where(schema.cursors.c.model_id == self.number))
            connection.execute(insert(schema.cursors), [row])
            expiry.thin(connection, number=self.number, share=0.5, received_before=received_before, limit=limit)

        store.write(change)
        before = self.there
        self.look(store)
        self.thinned |= {name: before[name] for name in before.keys() - self.there.keys()}

    def drop(self, store: Store, step: Callable[..., int]) -> None:
        """Let the first go; what was thinned out before those that stay may come again."""
        last = max(self.there.values(), default=0)
        store.write(lambda c: step(c, number=self.number))
        self.look(store)
        first = min(self.there.values(), default=last + 1)
        self.thinned = {name: seq for name, seq in self.thinned.items() if seq >= first}

    def look(self, store: Store) -> None:
        """What is there by now; none of it twice."""
        with store.read() as connection:
            number = events.find_model(connection, "shop", self.name)
            if number is None:
                return
            table = layout_of(connection, number).events
            rows = connection.execute(select(table.c.event_id, table.c.seq)).all()
        self.number, self.there = number, {row.event_id: row.seq for row in rows}
        assert len(self.there) == len(rows)

    def find(self, store: Store) -> None:
        """All that is there is found, and nothing else."""
        asked = [*self.sent, "a stranger"]
        assert store.write(lambda c: ids.find(c, layout_of(c, self.number), asked)) == self.there


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 6])
def test_whatever_daemons_do_no_id_that_is_kept_is_taken_twice(
    daemons: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """They take ids in, fail, merge segments, thin and drop, each at its own pace, and one of them is quiet now and then."""
    monkeypatch.setattr(ids, "FULL", 60)
    monkeypatch.setattr(ids, "HELD", 40)
    draw, now, fresh = random.Random(seed), NOW, count()
    models = [Shared(name) for name in ("demand", "risk", "price")]
    paces = [(1, 1), (1, 0), (1, 1), (0, 1)]
    for turn in range(150):
        (store,) = draw.choices(daemons, paces[turn // 10 % len(paces)])
        model, what, now = draw.choice(models), draw.random(), now + 1.0
        if what < 0.75 or not model.number:
            old = draw.sample(model.sent, min(len(model.sent), draw.randrange(20)))
            new = [str(next(fresh)) for _ in range(draw.randint(1, 16))]
            model.add(store, old + new, now, fails=draw.random() < 0.1)
        elif what < 0.85:
            model.thin(store, now - 20, draw.randint(5, 60))
        elif what < 0.90:
            model.drop(store, partial(expiry.drop_oldest, limit=draw.randint(1, 80)))
        elif what < 0.94:
            model.drop(store, partial(expiry.expire_events, now=now, keep=draw.uniform(20, 60), limit=100))
        else:
            model.find(store)
    for model in models:
        for store in daemons:
            model.find(store)
            model.add(store, list(model.there | model.thinned), now, fails=False)


@given(some.floats(0.01, 1.0))
def test_a_sample_is_as_large_as_was_asked_for(share: float) -> None:
    names = hashes_of([f"event {place}" for place in range(5000)])
    taken = in_sample(names, share)
    assert abs(taken.mean() - share) < 0.04
    assert (in_sample(names, min(1.0, share * 1.5)) >= taken).all()  # a larger one holds it


@pytest.mark.parametrize("mask", [1, -1])
def test_ids_of_many_models_are_together_in_few_segments(
    store: Store, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    """Where memory is short before any model fills a segment; also where ids have one hash."""
    whole = hashes_of
    monkeypatch.setattr(ids, "HELD", 60)
    monkeypatch.setattr(ids, "FULL", 200)
    monkeypatch.setattr(ids, "hashes_of", lambda names: whole(names) & mask)
    rows = [event(f"event {place}") for place in range(300)]
    for at in range(0, 300, 10):
        for model in ("demand", "risk"):
            some = rows[at : at + 10]
            store.write(lambda c, m=model, r=some: events.add_events(c, "shop", m, r, received=NOW))
    assert segments(store) <= 4
    for model in ("demand", "risk"):
        again = store.write(lambda c, m=model: events.add_events(c, "shop", m, rows, received=NOW))
        assert (again.new, again.duplicates) == (0, 300)


def test_many_versions_in_one_batch_take_no_longer_than_one(store: Store) -> None:
    rows = [event(f"event {place}", version=f"v{place}") for place in range(12_000)]
    began = time.process_time()
    taken = store.write(lambda c: events.add_events(c, "shop", "demand", rows, received=NOW))
    assert time.process_time() - began < 5.0  # a pass for each version would take 40
    assert len(taken.new_versions) == 12_000
    with store.read() as connection:
        assert count_versions(connection, 1) == VERSIONS_KEPT


@pytest.mark.usefixtures("small_segments")
def test_ids_stay_known_for_their_retention_however_few_rows_the_sample_leaves(store: Store) -> None:
    """Whole segments lie between two rows that stay: they do not go with the first of them."""
    names = [f"event {place}" for place in range(500)]
    stays = np.flatnonzero(in_sample(hashes_of(names), 0.006)).tolist()
    assert stays[1] - stays[0] > 50
    for at in range(0, 500, 10):
        add(store, names[at : at + 10], NOW + at)
    whole_profile(store, 500)
    store.write(lambda c: expiry.thin(c, number=1, share=0.006, received_before=NOW + 1000, limit=1000))
    now = NOW + stays[0] + 600
    assert store.write(lambda c: expiry.expire_events(c, number=1, now=now, keep=600, limit=1000)) == 1
    assert add(store, names[stays[0] + 1 :], now).new == 0
