"""A topic is followed by the position in the store: whatever crashes, every message is in it once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.config.model import Columns
from monitor.source import SourceError, _librdkafka, kafka
from monitor.source import _feed as feed
from monitor.wire import Only, decode
from tests.servers import Broker, closed_port, eventually, kafka_broker
from tests.source.following import ENDINGS, Daemon

pytestmark = pytest.mark.slow  # a consumer takes half a second to find its brokers

PARTITIONS = 4  # of every topic of the mock cluster
_TOPICS = count()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with kafka_broker() as found:
        yield found


class Topic:
    """A topic of its own, and who writes to it."""

    def __init__(self, broker: Broker) -> None:
        self.broker, self.name, self.made = broker, f"topic-{next(_TOPICS)}", 0
        self.producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        self.producer.list_topics(self.name, timeout=10)  # makes it

    def send(self, *values: bytes | None, partition: int = 0) -> None:
        for value in values:
            self.producer.produce(self.name, value, key=b"key", partition=partition)
        assert self.producer.flush(10) == 0

    def predict(self, rows: int, partition: int | None = None) -> None:
        """Predictions `e0`, `e1`, ..., over all partitions or in one of them."""
        for number in range(self.made, self.made + rows):
            self.send(
                json.dumps({"event_id": f"e{number}"}).encode(),
                partition=number % 4 if partition is None else partition,
            )
        self.made += rows

    def committed(self, group: str) -> dict[int, int]:
        """What the group has committed."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": group, "log_level": 0})
        try:
            found = consumer.committed([TopicPartition(self.name, each) for each in range(PARTITIONS)], timeout=10)
        finally:
            consumer.close()
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def daemon(self, **options: Any) -> Daemon:
        quick = {"fetch.wait.max.ms": 10}  # a consumer that is put elsewhere waits for the fetches that are under way
        return daemon(**{"bootstrap": self.broker.bootstrap, "topic": self.name, "settings": quick, **options})


@pytest.fixture
def topic(broker: Broker) -> Topic:
    return Topic(broker)


def daemon(**options: Any) -> Daemon:
    made = kafka.Options(**options)
    return Daemon(lambda: kafka.open_feed(made, kind="predictions", columns=Columns(), directory=Path("/somewhere")))


@pytest.fixture
def followed() -> Iterator[Callable[..., Daemon]]:
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


def offsets(found: Daemon) -> Mapping[str, int]:
    assert found.position is not None
    held: Mapping[str, int] = json.loads(found.position)["offsets"]
    return held


# --- what is read -----------------------------------------------------------------------------------------------------


def test_all_partitions_are_read_each_message_once(topic: Topic, followed: Any) -> None:
    topic.predict(200)
    found = followed(topic.daemon())
    found.polled(200, limit=30)
    assert sorted(found.ids()) == sorted(ids(200))
    assert offsets(found) == {"0": 50, "1": 50, "2": 50, "3": 50}
    topic.predict(3)
    found.polled(203)
    assert sorted(found.ids()) == sorted(ids(203))


def test_a_poll_brings_no_more_than_was_asked_for_and_says_that_more_waits(topic: Topic, followed: Any) -> None:
    topic.predict(10, partition=1)
    found = followed(topic.daemon())
    eventually(lambda: len(found.poll(limit=4).records) == 4)
    assert found.poll(limit=4).more
    last = found.poll(limit=4)
    assert (len(last.records), last.more) == (2, False)


def test_a_poll_stops_at_some_megabytes(topic: Topic, followed: Any) -> None:
    for partition in range(PARTITIONS):
        topic.send(*[b"x" * 500_000] * 9, partition=partition)
    found = followed(topic.daemon())
    sizes: list[int] = []
    eventually(lambda: sizes.append(sum(map(len, found.poll().records))) or sum(sizes) == 36 * 500_000)
    assert max(sizes) <= feed.POLL_BYTES + 500_000


def test_a_message_that_is_no_json_is_passed_on_unchanged_and_stops_nothing(topic: Topic, followed: Any) -> None:
    poison = [b"\xff\x00 no json", b"", b"[1, 2"]
    topic.send(b'{"event_id": "before"}', *poison, b'{"event_id": "behind"}')
    found = followed(topic.daemon())
    eventually(lambda: found.poll() and len(found.records) == 5)
    assert found.records == [b'{"event_id": "before"}', *poison, b'{"event_id": "behind"}']


