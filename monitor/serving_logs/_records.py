"""Requests and responses as predictions on the wire, truths as labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.serving_logs._features import features
from monitor.serving_logs._outcomes import Outcome, outcomes
from monitor.serving_logs._table import Table
from monitor.serving_logs.unreadable import Reason, Unreadable


def predictions(
    request: Table, response: Table, names: Sequence[str], outcome: Outcome, *, event_id: str, **said: Any
) -> list[dict[str, Any]]:
    """One prediction a row, as `POST /v1/predictions` takes it.

    Args:
        request: the features.
        response: what the model said.
        names: of the features that the model declares, in order.
        outcome: how the response is to be read.
        event_id: of the call; the ids of several rows are `<event_id>-<n>`.
        said: what else is known, by key (`model`, `timestamp`, `model_version`, …); None and empty text are left out.

    Raises:
        Unreadable: the rows of both are not as many, or cannot be read.
    """
    if len(request) != len(response):
        got = f"{len(request)} in the request and {len(response)} in the response"
        raise Unreadable(Reason.ROW_COUNTS, f"expected as many rows in both, got {got}")
    constant = {key: value for key, value in said.items() if value is not None and value != ""}
    found = []
    for place, (row, (prediction, probability)) in enumerate(
        zip(features(request, names), outcomes(response, outcome), strict=True)
    ):
        record = {**constant, "event_id": _id(event_id, place, len(request)), "features": row, "prediction": prediction}
        found.append(record if probability is None else {**record, "probability": probability})
    return found


def labels(truth: Table, outcome: Outcome, *, event_id: str, **said: Any) -> list[dict[str, Any]]:
    """One label a row, as `POST /v1/labels` takes it; see `predictions`."""
    constant = {key: value for key, value in said.items() if value is not None and value != ""}
    said_true = [label for label, _ in outcomes(truth, outcome)]
    return [
        {**constant, "event_id": _id(event_id, place, len(said_true)), "label": label}
        for place, label in enumerate(said_true)
    ]


def _id(event_id: str, place: int, rows: int) -> str:
    return event_id if rows == 1 else f"{event_id}-{place}"
