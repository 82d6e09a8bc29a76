"""The endpoint as a user would write it: FastAPI, a pydantic model and SQLAlchemy's ORM on SQLite.

It is as durable as ours, and takes an event that is sent again once, too.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import JSON, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

PATH, PORT = sys.argv[1], int(sys.argv[2])
engine = create_engine(f"sqlite:///{PATH}", connect_args={"check_same_thread": False, "timeout": 60})
factory = sessionmaker(engine)
app = FastAPI()


@event.listens_for(engine, "connect")
def durable(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.isolation_level = None


@event.listens_for(engine, "begin")
def begin(connection: Any) -> None:
    # It reads before it writes: two that do so at once would lock each other out.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "events"
    event_id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    timestamp: Mapped[datetime] = mapped_column(index=True)
    model_version: Mapped[str | None]
    features: Mapped[dict[str, Any]] = mapped_column(JSON)
    prediction: Mapped[float]
    latency_seconds: Mapped[float | None]


class Prediction(BaseModel):
    model_config = {"protected_namespaces": ()}
    event_id: str
    model: str
    timestamp: float
    model_version: str | None = None
    features: dict[str, float | str | None]
    prediction: float
    latency_seconds: float | None = None


def session() -> Any:
    with factory() as opened:
        yield opened


@app.post("/v1/predictions", status_code=202)
def take(given: list[Prediction] | Prediction, db: Session = Depends(session)) -> dict[str, int]:  # noqa: B008, FAST002 - FastAPI's way
    records = given if isinstance(given, list) else [given]
    rows = [
        Event(**{**each.model_dump(), "timestamp": datetime.fromtimestamp(each.timestamp, UTC)}) for each in records
    ]
    found = select(Event.event_id).where(Event.event_id.in_([row.event_id for row in rows]))
    known = set(db.scalars(found))
    db.add_all(row for row in rows if row.event_id not in known)
    db.commit()
    return {"accepted": len(rows)}


@app.get("/readyz")
def ready() -> str:
    return "ready"


Base.metadata.create_all(engine)
uvicorn.run(app, port=PORT, log_level="error", access_log=False)
