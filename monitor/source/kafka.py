"""Predictions and labels in a topic of Kafka: one JSON record in wire form in each message."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from monitor.config.model import Columns
from monitor.options import Options as _Options
from monitor.options import Secret
from monitor.source import SourceError
from monitor.source._feed import POLL_BYTES, Kind, Pulled, Start, held, hidden, optional, start_seconds
from monitor.source._librdkafka import given, refuse, revealed

ROLES = frozenset({"predictions", "labels"})
HEAVY = False

ANSWER_SECONDS = 10.0  # of a broker, to one question
CLOSE_SECONDS = 3.0
LINGER_SECONDS = 0.05  # so long more is waited for, once there is something
LOOK_SECONDS = 60.0  # how often new partitions are looked for


class Options(_Options):
    """A topic, all partitions of it. The group is only told how far it was read; nothing is balanced by it."""

    bootstrap: Annotated[str, Field(min_length=1, description="brokers to ask first, as `host:port,host:port`")]
    topic: Annotated[str, Field(min_length=1, description="the topic")]
    group: Annotated[
        str | None,
        Field(
            min_length=1,
            description="a group that nobody else reads by: offsets are committed to it, so that its lag can be watched;"
            " left out: `anchorwatch-<topic>-<predictions or labels>`",
        ),
    ] = None
    start: Annotated[
        Start, Field(description="where to begin the first time: with what there is, with what is new, or at a time")
    ] = "earliest"
    security: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], Field(description="how brokers are talked to")
    ] = "plaintext"
    mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Field(description="how `username` and `password` are proved"),
    ] = "PLAIN"
    username: Annotated[str | None, Field(description="who reads, with `security: sasl_…`")] = None
    password: Annotated[Secret | None, Field(description="the password of `username`")] = None
    key_password: Annotated[Secret | None, Field(description="the password of the file `ssl.key.location`")] = None
    settings: Annotated[
        Mapping[str, str | int | float | bool],
        Field(description="further settings of librdkafka, such as `ssl.ca.location`; relative paths start here"),
    ] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("expected username and password together")
        if self.username is not None and not self.security.startswith("sasl"):
            raise ValueError(f"security: expected sasl_ssl or sasl_plaintext beside a username, got {self.security!r}")
        refuse(self.settings)
        return self


class KafkaFeed:
    """The messages of a topic. Partitions are assigned by hand, with the offsets of the position."""

    every_seconds = 0.0

    def __init__(self, options: Options, *, kind: Kind, directory: Path) -> None:
        self._kafka = optional("confluent_kafka", "confluent-kafka", "kafka", "type: kafka")
        self._options, self._topic = options, options.topic
        secrets = revealed({"sasl.password": options.password, "ssl.key.password": options.key_password})
        self._secrets = list(secrets.values())
        self._trouble = ""  # the last that went wrong on a connection
        self._offsets: dict[int, int] = {}  # where the consumer stands: the next offset by partition
        self._cluster: str | None = None
        self._stands = False
        self._looked = -math.inf
        settings = {**given(options.settings, directory), **secrets, **_fixed(options, kind), "error_cb": self._noted}
        try:
            self._consumer = self._kafka.Consumer(settings)
        except (self._kafka.KafkaException, TypeError, ValueError) as error:
            raise SourceError(f"kafka: {self._said(error)}") from None

    def poll(self, position: str | None, *, limit: int, timeout_seconds: float) -> Pulled:
        """The next messages behind a position.

        Raises:
            SourceError: no broker answers, or the topic is not there or not readable.
        """
        deadline = time.monotonic() + timeout_seconds
        try:
            lost = self._stand(position)
            records, skipped, full = self._gather(limit, deadline)
            if not records and not skipped and self._trouble:
                self._partitions()  # is it still so?
        except self._kafka.KafkaException as error:
            self._stands = False
            raise SourceError(f"kafka: {self._said(error)}") from None
        except SourceError:
            self._stands = False
            raise
        more = full or not self._stands or self._lags()
        return Pulled(records, self._position(), more=more, skipped=skipped, lost=lost)

    def _position(self) -> str:
        offsets = {str(partition): offset for partition, offset in sorted(self._offsets.items())}
        return json.dumps({"topic": self._topic, "cluster": self._cluster, "offsets": offsets})

    def _stand(self, position: str | None) -> int:
        """Make the consumer stand at a position; how many messages between it and the oldest one are gone."""
        found = held(position, topic=self._topic)
        wanted = None if found is None else {int(key): int(offset) for key, offset in found["offsets"].items()}
        stands = self._stands and wanted == self._offsets
        if stands and time.monotonic() - self._looked < LOOK_SECONDS:
            return 0
        partitions, cluster = self._partitions()
        if stands and set(partitions) == set(self._offsets):
            return 0
        another = found is not None and None not in (cluster, found["cluster"]) and cluster != found["cluster"]
        self._stands = False
        self._offsets, lost = self._resumed(partitions, {} if another else wanted)
        self._cluster = cluster or (found or {}).get("cluster")
        self._consumer.assign(self._places(self._offsets))
        self._stands = True
        if found is not None and not another:
            self.confirm(self._position())  # it is in the store, and may never have been told
        return lost

    def _partitions(self) -> tuple[list[int], str | None]:
        """The topic's partitions, and the cluster it is in.

        Raises:
            SourceError: no broker answers, or there is no such topic.
        """
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=ANSWER_SECONDS)
        except self._kafka.KafkaException as error:
            self._stands = False
            self._consumer.poll(0)  # so that what went wrong on the connections is told
            said = self._trouble or self._said(error)
            raise SourceError(f"kafka: expected an answer of {self._options.bootstrap}, got: {said}") from None
        self._looked, self._trouble = time.monotonic(), ""
        topic = metadata.topics[self._topic]
        if topic.error is not None or not topic.partitions:
            said = topic.error.str() if topic.error else "it has no partitions"
            raise SourceError(f"kafka: expected the topic {self._topic!r}, got: {hidden(said, *self._secrets)}")
        return sorted(topic.partitions), metadata.cluster_id

    def _resumed(self, partitions: list[int], wanted: Mapping[int, int] | None) -> tuple[dict[int, int], int]:
        """The next offset of each partition, and how many messages before it were gone already."""
        if wanted is None:
            return self._first(partitions), 0
        offsets, lost = {}, 0
        for partition in partitions:
            low, high = self._bounds(partition)
            at = wanted.get(partition, low)  # a new partition is read from its first message on
            lost += max(low - at, 0)
            # Beyond the end: the topic was made anew under its name. Ids make harmless what comes twice.
            offsets[partition] = at if low <= at <= high else low
        return offsets, lost

    def _first(self, partitions: list[int]) -> dict[int, int]:
        start = self._options.start
        if isinstance(start, str):
            return {partition: self._bounds(partition)[start == "latest"] for partition in partitions}
        asked = self._places(dict.fromkeys(partitions, int(start_seconds(start) * 1000)))
        found = self._consumer.offsets_for_times(asked, timeout=ANSWER_SECONDS)
        # Where no message is so new, there is no offset yet but that of the next one.
        return {each.partition: each.offset if each.offset >= 0 else self._bounds(each.partition)[1] for each in found}

    def _bounds(self, partition: int) -> tuple[int, int]:
        """The oldest offset that is kept, and the one behind the newest."""
        found = self._consumer.get_watermark_offsets(
            self._kafka.TopicPartition(self._topic, partition), timeout=ANSWER_SECONDS
        )
        if found is None:
            raise SourceError(f"kafka: expected the offsets of partition {partition} of {self._topic!r}, got no answer")
        return int(found[0]), int(found[1])

    def _gather(self, limit: int, deadline: float) -> tuple[list[bytes], int, bool]:
        """Messages, how many of them were tombstones, and whether it stopped because they were enough."""
        records: list[bytes] = []
        skipped = size = 0
        while len(records) + skipped < limit and size < POLL_BYTES:
            wait = max(deadline - time.monotonic(), 0.0)
            message = self._consumer.poll(min(wait, LINGER_SECONDS) if records or skipped else wait)
            if message is None:
                return records, skipped, False
            if message.error() is not None:
                self._stands = False  # what was before it is good; behind it the next poll looks where things are
                if not records and not skipped and message.error().name() != "_AUTO_OFFSET_RESET":
                    raise self._kafka.KafkaException(message.error())
                return records, skipped, False
            self._offsets[message.partition()] = message.offset() + 1
            value = message.value()
            if value is None:
                skipped += 1
            else:
                records.append(value)
                size += len(value)
        return records, skipped, True

    def _lags(self) -> bool:
        """Whether a partition has more, as far as was heard of it."""
        ends = {
            place.partition: self._consumer.get_watermark_offsets(place, cached=True)[1]
            for place in self._places(self._offsets)
        }
        return any(end > self._offsets[partition] for partition, end in ends.items())

    def _places(self, offsets: Mapping[int, int]) -> list[Any]:
        return [self._kafka.TopicPartition(self._topic, *place) for place in offsets.items()]

    def _noted(self, error: Any) -> None:
        # That all are down says less than what happened to one of them.
        if not self._trouble or error.name() != "_ALL_BROKERS_DOWN":
            self._trouble = hidden(error.str(), *self._secrets)

    def _said(self, error: Exception) -> str:
        found = error.args[0] if error.args else error
        return hidden(found.str() if isinstance(found, self._kafka.KafkaError) else str(found), *self._secrets)

    def confirm(self, position: str) -> None:
        """Commit the offsets to the group; nothing waits for it, as nothing is read by them."""
        found = held(position, topic=self._topic)
        places = self._places({int(key): int(offset) for key, offset in (found or {"offsets": {}})["offsets"].items()})
        with suppress(self._kafka.KafkaException):
            if places and not self._trouble:
                self._consumer.commit(offsets=places, asynchronous=True)

    def close(self) -> None:
        """Leave the brokers. Commits that none of them takes would hold it up for minutes: it waits for some seconds."""
        leaving = Thread(target=self._leave, name="kafka-close", daemon=True)
        leaving.start()
        leaving.join(CLOSE_SECONDS)

    def _leave(self) -> None:
        with suppress(RuntimeError, self._kafka.KafkaException):
            self._consumer.close()


def _fixed(options: Options, kind: Kind) -> dict[str, Any]:
    user = {"sasl.username": options.username, "sasl.mechanisms": options.mechanism} if options.username else {}
    return user | {
        "bootstrap.servers": options.bootstrap,
        "security.protocol": options.security,
        "group.id": options.group or f"anchorwatch-{options.topic}-{kind}",
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": False,
    }


def open_feed(options: Options, *, kind: Kind, columns: Columns, directory: Path) -> KafkaFeed:  # noqa: ARG001 - wire form
    """Follow a topic.

    Args:
        options: which topic, and where.
        kind: what its messages are.
        columns: not looked at: messages are in wire form.
        directory: where relative paths of settings start.

    Raises:
        SourceError: confluent-kafka is not installed, or does not take the settings.
    """
    return KafkaFeed(options, kind=kind, directory=directory)