def test_a_message_that_is_no_record_of_floats_is_set_aside_alone(topic: Topic, followed: Any) -> None:
    good = b'{"event_id": "a", "timestamp": 1767600000, "features": {"x": 1}, "prediction": 1}'
    bad = [
        good.replace(b'"x": 1', b'"x": ' + value)
        for value in (b"1e400", b'"\\ud83d"', b"[" * 900 + b"]" * 900, b"[" * 90_000)
    ]
    topic.send(good, *bad, good)
    found = followed(topic.daemon())
    eventually(lambda: found.poll() and len(found.records) == 6)
    batch = decode(found.records, "predictions", Only(("shop", "churn")))
    assert [each["index"] for each in batch.rejected] == [1, 2, 3, 4]


def test_tombstones_are_counted_and_no_records(topic: Topic, followed: Any) -> None:
    topic.send(None, b'{"event_id": "a"}', None)
    found = followed(topic.daemon())
    eventually(lambda: found.poll() and found.skipped == 2)
    assert found.ids() == ["a"]
    assert offsets(found)["0"] == 3


def test_latest_begins_with_what_comes_after_the_first_poll(topic: Topic, followed: Any) -> None:
    topic.predict(8)
    found = followed(topic.daemon(start="latest"))
    found.poll()
    found.close()  # what the first poll stored is where it goes on, and not what is latest by then
    topic.predict(4)
    found.polled(4)
    assert sorted(found.ids()) == ["e10", "e11", "e8", "e9"]


def test_a_start_beyond_the_newest_message_begins_with_what_comes(topic: Topic, followed: Any) -> None:
    """The mock cluster keeps no index by time: it answers, as a real one does here, that there is no such message."""
    topic.predict(8)
    found = followed(topic.daemon(start="2100-01-01"))
    found.poll()
    assert offsets(found) == {"0": 2, "1": 2, "2": 2, "3": 2}


# --- where it goes on -------------------------------------------------------------------------------------------------


def test_a_new_feed_goes_on_at_the_position_whatever_the_group_has_committed(topic: Topic, followed: Any) -> None:
    topic.predict(40)
    found = followed(topic.daemon(group="watch"))
    found.polled(40)
    found.close()
    consumer = Consumer({"bootstrap.servers": topic.broker.bootstrap, "group.id": "watch", "log_level": 0})
    consumer.commit(offsets=[TopicPartition(topic.name, 0, 1)], asynchronous=False)
    consumer.close()
    topic.predict(4)
    found.polled(44)
    assert sorted(found.ids()) == sorted(ids(44))


def test_what_was_not_written_is_read_again(topic: Topic, followed: Any) -> None:
    topic.predict(20)
    found = followed(topic.daemon())
    eventually(lambda: found.poll(limit=5, ending="not written").records)
    found.poll(limit=5, ending="not written")
    found.polled(20)
    assert sorted(found.ids()) == sorted(ids(20))


def test_offsets_are_committed_when_they_are_confirmed_and_also_after_a_crash_before_it(
    topic: Topic, followed: Any
) -> None:
    topic.predict(40)
    found = followed(topic.daemon())
    found.polled(40)
    group = f"anchorwatch-{topic.name}-predictions"
    everything = dict.fromkeys(range(PARTITIONS), 10)
    eventually(lambda: topic.committed(group) == everything)
    topic.predict(4)
    eventually(lambda: found.poll(ending="unconfirmed") and len(found.records) == 44)
    found.close()
    assert topic.committed(group) == everything
    found.poll()
    eventually(lambda: topic.committed(group) == dict.fromkeys(range(PARTITIONS), 11))


def test_a_partition_that_is_new_is_read_from_its_first_message(topic: Topic, followed: Any) -> None:
    """Also where it started with what is latest: it was not there before."""
    topic.predict(8)
    found = followed(topic.daemon(start="latest"))
    found.poll()
    held = json.loads(found.position)
    del held["offsets"]["3"]  # as if it had been made since
    found.position = json.dumps(held)
    found.polled(2)
    assert found.ids() == ["e3", "e7"]


