"""The tables, and the steps that bring an older store to them. Times are Unix seconds of the daemon's clock."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
    true,
    update,
)

metadata = MetaData()
SEQ = BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER is SQLite's own row number

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False))

models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app", String, nullable=False),
    Column("name", String, nullable=False),
    # The number given to its last event: none is ever given twice, also when all events have gone.
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    # Up to here, only a sample of its events is left (`monitor.store.expiry.thin`).
    Column("thinned_seq", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("app", "name"),
)


def _model() -> Column[int]:
    return Column("model_id", ForeignKey("models.id"), nullable=False)


# Which typed columns a model's rows have; the rows themselves are in tables of its own (`monitor.store.layout`).
fields = Table(
    "fields",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("place", Integer, primary_key=True),  # the column is called c<place>
    Column("slot", Integer, nullable=False),  # the same for all kinds of one name: its bit in the rows' marks
    Column("role", String, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    UniqueConstraint("model_id", "role", "name", "kind"),
)

# The ids of a model's events, in segments of so many, each with its filter (`monitor.store.ids`),
segments = Table(
    "id_segments",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("filter", LargeBinary, nullable=False),
)

# and the pages of each: hashes in order, and then the numbers of their events, each of 8 bytes.
pages = Table(
    "id_pages",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("page", Integer, primary_key=True),
    Column("held", LargeBinary, nullable=False),
)

# Records that were not taken in, for a person to read, mend and send again.
quarantine = Table(
    "quarantine",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("message", String, nullable=False),
    Column("whole", Boolean, nullable=False),  # whether the record is all there
    Column("record", LargeBinary, nullable=False),
    # Whose source it came from, where that has one of its own.
    Column("app", String),
    Column("model", String),
    sqlite_autoincrement=True,
)

# How far what is pulled has been read: written with the records before it.
feeds = Table(
    "feeds",
    metadata,
    Column("app", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("position", Text, nullable=False),
)

# Requests whose response has not come yet, and the other way round.
halves = Table(
    "halves",
    metadata,
    Column("key", String, primary_key=True),
    Column("side", String, primary_key=True),
    Column("received", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("halves_by_receipt", "received"),
)

versions = Table(
    "versions",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("version", String, primary_key=True),
    Column("first_seen", Float, nullable=False),
    # About when its last row came (`monitor.store.versions.newest_versions`).
    Column("last_received", Float, nullable=False, server_default="0"),
)

references = Table(
    "reference_profiles",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("created", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # The reference cut into pieces, which takes more room than all else of it.
    Column("stretches", LargeBinary),
)

cursors = Table(
    "profile_cursors",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("version", String, primary_key=True),
    Column("series", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    # Not so where the version's rows go into another series now: then nothing waits for this one.
    Column("fed", Boolean, nullable=False, server_default=true()),
)

profiles = Table(
    "profiles",
    metadata,
    Column("model_id", ForeignKey("models.id"), primary_key=True),
    Column("version", String, primary_key=True),
    Column("series", String, primary_key=True),
    Column("seconds", Integer, primary_key=True),  # its length: that of a bucket, an hour or a day
    Column("bucket", BigInteger, primary_key=True),  # when it starts
    Column("updated", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

checks = Table(
    "checks",
    metadata,
    Column("app", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("check", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("last_success", Float),
    Column("streaks", Text, nullable=False),
    Column("window_end", Float, nullable=False),
    Column("result", Text, nullable=False),
)

# What a check has left for its next run.
states = Table(
    "check_states",
    metadata,
    Column("app", String, primary_key=True),
    Column("model", String, primary_key=True),
    Column("check", String, primary_key=True),
    Column("state", Text, nullable=False),
)

# What was said of each window, whenever that changed: labels come late.
verdicts = Table(
    "verdicts",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("app", String, nullable=False),
    Column("model", String, nullable=False),
    Column("check", String, nullable=False),
    Column("window_start", Float, nullable=False),
    Column("window_end", Float, nullable=False),
    Column("subject", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("said", Text, nullable=False),  # verdict, value, rows and whether it is provisional, as JSON
    Index("verdicts_by_window", "app", "model", "check", "window_end"),
    Index("verdicts_by_time", "at"),
    sqlite_autoincrement=True,
)

alerts = Table(
    "alerts",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("app", String, nullable=False),
    Column("model", String, nullable=False),
    Column("check", String, nullable=False),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("alerts_by_check", "app", "model", "check"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("target", String, nullable=False),
    Column("subject", String, nullable=False),  # deliveries of one subject to one target keep their order
    Column("created", Float, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    # Real time, both: a peer's patience knows nothing of our clock.
    Column("queued", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Index("outbox_by_state", "state", "due"),
)

retrainings = Table(
    "retrainings",
    metadata,
    Column("key", String, primary_key=True),
    Column("app", String, nullable=False),
    Column("model", String, nullable=False),
    Column("version", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False, default=""),
    Column("cause", String, nullable=False),
    Column("requested", Float, nullable=False),
    Column("deadline", Float, nullable=False),
    Column("new_version", String),
    Column("deployed", Float, nullable=False, default=0.0),  # when the new version was first seen
    # Windows in which the new version was breached, and the end of the last of them.
    Column("breaches", Integer, nullable=False, default=0),
    Column("breached_until", Float, nullable=False, default=0.0),
    Column("finished", Float),
    Column("body", Text, nullable=False),
    Index("retrainings_by_model", "app", "model", "requested"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("app", String, nullable=False),
    Column("model", String, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)

# The daemons that share this store, and which of them does what; seconds of the database's clock.
daemons = Table("daemons", metadata, Column("id", String, primary_key=True), Column("seen", Float, nullable=False))

leases = Table(
    "leases",
    metadata,
    Column("unit", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Float, nullable=False),
)

# What has been said once and is not said again.
marks = Table("marks", metadata, Column("mark", String, primary_key=True))


class NewerStore(Exception):
    """The store was written by a newer Anchorwatch than this one."""


def _missing_tables(connection: Connection) -> None:
    metadata.create_all(connection)


def _typed_rows(connection: Connection) -> None:
    """Events and labels move from JSON in two tables to typed columns in tables of each model's own."""
    from monitor.store.moving import move_rejected, move_rows

    _missing_columns(connection)
    _missing_tables(connection)
    if inspect(connection).has_table("events"):
        move_rows(connection)
    if inspect(connection).has_table("rejected"):
        move_rejected(connection)


