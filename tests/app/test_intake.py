"""What comes in at once is stored together, and everybody hears of what became of their own."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import DataError, OperationalError

from benchmarks._asking import Answered, Asked, ask_all
from monitor.app import intake as intake_module
from monitor.app.daemon import Daemon
from monitor.app.intake import WAITING_RECORDS, Intake
from monitor.config import load
from monitor.metrics import Metrics
from monitor.schedule import WallClock
from monitor.store import Store, StoreError, StoreFull, events
from monitor.store.events import NewRows
from monitor.store.quarantine import read_aside
from monitor.store.reading import wire_events
from monitor.web import _server, create_app
from monitor.wire import Batch, Only, decode
from tests.servers import postgresql

AT = 1_795_161_600
PATIENCE_SECONDS = 30


def prediction(event_id: str, model: str = "demand", **more: Any) -> dict[str, Any]:
    return {"model": model, "event_id": event_id, "timestamp": AT, "features": {"temp": 1.0}, "prediction": 2.0, **more}


class Watch:
    """A daemon that takes in, and of whose jobs none runs."""

    def __init__(self, folder: Path, models: tuple[str, ...] = ("demand", "risk"), **more: Any) -> None:
        self.path = folder / "anchorwatch.yml"
        self.configure(models, **more)
        self.daemon = Daemon(load(self.path), clock=WallClock())
        self.intake, self.store = self.daemon.intake, self.daemon.store

    def configure(self, models: tuple[str, ...], **more: Any) -> None:
        said = {**more, "apps": [{"name": "shop", "models": [{"name": name, "task": "regression"} for name in models]}]}
        self.path.write_text(yaml.safe_dump(said), encoding="utf-8")

    def read(self, *records: dict[str, Any], kind: Any = "predictions") -> Batch:
        return self.intake.read(msgspec.json.encode(records), "json", kind)

    def take(self, *records: dict[str, Any], kind: Any = "predictions") -> Future[Batch]:
        return self.intake.take(self.read(*records, kind=kind))

    def ask(self, method: str, path: str, said: Any = None, query: str = "") -> Answered:
        body = b"" if said is None else msgspec.json.encode(said)
        asked = Asked(method, path, body, [("Content-Type", "application/json")], query)
        (found,) = ask_all(create_app(self.daemon), [asked])
        assert found.fault is None
        return found

    def kept(self, model: str = "demand") -> list[dict[str, Any]]:
        with self.store.read() as connection:
            number = events.find_model(connection, "shop", model)
            return [] if number is None else [event for event, _ in wire_events(connection, number)]

    def ids(self, model: str = "demand") -> list[str]:
        return [event["event_id"] for event in self.kept(model)]

    def aside(self) -> list[dict[str, Any]]:
        with self.store.read() as connection:
            return read_aside(connection)

    def counted(self, name: str, **labels: str) -> float:
        page, _ = self.daemon.metrics.render(None)
        text = page.decode() if isinstance(page, bytes) else page
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"anchorwatch_{name}" and labels.items() <= sample.labels.items()
        )


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    made = Watch(tmp_path)
    yield made
    made.daemon.stop()


class Held:
    """The writer, kept from going on until it is let go; what is asked meanwhile comes together."""

    def __init__(self, store: Store) -> None:
        self._go, self._there = threading.Event(), threading.Event()
        self.future = store.submit(self._hold)
        assert self._there.wait(PATIENCE_SECONDS)

    def _hold(self, _: Any) -> None:
        self._there.set()
        assert self._go.wait(PATIENCE_SECONDS)

    def release(self) -> None:
        self._go.set()
        self.future.exception(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def broken(_: Any) -> None:
    """What the driver raises where a disk is full."""
    raise OperationalError("", {}, Exception("database or disk is full"))


# --- together ---------------------------------------------------------------------------------------------------------


def test_batches_that_are_stored_together_keep_their_own_answers(watch: Watch) -> None:
    with Held(watch.store):
        first = watch.take(prediction("a"), prediction("b", timestamp="soon"))
        second = watch.take(prediction("a"), prediction("c"))
        third = watch.take(prediction("d", model="nobody's"))
        labels = watch.take({"model": "demand", "event_id": "a", "label": 1.0}, kind="labels")
    answers = [future.result(PATIENCE_SECONDS) for future in (first, second, third, labels)]
    assert [(each.accepted, [told["index"] for told in each.rejected]) for each in answers] == [
        (1, [1]),
        (2, []),
        (0, [0]),
        (1, []),
    ]
    assert watch.ids() == ["a", "c"]
    assert watch.counted("ingest_records_total", kind="predictions", model="demand") == 2
    assert watch.counted("ingest_duplicates_total", kind="predictions", model="demand") == 1
    assert watch.counted("ingest_records_total", kind="labels", model="demand") == 1
    assert [(row["kind"], row["reason"]) for row in watch.aside()] == [
        ("predictions", "bad_time"),
        ("predictions", "unknown_model"),
    ]
    assert watch.intake.records_waiting == 0


def test_events_are_kept_in_the_order_in_which_they_came_and_of_one_id_the_first_stands(watch: Watch) -> None:
    """Also where some are decoded at once, and others one by one, because of a new name or a time without an offset."""
    watch.take(prediction("known")).result(PATIENCE_SECONDS)
    slow = {"timestamp": "2026-11-20T08:00:00"}
    with Held(watch.store):
        for turn, more in enumerate((slow, {}, {"features": {"new": 1}}, {}, slow)):
            watch.take(prediction(f"e{turn}", **more), prediction("x", prediction=turn, **more))
        last = watch.take(prediction("last"))
    last.result(PATIENCE_SECONDS)
    assert watch.ids() == ["known", "e0", "x", "e1", "e2", "e3", "e4", "last"]
    assert [event["prediction"] for event in watch.kept() if event["event_id"] == "x"] == [0.0]


def too_many(start: int = 0) -> list[dict[str, Any]]:
    """Two records that are both good, and together have more names than a model may."""
    return [
        prediction(f"wide-{at}", "risk", features={str(start + at * 600 + name): 1 for name in range(600)})
        for at in range(2)
    ]


def test_a_record_that_would_bring_too_many_names_is_set_aside_and_spoils_no_other(watch: Watch) -> None:
    with Held(watch.store):
        before = watch.take(prediction("a"))
        mixed = watch.take(prediction("b", features={"temp": 1.0, "later": 1.0}), *too_many(), prediction("z", "risk"))
        after = watch.take(prediction("c"), prediction("d", "risk"), prediction("bad", timestamp="soon"))
    answers = [each.result(PATIENCE_SECONDS) for each in (before, mixed, after)]
    assert [(each.accepted, [told["index"] for told in each.rejected]) for each in answers] == [
        (1, []),
        (3, [2]),
        (2, [2]),
    ]
    (told,) = answers[1].rejected
    assert told["reason"].startswith("features: expected at most 1000 names of one model, got another: ")
    assert (watch.ids(), watch.ids("risk")) == (["a", "b", "c"], ["wide-0", "z", "d"])
    assert watch.counted("ingest_records_total", kind="predictions") == 6
    assert watch.counted("ingest_rejected_total", reason="too_many_names") == 1
    assert sorted(row["reason"] for row in watch.aside()) == ["bad_time", "too_many_names"]
    (kept,) = [row for row in watch.aside() if row["reason"] == "too_many_names"]
    assert msgspec.json.decode(kept["record"])["event_id"] == "wide-1"


def test_a_request_of_nothing_but_too_many_names_is_told_422(watch: Watch) -> None:
    assert watch.ask("POST", "/v1/predictions", [prediction("a", "risk"), *too_many()]).status == 202
    answered = watch.ask("POST", "/v1/predictions", too_many(5000)[:1])
    assert (answered.status, answered.json()["accepted"]) == (422, 0)
    assert watch.ids("risk") == ["a", "wide-0"]


@pytest.mark.slow
def test_very_many_records_of_too_many_names_hold_nobody_up(watch: Watch) -> None:
    full = prediction("full", "risk", features={f"f{name}": 1 for name in range(990)})
    assert watch.take(full).result(PATIENCE_SECONDS).accepted == 1
    records = [prediction(f"e{at}", "risk", features={f"{at}-{name}": 1 for name in range(20)}) for at in range(20_000)]
    began = time.monotonic()
    taken = watch.take(*records).result(PATIENCE_SECONDS)
    assert (taken.accepted, len(taken.rejected)) == (0, 20_000)
    assert time.monotonic() - began < 10


def test_records_that_the_database_refuses_are_found_and_the_others_are_kept(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL does, where a row is too wide for a page."""

    def refusing(connection: Any, app: str, model: str, given: Any, *, received: float) -> Any:
        given = list(given)
        ids = [row[0] for each in given if isinstance(each, NewRows) for row in each.rows]
        ids += [each.event_id for each in given if not isinstance(each, NewRows)]
        if any(name.startswith("wide") for name in ids):
            raise DataError("", {}, Exception("row is too big"))
        return add_events(connection, app, model, given, received=received)

    watch.take(prediction("known")).result(PATIENCE_SECONDS)
    add_events = events.add_events
    monkeypatch.setattr(events, "add_events", refusing)
    with Held(watch.store):
        innocent = watch.take(prediction("a"))
        mixed = watch.take(*(prediction(f"{'wide' if place in (3, 17) else 'good'}-{place}") for place in range(40)))
        slow = watch.take(prediction("wide-x", features={"new": 1.0}), prediction("b", features={"new": 2.0}))
        labels = watch.take({"model": "demand", "event_id": "a", "label": 1.0}, kind="labels")
    assert [each.result(PATIENCE_SECONDS).accepted for each in (innocent, mixed, slow, labels)] == [1, 38, 1, 1]
    assert [told["index"] for told in mixed.result().rejected] == [3, 17]
    assert [told["index"] for told in slow.result().rejected] == [0]
    assert watch.ids() == ["known", "a", *(f"good-{place}" for place in range(40) if place not in (3, 17)), "b"]
    assert watch.counted("ingest_rejected_total", reason="not_storable") == 3
    records = [msgspec.json.decode(row["record"]) for row in watch.aside()]
    assert records[0] == {
        "app": "shop",
        "latency_seconds": None,
        "model_version": "unversioned",
        "probability": None,
        **prediction("wide-3"),
    }
    assert watch.counted("ingest_records_total", kind="labels") == 1


