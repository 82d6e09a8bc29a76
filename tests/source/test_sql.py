"""Rows of a database are followed by their mark: none is skipped, and none is passed on twice without need."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.config.model import Columns
from monitor.source import SourceError, sql
from monitor.source._database import read_rows
from monitor.source._pulled import UnreadableRow
from monitor.wire import Batch, Only, decode
from monitor.wire.records import Label, Prediction
from tests.servers import PostgreSQL, closed_port, eventually, postgresql
from tests.source.following import ENDINGS, Daemon

import msgspec  # isort: skip

pytestmark = pytest.mark.slow  # a PostgreSQL is made and started

QUERY = "SELECT * FROM log"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as found:
        yield found


@contextmanager
def connected(server: PostgreSQL) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres(server: PostgreSQL) -> Iterator[psycopg.Connection]:
    """A connection to an empty database."""
    with connected(server) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        yield connection


def daemon(url: str, folder: Path = Path(), kind: Any = "predictions", columns: Any = None, **options: Any) -> Daemon:
    made = sql.Options(**{"url": url, "query": QUERY, "mark": "n", **options})
    return Daemon(lambda: sql.open_feed(made, kind=kind, columns=columns or Columns(), directory=folder))


@pytest.fixture
def followed() -> Iterator[Callable[..., Daemon]]:
    """`daemon`, closed at the end."""
    found = []

    def make(*arguments: Any, **options: Any) -> Daemon:
        found.append(daemon(*arguments, **options))
        return found[-1]

    yield make
    for each in found:
        each.close()


def lite(
    folder: Path, rows: Sequence[tuple[Any, ...]] = (), create: str = "event_id, timestamp, prediction, x, n"
) -> str:
    """A database of SQLite with these rows in the table `log`."""
    with closing(sqlite3.connect(folder / "log.db")) as connection, connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS log ({create})")
        if rows:
            connection.executemany(f"INSERT INTO log VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return "sqlite:///log.db"


def row(n: int, mark: Any = None) -> tuple[Any, ...]:
    return (f"e{n}", 1_767_600_000 + n, 0.5, n / 2, n if mark is None else mark)


# --- what a row becomes -----------------------------------------------------------------------------------------------


def test_a_row_becomes_a_record_of_the_wire(tmp_path: Path, followed: Any) -> None:
    (record,) = followed(lite(tmp_path, [row(1)]), tmp_path).all()
    assert record == {"event_id": "e1", "timestamp": 1_767_600_001, "prediction": 0.5, "features": {"x": 0.5}}


def test_the_types_of_postgresql_become_values_of_the_wire(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    postgres.execute("""
        CREATE TABLE log (id uuid, at timestamp, said numeric(10, 2), p double precision, v int, took interval, n bigint,
            d numeric, naive timestamp, aware timestamptz, day date, ok boolean, raw bytea, v2 real[], words text[],
            j jsonb, nothing text, nan double precision, big numeric, ip inet);
        INSERT INTO log VALUES ('00000000-0000-0000-0000-00000000002a', '2026-01-05 12:00', 1.50, 0.25, 3, '1.5 s', 1,
            12, '2026-01-05 12:00', '2026-01-05 14:00+02', '2026-01-05', true, '\\x00ff', '{1,2.5}', '{a,b}',
            '{"a": [1]}', null, 'NaN', 123456789012345678901234567890, '10.0.0.1')""")
    columns = Columns(id="id", timestamp="at", prediction="said", score="p", version="v", latency="took")
    (record,) = followed(server.url(), columns=columns).all()
    features = record.pop("features")
    assert record == {
        "event_id": "00000000-0000-0000-0000-00000000002a", "timestamp": "2026-01-05T12:00:00+00:00", "prediction": 1.5,
        "probability": 0.25, "model_version": 3, "latency_seconds": 1.5,
    }  # fmt: skip
    assert features == {
        "d": 12, "naive": "2026-01-05T12:00:00+00:00", "aware": "2026-01-05T12:00:00+00:00", "day": "2026-01-05", "ok": True, "raw": "AP8=", "v2": [1.0, 2.5],
        "words": '["a","b"]', "j": '{"a":[1]}', "nothing": None, "nan": None, "big": 1.2345678901234568e29,
        "ip": "10.0.0.1",
    }  # fmt: skip


def test_every_value_a_database_gives_is_one_the_wire_takes(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    postgres.execute(
        "CREATE TABLE log (event_id bigint, timestamp timestamptz, prediction boolean, x real[], n bigint)"
    )
    postgres.execute("INSERT INTO log VALUES (7, now(), true, '{}', 1), (8, now(), false, null, 2)")
    found = followed(server.url())
    found.all()
    decoder = msgspec.json.Decoder(Prediction)
    records = [decoder.decode(record[:-1] + b',"model":"m"}') for record in found.records]
    assert [(each.event_id, each.prediction, each.features) for each in records] == [
        ("7", True, {"x": []}),
        ("8", False, {"x": None}),
    ]


def test_the_probabilities_of_classes_come_from_a_column_each(tmp_path: Path, followed: Any) -> None:
    url = lite(tmp_path, [("a", 1, "up", 0.75, 0.25, 1)], "event_id, timestamp, prediction, p_up, p_down, n")
    (record,) = followed(url, tmp_path, columns=Columns(score={"up": "p_up", "down": "p_down"})).all()
    assert (record["probability"], record["features"]) == ({"up": 0.75, "down": 0.25}, {})


def test_features_may_lie_in_one_column_as_json(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    postgres.execute(
        "CREATE TABLE log (event_id text, timestamp timestamptz, prediction text, features jsonb, n bigint)"
    )
    postgres.execute("""INSERT INTO log VALUES ('a', now(), 'up', '{"x": 1.5, "c": "red"}', 1)""")
    (record,) = followed(server.url()).all()
    assert record["features"] == {"x": 1.5, "c": "red"}


def test_a_label_is_read_once_it_is_there(tmp_path: Path, followed: Any) -> None:
    url = lite(tmp_path, [("a", 1, 10), ("b", None, 11)], "event_id, label, n")
    found = followed(url, tmp_path, kind="labels")
    assert found.all() == [{"event_id": "a", "label": 1}]
    assert found.skipped == 1
    found.all()
    assert found.skipped == 1  # a row that still has none is counted once
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection, connection:
        connection.execute("UPDATE log SET label = 0, n = 12 WHERE event_id = 'b'")
    assert found.all()[1:] == [{"event_id": "b", "label": 0}]
    assert msgspec.json.decode(found.records[0][:-1] + b',"model":"m"}', type=Label).label == 1


def test_a_text_that_is_no_utf8_stops_nothing(tmp_path: Path, followed: Any) -> None:
    url = lite(tmp_path, [row(1)])
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection, connection:
        connection.execute("INSERT INTO log VALUES ('e2', 1, 1, CAST(x'ff41' AS TEXT), 2)")
    assert followed(url, tmp_path).all()[1]["features"] == {"x": "�A"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM log;",
        "SELECT * FROM log -- the log",
        "WITH l AS (SELECT * FROM log) SELECT * FROM l",
        "SELECT event_id, timestamp, prediction, n, ':no %s %(x)s \\:' AS x FROM log WHERE '12:30' <> ':a'",
    ],
)
def test_the_query_is_the_owners_own_sql(tmp_path: Path, followed: Any, query: str) -> None:
    (record,) = followed(lite(tmp_path, [row(1)]), tmp_path, query=query).all()
    assert record["features"] in ({"x": 0.5}, {"x": ":no %s %(x)s \\:"})


def test_the_query_may_cast_as_postgresql_does(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    query = "SELECT 'a'::text AS event_id, now()::timestamp AS timestamp, 1::int AS prediction, 5 % 3 AS x, 1 AS n"
    (record,) = followed(server.url(), query=query).all()
    assert record["features"] == {"x": 2}


FEATURES = "event_id, timestamp, prediction, features, n"
UNTOLD = {
    "surrogate": r'{"x": "\ud83d"}',
    "digits": '{"x": 1' + "0" * 400 + "}",
    "deep": '{"x": ' + "[" * 5000 + "]" * 5000 + "}",
}


def judged(found: Daemon) -> Batch:
    """What the store takes in of what was passed on, and what it sets aside."""
    return decode(found.records, "predictions", Only(("shop", "churn")))


@pytest.mark.parametrize("bad", UNTOLD)
@pytest.mark.parametrize("wal", [True, False])
def test_a_row_that_has_no_wire_form_costs_no_other(tmp_path: Path, followed: Any, bad: str, wal: bool) -> None:
    rows = [(*row(n)[:3], UNTOLD[bad] if n in (0, 500) else '{"x": 1}', n) for n in range(1000)]
    url = lite(tmp_path, rows, FEATURES)
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {'wal' if wal else 'delete'}")
    found = followed(url, tmp_path)
    found.poll()
    assert len(found.records) == 1000
    assert [each["index"] for each in judged(found).rejected] == ([] if bad == "deep" else [0, 500])


def test_values_of_postgresql_that_have_no_wire_form_cost_no_other_row(
    server: PostgreSQL, postgres: Any, followed: Any
) -> None:
    postgres.execute(
        "CREATE TABLE log (event_id text, timestamp timestamptz, prediction numeric, features json, b jsonb, n bigint)"
    )
    postgres.execute(
        "INSERT INTO log SELECT 'e' || i, now(), 1, '{\"x\": 1}', '{\"x\": 1}', i FROM generate_series(0, 9) AS i"
    )
    change = "UPDATE log SET {} = %s WHERE n = %s"
    for place, bad in enumerate(UNTOLD.values()):
        postgres.execute(change.format("features"), [bad, place])
    postgres.execute(change.format("prediction"), [Decimal(10**400), 3])
    for place, bad in enumerate([UNTOLD["digits"], UNTOLD["digits"].replace("0", "0" * 20), UNTOLD["deep"]], 5):
        postgres.execute(change.format("b"), [bad, place])
    found = followed(server.url())
    found.poll()
    assert len(found.records) == 10
    assert [each["index"] for each in judged(found).rejected] == [0, 1, 3]


def test_after_an_error_that_nobody_foresaw_all_rows_are_read_again(
    tmp_path: Path, followed: Any, monkeypatch: Any
) -> None:
    found = followed(lite(tmp_path, [row(n) for n in range(1000)]), tmp_path)
    found.poll(limit=300)
    told, seen = sql.encoded, []

    def fails(record: Any) -> bytes:
        seen.append(record)
        if len(seen) == 150:
            raise MemoryError
        return told(record)

    monkeypatch.setattr(sql, "encoded", fails)
    with pytest.raises(MemoryError):
        found.poll()
    found.all()
    assert set(found.ids()) == {f"e{n}" for n in range(1000)}


# --- the mark ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 99, 100, 101, 1000])
@pytest.mark.parametrize("wal", [True, False])
def test_more_rows_of_one_mark_than_the_limit_are_all_read(
    tmp_path: Path, followed: Any, limit: int, wal: bool
) -> None:
    url = lite(tmp_path, [row(n, mark=5 if 3 <= n < 240 else n + 300 * (n >= 240)) for n in range(250)])
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {'wal' if wal else 'delete'}")
    found = followed(url, tmp_path, overlap=0)
    found.all(limit=limit)
    assert sorted(found.ids()) == sorted(f"e{n}" for n in range(250))
    lite(tmp_path, [row(1000, mark=549), row(1001, mark=600)])
    found.all(limit=limit)
    assert found.ids()[250:] == ["e1000", "e1001"]


def test_a_row_that_is_committed_late_is_read_if_it_is_within_the_overlap(
    server: PostgreSQL, postgres: Any, followed: Any
) -> None:
    postgres.execute(
        "CREATE TABLE log (event_id text, timestamp timestamptz, prediction int, n timestamptz DEFAULT now())"
    )
    insert = "INSERT INTO log (event_id, timestamp, prediction) VALUES (%s, now(), 1)"
    found = followed(server.url(), overlap="10s")
    with connected(server) as other:
        other.execute("BEGIN")
        other.execute(insert, ["late"])
        eventually(
            lambda: postgres.execute("SELECT now() > min(backend_start) + '50ms' FROM pg_stat_activity").fetchone()
        )
        postgres.execute(insert, ["early"])
        found.all()
        assert found.ids() == ["early"]
        other.execute("COMMIT")
    found.all()
    found.all()
    assert found.ids() == ["early", "late"]


def test_the_overlap_is_not_passed_on_again_while_the_daemon_runs(tmp_path: Path, followed: Any) -> None:
    url = lite(tmp_path, [row(n) for n in range(500)])
    found = followed(url, tmp_path, overlap=100)
    found.all(limit=30)
    found.all(limit=30)
    assert len(found.records) == 500
    lite(tmp_path, [row(500)])
    found.poll()
    assert found.ids()[500:] == ["e500"]
    found.close()  # a new one cannot know: ids make it harmless
    found.all()
    assert sorted(found.ids()[501:]) == sorted(f"e{n}" for n in range(400, 501))


@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("TEXT", ["2026-01-05 12:00:00", "2026-01-05 12:00:00.5", "2026-01-05 12:10:00"]),
        ("TEXT", ["2026-01-05T12:00:00Z", "2026-01-05T12:00:01.25Z", "2026-01-05T12:10:00Z"]),
        ("TEXT", ["2026-01-05", "2026-01-05", "2026-01-06"]),
        ("REAL", [1.5, 1.75, 1e9]),
        ("INTEGER", [1, 2, 10**18]),
    ],
)
def test_marks_of_sqlite_may_be_numbers_or_written_times(
    tmp_path: Path, followed: Any, kind: str, marks: list[Any]
) -> None:
    create = f"event_id, timestamp, prediction, x, n {kind}"
    url = lite(tmp_path, [row(n, mark) for n, mark in enumerate(marks[:2])], create)
    found = followed(url, tmp_path)
    found.all()
    lite(tmp_path, [row(2, marks[2])], create)
    found.close()
    found.all()
    assert set(found.ids()) == {"e0", "e1", "e2"}
    assert found.ids()[-1] == "e2"


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date", "numeric", "bigint", "double precision"])
def test_marks_of_postgresql_come_back_from_the_position_as_they_are(
    server: PostgreSQL, postgres: Any, followed: Any, kind: str
) -> None:
    times = kind.startswith(("time", "date"))
    marks = (
        ["2026-01-05 12:00:00.123456", "2026-01-05 12:00:00.123457", "2026-01-07"] if times else ["1.0", "2", "3e15"]
    )
    if kind == "bigint":
        marks = ["1", "2", "3000000000000000"]
    postgres.execute(f"CREATE TABLE log (event_id text, timestamp timestamptz, prediction int, n {kind})")
    insert = f"INSERT INTO log VALUES (%s, now(), 1, %s::{kind})"
    found = followed(server.url(), overlap="0s" if times else 0)
    for place, mark in enumerate(marks):
        postgres.execute(insert, [f"e{place}", mark])
        found.all()
        found.close()
    # A new feed reads again what has the highest mark, and nothing before it.
    assert found.ids() == ["e0", "e0", "e1", *(["e0"] if kind == "date" else []), "e1", "e2"]


def test_a_row_with_a_wrong_clock_hides_none_that_come_after(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    postgres.execute("CREATE TABLE log (event_id text, timestamp timestamptz, prediction int, n timestamptz)")
    postgres.execute("INSERT INTO log SELECT 'f' || i, now(), 1, '9999-01-01' FROM generate_series(1, 250) AS i")
    found = followed(server.url())
    found.all(limit=100)
    postgres.execute("INSERT INTO log VALUES ('now', now(), 1, now())")
    found.all(limit=100)
    found.close()
    postgres.execute("INSERT INTO log VALUES ('later', now(), 1, now())")
    found.all(limit=100)
    assert {"now", "later", "f1", "f250"} <= set(found.ids())


def test_rows_without_a_mark_are_reported_and_stop_nothing(tmp_path: Path, followed: Any) -> None:
    found = followed(lite(tmp_path, [row(1), (*row(2)[:4], None), row(3)]), tmp_path)
    found.all()
    assert found.ids() == ["e1", "e3"]
    assert found.cautions == ["1 rows have no n, and are not read before they have"]


def test_an_empty_table_is_followed_from_its_first_row_on(tmp_path: Path, followed: Any) -> None:
    found = followed(lite(tmp_path), tmp_path)
    assert (found.all(), found.all()) == ([], [])
    lite(tmp_path, [row(1)])
    assert [each["event_id"] for each in found.all()] == ["e1"]


def test_after_another_mark_was_configured_it_begins_anew(tmp_path: Path, followed: Any) -> None:
    url = lite(tmp_path, [row(1), row(2)])
    found = followed(url, tmp_path)
    found.all()
    other = followed(url, tmp_path, mark="timestamp")
    other.position = found.position
    assert len(other.all()) == 2


# --- what is bounded --------------------------------------------------------------------------------------------------


def test_rows_are_read_by_a_cursor_on_the_server_that_is_gone_with_the_last_one(
    server: PostgreSQL, postgres: Any, followed: Any
) -> None:
    postgres.execute("CREATE TABLE log (event_id int, timestamp timestamptz, prediction int, n bigint)")
    postgres.execute("INSERT INTO log SELECT i, now(), 1, i FROM generate_series(1, 5000) AS i")
    running = "SELECT state, query FROM pg_stat_activity WHERE application_name = 'anchorwatch'"
    found = followed(server.url())
    pulled = found.poll(limit=250)
    assert (len(pulled.records), pulled.more) == (250, True)
    ((state, query),) = eventually(lambda: postgres.execute(f"{running} AND state <> 'active'").fetchall())
    assert (state, query.split()[0]) == ("idle in transaction", "FETCH")
    found.all()
    assert len(set(found.ids())) == len(found.ids()) == 5000
    eventually(lambda: not postgres.execute(running).fetchall())


def test_a_poll_stops_at_some_megabytes(tmp_path: Path, followed: Any) -> None:
    found = followed(lite(tmp_path, [(*row(n)[:3], "x" * 100_000, n) for n in range(300)]), tmp_path)
    first = found.poll()
    assert 8 << 20 < sum(map(len, first.records)) < 24 << 20
    assert first.more
    assert len(found.all()) == 300


def test_a_poll_without_time_brings_something(tmp_path: Path, followed: Any) -> None:
    found = followed(lite(tmp_path, [row(n) for n in range(1000)]), tmp_path)
    assert len(found.poll(seconds=0).records) == 100


def test_who_writes_to_sqlite_is_not_kept_waiting(tmp_path: Path, followed: Any) -> None:
    """Without a write-ahead log a reader of SQLite blocks its writers: between two polls there is none."""
    found = followed(lite(tmp_path, [row(n) for n in range(1000)]), tmp_path, overlap=10)
    assert found.poll(limit=300).more
    with closing(sqlite3.connect(tmp_path / "log.db", timeout=0)) as connection, connection:
        connection.execute("INSERT INTO log VALUES ('new', 1, 1, 1, 2000)")
    found.all(limit=300)
    found.all(limit=300)
    assert len(found.ids()) == len(set(found.ids())) == 1001


def test_a_statement_that_takes_too_long_is_ended(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    slow = "SELECT 'a' AS event_id, now() AS timestamp, 1 AS prediction, 1 AS n FROM pg_sleep(30)"
    with pytest.raises(SourceError, match="postgresql: canceling statement due to statement timeout"):
        followed(server.url(), query=slow, timeout="200ms").poll()


def test_nothing_can_be_written(server: PostgreSQL, postgres: Any, tmp_path: Path, followed: Any) -> None:
    postgres.execute("CREATE SEQUENCE s")
    query = "SELECT 'a' AS event_id, now() AS timestamp, 1 AS prediction, nextval('s') AS n"
    with pytest.raises(SourceError, match=r"cannot execute nextval\(\) in a read-only transaction"):
        followed(server.url(), query=query).poll()
    assert postgres.execute("SELECT is_called FROM s").fetchone() == (False,)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def complaint(found: Daemon) -> str:
    with pytest.raises(SourceError) as caught:
        found.poll()
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return str(caught.value)


def test_what_is_wrong_is_said_without_a_secret(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    postgres.execute("CREATE TABLE log (event_id text, timestamp timestamptz, prediction int, n text)")
    said = {
        "query": complaint(followed(server.url(), query="SELECT * FORM log")),
        "table": complaint(followed(server.url(), query="SELECT * FROM lgo")),
        "mark": complaint(followed(server.url(), mark="seq")),
        "columns": complaint(followed(server.url(), columns=Columns(id="id"))),
        "password": complaint(followed(server.url(password="hunter22"))),
        "database": complaint(followed(server.url(database="other"))),
        "down": complaint(followed(f"postgresql://watch:hunter2@127.0.0.1:{closed_port()}/log")),
    }
    assert said["query"] == 'postgresql: syntax error at or near "FORM"'
    assert said["table"] == 'postgresql: relation "lgo" does not exist'
    got = "got the columns event_id, timestamp, prediction, n"
    assert said["mark"] == f"query: expected the column 'seq' (mark), {got}"
    assert said["columns"] == f"query: expected the column 'id' (columns.id), {got}"
    assert 'password authentication failed for user "watch"' in said["password"]
    assert 'database "other" does not exist' in said["database"]
    assert "Connection refused" in said["down"]
    postgres.execute("INSERT INTO log VALUES ('a', now(), 1, 'first')")
    assert (
        complaint(followed(server.url())) == "mark: expected a number or a time in every row's n, got the text 'first'"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hunter2", "url: expected one such as postgresql://user:password@host:5432/database"),
        ("postgresql://u:hunter2@h:x/d", "url: expected one such as postgresql://user:password@host:5432/database"),
        ("nosuchdb://u:hunter2@h/d", "url: expected a database that SQLAlchemy knows, got 'nosuchdb'"),
        ("mysql+pymysql://u:hunter2@h/d", "expected the package pymysql for mysql+pymysql"),
        ("sqlite:///nothing.db", "url: expected a database, found nothing at /somewhere/nothing.db"),
    ],
)
def test_a_url_that_is_of_no_use_is_told_without_a_secret(url: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        daemon(url, Path("/somewhere")).poll()
    assert str(caught.value) == said


def test_a_column_that_is_there_twice_is_told(server: PostgreSQL, postgres: Any, followed: Any) -> None:
    query = "SELECT 'a' AS event_id, now() AS timestamp, 1 AS prediction, 1 AS n, 1 AS x, 2 AS x"
    assert complaint(followed(server.url(), query=query)).endswith("a name of its own, got 'x' twice")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"overlap": "soon"}, "expected a duration such as 5m, or a number where the mark is one, got 'soon'"),
        ({"overlap": -1}, "expected a duration such as 5m"),
        ({"every": "0s"}, "expected a duration above 0s"),
        ({"query": ""}, "query"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        daemon("sqlite://", **options)


def test_an_overlap_of_the_other_kind_is_told(tmp_path: Path, followed: Any) -> None:
    found = followed(lite(tmp_path, [row(1)]), tmp_path, overlap="5m")
    assert complaint(found) == "overlap: expected a number, as the mark is one"


@pytest.mark.parametrize("wal", [True, False])
@pytest.mark.parametrize("rows", [300, 6000])
def test_rows_before_one_without_a_usable_mark_are_read_and_it_is_told(
    tmp_path: Path, followed: Any, wal: bool, rows: int
) -> None:
    """SQLite keeps a text in any column, and sorts it behind all numbers."""
    url = lite(tmp_path, [*(row(n) for n in range(rows)), ("bad", 1, 1, 1, "oops")])
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {'wal' if wal else 'delete'}")
    found = followed(url, tmp_path)
    told = "mark: expected a number or a time in every row's n, got the text 'oops'"
    assert stopped(found) == stopped(found) == told
    lite(tmp_path, [row(rows), row(rows + 1)])
    assert stopped(found) == told
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection, connection:
        connection.execute("UPDATE log SET n = ? WHERE event_id = 'bad'", [rows + 2])
    found.all()
    # None came twice, as the feed goes on knowing what it passed on.
    assert found.ids() == [*(f"e{n}" for n in range(rows + 2)), "bad"]


def stopped(found: Daemon) -> str:
    """What is told of the row that stops the feed, after some polls at the most."""
    for _ in range(9):
        try:
            found.poll(limit=5000)
        except UnreadableRow as error:
            return str(error)
    pytest.fail("nothing stopped it")


def test_a_row_that_stops_the_feed_stops_it_where_what_came_before_was_not_stored(
    tmp_path: Path, followed: Any
) -> None:
    found = followed(lite(tmp_path, [*(row(n) for n in range(300)), ("bad", 1, 1, 1, "oops")]), tmp_path)
    assert len(found.poll(ending="not written").records) == 300
    assert len(found.poll(ending="crashed unwritten").records) == 300
    assert len(found.poll().records) == 300
    assert "oops" in stopped(found)
    assert len(found.records) == 300


def test_rows_before_a_value_that_the_driver_cannot_read_are_read_and_it_is_told(
    server: PostgreSQL, postgres: Any, followed: Any
) -> None:
    postgres.execute("CREATE TABLE log (event_id int, timestamp timestamptz, prediction int, n bigint)")
    postgres.execute("INSERT INTO log SELECT i, now(), 1, i FROM generate_series(0, 999) AS i")
    postgres.execute("UPDATE log SET timestamp = '12000-01-01' WHERE n = 450")
    found = followed(server.url())
    assert "after year 10K" in stopped(found)
    assert found.ids() == [str(n) for n in range(400)]  # up to the hundred rows that it is one of
    assert "after year 10K" in stopped(found)
    postgres.execute("UPDATE log SET timestamp = now() WHERE n = 450")
    found.all()
    assert found.ids() == [str(n) for n in range(1000)]


def test_a_database_that_was_killed_is_followed_on_when_it_is_back() -> None:
    with postgresql() as server:
        with connected(server) as connection:
            connection.execute("CREATE TABLE log (event_id int, timestamp timestamptz, prediction int, n bigint)")
            connection.execute("INSERT INTO log SELECT i, now(), 1, i FROM generate_series(1, 1000) AS i")
        found = daemon(server.url(), overlap=0)
        found.poll(limit=300)
        server.program.kill()
        complaint(found)
        complaint(found)
        server.program.start()
        found.all(limit=300)
        found.close()
    assert set(found.ids()) == {str(n) for n in range(1, 1001)}


# --- whatever happens -------------------------------------------------------------------------------------------------


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.lists(st.integers(0, 4), min_size=1, max_size=12)),
        st.tuples(st.just("late"), st.integers(0, 3)),
        st.tuples(st.just("poll"), st.sampled_from(ENDINGS), st.integers(1, 9)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, wal=st.booleans(), overlap=st.integers(3, 20))
def test_every_row_is_written_with_a_position_and_once_while_nothing_crashes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], wal: bool, overlap: int
) -> None:
    """Marks rise by nothing to four, late rows lie up to three below the highest; crashes come anywhere."""
    folder = tmp_path_factory.mktemp("sql")
    url, highest, made, crashed = lite(folder), 0, 0, False
    with closing(sqlite3.connect(folder / "log.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {'wal' if wal else 'delete'}")
    found = daemon(url, folder, overlap=overlap)
    for what, *how in steps:
        if what == "poll":
            found.poll(limit=how[1], ending=how[0])
            crashed = crashed or how[0] not in ("confirmed", "unconfirmed")
            continue
        marks = [max(0, highest - how[0])] if what == "late" else []
        for rise in how[0] if what == "insert" else []:
            highest += rise
            marks.append(highest)
        lite(folder, [row(made + place, mark) for place, mark in enumerate(marks)])
        made += len(marks)
    found.all(limit=5)
    found.all(limit=5)
    found.close()
    assert set(found.ids()) == {f"e{n}" for n in range(made)}
    assert crashed or len(found.ids()) == made


# --- offline ----------------------------------------------------------------------------------------------------------


def test_a_whole_query_is_read_in_pieces(server: PostgreSQL, postgres: Any) -> None:
    postgres.execute("CREATE TABLE log (event_id int, x numeric, at date)")
    postgres.execute("INSERT INTO log SELECT i, i / 2.0, '2026-01-05' FROM generate_series(1, 12000) AS i")
    options = sql.Options(url=server.url(), query=QUERY, mark="event_id")
    pieces = list(read_rows(options, Path()))
    assert [len(piece) for piece in pieces] == [5000, 5000, 2000]
    assert pieces[0][0] == {"event_id": 1, "x": Decimal("0.5"), "at": date(2026, 1, 5)}
