"""What a reader gives must be what `POST /v1/predictions` and `/v1/labels` take, written down here a second time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from monitor.serving_logs import Reason, Unreadable


class Prediction(msgspec.Struct, forbid_unknown_fields=True):
    event_id: str
    features: dict[str, float | int | str | bool | list[float] | None]
    prediction: str | float | int | bool
    timestamp: float | None = None
    model: str | None = None
    model_version: str | None = None
    probability: float | dict[str, float] | None = None
    latency_seconds: float | None = None


class Label(msgspec.Struct, forbid_unknown_fields=True):
    event_id: str
    label: str | float | int | bool
    label_timestamp: float | None = None
    model: str | None = None


def _checked(records: Sequence[dict[str, Any]], kind: type) -> None:
    text = msgspec.json.encode(records)
    msgspec.json.decode(text, type=list[kind])  # type: ignore[valid-type]
    assert json.loads(text) == records  # nothing was changed on the way, such as a NaN into null
    assert all(value is not None for record in records for key, value in record.items())
    assert len({record["event_id"] for record in records}) == len(records)


def predictions(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, which are predictions on the wire."""
    _checked(records, Prediction)
    return list(records)


def labels(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, which are labels on the wire."""
    _checked(records, Label)
    return list(records)


def refused(call: Callable[[], Any], reason: str) -> str:
    """The message of the error that a call must raise."""
    with pytest.raises(Unreadable) as caught:
        call()
    assert caught.value.reason == Reason(reason), str(caught.value)
    message = str(caught.value)
    assert message
    assert not message.endswith(".")
    return message