def _missing_columns(connection: Connection) -> None:
    """Columns that tables were given later."""
    wanted = {
        "models": dict.fromkeys(("last_seq", "thinned_seq"), "BIGINT NOT NULL DEFAULT 0"),
        "quarantine": dict.fromkeys(("app", "model"), "VARCHAR"),
        "versions": {"last_received": "FLOAT NOT NULL DEFAULT 0"},
        "profile_cursors": {"fed": "BOOLEAN NOT NULL DEFAULT TRUE"},
    }
    tables = inspect(connection)
    for table, columns in wanted.items():
        there = {column["name"] for column in tables.get_columns(table)} if tables.has_table(table) else set(columns)
        for name in columns.keys() - there:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")


# Each brings a store one version further. A step that has been released is never edited.
# The second brought `check_states` and `verdicts`.
STEPS: tuple[Callable[[Connection], None], ...] = (_missing_tables, _missing_tables, _typed_rows, _missing_columns)


def migrate(connection: Connection, now: float) -> None:
    """Bring the store to the newest schema, in the caller's transaction.

    Raises:
        NewerStore: it is ahead of this program.
    """
    have = 0
    if inspect(connection).has_table("meta"):
        have = int(connection.execute(select(meta.c.value).where(meta.c.key == "schema")).scalar_one())
    if have > len(STEPS):
        raise NewerStore(f"expected a store of schema {len(STEPS)} or older, got {have}: it needs a newer Anchorwatch")
    for step in STEPS[have:]:
        step(connection)
    if have == 0:
        connection.execute(insert(meta), [{"key": "schema", "value": "0"}, {"key": "created", "value": repr(now)}])
    connection.execute(update(meta).where(meta.c.key == "schema").values(value=str(len(STEPS))))


def created_at(connection: Connection) -> float:
    """When the store was made, in Unix seconds of the daemon's clock."""
    return float(connection.execute(select(meta.c.value).where(meta.c.key == "created")).scalar_one())
