"""SageMaker data capture and its ground truth: one call a line of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.serving_logs import _records
from monitor.serving_logs._bodies import request_body, response_body
from monitor.serving_logs._csv import csv_table
from monitor.serving_logs._outcomes import Outcome
from monitor.serving_logs._table import Column, Table, by_row, table
from monitor.serving_logs._values import Limits, base64_bytes, identifier, parse, seconds
from monitor.serving_logs._values import text as text_of
from monitor.serving_logs.unreadable import Reason, Unreadable, cut

REQUEST_KEYS = frozenset({"instances", "inputs", "dataframe_split", "dataframe_records"})
RESPONSE_KEYS = frozenset({"predictions", "outputs", "error"})
MISSING = {
    "endpointInput": Reason.NO_REQUEST,
    "endpointOutput": Reason.NO_RESPONSE,
    "groundTruthData": Reason.NO_TRUTH,
}
LINES = frozenset({"application/jsonlines", "application/jsonl", "application/x-ndjson"})


def records(
    line: str | bytes, names: Sequence[str] = (), *, outcome: Outcome | None = None, limits: Limits | None = None
) -> list[dict[str, Any]]:
    """The predictions of one line of captured data. `model` is the reader's to add: no line tells it.

    Args:
        line: JSON.
        names: of the features that the model declares, in order; empty if it declares none.
        outcome: how the response is to be read where it does not say so itself.
        limits: on the rows and values of the call.

    Raises:
        Unreadable: the line, its input or its output cannot be read, or both disagree on the number of rows.

    >>> sent = '{"data": "0.5,red", "encoding": "CSV"}'
    >>> came = '{"data": "212.5", "encoding": "CSV"}'
    >>> about = '{"eventId": "a-1", "inferenceTime": "2026-11-20T08:00:00Z"}'
    >>> line = '{"captureData": {"endpointInput": %s, "endpointOutput": %s}, "eventMetadata": %s}' % (sent, came, about)
    >>> records(line)
    [{'timestamp': 1795161600.0, 'event_id': 'a-1', 'features': {'f0': 0.5, 'f1': 'red'}, 'prediction': 212.5}]
    """
    limits = limits or Limits()
    held = _object(parse(line, limits), "captureData")
    captured, about = _object(held["captureData"], ""), _about(held)
    request = _table(captured, "endpointInput", names, limits)
    response = _table(captured, "endpointOutput", (), limits)
    time = about.get("inferenceTime")
    return _records.predictions(
        request,
        _one_line(response, len(request)),
        names,
        outcome or Outcome(),
        event_id=identifier(about.get("inferenceId") or about.get("eventId"), "an inferenceId or eventId"),
        timestamp=None if time is None else seconds(time),
    )


def labels(line: str | bytes, *, outcome: Outcome | None = None, limits: Limits | None = None) -> list[dict[str, Any]]:
    """The labels of one line of ground truth; its `eventId` is the call's `inferenceId`, or its `eventId` if it had none.

    Raises:
        Unreadable: the line cannot be read.

    >>> labels('{"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "a-1"}}')
    [{'event_id': 'a-1', 'label': 1}]
    """
    limits = limits or Limits()
    held = _object(parse(line, limits), "groundTruthData")
    truth = _table(held, "groundTruthData", (), limits)
    event_id = identifier(_about(held).get("eventId"), "an eventId")
    return _records.labels(truth, outcome or Outcome(), event_id=event_id)


def _object(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict) or (key and key not in value):
        raise Unreadable(Reason.UNKNOWN_BODY, f"expected an object{f' with {key}' if key else ''}")
    return value


def _about(held: dict[str, Any]) -> dict[str, Any]:
    about = held.get("eventMetadata")
    return about if isinstance(about, dict) else {}


def _table(held: dict[str, Any], side: str, names: Sequence[str], limits: Limits) -> Table:
    """The rows that stand in the input, the output or the truth."""
    part = held.get(side)
    if not isinstance(part, dict) or part.get("data") is None:
        raise Unreadable(MISSING[side], f"expected {side} with data, got none")
    content = _content(part)
    text = _text(part["data"], part.get("encoding"))
    if content == "text/csv":
        return csv_table(text, names, limits)
    if content in LINES:
        return by_row([parse(line, limits) for line in text.splitlines() if line.strip()], limits)
    return _of_json(parse(text, limits), side, limits)


def _content(part: dict[str, Any]) -> str:
    """The media type: as observed, or as the encoding says."""
    told = part.get("observedContentType")
    content = told.partition(";")[0].strip().lower() if isinstance(told, str) else ""
    if part.get("encoding") == "CSV":
        return "text/csv"
    if part.get("encoding") == "JSON":
        return content if content in LINES else "application/json"
    known = {"text/csv", "application/json", *LINES}
    if content not in known:
        expected = ", ".join(sorted(known))
        raise Unreadable(Reason.UNKNOWN_CONTENT, f"expected a content type of {expected}, got {cut(told)}")
    return content


def _text(data: Any, encoding: Any) -> str:
    if encoding == "BASE64":
        text = text_of(base64_bytes(data))
        if text is None:
            raise Unreadable(Reason.UNKNOWN_CONTENT, "expected text in UTF-8, got other bytes")
        return text
    if encoding not in ("CSV", "JSON") or not isinstance(data, str):
        raise Unreadable(Reason.UNKNOWN_CONTENT, f"expected data encoded as CSV, JSON or BASE64, got {cut(encoding)}")
    return data


def _of_json(value: Any, side: str, limits: Limits) -> Table:
    """A body that some server knows, a list of rows, or one row."""
    keys = REQUEST_KEYS if side == "endpointInput" else RESPONSE_KEYS
    if isinstance(value, dict) and keys & value.keys():
        return (request_body if side == "endpointInput" else response_body)(value, limits)
    return by_row(value, limits)


def _one_line(response: Table, rows: int) -> Table:
    """Some containers answer a batch in one line: then it has as many values as the input has rows."""
    values = response.columns[0].values
    if rows > 1 and len(values) == 1 and isinstance(values[0], list) and len(values[0]) == rows:
        return table([Column("", values[0])], Limits(rows=rows))
    return response
