"""Inference tables of models that MLflow serves on Databricks: the legacy table and AI Gateway's, one call a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from monitor.serving_logs import _records
from monitor.serving_logs._bodies import request_body, response_body
from monitor.serving_logs._outcomes import Outcome
from monitor.serving_logs._values import Limits, identifier, is_number, named, parse, seconds, tidy
from monitor.serving_logs.unreadable import Reason, Unreadable

# The column that only one of both tables has, and the column with the milliseconds that the call took.
TIMES = {"timestamp_ms": "execution_time_ms", "request_time": "execution_duration_ms"}
FARTHEST = 1e17  # a number beyond it is no time in microseconds


def records(
    row: Mapping[str, Any],
    names: Sequence[str] = (),
    *,
    outcome: Outcome | None = None,
    limits: Limits | None = None,
) -> list[dict[str, Any]]:
    """The predictions of one row. Which table it is of, its columns tell; those that are not known are ignored.

    The version is `model_version` of the legacy table's `request_metadata`, or AI Gateway's `served_entity_id`: another version
    is another entity. `model` is the reader's to add.

    Args:
        row: by column.
        names: of the features that the model declares, in order; empty if it declares none.
        outcome: how the response is to be read where it does not say so itself.
        limits: on the rows and values of the call.

    Raises:
        Unreadable: the call failed, the row is of no such table, or request and response cannot be read or joined.

    >>> row = {"databricks_request_id": "a-1", "timestamp_ms": 1795161600000, "status_code": 200}
    >>> row |= {"request": '{"dataframe_split": {"columns": ["temp"], "data": [[0.5]]}}', "response": '{"predictions": [212.5]}'}
    >>> records(row)
    [{'timestamp': 1795161600.0, 'event_id': 'a-1', 'features': {'temp': 0.5}, 'prediction': 212.5}]
    """
    limits = limits or Limits()
    column = next((name for name in TIMES if name in row), None)
    if column is None or "request" not in row or "response" not in row:
        expected = f"expected the columns request, response and {' or '.join(TIMES)}"
        raise Unreadable(Reason.UNKNOWN_COLUMNS, expected)
    if not _succeeded(row.get("status_code")):
        raise Unreadable(Reason.FAILED_CALL, "expected the status 200")
    request = _json(row["request"], Reason.NO_REQUEST, limits)
    response = _json(row["response"], Reason.NO_RESPONSE, limits)
    told = named(row.get("client_request_id")) or named(row.get("databricks_request_id"))
    return _records.predictions(
        request_body(request, limits),
        response_body(response, limits),
        names,
        outcome or Outcome(),
        event_id=identifier(told, "a client_request_id or databricks_request_id"),
        timestamp=_time(row[column]),
        model_version=_version(row),
        latency_seconds=_latency(row.get(TIMES[column])),
    )


def _succeeded(status: Any) -> bool:
    """Whether a status is 200, whichever type a table's reader makes of it."""
    plain = _plain(status)
    return plain.strip() == "200" if isinstance(plain, str) else is_number(plain) and plain == 200


def _plain(value: Any) -> Any:
    """A number of NumPy's as one of Python's."""
    return value.item() if getattr(value, "shape", None) == () else value


def _json(value: Any, missing: Reason, limits: Limits) -> Any:
    """A body: JSON as text, or decoded already. Bodies that are too large are not logged."""
    if not isinstance(value, str | bytes | dict | list) or not value:
        raise Unreadable(missing, "expected a body, got none")
    return parse(value, limits) if isinstance(value, str | bytes) else tidy(value, limits)


def _time(value: Any) -> float:
    """Unix seconds of a timestamp, a text, or a number of milliseconds (or microseconds, as Parquet keeps them)."""
    value = _plain(value)
    if isinstance(value, datetime):
        try:
            return seconds((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            return seconds(None)
    if is_number(value) and abs(value) < FARTHEST:
        return seconds(value / (1_000_000 if abs(value) > 1e14 else 1000))
    return seconds(value)


def _version(row: Mapping[str, Any]) -> str:
    about = row.get("request_metadata")
    if isinstance(about, list):  # a map as Arrow hands it out
        about = {str(pair[0]): pair[1] for pair in about if isinstance(pair, list | tuple) and len(pair) == 2}
    told = named(about.get("model_version")) if isinstance(about, Mapping) else ""
    return told or named(row.get("served_entity_id"))


def _latency(value: Any) -> float | None:
    value = _plain(value)
    return value / 1000 if is_number(value) and 0 <= value < FARTHEST else None
