"""TensorFlow Serving's request log: `PredictionLog` messages, as lines of JSON or as records of a TFRecord file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.records import fingerprint
from monitor.serving_logs import _records
from monitor.serving_logs._outcomes import Outcome
from monitor.serving_logs._protojson import field, inner, octets, real, repeated, whole
from monitor.serving_logs._table import Column, Table, table
from monitor.serving_logs._tensor_proto import tensor_values
from monitor.serving_logs._values import Limits, identifier, named, parse, scalar, seconds, text
from monitor.serving_logs._wire import message
from monitor.serving_logs.unreadable import Reason, Unreadable, cut

LOGS = ("classify_log", "regress_log", "predict_log")


def records(
    line: str | bytes,
    names: Sequence[str] = (),
    *,
    id_from: str = "",
    place: str = "",
    outcome: Outcome | None = None,
    limits: Limits | None = None,
) -> list[dict[str, Any]]:
    """The predictions of one `PredictionLog` as JSON, with names in snake_case or camelCase.

    Args:
        line: JSON.
        names: of the features that the model declares, in order; empty if it declares none.
        id_from: the input or feature whose value is the event's id, and no feature then. The log has no id of its own; without
            one no label finds its prediction, and the id is made of the message and its place.
        place: where the message stands (file and line), so that two equal messages are two events, and reading the file again
            finds the same ids.
        outcome: how the response is to be read where it does not say so itself.
        limits: on the rows and values of the call.

    Raises:
        Unreadable: the message is of another kind of log, or cannot be read.

    >>> asked = '{"input": {"exampleList": {"examples": [{"features": {"feature": {"temp": {"floatList": {"value": [0.5]}}}}}]}}}'
    >>> said = '{"result": {"regressions": [{"value": 212.5}]}}'
    >>> records('{"regressLog": {"request": %s, "response": %s}}' % (asked, said), place="log-1:7")
    [{'event_id': '53943f2c8267d6d5', 'features': {'temp': 0.5}, 'prediction': 212.5}]
    """
    limits = limits or Limits()
    raw = line.encode("utf-8", "replace") if isinstance(line, str) else line
    return _records_of(parse(line, limits), raw, names, id_from, place, outcome or Outcome(), limits)


def binary_records(
    raw: bytes,
    names: Sequence[str] = (),
    *,
    id_from: str = "",
    place: str = "",
    outcome: Outcome | None = None,
    limits: Limits | None = None,
) -> list[dict[str, Any]]:
    """The predictions of one `PredictionLog` as it is on the wire, such as a record of `tfrecord.frames`; see `records`."""
    limits = limits or Limits()
    if len(raw) > 8 * limits.values:
        raise Unreadable(Reason.TOO_LARGE, f"expected at most {8 * limits.values} bytes, got {len(raw)}")
    return _records_of(message(raw, "PredictionLog"), raw, names, id_from, place, outcome or Outcome(), limits)


def _records_of(
    log: Any, raw: bytes, names: Sequence[str], id_from: str, place: str, outcome: Outcome, limits: Limits
) -> list[dict[str, Any]]:
    kind = next((kind for kind in LOGS if field(log, kind) is not None), None)
    if kind is None:
        got = ", ".join(map(cut, list(log)[:5]))
        raise Unreadable(Reason.UNKNOWN_LOG, f"expected {', '.join(LOGS)}, got {got or 'nothing'}")
    request, response = inner(log, kind, "request"), inner(log, kind, "response")
    if kind == "predict_log":
        asked, said = _tensors(request, "inputs", limits), _tensors(response, "outputs", limits)
    else:
        asked = _examples(request, limits)
        said = _classes(response, limits) if kind == "classify_log" else _regressions(response, limits)
    specs = [inner(each, "model_spec") for each in (response, inner(log, "log_metadata"), request)]
    time = whole(field(inner(log, "log_metadata"), "timestamp_secs"), "timestamp_secs")
    ids, asked = _ids(asked, id_from, limits) if id_from else ([], asked)
    found = _records.predictions(
        asked,
        said,
        names,
        outcome,
        event_id=fingerprint(place, raw.hex()),
        model=next((named(field(spec, "name")) for spec in specs if field(spec, "name")), ""),
        model_version=next((version for version in map(_version, specs) if version), ""),
        timestamp=seconds(time) if time else None,
    )
    return [{**record, "event_id": ids[at]} for at, record in enumerate(found)] if ids else found


def _version(spec: dict[str, Any]) -> str:
    """An Int64Value is a bare number in JSON, a message on the wire."""
    told = field(spec, "version")
    number = whole(field(told, "value") if isinstance(told, dict) else told, "version")
    return str(number) if number else ""


def _ids(asked: Table, id_from: str, limits: Limits) -> tuple[list[str], Table]:
    """The ids that stand among the features, and the features without them."""
    columns = [column for column in asked.columns if column.name != id_from]
    held = next((column.values for column in asked.columns if column.name == id_from), None)
    if held is None:
        rows = [row if isinstance(row, dict) else {} for row in asked.columns[0].values]
        held = [row.get(id_from) for row in rows]
        columns = [Column("", [{key: row[key] for key in row if key != id_from} for row in rows])]
    if not columns:
        columns = [Column("", [{} for _ in held])]
    return [identifier(value, f"an id in {cut(id_from)}") for value in held], table(
        columns, limits, tensors=asked.tensors
    )


def _tensors(side: dict[str, Any], name: str, limits: Limits) -> Table:
    held = inner(side, name)
    columns = [Column(key, tensor_values(value, key, limits)) for key, value in sorted(held.items())]
    return table(columns, limits, tensors=True)


def _examples(request: dict[str, Any], limits: Limits) -> Table:
    """The features of each example; a common context's are every example's."""
    given = inner(request, "input")
    shared = inner(given, "example_list_with_context")
    context = _features(field(shared, "context") or {})
    listed = repeated(shared, "examples") or repeated(inner(given, "example_list"), "examples")
    if len(listed) > limits.rows:
        raise Unreadable(Reason.TOO_MANY_ROWS, f"expected at most {limits.rows} rows, got {len(listed)}")
    return table([Column("", [{**context, **_features(each)} for each in listed])], limits)


def _features(example: Any) -> dict[str, Any]:
    held = inner(example, "features", "feature")
    return {name: _values(feature, name) for name, feature in held.items()}


def _values(feature: Any, name: str) -> Any:
    """One value as itself, several as a list, none as None."""
    found: list[Any] = [text(octets(value)) for value in repeated(inner(feature, "bytes_list"), "value")]
    found += [real(value, name) for value in repeated(inner(feature, "float_list"), "value")]
    found += [scalar(whole(value, name)) for value in repeated(inner(feature, "int64_list"), "value")]
    return found if len(found) > 1 else (found or [None])[0]


def _classes(response: dict[str, Any], limits: Limits) -> Table:
    """The scores of the classes as an object, by their labels or, where these are not told, by place."""
    rows: list[Any] = []
    for each in repeated(inner(response, "result"), "classifications"):
        classes = repeated(each, "classes")
        scores = [real(field(held, "score"), "score") for held in classes]
        labels = [named(field(held, "label")) for held in classes]
        if len({label for label in labels if label}) < len(labels):
            labels = [str(place) for place in range(len(labels))]
        rows.append({"label": labels, "scores": scores})
    return table([Column("", rows)], limits)


def _regressions(response: dict[str, Any], limits: Limits) -> Table:
    listed = repeated(inner(response, "result"), "regressions")
    return table([Column("", [real(field(each, "value"), "value") for each in listed])], limits)