def test_new_partitions_are_looked_for_now_and_then(topic: Topic, followed: Any, monkeypatch: Any) -> None:
    topic.predict(4)
    found = followed(topic.daemon())
    found.polled(4)
    assert isinstance(found.feed, kafka.KafkaFeed)
    before = found.feed._looked
    found.poll()
    assert found.feed._looked == before
    monkeypatch.setattr(kafka, "LOOK_SECONDS", 0.0)
    found.poll()
    assert found.feed._looked > before
    topic.predict(4)
    found.polled(8)
    assert sorted(found.ids()) == ids(8)


# --- what is lost -----------------------------------------------------------------------------------------------------


def overflow(topic: Topic, partition: int) -> int:
    """More than the mock cluster keeps of a partition (5 MB); the oldest offset it has then."""
    topic.send(*[b'"' + b"x" * 100_000 + b'"'] * 80, partition=partition)
    consumer = Consumer({"bootstrap.servers": topic.broker.bootstrap, "group.id": "look", "log_level": 0})
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=10)
    finally:
        consumer.close()
    assert 0 < low < high
    return int(low)


def test_messages_that_were_gone_before_they_were_read_are_counted(topic: Topic, followed: Any) -> None:
    topic.predict(8)
    found = followed(topic.daemon())
    found.polled(8)
    found.close()
    low = overflow(topic, 1)
    found.polled(8 + 82 - low)
    assert found.lost == low - 2
    assert offsets(found) == {"0": 2, "1": 82, "2": 2, "3": 2}
    found.poll()
    assert found.lost == low - 2


def test_a_loss_while_it_is_read_is_counted_too(topic: Topic, followed: Any) -> None:
    """The broker's retention overtakes a consumer that stands."""
    topic.predict(4)
    found = followed(
        topic.daemon(settings={"fetch.max.bytes": 1000, "message.max.bytes": 1000, "queued.min.messages": 1})
    )
    found.polled(4)
    low = overflow(topic, 1)
    eventually(lambda: found.poll() and found.lost)
    eventually(lambda: found.poll() and offsets(found)["1"] == 81)
    assert found.lost + len(found.records) == 4 + 80
    assert 0 < found.lost <= low - 1


def test_a_position_beyond_the_end_begins_anew(topic: Topic, followed: Any) -> None:
    """The topic was made anew under its name: what is in it is new."""
    topic.predict(8)
    found = followed(topic.daemon())
    found.poll()
    held = json.loads(found.position)
    found.records, found.position = [], json.dumps({**held, "offsets": {str(each): 500 for each in range(PARTITIONS)}})
    found.polled(8)
    assert (sorted(found.ids()), found.lost) == (ids(8), 0)


@pytest.mark.parametrize("change", [{"cluster": "another"}, {"topic": "another"}])
def test_another_cluster_or_topic_is_read_from_its_start(topic: Topic, followed: Any, change: Any) -> None:
    topic.predict(8)
    found = followed(topic.daemon())
    found.polled(8)
    found.close()
    found.records, found.position = [], json.dumps({**json.loads(found.position), **change})
    found.polled(8)
    assert sorted(found.ids()) == ids(8)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def complaint(found: Daemon) -> str:
    with pytest.raises(SourceError) as caught:
        found.poll()
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return str(caught.value)


