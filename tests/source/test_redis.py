"""A stream is followed by the position in the store: whatever crashes, every entry is in it once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis as client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.config.model import Columns
from monitor.source import SourceError, redis
from monitor.source import _feed as feed
from monitor.wire import Only, decode
from monitor.wire.records import Prediction
from tests.servers import Program, closed_port, redis_server
from tests.source.following import ENDINGS, Daemon

pytestmark = pytest.mark.slow  # a Redis is started, and killed

_STREAMS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[Program]:
    with redis_server("--requirepass", "hunter2") as found:
        yield found


def url(server: Program, password: str = "hunter2") -> str:
    return f"redis://:{password}@127.0.0.1:{server.port}/0"


class Stream:
    """A stream of its own, and who writes to it."""

    def __init__(self, server: Program) -> None:
        self.server, self.name, self.made = server, f"stream-{next(_STREAMS)}", 0
        self.client = client.Redis.from_url(url(server), protocol=2)

    def predict(self, rows: int) -> list[bytes]:
        """Predictions `e0`, `e1`, ...; the ids of their entries."""
        with self.client.pipeline(transaction=False) as pipe:
            for number in range(self.made, self.made + rows):
                pipe.xadd(self.name, {"data": json.dumps({"event_id": f"e{number}"})})
            self.made += rows
            found: list[bytes] = pipe.execute()
        return found

    def lag(self, group: str) -> tuple[int | None, int]:
        """The lag of a group, and how many entries of it wait for an answer."""
        (found,) = [each for each in self.client.xinfo_groups(self.name) if each["name"] == group.encode()]
        return found["lag"], found["pending"]

    def daemon(self, kind: Any = "predictions", columns: Columns | None = None, **options: Any) -> Daemon:
        return daemon(kind, columns, **{"url": url(self.server), "stream": self.name, **options})


@pytest.fixture
def stream(server: Program) -> Stream:
    return Stream(server)


def daemon(kind: Any = "predictions", columns: Columns | None = None, **options: Any) -> Daemon:
    made = redis.Options(**options)
    return Daemon(lambda: redis.open_feed(made, kind=kind, columns=columns or Columns(), directory=Path()))


@pytest.fixture
def followed() -> Iterator[Callable[[Daemon], Daemon]]:
    """What gives a daemon is told which, so that it is closed at the end."""
    found: list[Daemon] = []

    def follow(each: Daemon) -> Daemon:
        found.append(each)
        return each

    yield follow
    for each in found:
        each.close()


def ids(rows: int) -> list[str]:
    return [f"e{number}" for number in range(rows)]


# --- what is read -----------------------------------------------------------------------------------------------------


def test_entries_are_read_in_order_each_once(stream: Stream, followed: Any) -> None:
    stream.predict(1500)
    found = followed(stream.daemon())
    found.all(limit=70)
    assert found.ids() == ids(1500)
    stream.predict(2)
    found.all()
    assert found.ids() == ids(1502)


def test_a_poll_brings_no_more_than_was_asked_for_and_says_that_more_waits(stream: Stream, followed: Any) -> None:
    stream.predict(10)
    found = followed(stream.daemon())
    found.poll()
    assert [(len(each.records), each.more) for each in (found.poll(limit=6), found.poll(limit=6))] == [
        (6, True),
        (4, False),
    ]


def test_a_poll_stops_at_some_megabytes(stream: Stream, followed: Any) -> None:
    for _ in range(40):
        stream.client.xadd(stream.name, {"data": b"x" * 500_000})
    found = followed(stream.daemon())
    found.poll()
    sizes: list[int] = []
    while sum(sizes) < 40 * 500_000:
        sizes.append(sum(map(len, found.poll().records)))
    assert max(sizes) <= feed.POLL_BYTES + 500_000


def test_a_poll_stops_at_some_megabytes_where_small_entries_came_before(stream: Stream, followed: Any) -> None:
    stream.predict(600)
    found = followed(stream.daemon())
    found.all()
    for _ in range(30):
        stream.client.xadd(stream.name, {"data": b"x" * (1 << 20)})
    for _ in range(3):
        assert 0 < sum(map(len, found.poll().records)) <= feed.POLL_BYTES + (1 << 20)


@pytest.mark.parametrize("small", [0, 10, 60, 400])
def test_what_is_asked_for_at_once_grows_slowly(stream: Stream, followed: Any, small: int) -> None:
    """How large entries are is known when they are here: where they suddenly are large, few come together."""
    stream.predict(small)
    for _ in range(130):
        stream.client.xadd(stream.name, {"data": b"x" * 100_000})
    found = followed(stream.daemon())
    found.poll()
    large = [len(record) for record in found.poll(limit=5000).records if len(record) == 100_000]
    assert sum(large) <= feed.POLL_BYTES + min(small + 8, redis.QUESTION_ROWS) * 100_000


def test_a_poll_waits_for_what_comes_and_no_longer(stream: Stream, followed: Any) -> None:
    stream.predict(1)
    found = followed(stream.daemon())
    found.all()
    before = time.monotonic()
    assert not found.poll(seconds=0.3).records
    assert 0.25 < time.monotonic() - before < 3
    timer = threading.Timer(0.2, stream.predict, [1])
    timer.start()
    assert len(found.poll(seconds=20).records) == 1
    assert time.monotonic() - before < 10
    timer.join()


def test_what_is_no_json_is_passed_on_unchanged_and_stops_nothing(stream: Stream, followed: Any) -> None:
    poison = [b"\xff\x00 no json", b"", b"[1, 2"]
    for value in [b'{"event_id": "before"}', *poison, b'{"event_id": "behind"}']:
        stream.client.xadd(stream.name, {"data": value})
    found = followed(stream.daemon())
    while found.poll().more:
        pass
    assert found.records == [b'{"event_id": "before"}', *poison, b'{"event_id": "behind"}']


@pytest.mark.parametrize("name", ["prediction", "timestamp", "probability", "features.x"])
@pytest.mark.parametrize("value", ["1" + "0" * 400, "[" * 900 + "]" * 900], ids=["digits", "deep"])
def test_a_field_that_is_no_value_of_a_record_sets_its_entry_aside_alone(
    stream: Stream, followed: Any, name: str, value: str
) -> None:
    good = {"event_id": "a", "timestamp": "1767600000", "prediction": "1", "features.x": "1"}
    for fields in (good, good | {name: value}, good):
        stream.client.xadd(stream.name, fields)
    found = followed(stream.daemon())
    while found.poll().more:
        pass
    batch = decode(found.records, "predictions", Only(("shop", "churn")))
    assert [each["index"] for each in batch.rejected] == [1]


def test_another_field_may_hold_the_record(stream: Stream, followed: Any) -> None:
    stream.client.xadd(stream.name, {"trace": "1", "event": '{"event_id": "a"}'})
    found = followed(stream.daemon(field="event"))
    assert found.all() == [{"event_id": "a"}]


def test_an_entry_may_be_a_record_field_by_field(stream: Stream, followed: Any) -> None:
    fields = {
        "event_id": "007", "timestamp": "1767600000.5", "model_version": "1.10", "prediction": "1", "model": "demand",
        "features.x": "1.50", "features.zip": "01234", "features.ok": "true", "features.none": "null", "features.word": "up",
        "features.v": "[1, 2.5]", "features.text": '"quoted"', "probability.up": "0.75", "probability.down": "0.25",
        "latency_seconds": "2e-3", "trace": "not ours", b"features.\xff": b"\xfe",
    }  # fmt: skip
    stream.client.xadd(stream.name, fields)
    found = followed(stream.daemon())
    (record,) = found.all()
    assert record == {
        "event_id": "007", "timestamp": 1767600000.5, "model_version": "1.10", "prediction": 1, "model": "demand",
        "features": {"x": 1.5, "zip": "01234", "ok": True, "none": None, "word": "up", "v": [1.0, 2.5],
                     "text": '"quoted"', "�": "�"},
        "probability": {"up": 0.75, "down": 0.25}, "latency_seconds": 0.002,
    }  # fmt: skip
    assert msgspec.json.decode(found.records[0], type=Prediction).features["x"] == 1.5


def test_fields_are_called_as_the_model_calls_its_columns(stream: Stream, followed: Any) -> None:
    stream.client.xadd(stream.name, {"id": "7", "y": "0", "seen": "2026-01-05T12:00:00Z"})
    columns = Columns(id="id", label="y", label_timestamp="seen")
    found = followed(stream.daemon("labels", columns))
    assert found.all() == [{"event_id": "7", "label": 0, "label_timestamp": "2026-01-05T12:00:00Z"}]


# --- where it begins, and goes on -------------------------------------------------------------------------------------


def test_latest_begins_with_what_comes_after_the_first_poll(stream: Stream, followed: Any) -> None:
    stream.predict(5)
    found = followed(stream.daemon(start="latest"))
    found.poll()
    found.close()  # what the first poll stored is where it goes on, and not what is latest by then
    stream.predict(2)
    found.all()
    assert (found.ids(), found.lost) == (["e5", "e6"], 0)


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_stream_that_comes_after_the_daemon_is_read_from_its_first_entry(
    stream: Stream, followed: Any, start: str
) -> None:
    found = followed(stream.daemon(start=start))
    found.poll()
    assert complaint(found) == f"redis: expected the stream '{stream.name}', found none"
    stream.predict(3)
    found.all()
    assert (found.ids(), found.lost) == (ids(3), 0)


def test_a_start_may_be_a_time(stream: Stream, followed: Any) -> None:
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    first = int(at.timestamp() * 1000)
    for entry in (f"{first - 1}-5", f"{first}-0", f"{first + 1}-0"):
        stream.client.xadd(stream.name, {"data": json.dumps({"event_id": entry})}, id=entry)
    found = followed(stream.daemon(start=at))
    found.all()
    assert (found.ids(), found.lost) == ([f"{first}-0", f"{first + 1}-0"], 0)
    stream.client.xtrim(stream.name, maxlen=0)
    stream.predict(1)
    stream.client.xtrim(stream.name, maxlen=0)
    found.poll()
    assert found.lost == 1  # once it has been at the end, it knows how many there were


def test_a_start_that_is_newer_than_the_newest_entry_begins_with_what_comes(stream: Stream, followed: Any) -> None:
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    for number in range(5):
        stream.client.xadd(stream.name, {"data": "{}"}, id=f"{int(at.timestamp() * 1000) - 5 + number}-0")
    found = followed(stream.daemon(start=at))
    assert found.all() == []
    assert found.all() == []
    stream.predict(2)
    found.all()
    assert (found.ids(), found.lost) == (["e0", "e1"], 0)


def test_a_new_feed_goes_on_at_the_position_whatever_the_group_says(stream: Stream, followed: Any) -> None:
    stream.predict(10)
    found = followed(stream.daemon(group="watch"))
    found.all()
    found.close()
    stream.client.xgroup_setid(stream.name, "watch", "0-0")
    stream.predict(2)
    found.all()
    assert found.ids() == ids(12)


def test_what_was_not_written_is_read_again(stream: Stream, followed: Any) -> None:
    stream.predict(20)
    found = followed(stream.daemon())
    found.poll()
    found.poll(limit=5, ending="not written")
    found.poll(limit=5, ending="not written")
    found.all()
    assert found.ids() == ids(20)


def test_the_lag_of_the_group_is_what_is_not_in_the_store(stream: Stream, followed: Any) -> None:
    stream.predict(20)
    found = followed(stream.daemon(group="watch"))
    found.poll()
    found.poll(limit=5)
    assert stream.lag("watch") == (15, 0)
    found.poll(limit=5, ending="crashed unconfirmed")
    assert stream.lag("watch") == (15, 0)
    found.poll(limit=5, ending="unconfirmed")  # what was in the store is told when it is read on
    assert stream.lag("watch") == (10, 0)
    found.all()
    assert stream.lag("watch") == (0, 0)


def test_a_group_that_somebody_reads_by_is_left_alone(stream: Stream, followed: Any) -> None:
    stream.predict(3)
    stream.client.xgroup_create(stream.name, "workers", "0")
    stream.client.xreadgroup("workers", "one", {stream.name: ">"}, count=1)
    found = followed(stream.daemon(group="workers"))
    found.poll(ending="unconfirmed")
    assert complaint(found) == "redis: expected a group of its own, got 'workers', which 1 consumers read by"
    assert stream.lag("workers") == (2, 1)


def test_another_stream_is_read_from_its_start(stream: Stream, server: Program, followed: Any) -> None:
    stream.predict(3)
    found = followed(stream.daemon())
    found.all()
    other = Stream(server)
    other.predict(2)
    second = followed(other.daemon())
    second.position = found.position
    second.all()
    assert second.ids() == ids(2)


# --- what is lost -----------------------------------------------------------------------------------------------------


def test_entries_that_were_trimmed_before_they_were_read_are_counted(stream: Stream, followed: Any) -> None:
    stream.predict(10)
    found = followed(stream.daemon())
    found.all()
    stream.predict(100)
    stream.client.xtrim(stream.name, maxlen=30, approximate=False)
    assert found.poll(limit=7).lost == 70  # at once, and not only when all is read
    found.all(limit=7)
    assert (len(found.records), found.lost) == (40, 70)
    stream.predict(1)
    stream.client.xtrim(stream.name, maxlen=0)
    found.poll()
    assert found.lost == 71


def test_entries_that_were_trimmed_after_they_were_read_are_not_lost(stream: Stream, followed: Any) -> None:
    stream.predict(50)
    found = followed(stream.daemon())
    found.poll()
    found.poll(limit=20)
    stream.client.xtrim(stream.name, maxlen=40, approximate=False)
    found.poll(limit=10)
    stream.client.xtrim(stream.name, maxlen=0)
    found.poll()
    assert (len(found.records), found.lost) == (30, 20)


def test_what_was_trimmed_before_the_first_poll_is_nobodys_loss(stream: Stream, followed: Any) -> None:
    stream.predict(50)
    stream.client.xtrim(stream.name, maxlen=20, approximate=False)
    found = followed(stream.daemon())
    found.all(limit=6)
    assert (len(found.records), found.lost) == (20, 0)


def test_entries_that_were_deleted_one_by_one_are_counted_once_all_is_read(stream: Stream, followed: Any) -> None:
    entries = stream.predict(20)
    found = followed(stream.daemon())
    found.poll()
    found.poll(limit=5)
    stream.client.xdel(stream.name, entries[2], entries[10], entries[11])
    found.all(limit=5)
    assert (len(found.records), found.lost) == (18, 2)


def test_a_stream_that_was_made_anew_is_read_from_its_first_entry(stream: Stream, followed: Any) -> None:
    stream.predict(10)
    found = followed(stream.daemon())
    found.all()
    stream.client.delete(stream.name)
    stream.client.xadd(stream.name, {"data": '{"event_id": "new"}'}, id="5-0")  # before all that was read
    found.all()
    assert (found.ids(), found.lost) == ([*ids(10), "new"], 0)
    stream.client.delete(stream.name)
    stream.predict(1)
    found.all()
    assert (found.ids()[11:], found.lost) == (["e10"], 0)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def complaint(found: Daemon) -> str:
    with pytest.raises(SourceError) as caught:
        found.poll()
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return str(caught.value)


def test_what_is_wrong_is_said_without_a_secret(stream: Stream, server: Program, followed: Any) -> None:
    stream.client.set(stream.name, "no stream")
    assert complaint(followed(stream.daemon())).startswith("redis: ")
    wrong = followed(daemon(url=url(server, "hunter22"), stream="x"))
    assert complaint(wrong) == "redis: invalid username-password pair or user is disabled."
    port = closed_port()
    down = followed(daemon(url=f"redis://:hunter2@127.0.0.1:{port}/0", stream="x"))
    assert complaint(down) == f"redis: Error 111 connecting to 127.0.0.1:{port}. Connection refused."


@pytest.mark.parametrize("bad", ["hunter2", "http://:hunter2@h", "redis://:hunter2@h:port/0"])
def test_a_url_that_is_none_is_told_without_it(bad: str) -> None:
    assert complaint(daemon(url=bad, stream="x")) == "url: expected one such as redis://user:password@host:6379/0"


def test_options_that_do_not_fit_are_refused() -> None:
    for options in ({"stream": ""}, {"group": ""}, {"start": "soon"}, {"block": 1}):
        with pytest.raises(ValidationError, match=next(iter(options))):
            redis.Options(**{"url": "redis://h", "stream": "s", **options})


def test_a_server_that_was_killed_is_followed_on_when_it_is_back() -> None:
    with redis_server("--requirepass", "hunter2") as server:
        stream = Stream(server)
        found = stream.daemon(group="watch")
        try:
            stream.predict(1000)
            found.poll()
            found.poll(limit=300)
            server.kill()
            assert "onnecti" in complaint(found)
            complaint(found)
            server.start()
            found.all(limit=300)
            assert (found.ids(), found.lost) == (ids(1000), 0)
            server.kill()  # while nothing was waiting
            server.start()
            stream.predict(5)
            found.all()
            assert (found.ids(), found.lost) == (ids(1005), 0)
            assert stream.lag("watch") == (0, 0)
        finally:
            found.close()


# --- whatever happens -------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 12)),
        st.tuples(st.just("trim"), st.integers(0, 12)),
        st.tuples(st.just("poll"), st.sampled_from(ENDINGS), st.integers(1, 6)),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_entry_is_written_once_with_a_position_or_counted_as_lost(server: Program, steps: list[Any]) -> None:
    stream = Stream(server)
    found = stream.daemon(group="watch")
    try:
        found.poll(seconds=0)
        for what, *how in steps:
            if what == "add":
                stream.predict(how[0])
            elif what == "trim" and stream.made:
                stream.client.xtrim(stream.name, maxlen=how[0], approximate=False)
            elif what == "poll" and stream.made:
                found.poll(limit=how[1], ending=how[0], seconds=0)
        stream.predict(1)
        while found.poll(limit=5, seconds=0).more:
            pass
    finally:
        found.close()
    assert len(set(found.ids())) == len(found.ids())
    assert len(found.ids()) + found.lost == stream.made
    assert found.ids() == sorted(found.ids(), key=lambda name: int(name[1:]))
    assert stream.lag("watch") == (0, 0)
    stream.client.delete(stream.name)
