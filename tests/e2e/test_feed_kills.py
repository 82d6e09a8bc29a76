"""A daemon that pulls is killed again and again: every record is in its store once; and a feed that is broken is a failing check."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as client
from confluent_kafka import Producer

from tests.e2e.daemon import daemon, demand, eventually, export, write_config, write_reference
from tests.servers import kafka_broker, postgresql, redis_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KILLS = 2
ROWS = 1500  # between two kills
Send = Callable[[list[dict[str, Any]]], None]


@contextmanager
def by_redis() -> Iterator[tuple[dict[str, Any], Send]]:
    with redis_server() as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        writer = client.Redis.from_url(url, protocol=2)

        def send(records: list[dict[str, Any]]) -> None:
            with writer.pipeline(transaction=False) as pipe:
                for each in records:
                    pipe.xadd("predictions", {"data": json.dumps(each)})
                pipe.execute()

        yield {"type": "redis", "url": url, "stream": "predictions", "group": "anchorwatch"}, send


@contextmanager
def by_kafka() -> Iterator[tuple[dict[str, Any], Send]]:
    with kafka_broker() as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        producer.list_topics("predictions", timeout=10)  # makes it

        def send(records: list[dict[str, Any]]) -> None:
            for place, each in enumerate(records):
                producer.produce("predictions", json.dumps(each).encode(), partition=place % 4)
            assert producer.flush(20) == 0

        yield {"type": "kafka", "bootstrap": broker.bootstrap, "topic": "predictions"}, send


@contextmanager
def by_sql() -> Iterator[tuple[dict[str, Any], Send]]:
    with postgresql() as server, psycopg.connect(server.url().replace("+psycopg", "")) as connection:
        connection.execute(
            "CREATE TABLE log (n serial, event_id text, timestamp timestamptz, model_version text, features jsonb,"
            " prediction float)"
        )
        connection.commit()

        def send(records: list[dict[str, Any]]) -> None:
            names = ("event_id", "timestamp", "model_version", "features", "prediction")
            rows = [[json.dumps(r[n]) if n == "features" else r[n] for n in names] for r in records]
            sql = f"INSERT INTO log ({', '.join(names)}) VALUES (%s, %s, %s, %s, %s)"
            connection.cursor().executemany(sql, rows)
            connection.commit()

        query = "SELECT event_id, timestamp, model_version, features, prediction, n FROM log"
        yield {"type": "sql", "url": server.url(), "query": query, "mark": "n", "every": "1s"}, send


def record(number: int) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "timestamp": "2026-01-05T12:00:00Z",
        "model_version": "v1",
        "features": {"temp": number % 100 / 100, "season": "summer"},
        "prediction": float(number),
    }


@pytest.mark.parametrize("source", [by_redis, by_kafka, by_sql])
def test_every_record_is_stored_once_whenever_the_daemon_is_killed(source: Any, tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.parquet")
    draw, waiting, sent = random.Random(3), threading.Event(), 0
    with source() as (options, send):
        config = write_config(tmp_path, apps=[{"name": "bikes", "models": [demand(predictions=options)]}])
        with daemon(config, start=False) as watch:
            for _ in range(KILLS):
                send([record(number) for number in range(sent, sent + ROWS)])
                sent += ROWS
                watch.start()
                waiting.wait(draw.uniform(0.1, 1.5))
                watch.kill()
            watch.start()
            about = {"app": "bikes", "model": "demand", "kind": "predictions"}
            eventually(lambda: watch.value("anchorwatch_ingest_feed_up", **about) == 1, "the feed to be read")
            eventually(lambda: len(export(config)) >= sent, "every record", step=1.0)
            assert watch.stop() == 0
        stored = export(config)
    assert sorted(row["event_id"] for row in stored) == sorted(f"e{number}" for number in range(sent))
    assert all(row["prediction"] == float(row["event_id"][1:]) for row in stored)


def test_a_feed_that_cannot_be_read_is_a_check_that_fails_and_recovers(tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.parquet")
    with redis_server() as server:
        options = {"type": "redis", "url": f"redis://127.0.0.1:{server.port}/0", "stream": "absent"}
        config = write_config(tmp_path, apps=[{"name": "bikes", "models": [demand(predictions=options)]}])
        with daemon(config) as watch:
            about = {"app": "bikes", "model": "demand", "check": "feed:predictions"}
            state = {**about, "state": "error"}
            eventually(lambda: watch.value("anchorwatch_check_state", **state) == 1, "the check to fail")
            (row,) = [each for each in watch.json("/v1/status")["checks"] if each["check"] == "feed:predictions"]
            assert "absent" in row["reason"]
            writer = client.Redis(port=server.port, protocol=2)
            writer.xadd("absent", {"data": json.dumps(record(1))})
            healthy = {**about, "state": "ok"}
            eventually(lambda: watch.value("anchorwatch_check_state", **healthy) == 1, "the check to recover")
            assert watch.value("anchorwatch_ingest_records_total", app="bikes", model="demand", kind="predictions") == 1
