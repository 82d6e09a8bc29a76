"""Calls that a serving system logs: each is two events, and becomes predictions once both are there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection

from monitor.config import Config, Model
from monitor.serving_logs import Half, Outcome, Side, Unreadable, cloudevents, decode, encode, join, labels, shown
from monitor.store.pending import other_half
from monitor.wire.records import Batch, Kind, Only, Subject, convert

OTHER = {Side.REQUEST: Side.RESPONSE, Side.RESPONSE: Side.REQUEST}


class Services:
    """The models whose inference services may log their calls here."""

    def __init__(self, config: Config) -> None:
        self._models: dict[str, tuple[Subject, Model]] = {}
        for app, model in config.models():
            if model.predictions is not None and model.predictions.type == "ingest":
                name = model.predictions.options.service or model.name
                self._models.setdefault(name, ((app.name, model.name), model))

    def of(self, half: Half) -> tuple[Subject, Model] | None:
        """The model that a half is of: by its service's name, or by the model's own."""
        return self._models.get(half.service) or self._models.get(half.model)


def read_calls(headers: Mapping[str, str], body: bytes, services: Services) -> Batch:
    """The events of a request, to be joined with their other halves when they are stored.

    Raises:
        Unreadable: the body holds no events.
    """
    batch = Batch("predictions")
    for index, event in enumerate(cloudevents.events(headers, body)):
        batch.records += 1
        try:
            half = cloudevents.half(event)
        except Unreadable as error:
            batch.reject(index, error.reason, str(error), _raw(event.data), whole=False)
            continue
        found = services.of(half)
        if found is None:
            name = half.service or half.model
            told = f"expected a service that is configured, got {name[:60]!r}"
            batch.reject(index, "unknown_model", told, _raw(event.data), whole=False)
        else:
            batch.also.append(partial(_take_half, half, *found))
    return batch


def _raw(data: Any) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data).encode()


def _take_half(half: Half, subject: Subject, model: Model, connection: Connection, batch: Batch, now: float) -> None:
    """In the writer: keep a half, or add what it and the other one say to the batch."""
    outcome = cast(Outcome, model.predictions.options.outcome())
    if half.side is Side.FEEDBACK:
        _add(batch, partial(labels, half, outcome=outcome, model=subject[1]), "labels", subject, now, [encode(half)])
        return
    other = OTHER[half.side]
    found = other_half(connection, half.key, half.side, other, encode(half), now=now)
    if found is None:
        return
    names = tuple(model.features or ())

    def joined() -> list[dict[str, Any]]:
        sides = {half.side: half, other: decode(found)}
        return join(sides[Side.REQUEST], sides[Side.RESPONSE], names, outcome=outcome, model=subject[1])

    _add(batch, joined, "predictions", subject, now, [encode(half), found])


def _add(batch: Batch, made: Any, kind: Kind, subject: Subject, now: float, halves: list[bytes]) -> None:
    try:
        records: Iterable[dict[str, Any]] = made()
    except Unreadable as error:
        batch.reject(-1, error.reason, str(error), shown(halves), whole=False, of=subject)
        return
    # Where neither event tells a time, that of receipt is the best there is.
    timed = [{"timestamp": now, **record} if kind == "predictions" else record for record in records]
    found = convert(timed, kind, Only(subject))
    for of, rows in found.events.items():
        batch.events.setdefault(of, []).extend(rows)
    for of, told in found.labels.items():
        batch.labels.setdefault(of, []).extend(told)
    batch.rejected += found.rejected
    batch.rejections += found.rejections