def test_a_broker_that_is_not_there_is_told(followed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(kafka, "ANSWER_SECONDS", 2.0)
    port = closed_port()
    found = followed(daemon(bootstrap=f"127.0.0.1:{port}", topic="log"))
    said = complaint(found)
    assert said.startswith(f"kafka: expected an answer of 127.0.0.1:{port}, got: ")
    assert "refused" in said


def test_a_broker_that_hangs_is_told_and_read_on_when_it_is_back(topic: Topic, followed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(kafka, "ANSWER_SECONDS", 2.0)
    topic.predict(8)
    found = followed(topic.daemon(settings={"socket.timeout.ms": 1000, "reconnect.backoff.max.ms": 100}))
    found.polled(8)

    def complains() -> bool:
        try:
            found.poll()
        except SourceError as error:
            return "expected an answer of" in str(error)
        return False

    with topic.broker.hanging():
        eventually(complains)
        assert complains()
    eventually(lambda: not complains())
    with topic.broker.hanging():  # a commit is under way, which nobody takes
        found.feed.confirm(found.position)
        before = time.monotonic()
        found.close()
        assert time.monotonic() - before < 5
    topic.predict(4)
    eventually(lambda: found.poll() and len(found.records) == 12)
    assert sorted(found.ids()) == sorted(ids(12))


def test_a_broker_that_was_killed_is_told_and_closing_does_not_wait_for_it(followed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(kafka, "ANSWER_SECONDS", 1.0)
    with kafka_broker() as broker:
        topic = Topic(broker)
        topic.predict(4)
        found = followed(topic.daemon())
        found.polled(4)
        broker.kill()

        def complains() -> bool:
            try:
                found.poll()
            except SourceError:
                return True
            return False

        eventually(complains)
        before = time.monotonic()
        found.close()
        assert time.monotonic() - before < 5


def test_a_topic_that_is_not_there_is_told(broker: Broker, followed: Any) -> None:
    found = followed(daemon(bootstrap=broker.bootstrap, topic="nothing"))
    assert complaint(found) == "kafka: expected the topic 'nothing', got: Broker: Unknown topic or partition"


def test_settings_that_librdkafka_does_not_know_are_told(broker: Broker) -> None:
    found = daemon(bootstrap=broker.bootstrap, topic="log", settings={"no.such": 1})
    assert complaint(found) == 'kafka: No such configuration property: "no.such"'


def test_a_password_that_is_not_taken_is_told_without_it(topic: Topic, followed: Any, monkeypatch: Any) -> None:
    """The mock cluster knows no passwords: what it answers is no handshake."""
    monkeypatch.setattr(kafka, "ANSWER_SECONDS", 2.0)
    found = followed(topic.daemon(security="sasl_plaintext", username="watch", password="hunter2"))
    assert "kafka: expected an answer of" in complaint(found)


def test_the_settings_of_librdkafka_have_their_paths_and_our_bounds(tmp_path: Path) -> None:
    found = _librdkafka.given({"ssl.ca.location": "ca.pem", "check.crcs": True, "fetch.max.bytes": 5}, tmp_path)
    assert found["ssl.ca.location"] == str(tmp_path / "ca.pem")
    assert (found["check.crcs"], found["fetch.max.bytes"]) == ("true", "5")
    assert found["queued.max.messages.kbytes"] == "8192"


def test_a_secret_is_read_from_its_file_when_it_is_used(tmp_path: Path) -> None:
    options = {"bootstrap": "h:1", "topic": "log", "security": "sasl_ssl", "username": "watch"}
    made = kafka.Options.model_validate({**options, "password_file": str(tmp_path / "secret")})
    with pytest.raises(SourceError, match=r"^kafka: cannot read the file with sasl\.password: No such file"):
        kafka.open_feed(made, kind="labels", columns=Columns(), directory=tmp_path)
    (tmp_path / "secret").write_text("hunter2\n")
    feed = kafka.open_feed(made, kind="labels", columns=Columns(), directory=tmp_path)
    assert feed._secrets == ["hunter2"]
    feed.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settings": {"group.id": "x"}}, "settings.group.id: expected it as group"),
        ({"settings": {"enable.auto.commit": True}}, "settings.enable.auto.commit: expected nothing"),
        ({"settings": {"sasl.password": "x"}}, "settings.sasl.password: expected it as password"),
        ({"settings": {"ssl.keystore.password": "x"}}, "expected no secret in settings"),
        ({"username": "x"}, "expected username and password together"),
        ({"username": "x", "password": "y"}, "security: expected sasl_ssl or sasl_plaintext beside a username"),
        ({"start": "soon"}, "start"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        kafka.Options(**{"bootstrap": "h:1", "topic": "t", **options})


# --- whatever happens -------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(st.integers(0, PARTITIONS - 1), min_size=1, max_size=8)),
        st.tuples(st.just("poll"), st.sampled_from(ENDINGS), st.integers(1, 6)),
    ),
    min_size=4,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_message_is_written_once_with_a_position_that_is_behind_it(broker: Broker, steps: list[Any]) -> None:
    topic = Topic(broker)
    found = topic.daemon()
    try:
        for what, *how in steps:
            if what == "poll":
                waits = topic.made > len(found.records)
                pulled = found.poll(limit=how[1], ending=how[0], seconds=10 if waits else 0)
                assert bool(pulled.records) == waits
                assert sum(offsets(found).values() if found.position else []) == len(found.records)
            else:
                for partition in how[0]:
                    topic.predict(1, partition=partition)
        found.polled(topic.made)
        found.poll()
    finally:
        found.close()
    assert sorted(found.ids()) == sorted(ids(topic.made))
    assert found.lost == 0
