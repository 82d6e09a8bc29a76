"""What the web needs of the running daemon."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Protocol

from monitor.config import Loaded
from monitor.metrics import Metrics
from monitor.records import Clock
from monitor.store import Store
from monitor.wire import Batch, Kind


class Intake(Protocol):
    """Takes predictions and labels."""

    def read(self, body: bytes, form: str, kind: Kind, model: str = "") -> Batch:
        """The records of a request's body; raises `BadBody`."""

    def read_typed(self, body: bytes, form: str, kind: Kind) -> Batch | None:
        """As `read`, where all records are of a model whose columns are known, and have no others; None otherwise."""

    def read_calls(self, headers: Mapping[str, str], body: bytes) -> Batch:
        """The calls that a request's CloudEvents tell of; raises `Unreadable`."""

    def aside(self, kind: Kind, seqs: Collection[int] | None) -> Batch:
        """Records that were set aside, read once more."""

    async def take_soon(self, batch: Batch) -> Batch:
        """Store a batch; returns once it is on the disk."""


class Watch(Protocol):
    """The running daemon, as the web sees it."""

    demo: bool

    @property
    def loaded(self) -> Loaded: ...

    @property
    def store(self) -> Store: ...

    @property
    def metrics(self) -> Metrics: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def ready(self) -> bool:
        """Whether the store is open and the first scheduling is done."""

    def reload(self) -> list[str]:
        """Load the configuration anew; what was wrong with it, nothing where it is now in force."""

    @property
    def intake(self) -> Intake:
        """Where predictions and labels go."""

    def alert_from_outside(self, alerts: list[OutsideAlert]) -> Future[list[dict[str, str]]]:
        """Consider alerts that another evaluator has raised; what was decided about each, once it is on the disk."""


from monitor.web._outside import OutsideAlert  # noqa: E402 - it is made of the protocol's parts