def test_a_batch_of_which_the_database_refuses_all_ends(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def refusing(*_: Any, **__: Any) -> Any:
        tries.append(1)
        raise DataError("", {}, Exception("no"))

    monkeypatch.setattr(events, "add_events", refusing)
    taken = watch.take(*(prediction(f"e{place}") for place in range(2000))).result(PATIENCE_SECONDS)
    assert (taken.accepted, len(taken.rejected)) == (0, 2000)
    assert len(tries) < 200


@pytest.mark.slow
def test_rows_that_postgresql_has_no_page_for_are_set_aside_and_nobody_waits(tmp_path: Path) -> None:
    """Were they found by trying, each try would look for the ids of all that there is anew."""

    def some(tag: str, wide: Collection[int], count: int) -> list[dict[str, Any]]:
        features = {f"t{name}": f"text {name:04}" for name in range(800)}
        return [prediction(f"{tag}-{at}", **({"features": features} if at in wide else {})) for at in range(count)]

    with postgresql() as server:
        watch = Watch(tmp_path, store={"url": server.url()})
        for _ in range(2):  # once a decoder knows the columns, too
            before = [prediction(f"before-{_}-{at}") for at in range(20_000)]
            assert watch.take(*before).result(PATIENCE_SECONDS).accepted == 20_000
        began = time.monotonic()
        with Held(watch.store):
            good = [watch.take(*some(f"good-{at}", (), 10)) for at in range(30)]
            mixed = watch.take(*some("mixed", range(5, 100, 10), 100))
        assert [each.result(PATIENCE_SECONDS).accepted for each in (*good, mixed)] == [10] * 30 + [90]
        assert time.monotonic() - began < 3
        assert watch.counted("ingest_rejected_total", reason="too_wide") == 10
        assert [told["index"] for told in mixed.result().rejected] == list(range(5, 100, 10))
        assert mixed.result().rejected[0]["reason"].startswith("features: expected values that PostgreSQL can put into")
        watch.daemon.stop()


def test_what_was_set_aside_from_a_source_of_a_model_is_sent_again_as_that_model_s(watch: Watch) -> None:
    """Its records need not say whose they are."""
    bare = {key: value for key, value in prediction("bare").items() if key != "model"}
    batch = decode(
        [msgspec.json.encode(each) for each in (bare, {**bare, "timestamp": "soon"})],
        "predictions",
        Only(("shop", "risk")),
    )
    good = batch.events.pop(("shop", "risk"))
    batch.reject(0, "not_storable", "the disk was odd that day", msgspec.json.encode(bare), of=("shop", "risk"))
    watch.intake.take(batch).result(PATIENCE_SECONDS)
    assert [(row["app"], row["model"], row["reason"]) for row in watch.aside()] == [
        ("shop", "risk", "bad_time"),
        ("shop", "risk", "not_storable"),
    ]
    answered = watch.ask("POST", "/v1/rejected", {"kind": "predictions"})
    assert [told["index"] for told in answered.json()["rejected"]] == [0]
    assert (answered.json()["accepted"], watch.ids("risk")) == (1, ["bare"])
    assert [row["reason"] for row in watch.aside()] == ["bad_time"]
    assert len(good) == 1


def test_what_two_send_again_at_once_is_set_aside_once(watch: Watch) -> None:
    watch.take(prediction("a", timestamp="soon")).result(PATIENCE_SECONDS)
    both = [watch.intake.aside("predictions", None) for _ in range(2)]
    with Held(watch.store):
        taken = [watch.intake.take(each) for each in both]
    assert [each.result(PATIENCE_SECONDS).accepted for each in taken] == [0, 0]
    assert [row["reason"] for row in watch.aside()] == ["bad_time"]


@pytest.mark.parametrize("name", ['of "his"', "a\\b", "a\nb", "\x01", "", "é", "🚲", "x" * 256])
def test_any_name_is_a_name(watch: Watch, tmp_path: Path, name: str) -> None:
    """Also one that no decoder can be made for, and also for a daemon that finds it in its store."""
    for event_id in "abc":
        assert watch.take(prediction(event_id, features={name: 1.0})).result(PATIENCE_SECONDS).accepted == 1
    watch.daemon.stop()
    again = Watch(tmp_path)
    again.take(prediction("d", features={name: 2.0})).result(PATIENCE_SECONDS)
    assert [event["features"] for event in again.kept()] == [{name: 1.0}] * 3 + [{name: 2.0}]
    again.daemon.stop()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_where_the_store_fails_everybody_is_told_and_nothing_is_counted(watch: Watch) -> None:
    with Held(watch.store):
        waiting = [watch.take(prediction(event_id)) for event_id in "abc"]
        watch.store.submit(broken)
    for future in waiting:
        with pytest.raises(StoreError, match="disk is full"):
            future.result(PATIENCE_SECONDS)
    assert watch.ids() == []
    assert watch.counted("ingest_records_total", kind="predictions") == 0
    assert watch.intake.records_waiting == 0
    assert watch.take(prediction("a")).result(PATIENCE_SECONDS).accepted == 1
    assert watch.ids() == ["a"]


def test_where_the_store_fails_before_it_comes_to_a_batch_nobody_waits_for_ever(watch: Watch) -> None:
    """A database that is gone or locked refuses a transaction at its beginning."""
    with Held(watch.store):
        watch.store.submit(broken)
        waiting = [watch.take(prediction(event_id)) for event_id in "abc"]
    for future in waiting:
        with pytest.raises(StoreError, match="disk is full"):
            future.result(PATIENCE_SECONDS)
    assert watch.intake.records_waiting == 0
    assert watch.take(prediction("a")).result(PATIENCE_SECONDS).accepted == 1


def test_a_store_that_refuses_at_once_does_not_stop_whoever_asks(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer may be there before the question has been noted."""
    failed: Future[Any] = Future()
    failed.set_exception(StoreError("the database is gone"))
    with monkeypatch.context() as patched:
        patched.setattr(watch.store, "submit", lambda _: failed)
        with pytest.raises(StoreError, match="is gone"):
            watch.take(prediction("a")).result(PATIENCE_SECONDS)
    assert watch.take(prediction("a")).result(PATIENCE_SECONDS).accepted == 1


def test_a_full_store_is_told_with_503_and_when_to_come_again_and_has_room_afterwards(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "WAITING_RECORDS", 10)
    with Held(watch.store):
        waiting = [watch.take(*(prediction(f"{turn}-{at}") for at in range(5))) for turn in range(2)]
        with pytest.raises(StoreFull):
            watch.take(prediction("one more"))
        answered = watch.ask("POST", "/v1/predictions", prediction("one more"))
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        assert answered.json() == {"error": "the store is not available: 10 records wait for the store"}
    assert sum(future.result(PATIENCE_SECONDS).accepted for future in waiting) == 10
    assert watch.ask("POST", "/v1/predictions", prediction("one more")).status == 202
    assert len(watch.ids()) == len(set(watch.ids())) == 11
    assert watch.counted("ingest_requests_refused_total", reason="store") == 1


def test_a_batch_larger_than_all_that_may_wait_is_taken_by_itself(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WAITING_RECORDS > 50_000
    monkeypatch.setattr(intake_module, "WAITING_RECORDS", 3)
    assert watch.take(*(prediction(str(at)) for at in range(5))).result(PATIENCE_SECONDS).accepted == 5


def test_who_closes_the_store_while_batches_wait_leaves_nobody_without_an_answer(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    with Held(watch.store):
        waiting = [watch.take(prediction(f"e{at}")) for at in range(20)]
        closing = threading.Thread(target=watch.store.close)
        closing.start()
    closing.join(PATIENCE_SECONDS)
    with pytest.raises(StoreError, match="closed"):
        watch.take(prediction("too late")).result(PATIENCE_SECONDS)
    done, left = wait_for(waiting, PATIENCE_SECONDS)
    assert not left
    again = Watch(tmp_path)
    assert again.ids() == [
        f"e{at}" for at, future in enumerate(waiting) if future in done and future.exception() is None
    ]
    again.daemon.stop()


def test_whoever_no_longer_waits_disturbs_none_of_the_others(watch: Watch) -> None:
    with Held(watch.store):
        gone = watch.take(prediction("gone"))
        waiting = [watch.take(prediction(event_id)) for event_id in "abc"]
        gone.cancel()
    assert [future.result(PATIENCE_SECONDS).accepted for future in waiting] == [1, 1, 1]
    assert watch.take(prediction("d")).result(PATIENCE_SECONDS).accepted == 1


class Recorder:
    """Notes which versions it is told of."""

    def __init__(self) -> None:
        self.retrainings, self.seen = self, []

    def version_seen(self, _: Any, app: str, model: str, version: str, now: float) -> list[Any]:
        self.seen.append((app, model, version, now))
        return []


def test_a_version_that_is_seen_for_the_first_time_is_told_to_who_waits_for_it(watch: Watch) -> None:
    recorder = Recorder()
    intake = Intake(watch.store, Metrics("0"), now=lambda: 7.0, told=lambda _: None)
    intake.configure(watch.daemon.loaded.config, recorder)  # type: ignore[arg-type]
    for version in ("v1", "v2", "v1", None):
        body = msgspec.json.encode([prediction(f"of {version}", model_version=version)])
        intake.take(intake.read(body, "json", "predictions")).result(PATIENCE_SECONDS)
    assert recorder.seen == [("shop", "demand", version, 7.0) for version in ("v1", "v2", "unversioned")]


def test_a_fault_in_telling_what_follows_leaves_nobody_without_an_answer(watch: Watch) -> None:
    def told(_: Any) -> None:
        raise RuntimeError("nobody listens")

    intake = Intake(watch.store, Metrics("0"), now=lambda: 7.0, told=told)
    intake.configure(watch.daemon.loaded.config, Recorder())  # type: ignore[arg-type]
    for event_id in "ab":
        assert intake.take(watch.read(prediction(event_id))).result(PATIENCE_SECONDS).accepted == 1


# --- many at once -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fifty_at_once_are_all_answered_and_every_record_is_there_once(watch: Watch) -> None:
    """Each of them sends some ids that others send as well, and with names and kinds of values that the model has not had yet."""

    def send(sender: int) -> Counter[str]:
        found: Counter[str] = Counter()
        for turn in range(10):
            odd = {} if turn % 3 else {"features": {"temp": 1.0, f"name-{sender % 7}": turn if sender % 2 else "text"}}
            batch = watch.take(
                prediction(f"{sender}-{turn}", **odd), prediction(f"shared-{turn}"), prediction(f"bad-{sender}", timestamp="soon"),
                prediction(f"{sender}-{turn}", "risk"),
            ).result(PATIENCE_SECONDS)  # fmt: skip
            found.update(accepted=batch.accepted, rejected=len(batch.rejected))
        return found

    with ThreadPoolExecutor(50) as pool:
        answers = sum(pool.map(send, range(50)), Counter[str]())
    assert answers == {"accepted": 1500, "rejected": 500}
    mine = {f"{sender}-{turn}" for sender in range(50) for turn in range(10)}
    assert Counter(watch.ids()) == Counter(mine | {f"shared-{turn}" for turn in range(10)})
    assert Counter(watch.ids("risk")) == Counter(mine)
    for model, rows, duplicates in (("demand", 510, 490), ("risk", 500, 0)):
        assert (
            watch.counted("ingest_records_total", model=model)
            == watch.counted("model_predictions_total", model=model)
            == rows
        )
        assert watch.counted("ingest_duplicates_total", model=model) == duplicates
    assert watch.counted("ingest_rejected_total", reason="bad_time") == len(watch.aside()) == 500
    assert watch.intake.records_waiting == 0


# --- what was set aside -----------------------------------------------------------------------------------------------


def test_rejected_records_are_counted_by_reason_read_and_sent_again_once_they_can_be_taken(watch: Watch) -> None:
    said = [prediction("a", "late"), prediction("b", timestamp="soon"), prediction("c"), prediction("d", "late")]
    answered = watch.ask("POST", "/v1/predictions", said)
    assert (answered.status, answered.json()["accepted"]) == (202, 1)
    watch.ask("POST", "/v1/labels", {"model": "late", "event_id": "a", "label": 1})
    for reason, count in (("unknown_model", 3), ("bad_time", 1)):
        assert watch.counted("ingest_rejected_total", reason=reason) == count
    rows = watch.ask("GET", "/v1/rejected").json()["rejected"]
    assert [(row["kind"], row["reason"], row["whole"]) for row in rows] == [
        ("predictions", "unknown_model", True), ("predictions", "bad_time", True), ("predictions", "unknown_model", True),
        ("labels", "unknown_model", True),
    ]  # fmt: skip
    assert [msgspec.json.decode(row["record"]) for row in rows[:3]] == [said[0], said[1], said[3]]
    assert watch.ask("GET", "/v1/rejected", query=f"after={rows[1]['seq']}").json()["rejected"] == rows[2:]

    watch.configure(("demand", "risk", "late"))
    watch.daemon.start()
    assert watch.daemon.reload() == []
    answered = watch.ask("POST", "/v1/rejected", {"kind": "predictions"})
    assert (answered.status, answered.json()["accepted"]) == (200, 2)
    assert [told["index"] for told in answered.json()["rejected"]] == [1]
    assert watch.ids("late") == ["a", "d"]
    left = watch.ask("GET", "/v1/rejected").json()["rejected"]
    assert [(row["kind"], row["reason"]) for row in left] == [("labels", "unknown_model"), ("predictions", "bad_time")]

    assert watch.ask("POST", "/v1/rejected", {"kind": "labels", "seqs": [left[0]["seq"]]}).json() == {
        "accepted": 1,
        "rejected": [],
    }
    assert [row["reason"] for row in watch.aside()] == ["bad_time"]
    assert watch.ask("POST", "/v1/rejected", {"kind": "labels", "seqs": [left[0]["seq"]]}).json() == {
        "accepted": 0,
        "rejected": [],
    }


def test_records_that_cannot_be_stored_again_stay_where_they_are(watch: Watch) -> None:
    """Taken out where they were and stored where they belong in one transaction, or in none."""
    watch.ask("POST", "/v1/predictions", [prediction("a", "late")])
    before = watch.aside()
    with Held(watch.store):
        future = watch.intake.take(watch.intake.aside("predictions", None))
        watch.store.submit(broken)
    with pytest.raises(StoreError):
        future.result(PATIENCE_SECONDS)
    assert watch.aside() == before


@pytest.mark.parametrize(
    "said",
    [{}, {"kind": "calls"}, {"kind": "labels", "seqs": [0]}, {"kind": "labels", "seqs": [2**63]}, {"kind": "labels", "seqs": [1] * 1001},
     {"kind": "labels", "seqs": ["1"]}, {"kind": "labels", "seqs": 1}, [], None],
)  # fmt: skip
def test_what_is_to_be_sent_again_must_be_told(watch: Watch, said: Any) -> None:
    answered = watch.ask("POST", "/v1/rejected", said)
    assert answered.status == 400
    assert answered.json()["error"].startswith('expected {"kind": …, "seqs": […]}: ')


def test_a_record_that_was_cut_is_not_sent_again(watch: Watch) -> None:
    watch.ask("POST", "/v1/predictions", [prediction("x" * 20_000)])
    (row,) = watch.aside()
    assert (row["whole"], len(row["record"])) == (False, 16 * 1024)
    assert watch.ask("POST", "/v1/rejected", {"kind": "predictions"}).json() == {"accepted": 0, "rejected": []}
    assert watch.aside() == [row]


# --- reloads ----------------------------------------------------------------------------------------------------------


def test_a_reload_while_the_store_cannot_be_read_leaves_everything_scheduled(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> Any:
        raise StoreError("the database is being restarted")

    watch.take(prediction("a")).result(PATIENCE_SECONDS)
    watch.daemon.start()
    before = sum(map(len, watch.daemon._jobs.values()))
    with monkeypatch.context() as broken:
        broken.setattr(watch.store, "read", unreadable)
        assert watch.daemon.reload() == []
    assert sum(map(len, watch.daemon._jobs.values())) == before > 0
    watch.take(prediction("b")).result(PATIENCE_SECONDS)
    assert watch.ids() == ["a", "b"]


# --- room -------------------------------------------------------------------------------------------------------------


def test_bodies_that_would_take_too_much_at_once_are_told_to_come_again(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "BODIES_BYTES", 1000)
    large = [prediction(f"e{place}") for place in range(100)]
    refused = watch.ask("POST", "/v1/predictions", large)
    assert (refused.status, refused.json()["error"]) == (503, "expected less to come at once; send it again")
    assert watch.counted("ingest_requests_refused_total", reason="too_much_at_once") == 1
    packed = Asked("POST", "/v1/predictions", gzip.compress(msgspec.json.encode([prediction("long", prediction="x" * 2000)])),
                   [("Content-Type", "application/json"), ("Content-Encoding", "gzip")])  # fmt: skip
    (found,) = ask_all(create_app(watch.daemon), [packed])
    assert len(packed.body) < 200
    assert (found.status, found.json()["error"]) == (503, "expected less to come at once; send it again")
    # What it had taken is given back.
    for place in range(20):
        assert watch.ask("POST", "/v1/predictions", [prediction(f"small-{place}")]).status == 202
    assert len(watch.ids()) == 20
